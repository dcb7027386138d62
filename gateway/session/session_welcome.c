/*
 * session_welcome: the begin of a session: welcome, and the subscription of its URL or the
 * automatic one.
 */
#include <string.h>

#include "gateway/fanout/framing.h"
#include "gateway/http/query.h"
#include "gateway/session/session_private.h"

/*
 * The handshake has refused unknown, repeated and malformed parameters (HANDSHAKE_QUERY).  An
 * invalid value is answered with an error; the other parameters apply.
 */
static void refuse(struct session *s, const char *text)
{
    const struct buf none = {0};

    session_send_error(s, &none, "bad_request", text, NULL);
}

static void read_mode(struct session *s, struct span text, struct session_options *o)
{
    o->has_mode = session_option_mode(text, &o->wants_all);
    if (!o->has_mode)
        refuse(s, "?mode= must be merge or all");
}

static void read_hz(struct session *s, struct span text, struct session_options *o)
{
    o->has_hz = session_option_hz(text, &o->interval_ms);
    if (!o->has_hz)
        refuse(s, "?max_hz= must be a number from 0.01 to 1000");
}

static void read_trace(struct session *s, struct span text, struct session_options *o)
{
    o->is_traced = span_eq(text, "true");
    o->has_trace = o->is_traced || span_eq(text, "false");
    if (!o->has_trace)
        refuse(s, "?trace= must be true or false");
}

static bool read_position(struct span text, struct session_options *o)
{
    const char *colon = text.len ? memchr(text.at, ':', text.len) : NULL;
    size_t len = colon ? (size_t)(colon - text.at) : 0;

    o->has_since = colon && session_option_position((struct span){text.at, len},
                                                    (struct span){colon + 1, text.len - len - 1},
                                                    &o->epoch, &o->seq);
    return o->has_since;
}

static void read_since(struct session *s, struct span text, struct session_options *o)
{
    if (!read_position(text, o))
        refuse(s, "?since= must be EPOCH:SEQ");
}

/* The position of a client that reconnects by itself, and so newer than the one in its URL. */
static void read_last_event_id(struct session *s, struct span text, struct session_options *o)
{
    if (!read_position(text, o))
        refuse(s, "Last-Event-ID must be EPOCH:SEQ");
}

static const struct {
    const char *name;
    void (*read)(struct session *s, struct span text, struct session_options *o);
} parameters[] = {
    {"mode", read_mode},
    {"max_hz", read_hz},
    {"trace", read_trace},
    {"since", read_since},
};

static void add_list(struct session_request *r, struct span list)
{
    const char *at = list.at, *end = at + list.len;

    while (at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        const char *stop = comma ? comma : end;

        while (at < stop && *at == ' ')
            at++;
        if (at < stop)
            session_request_add(r, (struct span){at, (size_t)(stop - at)});
        at = stop + 1;
    }
}

static void add_symbols(struct session_request *r, const char *query)
{
    struct session *s = r->session;
    struct buf symbols = {0};

    if (query_get(query, QUERY_LIST, QUERY_PLUS_IS_SPACE, &symbols) == QUERY_GIVEN) {
        add_list(r, buf_span(&symbols));
    } else {
        add_list(r, span_of(s->all->config->websocket_auto_subscribe));
        r->is_auto = s->is_auto = true;
        r->snapshot_limit = (size_t)s->all->config->auto_max;
    }
    buf_free(&symbols);
}

static void subscribe(struct session *s, const struct accepted *a)
{
    const char *query = a->query;
    struct session_request *r = session_request_new(s);
    struct session_options options = {0};

    for (size_t i = 0; i < sizeof parameters / sizeof *parameters; i++) {
        struct buf text = {0};

        if (parameters[i].read == read_since && a->last_event_id)
            read_last_event_id(s, span_of(a->last_event_id), &options);
        else if (query_get(query, parameters[i].name, QUERY_PLUS_IS_SPACE, &text) == QUERY_GIVEN)
            parameters[i].read(s, buf_span(&text), &options);
        buf_free(&text);
    }
    session_option_apply(s, &options);
    if (options.has_since)
        session_request_set_since(r, options.epoch, options.seq);
    add_symbols(r, query);
    if (r->patterns.len)
        session_request_submit(r);
    else
        session_request_end(r);
}

void session_begin(struct session *s, const struct accepted *a)
{
    if (a->is_early) /* bytes that the client sent before the 101 are lost */
        session_close(s, SESSION_CLOSE_PROTOCOL, SPAN("{\"code\":\"too_early\"}"),
                      "frames before the handshake's answer");
    else if (a->explain_close) {
        framing_add_retry(&s->out, s->sub.encoding, a->explain_retry_ms);
        session_close(s, (uint16_t)a->explain_close, span_of(a->explain_reason), "refused");
        session_flush(s);
    } else {
        session_send_welcome(s);
        subscribe(s, a);
    }
}
