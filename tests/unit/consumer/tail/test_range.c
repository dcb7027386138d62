/* The part of the log that SINCE and UNTIL select. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "consumer/tail/range.h"

#define NOON_US (INT64_C(1764072000) * 1000000) /* 2025-11-25T12:00:00Z */

static void the_words_are_a_position_start_end_or_a_time(void **state)
{
    static const char *const wrong[] = {"yesterday", "12",      "@",    "@x", "end",
                                        "20251125",  "start:1", "7:-1", ":1", "-1"};
    struct range r = {0}, none = {0};

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(range_set_since(&r, wrong[i]));
    assert_false(range_set_until(&r, "start"));
    assert_false(range_set_until(&r, "00000000000000ff:7"));
    assert_memory_equal(&r, &none, sizeof r);
    assert_true(range_set_since(&r, "") && range_set_until(&r, ""));
    assert_memory_equal(&r, &none, sizeof r);
    assert_true(range_set_since(&r, "00000000000000ff:7"));
    assert_int_equal(r.since.epoch, 255);
    assert_int_equal(r.since.seq, 7);
    assert_int_equal(r.since_us, 0);
    assert_true(range_set_since(&r, "start"));
    assert_true(r.since.epoch && !r.since.seq && !r.since_us);
    assert_true(range_set_since(&r, "2025-11-25T13:00:00.25+01:00"));
    assert_true(r.since.epoch && r.since_us == NOON_US + 250000);
    assert_true(range_set_until(&r, "@1764072000.5"));
    assert_true(r.until_us == NOON_US + 500000 && !r.until_end);
    assert_true(range_set_until(&r, "@0"));
    assert_int_equal(range_judge(&r, NOON_US + 500000), RANGE_AFTER);
    r.has_passed = false;
    assert_true(range_set_until(&r, "end"));
    assert_true(!r.until_us && r.until_end);
}

static void a_record_of_the_last_time_is_beyond_the_range(void **state)
{
    struct range r = {.since_us = 10, .until_us = 20};

    (void)state;
    assert_int_equal(range_judge(&r, 9), RANGE_BEFORE);
    assert_int_equal(range_judge(&r, 10), RANGE_WITHIN);
    assert_int_equal(range_judge(&r, 19), RANGE_WITHIN);
    assert_false(range_is_over(&r, 1000000000));
    assert_int_equal(range_judge(&r, 20), RANGE_AFTER);
    assert_true(range_is_over(&r, 0));
    assert_int_equal(range_judge(&r, 19), RANGE_AFTER); /* it came too late */
}

static void the_range_is_over_when_the_log_is_read_and_the_time_has_come(void **state)
{
    struct range r = {.until_us = NOON_US}, end = {.until_end = true}, open = {0};

    (void)state;
    assert_false(range_is_over(&r, NOON_US + RANGE_LATE_US));
    assert_false(range_is_over(&end, NOON_US));
    r.is_synced = end.is_synced = open.is_synced = true;
    assert_false(range_is_over(&r, NOON_US + RANGE_LATE_US - 1));
    assert_true(range_is_over(&r, NOON_US + RANGE_LATE_US));
    assert_true(range_is_over(&end, 0));
    assert_false(range_is_over(&open, NOON_US));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_words_are_a_position_start_end_or_a_time),
        cmocka_unit_test(a_record_of_the_last_time_is_beyond_the_range),
        cmocka_unit_test(the_range_is_over_when_the_log_is_read_and_the_time_has_come),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
