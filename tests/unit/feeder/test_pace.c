#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "feeder/pace.h"

static void a_source_counts_as_late_from_half_a_second_on(void **state)
{
    struct pace p = {0};

    (void)state;
    assert_int_equal(pace_judge(&p, 499, false, 1000), PACE_NO_NEWS);
    assert_int_equal(pace_judge(&p, 500, false, 1000), PACE_TOO_SLOW);
    assert_true(p.is_late);
    assert_int_equal(p.since, 1000);
}

/* Between the two bounds it stays what it was. */
static void it_is_in_time_again_below_a_tenth_of_a_second(void **state)
{
    struct pace p = {0};

    (void)state;
    assert_int_equal(pace_judge(&p, 600, false, 1000), PACE_TOO_SLOW);
    assert_int_equal(pace_judge(&p, 100, false, 1500), PACE_NO_NEWS);
    assert_true(p.is_late);
    assert_int_equal(pace_judge(&p, 99, false, 1600), PACE_IN_TIME);
    assert_false(p.is_late);
    assert_int_equal(pace_judge(&p, 99, false, 1600), PACE_NO_NEWS);
    assert_int_equal(pace_judge(&p, 400, false, 1700), PACE_NO_NEWS);
}

static void while_it_lasts_it_is_logged_after_1_2_4_and_at_most_60_seconds(void **state)
{
    static const int64_t pauses[] = {1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};
    struct pace p = {0};
    int64_t now = 5000;

    (void)state;
    assert_int_equal(pace_judge(&p, 600, false, now), PACE_TOO_SLOW);
    for (size_t i = 0; i < sizeof pauses / sizeof *pauses; i++) {
        now += pauses[i];
        assert_int_equal(pace_judge(&p, 600, false, now - 1), PACE_NO_NEWS);
        assert_int_equal(pace_judge(&p, 600, false, now), PACE_TOO_SLOW);
    }
    assert_int_equal(p.since, 5000);
    assert_int_equal(pace_judge(&p, 0, false, now), PACE_IN_TIME);
    assert_int_equal(pace_judge(&p, 600, false, now + 1), PACE_TOO_SLOW);
    assert_int_equal(pace_judge(&p, 600, false, now + 1000), PACE_NO_NEWS);
    assert_int_equal(pace_judge(&p, 600, false, now + 1001), PACE_TOO_SLOW);
}

/* Full at any time since the last news: then the broker holds it up, not this machine. */
static void a_full_ring_is_the_cause_if_it_was_full_since_the_last_news(void **state)
{
    struct pace p = {0};

    (void)state;
    assert_int_equal(pace_judge(&p, 600, true, 1000), PACE_HELD_UP);
    assert_int_equal(pace_judge(&p, 600, false, 2000), PACE_TOO_SLOW);
    assert_int_equal(pace_judge(&p, 600, true, 2500), PACE_NO_NEWS);
    assert_int_equal(pace_judge(&p, 600, false, 4000), PACE_HELD_UP);
    p = (struct pace){0};
    assert_int_equal(pace_judge(&p, 100, true, 1000), PACE_NO_NEWS);
    assert_int_equal(pace_judge(&p, 600, false, 1100), PACE_HELD_UP);
    p = (struct pace){0};
    assert_int_equal(pace_judge(&p, 100, true, 1000), PACE_NO_NEWS);
    assert_int_equal(pace_judge(&p, 100, false, 1050), PACE_NO_NEWS); /* long ago */
    assert_int_equal(pace_judge(&p, 600, false, 1100), PACE_TOO_SLOW);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_source_counts_as_late_from_half_a_second_on),
        cmocka_unit_test(it_is_in_time_again_below_a_tenth_of_a_second),
        cmocka_unit_test(while_it_lasts_it_is_logged_after_1_2_4_and_at_most_60_seconds),
        cmocka_unit_test(a_full_ring_is_the_cause_if_it_was_full_since_the_last_news),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
