/* stream_welcome: the first subscription of a client: its URL's, or the automatic one. */
#include <string.h>

#include "gateway/http/query.h"
#include "gateway/session/stream_private.h"

/*
 * The handshake has refused unknown, repeated and malformed parameters (HANDSHAKE_QUERY).  A value
 * that makes no sense is an error message; the others apply.
 */
static void say_bad(struct client *c, const char *text)
{
    const struct buf none = {0};

    stream_send_error(c, &none, "bad_request", text, NULL);
}

static void read_mode(struct client *c, struct span text, struct stream_wishes *w)
{
    w->has_mode = stream_read_mode(text, &w->wants_all);
    if (!w->has_mode)
        say_bad(c, "?mode= must be merge or all");
}

static void read_hz(struct client *c, struct span text, struct stream_wishes *w)
{
    w->has_hz = stream_read_hz(text, &w->interval_ms);
    if (!w->has_hz)
        say_bad(c, "?max_hz= must be a number from 0.01 to 1000");
}

static void read_trace(struct client *c, struct span text, struct stream_wishes *w)
{
    w->is_traced = span_eq(text, "true");
    w->has_trace = w->is_traced || span_eq(text, "false");
    if (!w->has_trace)
        say_bad(c, "?trace= must be true or false");
}

static void read_since(struct client *c, struct span text, struct stream_wishes *w)
{
    w->has_since = stream_read_since(text, &w->epoch, &w->seq);
    if (!w->has_since)
        say_bad(c, "?since= must be EPOCH:SEQ");
}

static const struct {
    const char *name;
    void (*read)(struct client *c, struct span text, struct stream_wishes *w);
} parameters[] = {
    {"mode", read_mode},
    {"max_hz", read_hz},
    {"trace", read_trace},
    {"since", read_since},
};

static void add_list(struct request *r, struct span list)
{
    const char *at = list.at, *end = at + list.len;

    while (at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        const char *stop = comma ? comma : end;

        while (at < stop && *at == ' ')
            at++;
        if (at < stop)
            stream_request_add(r, (struct span){at, (size_t)(stop - at)});
        at = stop + 1;
    }
}

static void add_symbols(struct request *r, const char *query)
{
    struct client *c = r->client;
    struct buf symbols = {0};

    if (query_get(query, QUERY_LIST, QUERY_PLUS_IS_SPACE, &symbols) == QUERY_GIVEN) {
        add_list(r, buf_span(&symbols));
    } else {
        add_list(r, span_of(c->g->config.websocket_auto_subscribe));
        r->is_auto = c->is_auto = true;
        r->snapshot_limit = (size_t)c->g->config.auto_max;
    }
    buf_free(&symbols);
}

void stream_welcome(struct client *c, const char *query)
{
    struct request *r = stream_request_new(c);
    struct stream_wishes wishes = {0};

    stream_send_welcome(c);
    for (size_t i = 0; i < sizeof parameters / sizeof *parameters; i++) {
        struct buf text = {0};

        if (query_get(query, parameters[i].name, QUERY_PLUS_IS_SPACE, &text) ==
            QUERY_GIVEN)
            parameters[i].read(c, buf_span(&text), &wishes);
        buf_free(&text);
    }
    stream_apply_wishes(c, &wishes);
    if (wishes.has_since)
        stream_set_since(r, wishes.epoch, wishes.seq);
    add_symbols(r, query);
    if (r->patterns.len)
        stream_submit(r);
    else
        stream_request_end(c->g, r);
}
