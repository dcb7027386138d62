#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/policy/origin.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static void an_origin_is_scheme_host_and_effective_port(void **state)
{
    static const struct {
        const char *text, *scheme, *host;
        int port;
    } good[] = {
        {"http://localhost:3000", "http", "localhost", 3000},
        {"HTTP://LocalHost", "http", "localhost", 80},
        {"https://app.example/", "https", "app.example", 443},
        {"https://app.example:8443", "https", "app.example", 8443},
        {"http://a:1", "http", "a", 1},
        {"http://a:65535", "http", "a", 65535},
        {"http://a:00080", "http", "a", 80},
        {"http://[::1]:3000", "http", "[::1]", 3000},
        {"http://127.0.0.1", "http", "127.0.0.1", 80},
        {"chrome-extension://abcdef", "chrome-extension", "abcdef", 0},
        {"file://", "file", "", 0},
    };
    static const char *const bad[] = {
        "",
        "app.example",
        "http://",
        "http:///",
        "://x",
        "http://a/b",
        "http://a:0",
        "http://a:65536",
        "http://a:000080",
        "http://a:",
        "http://a:80x",
        "http://u@a",
        "http://a b",
        "http://*",
        "http://a?q",
        "http://[::1",
        "http://[::1]80",
        "nullx",
        "http://caf\xc3\xa9",
        "http://a:*",
        "http://a//",
        "NULL",
        "http://a\r\nX: 1",
        "http://a:+80",
        "javascript:x",
    };
    struct origin o;

    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        assert_true(origin_parse(good[i].text, &o));
        assert_string_equal(o.scheme, good[i].scheme);
        assert_string_equal(o.host, good[i].host);
        assert_int_equal(o.port, good[i].port);
        assert_false(o.is_null);
    }
    for (size_t i = 0; i < COUNT(bad); i++)
        if (origin_parse(bad[i], &o))
            fail_msg("'%s' was taken for an origin", bad[i]);
    assert_true(origin_parse("null", &o));
    assert_true(o.is_null);
}

static void origins_are_equal_as_values_not_as_text(void **state)
{
    static const struct {
        const char *a, *b;
        bool equal;
    } cells[] = {
        {"https://A.example", "https://a.example:443", true},
        {"https://a.example", "http://a.example", false},
        {"https://a.example", "https://a.example:8443", false},
        {"https://a.example", "https://b.example", false},
        {"null", "null", true},
        {"null", "file://", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cells); i++) {
        struct origin a, b;

        assert_true(origin_parse(cells[i].a, &a) && origin_parse(cells[i].b, &b));
        assert_int_equal(origin_equals(&a, &b), cells[i].equal);
        assert_int_equal(origin_equals(&b, &a), cells[i].equal);
    }
}

static void a_host_that_does_not_fit_is_refused(void **state)
{
    char text[400] = "http://";
    struct origin o;

    (void)state;
    memset(text + 7, 'a', ORIGIN_HOST_MAX);
    assert_true(origin_parse(text, &o));
    text[7 + ORIGIN_HOST_MAX] = 'a';
    assert_false(origin_parse(text, &o));
}

static void a_list_allows_what_it_names_and_nothing_near_it(void **state)
{
    static const struct {
        const char *list, *origin;
        bool allowed;
    } cells[] = {
        {"http://localhost:3000", "http://localhost:3000", true},
        {"http://localhost:3000", "http://LOCALHOST:3000", true},
        {"http://localhost:3000", "https://localhost:3000", false},
        {"http://localhost:3000", "http://localhost:3001", false},
        {"http://localhost:3000", "http://localhost", false},
        {"http://localhost:3000", "http://localhost:3000.evil.example", false},
        {"http://localhost:3000", "null", false},
        {" http://a/ , https://B.example:443 ", "http://a:80", true},
        {" http://a/ , https://B.example:443 ", "https://b.example", true},
        {"[\"http://a\", \"http://b\"]", "http://b", true},
        {"[\"http://a\", \"http://b\"]", "http://c", false},
        {"https://*.a.example", "https://x.a.example", true},
        {"https://*.a.example", "https://x.y.a.example", true},
        {"https://*.a.example", "https://a.example", false},
        {"https://*.a.example", "https://xa.example", false},
        {"https://*.a.example", "https://x.a.example:8443", false},
        {"https://*.a.example", "http://x.a.example", false},
        {"https://*.a.example", "null", false},
        {"https://pr-*.a.example", "https://pr-17.a.example", true},
        {"https://pr-*.a.example", "https://pr.a.example", false},
        {"https://ab*ba.example", "https://abba.example", true},
        {"https://ab*ba.example", "https://aba.example", false},
        {"http://localhost:*", "http://localhost", true},
        {"http://localhost:*", "http://localhost:5173", true},
        {"http://localhost:*", "http://localhost.evil.example", false},
        {"*://a.example", "https://a.example", true},
        {"*://a.example", "http://a.example", true},
        {"*://a.example", "http://a.example:8080", false},
        {"null", "null", true},
        {"null", "http://null", false},
        {"http://null", "null", false},
        {"*", "https://anybody.example", true},
        {"*", "null", true},
        {"http://a,*", "http://b", true},
        {"", "http://a", false},
        {"http://a", "", false},
        {"http://a", "a", false},
    };
    char error[ORIGIN_ERROR_MAX];

    (void)state;
    for (size_t i = 0; i < COUNT(cells); i++) {
        struct origin_list *l = origin_list_new("CORS_ORIGINS", cells[i].list, error);

        assert_non_null(l);
        if (origin_list_allows(l, cells[i].origin) != cells[i].allowed)
            fail_msg("list '%s', origin '%s'", cells[i].list, cells[i].origin);
        origin_list_free(l);
    }
}

static void a_bad_entry_is_named_with_what_is_allowed(void **state)
{
    static const struct {
        const char *list, *entry, *why;
    } cells[] = {
        {"http://a,app.example", "'app.example'", "scheme is missing"},
        {"https://*.*.example", "'https://*.*.example'", "at most one"},
        {"http://a/path", "'http://a/path'", "no path"},
        {"ws://a", "'ws://a'", "browsers send http:// or https://"},
        {"WSS://a", "'WSS://a'", "browsers send http:// or https://"},
        {"http://caf\xc3\xa9.example", "caf", "xn--"},
        {"http://a:99999", "'http://a:99999'", "1 to 65535"},
        {"[\"http://a\"", "[", "JSON"},
    };
    char error[ORIGIN_ERROR_MAX];

    (void)state;
    for (size_t i = 0; i < COUNT(cells); i++) {
        assert_null(origin_list_new("CORS_ORIGINS", cells[i].list, error));
        if (!strstr(error, cells[i].entry) || !strstr(error, cells[i].why) ||
            !strstr(error, "CORS_ORIGINS"))
            fail_msg("list '%s' said: %s", cells[i].list, error);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_origin_is_scheme_host_and_effective_port),
        cmocka_unit_test(origins_are_equal_as_values_not_as_text),
        cmocka_unit_test(a_host_that_does_not_fit_is_refused),
        cmocka_unit_test(a_list_allows_what_it_names_and_nothing_near_it),
        cmocka_unit_test(a_bad_entry_is_named_with_what_is_allowed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
