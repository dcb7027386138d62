#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "consumer/telegram/lastprice.h"

static struct lastprice_table *table;

static int set_up(void **state)
{
    (void)state;
    table = lastprice_table_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    lastprice_table_free(table);
    lastprice_table_free(NULL);
    return 0;
}

static void put(const char *symbol, uint64_t epoch, uint64_t seq, const char *last)
{
    struct lastprice p = {.epoch = epoch, .seq = seq};

    span_copy(p.symbol, sizeof p.symbol, span_of(symbol));
    span_copy(p.last, sizeof p.last, span_of(last));
    lastprice_put(table, &p);
}

static void of_one_log_the_higher_position_wins(void **state)
{
    (void)state;
    assert_null(lastprice_find(table, "A"));
    put("A", 1, 10, "1.0");
    put("A", 1, 9, "0.9");
    put("B", 1, 9, "2");
    assert_string_equal(lastprice_find(table, "A")->last, "1.0");
    put("A", 1, 11, "1.1");
    assert_string_equal(lastprice_find(table, "A")->last, "1.1");
    put("A", 2, 1, "5");
    assert_string_equal(lastprice_find(table, "A")->last, "5");
    assert_string_equal(lastprice_find(table, "B")->last, "2");
}

static void a_state_that_is_older_than_the_price_changes_nothing(void **state)
{
    (void)state;
    put("A", 1, 10, "1");
    lastprice_set_stale(table, "A", 1, 9, true);
    assert_false(lastprice_find(table, "A")->is_stale);
    lastprice_set_stale(table, "A", 1, 11, true);
    assert_true(lastprice_find(table, "A")->is_stale);
    lastprice_set_stale(table, "B", 1, 11, true);
    assert_null(lastprice_find(table, "B"));
    put("A", 1, 12, "2");
    assert_false(lastprice_find(table, "A")->is_stale);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
        T(of_one_log_the_higher_position_wins),
        T(a_state_that_is_older_than_the_price_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
