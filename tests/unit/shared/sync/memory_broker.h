/*
 * memory_broker: a broker in memory for the tests of receivers: a log, a socket that may drop
 * records, and answers that may get lost.  Include it after <cmocka.h>.
 *
 * The test hands `b->f` the receiver; broker_listen, broker_request_snapshot and
 * broker_request_replay are functions of its `out`, whose ctx is the broker.
 */
#ifndef TESTS_UNIT_SHARED_SYNC_MEMORY_BROKER_H
#define TESTS_UNIT_SHARED_SYNC_MEMORY_BROKER_H

#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

#include "shared/sync/receiver.h"
#include "shared/wire/pack.h"

#define SYMBOLS 6
#define LOG_MAX 4000
#define LENGTH(a) (sizeof(a) / sizeof(a)[0])

static const char *const names[SYMBOLS] = {"A", "AB", "ABC", "B", "B/C", "X"};

struct entry {
    int symbol; /* -1: a loss */
    enum wire_kind kind;
    uint64_t prev;
    bool is_stale;
    bool is_hole; /* the store did not take it */
};

/* What was requested, and not answered yet. */
struct requested {
    uint64_t number;
    bool is_replay;
    char patterns[512];
    uint64_t from, after, until;
};

struct broker {
    struct receiver *f;
    int64_t now;
    uint64_t epoch, head, first, heartbeats;
    struct entry log[LOG_MAX]; /* by position */
    uint64_t last[SYMBOLS], last_quote[SYMBOLS], last_loss;
    bool is_stale[SYMBOLS], is_changed[SYMBOLS];
    /* The socket: frames in order, and what is subscribed. */
    struct buf pipe[LOG_MAX * 2][2];
    unsigned pipe_from, pipe_to;
    char topics[64][WIRE_TOPIC_MAX];
    unsigned topic_count;
    bool is_dropping;
    /* The requests, oldest first. */
    struct requested requested[200];
    unsigned asked_count;
    uint32_t page; /* entries in an answer */
};

static inline struct entry *at(struct broker *b, uint64_t seq)
{
    assert_true(seq && seq < LOG_MAX);
    return &b->log[seq];
}

static inline int symbol_of(const char *name)
{
    for (int i = 0; i < SYMBOLS; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    fail_msg("%s", name);
    return -1;
}

/* --- the socket ------------------------------------------------------------------------ */

static inline bool is_heard(const struct broker *b, struct span topic)
{
    for (unsigned i = 0; i < b->topic_count; i++) {
        size_t len = strlen(b->topics[i]);

        if (len <= topic.len && memcmp(b->topics[i], topic.at, len) == 0)
            return true;
    }
    return false;
}

static inline void push(struct broker *b, struct span topic, const struct wire_record *r)
{
    if ((b->is_dropping && r) || !is_heard(b, topic))
        return; /* a welcome is the first thing on a connection: there is room */
    assert_true(b->pipe_to < LENGTH(b->pipe));
    buf_add(&b->pipe[b->pipe_to][0], topic.at, topic.len);
    if (r)
        wire_put(&b->pipe[b->pipe_to][1], r);
    b->pipe_to++;
}

static inline void push_mark(struct broker *b, struct span topic)
{
    struct wire_record r = {.kind = WIRE_MARK, .epoch = b->epoch};

    r.seq = b->head;
    r.prev = b->heartbeats;
    push(b, topic, &r);
}

static inline void broker_listen(void *ctx, struct span topic, bool is_on)
{
    struct broker *b = ctx;
    char text[WIRE_TOPIC_MAX];

    span_copy(text, sizeof text, topic);
    if (is_on) {
        assert_true(b->topic_count < LENGTH(b->topics));
        strcpy(b->topics[b->topic_count++], text);
        if (strncmp(text, WIRE_TOPIC_MARK, strlen(WIRE_TOPIC_MARK)) == 0)
            push_mark(b, topic);
        return;
    }
    for (unsigned i = 0; i < b->topic_count; i++)
        if (strcmp(b->topics[i], text) == 0) {
            memmove(b->topics[i], b->topics[--b->topic_count], WIRE_TOPIC_MAX);
            return;
        }
    fail_msg("%s was not listened to", text);
}

static inline void clear_pipe(struct broker *b)
{
    for (unsigned i = b->pipe_from; i < b->pipe_to; i++) {
        buf_free(&b->pipe[i][0]);
        buf_free(&b->pipe[i][1]);
    }
    b->pipe_from = b->pipe_to = 0;
}

/* What is under way is gone; subscriptions are sent again, marks last. */
static inline void reconnect(struct broker *b)
{
    clear_pipe(b);
    push(b, SPAN(WIRE_TOPIC_WELCOME), NULL);
    for (unsigned i = 0; i < b->topic_count; i++)
        if (strncmp(b->topics[i], WIRE_TOPIC_MARK, strlen(WIRE_TOPIC_MARK)) == 0)
            push_mark(b, span_of(b->topics[i]));
}

/* --- the log ---------------------------------------------------------------------------- */

static inline void record_of(struct broker *b, uint64_t seq, struct wire_record *r,
                             struct buf *body)
{
    const struct entry *e = at(b, seq);
    msgpack_packer pk;

    *r = (struct wire_record){.kind = e->kind, .epoch = b->epoch, .seq = seq, .prev = e->prev};
    buf_clear(body);
    msgpack_packer_init(&pk, body, buf_pack_write);
    msgpack_pack_map(&pk, 1);
    if (e->kind == WIRE_STATE)
        pack_kv_text(&pk, "state", span_of(e->is_stale ? "stale" : "live"));
    else
        pack_kv_u(&pk, "n", seq);
    r->body = buf_span(body);
}

static inline struct span topic_of(struct broker *b, uint64_t seq, char out[WIRE_TOPIC_MAX])
{
    const struct entry *e = at(b, seq);

    if (e->symbol < 0)
        return SPAN(WIRE_TOPIC_LOST);
    return (struct span){out, wire_topic(out, span_of(names[e->symbol]))};
}

static inline void publish(struct broker *b, int symbol, enum wire_kind kind)
{
    struct entry *e = at(b, ++b->head);
    char topic[WIRE_TOPIC_MAX];
    struct wire_record r;
    struct buf body = {0};

    *e = (struct entry){.symbol = symbol, .kind = kind};
    if (symbol < 0) {
        e->prev = b->last_loss;
        b->last_loss = b->head;
    } else {
        e->prev = b->last[symbol];
        b->last[symbol] = b->head;
        b->is_stale[symbol] = e->is_stale = kind == WIRE_STATE && !b->is_stale[symbol];
        b->is_changed[symbol] = true;
        if (kind == WIRE_QUOTE)
            b->last_quote[symbol] = b->head;
    }
    record_of(b, b->head, &r, &body);
    push(b, topic_of(b, b->head, topic), &r);
    buf_free(&body);
}

static inline void quote(struct broker *b, const char *name)
{
    publish(b, symbol_of(name), WIRE_QUOTE);
}

static inline void heartbeat(struct broker *b)
{
    struct wire_record r = {.kind = WIRE_HEARTBEAT, .epoch = b->epoch};
    struct buf body = {0};
    uint32_t count = 0;
    msgpack_packer pk;

    for (int i = 0; i < SYMBOLS; i++)
        count += b->is_changed[i];
    msgpack_packer_init(&pk, &body, buf_pack_write);
    msgpack_pack_map(&pk, 2);
    pack_kv_bool(&pk, "complete", true);
    pack_key(&pk, "changed");
    msgpack_pack_array(&pk, count);
    for (int i = 0; i < SYMBOLS; i++) {
        if (!b->is_changed[i])
            continue;
        b->is_changed[i] = false;
        msgpack_pack_array(&pk, 2);
        pack_text(&pk, span_of(names[i]));
        msgpack_pack_uint64(&pk, b->last[i]);
    }
    r.seq = b->head;
    r.prev = ++b->heartbeats;
    r.body = buf_span(&body);
    push(b, SPAN(WIRE_TOPIC_HEARTBEAT), &r);
    buf_free(&body);
}

/* As a broker with memory that was started again. */
static inline void begin_new_log(struct broker *b)
{
    b->epoch++;
    b->head = b->heartbeats = b->last_loss = 0;
    b->first = 1;
    memset(b->last, 0, sizeof b->last);
    memset(b->last_quote, 0, sizeof b->last_quote);
    memset(b->is_stale, 0, sizeof b->is_stale);
    memset(b->is_changed, 0, sizeof b->is_changed);
    reconnect(b);
}

/* --- answers ------------------------------------------------------------------------------- */

static inline struct requested *note_request(struct broker *b, uint64_t number,
                                             struct span patterns)
{
    struct requested *a;

    assert_true(patterns.len < sizeof a->patterns);
    if (b->asked_count == LENGTH(b->requested)) /* those that were repeated meanwhile */
        memmove(b->requested, b->requested + 1, --b->asked_count * sizeof *b->requested);
    a = &b->requested[b->asked_count++];
    *a = (struct requested){.number = number};
    span_copy(a->patterns, sizeof a->patterns, patterns);
    return a;
}

static inline void broker_request_snapshot(void *ctx, uint64_t request, struct span pattern,
                                           uint64_t from)
{
    note_request(ctx, request, pattern)->from = from;
}

static inline void broker_request_replay(void *ctx, uint64_t request, struct span patterns,
                                         uint64_t after, uint64_t until)
{
    struct broker *b = ctx;
    struct requested *a = note_request(b, request, patterns);

    a->is_replay = true;
    a->after = after;
    a->until = until;
    assert_true(after < until);
    if (until > b->head) /* it has not heard of the new log yet */
        assert_int_not_equal(receiver_epoch(b->f), b->epoch);
}

static inline bool is_asked_for(const struct requested *a, int symbol)
{
    return quote_patterns_match(span_of(a->patterns), span_of(names[symbol]));
}

static inline void put_snapshot(struct broker *b, const struct requested *a, msgpack_packer *pk)
{
    struct buf record = {0}, body = {0};
    struct wire_record r;
    uint32_t count = 0;
    uint64_t i = a->from, end;

    for (end = i; end < SYMBOLS && count < b->page; end++)
        count += is_asked_for(a, (int)end) && b->last_quote[end];
    msgpack_pack_map(pk, end < SYMBOLS ? 4 : 3);
    pack_kv_u(pk, "epoch", b->epoch);
    pack_kv_u(pk, "seq", b->head);
    if (end < SYMBOLS)
        pack_kv_u(pk, "next", end);
    pack_key(pk, "quotes");
    msgpack_pack_array(pk, count);
    for (; i < end; i++) {
        if (!is_asked_for(a, (int)i) || !b->last_quote[i])
            continue;
        record_of(b, b->last_quote[i], &r, &body);
        buf_clear(&record);
        wire_put(&record, &r);
        msgpack_pack_array(pk, 4);
        pack_text(pk, span_of(names[i]));
        msgpack_pack_uint64(pk, b->last[i]);
        pack_text(pk, span_of(b->is_stale[i] ? "stale" : "live"));
        msgpack_pack_bin_with_body(pk, record.data, record.len);
    }
    buf_free(&record);
    buf_free(&body);
}

static inline void put_replay(struct broker *b, const struct requested *a, msgpack_packer *pk)
{
    uint64_t seq = a->after + 1 > b->first ? a->after + 1 : b->first, from = seq;
    struct buf record = {0}, body = {0}, records = {0}, gaps = {0};
    uint32_t count = 0, gap_count = 0;
    char topic[WIRE_TOPIC_MAX];
    struct wire_record r;
    msgpack_packer rk, gk;

    msgpack_packer_init(&rk, &records, buf_pack_write);
    msgpack_packer_init(&gk, &gaps, buf_pack_write);
    for (; seq <= a->until && seq <= b->head && count < b->page; seq++) {
        const struct entry *e = at(b, seq);

        if (e->is_hole) {
            msgpack_pack_array(&gk, 3);
            msgpack_pack_uint64(&gk, seq);
            msgpack_pack_uint64(&gk, seq);
            pack_text(&gk, SPAN("not_stored"));
            gap_count++;
            continue;
        }
        if (e->symbol >= 0 && !is_asked_for(a, e->symbol))
            continue;
        record_of(b, seq, &r, &body);
        buf_clear(&record);
        wire_put(&record, &r);
        msgpack_pack_array(&rk, 2);
        pack_text(&rk, topic_of(b, seq, topic));
        msgpack_pack_bin_with_body(&rk, record.data, record.len);
        count++;
    }
    msgpack_pack_map(pk, 6);
    pack_kv_u(pk, "epoch", b->epoch);
    pack_kv_u(pk, "first", b->first);
    pack_kv_u(pk, "head", b->head);
    pack_kv_u(pk, "upto", seq > from || seq > a->until ? seq - 1 : a->after);
    pack_key(pk, "records");
    msgpack_pack_array(pk, count);
    pk->callback(pk->data, records.data, records.len);
    pack_key(pk, "gaps");
    msgpack_pack_array(pk, gap_count);
    pk->callback(pk->data, gaps.data, gaps.len);
    buf_free(&record);
    buf_free(&body);
    buf_free(&records);
    buf_free(&gaps);
}

/* To the oldest request.  What is in the pipe may come before the answer, or after it. */
static inline void answer(struct broker *b)
{
    struct requested a = b->requested[0];
    struct buf text = {0};
    msgpack_packer pk;

    if (!b->asked_count)
        return;
    memmove(b->requested, b->requested + 1, --b->asked_count * sizeof *b->requested);
    msgpack_packer_init(&pk, &text, buf_pack_write);
    if (a.is_replay)
        put_replay(b, &a, &pk);
    else
        put_snapshot(b, &a, &pk);
    assert_int_equal(pack_check(buf_span(&text)), OK);
    receiver_on_answer(b->f, a.number, buf_span(&text), b->now);
    buf_free(&text);
}

static inline void hand_in(struct broker *b, struct span topic, struct span message)
{
    struct wire_record r;

    if (!wire_read(message, &r, NULL))
        receiver_on_record(b->f, topic, message, &r, b->now);
}

static inline void deliver(struct broker *b, unsigned count)
{
    for (; count && b->pipe_from < b->pipe_to && !receiver_is_paused(b->f); count--) {
        struct buf *m = b->pipe[b->pipe_from++];

        if (m[1].len)
            hand_in(b, buf_span(&m[0]), buf_span(&m[1]));
        else
            receiver_on_welcome(b->f);
        buf_free(&m[0]);
        buf_free(&m[1]);
    }
    if (b->pipe_from == b->pipe_to)
        b->pipe_from = b->pipe_to = 0;
}

#endif
