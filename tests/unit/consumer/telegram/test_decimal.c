#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "consumer/telegram/decimal.h"
#include "tests/unit/dice.h"

static void a_percentage_is_read_exactly_or_not_at_all(void **state)
{
    static const struct {
        const char *text;
        bool is_one;
        uint32_t n;
    } rows[] = {
        {"0", true, 0},          {"0.1", true, 100000},
        {"1", true, 1000000},    {"50", true, 50000000},
        {"0.000001", true, 1},   {"00.10", true, 100000},
        {"50.000001", false, 0}, {"0.0000001", false, 0},
        {"51", false, 0},        {"-1", false, 0},
        {"", false, 0},          {"0,1", false, 0},
        {"1e1", false, 0},       {"99999999999", false, 0},
        {"-0", false, 0},        {"-0.1", false, 0},
        {".1", false, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint32_t n = 77;

        assert_int_equal(decimal_read_percent(span_of(rows[i].text), &n), rows[i].is_one);
        assert_int_equal(n, rows[i].is_one ? rows[i].n : 77);
    }
}

static void scaling_is_exact_where_a_double_is_not(void **state)
{
    static const struct {
        const char *value;
        uint32_t factor;
        const char *out;
    } rows[] = {
        {"50000", 99900000, "49950.00000000"},
        {"0.1", 100100000, "0.100100000"},
        {"9007199254740993", DECIMAL_ONE, "9007199254740993.00000000"},
        {"0.00000000000000000001", 99900000, "0.0000000000000000000099900000"},
        {"0", 99900000, "0.00000000"},
        {"-5", 99900000, "-4.99500000"},
        {"-0.1", 100100000, "-0.100100000"},
        {"0003.50", DECIMAL_ONE, "3.5000000000"},
        {"1", 2 * DECIMAL_ONE, "2.00000000"},
        {"9999999999999999999999999999999999999999", 2 * DECIMAL_ONE,
         "19999999999999999999999999999999999999998.00000000"},
        {"0.99999999999999999999999999999999999999", 2 * DECIMAL_ONE,
         "1.9999999999999999999999999999999999999800000000"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char out[DECIMAL_SCALED_MAX];

        decimal_scale(span_of(rows[i].value), rows[i].factor, out);
        assert_string_equal(out, rows[i].out);
    }
}

/* Against integers: n = a * ONE + b, so that no product exceeds 64 bits. */
static void scaling_agrees_with_integers(void **state)
{
    (void)state;
    dice_seed();
    for (int i = 0; i < 20000; i++) {
        uint64_t n = (uint64_t)dice(1u << 30) << dice(20), whole;
        uint32_t factor = dice(2 * DECIMAL_ONE + 1);
        uint64_t rest = n % DECIMAL_ONE * factor;
        char value[32], out[DECIMAL_SCALED_MAX], want[64];

        snprintf(value, sizeof value, "%llu", (unsigned long long)n);
        decimal_scale(span_of(value), factor, out);
        whole = n / DECIMAL_ONE * factor + rest / DECIMAL_ONE;
        snprintf(want, sizeof want, "%llu.%08u", (unsigned long long)whole,
                 (unsigned)(rest % DECIMAL_ONE));
        assert_string_equal(out, want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_percentage_is_read_exactly_or_not_at_all),
        cmocka_unit_test(scaling_is_exact_where_a_double_is_not),
        cmocka_unit_test(scaling_agrees_with_integers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
