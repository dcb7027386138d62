#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "gateway/limits/rate.h"

static struct rate *rate;
static struct rate_limits limits;
static int64_t now, wait_ms;

static int set_up(void **state)
{
    (void)state;
    rate = rate_new(7);
    limits = (struct rate_limits){.per_address = 10, .all = 100};
    now = 1000000;
    wait_ms = -1;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    rate_free(rate);
    return 0;
}

static enum rate_verdict take(const char *address)
{
    return rate_take(rate, &limits, address, now, &wait_ms);
}

/* How many of `count` are taken. */
static unsigned take_many(const char *address, unsigned count)
{
    unsigned taken = 0;

    while (count--)
        taken += take(address) == RATE_TAKEN;
    return taken;
}

static void an_address_has_a_burst_and_then_its_rate(void **state)
{
    (void)state;
    assert_int_equal(take_many("192.0.2.1", 1000), 100);
    assert_int_equal(take("192.0.2.1"), RATE_OF_ADDRESS);
    assert_int_equal(wait_ms, 100);
    now += 99;
    assert_int_equal(take("192.0.2.1"), RATE_OF_ADDRESS);
    assert_int_equal(wait_ms, 1);
    now += 1;
    assert_int_equal(take("192.0.2.1"), RATE_TAKEN);
    for (int second = 0; second < 100; second++) {
        now += 1000;
        assert_int_equal(take_many("192.0.2.1", 100), 10);
    }
    now += 1000000000000;
    assert_int_equal(take_many("192.0.2.1", 1000), 100);
}

static void one_address_leaves_the_others_theirs(void **state)
{
    (void)state;
    limits.all = 1000;
    take_many("192.0.2.1", 1000);
    assert_int_equal(take_many("192.0.2.2", 1000), 100);
    assert_int_equal(take_many("2001:db8::1", 1000), 100);
}

static void all_addresses_together_have_a_rate_too(void **state)
{
    unsigned taken = 0;
    char address[32];

    (void)state;
    for (int i = 0; i < 100; i++) {
        snprintf(address, sizeof address, "192.0.2.%d", i);
        taken += take_many(address, 5);
    }
    assert_int_equal(taken, 200);
    assert_int_equal(take("198.51.100.1"), RATE_OF_ALL);
    assert_int_equal(wait_ms, 10);
    now += 1000;
    assert_int_equal(take_many("198.51.100.1", 1000), 100);
}

static void a_host_has_all_of_an_ipv6_network_and_one_rate(void **state)
{
    (void)state;
    limits.all = 1000;
    assert_int_equal(take_many("2001:db8:1:2::1", 10), 10);
    assert_int_equal(take_many("2001:db8:1:2:ffff::9", 1000), 90);
    assert_int_equal(take_many("2001:db8:1:2:8000::9", 1000), 0);
    assert_int_equal(take_many("2001:db8:1:3::1", 1000), 100);
    assert_int_equal(take_many("2001:db8:1:8002::1", 1000), 100);
    assert_int_equal(take_many("3001:db8:1:2::1", 1000), 100);
    assert_int_equal(take_many("::ffff:192.0.2.1", 1000), 100);
    assert_int_equal(take_many("::ffff:192.0.2.2", 1000), 100);
}

static void zero_is_no_limit(void **state)
{
    (void)state;
    limits.per_address = 0;
    assert_int_equal(take_many("192.0.2.1", 1000), 200);
    limits.all = 0;
    assert_int_equal(take_many("192.0.2.1", 1000), 1000);
    /* A reload may set them at any time. */
    limits = (struct rate_limits){.per_address = 10, .all = 100};
    now += 2000;
    assert_int_equal(take_many("192.0.2.1", 1000), 20);
}

static void many_addresses_take_no_further_memory_and_a_busy_address_keeps_its_place(void **state)
{
    char address[32];

    (void)state;
    limits.all = 0;
    take_many("192.0.2.1", 100);
    for (int i = 0; i < 100000; i++) {
        snprintf(address, sizeof address, "10.%d.%d.%d", i >> 16, i >> 8 & 255, i & 255);
        assert_int_equal(take(address), RATE_TAKEN);
        if (i % 100 == 0)
            assert_int_equal(take("192.0.2.1"), RATE_OF_ADDRESS);
        now += i % 1000 == 0;
        if (i % 1000 == 0 && i % 100000)
            take_many("192.0.2.1", 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        T(an_address_has_a_burst_and_then_its_rate),
        T(one_address_leaves_the_others_theirs),
        T(all_addresses_together_have_a_rate_too),
        T(a_host_has_all_of_an_ipv6_network_and_one_rate),
        T(zero_is_no_limit),
        T(many_addresses_take_no_further_memory_and_a_busy_address_keeps_its_place),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
