#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gateway/fanout/counters.h"

#define NOW 1795382037000000

static uint64_t count(const struct histogram *h)
{
    return histogram_upto(h, h->scale->count);
}

static void note(struct counters *f, uint64_t sent_ago, uint64_t accepted_ago)
{
    struct wire_record r = {.sent_us = NOW - sent_ago, .accepted_us = NOW - accepted_ago};

    counters_note(f, &r);
}

static void a_quote_is_timed_once_when_all_have_been_served(void **state)
{
    static struct counters f;

    (void)state;
    counters_init(&f);
    note(&f, 700, 300);
    note(&f, 90, 40);
    assert_int_equal(count(&f.since_sent), 0);
    counters_served(&f, NOW);
    counters_served(&f, NOW + 1000000);
    assert_int_equal(count(&f.since_sent), 2);
    assert_int_equal(f.since_sent.sum, 790);
    assert_int_equal(count(&f.since_accepted), 2);
    assert_int_equal(f.since_accepted.sum, 340);
}

static void a_clock_ahead_of_ours_counts_as_no_time_and_no_stamp_as_nothing(void **state)
{
    static struct counters f;
    struct wire_record r = {.accepted_us = NOW + 5};

    (void)state;
    counters_init(&f);
    counters_note(&f, &r);
    counters_served(&f, NOW);
    assert_int_equal(count(&f.since_sent), 0);
    assert_int_equal(count(&f.since_accepted), 1);
    assert_int_equal(f.since_accepted.sum, 0);
}

static void a_stamp_of_another_unit_or_of_long_ago_is_not_timed(void **state)
{
    static const uint64_t stamps[] = {NOW / 1000, NOW / 1000000, 1, NOW - 86400000001};
    static struct counters f;

    (void)state;
    counters_init(&f);
    for (size_t i = 0; i < sizeof stamps / sizeof *stamps; i++) {
        struct wire_record r = {.sent_us = stamps[i], .accepted_us = UINT64_MAX};

        counters_note(&f, &r);
    }
    counters_served(&f, NOW);
    assert_int_equal(count(&f.since_sent), 0);
    assert_int_equal(f.since_sent.sum, 0);
    assert_int_equal(count(&f.since_accepted), 4);
    assert_int_equal(f.since_accepted.sum, 0);
}

static void a_delay_of_exactly_a_day_is_timed(void **state)
{
    static struct counters f;

    (void)state;
    counters_init(&f);
    note(&f, 86400000000, 86400000001);
    counters_served(&f, NOW);
    assert_int_equal(count(&f.since_sent), 1);
    assert_int_equal(count(&f.since_accepted), 0);
}

static void amounts_and_delays_have_scales_from_the_start(void **state)
{
    static struct counters f;

    (void)state;
    counters_init(&f);
    assert_ptr_equal(f.since_sent.scale, &histogram_latency_us);
    assert_ptr_equal(f.since_accepted.scale, &histogram_latency_us);
    assert_ptr_equal(f.queued[0].scale, &histogram_amount);
    assert_ptr_equal(f.queued[1].scale, &histogram_amount);
}

static void what_waits_to_be_timed_is_bounded(void **state)
{
    static struct counters f;

    (void)state;
    counters_init(&f);
    for (int i = 0; i < COUNTERS_PENDING_MAX + 10; i++)
        note(&f, 1, 1);
    counters_served(&f, NOW);
    assert_int_equal(count(&f.since_sent), COUNTERS_PENDING_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_quote_is_timed_once_when_all_have_been_served),
        cmocka_unit_test(a_clock_ahead_of_ours_counts_as_no_time_and_no_stamp_as_nothing),
        cmocka_unit_test(a_stamp_of_another_unit_or_of_long_ago_is_not_timed),
        cmocka_unit_test(a_delay_of_exactly_a_day_is_timed),
        cmocka_unit_test(amounts_and_delays_have_scales_from_the_start),
        cmocka_unit_test(what_waits_to_be_timed_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
