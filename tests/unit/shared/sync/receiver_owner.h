/*
 * receiver_owner: a naive owner of a receiver with many patterns, each in mode all or newest; what
 * it gets is checked as it comes.  Include it after <cmocka.h>, in one file of a program.
 */
#ifndef TESTS_UNIT_SHARED_SYNC_RECEIVER_OWNER_H
#define TESTS_UNIT_SHARED_SYNC_RECEIVER_OWNER_H

#include "shared/sync/receiver_private.h"
#include "tests/unit/shared/sync/memory_broker.h"

static const char *const texts[] = {"*", "A*", "A", "AB", "B*", "B/C", "X"};
#define PATTERNS LENGTH(texts)

/* What the owner has of a symbol. */
struct kept {
    uint64_t last, quote;
    /* A pattern in mode all was live: after `from` nothing may be missing. */
    bool is_strict;
    uint64_t from;
};

static struct owner {
    struct broker k; /* first: the ctx of its functions */
    struct {
        bool is_held, wants_all, is_live;
    } patterns[PATTERNS];
    struct kept kept[SYMBOLS];
    bool is_reported[LOG_MAX]; /* lost positions */
    unsigned records, snapshots, leaps, losses, resets, thaws;
    uint64_t passed;
} * o;

static inline unsigned index_of(struct span text)
{
    for (unsigned i = 0; i < PATTERNS; i++)
        if (span_eq(text, texts[i]))
            return i;
    fail_msg("no such pattern");
    return 0;
}

static inline bool matches(unsigned pattern, int symbol)
{
    return quote_pattern_matches(span_of(texts[pattern]), span_of(names[symbol]));
}

static inline bool is_wanted(int symbol, bool by_all)
{
    for (unsigned i = 0; i < PATTERNS; i++)
        if (o->patterns[i].is_held && (!by_all || o->patterns[i].wants_all) && matches(i, symbol))
            return true;
    return false;
}

/* Was every record of the symbol reported as lost, from what is kept of it up to `before`? */
static inline bool is_excused(int symbol, uint64_t before)
{
    const struct kept *kept = &o->kept[symbol];

    for (uint64_t seq = (kept->last > kept->from ? kept->last : kept->from) + 1;
         seq < before && seq <= o->k.head; seq++)
        if (at(&o->k, seq)->symbol == symbol && !o->is_reported[seq])
            return false;
    return true;
}

/* --- the functions of `out` ---------------------------------------------------------------- */

static inline bool wants_all(void *ctx, struct span pattern)
{
    (void)ctx;
    return o->patterns[index_of(pattern)].wants_all;
}

static inline struct receiver_symbol find(void *ctx, struct span name, bool may_add)
{
    char text[QUOTE_SYMBOL_MAX + 1];
    int symbol;

    (void)ctx, (void)may_add;
    span_copy(text, sizeof text, name);
    symbol = symbol_of(text);
    if (!is_wanted(symbol, false))
        return (struct receiver_symbol){NULL, 0};
    return (struct receiver_symbol){&o->kept[symbol], o->kept[symbol].last};
}

static inline struct receiver_coverage cover(void *ctx, struct span name,
                                             const struct receiver_symbol *s)
{
    struct receiver_coverage c = {0};
    char text[QUOTE_SYMBOL_MAX + 1];

    (void)ctx, (void)s;
    span_copy(text, sizeof text, name);
    for (unsigned i = 0; i < PATTERNS; i++)
        c.is_live |= o->patterns[i].is_live && matches(i, symbol_of(text));
    c.is_followed = is_wanted(symbol_of(text), true);
    return c;
}

static inline void on_record(void *ctx, const struct receiver_symbol *s,
                             const struct wire_record *r, enum receiver_origin origin)
{
    struct kept *kept = s->of;
    int symbol = (int)(kept - o->kept);

    (void)ctx;
    if (r->seq <= kept->last || receiver_epoch(o->k.f) != o->k.epoch)
        return;
    o->leaps += origin == RECEIVER_LEAP;
    if (kept->is_strict)
        assert_int_not_equal(origin, RECEIVER_LEAP);
    if (kept->is_strict && !is_excused(symbol, r->seq))
        fail_msg("%s: %llu came after %llu: what lies between is missing", names[symbol],
                 (unsigned long long)r->seq, (unsigned long long)kept->last);
    kept->last = r->seq;
    if (r->kind == WIRE_QUOTE)
        kept->quote = r->seq;
    o->records++;
}

static inline void on_snapshot(void *ctx, const struct receiver_symbol *s,
                               const struct wire_entry *e)
{
    struct kept *kept = s->of;
    int symbol = (int)(kept - o->kept);

    (void)ctx;
    if (e->quote.seq > kept->quote)
        kept->quote = e->quote.seq;
    if (e->seq <= kept->last)
        return;
    if (kept->is_strict && !is_excused(symbol, e->seq + 1))
        fail_msg("%s: a snapshot at %llu in place of the records after %llu", names[symbol],
                 (unsigned long long)e->seq, (unsigned long long)kept->last);
    kept->last = e->seq;
    o->snapshots++;
}

static inline void on_lost(void *ctx, const struct wire_record *r)
{
    uint64_t last = pack_find_u(r->body, "last", 0);

    (void)ctx;
    o->losses++;
    for (uint64_t seq = pack_find_u(r->body, "first", 1); seq <= last; seq++) {
        assert_true(at(&o->k, seq)->is_hole || seq < o->k.first);
        o->is_reported[seq] = true;
    }
}

static inline void on_reset(void *ctx, uint64_t epoch, uint64_t old, const char *reason)
{
    (void)ctx;
    assert_true(epoch != old && strcmp(reason, "log_replaced") == 0);
    memset(o->kept, 0, sizeof o->kept);
    memset(o->is_reported, 0, sizeof o->is_reported);
    o->resets += old != 0;
}

static inline void on_unverified(void *ctx)
{
    (void)ctx;
    for (unsigned i = 0; i < PATTERNS; i++)
        o->patterns[i].is_live = false;
}

static inline void set_strict(unsigned pattern)
{
    for (int s = 0; s < SYMBOLS; s++) {
        if (!matches(pattern, s) || o->kept[s].is_strict)
            continue;
        o->kept[s].is_strict = true;
        o->kept[s].from = receiver_find(o->k.f, span_of(texts[pattern]))->live_seq;
    }
}

static inline void on_live(void *ctx, struct span pattern, uint64_t seq)
{
    unsigned i = index_of(pattern);

    (void)ctx, (void)seq;
    assert_true(o->patterns[i].is_held && receiver_is_verified(o->k.f));
    o->patterns[i].is_live = true;
    if (o->patterns[i].wants_all)
        set_strict(i);
}

static inline void on_passed(void *ctx, uint64_t seq)
{
    (void)ctx;
    o->passed = seq;
}

static inline void on_complete(void *ctx, uint64_t seq)
{
    (void)ctx, (void)seq;
}

static inline void on_thawed(void *ctx)
{
    (void)ctx;
    o->thaws++;
}

static inline void on_nothing(void *ctx)
{
    (void)ctx;
}

static inline void on_link(void *ctx, bool is_up)
{
    (void)ctx, (void)is_up;
}

static inline void on_note(void *ctx, bool is_error, const char *text)
{
    (void)ctx, (void)is_error;
    assert_true(text[0]);
}

/* --- life ------------------------------------------------------------------------------------ */

static inline void open_owner(uint32_t page)
{
    struct receiver_settings settings = {.name = 1, .needs_heartbeat = true};
    struct receiver_out out = {
        .broker.listen = broker_listen,
        .broker.request_snapshot = broker_request_snapshot,
        .broker.request_replay = broker_request_replay,
        .wants_all = wants_all,
        .find = find,
        .cover = cover,
        .record = on_record,
        .snapshot = on_snapshot,
        .lost = on_lost,
        .flush = on_nothing,
        .reset = on_reset,
        .presence = on_link,
        .unverified = on_unverified,
        .live = on_live,
        .synced = on_nothing,
        .passed = on_passed,
        .complete = on_complete,
        .thawed = on_thawed,
        .fell_back = on_nothing,
        .broker.note = on_note,
    };

    o = calloc(1, sizeof *o);
    assert_non_null(o);
    o->k.epoch = 77;
    o->k.first = 1;
    o->k.page = page;
    out.ctx = out.broker.ctx = &o->k;
    o->k.f = receiver_new(&settings, &out, 0);
    push(&o->k, SPAN(WIRE_TOPIC_WELCOME), NULL);
    receiver_on_hello(o->k.f, 77, 0);
}

static inline void close_owner(void)
{
    receiver_free(o->k.f);
    clear_pipe(&o->k);
    free(o);
}

static inline void hold(const char *text, bool all)
{
    unsigned i = index_of(span_of(text));

    o->patterns[i].is_held = true;
    o->patterns[i].wants_all = all;
    assert_int_equal(receiver_add(o->k.f, span_of(text)), OK);
}

static inline void release(unsigned i)
{
    assert_int_equal(receiver_remove(o->k.f, span_of(texts[i])), OK);
    o->patterns[i].is_held = o->patterns[i].is_live = false;
    for (int s = 0; s < SYMBOLS; s++) {
        o->kept[s].is_strict &= is_wanted(s, true);
        if (!is_wanted(s, false))
            o->kept[s] = (struct kept){0};
    }
}

static inline void turn(void)
{
    receiver_tick(o->k.f, o->k.pipe_from == o->k.pipe_to, o->k.now);
    deliver(&o->k, ~0u);
    for (unsigned left = o->k.asked_count; left; left--)
        answer(&o->k);
    receiver_tick(o->k.f, true, o->k.now);
    o->k.now += 10;
}

static inline void turns(int count)
{
    while (count--)
        turn();
}

#endif
