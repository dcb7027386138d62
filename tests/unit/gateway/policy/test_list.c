#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/policy/list.h"

static void a_list_has_whole_words_only(void **state)
{
    (void)state;
    assert_true(list_has("websocket", "websocket"));
    assert_true(list_has("h2c, WebSocket", "websocket"));
    assert_true(list_has(" ,\t,websocket \t, x", "websocket"));
    assert_false(list_has("notwebsocket", "websocket"));
    assert_false(list_has("websocket2, web socket", "websocket"));
    assert_false(list_has("", "websocket"));
    assert_false(list_has(",", "websocket"));
}

static void items_are_taken_in_order_without_the_blanks_around_them(void **state)
{
    const char *list = " a\t,,b c ,";
    struct span item;

    (void)state;
    assert_true(list_next(&list, &item) && span_eq(item, "a"));
    assert_true(list_next(&list, &item) && item.len == 0);
    assert_true(list_next(&list, &item) && span_eq(item, "b c"));
    assert_false(list_next(&list, &item));
    assert_true(span_eq(list_first("10.1.2.3 , 10.4.5.6"), "10.1.2.3"));
    assert_int_equal(list_first("").len, 0);
    assert_int_equal(list_trim(SPAN(" \t ")).len, 0);
}

/* Counts its entries; "bad" is none. */
static void add(void *into, const char *entry, const char *setting, char error[LIST_ERROR_MAX])
{
    int *count = into;

    ++*count;
    if (strcmp(entry, "bad") == 0)
        snprintf(error, LIST_ERROR_MAX, "%s: %s", setting, entry);
}

static void a_setting_is_read_up_to_its_first_wrong_entry(void **state)
{
    char error[LIST_ERROR_MAX] = "";
    int count = 0;

    (void)state;
    assert_true(list_read("HOSTS", "a, b,c", NULL, add, &count, error));
    assert_int_equal(count, 3);
    count = 0;
    assert_false(list_read("HOSTS", "[\"a\",\"bad\",\"c\"]", NULL, add, &count, error));
    assert_int_equal(count, 2);
    assert_string_equal(error, "HOSTS: bad");
}

static void a_setting_that_is_no_list_is_named_with_an_example(void **state)
{
    char error[LIST_ERROR_MAX] = "";
    int count = 0;

    (void)state;
    assert_false(list_read("HOSTS", "[a", "a.example", add, &count, error));
    assert_string_equal(error, "HOSTS: '[a' begins with [ but is no JSON list of "
                               "strings, like [\"a.example\"]");
    error[0] = '\0';
    assert_false(list_read("HOSTS", "[a", NULL, add, &count, error));
    assert_string_equal(error, "HOSTS: '[a' begins with [ but is no JSON list of strings");
    assert_int_equal(count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_has_whole_words_only),
        cmocka_unit_test(items_are_taken_in_order_without_the_blanks_around_them),
        cmocka_unit_test(a_setting_is_read_up_to_its_first_wrong_entry),
        cmocka_unit_test(a_setting_that_is_no_list_is_named_with_an_example),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
