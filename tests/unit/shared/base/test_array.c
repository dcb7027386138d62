#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "shared/base/array.h"

static void an_array_has_room_for_what_was_reserved(void **state)
{
    uint64_t *items = NULL;
    uint32_t cap = 0, count = 0;

    (void)state;
    for (; count < 1000; count++) {
        ARRAY_RESERVE(items, cap, count + 1);
        assert_true(cap > count);
        items[count] = count;
    }
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(items[i], i);
    free(items);
}

static void capacity_doubles_and_so_1000_additions_move_the_array_10_times(void **state)
{
    char *items = NULL;
    size_t cap = 0, moves = 0;

    (void)state;
    for (size_t count = 0, before = 0; count < 1000; count++, before = cap) {
        ARRAY_RESERVE(items, cap, count + 1);
        moves += cap != before;
    }
    assert_int_equal(cap, 1024);
    assert_int_equal(moves, 11); /* the first one allocates */
    free(items);
}

static void a_reservation_that_fits_changes_nothing(void **state)
{
    int *items = NULL, *before;
    size_t cap = 0;

    (void)state;
    ARRAY_RESERVE(items, cap, cap);
    assert_null(items);
    ARRAY_RESERVE(items, cap, 7);
    assert_int_equal(cap, 7);
    before = items;
    ARRAY_RESERVE(items, cap, 7);
    ARRAY_RESERVE(items, cap, 1);
    assert_ptr_equal(items, before);
    assert_int_equal(cap, 7);
    free(items);
}

static void a_large_reservation_is_exact_and_a_small_one_doubles(void **state)
{
    (void)state;
    assert_int_equal(array_capacity(0, 1), 1);
    assert_int_equal(array_capacity(8, 8), 8);
    assert_int_equal(array_capacity(8, 9), 16);
    assert_int_equal(array_capacity(8, 16), 16);
    assert_int_equal(array_capacity(8, 17), 17);
    assert_int_equal(array_capacity(8, 100), 100);
}

static void new_elements_are_zeroed_if_the_caller_wants_that(void **state)
{
    struct {
        int a, b;
    } *items = NULL;
    size_t cap = 0, zeros = 0;

    (void)state;
    for (size_t need = 1; need < 300; need++) {
        size_t before = cap;

        ARRAY_RESERVE_ZEROED(items, cap, need);
        for (size_t i = before; i < cap; i++) {
            zeros += items[i].a == 0 && items[i].b == 0;
            items[i].a = items[i].b = -1;
        }
    }
    assert_int_equal(zeros, cap);
    free(items);
}

static void elements_are_put_in_and_taken_out_at_any_place(void **state)
{
    char items[8] = "bd";
    unsigned count = 2;

    (void)state;
    ARRAY_INSERT(items, count, 0, 'a');
    ARRAY_INSERT(items, count, 2, 'c');
    ARRAY_INSERT(items, count, count, 'e');
    assert_int_equal(count, 5);
    assert_memory_equal(items, "abcde", 6);
    ARRAY_REMOVE(items, count, 4);
    ARRAY_REMOVE(items, count, 1);
    ARRAY_REMOVE(items, count, 0);
    assert_int_equal(count, 2);
    assert_memory_equal(items, "cd", 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_array_has_room_for_what_was_reserved),
        cmocka_unit_test(capacity_doubles_and_so_1000_additions_move_the_array_10_times),
        cmocka_unit_test(a_reservation_that_fits_changes_nothing),
        cmocka_unit_test(new_elements_are_zeroed_if_the_caller_wants_that),
        cmocka_unit_test(elements_are_put_in_and_taken_out_at_any_place),
        cmocka_unit_test(a_large_reservation_is_exact_and_a_small_one_doubles),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
