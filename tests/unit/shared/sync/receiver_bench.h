/*
 * receiver_bench: a broker in memory for the tests of follow: a log, a socket that may drop, answers
 * that may get lost; and what was told, checked as it is told.  Include it after <cmocka.h>.
 */
#ifndef TESTS_UNIT_SHARED_SYNC_RECEIVER_BENCH_H
#define TESTS_UNIT_SHARED_SYNC_RECEIVER_BENCH_H

#include <msgpack.h>

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

struct told {
    bool is_begun;
    bool is_inherited; /* by `since`: nothing was told in this life */
    bool is_loose; /* inherited, and then a pattern was removed: it may begin anew */
    uint64_t last; /* position of the last record told */
    uint64_t quote;
    bool is_stale;
};

struct bench {
    struct receiver *f;
    struct receiver_settings settings;
    int64_t now;
    /* The broker. */
    uint64_t epoch, head, first, heartbeats;
    struct entry log[LOG_MAX]; /* by position */
    uint64_t last[SYMBOLS], last_quote[SYMBOLS], last_loss;
    bool is_stale[SYMBOLS], is_changed[SYMBOLS];
    /* The socket: frames in order, and what is listened to. */
    struct buf pipe[LOG_MAX * 2][2];
    unsigned pipe_from, pipe_to;
    char topics[64][WIRE_TOPIC_MAX];
    unsigned topic_count;
    bool is_dropping;
    bool strict_order; /* positions must ascend over all symbols */
    /* The question. */
    struct buf patterns;
    bool is_asked, is_replay;
    uint64_t from, after, until;
    uint32_t page; /* entries in an answer */
    /* What was told. */
    struct told told[SYMBOLS];
    bool holes[LOG_MAX]; /* positions that were named as lost */
    uint64_t told_loss, told_max;
    unsigned quotes, snapshots, states, losses, resets, synced, ups, downs;
    char reason[32];
    unsigned stop_after; /* told things until receiver_stop, 0: never */
};

static inline struct entry *at(struct bench *b, uint64_t seq)
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

static inline bool is_heard(const struct bench *b, struct span topic)
{
    for (unsigned i = 0; i < b->topic_count; i++) {
        size_t len = strlen(b->topics[i]);

        if (len <= topic.len && memcmp(b->topics[i], topic.at, len) == 0)
            return true;
    }
    return false;
}

static inline void push(struct bench *b, struct span topic, const struct wire_record *r)
{
    if ((b->is_dropping && r) || !is_heard(b, topic))
        return; /* a welcome is the first thing on a connection: there is room */
    assert_true(b->pipe_to < LENGTH(b->pipe));
    buf_add(&b->pipe[b->pipe_to][0], topic.at, topic.len);
    if (r)
        wire_put(&b->pipe[b->pipe_to][1], r);
    b->pipe_to++;
}

static inline void push_mark(struct bench *b, struct span topic)
{
    struct wire_record r = {.kind = WIRE_MARK, .epoch = b->epoch};

    r.seq = b->head;
    r.prev = b->heartbeats;
    push(b, topic, &r);
}

static inline void listen_to(void *ctx, struct span topic, bool is_on)
{
    struct bench *b = ctx;
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

static inline void clear_pipe(struct bench *b)
{
    for (unsigned i = b->pipe_from; i < b->pipe_to; i++) {
        buf_free(&b->pipe[i][0]);
        buf_free(&b->pipe[i][1]);
    }
    b->pipe_from = b->pipe_to = 0;
}

/* What is under way is gone; subscriptions are sent again, marks last. */
static inline void reconnect(struct bench *b)
{
    clear_pipe(b);
    push(b, SPAN(WIRE_TOPIC_WELCOME), NULL);
    for (unsigned i = 0; i < b->topic_count; i++)
        if (strncmp(b->topics[i], WIRE_TOPIC_MARK, strlen(WIRE_TOPIC_MARK)) == 0)
            push_mark(b, span_of(b->topics[i]));
}

/* --- the log ---------------------------------------------------------------------------- */

static inline void record_of(struct bench *b, uint64_t seq, struct wire_record *r,
                             struct buf *body)
{
    const struct entry *e = at(b, seq);
    msgpack_packer pk;

    *r = (struct wire_record){
        .kind = e->kind, .epoch = b->epoch, .seq = seq, .prev = e->prev};
    buf_clear(body);
    msgpack_packer_init(&pk, body, buf_pack_write);
    msgpack_pack_map(&pk, 1);
    if (e->kind == WIRE_STATE)
        pack_kv_text(&pk, "state", span_of(e->is_stale ? "stale" : "live"));
    else
        pack_kv_u(&pk, "n", seq);
    r->body = buf_span(body);
}

static inline struct span topic_of(struct bench *b, uint64_t seq,
                                   char out[WIRE_TOPIC_MAX])
{
    const struct entry *e = at(b, seq);

    if (e->symbol < 0)
        return SPAN(WIRE_TOPIC_LOST);
    return (struct span){out, wire_topic(out, span_of(names[e->symbol]))};
}

static inline void publish(struct bench *b, int symbol, enum wire_kind kind)
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

static inline void quote(struct bench *b, const char *name)
{
    publish(b, symbol_of(name), WIRE_QUOTE);
}

static inline void heartbeat(struct bench *b)
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
static inline void begin_new_log(struct bench *b)
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

static inline void ask_snapshot(void *ctx, struct span patterns, uint64_t from)
{
    struct bench *b = ctx;

    buf_clear(&b->patterns);
    buf_add(&b->patterns, patterns.at, patterns.len);
    b->is_asked = true;
    b->is_replay = false;
    b->from = from;
}

static inline void ask_replay(void *ctx, struct span patterns, uint64_t after,
                              uint64_t until)
{
    struct bench *b = ctx;

    ask_snapshot(ctx, patterns, 0);
    b->is_replay = true;
    b->after = after;
    b->until = until;
    assert_true(after < until);
    if (b->until > b->head) /* it has not heard of the new log yet */
        assert_int_not_equal(receiver_epoch(b->f), b->epoch);
}

static inline bool is_asked_for(const struct bench *b, int symbol)
{
    return quote_patterns_match(buf_span(&b->patterns), span_of(names[symbol]));
}

static inline void put_snapshot(struct bench *b, msgpack_packer *pk)
{
    struct buf record = {0}, body = {0};
    struct wire_record r;
    uint32_t count = 0;
    uint64_t i = b->from, end;

    for (end = i; end < SYMBOLS && count < b->page; end++)
        count += is_asked_for(b, (int)end) && b->last_quote[end];
    msgpack_pack_map(pk, end < SYMBOLS ? 4 : 3);
    pack_kv_u(pk, "epoch", b->epoch);
    pack_kv_u(pk, "seq", b->head);
    if (end < SYMBOLS)
        pack_kv_u(pk, "next", end);
    pack_key(pk, "quotes");
    msgpack_pack_array(pk, count);
    for (; i < end; i++) {
        if (!is_asked_for(b, (int)i) || !b->last_quote[i])
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

static inline void put_replay(struct bench *b, msgpack_packer *pk)
{
    uint64_t seq = b->after + 1 > b->first ? b->after + 1 : b->first, from = seq;
    struct buf record = {0}, body = {0}, records = {0}, gaps = {0};
    uint32_t count = 0, gap_count = 0;
    char topic[WIRE_TOPIC_MAX];
    struct wire_record r;
    msgpack_packer rk, gk;

    msgpack_packer_init(&rk, &records, buf_pack_write);
    msgpack_packer_init(&gk, &gaps, buf_pack_write);
    for (; seq <= b->until && seq <= b->head && count < b->page; seq++) {
        const struct entry *e = at(b, seq);

        if (e->is_hole) {
            msgpack_pack_array(&gk, 3);
            msgpack_pack_uint64(&gk, seq);
            msgpack_pack_uint64(&gk, seq);
            pack_text(&gk, SPAN("not_stored"));
            gap_count++;
            continue;
        }
        if (e->symbol >= 0 && !is_asked_for(b, e->symbol))
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
    pack_kv_u(pk, "upto", seq > from || seq > b->until ? seq - 1 : b->after);
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

/* What is in the pipe may come before the answer, or after it. */
static inline void answer(struct bench *b)
{
    struct buf text = {0};
    msgpack_packer pk;

    if (!b->is_asked)
        return;
    b->is_asked = false;
    msgpack_packer_init(&pk, &text, buf_pack_write);
    if (b->is_replay)
        put_replay(b, &pk);
    else
        put_snapshot(b, &pk);
    assert_int_equal(pack_check(buf_span(&text)), OK);
    receiver_on_answer(b->f, buf_span(&text), b->now);
    buf_free(&text);
}

/* --- what is told ---------------------------------------------------------------------------- */

static inline void count_to_stop(struct bench *b)
{
    assert_false(receiver_is_stopped(b->f));
    if (b->stop_after && --b->stop_after == 0)
        receiver_stop(b->f);
}

/* Has everything of the symbol between the two been named as lost? */
static inline bool is_excused(struct bench *b, int symbol, uint64_t after,
                              uint64_t before)
{
    for (uint64_t seq = after + 1; seq < before; seq++)
        if (at(b, seq)->symbol == symbol && !b->holes[seq])
            return false;
    return true;
}

static inline void check_next(struct bench *b, int symbol,
                              const struct receiver_told *t)
{
    struct told *told = &b->told[symbol];
    uint64_t seq = t->record->seq, last = told->last;

    assert_int_equal(t->record->epoch, b->f ? receiver_epoch(b->f) : 0);
    if (t->record->epoch != b->epoch)
        return; /* it was held, and the log is another one by now */
    if (told->is_begun && !told->is_loose)
        assert_true(seq > last);
    if (b->settings.mode == RECEIVER_NEWEST || told->is_loose)
        return;
    if (!told->is_begun) {
        if (!t->is_snapshot)
            assert_true(is_excused(b, symbol, 0, seq));
        return;
    }
    if (!is_excused(b, symbol, last, seq))
        fail_msg("%s: %llu was told after %llu: what lies between is missing",
                 names[symbol], (unsigned long long)seq, (unsigned long long)last);
    if (b->strict_order && !t->is_snapshot)
        assert_true(seq > b->told_max);
}

static inline void note_told(struct bench *b, int symbol, const struct receiver_told *t)
{
    struct told *told = &b->told[symbol];

    told->is_begun = true;
    told->is_inherited = told->is_loose = false;
    told->last = t->record->seq;
    told->is_stale = t->is_stale;
    if (t->record->kind == WIRE_QUOTE)
        told->quote = pack_find_u(t->record->body, "n", 0);
    if (!t->is_snapshot && t->record->seq > b->told_max)
        b->told_max = t->record->seq;
}

static inline void on_quote(void *ctx, const struct receiver_told *t)
{
    struct bench *b = ctx;
    int symbol = symbol_of(t->symbol);

    check_next(b, symbol, t);
    note_told(b, symbol, t);
    *(t->is_snapshot ? &b->snapshots : &b->quotes) += 1;
    count_to_stop(b);
}

static inline void on_state(void *ctx, const struct receiver_told *t)
{
    struct bench *b = ctx;
    int symbol = symbol_of(t->symbol);

    check_next(b, symbol, t);
    note_told(b, symbol, t);
    b->states++;
    count_to_stop(b);
}

static inline void on_lost(void *ctx, const struct wire_record *r)
{
    struct bench *b = ctx;

    b->losses++;
    if (r->epoch != b->epoch)
        return;
    if (at(b, r->seq)->symbol < 0 && !at(b, r->seq)->is_hole && r->seq >= b->first) {
        assert_true(r->seq > b->told_loss);
        b->told_loss = r->seq;
    }
    if (pack_find_u(r->body, "first", 0))
        for (uint64_t seq = pack_find_u(r->body, "first", 0);
             seq <= pack_find_u(r->body, "last", 0); seq++) {
            assert_true(at(b, seq)->is_hole || seq < b->first);
            b->holes[seq] = true;
        }
    count_to_stop(b);
}

static inline void on_reset(void *ctx, uint64_t epoch, uint64_t old, const char *reason)
{
    struct bench *b = ctx;

    assert_int_not_equal(epoch, 0);
    assert_int_not_equal(old, 0);
    memset(b->told, 0, sizeof b->told);
    memset(b->holes, 0, sizeof b->holes);
    b->told_loss = b->told_max = 0;
    snprintf(b->reason, sizeof b->reason, "%s", reason);
    b->resets++;
    count_to_stop(b);
}

static inline void on_synced(void *ctx)
{
    struct bench *b = ctx;

    b->synced++;
    count_to_stop(b);
}

static inline void on_link(void *ctx, bool is_up, const char *why)
{
    struct bench *b = ctx;

    assert_non_null(why);
    *(is_up ? &b->ups : &b->downs) += 1;
    count_to_stop(b);
}

static inline void on_note(void *ctx, const char *text)
{
    (void)ctx;
    assert_true(text[0]);
}

/* --- life ---------------------------------------------------------------------------------------- */

static inline void start(struct bench *b, uint64_t since)
{
    struct receiver_out out = {
        .ctx = b,
        .listen = listen_to,
        .ask_snapshot = ask_snapshot,
        .ask_replay = ask_replay,
        .quote = on_quote,
        .state = on_state,
        .lost = on_lost,
        .reset = on_reset,
        .synced = on_synced,
        .link = on_link,
        .note = on_note,
    };

    b->settings.since_epoch = since ? b->epoch : 0;
    b->settings.since_seq = since;
    b->topic_count = 0;
    clear_pipe(b);
    b->is_asked = false;
    b->f = receiver_new(&b->settings, &out, b->now);
    push(b, SPAN(WIRE_TOPIC_WELCOME), NULL);
}

static inline struct bench *bench_new(enum receiver_mode mode)
{
    struct bench *b = calloc(1, sizeof *b);

    assert_non_null(b);
    b->epoch = 77;
    b->first = 1;
    b->page = 3;
    b->settings.mode = mode;
    start(b, 0);
    return b;
}

static inline void bench_free(struct bench *b)
{
    receiver_free(b->f);
    clear_pipe(b);
    buf_free(&b->patterns);
    free(b);
}

static inline void follow(struct bench *b, const char *pattern)
{
    assert_int_equal(receiver_add(b->f, span_of(pattern)), OK);
}

static inline void deliver(struct bench *b, unsigned count)
{
    for (; count && b->pipe_from < b->pipe_to && !receiver_is_stopped(b->f); count--) {
        struct buf *m = b->pipe[b->pipe_from++];

        if (m[1].len)
            receiver_on_record(b->f, buf_span(&m[0]), buf_span(&m[1]), b->now);
        else
            receiver_on_welcome(b->f);
        buf_free(&m[0]);
        buf_free(&m[1]);
    }
    if (b->pipe_from == b->pipe_to)
        b->pipe_from = b->pipe_to = 0;
}

static inline void tick(struct bench *b)
{
    receiver_go_on(b->f);
    receiver_flush(b->f);
    if (!receiver_is_stopped(b->f))
        receiver_tick(b->f, b->pipe_from == b->pipe_to, b->now);
}

/* A turn in which all that is under way arrives. */
static inline void turn(struct bench *b)
{
    tick(b);
    deliver(b, ~0u);
    if (!receiver_is_stopped(b->f))
        answer(b);
    tick(b);
    b->now += 10;
}

/* Turns, with heartbeats, until all must have been told. */
static inline void settle(struct bench *b)
{
    b->is_dropping = false;
    b->stop_after = 0;
    for (int i = 0; i < 40; i++) {
        for (int k = 0; k < 20; k++)
            turn(b);
        heartbeat(b);
        b->now += 1000;
    }
    turn(b);
}

#endif
