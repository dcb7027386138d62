#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/http/request.h"

static void paths_and_parameters_are_decoded_or_refused(void **state)
{
    static const struct {
        const char *text, *decoded; /* NULL: refused */
    } cells[] = {
        {"", ""},
        {"/a", "/a"},
        {"EUR%2FUSD", "EUR/USD"},
        {"%41%c3%A9", "A\xc3\xa9"},
        {"a+b", "a+b"},
        {"%", NULL},
        {"%4", NULL},
        {"%zz", NULL},
        {"a%00b", NULL},
        {"12345678", NULL},
        {"%31%32%33%34%35%36%37", "1234567"},
        {"1234567%", NULL},
    };
    char out[8];

    (void)state;
    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++) {
        bool ok = request_decode(span_of(cells[i].text), out, sizeof out);

        assert_int_equal(ok, cells[i].decoded != NULL);
        if (ok)
            assert_string_equal(out, cells[i].decoded);
    }
}

static void a_root_path_is_understood_with_and_without_the_proxy_taking_it_off(void **state)
{
    static const struct {
        const char *root, *path, *left;
    } cells[] = {
        {"", "/a", "/a"},         {"/api", "/api/a", "/a"},   {"/api", "/a", "/a"},
        {"/api", "/api", "/"},    {"/api", "/apix", "/apix"}, {"/api", "/api/", "/"},
        {"/a/b", "/a/b/c", "/c"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++) {
        char path[32];

        strcpy(path, cells[i].path);
        request_strip_root(path, cells[i].root);
        assert_string_equal(path, cells[i].left);
    }
}

static void numbers_are_digits_up_to_a_bound(void **state)
{
    static const struct {
        const char *query;
        bool is_good;
        uint64_t n;
    } rows[] = {
        {"", true, 5}, /* not given: as it was */
        {"m=1", true, 5},
        {"n=0", true, 0},
        {"n=000000000000000000100", true, 100},
        {"n=100", true, 100},
        {"n=%3100", true, 100},
        {"n=101", false, 5},
        {"n=", false, 5},
        {"n", false, 5},
        {"n=+1", false, 5},
        {"n=-1", false, 5},
        {"n=1x", false, 5},
        {"n=%zz", false, 5},
        {"n=18446744073709551616", false, 5},
        {"n=99999999999999999999", false, 5},
        {"n=000000000000000000000100", false, 5}, /* too long a text */
    };
    struct request r = {0};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint64_t n = 5;

        r.query = rows[i].query;
        if (request_number(&r, "n", 100, &n) != rows[i].is_good || n != rows[i].n)
            fail_msg("%s: %llu", rows[i].query, (unsigned long long)n);
    }
    r.query = "n=18446744073709551609";
    {
        uint64_t n = 5;

        assert_true(request_number(&r, "n", UINT64_MAX, &n));
        assert_int_equal(n, 18446744073709551609u);
    }
}

static void a_parameter_fits_or_is_empty(void **state)
{
    struct request r = {.query = "a=1234567&b=12345678&c=%zz"};
    char out[8];
    bool given;

    (void)state;
    assert_true(request_param(&r, "a", out, sizeof out, &given));
    assert_true(given);
    assert_string_equal(out, "1234567");
    assert_false(request_param(&r, "b", out, sizeof out, &given));
    assert_true(given);
    assert_string_equal(out, "");
    assert_false(request_param(&r, "c", out, sizeof out, &given));
    assert_true(given);
    assert_true(request_param(&r, "d", out, sizeof out, &given));
    assert_false(given);
    assert_string_equal(out, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_and_parameters_are_decoded_or_refused),
        cmocka_unit_test(a_root_path_is_understood_with_and_without_the_proxy_taking_it_off),
        cmocka_unit_test(numbers_are_digits_up_to_a_bound),
        cmocka_unit_test(a_parameter_fits_or_is_empty),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
