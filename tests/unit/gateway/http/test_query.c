#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/http/query.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define KNOWN "symbols,limit,offset"

static void what_is_known_passes_however_it_is_encoded(void **state)
{
    static const char *const good[] = {
        "",        "&",           "&&limit=1&",      "symbols=A&limit=1&offset=2",
        "symbols", "%73ymbols=A", "symbols=A+B%20C", "symbols=A&symbols=B&symbols=",
        "limit=%",
    };
    struct query_fault fault = {.message = "untouched"};

    (void)state;
    for (size_t i = 0; i + 1 < COUNT(good); i++)
        assert_true(query_check(good[i], KNOWN, &fault));
    assert_string_equal(fault.message, "untouched");
    assert_false(query_check(good[COUNT(good) - 1], KNOWN, &fault));
}

static void an_error_names_the_parameter_and_those_that_there_are(void **state)
{
    static const struct {
        const char *query, *message;
    } cells[] = {
        {"symbol=A", "The parameter 'symbol' does not exist here."},
        {"Symbols=A", "The parameter 'Symbols' does not exist here."},
        {"limit=1&TOKEN=x", "The parameter 'TOKEN' does not exist here."},
        {"x", "The parameter 'x' does not exist here."},
        {"limit=1&x", "The parameter 'x' does not exist here."},
        {"=x", "The parameter '' does not exist here."},
        {"a%20b", "The parameter 'a b' does not exist here."},
        {"limit=1&offset=2&limit=1", "The parameter 'limit' is given more than once."},
        {"limit=1&%6cimit=2", "The parameter 'limit' is given more than once."},
        {"limit=%zz", "The parameter 'limit' is malformed: after a % come two hexadecimal "
                      "digits, not 00."},
        {"symbols=A%00", "The parameter 'symbols' is malformed: after a % come two "
                         "hexadecimal digits, not 00."},
        {"symbols=%4", "The parameter 'symbols' is malformed: after a % come two "
                       "hexadecimal digits, not 00."},
    };
    struct query_fault fault;

    (void)state;
    for (size_t i = 0; i < COUNT(cells); i++) {
        assert_false(query_check(cells[i].query, KNOWN, &fault));
        assert_string_equal(fault.message, cells[i].message);
        assert_string_equal(fault.hint, "The parameters of this path are: symbols, limit, offset.");
    }
    assert_false(query_check("x=1", "", &fault));
    assert_string_equal(fault.hint, "This path has no parameters.");
}

static void a_long_name_is_cut_in_the_error(void **state)
{
    char query[2000];
    struct query_fault fault;

    (void)state;
    memset(query, 'x', sizeof query - 1);
    query[sizeof query - 1] = '\0';
    assert_false(query_check(query, KNOWN, &fault));
    assert_true(strlen(fault.message) < 120);
}

/* Of so many names that a path has; no path of ours has more. */
static void the_32nd_parameter_is_known(void **state)
{
    char known[200] = "";
    struct query_fault fault;

    (void)state;
    for (char c = 'A'; c < 'A' + 32; c++)
        snprintf(known + strlen(known), 4, "%s%c", known[0] ? "," : "", c);
    assert_true(query_check("A=1&`=1", known, &fault)); /* the first and the 32nd */
    assert_false(query_check("`=1&`=2", known, &fault));
    assert_string_equal(fault.message, "The parameter '`' is given more than once.");
    strcat(known, ",z");
    assert_false(query_check("z=1", known, &fault));
}

static void check_value(const char *query, const char *name, enum query_plus plus,
                        const char *wanted)
{
    struct buf out = {0};

    buf_adds(&out, "<");
    assert_int_equal(query_get(query, name, plus, &out) == QUERY_GIVEN, wanted != NULL);
    buf_adds(&out, ">");
    out.len--;
    assert_string_equal(buf_text(&out) + 1, wanted ? wanted : "");
    buf_free(&out);
}

static void a_value_is_decoded_and_a_list_is_joined(void **state)
{
    (void)state;
    check_value("token=open+sesame", "token", QUERY_PLUS_IS_SPACE, "open sesame");
    check_value("token=open+sesame", "token", QUERY_PLUS_IS_PLUS, "open+sesame");
    check_value("token=a%2Bb%20c", "token", QUERY_PLUS_IS_SPACE, "a+b c");
    check_value("%74oken=x", "token", QUERY_PLUS_IS_SPACE, "x");
    check_value("Token=x", "token", QUERY_PLUS_IS_SPACE, NULL);
    check_value("xtoken=x", "token", QUERY_PLUS_IS_SPACE, NULL);
    check_value("token", "token", QUERY_PLUS_IS_SPACE, "");
    check_value("token=%C3%B1=", "token", QUERY_PLUS_IS_SPACE, "ñ=");
    check_value("token=%zz", "token", QUERY_PLUS_IS_SPACE, NULL);
    check_value("symbols=A&mode=all&symbols=B,C&symbols=", "symbols", QUERY_PLUS_IS_SPACE,
                "A,B,C,");
    check_value("", "symbols", QUERY_PLUS_IS_SPACE, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_known_passes_however_it_is_encoded),
        cmocka_unit_test(an_error_names_the_parameter_and_those_that_there_are),
        cmocka_unit_test(a_long_name_is_cut_in_the_error),
        cmocka_unit_test(the_32nd_parameter_is_known),
        cmocka_unit_test(a_value_is_decoded_and_a_list_is_joined),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
