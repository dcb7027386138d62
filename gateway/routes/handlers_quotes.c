/*
 * handlers_quotes: last values, and the history of one symbol.
 *
 * A worker writes the JSON (quotes_json.h).  The loop passes it the broker's answer, or an answer
 * of its own in the same form, read from the hub in slices of OWN_SLICE symbols a turn.  The loop
 * answers itself while the broker is away, or if the hub has everything and the answer is one page
 * (only the broker knows the `next` of further pages).
 */
#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/routes/handlers_private.h"
#include "shared/base/log.h"
#include "shared/base/mem.h"
#include "shared/wire/pack.h"
#include "shared/wire/patterns.h"

#define OWN_SLICE 128 /* symbols looked at in a turn */

/* An answer of our own while it is being written; each holds the request of a worker. */
struct own_page {
    struct loop_request *q;
    struct patterns patterns;
    size_t next, count; /* index in the hub; quotes so far */
    bool is_complete;   /* by the index of names, else by that of the hub */
    size_t pattern;     /* next to look at, if is_complete */
    bool is_walking;
    struct prefix_walk walk;
    struct buf rows;
    struct own_page *after;
};

static void give(struct loop_request *q, int status)
{
    struct handlers *h = q->handlers;

    q->epoch = hub_epoch(h->hub);
    q->answered_us = h->sessions->wall_us;
    loop_request_answer(h->requests, q, status);
}

static void give_broker(struct loop_request *q, struct span answer)
{
    struct span error = pack_find_text(answer, "error");

    if (error.len) { /* too many wait */
        give(q, 429);
        return;
    }
    q->is_complete = 1;
    buf_add(&q->body, answer.at, answer.len);
    give(q, 200);
}

/* --- our own --------------------------------------------------------------------------- */

static void pack_row(struct buf *rows, uint64_t epoch, const struct hub_symbol *s, bool is_complete)
{
    struct wire_record r = {
        .kind = WIRE_QUOTE, .epoch = epoch, .seq = s->body_seq, .body = buf_span(&s->body)};
    struct buf record = {0};
    msgpack_packer pk;

    wire_put(&record, &r);
    msgpack_packer_init(&pk, rows, buf_pack_write);
    msgpack_pack_array(&pk, 4);
    pack_text(&pk, (struct span){s->name, s->name_len});
    msgpack_pack_uint64(&pk, s->seq);
    pack_text(&pk, is_complete && s->state == SYMBOL_LIVE ? SPAN("live") : SPAN("stale"));
    msgpack_pack_bin_with_body(&pk, record.data, record.len);
    buf_free(&record);
}

/* Rows in the form in which the broker answers `snapshot`. */
static void give_rows(struct loop_request *q, const struct buf *rows, size_t count, size_t next)
{
    struct hub *hub = q->handlers->hub;
    bool has_more = !q->is_complete && next < hub_symbol_end(hub);
    msgpack_packer pk;

    msgpack_packer_init(&pk, &q->body, buf_pack_write);
    msgpack_pack_map(&pk, has_more ? 4 : 3);
    pack_kv_u(&pk, "seq", hub_seq(hub));
    pack_kv_u(&pk, "symbols", q->is_complete ? hub_valued_count(hub) : hub_symbol_count(hub));
    if (has_more)
        pack_kv_u(&pk, "next", next);
    pack_key(&pk, "quotes");
    msgpack_pack_array(&pk, count);
    buf_add(&q->body, rows->data, rows->len);
    give(q, 200);
}

static void begin_own(struct loop_request *q, bool is_complete)
{
    struct own_page *o = mem_zalloc(sizeof *o), **end = &q->handlers->own_pages;

    o->q = q;
    o->is_complete = is_complete;
    o->next = (size_t)q->offset;
    if (patterns_parse(span_of(q->text[0] ? q->text : "*"), &o->patterns))
        o->patterns.count = 0; /* the worker has checked them: no symbol matches */
    while (*end)
        end = &(*end)->after;
    *end = o;
}

/* Look at one more symbol.  false: that was all. */
static bool look_at_next(const struct hub *hub, struct own_page *o)
{
    const struct hub_symbol *s;

    if (o->next >= hub_symbol_end(hub) || o->count >= o->q->limit)
        return false;
    s = hub_symbol_at(hub, o->next++);
    if (s && s->body.len && patterns_match(&o->patterns, (struct span){s->name, s->name_len})) {
        pack_row(&o->rows, hub_epoch(hub), s, false);
        o->count++;
    }
    return true;
}

/* The next symbol of the patterns, ordered by name; NULL: no more. */
static const struct hub_symbol *next_by_name(const struct hub *hub, struct own_page *o)
{
    while (o->pattern < o->patterns.count) {
        const struct pattern *p = &o->patterns.list[o->pattern];
        struct span text = {p->text, p->len};
        const struct hub_symbol *s;

        if (!o->is_walking && p->is_prefix)
            o->walk = hub_walk_names(hub, text);
        o->is_walking = p->is_prefix;
        s = p->is_prefix ? prefix_walk_next(&o->walk) : hub_find(hub, text);
        if (!s || !p->is_prefix) {
            o->pattern++;
            o->is_walking = false;
        }
        if (s)
            return s;
    }
    return NULL;
}

/* The same if the hub knows all symbols: sets `next` to SIZE_MAX if they do not fit in a page. */
static bool look_at_next_name(const struct hub *hub, struct own_page *o)
{
    const struct hub_symbol *s = next_by_name(hub, o);

    if (!s)
        return false;
    if (!s->body.len || s->is_of_old_log)
        return true;
    if (o->count == o->q->limit) {
        o->next = SIZE_MAX;
        return false;
    }
    pack_row(&o->rows, hub_epoch(hub), s, true);
    o->count++;
    return true;
}

/* --- requests and their answers ---------------------------------------------------------- */

static void answer_quotes(void *ctx, struct span answer)
{
    if (answer.len)
        give_broker(ctx, answer);
    else
        begin_own(ctx, false);
}

static const char *pattern_of(const struct loop_request *q)
{
    return q->text[0] ? q->text : "*";
}

static void ask_quotes(struct loop_request *q)
{
    handlers_ask_page(q, "snapshot", pattern_of(q), "from", answer_quotes);
}

/* Does the hub have the whole answer, and is the answer one page? */
static bool is_here(const struct loop_request *q)
{
    const struct handlers *h = q->handlers;
    bool is_all = strcmp(pattern_of(q), "*") == 0;

    return !q->offset && upstream_is_here(h->upstream) && hub_has_everything(h->hub) &&
           (!is_all || hub_valued_count(h->hub) <= q->limit);
}

void handlers_ask_quotes(struct loop_request *q)
{
    if (is_here(q))
        begin_own(q, true);
    else
        ask_quotes(q);
}

static void answer_quote(void *ctx, struct span answer)
{
    struct loop_request *q = ctx;
    struct hub *hub = q->handlers->hub;
    const struct hub_symbol *s = hub_find(hub, span_of(q->text));
    struct buf row = {0};

    if (answer.len) {
        give_broker(q, answer);
    } else if (s && s->body.len) {
        pack_row(&row, hub_epoch(hub), s, false);
        give_rows(q, &row, 1, SIZE_MAX);
        buf_free(&row);
    } else {
        give(q, 503); /* the worker writes the error */
    }
}

void handlers_ask_quote(struct loop_request *q)
{
    q->offset = 0;
    q->limit = 1;
    handlers_ask_page(q, "snapshot", pattern_of(q), "from", answer_quote);
}

static void answer_history(void *ctx, struct span answer)
{
    static struct log_limit limit = {.burst = 3, .interval_ms = 10000};
    struct loop_request *q = ctx;
    struct span error = pack_find_text(answer, "error"),
                message = pack_find_text(answer, "message");
    int status = 200;

    if (!answer.len)
        status = 503;
    else if (span_eq(error, "full"))
        status = 429;
    else if (error.len)
        status = 500;
    else if (q->timeline.has_epoch && q->timeline.epoch != pack_find_u(answer, "epoch", 0))
        status = 410;
    else if (!pack_find_u(answer, "last", 0))
        status = 404;
    if (status == 500)
        log_limited(&limit, q->handlers->sessions->now, LOG_ERROR,
                    "history of %s: the broker answers: %.*s", q->text, (int)message.len,
                    message.at);
    if (status == 200)
        buf_add(&q->body, answer.at, answer.len);
    give(q, status); /* else the worker writes the error */
}

void handlers_ask_history(struct loop_request *q)
{
    const struct timeline *t = &q->timeline;
    struct buf b = {0};
    msgpack_packer pk;

    msgpack_packer_init(&pk, &b, buf_pack_write);
    pack_kv_text(&pk, "symbol", span_of(q->text));
    pack_kv_text(&pk, "order", t->is_oldest_first ? SPAN("oldest") : SPAN("newest"));
    pack_kv_u(&pk, "after", t->after);
    pack_kv_u(&pk, "before", t->before);
    pack_kv_u(&pk, "since", t->since_us);
    pack_kv_u(&pk, "until", t->until_us);
    pack_kv_u(&pk, "limit", q->limit);
    upstream_request(q->handlers->upstream, "history", 7, buf_span(&b), q, answer_history);
    buf_free(&b);
}

/* --- in the loop ---------------------------------------------------------------------------- */

bool handlers_work(struct handlers *h)
{
    struct own_page *o;
    size_t left = OWN_SLICE;

    while (left && (o = h->own_pages)) {
        while (left && (o->is_complete ? look_at_next_name(h->hub, o) : look_at_next(h->hub, o)))
            left--;
        if (!left)
            break;
        /* first remove it from the list: a request may begin another page */
        h->own_pages = o->after;
        if (o->is_complete && (o->next == SIZE_MAX || !hub_has_everything(h->hub))) {
            ask_quotes(o->q);
        } else {
            o->q->is_complete = o->is_complete;
            give_rows(o->q, &o->rows, o->count, o->next);
        }
        buf_free(&o->rows);
        free(o);
    }
    return h->own_pages;
}

void handlers_fini(struct handlers *h)
{
    struct own_page *o;

    while ((o = h->own_pages)) {
        h->own_pages = o->after;
        loop_request_answer(h->requests, o->q, 503);
        buf_free(&o->rows);
        free(o);
    }
}
