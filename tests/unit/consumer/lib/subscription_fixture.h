/*
 * subscription_fixture: a subscription of a program, its receiver and a broker in memory;
 * everything that the program gets is checked at once.  Include it after <cmocka.h>.
 */
#ifndef TESTS_UNIT_CONSUMER_LIB_SUBSCRIPTION_FIXTURE_H
#define TESTS_UNIT_CONSUMER_LIB_SUBSCRIPTION_FIXTURE_H

#include "consumer/lib/subscription.h"
#include "tests/unit/shared/sync/memory_broker.h"

struct passed {
    bool is_begun;
    bool is_inherited; /* it comes from `since`: no record was delivered since the start */
    bool is_loose;     /* inherited, and then a pattern was removed: its next record may be any */
    uint64_t last;     /* position of the last delivered record */
    uint64_t quote;
    bool is_stale;
};

struct fixture {
    struct broker k;
    struct subscription *d;
    struct subscription_settings settings;
    bool strict_order; /* positions must ascend over all symbols */
    /* The delivered records, by symbol. */
    struct passed passed[SYMBOLS];
    bool holes[LOG_MAX]; /* positions that were named as lost */
    uint64_t told_loss, told_max;
    unsigned quotes, snapshots, states, losses, resets, synced, ups, downs;
    char reason[32];
    unsigned stop_after; /* call receiver_pause after this many deliveries, 0: never */
};

/* --- what the program gets ------------------------------------------------------------------- */

static inline void count_to_stop(struct fixture *b)
{
    assert_false(receiver_is_paused(b->k.f));
    if (b->stop_after && --b->stop_after == 0)
        receiver_pause(b->k.f);
}

/* Has everything of the symbol between the two been named as lost? */
static inline bool is_excused(struct fixture *b, int symbol, uint64_t after, uint64_t before)
{
    for (uint64_t seq = after + 1; seq < before; seq++)
        if (at(&b->k, seq)->symbol == symbol && !b->holes[seq])
            return false;
    return true;
}

static inline void check_next(struct fixture *b, int symbol, const struct delivered *t)
{
    struct passed *passed = &b->passed[symbol];
    uint64_t seq = t->record->seq, last = passed->last;

    assert_int_equal(t->record->epoch, b->k.f ? receiver_epoch(b->k.f) : 0);
    if (t->record->epoch != b->k.epoch)
        return; /* it was held, and the log is another one by now */
    if (passed->is_begun && !passed->is_loose)
        assert_true(seq > last);
    if (b->settings.mode == SUBSCRIPTION_NEWEST || passed->is_loose)
        return;
    if (!passed->is_begun) {
        if (!t->is_snapshot)
            assert_true(is_excused(b, symbol, 0, seq));
        return;
    }
    if (!is_excused(b, symbol, last, seq))
        fail_msg("%s: %llu was told after %llu: what lies between is missing", names[symbol],
                 (unsigned long long)seq, (unsigned long long)last);
    if (b->strict_order && !t->is_snapshot)
        assert_true(seq > b->told_max);
}

static inline void note_delivered(struct fixture *b, int symbol, const struct delivered *t)
{
    struct passed *passed = &b->passed[symbol];

    passed->is_begun = true;
    passed->is_inherited = passed->is_loose = false;
    passed->last = t->record->seq;
    passed->is_stale = t->is_stale;
    if (t->record->kind == WIRE_QUOTE)
        passed->quote = pack_find_u(t->record->body, "n", 0);
    if (!t->is_snapshot && t->record->seq > b->told_max)
        b->told_max = t->record->seq;
}

static inline void on_quote(void *ctx, const struct delivered *t)
{
    struct fixture *b = ctx;
    int symbol = symbol_of(t->symbol);

    check_next(b, symbol, t);
    note_delivered(b, symbol, t);
    *(t->is_snapshot ? &b->snapshots : &b->quotes) += 1;
    count_to_stop(b);
}

static inline void on_state(void *ctx, const struct delivered *t)
{
    struct fixture *b = ctx;
    int symbol = symbol_of(t->symbol);

    check_next(b, symbol, t);
    note_delivered(b, symbol, t);
    b->states++;
    count_to_stop(b);
}

static inline void on_lost(void *ctx, const struct wire_record *r)
{
    struct fixture *b = ctx;

    b->losses++;
    if (r->epoch != b->k.epoch)
        return;
    if (at(&b->k, r->seq)->symbol < 0 && !at(&b->k, r->seq)->is_hole && r->seq >= b->k.first) {
        assert_true(r->seq > b->told_loss);
        b->told_loss = r->seq;
    }
    if (pack_find_u(r->body, "first", 0))
        for (uint64_t seq = pack_find_u(r->body, "first", 0);
             seq <= pack_find_u(r->body, "last", 0); seq++) {
            assert_true(at(&b->k, seq)->is_hole || seq < b->k.first);
            b->holes[seq] = true;
        }
    count_to_stop(b);
}

static inline void on_reset(void *ctx, uint64_t epoch, uint64_t old, const char *reason)
{
    struct fixture *b = ctx;

    assert_int_not_equal(epoch, 0);
    assert_int_not_equal(old, 0);
    memset(b->passed, 0, sizeof b->passed);
    memset(b->holes, 0, sizeof b->holes);
    b->told_loss = b->told_max = 0;
    snprintf(b->reason, sizeof b->reason, "%s", reason);
    b->resets++;
    count_to_stop(b);
}

static inline void on_synced(void *ctx)
{
    struct fixture *b = ctx;

    b->synced++;
    count_to_stop(b);
}

static inline void on_link(void *ctx, bool is_up, const char *why)
{
    struct fixture *b = ctx;

    assert_non_null(why);
    *(is_up ? &b->ups : &b->downs) += 1;
    count_to_stop(b);
}

static inline void on_note(void *ctx, bool is_error, const char *text)
{
    (void)ctx, (void)is_error;
    assert_true(text[0]);
}

/* --- life ------------------------------------------------------------------------------------- */

static inline void on_listen(void *ctx, struct span topic, bool is_on)
{
    struct fixture *b = ctx;

    broker_listen(&b->k, topic, is_on);
}

static inline void on_request_snapshot(void *ctx, uint64_t request, struct span pattern,
                                       uint64_t from)
{
    struct fixture *b = ctx;

    broker_request_snapshot(&b->k, request, pattern, from);
}

static inline void on_request_replay(void *ctx, uint64_t request, struct span patterns,
                                     uint64_t after, uint64_t until)
{
    struct fixture *b = ctx;

    broker_request_replay(&b->k, request, patterns, after, until);
}

static inline void start(struct fixture *b, uint64_t since)
{
    struct subscription_out out = {
        .broker.ctx = b,
        .ctx = b,
        .broker.listen = on_listen,
        .broker.request_snapshot = on_request_snapshot,
        .broker.request_replay = on_request_replay,
        .quote = on_quote,
        .state = on_state,
        .lost = on_lost,
        .reset = on_reset,
        .synced = on_synced,
        .presence = on_link,
        .broker.note = on_note,
    };

    b->settings.since_epoch = since ? b->k.epoch : 0;
    b->settings.since_seq = since;
    b->k.topic_count = 0;
    clear_pipe(&b->k);
    b->k.asked_count = 0;
    b->k.f = NULL;
    b->d = subscription_new(&b->settings, &out, b->k.now);
    b->k.f = subscription_receiver(b->d);
    push(&b->k, SPAN(WIRE_TOPIC_WELCOME), NULL);
}

static inline struct fixture *fixture_new(enum subscription_mode mode)
{
    struct fixture *b = calloc(1, sizeof *b);

    assert_non_null(b);
    b->k.epoch = 77;
    b->k.first = 1;
    b->k.page = 3;
    b->settings.mode = mode;
    start(b, 0);
    return b;
}

static inline void fixture_free(struct fixture *b)
{
    subscription_free(b->d);
    clear_pipe(&b->k);
    free(b);
}

static inline void follow(struct fixture *b, const char *pattern)
{
    assert_int_equal(receiver_add(b->k.f, span_of(pattern)), OK);
}

static inline void tick(struct fixture *b)
{
    receiver_resume(b->k.f);
    subscription_flush(b->d);
    if (!receiver_is_paused(b->k.f))
        receiver_tick(b->k.f, b->k.pipe_from == b->k.pipe_to, b->k.now);
    subscription_flush(b->d);
}

/* A turn in which all messages on the way arrive. */
static inline void turn(struct fixture *b)
{
    tick(b);
    deliver(&b->k, ~0u);
    for (unsigned left = b->k.asked_count; left && !receiver_is_paused(b->k.f); left--)
        answer(&b->k);
    tick(b);
    b->k.now += 10;
}

/* Turns with heartbeats, until everything must have been delivered. */
static inline void settle(struct fixture *b)
{
    b->k.is_dropping = false;
    b->stop_after = 0;
    for (int i = 0; i < 40; i++) {
        for (int k = 0; k < 20; k++)
            turn(b);
        heartbeat(&b->k);
        b->k.now += 1000;
    }
    turn(b);
}

#endif
