#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shared/wire/quote.h"
#include "tests/unit/dice.h"
#include "tests/unit/packed.h"
#include "tests/unit/shared/wire/quote_fixture.h"

static void symbols_are_what_the_alphabet_allows(void **state)
{
    static const char *const good[] = {
        "A",
        "EUR/USD",
        "BTC-USD",
        "^GSPC",
        "BRK.B",
        "GC=F",
        "NYSE:IBM",
        "A_B",
        "0",
        "9Z",
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345",
    };
    char one[1];

    (void)state;
    for (size_t i = 0; i < LENGTH(good); i++)
        assert_true(quote_is_symbol(span_of(good[i])));
    assert_false(quote_is_symbol(SPAN("")));
    assert_false(quote_is_symbol(SPAN("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456")));
    assert_false(quote_is_symbol(SPAN("A\0B")));
    assert_false(quote_is_symbol(SPAN("EUR/USD ")));
    for (int c = 0; c < 256; c++) {
        bool is_allowed = c && strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:/=^-", c);

        one[0] = (char)c;
        if (quote_is_symbol((struct span){one, 1}) != is_allowed)
            fail_msg("character %d", c);
    }
}

static void decimals_are_digits_with_at_most_one_point_within(void **state)
{
    static const char *const good[] = {
        "0",
        "1",
        "1034.50",
        "0.0000001",
        "007",
        "00.10",
        "1.0",
        "1234567890123456789012345678901234567890",
        "123456789012345678901234567890123456.890",
        "-1",
        "-0",
        "-0.50",
        "-37.63",
        "-123456789012345678901234567890123456789",
    };
    static const char *const bad[] = {
        "",
        ".",
        ".5",
        "5.",
        "-",
        "--1",
        "-.5",
        "-5.",
        "1-",
        "+1",
        "1e5",
        "1E5",
        "1,5",
        "1 ",
        " 1",
        "1..5",
        "1.5.",
        "1.5.2",
        "0x10",
        "NaN",
        "inf",
        "1_000",
        "12345678901234567890123456789012345678901",
        "1234567890123456789012345678901234567.890",
    };

    (void)state;
    for (size_t i = 0; i < LENGTH(good); i++)
        if (!quote_is_decimal(span_of(good[i])))
            fail_msg("%s is a decimal", good[i]);
    for (size_t i = 0; i < LENGTH(bad); i++)
        if (quote_is_decimal(span_of(bad[i])))
            fail_msg("%s is no decimal", bad[i]);
    assert_false(quote_is_decimal(SPAN("1\0")));
    assert_false(quote_is_decimal(SPAN("1.\0")));
}

static int sign(int n)
{
    return (n > 0) - (n < 0);
}

static void decimals_compare_by_value_not_by_length(void **state)
{
    static const struct {
        const char *a, *b;
        int order;
    } table[] = {
        {"1", "1", 0},
        {"1", "2", -1},
        {"9", "10", -1},
        {"1", "1.0", 0},
        {"1.0", "1.00", 0},
        {"1", "1.0001", -1},
        {"1.10", "1.9", -1},
        {"1.10", "1.09", 1},
        {"0.5", "00.50", 0},
        {"007", "7", 0},
        {"0", "0.0", 0},
        {"000", "0.00", 0},
        {"0.0000001", "0", 1},
        {"0.9", "1", -1},
        {"10.0", "9.99999", 1},
        {"99999999999999999999.1", "99999999999999999999.2", -1},
        {"9007199254740993", "9007199254740992", 1}, /* one double for both */
        {"0.10000000000000000000000000000000000001", "0.1", 1},
        {"-1", "1", -1},
        {"-1", "0", -1},
        {"-0", "0.00", 0},
        {"-0", "-0.00", 0},
        {"-0.01", "0", -1},
        {"-37.63", "-37.64", 1},
        {"-10", "-9", -1},
        {"-0.9", "-1", 1},
        {"-1.0", "-1", 0},
        {"-0.1", "0.1", -1},
    };

    (void)state;
    for (size_t i = 0; i < LENGTH(table); i++) {
        struct span a = span_of(table[i].a), b = span_of(table[i].b);

        if (sign(quote_decimal_compare(a, b)) != table[i].order ||
            sign(quote_decimal_compare(b, a)) != -table[i].order)
            fail_msg("%s and %s", table[i].a, table[i].b);
    }
}

static void random_decimals_compare_as_their_digits_say(void **state)
{
    (void)state;
    dice_seed();
    for (int round = 0; round < 50000; round++) {
        char text[2][64];
        long value[2];

        for (int i = 0; i < 2; i++) {
            unsigned whole = dice(dice(2) ? 1000 : 4), cents = dice(100);
            bool is_negative = dice(2);
            int n = snprintf(text[i], sizeof text[i], "%s%.*s%u", is_negative ? "-" : "",
                             (int)dice(4), "000", whole);

            value[i] = (long)whole * 100;
            if (dice(4)) {
                snprintf(text[i] + n, sizeof text[i] - (size_t)n, ".%02u%.*s", cents, (int)dice(4),
                         "000");
                value[i] += (long)cents;
            }
            if (is_negative)
                value[i] = -value[i];
        }
        if (sign(quote_decimal_compare(span_of(text[0]), span_of(text[1]))) !=
            (value[0] > value[1]) - (value[0] < value[1]))
            fail_msg("%s and %s", text[0], text[1]);
    }
}

static void a_feed_may_forbid_negative_prices(void **state)
{
    static const char *const bodies[] = {"{'last':'-1','timestamp':1}",
                                         "{'last':'1','low':'-0.01','timestamp':1}"};
    struct quote_rules strict = {.now_us = 2000000, .refuse_negative = true};
    struct buf body = {0};

    (void)state;
    for (size_t i = 0; i < LENGTH(bodies); i++) {
        packed(&body, bodies[i]);
        assert_int_equal(quote_check(buf_span(&body), &strict), QUOTE_NEGATIVE);
        buf_clear(&body);
    }
    packed(&body, "{'last':'1','open':'-0.00','timestamp':1}");
    assert_int_equal(quote_check(buf_span(&body), &strict), QUOTE_ACCEPTED);
    buf_free(&body);
}

static void every_refusal_has_a_name_and_a_sentence(void **state)
{
    (void)state;
    for (int r = 0; r < QUOTE_REFUSAL_COUNT; r++) {
        const char *name = quote_refusal_name((enum quote_refusal)r);

        assert_true(strlen(name) > 3);
        assert_true(strspn(name, "abcdefghijklmnopqrstuvwxyz_") == strlen(name));
        assert_true(strlen(quote_refusal_text((enum quote_refusal)r)) > 5);
    }
    assert_string_equal(quote_refusal_name(QUOTE_BAD_SYMBOL), "bad_symbol");
    assert_string_equal(quote_refusal_name(QUOTE_ACCEPTED), "accepted");
}

static void a_refusals_name_stays_when_another_one_is_named(void **state)
{
    const char *name = quote_refusal_name(QUOTE_CROSSED);

    (void)state;
    (void)quote_refusal_name(QUOTE_BAD_SYMBOL);
    assert_string_equal(name, "crossed");
}

#define TIMED "'timestamp':1640995200.0"

static const struct {
    const char *body;
    enum quote_refusal why;
} bodies[] = {
    {"{'bid':'1.0',%s}", QUOTE_ACCEPTED},
    {"{'ask':'1.0',%s}", QUOTE_ACCEPTED},
    {"{'last':'0',%s}", QUOTE_ACCEPTED},
    {"{'bid':'1.0','ask':'1.00',%s}", QUOTE_ACCEPTED},
    {"{'bid':'9.5','ask':'10.0','last':'3','open':'1','high':'2','low':'0.5','bid_size'"
     ":'7',"
     "'ask_size':'0','volume':'1000000','currency':'USD','source':'sim',"
     "'recorded_at':-0.0,%s}",
     QUOTE_ACCEPTED},
    {"{'last':'1','timestamp':1640995200}", QUOTE_ACCEPTED}, /* a whole number of seconds */
    {"{'last':'1','timestamp':0}", QUOTE_ACCEPTED},
    {"{'last':'1','timestamp':1640995260.125}", QUOTE_ACCEPTED}, /* just not too far ahead */
    {"{'last':'1','currency':'','source':'" TEXT64 "',%s}", QUOTE_ACCEPTED},
    {"{'last':'1','venue':'XNAS','depth':[['1',2],['3',4]],'x':{'y':null,'z':-1},%s}",
     QUOTE_ACCEPTED},
    {"{'last':'1','" TEXT64 "':1,%s}", QUOTE_ACCEPTED},
    {"{'last':'1','recorded_at':4102444800,%s}",
     QUOTE_ACCEPTED}, /* a recording may have any time */

    {"null", QUOTE_MALFORMED},
    {"[]", QUOTE_MALFORMED},
    {"'bid'", QUOTE_MALFORMED},
    {"{'last':'1','symbol':'A',%s}", QUOTE_RESERVED_NAME},
    {"{'last':'1','seq':1,%s}", QUOTE_RESERVED_NAME},
    {"{'last':'1','prev':1,%s}", QUOTE_RESERVED_NAME},
    {"{'last':'1','type':'quote',%s}", QUOTE_RESERVED_NAME},
    {"{'last':'1','state':'live',%s}", QUOTE_RESERVED_NAME},
    {"{'last':'1','" TEXT64 "x':1,%s}", QUOTE_MALFORMED},

    {"{'bid':1,%s}", QUOTE_BAD_PRICE},
    {"{'bid':1.5,%s}", QUOTE_BAD_PRICE},
    {"{'bid':null,%s}", QUOTE_BAD_PRICE},
    {"{'bid':['1'],%s}", QUOTE_BAD_PRICE},
    {"{'bid':'-1',%s}", QUOTE_ACCEPTED},
    {"{'bid':'-1','ask':'-2',%s}", QUOTE_CROSSED},
    {"{'bid':'-2.5','ask':'-2','low':'-3','open':'-0',%s}", QUOTE_ACCEPTED},
    {"{'last':'1','volume':'-1',%s}", QUOTE_BAD_PRICE},
    {"{'bid':'',%s}", QUOTE_BAD_PRICE},
    {"{'bid':'1e5',%s}", QUOTE_BAD_PRICE},
    {"{'bid':'NaN',%s}", QUOTE_BAD_PRICE},
    {"{'last':'1','volume':'many',%s}", QUOTE_BAD_PRICE},
    {"{'last':'1','bid_size':'-1',%s}", QUOTE_BAD_PRICE},

    {"{'last':'1','currency':7,%s}", QUOTE_BAD_TEXT},
    {"{'last':'1','source':null,%s}", QUOTE_BAD_TEXT},
    {"{'last':'1','source':'" TEXT64 "x',%s}", QUOTE_BAD_TEXT},

    {"{'last':'1'}", QUOTE_BAD_TIME},
    {"{'last':'1','timestamp':'1640995200'}", QUOTE_BAD_TIME},
    {"{'last':'1','timestamp':-1}", QUOTE_BAD_TIME},
    {"{'last':'1','timestamp':-0.5}", QUOTE_BAD_TIME},
    {"{'last':'1','timestamp':null}", QUOTE_BAD_TIME},
    {"{'last':'1','timestamp':253402300800.0}", QUOTE_BAD_TIME},
    {"{'last':'1','timestamp':18446744073709551615}", QUOTE_BAD_TIME},
    {"{'last':'1','recorded_at':'x',%s}", QUOTE_BAD_TIME},

    {"{'last':'1','timestamp':1640995260.126}", QUOTE_FUTURE},
    {"{'last':'1','timestamp':1640995200125}", QUOTE_BAD_TIME}, /* milliseconds */
    {"{'last':'1','timestamp':1740995200}", QUOTE_FUTURE},

    {"{%s}", QUOTE_NO_PRICE},
    {"{'open':'1','high':'2','low':'0','volume':'1','bid_size':'1',%s}", QUOTE_NO_PRICE},

    {"{'bid':'1.01','ask':'1.0',%s}", QUOTE_CROSSED},
    {"{'ask':'9.5','bid':'10',%s}", QUOTE_CROSSED},
};

static void every_rule_refuses_what_breaks_it(void **state)
{
    char text[600];

    (void)state;
    for (size_t i = 0; i < LENGTH(bodies); i++) {
        struct buf body = {0};
        struct span exact;
        enum quote_refusal why;
        const char *hole = strstr(bodies[i].body, "%s");
        int before = hole ? (int)(hole - bodies[i].body) : (int)strlen(bodies[i].body);

        snprintf(text, sizeof text, "%.*s%s%s", before, bodies[i].body, hole ? TIMED : "",
                 hole ? hole + 2 : "");
        packed(&body, text);
        exact = exact_copy(buf_span(&body));
        why = quote_check(exact, &rules);
        if (why != bodies[i].why)
            fail_msg("%s: %s", text, quote_refusal_name(why));
        free((char *)(uintptr_t)exact.at);
        buf_free(&body);
    }
}

static void bytes_that_are_no_quote_are_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "c1",
        "81",
        "81 a3626964",
        "81 01 01",
        "82 a3626964 a131 a3626964 a132",
        "83 a3626964 a131 a178 01 a178 02", /* a name of no known field twice */
        "82 a3626964 a131 a178 82 a179 01 a179 02",
        "82 a3626964 a178 a36173", /* a bad price, and then cut short */
        "81 a3626964 a178 00",     /* and then something after it */
        "81 a3626964 a131 00",
        "81 a46c617374 d40100",
        "dfffffffff",
        /* a timestamp that is not a number, and one that is infinite */
        "82 a46c617374 a131 a974696d657374616d70 cb7ff8000000000000",
        "82 a46c617374 a131 a974696d657374616d70 cb7ff0000000000000",
    };

    (void)state;
    for (size_t i = 0; i < LENGTH(bad); i++) {
        struct buf body = {0};
        struct span exact;

        unhex(&body, bad[i]);
        exact = exact_copy(buf_span(&body));
        assert_int_equal(quote_check(exact, &rules),
                         i < LENGTH(bad) - 2 ? QUOTE_MALFORMED : QUOTE_BAD_TIME);
        free((char *)(uintptr_t)exact.at);
        buf_free(&body);
    }
}

static void whatever_pack_refuses_is_malformed(void **state)
{
    static const char *const good = "{'bid':'1.5','ask':'1.6','x':{'y':[1,{'z':'a'}]},"
                                    "'bid_size':'7','v':[[],{}],'timestamp':1640995200.125}";
    unsigned refused = 0;

    (void)state;
    dice_seed();
    for (int round = 0; round < 50000; round++) {
        struct buf body = {0};
        struct span exact;

        packed(&body, good);
        for (unsigned n = 1 + dice(4); n; n--)
            body.data[dice((unsigned)body.len)] = (char)random();
        body.len -= dice(3) ? 0 : dice((unsigned)body.len);
        exact = exact_copy(buf_span(&body));
        if (pack_check(exact)) {
            refused++;
            assert_int_equal(quote_check(exact, &rules), QUOTE_MALFORMED);
        }
        free((char *)(uintptr_t)exact.at);
        buf_free(&body);
    }
    assert_in_range(refused, 1000, 49000);
}

static void a_quote_of_so_many_bytes_is_the_largest(void **state)
{
    (void)state;
    for (size_t over = 0; over < 2; over++) {
        struct buf body = {0};
        size_t pad;
        msgpack_packer pk;

        msgpack_packer_init(&pk, &body, buf_pack_write);
        msgpack_pack_map(&pk, 3);
        pack_kv_text(&pk, "last", SPAN("1"));
        pack_kv_u(&pk, "timestamp", 1640995200);
        pack_key(&pk, "pad");
        pad = QUOTE_BYTES_MAX + over - body.len - 3;
        msgpack_pack_bin(&pk, pad);
        memset(buf_room(&body, pad), 0, pad);
        assert_int_equal(quote_check(buf_span(&body), &rules),
                         over ? QUOTE_OVERSIZED : QUOTE_ACCEPTED);
        buf_free(&body);
    }
}

static void a_crossed_quote_passes_where_the_feed_may(void **state)
{
    struct quote_rules crossed = rules;
    struct buf body = {0};

    (void)state;
    packed(&body, "{'bid':'2','ask':'1'," TIMED "}");
    assert_int_equal(quote_check(buf_span(&body), &rules), QUOTE_CROSSED);
    crossed.allow_crossed = true;
    assert_int_equal(quote_check(buf_span(&body), &crossed), QUOTE_ACCEPTED);
    buf_free(&body);
}

static void a_pattern_is_a_symbol_or_a_prefix_and_a_star(void **state)
{
    static const struct {
        const char *symbol, *patterns;
        bool is_match;
    } table[] = {
        {"BTC/USD", "*", true},           {"BTC/USD", "BTC*", true},
        {"BTC/USD", "BTC/USD*", true},    {"BTC/USD", "BTC/USD", true},
        {"BTC/USD", "BTC", false},        {"BTC", "BTC/USD", false},
        {"BTC", "BTC/*", false},          {"BTC/USD", "ETH*", false},
        {"BTC/USD", "", false},           {"BTC/USD", "BTC/USD**", false},
        {"BTC/USD", "*USD", false},       {"BTC/USD", "ETH*,BTC*", true},
        {"BTC/USD", "BTC/USD,ETH", true}, {"BTC/USD", "ETH,", false},
        {"BTC/USD", ",,BTC/USD", true},   {"BTC/USD", "A,B,C", false},
    };

    (void)state;
    for (size_t i = 0; i < LENGTH(table); i++)
        if (quote_patterns_match(span_of(table[i].patterns), span_of(table[i].symbol)) !=
            table[i].is_match)
            fail_msg("%s and %s", table[i].symbol, table[i].patterns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(symbols_are_what_the_alphabet_allows),
        cmocka_unit_test(decimals_are_digits_with_at_most_one_point_within),
        cmocka_unit_test(decimals_compare_by_value_not_by_length),
        cmocka_unit_test(random_decimals_compare_as_their_digits_say),
        cmocka_unit_test(a_feed_may_forbid_negative_prices),
        cmocka_unit_test(every_refusal_has_a_name_and_a_sentence),
        cmocka_unit_test(a_refusals_name_stays_when_another_one_is_named),
        cmocka_unit_test(every_rule_refuses_what_breaks_it),
        cmocka_unit_test(bytes_that_are_no_quote_are_refused),
        cmocka_unit_test(whatever_pack_refuses_is_malformed),
        cmocka_unit_test(a_quote_of_so_many_bytes_is_the_largest),
        cmocka_unit_test(a_crossed_quote_passes_where_the_feed_may),
        cmocka_unit_test(a_pattern_is_a_symbol_or_a_prefix_and_a_star),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
