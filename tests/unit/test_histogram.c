#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shared/histogram.h"

static void a_value_counts_in_every_bucket_whose_bound_it_does_not_exceed(void **state)
{
    static const struct histogram_scale scale = {{10, 100, 1000}, 3};
    struct histogram h = {.scale = &scale};

    (void)state;
    histogram_add(&h, 0);
    histogram_add(&h, 10);
    histogram_add(&h, 11);
    histogram_add(&h, 1000);
    histogram_add(&h, 1001);
    histogram_add(&h, UINT32_MAX);
    assert_int_equal(histogram_upto(&h, 0), 2);
    assert_int_equal(histogram_upto(&h, 1), 3);
    assert_int_equal(histogram_upto(&h, 2), 4);
    assert_int_equal(histogram_upto(&h, 3), 6);
    assert_int_equal(h.sum, 10 + 11 + 1000 + 1001 + (uint64_t)UINT32_MAX);
}

static void check_scale(const struct histogram_scale *s)
{
    assert_in_range(s->count, 1, HISTOGRAM_BOUNDS_MAX);
    for (uint32_t i = 1; i < s->count; i++)
        assert_true(s->bounds[i] > s->bounds[i - 1]);
    for (uint32_t i = s->count; i < HISTOGRAM_BOUNDS_MAX; i++)
        assert_int_equal(s->bounds[i], 0); /* `count` says how many there are */
}

static void the_scales_rise_and_say_how_long_they_are(void **state)
{
    (void)state;
    check_scale(&histogram_latency_us);
    check_scale(&histogram_amount);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_counts_in_every_bucket_whose_bound_it_does_not_exceed),
        cmocka_unit_test(the_scales_rise_and_say_how_long_they_are),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
