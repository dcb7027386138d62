#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "doctor/probe.h"

static void an_origin_is_what_a_browser_would_send(void **state)
{
    static const char *const cases[][2] = {
        {"https://Quotes.example", "https://quotes.example"},
        {"https://quotes.example:443/prefix?x", "https://quotes.example"},
        {"http://127.0.0.1:8000/", "http://127.0.0.1:8000"},
        {"ws://quotes.example", NULL},
        {"quotes.example", NULL},
        {"https://", NULL},
        {"https://a b", NULL},
        {"http://quotes.example:80", "http://quotes.example"},
        {"http://quotes.example:443", "http://quotes.example:443"},
        {"https://quotes.example:80#x", "https://quotes.example:80"},
    };
    char out[300];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool is_one = probe_origin(cases[i][0], out);

        assert_int_equal(is_one, cases[i][1] != NULL);
        if (is_one)
            assert_string_equal(out, cases[i][1]);
    }
}

static void headers_are_counted_in_any_case_and_the_first_is_returned(void **state)
{
    struct probe_answer a = {0};
    char out[20];

    (void)state;
    assert_int_equal(probe_header(&a, "Vary", out, sizeof out), 0);
    buf_adds(&a.head, "HTTP/1.1 200 OK\r\nvary:  Origin \r\nVary: *\r\nVaryX: 1\r\n\r\n");
    assert_int_equal(probe_header(&a, "Vary", out, sizeof out), 2);
    assert_string_equal(out, "Origin");
    assert_int_equal(probe_header(&a, "Var", out, sizeof out), 0);
    assert_string_equal(out, "");
    assert_int_equal(probe_header(&a, "VaryX", out, sizeof out), 1);
    assert_string_equal(out, "1");
    probe_free(&a);
    buf_adds(&a.head, "A:1\nEmpty:\nSpaces:  \t \nB: two words\nLast:x");
    assert_int_equal(probe_header(&a, "A", out, sizeof out), 1);
    assert_string_equal(out, "1");
    assert_int_equal(probe_header(&a, "Empty", out, sizeof out), 1);
    assert_string_equal(out, "");
    assert_int_equal(probe_header(&a, "Spaces", out, sizeof out), 1);
    assert_string_equal(out, "");
    assert_int_equal(probe_header(&a, "B", out, sizeof out), 1);
    assert_string_equal(out, "two words");
    assert_int_equal(probe_header(&a, "Last", out, sizeof out), 1);
    assert_string_equal(out, "x");
    assert_int_equal(probe_header(&a, "Last:x", out, sizeof out), 0);
    probe_free(&a);
}

static void a_gateway_is_known_by_its_headers_even_if_a_proxy_puts_its_name_over_them(void **state)
{
    static const struct {
        const char *head;
        bool is_ours;
    } cases[] = {
        {"Server: pregon\r\n", true},
        {"Server: nginx\r\nX-Request-Id: 22d6949500000025\r\n"
         "X-Content-Type-Options: nosniff\r\n",
         true},
        {"Server: nginx\r\nX-Request-Id: 22d69495-0000\r\n"
         "X-Content-Type-Options: nosniff\r\n",
         false},
        {"Server: nginx\r\n", false},
        {"X-Request-Id: 22d6949500000025\r\n", false},
        {"X-Request-Id: 22d6949500000025\r\nX-Content-Type-Options: nosniff\r\n", true},
        {"X-Request-Id: 22d6949500000025\r\nX-Request-Id: 22d6949500000025\r\n"
         "X-Content-Type-Options: nosniff\r\n",
         false},
        {"X-Request-Id: 22D6949500000025\r\nX-Content-Type-Options: nosniff\r\n", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct probe_answer a = {0};

        buf_adds(&a.head, cases[i].head);
        assert_int_equal(probe_is_pregon(&a), cases[i].is_ours);
        probe_free(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_origin_is_what_a_browser_would_send),
        cmocka_unit_test(headers_are_counted_in_any_case_and_the_first_is_returned),
        cmocka_unit_test(a_gateway_is_known_by_its_headers_even_if_a_proxy_puts_its_name_over_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
