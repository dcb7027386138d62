/* stream_welcome: the first subscription of a client: its URL's, or the automatic one. */
#include <string.h>

#include "gateway/stream_private.h"

#define URL_PARAM_MAX 8192

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* A query parameter, percent-decoded, or false. */
static bool query_param(const char *query, const char *name, struct buf *out)
{
    size_t len = strlen(name);

    while (query && *query) {
        const char *end = strchrnul(query, '&');

        if (strncmp(query, name, len) == 0 && query[len] == '=') {
            for (const char *s = query + len + 1; s < end; s++) {
                int high = s[0] == '%' && end - s > 2 ? hex_digit(s[1]) : -1,
                    low = high >= 0 ? hex_digit(s[2]) : -1;

                if (low >= 0) {
                    buf_addc(out, (char)(high << 4 | low));
                    s += 2;
                } else {
                    buf_addc(out, *s == '+' ? ' ' : *s);
                }
            }
            buf_text(out);
            return true;
        }
        query = *end ? end + 1 : NULL;
    }
    return false;
}

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

void stream_welcome(struct client *c, const char *query)
{
    struct gateway *g = c->g;
    struct request *r = stream_request_new(c);
    struct buf mode = {0}, hz = {0}, symbols = {0}, since = {0}, trace = {0},
               none = {0};
    uint64_t epoch = 0, seq = 0;

    stream_say_welcome(c);
    if (query_param(query, "mode", &mode) && !stream_set_mode(c, buf_span(&mode)))
        stream_say_error(c, &none, "bad_request", "?mode= must be merge or all", NULL);
    if (query_param(query, "max_hz", &hz) && !stream_set_max_hz(c, buf_span(&hz)))
        stream_say_error(c, &none, "bad_request",
                         "?max_hz= must be a number from 0.01 to 1000", NULL);
    if (query_param(query, "trace", &trace)) {
        if (span_eq(buf_span(&trace), "true") || span_eq(buf_span(&trace), "false"))
            stream_set_trace(c, span_eq(buf_span(&trace), "true"));
        else
            stream_say_error(c, &none, "bad_request", "?trace= must be true or false",
                             NULL);
    }
    if (query_param(query, "since", &since)) {
        if (stream_read_since_text(buf_span(&since), &epoch, &seq))
            stream_set_since(r, epoch, seq);
        else
            stream_say_error(c, &none, "bad_request", "?since= must be EPOCH:SEQ",
                             NULL);
    }
    if (query_param(query, "symbols", &symbols) && symbols.len <= URL_PARAM_MAX) {
        add_list(r, buf_span(&symbols));
    } else {
        add_list(r, span_of(g->config.websocket_auto_subscribe));
        r->is_auto = c->is_auto = true;
        r->snapshot_limit = (size_t)g->config.auto_max;
    }
    buf_free(&mode);
    buf_free(&hz);
    buf_free(&symbols);
    buf_free(&since);
    buf_free(&trace);
    if (r->topic_count || r->rejected.count)
        stream_submit(g, r);
    else
        stream_request_end(g, r);
}
