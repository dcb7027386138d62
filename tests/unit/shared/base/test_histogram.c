#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shared/base/histogram.h"

static void a_value_counts_in_every_bucket_whose_bound_it_does_not_exceed(void **state)
{
    static const struct histogram_scale scale = {{10, 100, 1000}, 3};
    struct histogram h;

    (void)state;
    histogram_init(&h, &scale);
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

static void check_value(const struct histogram_scale *s, uint64_t value)
{
    struct histogram h;

    histogram_init(&h, s);
    histogram_add(&h, value);
    for (uint32_t i = 0; i < s->count; i++)
        assert_int_equal(histogram_upto(&h, i), value <= s->bounds[i]);
    assert_int_equal(histogram_upto(&h, s->count), 1);
}

/* Around every bound, around every power of two, and at the ends. */
static void every_value_finds_its_bucket(void **state)
{
    static const struct histogram_scale dense = {{4, 5, 6, 7, 9}, 5}, one = {{0}, 1};
    const struct histogram_scale *scales[] = {&histogram_latency_us, &histogram_amount, &dense,
                                              &one};

    (void)state;
    for (size_t k = 0; k < sizeof scales / sizeof *scales; k++) {
        for (uint32_t i = 0; i < scales[k]->count; i++)
            for (uint64_t off = 0; off < 3; off++)
                check_value(scales[k], scales[k]->bounds[i] + off - 1);
        for (int bit = 0; bit < 64; bit++)
            for (uint64_t off = 0; off < 3; off++)
                check_value(scales[k], ((uint64_t)1 << bit) + off - 1);
    }
}

static void check_scale(const struct histogram_scale *s)
{
    assert_in_range(s->count, 1, HISTOGRAM_BOUNDS_MAX);
    for (uint32_t i = 1; i < s->count; i++)
        assert_true(s->bounds[i] > s->bounds[i - 1]);
    for (uint32_t i = s->count; i < HISTOGRAM_BOUNDS_MAX; i++)
        assert_int_equal(s->bounds[i], 0); /* `count` is how many there are */
}

static void the_scales_rise_and_say_how_long_they_are(void **state)
{
    (void)state;
    check_scale(&histogram_latency_us);
    check_scale(&histogram_amount);
}

/* As docs/protocol lists them, and dashboards know them. */
static void the_bounds_are_those_that_are_documented(void **state)
{
    static const uint64_t latency[] = {50,     100,     250,     500,     1000,    2500,
                                       5000,   10000,   25000,   50000,   100000,  250000,
                                       500000, 1000000, 2500000, 5000000, 10000000},
                          amount[] = {0, 1, 3, 10, 30, 100, 300, 1000, 3000, 10000, 30000, 100000};

    (void)state;
    assert_int_equal(histogram_latency_us.count, sizeof latency / sizeof *latency);
    assert_memory_equal(histogram_latency_us.bounds, latency, sizeof latency);
    assert_int_equal(histogram_amount.count, sizeof amount / sizeof *amount);
    assert_memory_equal(histogram_amount.bounds, amount, sizeof amount);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_counts_in_every_bucket_whose_bound_it_does_not_exceed),
        cmocka_unit_test(every_value_finds_its_bucket),
        cmocka_unit_test(the_bounds_are_those_that_are_documented),
        cmocka_unit_test(the_scales_rise_and_say_how_long_they_are),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
