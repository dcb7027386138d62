#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shared/base/wait.h"

static void the_shorter_wait_counts_and_below_zero_is_for_ever(void **state)
{
    static const int64_t rows[][3] = {{1, 2, 1},  {0, 5, 0},  {7, 7, 7},
                                      {-1, 5, 5}, {-1, 0, 0}, {-1, -1, -1}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(wait_sooner(rows[i][0], rows[i][1]), rows[i][2]);
        assert_int_equal(wait_sooner(rows[i][1], rows[i][0]), rows[i][2]);
    }
}

static void a_time_that_is_over_is_not_waited_for(void **state)
{
    (void)state;
    assert_int_equal(wait_until(1500, 1000), 500);
    assert_int_equal(wait_until(1000, 1000), 0);
    assert_int_equal(wait_until(999, 1000), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_shorter_wait_counts_and_below_zero_is_for_ever),
        cmocka_unit_test(a_time_that_is_over_is_not_waited_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
