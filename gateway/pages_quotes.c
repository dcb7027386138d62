/* pages_quotes: last values, and the history of one symbol. */
#include "gateway/encode.h"
#include "gateway/pages_private.h"
#include "gateway/stream.h"
#include "gateway/upstream.h"
#include "shared/log.h"
#include "shared/pack.h"

#define NO_NEXT UINT64_MAX

static void put_quote(struct buf *b, struct span symbol, uint64_t seq,
                      struct span state, struct span body)
{
    buf_adds(b, "{\"symbol\":");
    buf_json(b, symbol);
    member_u(b, "seq", seq);
    member_text(b, "state", state);
    quote_to_json(body, b);
    buf_addc(b, '}');
}

static bool put_entry(struct buf *b, struct span *c, bool is_first)
{
    struct wire_entry e;

    if (!wire_take_entry(c, &e))
        return false;
    if (!is_first)
        buf_addc(b, ',');
    put_quote(b, e.symbol, e.seq, e.is_stale ? SPAN("stale") : SPAN("live"),
              e.quote.body);
    return true;
}

static void put_own_quote(struct buf *b, const struct hub_symbol *s)
{
    put_quote(b, (struct span){s->name, s->name_len}, s->seq, SPAN("stale"),
              buf_span(&s->body));
}

static void end_quotes(struct gateway *g, struct ask *q, struct span answer,
                       uint64_t symbols, uint64_t next)
{
    char epoch[17];

    stream_epoch_text(hub_epoch(g->hub), epoch);
    buf_addc(&q->body, ']');
    member_text(&q->body, "epoch", span_of(epoch));
    member_u(&q->body, "seq",
             answer.len ? pack_find_u(answer, "seq", 0) : hub_seq(g->hub));
    member_u(&q->body, "symbols", symbols);
    if (next != NO_NEXT)
        member_u(&q->body, "next", next);
    member_flag(&q->body, "truncated", next != NO_NEXT);
    member_flag(&q->body, "complete", answer.len > 0);
    pages_put_timestamp(g, &q->body);
    ask_answer(g->asks, q, 200);
}

void pages_answer_quotes(struct gateway *g, void *ctx, struct span answer)
{
    struct ask *q = ctx;
    struct span c, pattern = span_of(q->text[0] ? q->text : "*");
    uint32_t count = pages_enter_list(answer, "quotes", &c), put = 0;
    size_t i = (size_t)q->offset;

    buf_adds(&q->body, "{\"quotes\":[");
    if (answer.len) {
        while (put < count && put_entry(&q->body, &c, put == 0))
            put++;
        end_quotes(g, q, answer, pack_find_u(answer, "symbols", 0),
                   pack_find_u(answer, "next", NO_NEXT));
        return;
    }
    for (; i < hub_symbol_end(g->hub) && put < q->limit; i++) {
        const struct hub_symbol *s = hub_symbol_at(g->hub, i);

        if (!s || !s->body.len ||
            !quote_patterns_match(pattern, (struct span){s->name, s->name_len}))
            continue;
        if (put++)
            buf_addc(&q->body, ',');
        put_own_quote(&q->body, s);
    }
    end_quotes(g, q, answer, hub_symbol_count(g->hub),
               i < hub_symbol_end(g->hub) ? i : NO_NEXT);
}

void pages_answer_quote(struct gateway *g, void *ctx, struct span answer)
{
    struct ask *q = ctx;
    const struct hub_symbol *s = hub_find(g->hub, span_of(q->text));
    struct span c;

    if (pages_enter_list(answer, "quotes", &c) && put_entry(&q->body, &c, true)) {
        buf_addc(&q->body, '\n');
        ask_answer(g->asks, q, 200);
    } else if (!answer.len && s && s->body.len) {
        put_own_quote(&q->body, s);
        buf_addc(&q->body, '\n');
        ask_answer(g->asks, q, 200);
    } else {
        ask_answer(g->asks, q,
                   answer.len ? 404 : 503); /* the worker writes the error */
    }
}

/* --- history ------------------------------------------------------------------------------- */

/* A field of the quote's own that has this name stays what it was. */
static bool has_field(const struct wire_record *r, const char *name)
{
    struct pack_value value;

    return r->kind == WIRE_QUOTE && pack_find(r->body, name, &value, NULL);
}

/* As the stream tells it, and when it was accepted. */
static void put_record(struct buf *b, struct span symbol, const struct wire_record *r,
                       uint64_t epoch)
{
    struct encode_record e = {
        .name = symbol,
        .seq = r->seq,
        .prev = r->prev,
        .state = span_eq(pack_find_text(r->body, "state"), "live") ? SYMBOL_LIVE
                                                                   : SYMBOL_STALE,
        .body = r->body,
    };
    char text[17];

    encode_json(&e, r->kind == WIRE_STATE ? MESSAGE_STATE : MESSAGE_QUOTE, b);
    b->len--; /* its brace */
    if (!has_field(r, "accepted"))
        pages_put_time(b, "accepted", r->accepted_us);
    if (r->epoch != epoch && !has_field(r, "epoch")) {
        stream_epoch_text(r->epoch, text);
        member_text(b, "epoch", span_of(text));
    }
    buf_addc(b, '}');
}

static void put_records(struct ask *q, struct span answer)
{
    struct span c;
    uint32_t count = pages_enter_list(answer, "records", &c), put = 0;
    uint64_t epoch = pack_find_u(answer, "epoch", 0);

    buf_adds(&q->body, ",\"records\":[");
    for (uint32_t i = 0; i < count; i++) {
        struct pack_value pair, topic, record;
        struct wire_record r;

        if (!pack_next(&c, &pair) || pair.type != PACK_ARRAY || pair.count != 2 ||
            !pack_next(&c, &topic) || !pack_next(&c, &record) ||
            topic.type != PACK_STR || record.type != PACK_BIN)
            break;
        if (wire_read(record.text, &r, NULL) || pack_check(r.body) ||
            (r.kind != WIRE_QUOTE && r.kind != WIRE_STATE))
            continue;
        if (put++)
            buf_addc(&q->body, ',');
        put_record(&q->body, span_of(q->text), &r, epoch);
    }
    buf_addc(&q->body, ']');
}

/* Returns how many. */
static uint32_t put_gaps(struct buf *b, struct span answer)
{
    struct span c;
    uint32_t count = pages_enter_list(answer, "gaps", &c), put = 0;
    struct pack_value gap, first, last, reason;

    buf_adds(b, ",\"gaps\":[");
    for (; put < count; put++) {
        if (!pack_next(&c, &gap) || gap.type != PACK_ARRAY || gap.count != 3 ||
            !pack_next(&c, &first) || !pack_next(&c, &last) ||
            !pack_next(&c, &reason) || first.type != PACK_UINT ||
            last.type != PACK_UINT || reason.type != PACK_STR)
            break;
        buf_adds(b, put ? ",{\"first\":" : "{\"first\":");
        buf_addu(b, first.u);
        member_u(b, "last", last.u);
        member_text(b, "reason", reason.text);
        buf_addc(b, '}');
    }
    buf_addc(b, ']');
    return put;
}

static void put_history(struct gateway *g, struct ask *q, struct span answer)
{
    const struct timeline *t = &q->timeline;
    uint64_t epoch = pack_find_u(answer, "epoch", 0),
             first = pack_find_u(answer, "first", 0),
             next = pack_find_u(answer, "next", 0);
    bool is_kept = !t->has_since || t->after + 1 >= first;
    struct buf *b = &q->body, cursor = {0};
    char text[17];
    uint32_t gaps;

    stream_epoch_text(epoch, text);
    buf_adds(b, "{\"symbol\":");
    buf_jsons(b, q->text);
    member_text(b, "order", t->is_oldest_first ? SPAN("oldest") : SPAN("newest"));
    put_records(q, answer);
    gaps = put_gaps(b, answer);
    member_text(b, "epoch", span_of(text));
    member_u(b, "first", first);
    member_u(b, "head", pack_find_u(answer, "head", 0));
    if (next) {
        timeline_put_next(&cursor, epoch, next);
        member_text(b, "next", buf_span(&cursor));
        buf_free(&cursor);
    }
    member_flag(b, "truncated", next != 0);
    member_flag(b, "complete", !gaps && is_kept);
    pages_put_timestamp(g, b);
}

void pages_answer_history(struct gateway *g, void *ctx, struct span answer)
{
    static struct log_limit limit = {.burst = 3, .interval_ms = 10000};
    struct ask *q = ctx;
    struct span error = pack_find_text(answer, "error"),
                message = pack_find_text(answer, "message");
    int status = 200;

    if (!answer.len)
        status = 503;
    else if (span_eq(error, "full"))
        status = 429;
    else if (error.len)
        status = 500;
    else if (q->timeline.has_epoch &&
             q->timeline.epoch != pack_find_u(answer, "epoch", 0))
        status = 410;
    else if (!pack_find_u(answer, "last", 0))
        status = 404;
    if (status == 500)
        log_limited(&limit, g->now, LOG_ERROR, "history of %s: the broker says: %.*s",
                    q->text, (int)message.len, message.at);
    if (status == 200)
        put_history(g, q, answer);
    ask_answer(g->asks, q, status); /* else the worker writes the error */
}
