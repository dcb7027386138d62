#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "consumer/telegram/backoff.h"
#include "tests/unit/dice.h"

static void each_failure_waits_longer_up_to_the_most(void **state)
{
    static const int64_t most[] = {500, 1000, 2000, 4000, 8000, 16000, 30000, 30000};

    (void)state;
    dice_seed();
    for (int round = 0; round < 100; round++) {
        struct backoff b = {0};

        assert_int_equal(backoff_wait(&b, 7), 0);
        for (size_t i = 0; i < sizeof most / sizeof most[0]; i++) {
            backoff_failed(&b, 0, (uint64_t)random(), 1000);
            assert_in_range(backoff_wait(&b, 1000), most[i] / 2, most[i]);
        }
        for (int i = 0; i < 1000; i++)
            backoff_failed(&b, 0, UINT64_MAX, 1000);
        assert_in_range(backoff_wait(&b, 1000), BACKOFF_MAX_MS / 2, BACKOFF_MAX_MS);
        backoff_succeeded(&b);
        assert_int_equal(backoff_wait(&b, 1000), 0);
    }
}

static void a_wait_is_never_shorter_than_requested(void **state)
{
    struct backoff b = {0};

    (void)state;
    backoff_failed(&b, 45000, 3, 1000);
    assert_int_equal(backoff_wait(&b, 1000), 45000);
    assert_int_equal(backoff_wait(&b, 46000), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_failure_waits_longer_up_to_the_most),
        cmocka_unit_test(a_wait_is_never_shorter_than_requested),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
