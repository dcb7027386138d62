/* What subscribers get at random is checked against what they ought to see. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/dice.h"
#include "tests/unit/gateway/fanout/hub_bench.h"

#define SUBSCRIBERS 7

/* --- everything at once, at random
 * ------------------------------------------------------ */

static const char *const patterns[] = {"*",   "A*",   "B*", "AB*", "A1*", "A1", "A10",
                                       "AB1", "AB12", "B7", "C1",  "A3",  "Z*", "Z9"};

/* The truth about a symbol, and what a subscriber believes. */
struct truth {
    bool has_value;
    uint64_t seq;
    enum symbol_state state;
    char value[16];
    bool is_of_old_log; /* nobody is told of it again before it changes */
    bool is_known;      /* to the hub */
};

struct belief {
    bool has_value;
    uint64_t epoch, seq;
    enum symbol_state state;
    char value[16];
};

static struct truth truths[SYMBOLS];
static char names[SYMBOLS][8];
static uint64_t epoch_now, head;

static struct reader {
    struct hub_subscriber sub;
    bool holds[LENGTH(patterns)];
    struct belief beliefs[SYMBOLS];
    struct buf expected; /* mode all: frames to come, a line each */
    size_t expected_at;
    bool was_visited;
} readers[SUBSCRIBERS];

static bool is_watched[LENGTH(patterns)];

static unsigned pattern_index(const struct hub_topic *t)
{
    for (unsigned i = 0; i < LENGTH(patterns); i++)
        if (strcmp(t->pattern, patterns[i]) == 0)
            return i;
    fail_msg("%s", t->pattern);
    return 0;
}

static void on_topic_new(void *ctx, struct hub_topic *t)
{
    (void)ctx;
    assert_false(is_watched[pattern_index(t)]);
    is_watched[pattern_index(t)] = true;
}

static void on_topic_gone(void *ctx, const struct hub_topic *t)
{
    (void)ctx;
    assert_true(is_watched[pattern_index(t)]);
    is_watched[pattern_index(t)] = false;
}

static bool matches(const char *pattern, const char *name)
{
    size_t len = strcspn(pattern, "*");

    return pattern[len] ? strncmp(pattern, name, len) == 0 : strcmp(pattern, name) == 0;
}

static bool holds_symbol(const struct reader *r, unsigned symbol)
{
    for (unsigned i = 0; i < LENGTH(patterns); i++)
        if (r->holds[i] && matches(patterns[i], names[symbol]))
            return true;
    return false;
}

static unsigned symbol_index(const char *name)
{
    for (unsigned i = 0; i < SYMBOLS; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    fail_msg("%s", name);
    return 0;
}

/* The last line a reader in mode all still expects. */
static bool is_last_expected(const struct reader *r, const char *line)
{
    size_t len = strlen(line);

    return r->expected.len - r->expected_at >= len &&
           memcmp(r->expected.data + r->expected.len - len, line, len) == 0 &&
           (r->expected.len - r->expected_at == len ||
            r->expected.data[r->expected.len - len - 1] == '\n');
}

static void expect(struct reader *r, const char *kind, unsigned symbol, uint64_t prev)
{
    const struct truth *t = &truths[symbol];
    char line[200];

    snprintf(line, sizeof line, "%s %s %llu<%llu %s %s\n", kind, names[symbol],
             (unsigned long long)t->seq, (unsigned long long)prev,
             encode_state_name(t->state), t->value);
    /* Two patterns joined one after the other: what was queued last is not queued
     * again. */
    if (strcmp(kind, "snapshot") != 0 || !is_last_expected(r, line))
        buf_adds(&r->expected, line);
}

static void expect_of_all(const char *kind, unsigned symbol)
{
    const struct hub_symbol *s = hub_find(hub, span_of(names[symbol]));

    for (unsigned i = 0; i < SUBSCRIBERS; i++)
        if (readers[i].sub.wants_all && holds_symbol(&readers[i], symbol))
            expect(&readers[i], kind, symbol, s->prev);
}

static void check_all_mode(struct reader *r, const char *text)
{
    size_t len = strlen(text);

    if (r->expected.len - r->expected_at <= len ||
        memcmp(r->expected.data + r->expected_at, text, len) != 0 ||
        r->expected.data[r->expected_at + len] != '\n')
        fail_msg("got %s, not %.60s", text, buf_text(&r->expected) + r->expected_at);
    r->expected_at += len + 1;
    if (r->expected_at == r->expected.len) {
        buf_clear(&r->expected);
        r->expected_at = 0;
    }
}

static void check_merge(struct reader *r, const char *text)
{
    char kind[16], name[16], state[16], value[16] = "";
    unsigned long long seq, prev;
    unsigned symbol;
    struct belief *b;
    struct truth *t;

    assert_true(sscanf(text, "%15s %15s %llu<%llu %15s %15s", kind, name, &seq, &prev,
                       state, value) >= 5);
    symbol = symbol_index(name);
    b = &r->beliefs[symbol];
    t = &truths[symbol];
    assert_true(holds_symbol(r, symbol));
    /* It is made when it is sent: never anything but the newest. */
    assert_int_equal(seq, t->seq);
    assert_string_equal(state, encode_state_name(t->state));
    assert_string_equal(value, t->value);
    assert_true(epoch_now > b->epoch || seq >= b->seq);
    b->epoch = epoch_now;
    b->seq = seq;
    if (strcmp(kind, "state") != 0) {
        b->has_value = true;
        memcpy(b->value, t->value, sizeof b->value);
    }
    b->state = strcmp(kind, "quote") == 0 ? SYMBOL_LIVE : t->state;
}

static void check_listed_once(struct reader *r)
{
    static bool is_listed[SYMBOLS];
    struct frame *f;

    memset(is_listed, 0, sizeof is_listed);
    for (uint32_t i = 0; (f = backlog_peek(&r->sub.backlog, r->sub.encoding, i)); i++) {
        char name[16];
        unsigned symbol;

        assert_int_equal(sscanf(text_of(f), "%*s %15s", name), 1);
        symbol = symbol_index(name);
        assert_false(is_listed[symbol]);
        is_listed[symbol] = true;
    }
}

/* The socket takes some: at random, or all. */
static void reader_reads(struct reader *r, bool is_all)
{
    unsigned room = is_all ? UINT32_MAX : dice(3) ? dice(6) : 0;
    uint32_t count = 0;
    struct frame *f;

    hub_verify_backlog(hub, &r->sub, is_all || dice(2) ? UINT32_MAX : dice(6));
    if (!r->sub.wants_all && !dice(10))
        check_listed_once(r);
    if (room > backlog_sendable(&r->sub.backlog))
        room = backlog_sendable(&r->sub.backlog);
    while (count < room &&
           (f = backlog_peek(&r->sub.backlog, r->sub.encoding, count))) {
        assert_int_equal((unsigned char)f->bytes[0],
                         r->sub.encoding == ENCODING_JSON ? 0x81 : 0x82);
        if (r->sub.wants_all)
            check_all_mode(r, text_of(f));
        else
            check_merge(r, text_of(f));
        count++;
    }
    backlog_took(&r->sub.backlog, count);
}

/* Whoever is owed nothing knows everything. */
static void check_knows_all(struct reader *r)
{
    assert_true(backlog_is_empty(&r->sub.backlog));
    if (r->sub.wants_all) {
        assert_int_equal(r->expected.len, 0);
        return;
    }
    for (unsigned s = 0; s < SYMBOLS; s++) {
        if (!holds_symbol(r, s) || !truths[s].has_value || truths[s].is_of_old_log)
            continue;
        if (!r->beliefs[s].has_value || r->beliefs[s].state != truths[s].state ||
            strcmp(r->beliefs[s].value, truths[s].value) != 0)
            fail_msg("%s is %s %s, not %s %s", names[s], r->beliefs[s].value,
                     encode_state_name(r->beliefs[s].state), truths[s].value,
                     encode_state_name(truths[s].state));
    }
}

static void random_quote(unsigned s)
{
    struct truth *t = &truths[s];
    uint64_t seq = dice(20) ? ++head : head - dice(10) * (head > 10);
    uint64_t prev = dice(3) ? t->seq : dice(1000);
    bool is_newer = seq > t->seq;
    char value[16];

    snprintf(value, sizeof value, "v%u", dice(1000000));
    if (is_newer) {
        t->has_value = true;
        t->is_of_old_log = false;
        t->seq = seq;
        t->state = SYMBOL_LIVE;
        memcpy(t->value, value, sizeof value);
    }
    t->is_known = true;
    assert_true(quote(names[s], seq, prev, value) == is_newer);
    if (is_newer)
        expect_of_all("quote", s);
}

static void random_state(unsigned s)
{
    struct truth *t = &truths[s];
    uint64_t prev = t->seq;
    bool is_live = dice(2);

    if (!t->has_value)
        return;
    t->seq = ++head;
    t->state = is_live ? SYMBOL_LIVE : SYMBOL_STALE;
    assert_true(state_record(names[s], t->seq, prev, is_live ? "live" : "stale"));
    expect_of_all("state", s);
}

static void random_snapshot(unsigned s)
{
    struct truth *t = &truths[s];
    uint64_t seq = dice(2) ? head + dice(2) : t->seq;
    bool is_stale = dice(2);
    enum symbol_state state = is_stale ? SYMBOL_STALE : SYMBOL_LIVE, old = t->state;
    char value[16];

    if (!seq)
        return;
    head = seq > head ? seq : head;
    snprintf(value, sizeof value, "s%u", dice(1000000));
    t->is_known = true;
    if (seq > t->seq) {
        t->has_value = true;
        t->is_of_old_log = false;
        t->seq = seq;
        t->state = state;
        memcpy(t->value, value, sizeof value);
        snapshot(names[s], seq, is_stale, seq - dice(2), value);
        expect_of_all("snapshot", s);
    } else {
        if (seq == t->seq)
            t->state = state;
        snapshot(names[s], seq, is_stale, 0, value); /* of a quote we know */
        if (t->state != old)
            expect_of_all("state", s);
    }
}

static void broker_goes_away(void)
{
    for (size_t i = 0; i < hub_symbol_end(hub); i++) {
        const struct hub_symbol *known = hub_symbol_at(hub, i);
        const char *name = known ? known->name : "";
        unsigned s;

        if (!known)
            continue;
        s = symbol_index(name);

        note_change(name);
        if (truths[s].state != SYMBOL_LIVE)
            continue;
        truths[s].state = SYMBOL_STALE;
        expect_of_all("state", s);
    }
    hub_go_stale(hub);
}

/* Everybody is told of the reset (not by the hub), and knows nothing until more comes. */
static void log_is_replaced(void)
{
    hub_reset(hub, ++epoch_now);
    head = 0;
    for (unsigned s = 0; s < SYMBOLS; s++) {
        truths[s].seq = 0;
        truths[s].is_of_old_log = true;
        if (truths[s].state == SYMBOL_LIVE)
            truths[s].state = SYMBOL_STALE;
        note_change(names[s]);
    }
    for (size_t i = 0; i < SUBSCRIBERS; i++) {
        memset(readers[i].beliefs, 0, sizeof readers[i].beliefs);
        buf_clear(&readers[i].expected);
        readers[i].expected_at = 0;
    }
}

/* Snapshots come in ascending position. */
static void expect_lowest(struct reader *r, bool is_expected[SYMBOLS])
{
    const struct hub_symbol *lowest = NULL;

    for (size_t i = 0; i < hub_symbol_end(hub); i++) {
        const struct hub_symbol *s = hub_symbol_at(hub, i);

        if (s && is_expected[symbol_index(s->name)] &&
            (!lowest || s->seq < lowest->seq))
            lowest = s;
    }
    assert_non_null(lowest);
    is_expected[symbol_index(lowest->name)] = false;
    expect(r, "snapshot", symbol_index(lowest->name), lowest->prev);
}

static void reader_joins(struct reader *r, unsigned p)
{
    struct hub_topic *t = hub_topic_hold(hub, span_of(patterns[p]));
    bool is_new = !r->holds[p];
    size_t count = 0, joined;
    bool is_expected[SYMBOLS] = {false};

    assert_true(hub_is_member(&r->sub, t) == r->holds[p]);
    r->holds[p] = true;
    joined = hub_join(hub, &r->sub, &t, 1, NO_LIMIT, 0, NULL);
    for (size_t i = 0; is_new && i < hub_symbol_end(hub); i++) {
        unsigned s;

        if (!hub_symbol_at(hub, i))
            continue;
        s = symbol_index(hub_symbol_at(hub, i)->name);

        if (!matches(patterns[p], names[s]) || !truths[s].has_value)
            continue;
        count++;
        is_expected[s] = true;
    }
    for (size_t k = 0; r->sub.wants_all && k < count; k++)
        expect_lowest(r, is_expected);
    assert_int_equal(joined, count);
    if (dice(2))
        hub_topic_synced(hub, t, head);
    hub_topic_release(hub, t);
}

/* What is no longer held is no longer queued. */
static void expect_only_held(struct reader *r)
{
    struct buf kept = {0};
    char *line =
        r->expected.len ? (char *)buf_text(&r->expected) + r->expected_at : NULL;

    for (char *end; line && *line; line = end + 1) {
        char name[16];

        end = strchr(line, '\n');
        assert_int_equal(sscanf(line, "%*s %15s", name), 1);
        if (holds_symbol(r, symbol_index(name)))
            buf_add(&kept, line, (size_t)(end + 1 - line));
    }
    buf_free(&r->expected);
    r->expected = kept;
    r->expected_at = 0;
}

static void reader_leaves(struct reader *r, unsigned p)
{
    assert_true(hub_leave(hub, &r->sub, span_of(patterns[p])) == r->holds[p]);
    r->holds[p] = false;
    for (unsigned s = 0; s < SYMBOLS; s++)
        if (!holds_symbol(r, s))
            r->beliefs[s] = (struct belief){0};
    expect_only_held(r);
}

static void reader_starts_anew(struct reader *r)
{
    hub_leave_all(hub, &r->sub);
    buf_free(&r->expected);
    assert_false(r->sub.is_due);
    *r = (struct reader){.sub = {.encoding = dice(2) ? ENCODING_JSON : ENCODING_MSGPACK,
                                 .wants_all = !dice(3)}};
}

/* A symbol is known as long as a feed of this log supplies it or a topic matches it. */
static void check_forgets(void)
{
    bool is_clean = dice(2);

    /* While a backlog may name what its reader has left, nothing is forgotten. */
    for (unsigned i = 0; is_clean && i < SUBSCRIBERS; i++)
        hub_verify_backlog(hub, &readers[i].sub, UINT32_MAX);
    forget_all();
    for (unsigned s = 0; s < SYMBOLS; s++) {
        struct truth *t = &truths[s];
        bool is_covered = false, is_supplied = t->has_value && !t->is_of_old_log,
             is_known = hub_find(hub, span_of(names[s])) != NULL;

        for (unsigned p = 0; p < LENGTH(patterns); p++)
            is_covered |= is_watched[p] && matches(patterns[p], names[s]);
        if (t->is_known && (is_supplied || is_covered)) {
            if (!is_known)
                fail_msg("%s: supplied %d covered %d clean %d value %d seq %d",
                         names[s], is_supplied, is_covered, is_clean, t->has_value,
                         (int)t->seq);
        } else if (is_clean || !t->is_known)
            assert_false(is_known);
        t->is_known = is_known;
        if (!is_known)
            *t = (struct truth){0};
    }
}

static void end_of_turn(bool all_are_flushed)
{
    struct hub_subscriber *due;

    for (unsigned i = 0; i < SUBSCRIBERS; i++)
        readers[i].was_visited = !backlog_is_empty(&readers[i].sub.backlog);
    hub_fan_out(hub);
    /* Now and then a turn has time for some of them only. */
    while ((dice(10) || all_are_flushed) && (due = hub_take_due(hub))) {
        struct reader *r =
            (struct reader *)((char *)due - offsetof(struct reader, sub));

        r->was_visited = true;
        reader_reads(r, dice(2));
    }
    for (unsigned i = 0; i < SUBSCRIBERS; i++) {
        assert_true(readers[i].was_visited || readers[i].sub.is_due ||
                    backlog_is_empty(&readers[i].sub.backlog));
        if (backlog_is_empty(&readers[i].sub.backlog))
            check_knows_all(&readers[i]);
        else if (!dice(4)) /* before the next turn its socket has room again */
            reader_reads(&readers[i], dice(2));
    }
    check_forgets();
    for (unsigned p = 0; p < LENGTH(patterns); p++) {
        bool is_held = false;

        for (unsigned i = 0; i < SUBSCRIBERS; i++)
            is_held |= readers[i].holds[p];
        assert_true(is_held == is_watched[p]);
        assert_true(is_held == (hub_topic_find(hub, span_of(patterns[p])) != NULL));
    }
}

static void make_names(void)
{
    static const char *const fixed[] = {"A1", "A10", "AB1", "AB12",
                                        "B7", "C1",  "A3",  "Z9"};

    for (unsigned i = 0; i < SYMBOLS; i++)
        if (i < LENGTH(fixed))
            snprintf(names[i], sizeof names[i], "%s", fixed[i]);
        else
            snprintf(names[i], sizeof names[i], "%s%u",
                     i % 3 ? i % 3 > 1 ? "AB" : "B" : "C", i + 20);
}

static void in_the_end_everybody_knows_the_newest_of_what_he_holds(void **state)
{
    (void)state;
    dice_seed();
    hub_watch(hub, (struct hub_watcher){NULL, on_topic_new, on_topic_gone});
    make_names();
    memset(truths, 0, sizeof truths);
    memset(readers, 0, sizeof readers);
    memset(is_watched, 0, sizeof is_watched);
    epoch_now = 1;
    head = 0;
    for (unsigned i = 0; i < SUBSCRIBERS; i++)
        reader_starts_anew(&readers[i]);
    for (int step = 0; step < 60000; step++) {
        struct reader *r = &readers[dice(SUBSCRIBERS)];
        unsigned s = dice(dice(2) ? SYMBOLS : 10), act = dice(200);

        if (act < 90)
            random_quote(s);
        else if (act < 105)
            random_state(s);
        else if (act < 115)
            random_snapshot(s);
        else if (act < 125)
            reader_joins(r, dice(LENGTH(patterns)));
        else if (act < 133)
            reader_leaves(r, dice(LENGTH(patterns)));
        else if (act < 161 && !dice(10))
            reader_starts_anew(r);
        else if (act < 163 && !dice(10))
            hub_resync(hub);
        else if (act < 165 && !dice(5))
            if (dice(2))
                broker_goes_away();
            else
                log_is_replaced();
        else if (act >= 166)
            end_of_turn(false);
    }
    end_of_turn(true);
    for (unsigned i = 0; i < SUBSCRIBERS; i++) {
        reader_reads(&readers[i], true);
        check_knows_all(&readers[i]);
        hub_leave_all(hub, &readers[i].sub);
        buf_free(&readers[i].expected);
    }
    forget_all();
    assert_null(hub_topic_first(hub));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(in_the_end_everybody_knows_the_newest_of_what_he_holds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
