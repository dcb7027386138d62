#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(positions_are_counted_once_in_whatever_order_ranges_are_met),
        cmocka_unit_test(the_same_positions_of_two_files_are_two_ranges),
    };

    log_init("test", "critical", "text");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
