/* The exact bounds of each call of the hub, and its counters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/gateway/fanout/hub_fixture.h"
#include "tests/unit/gateway/fanout/hub_reader_fixture.h"

/* --- topics ------------------------------------------------------------ */

static void topics_cost_their_bytes_as_zeromq_topics_and_four(void **state)
{
    struct hub_topic *a, *b, *again;

    (void)state;
    assert_int_equal(hub_topic_cost(SPAN("BTC*")), 9);
    assert_int_equal(hub_topic_bytes(hub), 0);
    a = hub_topic_retain(hub, SPAN("BTC*"));
    assert_int_equal(hub_topic_bytes(hub), 9);
    b = hub_topic_retain(hub, SPAN("A"));
    assert_int_equal(hub_topic_bytes(hub), 9 + 6);
    again = hub_topic_retain(hub, SPAN("A"));
    assert_ptr_equal(again, b);
    assert_int_equal(hub_topic_bytes(hub), 9 + 6);
    hub_topic_release(hub, a);
    hub_topic_release(hub, b);
    forget_all();
    assert_int_equal(hub_topic_bytes(hub), 6);
    assert_ptr_equal(hub_topic_find(hub, SPAN("A")), b);
    hub_topic_release(hub, b);
    forget_all();
    assert_int_equal(hub_topic_bytes(hub), 0);
    assert_null(hub_topic_first(hub));
}

static void a_topic_knows_the_position_that_made_it_live(void **state)
{
    struct hub_topic *all = hub_topic_retain(hub, SPAN("*")), *t = hub_topic_retain(hub, SPAN("A"));
    uint64_t restarts = hub_restarts(hub);

    (void)state;
    assert_false(hub_has_everything(hub));
    hub_topic_synced(t, 7);
    assert_true(t->is_live);
    assert_int_equal(t->synced_seq, 7);
    assert_false(hub_has_everything(hub));
    hub_topic_synced(all, 8);
    hub_thaw(hub);
    assert_true(hub_has_everything(hub));
    hub_resync(hub);
    assert_int_equal(hub_restarts(hub), restarts + 1);
    assert_false(t->is_live || all->is_live || hub_has_everything(hub));
    assert_int_equal(t->synced_seq, 7);
    hub_topic_synced(all, 9);
    assert_false(hub_has_everything(hub)); /* a record may be missing */
    hub_thaw(hub);
    assert_true(hub_has_everything(hub));
    hub_reset(hub, 2);
    assert_int_equal(hub_restarts(hub), restarts + 2);
    assert_int_equal(t->synced_seq, 0);
    hub_topic_release(hub, all);
    hub_topic_release(hub, t);
}

static void a_symbol_is_covered_as_its_topics_say(void **state)
{
    struct hub_subscriber all = {.wants_all = true};
    struct hub_topic *prefix, *exact;
    struct hub_coverage c;

    (void)state;
    assert_false(hub_is_wanted(hub, SPAN("A1")));
    prefix = hub_topic_retain(hub, SPAN("A*"));
    exact = hub_topic_retain(hub, SPAN("A1"));
    assert_true(hub_is_wanted(hub, SPAN("A1")));
    assert_true(hub_is_wanted(hub, SPAN("A")));
    assert_false(hub_is_wanted(hub, SPAN("B")));
    assert_false(hub_is_wanted(hub, SPAN("A0123456789012345678901234567890123"))); /* too long */
    for (int is_known = 0; is_known < 2; is_known++) {
        struct hub_symbol *s = is_known ? hub_know(hub, SPAN("A1")) : NULL;

        prefix->is_live = exact->is_live = false;
        c = hub_cover(hub, SPAN("A1"), s);
        assert_false(c.is_live || c.has_all);
        hub_topic_synced(exact, 1);
        c = hub_cover(hub, SPAN("A1"), s);
        assert_true(c.is_live && !c.has_all);
        exact->is_live = false;
        hub_topic_synced(prefix, 1);
        hub_join(hub, &all, &exact, 1, NO_LIMIT, 0, NULL);
        c = hub_cover(hub, SPAN("A1"), s);
        assert_true(c.is_live && c.has_all);
        hub_leave_all(hub, &all);
    }
    assert_false(hub_topic_has_all(prefix) || hub_topic_has_all(exact));
    hub_topic_release(hub, prefix);
    hub_topic_release(hub, exact);
}

static void a_symbol_is_stamped_by_whichever_topic_matches(void **state)
{
    struct hub_topic *t[3] = {hub_topic_retain(hub, SPAN("*")), hub_topic_retain(hub, SPAN("A*")),
                              hub_topic_retain(hub, SPAN("A1"))};
    struct hub_symbol *s = hub_know(hub, SPAN("A1")), *other = hub_know(hub, SPAN("A2"));

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        hub_stamp(hub, &t[i], 1);
        assert_true(hub_is_stamped(hub, s));
        assert_int_equal(hub_is_stamped(hub, other), i < 2);
    }
    hub_stamp(hub, NULL, 0);
    assert_false(hub_is_stamped(hub, s));
    for (size_t i = 0; i < 3; i++)
        hub_topic_release(hub, t[i]);
}

/* --- forgetting ------------------------------------------------------------ */

static size_t topics(void)
{
    size_t count = 0;

    for (const struct hub_topic *t = hub_topic_first(hub); t; t = t->next)
        count++;
    return count;
}

static void a_tidy_removes_so_many_topics_and_looks_at_four_times_as_many_symbols(void **state)
{
    char name[16];

    (void)state;
    for (int i = 0; i < 10; i++) {
        struct hub_topic *t;

        snprintf(name, sizeof name, "T%d", i);
        t = hub_topic_retain(hub, span_of(name));
        (void)hub_know(hub, span_of(name));
        hub_topic_release(hub, t);
    }
    assert_int_equal(hub_symbol_count(hub), 10);
    assert_true(hub_tidy(hub, 2));
    assert_int_equal(topics(), 8); /* the last two, whose symbols were not looked at yet */
    assert_int_equal(hub_symbol_count(hub), 10);
    assert_true(hub_tidy(hub, 2));
    assert_int_equal(topics(), 6);
    assert_int_equal(hub_symbol_count(hub), 8);
    while (topics())
        (void)hub_tidy(hub, 2);
    assert_int_equal(topics(), 0);
    while (hub_tidy(hub, 2))
        ;
    assert_int_equal(hub_symbol_count(hub), 0);
    assert_int_equal(hub_symbol_end(hub), 0);
    assert_false(hub_tidy(hub, 2));
}

static void a_symbol_that_gets_a_topic_again_is_kept(void **state)
{
    struct hub_topic *t = hub_topic_retain(hub, SPAN("A")), *again;

    (void)state;
    (void)hub_know(hub, SPAN("A"));
    hub_topic_release(hub, t);
    again = hub_topic_retain(hub, SPAN("A"));
    forget_all();
    assert_ptr_equal(hub_topic_find(hub, SPAN("A")), again);
    assert_non_null(hub_find(hub, SPAN("A")));
    hub_topic_release(hub, again);
    forget_all();
    assert_null(hub_topic_find(hub, SPAN("A")));
    assert_null(hub_find(hub, SPAN("A")));
}

static void places_of_forgotten_symbols_are_given_out_again_the_lowest_first(void **state)
{
    struct hub_topic *t = hub_topic_retain(hub, SPAN("*"));
    char name[16];

    (void)state;
    for (int i = 0; i < 6; i++) {
        snprintf(name, sizeof name, "T%d", i);
        if (i % 2)
            quote(name, (uint64_t)i, 0, "v"); /* a feed supplies it */
        else
            (void)hub_know(hub, span_of(name));
    }
    hub_fan_out(hub);
    assert_int_equal(hub_valued_count(hub), 3);
    hub_topic_release(hub, t);
    forget_all();
    assert_int_equal(hub_symbol_count(hub), 3);
    assert_int_equal(hub_symbol_end(hub), 6);
    assert_null(hub_symbol_at(hub, 4));
    assert_non_null(hub_symbol_at(hub, 5));
    t = hub_topic_retain(hub, SPAN("*"));
    assert_true(hub_know(hub, SPAN("N1"))->index % 2 == 0);
    assert_true(hub_know(hub, SPAN("N2"))->index % 2 == 0);
    assert_true(hub_know(hub, SPAN("N3"))->index % 2 == 0);
    assert_int_equal(hub_know(hub, SPAN("N4"))->index, 6);
    hub_topic_release(hub, t);
}

/* --- due ------------------------------------------------------------ */

static void due_subscribers_are_counted_and_taken_in_order(void **state)
{
    struct hub_subscriber s[6] = {0};

    (void)state;
    assert_false(hub_has_due(hub));
    assert_int_equal(hub_due_count(hub), 0);
    for (int i = 0; i < 6; i++)
        hub_set_due(hub, &s[i]);
    hub_set_due(hub, &s[0]); /* it is already */
    assert_int_equal(hub_due_count(hub), 6);
    assert_ptr_equal(hub_take_due(hub), &s[0]);
    assert_false(s[0].is_due);
    hub_leave_all(hub, &s[1]);
    assert_int_equal(hub_due_count(hub), 5); /* an upper bound */
    assert_ptr_equal(hub_take_due(hub), &s[2]);
    assert_ptr_equal(hub_take_due(hub), &s[3]);
    assert_int_equal(hub_due_count(hub), 2);
    hub_leave_all(hub, &s[4]); /* its place has moved */
    hub_set_due(hub, &s[0]);
    assert_ptr_equal(hub_take_due(hub), &s[5]);
    assert_true(hub_has_due(hub));
    assert_ptr_equal(hub_take_due(hub), &s[0]);
    assert_false(hub_has_due(hub));
    assert_null(hub_take_due(hub));
    assert_int_equal(hub_due_count(hub), 0);
}

/* --- walks ------------------------------------------------------------ */

static void a_walk_costs_four_steps_a_pattern_and_one_a_further_symbol(void **state)
{
    static const char *const names[] = {"A1", "A2", "B", "C1"};
    struct hub_topic *t[4] = {hub_topic_retain(hub, SPAN("C*")), hub_topic_retain(hub, SPAN("A1")),
                              hub_topic_retain(hub, SPAN("B")), hub_topic_retain(hub, SPAN("A*"))};
    /* A*: found in four, A2 and its end in one each; B in four; C*: four, and one for its end. */
    static const struct {
        const char *name;
        size_t cost;
    } expected[] = {{"A1", 4}, {"A2", 1}, {"B", 1 + 4}, {"C1", 4}, {NULL, 1}};
    struct hub_symbol *s;
    struct hub_walk w;
    size_t steps = 3;

    (void)state;
    for (size_t i = 0; i < LENGTH(names); i++)
        (void)hub_know(hub, span_of(names[i]));
    hub_walk_begin(&w, t, 4);
    assert_int_equal(w.count, 3); /* A* covers A1 */
    assert_false(hub_walk_next(hub, &w, &steps, &s));
    assert_int_equal(steps, 0);
    assert_null(s);
    for (size_t i = 0; i < LENGTH(expected); i++) {
        steps = 100;
        assert_true(hub_walk_next(hub, &w, &steps, &s));
        assert_int_equal(100 - steps, expected[i].cost);
        if (expected[i].name)
            assert_string_equal(s->name, expected[i].name);
        else
            assert_null(s);
    }
    steps = 4;
    hub_walk_end(&w);
    assert_true(hub_walk_next(hub, &w, &steps, &s)); /* nothing is left of it */
    assert_null(s);
    assert_int_equal(steps, 4);
    hub_walk_end(&w);
    hub_walk_begin(&w, NULL, 0);
    assert_true(hub_walk_next(hub, &w, &steps, &s));
    assert_null(s);
    hub_walk_end(&w);
    for (int i = 0; i < 4; i++)
        hub_topic_release(hub, t[i]);
}

static void what_was_replaced_before_it_was_sent_is_counted(void **state)
{
    struct hub_subscriber s = {.encoding = ENCODING_JSON};

    (void)state;
    join(&s, "A", NO_LIMIT);
    join(&s, "*", NO_LIMIT); /* that both match counts nothing twice */
    quote("A", 1, 0, "v");
    hub_fan_out(hub);
    assert_int_equal(hub_merged(hub), 0);
    quote("A", 2, 1, "v");
    hub_fan_out(hub);
    assert_int_equal(hub_merged(hub), 1);
    quote("A", 3, 2, "v");
    quote("A", 4, 3, "v"); /* two in one turn */
    hub_fan_out(hub);
    assert_int_equal(hub_merged(hub), 3);
    assert_int_equal(s.backlog.merged, 3);
    assert_string_equal(take_all(&s), "quote A 4<3 live v");
    quote("A", 5, 4, "v");
    quote("A", 6, 5, "v");
    hub_fan_out(hub);
    assert_int_equal(hub_merged(hub), 4);
    while (hub_take_due(hub))
        ;
    hub_leave_all(hub, &s);
    assert_int_equal(hub_merged(hub), 4); /* of past subscribers, too */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(topics_cost_their_bytes_as_zeromq_topics_and_four),
        TEST(a_topic_knows_the_position_that_made_it_live),
        TEST(a_symbol_is_covered_as_its_topics_say),
        TEST(a_symbol_is_stamped_by_whichever_topic_matches),
        TEST(a_tidy_removes_so_many_topics_and_looks_at_four_times_as_many_symbols),
        TEST(a_symbol_that_gets_a_topic_again_is_kept),
        TEST(places_of_forgotten_symbols_are_given_out_again_the_lowest_first),
        TEST(due_subscribers_are_counted_and_taken_in_order),
        TEST(a_walk_costs_four_steps_a_pattern_and_one_a_further_symbol),
        TEST(what_was_replaced_before_it_was_sent_is_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
