#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "broker/log/damage.h"
#include "shared/base/log.h"

static void positions_are_counted_once_in_whatever_order_ranges_are_met(void **state)
{
    static const struct {
        uint64_t first, last;
    } met[] = {{1, 10}, {30, 40}, {20, 29}, {5, 25}, {41, 41}, {100, 100}, {1, 41}};
    struct damage d = {.count = 0};

    (void)state;
    for (size_t i = 0; i < sizeof met / sizeof *met; i++)
        damage_note(&d, "FILE", 0, met[i].first, met[i].last);
    assert_int_equal(damage_positions(&d), 42);
    assert_int_equal(d.count, 2);
}

static void the_same_positions_of_two_files_are_two_ranges(void **state)
{
    struct damage d = {.count = 0};

    (void)state;
    damage_note(&d, "FILE", 0, 1, 10);
    damage_note(&d, "FILE-ring", 0, 11, 20);
    assert_int_equal(d.count, 2);
    assert_int_equal(damage_positions(&d), 20);
}

#define FOR_CLIENTS                                                                                \
    "; clients that request them get 'lost' (damaged) and all other records. To have them again, " \
    "stop the broker and restore a backup; look at the disk"

static void the_first_range_is_named_with_the_number_of_others(void **state)
{
    struct damage d = {.count = 0};

    (void)state;
    damage_note(&d, "FILE", 12, 3, 4);
    assert_string_equal(d.text, "FILE: page 12 is damaged: positions 3 to 4 cannot be "
                                "read" FOR_CLIENTS);
    damage_note(&d, "FILE", 12, 3, 4); /* it is known */
    assert_int_equal(d.count, 1);
    damage_note(&d, "FILE", 0, 10, 12);
    damage_note(&d, "FILE", 0, 20, 20);
    assert_string_equal(d.text, "FILE: page 12 is damaged: positions 3 to 4 cannot be read, and 2 "
                                "more ranges" FOR_CLIENTS);
    assert_int_equal(damage_positions(&d), 2 + 3 + 1);
}

static void a_page_whose_positions_are_not_known_counts_none(void **state)
{
    struct damage d = {.count = 0};

    (void)state;
    damage_note(&d, "FILE", 12, 0, 0);
    assert_string_equal(d.text, "FILE: page 12 is damaged: the positions in it cannot be "
                                "read" FOR_CLIENTS);
    assert_int_equal(d.count, 1);
    assert_int_equal(damage_positions(&d), 0);
}

static void a_page_without_positions_and_the_first_positions_are_two_ranges(void **state)
{
    struct damage d = {.count = 0};

    (void)state;
    damage_note(&d, "FILE", 12, 0, 0);
    damage_note(&d, "FILE", 0, 1, 3);
    assert_int_equal(d.count, 2);
    d = (struct damage){.count = 0};
    damage_note(&d, "FILE", 0, 1, 3);
    damage_note(&d, "FILE", 12, 0, 0);
    assert_int_equal(d.count, 2);
}

static void a_range_grows_with_its_page_and_with_what_touches_it(void **state)
{
    struct damage d = {.count = 0};

    (void)state;
    damage_note(&d, "FILE", 12, 0, 0);
    damage_note(&d, "FILE", 12, 30, 31); /* by now they are known */
    assert_int_equal(d.count, 1);
    assert_int_equal(damage_positions(&d), 2);
    damage_note(&d, "FILE", 0, 33, 33); /* one is between */
    assert_int_equal(d.count, 2);
    damage_note(&d, "FILE", 0, 28, 28);
    assert_int_equal(d.count, 3);
    damage_note(&d, "FILE", 12, 10, 11); /* the same page: all in between is its */
    assert_int_equal(d.count, 2);
    assert_int_equal(d.ranges[0].first, 10);
    assert_int_equal(d.ranges[0].last, 31);
    damage_note(&d, "FILE", 7, 32, 32);
    assert_int_equal(d.count, 1);
    assert_int_equal(d.ranges[0].last, 33);
    assert_int_equal(d.ranges[0].page, 12);
    damage_note(&d, "FILE", 0, 34, 34);
    damage_note(&d, "FILE", 0, 9, 9);
    assert_int_equal(d.count, 1);
    assert_int_equal(damage_positions(&d), 26);
}

static void more_ranges_than_are_kept_are_said_to_be_more(void **state)
{
    struct damage d = {.count = 0};
    char words[60];

    (void)state;
    for (uint64_t i = 0; i < DAMAGE_RANGES; i++)
        damage_note(&d, "FILE", 0, 1 + 10 * i, 1 + 10 * i);
    assert_int_equal(d.count, DAMAGE_RANGES);
    assert_false(d.has_more);
    damage_note(&d, "FILE", 0, 100000, 100000);
    assert_int_equal(d.count, DAMAGE_RANGES);
    assert_true(d.has_more);
    snprintf(words, sizeof words, ", and %d more ranges at least; clients", DAMAGE_RANGES - 1);
    assert_non_null(strstr(d.text, words));
}

static void of_a_page_of_the_store_the_damaged_gaps_are_taken(void **state)
{
    struct store_page page = {
        .is_damaged = true,
        .damaged_page = 9,
        .gap_count = 3,
        .gaps = {{1, 2, "not_stored"}, {5, 6, STORE_GAP_DAMAGED}, {8, 8, STORE_GAP_DAMAGED}}};
    struct damage d = {.count = 0}, none = {.count = 0};

    (void)state;
    damage_note_page(&d, "FILE", &page);
    assert_int_equal(d.count, 2);
    assert_int_equal(damage_positions(&d), 3);
    assert_ptr_equal(strstr(d.text, "FILE: page 9 is damaged: positions 5 to 6 cannot be read, and "
                                    "1 more ranges;"),
                     d.text);
    page.is_damaged = false;
    damage_note_page(&none, "FILE", &page);
    assert_int_equal(none.count, 0);
    assert_string_equal(none.text, "");
    page.is_damaged = true;
    page.gap_count = 1; /* only an index is damaged */
    damage_note_page(&none, "FILE", &page);
    assert_int_equal(none.count, 0);
    assert_ptr_equal(strstr(none.text, "FILE: a part that helps to find records is damaged: no "
                                       "record is lost"),
                     none.text);
    damage_note_other(&none, "something else"); /* the first stays */
    assert_null(strstr(none.text, "something else"));
    damage_note_page(&d, "FILE", &page);
    assert_null(strstr(d.text, "helps to find"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(positions_are_counted_once_in_whatever_order_ranges_are_met),
        cmocka_unit_test(the_same_positions_of_two_files_are_two_ranges),
        cmocka_unit_test(the_first_range_is_named_with_the_number_of_others),
        cmocka_unit_test(a_page_whose_positions_are_not_known_counts_none),
        cmocka_unit_test(a_page_without_positions_and_the_first_positions_are_two_ranges),
        cmocka_unit_test(a_range_grows_with_its_page_and_with_what_touches_it),
        cmocka_unit_test(more_ranges_than_are_kept_are_said_to_be_more),
        cmocka_unit_test(of_a_page_of_the_store_the_damaged_gaps_are_taken),
    };

    log_init("test", "critical", "text");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
