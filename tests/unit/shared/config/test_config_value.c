/* Which texts each kind of setting takes, and what they become. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "shared/config/config.h"
#include "shared/config/config_value.h"

/* The value of the text for a setting of that kind with these bounds; -99: it is refused. */
static int64_t value_of(enum config_kind kind, int64_t min, int64_t max, const char *text)
{
    struct config_option o = {.kind = kind, .min = min, .max = max, .allowed = "one|Two|three"};
    int64_t number = 77;

    if (config_value_read(&o, text, &number))
        return number;
    assert_int_equal(number, 77); /* untouched */
    return -99;
}

static bool takes(enum config_kind kind, const char *text)
{
    return value_of(kind, 1, 20, text) != -99;
}

static void an_integer_is_digits_within_its_bounds(void **state)
{
    (void)state;
    assert_int_equal(value_of(CONFIG_int, -5, 10, "-5"), -5);
    assert_int_equal(value_of(CONFIG_int, -5, 10, "-6"), -99);
    assert_int_equal(value_of(CONFIG_int, -5, 10, "10"), 10);
    assert_int_equal(value_of(CONFIG_int, -5, 10, "11"), -99);
    assert_int_equal(value_of(CONFIG_int, -5, 10, "007"), 7);
    assert_int_equal(value_of(CONFIG_int, -5, 10, ""), -99);
    assert_int_equal(value_of(CONFIG_int, -5, 10, "-"), -99);
    assert_int_equal(value_of(CONFIG_int, -5, 10, "+1"), -99);
    assert_int_equal(value_of(CONFIG_int, -5, 10, " 1"), -99);
    assert_int_equal(value_of(CONFIG_int, -5, 10, "1 "), -99);
    assert_int_equal(value_of(CONFIG_int, -5, 10, "--1"), -99);
    assert_int_equal(value_of(CONFIG_int, INT64_MIN, INT64_MAX, "9223372036854775807"), INT64_MAX);
    assert_int_equal(value_of(CONFIG_int, INT64_MIN, INT64_MAX, "9223372036854775808"), -99);
}

static void seconds_are_kept_in_ms_with_three_decimals_at_most(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } cases[] = {
        {"1", 1000},
        {"20", 20000},
        {"20.000", 20000},
        {"20.001", -99},
        {"21", -99},
        {"0.999", -99},
        {"1.5", 1500},
        {"1.25", 1250},
        {"1.125", 1125},
        {"1.1234", -99},
        {"1.", -99},
        {".5", -99},
        {"", -99},
        {"-1", -99},
        {"1x", -99},
        {"1.5x", -99},
        {"1.5.5", -99},
        {"1,5", -99},
        {"000000000012", 12000},
        {"0000000000012", -99}, /* more digits than any bound has */
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(value_of(CONFIG_seconds, 1, 20, cases[i].text), cases[i].ms);
}

static void a_flag_is_one_of_eight_words(void **state)
{
    static const char *const words[] = {"0", "1", "false", "TRUE", "no", "Yes", "oFF", "on"};

    (void)state;
    for (int i = 0; i < 8; i++)
        assert_int_equal(value_of(CONFIG_flag, 0, 1, words[i]), i % 2);
    assert_int_equal(value_of(CONFIG_flag, 0, 1, "2"), -99);
    assert_int_equal(value_of(CONFIG_flag, 0, 1, ""), -99);
    assert_int_equal(value_of(CONFIG_flag, 0, 1, "yess"), -99);
}

static void a_choice_is_one_of_its_words_in_any_case(void **state)
{
    (void)state;
    assert_true(takes(CONFIG_choice, "one") && takes(CONFIG_choice, "TWO"));
    assert_true(takes(CONFIG_choice, "three"));
    assert_false(takes(CONFIG_choice, "") || takes(CONFIG_choice, "on"));
    assert_false(takes(CONFIG_choice, "ones") || takes(CONFIG_choice, "one|Two"));
    assert_false(takes(CONFIG_choice, "four") || takes(CONFIG_choice, "thre"));
}

static void texts_and_lists_have_a_length(void **state)
{
    static const enum config_kind kinds[] = {CONFIG_text, CONFIG_secret, CONFIG_list};

    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_false(takes(kinds[i], ""));
        assert_true(takes(kinds[i], "a"));
        assert_true(takes(kinds[i], "aaaaaaaaaaaaaaaaaaaa"));
        assert_false(takes(kinds[i], "aaaaaaaaaaaaaaaaaaaaa"));
    }
}

static void an_endpoint_is_tcp_with_a_port_or_a_path_of_ipc(void **state)
{
    static const char *const right[] = {"tcp://127.0.0.1:1", "tcp://h:0",    "tcp://h:65535",
                                        "tcp://*:80",        "ipc:///run/x", "ipc://x"};
    static const char *const wrong[] = {
        "",          "tcp://h",    "tcp://:1", "tcp://h:65536", "tcp://h:-1",
        "tcp://h:",  "tcp://h:1x", "ipc://",   "ipc:/x",        "ipc:x",
        "udp://h:1", "h:1",        "tcp:/h:1", "tcp:h:1",       "xtcp://h:1",
    };

    (void)state;
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++)
        assert_true(takes(CONFIG_endpoint, right[i]));
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        if (takes(CONFIG_endpoint, wrong[i]))
            fail_msg("%s was taken", wrong[i]);
}

static void an_address_is_a_number_or_a_name_of_this_machine(void **state)
{
    (void)state;
    assert_true(takes(CONFIG_address, "127.0.0.1") && takes(CONFIG_address, "0.0.0.0"));
    assert_true(takes(CONFIG_address, "localhost"));
    assert_false(takes(CONFIG_address, "") || takes(CONFIG_address, "not an address"));
    assert_int_equal(value_of(CONFIG_address, 0, 20, ""), -99);
    assert_int_equal(value_of(CONFIG_address, 1, 8, "127.0.0.1"), -99); /* too long */
}

struct fields {
    const char *before, *text;
    int64_t number;
    bool flag, after;
};

static void a_value_is_stored_in_its_field_only(void **state)
{
    struct config_option o = {.allowed = "one|Two", .offset = offsetof(struct fields, text)};
    struct fields f = {.number = 5};

    (void)state;
    o.kind = CONFIG_choice;
    config_value_store(&o, "TWO", 0, &f);
    assert_string_equal(f.text, "Two"); /* as the setting spells it */
    free((void *)(uintptr_t)f.text);
    o.kind = CONFIG_text;
    config_value_store(&o, "x", 0, &f);
    assert_string_equal(f.text, "x");
    free((void *)(uintptr_t)f.text);
    o.kind = CONFIG_flag;
    o.offset = offsetof(struct fields, flag);
    config_value_store(&o, "yes", 1, &f);
    assert_true(f.flag && !f.after);
    config_value_store(&o, "no", 0, &f);
    assert_false(f.flag);
    o.kind = CONFIG_seconds;
    o.offset = offsetof(struct fields, number);
    config_value_store(&o, "1", -1000, &f);
    assert_true(f.number == -1000 && !f.before && !f.flag);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_integer_is_digits_within_its_bounds),
        cmocka_unit_test(seconds_are_kept_in_ms_with_three_decimals_at_most),
        cmocka_unit_test(a_flag_is_one_of_eight_words),
        cmocka_unit_test(a_choice_is_one_of_its_words_in_any_case),
        cmocka_unit_test(texts_and_lists_have_a_length),
        cmocka_unit_test(an_endpoint_is_tcp_with_a_port_or_a_path_of_ipc),
        cmocka_unit_test(an_address_is_a_number_or_a_name_of_this_machine),
        cmocka_unit_test(a_value_is_stored_in_its_field_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
