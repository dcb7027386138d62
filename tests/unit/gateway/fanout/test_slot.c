#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/fanout/slot.h"

#define MANY 8192 /* the largest power of two in ten seconds */
#define WINDOW 10000

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static void slots_lie_within_the_window_and_none_is_given_twice(void **state)
{
    static int64_t slots[MANY];

    (void)state;
    for (uint32_t n = 0; n < MANY; n++) {
        slots[n] = slot_at(n, WINDOW);
        assert_in_range(slots[n], 0, WINDOW - 1);
    }
    qsort(slots, MANY, sizeof slots[0], by_value);
    for (size_t i = 1; i < MANY; i++)
        assert_true(slots[i - 1] < slots[i]);
}

/* Also for those that come late: whenever one looks, what is given so far is even. */
static void however_many_have_asked_they_are_spread_evenly(void **state)
{
    (void)state;
    for (size_t count = 2; count <= 300; count++) {
        int64_t slots[301], narrow = WINDOW, wide = 0;

        for (size_t n = 0; n < count; n++)
            slots[n] = slot_at((uint32_t)n, WINDOW);
        slots[count] = WINDOW;
        qsort(slots, count, sizeof slots[0], by_value);
        for (size_t i = 0; i < count; i++) {
            int64_t space = slots[i + 1] - slots[i];

            narrow = space < narrow ? space : narrow;
            wide = space > wide ? space : wide;
        }
        assert_true(wide <= 2 * narrow + 2); /* whole milliseconds */
    }
}

static void no_window_and_the_largest_are_fine(void **state)
{
    (void)state;
    assert_int_equal(slot_at(5, 0), 0);
    assert_int_equal(slot_at(UINT32_MAX, 0), 0);
    assert_in_range(slot_at(UINT32_MAX, 600000), 599999, 599999);
    assert_in_range(slot_at(UINT32_MAX, INT32_MAX), 0, INT32_MAX - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_lie_within_the_window_and_none_is_given_twice),
        cmocka_unit_test(however_many_have_asked_they_are_spread_evenly),
        cmocka_unit_test(no_window_and_the_largest_are_fine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
