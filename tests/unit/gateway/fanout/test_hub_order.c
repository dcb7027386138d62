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

static void what_is_older_than_what_we_have_is_dropped(void **state)
{
    struct hub_subscriber s = {.encoding = ENCODING_JSON}, all = {.wants_all = true};

    (void)state;
    join(&s, "*", NO_LIMIT);
    join(&all, "*", NO_LIMIT);
    assert_true(quote("A", 5, 0, "new"));
    turn(&s);
    take_all(&all);
    assert_false(quote("A", 5, 0, "again"));
    assert_false(quote("A", 4, 0, "old"));
    assert_false(state_record("A", 3, 0, "stale"));
    snapshot("A", 4, true, 4, "old");
    snapshot("A", 5, false, 5, "same");
    assert_string_equal(turn(&s), "");
    assert_string_equal(take_all(&all), "");
    assert_memory_equal(hub_find(hub, SPAN("A"))->body.data, "new", 3);
    hub_leave_all(hub, &s);
    hub_leave_all(hub, &all);
}

static void states_are_sent_and_end_with_the_next_quote(void **state)
{
    struct hub_subscriber s = {.encoding = ENCODING_JSON};

    (void)state;
    join(&s, "*", NO_LIMIT);
    quote("A", 1, 0, "v");
    turn(&s);
    state_record("A", 2, 1, "stale");
    assert_string_equal(turn(&s), "state A 2<1 stale v");
    state_record("A", 3, 2, "live");
    assert_string_equal(turn(&s), "state A 3<2 live v");
    state_record("A", 4, 3, "stale");
    quote("A", 5, 4, "w"); /* both in one turn: one message has both */
    assert_string_equal(turn(&s), "snapshot A 5<4 live w");
    hub_leave_all(hub, &s);
}

static bool is_live(const char *symbol)
{
    struct span name = span_of(symbol);

    return hub_cover(hub, name, hub_find(hub, name)).is_live;
}

static void values_are_stale_while_the_broker_is_away(void **state)
{
    struct hub_subscriber s = {.encoding = ENCODING_JSON}, all = {.wants_all = true};
    struct hub_topic *t;

    (void)state;
    join(&s, "*", NO_LIMIT);
    join(&all, "A", NO_LIMIT);
    t = hub_topic_find(hub, SPAN("*"));
    quote("A", 1, 0, "v");
    state_record("B", 2, 0, "stale");
    hub_topic_synced(t, 2);
    assert_true(is_live("A"));
    turn(&s);
    take_all(&all);
    note_change("A");
    hub_go_stale(hub);
    assert_false(t->is_live);
    assert_false(is_live("A"));
    assert_string_equal(turn(&s), "state A 1<0 stale v");
    assert_string_equal(take_all(&all), "state A 1<0 stale v");
    /* The broker is back: it reports that nothing changed meanwhile. */
    snapshot("A", 1, false, 1, "v");
    assert_string_equal(turn(&s), "snapshot A 1<0 live v");
    assert_string_equal(take_all(&all), "state A 1<0 live v");
    hub_leave_all(hub, &s);
    hub_leave_all(hub, &all);
}

static void a_new_log_forgets_positions_and_keeps_values(void **state)
{
    struct hub_subscriber s = {.encoding = ENCODING_JSON};

    (void)state;
    join(&s, "*", NO_LIMIT);
    quote("A", 900, 0, "v");
    hub_set_seq(hub, 950);
    turn(&s);
    note_change("A");
    hub_reset(hub, 77);
    assert_int_equal(hub_epoch(hub), 77);
    assert_int_equal(hub_seq(hub), 0);
    /* Its clients get the reset, not a message for every symbol. */
    assert_string_equal(turn(&s), "");
    assert_int_equal(hub_find(hub, SPAN("A"))->state, SYMBOL_STALE);
    assert_true(hub_find(hub, SPAN("A"))->body.len > 0);
    assert_true(quote("A", 1, 0, "w"));
    assert_string_equal(turn(&s), "snapshot A 1<0 live w");
    assert_int_equal(hub_seq(hub), 0); /* something may be missing */
    hub_topic_synced(hub_topic_find(hub, SPAN("*")), 1);
    hub_thaw(hub);
    assert_int_equal(hub_seq(hub), 1);
    hub_leave_all(hub, &s);
}

static void the_position_only_rises(void **state)
{
    (void)state;
    hub_set_seq(hub, 10);
    hub_set_seq(hub, 7);
    assert_int_equal(hub_seq(hub), 10);
    quote("A", 5, 0, "v");
    assert_int_equal(hub_seq(hub), 10);
    quote("A", 12, 5, "v");
    assert_int_equal(hub_seq(hub), 12);
}

static void a_snapshot_brings_the_value_even_if_a_state_came_before_it(void **state)
{
    static const uint64_t state_seq[] = {50, 60}; /* as old as the snapshot, or newer */

    (void)state;
    for (size_t i = 0; i < LENGTH(state_seq); i++) {
        struct hub_subscriber s = {.encoding = ENCODING_JSON};
        struct hub_symbol *symbol;
        const char *name = i ? "B" : "A";

        /* Subscribed, not yet synchronised: the first we hear is that it is stale. */
        join(&s, name, NO_LIMIT);
        state_record(name, state_seq[i], 40, "stale");
        turn(&s);
        snapshot(name, 50, true, 40, "value");
        symbol = hub_find(hub, span_of(name));
        assert_int_equal(symbol->seq, state_seq[i]);
        assert_int_equal(symbol->state, SYMBOL_STALE);
        assert_true(span_eq(buf_span(&symbol->body), "value"));
        assert_non_null(strstr(turn(&s), " value"));
        hub_leave_all(hub, &s);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_is_older_than_what_we_have_is_dropped),
        TEST(states_are_sent_and_end_with_the_next_quote),
        TEST(values_are_stale_while_the_broker_is_away),
        TEST(a_new_log_forgets_positions_and_keeps_values),
        TEST(the_position_only_rises),
        TEST(a_snapshot_brings_the_value_even_if_a_state_came_before_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
