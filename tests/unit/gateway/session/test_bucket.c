#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gateway/session/bucket.h"
#include "tests/unit/dice.h"

static const struct bucket_rate rate = {.capacity = 10, .count = 4, .period_ms = 5};

static unsigned take_all(struct bucket *b, int64_t now)
{
    unsigned count = 0;

    while (bucket_take(b, &rate, now))
        count++;
    return count;
}

static void a_new_bucket_is_full(void **state)
{
    struct bucket b = {0};

    (void)state;
    assert_int_equal(take_all(&b, 1), 10);
    assert_int_equal(take_all(&b, 1), 0);
}

static void tokens_come_in_portions(void **state)
{
    struct bucket b = {0};

    (void)state;
    assert_int_equal(take_all(&b, 100), 10);
    assert_int_equal(take_all(&b, 104), 0);
    assert_int_equal(take_all(&b, 105), 4);
    assert_int_equal(take_all(&b, 109), 0);
    assert_int_equal(take_all(&b, 116), 8);
    assert_int_equal(take_all(&b, 119), 0); /* portions stay in step */
    assert_int_equal(take_all(&b, 120), 4);
}

static void it_never_holds_more_than_its_capacity(void **state)
{
    struct bucket b = {0};

    (void)state;
    assert_int_equal(take_all(&b, 100), 10);
    assert_int_equal(take_all(&b, INT64_MAX), 10);
    assert_int_equal(take_all(&b, 1), 0); /* a clock that goes back gives nothing */
}

static void over_any_time_no_more_is_given_than_the_burst_and_the_portions(void **state)
{
    (void)state;
    dice_seed();
    for (int round = 0; round < 1000; round++) {
        struct bucket_rate r = {.count = 1 + dice(50), .period_ms = 1 + dice(20)};
        struct bucket b = {0};
        int64_t begin = 1 + dice(1000), now = begin;
        uint64_t taken = 0;

        r.capacity = r.count + dice(100);
        for (int step = 0; step < 200; step++) {
            now += dice(4) ? dice(5) : dice(200);
            for (unsigned wanted = dice(100); wanted && bucket_take(&b, &r, now); wanted--)
                taken++;
            assert_true(taken <=
                        r.capacity + ((uint64_t)(now - begin) / r.period_ms + 1) * r.count);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_bucket_is_full),
        cmocka_unit_test(tokens_come_in_portions),
        cmocka_unit_test(it_never_holds_more_than_its_capacity),
        cmocka_unit_test(over_any_time_no_more_is_given_than_the_burst_and_the_portions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
