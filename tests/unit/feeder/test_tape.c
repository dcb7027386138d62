/* The pace of a recording. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "feeder/tape.h"

static char name[] = "tape";
static struct source source = {.name = name, .set = {.speed = 2, .max_gap_ms = 3000}};
static struct tape tape;

static int start(void **state)
{
    (void)state;
    tape = (struct tape){0};
    return 0;
}

static int64_t due(int64_t row_ms, int64_t now_ms)
{
    struct source_now now = {.ms = now_ms};

    return tape_schedule(&tape, &source, row_ms * 1000, 1, &now);
}

static void pauses_are_divided_by_the_speed_and_shortened_to_the_longest(void **state)
{
    (void)state;
    assert_int_equal(due(100000, 5000), 5000);
    assert_int_equal(due(101000, 5000), 5500);
    assert_int_equal(due(109000, 5500), 8500); /* 4 s, of which 3 s are left */
    source.set.speed = 0;
    assert_int_equal(due(999000, 8500), 8500);
    source.set.speed = 2;
}

static void a_row_before_the_clock_is_due_at_once_until_many_come(void **state)
{
    (void)state;
    due(100000, 5000);
    for (int i = 1; i < 32; i++)
        assert_int_equal(due(50000, 5000), 5000);
    assert_int_equal(due(101000, 5000), 5500); /* the clock was not set back */
    for (int i = 0; i < 32; i++)
        assert_int_equal(due(50000, 5500), 5500);
    assert_int_equal(due(51000, 5500), 6000); /* now it was */
}

static void a_source_that_is_late_goes_on_from_now(void **state)
{
    (void)state;
    due(100000, 5000);
    assert_int_equal(due(102000, 5900), 6000); /* under a second late: the pace is kept */
    assert_int_equal(due(104000, 9000), 10000);
}

static void a_second_pass_begins_after_the_longest_pause(void **state)
{
    (void)state;
    due(100000, 5000);
    tape_rewind(&tape, &source);
    assert_int_equal(due(100000, 5000), 8000);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup(name, start)
    const struct CMUnitTest tests[] = {
        CASE(pauses_are_divided_by_the_speed_and_shortened_to_the_longest),
        CASE(a_row_before_the_clock_is_due_at_once_until_many_come),
        CASE(a_source_that_is_late_goes_on_from_now),
        CASE(a_second_pass_begins_after_the_longest_pause),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
