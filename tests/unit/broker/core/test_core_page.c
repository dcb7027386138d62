#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "broker/core/core_private.h"

static struct store_page page;

static int set_up(void **state)
{
    (void)state;
    page = (struct store_page){.gap_count = 1, .gaps = {{5, 7, "not_stored"}}};
    return 0;
}

static void is_gap(size_t i, uint64_t first, uint64_t last, const char *reason)
{
    assert_int_equal(page.gaps[i].first, first);
    assert_int_equal(page.gaps[i].last, last);
    assert_string_equal(page.gaps[i].reason, reason);
}

static void a_damaged_position_extends_the_gap_beside_it(void **state)
{
    (void)state;
    assert_true(core_page_damage(&page, 20));
    assert_true(core_page_damage(&page, 22));
    assert_int_equal(page.gap_count, 3);
    assert_true(core_page_damage(&page, 21));
    assert_true(core_page_damage(&page, 19));
    assert_true(core_page_damage(&page, 23));
    assert_int_equal(page.gap_count, 3);
    is_gap(1, 19, 21, "damaged");
    is_gap(2, 22, 23, "damaged");
}

static void a_position_inside_a_gap_is_known_already(void **state)
{
    (void)state;
    for (uint64_t seq = 5; seq <= 7; seq++)
        assert_true(core_page_damage(&page, seq));
    assert_int_equal(page.gap_count, 1);
    is_gap(0, 5, 7, "not_stored");
}

static void a_gap_of_another_kind_is_not_extended(void **state)
{
    (void)state;
    assert_true(core_page_damage(&page, 8));
    assert_true(core_page_damage(&page, 4));
    assert_int_equal(page.gap_count, 3);
    is_gap(0, 5, 7, "not_stored");
    is_gap(1, 8, 8, "damaged");
    is_gap(2, 4, 4, "damaged");
}

static void a_page_has_no_more_gaps_than_it_may(void **state)
{
    (void)state;
    for (uint64_t seq = 10; page.gap_count < STORE_PAGE_GAPS; seq += 2)
        assert_true(core_page_damage(&page, seq));
    assert_false(core_page_damage(&page, 1000));
    assert_int_equal(page.gap_count, STORE_PAGE_GAPS);
    assert_true(core_page_damage(&page, 11)); /* beside one that is there */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_damaged_position_extends_the_gap_beside_it, set_up),
        cmocka_unit_test_setup(a_position_inside_a_gap_is_known_already, set_up),
        cmocka_unit_test_setup(a_gap_of_another_kind_is_not_extended, set_up),
        cmocka_unit_test_setup(a_page_has_no_more_gaps_than_it_may, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
