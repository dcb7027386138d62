#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "gateway/limits/descriptors.h"

static void what_is_left_goes_to_websockets(void **state)
{
    struct descriptors d;

    (void)state;
    assert_int_equal(descriptors_divide(20000, 100, 2048, &d), OK);
    assert_int_equal(d.limit, 20000);
    assert_int_equal(d.http, 2048);
    assert_int_equal(d.capacity, 20000 - 100 - 32 - 2048);
    assert_true(100 + d.http + d.capacity < d.limit);
}

static void http_takes_a_quarter_at_most(void **state)
{
    struct descriptors d;

    (void)state;
    for (int limit = 150; limit < 3000; limit++) {
        assert_int_equal(descriptors_divide(limit, 100, 100000, &d), OK);
        assert_true(d.http > 0 && d.http <= limit / 4);
        assert_true(d.capacity >= d.http);
        assert_true(100 + d.http + d.capacity < limit);
    }
}

static void too_few_are_refused(void **state)
{
    struct descriptors d = {.limit = 7};

    (void)state;
    assert_int_equal(descriptors_divide(100, 100, 64, &d), ERR_FULL);
    assert_int_equal(descriptors_divide(0, 100, 64, &d), ERR_FULL);
    assert_int_equal(d.limit, 7);
    assert_int_equal(descriptors_divide(100 + 32 + 7, 100, 64, &d), ERR_FULL);
    assert_int_equal(descriptors_divide(100 + 32 + 8, 100, 64, &d), OK);
    assert_int_equal(d.http, 2);
    assert_int_equal(d.capacity, 6);
    assert_int_equal(descriptors_divide(100 + 32 + 8, 100, 2, &d), OK);
    assert_int_equal(d.http, 2);
    assert_int_equal(descriptors_divide(100 + 32 + 8, 100, 1, &d), OK);
    assert_int_equal(d.http, 1);
}

static void the_soft_limit_is_raised_and_nothing_stays_open(void **state)
{
    struct descriptors d;
    struct rlimit r;
    int before = dup(0), after;

    (void)state;
    close(before);
    assert_int_equal(descriptors_prepare(64, 100, &d), OK);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &r), 0);
    assert_true(r.rlim_cur == r.rlim_max);
    /* The open ones (at least three) are not given out, nor 96 and 32 for what comes later. */
    assert_true(d.http + d.capacity <= d.limit - 3 - 96 - 32);
    after = dup(0);
    close(after);
    assert_int_equal(after, before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_left_goes_to_websockets),
        cmocka_unit_test(http_takes_a_quarter_at_most),
        cmocka_unit_test(too_few_are_refused),
        cmocka_unit_test(the_soft_limit_is_raised_and_nothing_stays_open),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
