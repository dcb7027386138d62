#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/policy/forwarded.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static char error[FORWARDED_ERROR_MAX];

static struct forwarded_trust *trust(const char *list)
{
    struct forwarded_trust *t = forwarded_trust_new("FORWARDED_ALLOW_IPS", list, error);

    assert_non_null(t);
    return t;
}

static void addresses_and_networks_are_distinguished_to_the_bit(void **state)
{
    static const struct {
        const char *list, *address;
        bool trusted;
    } cells[] = {
        {"127.0.0.1", "127.0.0.1", true},
        {"127.0.0.1", "127.0.0.2", false},
        {"127.0.0.1", "::ffff:127.0.0.1", true},
        {"127.0.0.1/32", "127.0.0.1", true},
        {"127.0.0.1/32", "127.0.0.2", false},
        {"::1/128", "::1", true},
        {"10.0.0.0/8", "10.255.1.2", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"192.168.16.0/20", "192.168.31.255", true},
        {"192.168.16.0/20", "192.168.32.0", false},
        {"0.0.0.0/0", "203.0.113.9", true},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"2001:db8::/33", "2001:db8:7fff::1", true},
        {"2001:db8::/33", "2001:db8:8000::1", false},
        {"::1", "::1", true},
        {"[\"::1\", \"10.0.0.1\"]", "10.0.0.1", true},
        {"*", "203.0.113.9", true},
        {"*", "unix", true},
        {"10.0.0.0/8", "unix", false},
        {"", "127.0.0.1", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cells); i++) {
        struct forwarded_trust *t = trust(cells[i].list);

        if (forwarded_is_trusted(t, cells[i].address) != cells[i].trusted)
            fail_msg("list '%s', address '%s'", cells[i].list, cells[i].address);
        forwarded_trust_free(t);
    }
}

static void a_bad_entry_stops_the_start(void **state)
{
    static const char *const bad[] = {"localhost", "10.0.0.0/33", "10.0.0",        "::/129",
                                      "10.0.0.0/", "10.0.0.0/8x", "[\"10.0.0.1\"", "10.0.0.0/-1"};

    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_null(forwarded_trust_new("FORWARDED_ALLOW_IPS", bad[i], error));
        assert_non_null(strstr(error, "FORWARDED_ALLOW_IPS"));
    }
}

static void the_client_is_the_first_hop_we_do_not_trust(void **state)
{
    static const struct {
        const char *list, *x_for, *host;
        int port;
    } cells[] = {
        {"10.0.0.1", NULL, "10.0.0.1", 777},
        {"10.0.0.1", "203.0.113.7", "203.0.113.7", 0},
        {"10.0.0.1", "203.0.113.7:4711", "203.0.113.7", 4711},
        {"10.0.0.1", "[2001:db8::7]:4711", "2001:db8::7", 4711},
        {"10.0.0.1", "[2001:db8::7]", "2001:db8::7", 0},
        {"10.0.0.1", "2001:db8::7", "2001:db8::7", 0},
        {"10.0.0.1", "\"[2001:db8::7]\"", "2001:db8::7", 0},
        {"10.0.0.1", "::1", "::1", 0},
        {"10.0.0.1", "1::", "1::", 0},
        {"10.0.0.1", "203.0.113.7:0", "203.0.113.7", 0},
        {"10.0.0.1", "203.0.113.7:65535", "203.0.113.7", 65535},
        {"10.0.0.1", "\"203.0.113.7:1\"", "203.0.113.7", 1},
        /* a client may write what it likes in front */
        {"10.0.0.1", "6.6.6.6, 203.0.113.7", "203.0.113.7", 0},
        {"10.0.0.0/8", "6.6.6.6, 203.0.113.7, 10.0.0.2", "203.0.113.7", 0},
        {"10.0.0.0/8", "10.1.1.1 ,10.2.2.2", "10.1.1.1", 0},
        {"*", "203.0.113.7, 198.51.100.1", "203.0.113.7", 0},
        /* what is no address ends the walk */
        {"10.0.0.1", "unknown", "10.0.0.1", 777},
        {"10.0.0.1", "", "10.0.0.1", 777},
        {"10.0.0.0/8", "203.0.113.7, unknown, 10.0.0.2", "10.0.0.2", 0},
        {"10.0.0.1", "203.0.113.7:99999", "10.0.0.1", 777},
        {"10.0.0.1", "203.0.113.7\"", "10.0.0.1", 777},
        {"10.0.0.1", "[::1", "10.0.0.1", 777},
        {"10.0.0.1", "[::1]x", "10.0.0.1", 777},
        {"10.0.0.1", "[::1]:", "10.0.0.1", 777},
        {"10.0.0.1", "203.0.113.7:", "10.0.0.1", 777},
        {"10.0.0.1", "203.0.113.7:+1", "10.0.0.1", 777},
        {"10.0.0.1", "203.0.113.7:1x", "10.0.0.1", 777},
        {"10.0.0.1", "203.0.113.7:65536", "10.0.0.1", 777},
        {"10.0.0.1", "\"", "10.0.0.1", 777},
        {"10.0.0.1", "\"\"", "10.0.0.1", 777},
        /* and an untrusted peer is not believed at all */
        {"10.0.0.9", "203.0.113.7", "10.0.0.1", 777},
        {"", "203.0.113.7", "10.0.0.1", 777},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cells); i++) {
        struct forwarded_trust *t = trust(cells[i].list);
        const struct forwarded_facts facts = {
            .peer = "10.0.0.1", .peer_port = 777, .x_for = cells[i].x_for};
        struct forwarded_client c;

        forwarded_resolve(t, &facts, &c);
        if (strcmp(c.host, cells[i].host) != 0 || c.port != cells[i].port)
            fail_msg("trusting '%s', '%s' gave %s:%d", cells[i].list, cells[i].x_for, c.host,
                     c.port);
        forwarded_trust_free(t);
    }
}

static void our_own_origin_is_what_the_client_typed(void **state)
{
    static const struct {
        const char *list, *host, *x_proto, *x_host, *origin;
    } cells[] = {
        {"10.0.0.1", "gw:8000", NULL, NULL, "http://gw:8000"},
        {"10.0.0.1", "gw:8000", "https", NULL, "https://gw:8000"},
        {"10.0.0.1", "gw:8000", "HTTPS", "app.example", "https://app.example"},
        {"10.0.0.1", "gw:8000", "wss", "app.example", "https://app.example"},
        {"10.0.0.1", "gw:8000", "https, http", "a.example, b.example", "https://a.example"},
        {"10.0.0.1", "gw:8000", "gopher", "", "http://gw:8000"},
        {"10.0.0.1", NULL, "https", NULL, ""},
        {"10.0.0.9", "gw:8000", "https", "app.example", "http://gw:8000"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cells); i++) {
        struct forwarded_trust *t = trust(cells[i].list);
        const struct forwarded_facts facts = {.peer = "10.0.0.1",
                                              .host = cells[i].host,
                                              .x_proto = cells[i].x_proto,
                                              .x_host = cells[i].x_host};
        struct forwarded_client c;

        forwarded_resolve(t, &facts, &c);
        assert_string_equal(c.own_origin, cells[i].origin);
        forwarded_trust_free(t);
    }
}

static void any_header_of_a_trusted_proxy_makes_a_request_proxied(void **state)
{
    static const struct {
        const char *list, *x_for, *x_proto, *x_host;
        bool is_proxied;
    } cells[] = {
        {"10.0.0.1", NULL, NULL, NULL, false},
        {"10.0.0.1", "203.0.113.7", NULL, NULL, true},
        {"10.0.0.1", NULL, "http", NULL, true},
        {"10.0.0.1", NULL, NULL, "a.example", true},
        {"10.0.0.9", "203.0.113.7", "https", "a.example", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cells); i++) {
        struct forwarded_trust *t = trust(cells[i].list);
        const struct forwarded_facts facts = {.peer = "10.0.0.1",
                                              .host = " gw:8000 ",
                                              .x_for = cells[i].x_for,
                                              .x_proto = cells[i].x_proto,
                                              .x_host = cells[i].x_host};
        struct forwarded_client c;

        forwarded_resolve(t, &facts, &c);
        assert_int_equal(c.is_proxied, cells[i].is_proxied);
        assert_int_equal(c.peer_is_trusted, i < 4);
        assert_string_equal(c.scheme, "http");
        assert_string_equal(c.authority, i == 3 ? "a.example" : "gw:8000");
        forwarded_trust_free(t);
    }
}

static void overlong_headers_are_ignored(void **state)
{
    static char longest[4000];
    const struct forwarded_facts facts = {.peer = "10.0.0.1",
                                          .host = longest,
                                          .x_for = longest,
                                          .x_proto = longest,
                                          .x_host = longest};
    struct forwarded_trust *t = trust("*");
    struct forwarded_client c;

    (void)state;
    memset(longest, '1', sizeof longest - 1);
    forwarded_resolve(t, &facts, &c);
    assert_string_equal(c.host, "10.0.0.1");
    assert_string_equal(c.own_origin, "");
    forwarded_trust_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_and_networks_are_distinguished_to_the_bit),
        cmocka_unit_test(a_bad_entry_stops_the_start),
        cmocka_unit_test(the_client_is_the_first_hop_we_do_not_trust),
        cmocka_unit_test(our_own_origin_is_what_the_client_typed),
        cmocka_unit_test(any_header_of_a_trusted_proxy_makes_a_request_proxied),
        cmocka_unit_test(overlong_headers_are_ignored),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
