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

static const char *join_since(struct hub_subscriber *s, uint64_t since)
{
    struct hub_topic *t = hub_topic_retain(hub, SPAN("*"));

    hub_join(hub, s, &t, 1, NO_LIMIT, since, NULL);
    hub_topic_release(hub, t);
    return take_all(s);
}

static void remove_by_snapshot(const char *symbol, uint64_t seq)
{
    note_change(symbol);
    hub_apply_removed(hub, hub_find(hub, span_of(symbol)), seq);
}

static void a_removal_is_a_state_in_either_mode(void **state)
{
    struct hub_subscriber merge = {.encoding = ENCODING_JSON},
                          all = {.encoding = ENCODING_MSGPACK, .wants_all = true};

    (void)state;
    quote("A", 1, 0, "one");
    quote("B", 2, 0, "two");
    join(&merge, "*", NO_LIMIT);
    join(&all, "*", NO_LIMIT);
    turn(&merge);
    take_all(&all);
    assert_int_equal(hub_valued_count(hub), 2);
    state_record("A", 3, 1, "removed");
    assert_string_equal(turn(&merge), "state A 3<1 removed ");
    assert_string_equal(take_all(&all), "state A 3<1 removed ");
    assert_int_equal(hub_valued_count(hub), 1);
    hub_leave_all(hub, &merge);
    hub_leave_all(hub, &all);
}

static void a_removed_symbol_is_no_snapshot_and_comes_back_with_its_next_quote(void **state)
{
    struct hub_subscriber s = {.encoding = ENCODING_JSON};

    (void)state;
    quote("A", 1, 0, "one");
    state_record("A", 2, 1, "removed");
    hub_fan_out(hub);
    assert_int_equal(join(&s, "*", NO_LIMIT), 0);
    assert_string_equal(turn(&s), "");
    quote("A", 3, 2, "three");
    assert_string_equal(turn(&s), "quote A 3<2 live three");
    assert_int_equal(hub_valued_count(hub), 1);
    hub_leave_all(hub, &s);
}

static void a_client_that_falls_behind_gets_the_removal_instead_of_the_value(void **state)
{
    struct hub_subscriber s = {.encoding = ENCODING_JSON};

    (void)state;
    quote("A", 1, 0, "one");
    join(&s, "*", NO_LIMIT); /* its snapshot waits */
    quote("A", 2, 1, "two");
    hub_fan_out(hub);
    state_record("A", 3, 2, "removed");
    assert_string_equal(turn(&s), "state A 3<2 removed ");
    hub_leave_all(hub, &s);
}

static void a_client_that_resumes_learns_of_removals_after_its_position_only(void **state)
{
    struct hub_subscriber before = {.encoding = ENCODING_JSON},
                          after = {.encoding = ENCODING_MSGPACK};

    (void)state;
    quote("A", 1, 0, "one");
    quote("B", 2, 0, "two");
    join(&before, "*", NO_LIMIT);
    turn(&before);
    hub_leave_all(hub, &before);
    state_record("A", 3, 1, "removed");
    hub_fan_out(hub);
    assert_string_equal(join_since(&before, 2), "state A 3<1 removed  | state B 2<0 live two");
    assert_string_equal(join_since(&after, 3), "state B 2<0 live two");
    hub_leave_all(hub, &before);
    hub_leave_all(hub, &after);
}

static void a_snapshot_that_names_a_removal_applies_it_once(void **state)
{
    struct hub_subscriber s = {.encoding = ENCODING_JSON};

    (void)state;
    quote("A", 1, 0, "one");
    quote("B", 5, 0, "two");
    join(&s, "*", NO_LIMIT);
    turn(&s);
    hub_go_stale(hub);
    take_all(&s);
    turn(&s);
    remove_by_snapshot("A", 4);
    remove_by_snapshot("B", 4); /* a newer quote has brought it back */
    assert_string_equal(turn(&s), "state A 4<1 removed ");
    remove_by_snapshot("A", 4);
    assert_string_equal(turn(&s), "");
    assert_int_equal(hub_valued_count(hub), 1);
    hub_leave_all(hub, &s);
}

static void a_removed_name_that_no_client_wants_is_forgotten(void **state)
{
    struct hub_subscriber s = {.encoding = ENCODING_JSON};

    (void)state;
    quote("A", 1, 0, "one");
    join(&s, "A", NO_LIMIT);
    turn(&s);
    state_record("A", 2, 1, "removed");
    turn(&s);
    forget_all();
    assert_non_null(hub_find(hub, SPAN("A"))); /* for clients that resume */
    hub_leave_all(hub, &s);
    forget_all();
    assert_null(hub_find(hub, SPAN("A")));
}

static void a_new_log_knows_nothing_of_removals(void **state)
{
    struct hub_subscriber s = {.encoding = ENCODING_JSON};

    (void)state;
    quote("A", 1, 0, "one");
    join(&s, "*", NO_LIMIT);
    turn(&s);
    state_record("A", 2, 1, "removed");
    turn(&s);
    note_change("A");
    hub_reset(hub, 9);
    assert_string_equal(turn(&s), "");
    quote("A", 1, 0, "again");
    assert_string_equal(turn(&s), "quote A 1<0 live again");
    hub_leave_all(hub, &s);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_removal_is_a_state_in_either_mode),
        TEST(a_removed_symbol_is_no_snapshot_and_comes_back_with_its_next_quote),
        TEST(a_client_that_falls_behind_gets_the_removal_instead_of_the_value),
        TEST(a_client_that_resumes_learns_of_removals_after_its_position_only),
        TEST(a_snapshot_that_names_a_removal_applies_it_once),
        TEST(a_removed_name_that_no_client_wants_is_forgotten),
        TEST(a_new_log_knows_nothing_of_removals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
