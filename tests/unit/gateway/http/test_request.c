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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_and_parameters_are_decoded_or_refused),
        cmocka_unit_test(a_root_path_is_understood_with_and_without_the_proxy_taking_it_off),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
