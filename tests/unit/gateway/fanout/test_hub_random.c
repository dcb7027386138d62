/* The messages of subscribers at random are compared with a model. */
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
#include "tests/unit/gateway/fanout/hub_fixture.h"
#include "tests/unit/gateway/fanout/hub_model_fixture.h"
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

/*
 * The owner, not the hub, sends everybody the reset; subscribers have no values until new records
 * arrive.
 */
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

        if (s && is_expected[symbol_index(s->name)] && (!lowest || s->seq < lowest->seq))
            lowest = s;
    }
    assert_non_null(lowest);
    is_expected[symbol_index(lowest->name)] = false;
    expect(r, "snapshot", symbol_index(lowest->name), lowest->prev);
}

static void reader_joins(struct reader *r, unsigned p)
{
    struct hub_topic *t = hub_topic_retain(hub, span_of(patterns[p]));
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
        hub_topic_synced(t, head);
    hub_topic_release(hub, t);
}

/* Symbols that the subscriber left are no longer queued. */
static void expect_only_held(struct reader *r)
{
    struct buf kept = {0};
    char *line = r->expected.len ? (char *)buf_text(&r->expected) + r->expected_at : NULL;

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
    *r = (struct reader){
        .sub = {.encoding = dice(2) ? ENCODING_JSON : ENCODING_MSGPACK, .wants_all = !dice(3)}};
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
                fail_msg("%s: supplied %d covered %d clean %d value %d seq %d", names[s],
                         is_supplied, is_covered, is_clean, t->has_value, (int)t->seq);
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
    /* In some turns there is time for some of them only. */
    while ((dice(10) || all_are_flushed) && (due = hub_take_due(hub))) {
        struct reader *r = (struct reader *)((char *)due - offsetof(struct reader, sub));

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
    static const char *const fixed[] = {"A1", "A10", "AB1", "AB12", "B7", "C1", "A3", "Z9"};

    for (unsigned i = 0; i < SYMBOLS; i++)
        if (i < LENGTH(fixed))
            snprintf(names[i], sizeof names[i], "%s", fixed[i]);
        else
            snprintf(names[i], sizeof names[i], "%s%u", i % 3 ? i % 3 > 1 ? "AB" : "B" : "C",
                     i + 20);
}

static void in_the_end_every_subscriber_has_the_newest_value_of_each_symbol_it_holds(void **state)
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
        TEST(in_the_end_every_subscriber_has_the_newest_value_of_each_symbol_it_holds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
