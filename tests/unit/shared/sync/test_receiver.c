/* The receiver with many patterns, each in mode all or newest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/shared/sync/receiver_owner.h"

static void drop(const char *name)
{
    o->k.is_dropping = true;
    quote(&o->k, name);
    o->k.is_dropping = false;
}

static void a_gap_in_mode_newest_is_passed_over_and_the_record_is_handed_out(void **state)
{
    (void)state;
    open_owner(10);
    hold("A*", false);
    quote(&o->k, "A");
    turns(3);
    assert_int_equal(o->kept[0].last, 1);
    drop("A");
    quote(&o->k, "A");
    turn();
    assert_int_equal(o->kept[0].last, 3);
    assert_true(o->leaps == 1 && o->passed == 3);
    assert_true(receiver_is_verified(o->k.f));
    assert_int_equal(receiver_gaps(o->k.f), 1);
    close_owner();
}

static void a_gap_in_mode_all_is_filled_from_the_log(void **state)
{
    (void)state;
    open_owner(10);
    hold("*", true);
    quote(&o->k, "A");
    turns(3);
    drop("A");
    quote(&o->k, "A");
    deliver(&o->k, ~0u);
    assert_false(receiver_is_verified(o->k.f));
    assert_int_equal(o->kept[0].last, 1);
    turns(3);
    assert_int_equal(o->kept[0].last, 3);
    assert_true(o->records == 2 && !o->leaps);
    close_owner();
}

static void of_a_symbol_not_seen_yet_records_are_missing_since_the_mark_of_its_pattern(void **state)
{
    (void)state;
    open_owner(10);
    hold("A*", true);
    quote(&o->k, "X"), quote(&o->k, "X");
    turns(3);
    quote(&o->k, "AB"); /* its first */
    turn();
    assert_true(o->kept[1].last == 3 && receiver_is_verified(o->k.f));
    drop("ABC");
    quote(&o->k, "ABC");
    deliver(&o->k, ~0u);
    assert_false(receiver_is_verified(o->k.f));
    turns(3);
    assert_int_equal(o->kept[2].last, 5);
    assert_int_equal(o->records, 3);
    close_owner();
}

static void a_state_after_a_gap_in_mode_newest_requests_the_symbols_snapshot(void **state)
{
    (void)state;
    open_owner(10);
    hold("A", false);
    quote(&o->k, "A");
    turns(3);
    drop("A");
    publish(&o->k, 0, WIRE_STATE);
    turns(2);
    assert_int_equal(o->kept[0].quote, 2);
    close_owner();
}

static void a_loss_from_before_the_mark_is_not_missing(void **state)
{
    (void)state;
    open_owner(10);
    publish(&o->k, -1, WIRE_LOST);
    hold("*", true);
    turns(3);
    publish(&o->k, -1, WIRE_LOST);
    turn();
    assert_true(o->losses == 1 && receiver_is_verified(o->k.f));
    o->k.is_dropping = true;
    publish(&o->k, -1, WIRE_LOST);
    o->k.is_dropping = false;
    publish(&o->k, -1, WIRE_LOST);
    deliver(&o->k, ~0u);
    assert_true(o->losses == 1 && !receiver_is_verified(o->k.f));
    turns(3);
    assert_int_equal(o->losses, 3);
    assert_int_equal(receiver_gaps(o->k.f), 1);
    close_owner();
}

static unsigned pending_count(void)
{
    unsigned count = 0;

    for (const struct receiver_pattern *p = o->k.f->pending; p; p = p->next_pending)
        count++;
    return count;
}

static void a_mark_looks_at_the_patterns_that_are_not_live_only(void **state)
{
    (void)state;
    open_owner(10);
    hold("A", false), hold("AB", true), hold("B*", false);
    assert_int_equal(pending_count(), 3);
    turns(3);
    assert_int_equal(pending_count(), 0);
    hold("X", true);
    assert_int_equal(pending_count(), 1);
    release(2);
    assert_int_equal(pending_count(), 1);
    reconnect(&o->k);
    deliver(&o->k, ~0u);
    assert_int_equal(pending_count(), 3);
    release(2 + 1);
    assert_int_equal(pending_count(), 2);
    turns(3);
    assert_int_equal(pending_count(), 0);
    close_owner();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_gap_in_mode_newest_is_passed_over_and_the_record_is_handed_out),
        cmocka_unit_test(a_gap_in_mode_all_is_filled_from_the_log),
        cmocka_unit_test(
            of_a_symbol_not_seen_yet_records_are_missing_since_the_mark_of_its_pattern),
        cmocka_unit_test(a_state_after_a_gap_in_mode_newest_requests_the_symbols_snapshot),
        cmocka_unit_test(a_loss_from_before_the_mark_is_not_missing),
        cmocka_unit_test(a_mark_looks_at_the_patterns_that_are_not_live_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
