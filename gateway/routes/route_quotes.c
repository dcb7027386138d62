/* route_quotes: last values and history over HTTP. */
#include <stdio.h>
#include <string.h>

#include "gateway/http/query.h"
#include "gateway/routes/quotes_export.h"
#include "gateway/routes/quotes_json.h"
#include "gateway/routes/route_private.h"
#include "shared/wire/patterns.h"
#include "shared/wire/quote.h"

/* False: the loop had no answer that can be written, and the reply states it. */
static bool request_raw(struct service *s, struct request *r, struct loop_request *q,
                        struct reply *p, struct buf *raw)
{
    if (!route_request(s, r, q, p))
        return false;
    *raw = p->body;
    p->body = (struct buf){0};
    if (q->status != 429)
        return true;
    buf_free(raw);
    route_unavailable(p, r, "busy", "Too many requests wait for the broker.",
                      "Ask again, and less often.", 1);
    return false;
}

#define SYMBOL_FORM "1 to 32 of A-Z 0-9 . _ : / = ^ -"

/* Why `symbols` is refused: the first that cannot be one, or its length. */
static void refuse_symbols(struct reply *p, const struct request *r, struct span text,
                           bool is_too_long)
{
    char message[QUERY_TEXT_MAX] = "'symbols' names no symbol.";
    const char *hint = "Leave it out for all, or name some, as in EUR/USD,BTC*.";

    if (is_too_long) {
        snprintf(message, sizeof message, "'symbols' is too long.");
        hint = "At most 255 characters: ask in parts, or for a prefix, as in BTC*.";
    }
    for (size_t at = 0, len; !is_too_long && at < text.len; at += len + 1) {
        const char *end = memchr(text.at + at, ',', text.len - at);

        len = end ? (size_t)(end - text.at) - at : text.len - at;
        if (!len || patterns_is_one((struct span){text.at + at, len}))
            continue;
        snprintf(message, sizeof message, "'%.*s' in 'symbols' is neither a symbol nor a pattern.",
                 len < 100 ? (int)len : 100, text.at + at);
        hint = "A symbol is " SYMBOL_FORM " (capitals only), a pattern the beginning of "
               "one and *; commas between them, no spaces.";
        break;
    }
    reply_error(p, r, 400, "bad_request", message, hint);
}

void route_get_quotes(struct service *s, struct request *r, struct reply *p)
{
    struct loop_request q = {.kind = LOOP_REQUEST_QUOTES};
    struct patterns patterns;
    struct buf raw = {0};
    bool given, fits = request_param(r, "symbols", q.text, sizeof q.text, &given);

    if (!fits || patterns_parse(span_of(q.text), &patterns) || (q.text[0] && !patterns.count)) {
        refuse_symbols(p, r, span_of(q.text), !fits);
    } else if (route_page(r, &q, 1, p) && request_raw(s, r, &q, p, &raw)) {
        quotes_json_list(&q, buf_span(&raw), &p->body);
        buf_free(&raw);
    }
}

bool route_set_symbol(struct request *r, struct loop_request *q, struct span symbol,
                      struct reply *p)
{
    if (!quote_is_symbol(symbol)) {
        char message[QUERY_TEXT_MAX];

        snprintf(message, sizeof message, "'%.*s' cannot be a symbol.",
                 symbol.len < 100 ? (int)symbol.len : 100, symbol.at);
        reply_error(p, r, 400, "bad_symbol", message, "A symbol is " SYMBOL_FORM ", in capitals.");
        return false;
    }
    span_copy(q->text, sizeof q->text, symbol);
    return true;
}

static void unknown_symbol(struct reply *p, const struct request *r)
{
    reply_error(p, r, 404, "unknown_symbol", "No quote of this symbol has come yet.",
                "GET " ROUTE_QUOTES " lists those that have.");
}

void route_get_quote(struct service *s, struct request *r, struct reply *p)
{
    struct loop_request q = {.kind = LOOP_REQUEST_QUOTE};
    struct buf raw = {0};

    if (!route_set_symbol(r, &q, span_of(r->path + sizeof ROUTE_QUOTES), p) ||
        !request_raw(s, r, &q, p, &raw))
        return;
    if (q.status == 200 && !quotes_json_one(buf_span(&raw), &p->body))
        unknown_symbol(p, r);
    else if (q.status != 200)
        route_unavailable(p, r, "broker_away",
                          "The broker is away and this symbol is not known here.",
                          "Is pregon-broker running?", 2);
    buf_free(&raw);
}

#define BOUND_MAX 64
#define BOUND                                                               \
    "A position (EPOCH:SEQ, or a whole number below 1000000000) or a time " \
    "(2026-11-25T12:00:00Z, or @ and Unix seconds); positions of one epoch only."

/* A client often sends the '+' of a time unencoded: "…T12:00:00+01:00". */
static bool set_bound(const struct request *r, struct timeline *t, const char *name,
                      enum timeline_bound which)
{
    bool is_set = true;

    for (int plus = QUERY_PLUS_IS_SPACE; plus <= QUERY_PLUS_IS_PLUS; plus++) {
        struct buf text = {0};

        if (query_get(r->query, name, (enum query_plus)plus, &text) == QUERY_GIVEN)
            is_set = text.len <= BOUND_MAX && timeline_set(t, which, buf_span(&text));
        buf_free(&text);
        if (is_set)
            return true;
    }
    return false;
}

/* false: the reply has the error. */
static bool format_of(struct request *r, enum quotes_export *format, struct reply *p)
{
    char text[16];
    bool given;

    *format = QUOTES_EXPORT_JSON;
    if (request_param(r, "format", text, sizeof text, &given) &&
        (!given || quotes_export_parse(text, format)))
        return true;
    route_bad_parameter(p, r, "format", QUOTES_EXPORT_FORMATS);
    return false;
}

/* false: the reply has the error. */
static bool timeline_of(struct request *r, struct loop_request *q, struct reply *p)
{
    static const char *const bounds[] = {"since", "until"};
    char text[64];
    bool given;

    if (!request_param(r, "order", text, sizeof text, &given) ||
        (given && strcmp(text, "newest") != 0 && strcmp(text, "oldest") != 0)) {
        route_bad_parameter(p, r, "order", "newest (the default) or oldest.");
        return false;
    }
    q->timeline.is_oldest_first = given && text[0] == 'o';
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++)
        if (!set_bound(r, &q->timeline, bounds[i], i ? TIMELINE_UNTIL : TIMELINE_SINCE)) {
            route_bad_parameter(p, r, bounds[i], BOUND);
            return false;
        }
    if (!request_param(r, "next", text, sizeof text, &given) ||
        (given && !timeline_set_next(&q->timeline, span_of(text)))) {
        route_bad_parameter(p, r, "next",
                            "What the answer before had as next, with its other parameters.");
        return false;
    }
    q->limit = ROUTE_PAGE_MOST;
    if (!request_number(r, "limit", ROUTE_PAGE_MOST, &q->limit) || !q->limit) {
        route_bad_parameter(p, r, "limit", "A whole number from 1 to 1000.");
        return false;
    }
    return true;
}

void route_get_history(struct service *s, struct request *r, struct reply *p)
{
    const char *symbol = r->path + sizeof ROUTE_QUOTES;
    size_t len = strlen(symbol);
    struct loop_request q = {.kind = LOOP_REQUEST_HISTORY};
    enum quotes_export format;
    struct buf raw = {0};

    len -= len && symbol[len - 1] == '/';
    len = len < sizeof ROUTE_HISTORY ? 0 : len - (sizeof ROUTE_HISTORY - 1);
    if (!route_set_symbol(r, &q, (struct span){symbol, len}, p) || !timeline_of(r, &q, p) ||
        !format_of(r, &format, p) || !request_raw(s, r, &q, p, &raw))
        return;
    switch (q.status) {
    case 200:
        quotes_export_history(&q, buf_span(&raw), format, p);
        break;
    case 404:
        unknown_symbol(p, r);
        break;
    case 410:
        reply_error(p, r, 410, "log_replaced", "This position is of another log than the broker's.",
                    "Ask without it, or by time. Its epoch is in every answer.");
        break;
    case 500:
        route_unavailable(p, r, "store_failed", "The broker could not read its store.",
                          "Its log, and this gateway's, say why.", 5);
        break;
    default:
        route_unavailable(p, r, "broker_away", "The broker is away, or did not answer in time.",
                          "Is pregon-broker running?", 2);
    }
    buf_free(&raw);
}
