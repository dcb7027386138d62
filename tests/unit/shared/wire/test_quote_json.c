#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "shared/wire/quote.h"
#include "tests/unit/dice.h"
#include "tests/unit/packed.h"
#include "tests/unit/shared/wire/quote_fixture.h"

/* One JSON object in, "SYMBOL {body as JSON}" or "refusal@offset" out. */
static const char *take(struct buf *out, const char *text, const char *source)
{
    struct json *j = json_new();
    const struct json_value *root;
    char symbol[QUOTE_SYMBOL_MAX + 1] = "before";
    struct buf body = {0}, copy = {0};
    enum quote_refusal why;
    size_t where = 999;

    buf_adds(&copy, text);
    for (size_t i = 0; i < copy.len; i++)
        if (copy.data[i] == '\'')
            copy.data[i] = '"';
    if (json_parse(j, buf_span(&copy), &root))
        fail_msg("%s: %s", text, json_error(j));
    buf_adds(&body, "before");
    why = quote_from_json(root, source, &rules, symbol, &body, &where);
    if (why) {
        assert_string_equal(symbol, "before");
        assert_int_equal(body.len, 6);
        buf_clear(out);
        buf_printf(out, "%s@%zu", quote_refusal_name(why), where);
    } else {
        struct span bytes = {body.data + 6, body.len - 6};
        struct buf json = {0};

        assert_int_equal(quote_check(bytes, &rules), QUOTE_ACCEPTED);
        unpacked(&json, bytes);
        buf_clear(out);
        buf_printf(out, "%s %s", symbol, buf_text(&json));
        buf_free(&json);
    }
    assert_memory_equal(body.data, "before", 6);
    buf_free(&body);
    buf_free(&copy);
    json_free(j);
    return buf_text(out);
}

static void a_json_quote_keeps_its_source_text(void **state)
{
    static const struct {
        const char *json, *quote;
    } table[] = {
        {"{'symbol':'EUR/USD','bid':'1034.50','timestamp':1640995200.125}",
         "EUR/USD {'bid':'1034.50','timestamp':1640995200.125}"},
        {"{'bid':1034.50,'timestamp':1640995200,'symbol':'A'}",
         "A {'bid':'1034.50','timestamp':1640995200.0}"},
        {"{'symbol':'A','last':0.10000000000000000000000000001,'timestamp':0}",
         "A {'last':'0.10000000000000000000000000001','timestamp':0.0}"},
        {"{'symbol':'A','last':9007199254740993,'timestamp':1e9}",
         "A {'last':'9007199254740993','timestamp':1000000000.0}"},
        {"{'symbol':'A','last':'1','timestamp':1640995200.123456}",
         "A {'last':'1','timestamp':1640995200.123456}"},
        /* fields we do not know */
        {"{'symbol':'A','last':'1','timestamp':1,'venue':'X','n':7,'minus':-7,'f':0.10,"
         "'big':12345678901234567890123,'e':1e5,'yes':true,'no':false,'nil':null}",
         "A {'last':'1','timestamp':1.0,'venue':'X','n':7,'minus':-7,'f':'0.10',"
         "'big':'12345678901234567890123','e':'1e5','yes':true,'no':false,'nil':null}"},
        {"{'symbol':'A','last':'1','timestamp':1,'depth':[['1.50',2,[]],{}],"
         "'deep':{'bid':{'symbol':[1.5,{'x':null}]}}}",
         "A {'last':'1','timestamp':1.0,'depth':[['1.50',2,[]],{}],"
         "'deep':{'bid':{'symbol':['1.5',{'x':null}]}}}"},
        {"{'symbol':'A','last':'1','timestamp':1,'max':9999999999999999999,"
         "'min':-999999999999999999}",
         "A "
         "{'last':'1','timestamp':1.0,'max':9999999999999999999,'min':-"
         "999999999999999999}"},
        {"{'symbol':'A','last':'1','timestamp':1,'currency':'\\u20ac'}",
         "A {'last':'1','timestamp':1.0,'currency':'\xE2\x82\xAC'}"},
    };
    struct buf got = {0};

    (void)state;
    for (size_t i = 0; i < LENGTH(table); i++)
        assert_string_equal(take(&got, table[i].json, NULL), table[i].quote);
    buf_free(&got);
}

static void an_exponent_is_written_out(void **state)
{
    static const struct {
        const char *number, *price;
    } table[] = {
        {"1e-7", "0.0000001"},
        {"1E-7", "0.0000001"},
        {"1.50e1", "15.0"},
        {"1.5e1", "15"},
        {"1e3", "1000"},
        {"1E+3", "1000"},
        {"12.345e2", "1234.5"},
        {"12.345e0", "12.345"},
        {"12.345e-2", "0.12345"},
        {"0.5e-1", "0.05"},
        {"0.001e2", "0.1"},
        {"0.001e3", "1"},
        {"1e-0007", "0.0000001"},
        {"1e-38", "0.00000000000000000000000000000000000001"},
        {"1e-39", NULL}, /* one character too many */
        {"1e39", "1000000000000000000000000000000000000000"},
        {"1e40", NULL},
        {"1e400", NULL},
        {"1e-400", NULL},
        {"1e99999999999999999999", NULL},
        {"-1e5", "-100000"},
        {"-1.50e1", "-15.0"},
        {"-1e-7", "-0.0000001"},
        {"-1", "-1"},
        {"-0", "-0"},
        {"0e5", "0"},
        {"0.00e-5", "0"},
        {"-0e1", "0"},
        {"-1e39", NULL}, /* the sign makes it one too long */
        {"12345678901234567890123456789012345678901", NULL},
    };
    struct buf got = {0};
    char json[200], want[200];

    (void)state;
    for (size_t i = 0; i < LENGTH(table); i++) {
        snprintf(json, sizeof json, "{'symbol':'A','last':%s,'timestamp':1}", table[i].number);
        if (table[i].price)
            snprintf(want, sizeof want, "A {'last':'%s','timestamp':1.0}", table[i].price);
        else
            snprintf(want, sizeof want, "bad_price@21");
        if (strcmp(take(&got, json, NULL), want) != 0)
            fail_msg("%s: %s", table[i].number, buf_text(&got));
    }
    buf_free(&got);
}

/* A random mantissa and exponent against the same digits shifted by hand. */
static void written_out_it_is_the_same_number(void **state)
{
    struct buf got = {0};

    (void)state;
    dice_seed();
    for (int round = 0; round < 3000; round++) {
        unsigned mantissa = dice(4) ? dice(100000) : 0, decimals = dice(4);
        int exponent = (int)dice(16) - 8;
        char json[200], plain[100], digits[40];
        const char *price;
        int point;

        /* mantissa / 10^decimals * 10^exponent */
        snprintf(digits, sizeof digits, "%0*u", (int)decimals + 1, mantissa);
        point = (int)strlen(digits) - (int)decimals;
        snprintf(json, sizeof json, "{'symbol':'A','last':%.*s%s%se%s%d,'timestamp':1}", point,
                 digits, decimals ? "." : "", digits + point, exponent >= 0 && dice(2) ? "+" : "",
                 exponent);
        if (strspn(digits, "0") && point > 1 && digits[0] == '0')
            continue; /* JSON has no leading zeros */
        point += exponent;
        if (point <= 0)
            snprintf(plain, sizeof plain, "0.%.*s%s", -point, "0000000000000", digits);
        else if (point >= (int)strlen(digits))
            snprintf(plain, sizeof plain, "%s%.*s", digits, point - (int)strlen(digits),
                     "0000000000000");
        else
            snprintf(plain, sizeof plain, "%.*s.%s", point, digits, digits + point);
        take(&got, json, NULL);
        price = strstr(buf_text(&got), "'last':'");
        if (!price)
            fail_msg("%s: %s", json, buf_text(&got));
        price += 8;
        if (quote_decimal_compare((struct span){price, strcspn(price, "'")}, span_of(plain)) != 0)
            fail_msg("%s: %s, not %s", json, buf_text(&got), plain);
    }
    buf_free(&got);
}

static void what_is_missing_is_filled_in(void **state)
{
    struct buf got = {0};

    (void)state;
    assert_string_equal(take(&got, "{'symbol':'A','last':'1'}", NULL),
                        "A {'last':'1','timestamp':1640995200.125}");
    assert_string_equal(take(&got, "{'symbol':'A','last':'1'}", "sim"),
                        "A {'last':'1','timestamp':1640995200.125,'source':'sim'}");
    assert_string_equal(take(&got, "{'symbol':'A','last':'1','source':'x'}", "sim"),
                        "A {'last':'1','source':'x','timestamp':1640995200.125}");
    assert_string_equal(take(&got, "{'timestamp':1,'source':'x','symbol':'A','last':'1'}", "sim"),
                        "A {'timestamp':1.0,'source':'x','last':'1'}");
    buf_free(&got);
}

static void a_json_quote_that_is_refused_says_where_and_leaves_nothing(void **state)
{
    static const struct {
        const char *json, *why;
    } table[] = {
        {"[1]", "malformed@0"},
        {"  7", "malformed@2"},
        {"{}", "bad_symbol@0"},
        {"{'last':'1'}", "bad_symbol@0"},
        {"{'last':'1','symbol':'eur'}", "bad_symbol@21"},
        {"{'last':'1','symbol':7}", "bad_symbol@21"},
        {"{'last':'1','symbol':''}", "bad_symbol@21"},
        {"{'symbol':'A','bid':'1','ask':'x'}", "bad_price@30"},
        {"{'symbol':'A','bid':'1e5'}", "bad_price@20"},
        {"{'symbol':'A','bid':true}", "bad_price@20"},
        {"{'symbol':'A','bid':null}", "no_price@0"},
        {"{'symbol':'A','bid':'N/A','ask':''}", "no_price@0"},
        {"{'symbol':'A','bid':1,'volume':-1}", "bad_price@0"},
        {"{'symbol':'A','bid':[1]}", "bad_price@20"},
        {"{'symbol':'A','last':'1','source':5}", "bad_text@34"},
        {"{'symbol':'A','last':'1','currency':'" TEXT64 "x'}", "bad_text@0"},
        {"{'symbol':'A','last':'1','timestamp':'now'}", "bad_time@37"},
        {"{'symbol':'A','last':'1','timestamp':1e999}", "bad_time@37"},
        {"{'symbol':'A','last':'1','timestamp':-1}", "bad_time@0"},
        {"{'symbol':'A','last':'1','timestamp':1640995300}", "future@0"},
        {" {'symbol':'A','open':'1'}", "no_price@1"},
        {"{'symbol':'A','bid':2,'ask':1}", "crossed@0"},
        {"{'symbol':'A','last':'1','seq':1}", "reserved_name@31"},
        {"{'symbol':'A','last':'1','state':'live'}", "reserved_name@33"},
    };
    struct buf got = {0};

    (void)state;
    for (size_t i = 0; i < LENGTH(table); i++)
        assert_string_equal(take(&got, table[i].json, "sim"), table[i].why);
    buf_free(&got);
}

static void a_json_quote_too_large_is_refused(void **state)
{
    struct buf json = {0}, got = {0};

    (void)state;
    buf_adds(&json, "{'symbol':'A','last':'1','pad':'");
    memset(buf_room(&json, QUOTE_BYTES_MAX), 'x', QUOTE_BYTES_MAX);
    buf_adds(&json, "'}");
    assert_string_equal(take(&got, buf_text(&json), NULL), "oversized@0");
    buf_free(&json);
    buf_free(&got);
}

static void a_body_becomes_json_members_as_it_stands(void **state)
{
    struct buf body = {0}, out = {0};

    (void)state;
    packed(&body, "{'bid':'1.08','timestamp':1640995200.5,'n':-3,'x':{'y':[1,'a\\u0022']}}");
    buf_adds(&out, "{\"seq\":1");
    quote_to_json(buf_span(&body), &out);
    buf_addc(&out, '}');
    assert_string_equal(buf_text(&out),
                        "{\"seq\":1,\"bid\":\"1.08\",\"timestamp\":1640995200.5,\"n\":-3,"
                        "\"x\":{\"y\":[1,\"a\\\"\"]}}");
    buf_clear(&out);
    quote_to_json(SPAN("\x80"), &out);
    quote_to_json(SPAN("\xC0"), &out);
    quote_to_json(SPAN(""), &out);
    assert_int_equal(out.len, 0);
    buf_free(&body);
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_json_quote_keeps_its_source_text),
        cmocka_unit_test(an_exponent_is_written_out),
        cmocka_unit_test(written_out_it_is_the_same_number),
        cmocka_unit_test(what_is_missing_is_filled_in),
        cmocka_unit_test(a_json_quote_that_is_refused_says_where_and_leaves_nothing),
        cmocka_unit_test(a_json_quote_too_large_is_refused),
        cmocka_unit_test(a_body_becomes_json_members_as_it_stands),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
