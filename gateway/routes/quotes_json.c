#include "gateway/routes/quotes_json.h"

#include "gateway/fanout/encode.h"
#include "gateway/routes/member.h"
#include "shared/wire/pack.h"
#include "shared/wire/wire.h"

#define NO_NEXT UINT64_MAX

static void put_timestamp(const struct loop_request *q, struct buf *b)
{
    member_time(b, "timestamp", (uint64_t)q->answered_us);
    buf_adds(b, "}\n");
}

static void put_quote(struct buf *b, struct span symbol, uint64_t seq, struct span state,
                      struct span body)
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
    put_quote(b, e.symbol, e.seq, e.is_stale ? SPAN("stale") : SPAN("live"), e.quote.body);
    return true;
}

void quotes_json_list(const struct loop_request *q, struct span answer, struct buf *b)
{
    struct span c;
    uint32_t count = pack_find_list(answer, "quotes", &c), put = 0;
    uint64_t next = pack_find_u(answer, "next", NO_NEXT);

    buf_adds(b, "{\"quotes\":[");
    while (put < count && put_entry(b, &c, put == 0))
        put++;
    buf_addc(b, ']');
    member_epoch(b, "epoch", q->epoch);
    member_u(b, "seq", pack_find_u(answer, "seq", 0));
    member_u(b, "symbols", pack_find_u(answer, "symbols", 0));
    if (next != NO_NEXT)
        member_u(b, "next", next);
    member_flag(b, "truncated", next != NO_NEXT);
    member_flag(b, "complete", q->is_complete);
    put_timestamp(q, b);
}

bool quotes_json_one(struct span answer, struct buf *b)
{
    struct span c;

    if (!pack_find_list(answer, "quotes", &c) || !put_entry(b, &c, true))
        return false;
    buf_addc(b, '\n');
    return true;
}

/* --- history --------------------------------------------------------------------- */

/* A quote's own field of this name is not replaced. */
static bool has_field(const struct wire_record *r, const char *name)
{
    struct pack_value value;

    return r->kind == WIRE_QUOTE && pack_find(r->body, name, &value, NULL);
}

/* The record in the form of the stream, plus the time when it was accepted. */
void quotes_json_put(struct buf *b, struct span symbol, const struct wire_record *r, uint64_t epoch)
{
    struct encode_record e = {
        .name = symbol,
        .seq = r->seq,
        .prev = r->prev,
        .state = symbol_state_of(r->body),
        .body = r->body,
    };

    encode_json(&e, r->kind == WIRE_STATE ? MESSAGE_STATE : MESSAGE_QUOTE, b);
    b->len--; /* its brace */
    if (!has_field(r, "accepted"))
        member_time(b, "accepted", r->accepted_us);
    if (r->epoch != epoch && !has_field(r, "epoch"))
        member_epoch(b, "epoch", r->epoch);
    buf_addc(b, '}');
}

struct quotes_json_records quotes_json_records(struct span answer)
{
    struct quotes_json_records list = {.epoch = pack_find_u(answer, "epoch", 0)};

    list.left = pack_find_list(answer, "records", &list.rest);
    return list;
}

bool quotes_json_next(struct quotes_json_records *list, struct wire_record *r)
{
    struct span topic, record;

    for (; list->left; list->left--) {
        if (!pack_next_array(&list->rest, 2) || !pack_next_text(&list->rest, &topic) ||
            !pack_next_bin(&list->rest, &record))
            return false;
        if (wire_read(record, r, NULL) || pack_check(r->body) ||
            (r->kind != WIRE_QUOTE && r->kind != WIRE_STATE))
            continue;
        list->left--;
        return true;
    }
    return false;
}

static void put_records(const struct loop_request *q, struct span answer, struct buf *b)
{
    struct quotes_json_records list = quotes_json_records(answer);
    struct wire_record r;
    bool is_first = true;

    buf_adds(b, ",\"records\":[");
    for (; quotes_json_next(&list, &r); is_first = false) {
        if (!is_first)
            buf_addc(b, ',');
        quotes_json_put(b, span_of(q->text), &r, list.epoch);
    }
    buf_addc(b, ']');
}

bool quotes_json_take_gap(struct span *c, struct buf *b)
{
    struct span reason;
    uint64_t first, last;

    if (!pack_next_array(c, 3) || !pack_next_u(c, &first) || !pack_next_u(c, &last) ||
        !pack_next_text(c, &reason))
        return false;
    buf_adds(b, "\"first\":");
    buf_addu(b, first);
    member_u(b, "last", last);
    member_text(b, "reason", reason);
    return true;
}

/* Returns how many. */
static uint32_t put_gaps(struct buf *b, struct span answer)
{
    struct buf gap = {0};
    struct span c;
    uint32_t count = pack_find_list(answer, "gaps", &c), put = 0;

    buf_adds(b, ",\"gaps\":[");
    for (; put < count && quotes_json_take_gap(&c, &gap); put++) {
        buf_printf(b, "%s{%s}", put ? "," : "", buf_text(&gap));
        buf_clear(&gap);
    }
    buf_addc(b, ']');
    buf_free(&gap);
    return put;
}

bool quotes_json_is_kept(const struct timeline *t, struct span answer)
{
    return !t->has_since || t->after + 1 >= pack_find_u(answer, "first", 0);
}

void quotes_json_history(const struct loop_request *q, struct span answer, struct buf *b)
{
    const struct timeline *t = &q->timeline;
    uint64_t epoch = pack_find_u(answer, "epoch", 0), first = pack_find_u(answer, "first", 0),
             next = pack_find_u(answer, "next", 0);
    bool is_kept = quotes_json_is_kept(t, answer);
    struct buf cursor = {0};
    uint32_t gaps;

    buf_adds(b, "{\"symbol\":");
    buf_jsons(b, q->text);
    member_text(b, "order", t->is_oldest_first ? SPAN("oldest") : SPAN("newest"));
    put_records(q, answer, b);
    gaps = put_gaps(b, answer);
    member_epoch(b, "epoch", epoch);
    member_u(b, "first", first);
    member_u(b, "head", pack_find_u(answer, "head", 0));
    if (next) {
        timeline_put_next(&cursor, epoch, next);
        member_text(b, "next", buf_span(&cursor));
        buf_free(&cursor);
    }
    member_flag(b, "truncated", next != 0);
    member_flag(b, "complete", !gaps && is_kept);
    put_timestamp(q, b);
}
