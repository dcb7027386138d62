/*
 * route_forget: removes symbols and feeds that will not come back, and shows one feed. The broker
 * decides what may be removed.
 */
#include <stdio.h>
#include <string.h>

#include "gateway/routes/handlers_private.h"
#include "gateway/routes/lock_request.h"
#include "gateway/routes/route_private.h"
#include "shared/wire/pack.h"

#define FEED_NAME_MOST 64

/* The broker's name for what is to be removed. */
struct kind {
    const char *key, *hint;
};
static const struct kind symbols = {"symbol", "GET " ROUTE_QUOTES " lists the symbols."};
static const struct kind feeds = {"feed", "GET /cotizaciones/health lists the feeds."};

static void refuse(struct reply *p, const struct request *r, const struct kind *k,
                   struct span answer, struct span error)
{
    struct span text = pack_find_text(answer, "message");
    char message[300];

    span_copy(message, sizeof message, text);
    if (span_eq(error, "not_found") && k == &symbols)
        reply_error(p, r, 404, "unknown_symbol", message, k->hint);
    else if (span_eq(error, "not_found"))
        reply_error(p, r, 404, "unknown_feed", message, k->hint);
    else if (span_eq(error, "held"))
        reply_error(p, r, 409, "feed_live", message,
                    "A feed can be removed once it has ended or is silent.");
    else if (span_eq(error, "again"))
        route_unavailable(p, r, "not_stored", message, "Ask again when the store has caught up.",
                          2);
    else
        route_unavailable(p, r, "bad_answer", "The broker's answer makes no sense here.",
                          "Are broker and gateway of versions that fit?", 2);
}

static void answer_removed(struct reply *p, const struct kind *k, const char *name,
                           struct span answer)
{
    reply_json(p, 200);
    buf_printf(&p->body, "{\"%s\":", k->key);
    buf_jsons(&p->body, name);
    buf_printf(&p->body, ",\"epoch\":\"%016llx\",\"seq\":%llu,\"symbols\":%llu}\n",
               (unsigned long long)pack_find_u(answer, "epoch", 0),
               (unsigned long long)pack_find_u(answer, "seq", 0),
               (unsigned long long)pack_find_u(answer, "symbols", 0));
}

/* Send it and wait.  false: there is no answer, and the reply has the error. */
static bool request(struct lock_request *q, struct service *s, struct request *r,
                    struct buf *answer, struct reply *p)
{
    bool is_answered = route_request(s, r, &q->request, p);

    buf_free(&q->request.arguments);
    if (!is_answered)
        return false;
    *answer = p->body;
    p->body = (struct buf){0};
    if (q->request.status != 503)
        return true;
    buf_free(answer);
    route_unavailable(p, r, "broker_away", "The broker is away, or did not answer.",
                      "Ask again: a removal may have taken effect.", 2);
    return false;
}

static void forget(struct service *s, struct request *r, const struct kind *k, const char *name,
                   struct reply *p)
{
    struct lock_request q;
    struct buf answer;
    struct span error;
    struct pack_value seq;
    char by[sizeof r->client_name + 20];

    snprintf(by, sizeof by, "%s over HTTP", r->client_name);
    lock_request_init(&q, "forget");
    lock_request_add_text(&q, k->key, name);
    lock_request_add_text(&q, "by", by);
    if (!request(&q, s, r, &answer, p))
        return;
    error = pack_find_text(buf_span(&answer), "error");
    if (error.len || !pack_find(buf_span(&answer), "seq", &seq, NULL))
        refuse(p, r, k, buf_span(&answer), error);
    else
        answer_removed(p, k, name, buf_span(&answer));
    buf_free(&answer);
}

void route_delete_quote(struct service *s, struct request *r, struct reply *p)
{
    struct loop_request symbol = {0};

    if (route_set_symbol(r, &symbol, span_of(r->path + sizeof ROUTE_QUOTES), p))
        forget(s, r, &symbols, symbol.text, p);
}

static const char *feed_of(const struct request *r)
{
    return r->path + sizeof ROUTE_FEEDS;
}

static void unknown_feed(struct request *r, struct reply *p)
{
    reply_error(p, r, 404, "unknown_feed", "The broker knows no such feed.", feeds.hint);
}

void route_delete_feed(struct service *s, struct request *r, struct reply *p)
{
    if (strlen(feed_of(r)) > FEED_NAME_MOST)
        unknown_feed(r, p);
    else
        forget(s, r, &feeds, feed_of(r), p);
}

void route_get_feed(struct service *s, struct request *r, struct reply *p)
{
    struct lock_request q;
    struct buf answer;
    struct pack_value store;
    struct span list, map;
    uint32_t count;
    bool has_store, is_found = false;

    lock_request_init(&q, "status");
    if (!request(&q, s, r, &answer, p))
        return;
    count = pack_find_list(buf_span(&answer), "feeds", &list);
    has_store = pack_find(buf_span(&answer), "store", &store, &map) &&
                !span_eq(pack_find_text(map, "kind"), "memory");
    for (uint32_t i = 0; i < count && !is_found; i++) {
        struct span feed = pack_next_raw(&list);

        if (!span_eq(pack_find_text(feed, "name"), feed_of(r)))
            continue;
        is_found = true;
        reply_json(p, 200);
        handlers_put_feed(&p->body, feed, true, has_store);
        buf_addc(&p->body, '\n');
    }
    if (!is_found)
        unknown_feed(r, p);
    buf_free(&answer);
}
