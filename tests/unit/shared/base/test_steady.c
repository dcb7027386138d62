#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shared/base/steady.h"

#define WALL_US 1640995200000000
#define HOUR_US INT64_C(3600000000)
#define DAY_US (24 * HOUR_US)
#define BOOT_MS 5000
#define PATIENCE_MS (24 * 3600 * 1000)

static struct steady s;
static int64_t boot_ms, wall_us;

static int begin(void **state)
{
    (void)state;
    boot_ms = BOOT_MS;
    wall_us = WALL_US;
    steady_begin(&s, boot_ms, wall_us, PATIENCE_MS);
    return 0;
}

/* The clock runs, and is set by `jump_us` in between. */
static int64_t after(int64_t ms, int64_t jump_us)
{
    boot_ms += ms;
    wall_us += ms * 1000 + jump_us;
    return steady_look(&s, boot_ms, wall_us);
}

static uint64_t cut(void)
{
    return steady_cut(&s, boot_ms, wall_us, (uint64_t)DAY_US);
}

static void a_clock_that_is_three_days_ahead_for_15_s_makes_nothing_old(void **state)
{
    (void)state;
    assert_int_equal(after(1000, 0), 0);
    assert_int_equal(after(1000, 3 * DAY_US), 3 * DAY_US);
    for (int i = 0; i < 15; i++) {
        assert_int_equal(cut(), (uint64_t)(WALL_US + (boot_ms - BOOT_MS) * 1000 - DAY_US));
        assert_int_equal(after(1000, 0), 0);
    }
    assert_int_equal(after(1000, -3 * DAY_US), -3 * DAY_US);
    assert_false(s.is_apart);
    assert_int_equal(cut(), (uint64_t)(wall_us - DAY_US));
}

static void a_clock_that_goes_back_makes_nothing_old_and_counts_itself(void **state)
{
    (void)state;
    assert_int_equal(after(1000, -HOUR_US), -HOUR_US);
    assert_int_equal(cut(), (uint64_t)(wall_us - DAY_US)); /* what it stamps is kept, too */
    assert_int_equal(steady_time(&s, boot_ms), WALL_US + 1000000);
    assert_int_equal(after(60000, HOUR_US), HOUR_US);
    assert_false(s.is_apart);
}

static void a_jump_that_lasts_is_believed(void **state)
{
    (void)state;
    after(1000, 3 * DAY_US);
    for (int64_t ms = 0; ms < PATIENCE_MS - 1000; ms += 1000)
        after(1000, 0);
    assert_int_equal(steady_time(&s, boot_ms), wall_us - 3 * DAY_US);
    after(1000, 0);
    assert_int_equal(steady_time(&s, boot_ms), wall_us);
    assert_int_equal(cut(), (uint64_t)(wall_us - DAY_US));
}

static void drift_is_followed_and_is_no_jump(void **state)
{
    (void)state;
    for (int i = 0; i < 100000; i++) /* 500 ppm, what NTP slews at most */
        assert_int_equal(after(1000, 500), 0);
    assert_int_equal(steady_time(&s, boot_ms), wall_us);
    after(1000, DAY_US);
    for (int i = 0; i < 10000; i++) /* also while apart */
        assert_int_equal(after(1000, 500), 0);
    assert_int_equal(steady_time(&s, boot_ms), wall_us - DAY_US);
}

static void no_age_and_an_age_beyond_1970_cut_nothing(void **state)
{
    (void)state;
    assert_int_equal(steady_cut(&s, boot_ms, wall_us, 0), 0);
    assert_int_equal(steady_cut(&s, boot_ms, wall_us, (uint64_t)WALL_US), 0);
    assert_int_equal(steady_cut(&s, boot_ms, wall_us, UINT64_MAX), 0);
    assert_int_equal(steady_cut(&s, boot_ms, -5, 1), 0);
}

static void it_may_begin_earlier_than_the_clock_tells(void **state)
{
    (void)state;
    steady_begin(&s, boot_ms, wall_us - 3 * DAY_US, PATIENCE_MS);
    assert_int_equal(after(1000, 0), 3 * DAY_US);
    assert_int_equal(cut(), (uint64_t)(wall_us - 4 * DAY_US));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, begin)
    const struct CMUnitTest tests[] = {
        TEST(a_clock_that_is_three_days_ahead_for_15_s_makes_nothing_old),
        TEST(a_clock_that_goes_back_makes_nothing_old_and_counts_itself),
        TEST(a_jump_that_lasts_is_believed),
        TEST(drift_is_followed_and_is_no_jump),
        TEST(no_age_and_an_age_beyond_1970_cut_nothing),
        TEST(it_may_begin_earlier_than_the_clock_tells),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
