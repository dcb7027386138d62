/* What a proxy of paper does to the gateway's answers, and what is found in that. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shared/base/mem.h"
#include "tests/unit/doctor/probe_fixture.h"

#define LIVE "/cotizaciones/live"
#define CHECK "/cotizaciones/websocket_check"
#define PAGE "https://page.example"
#define PAGE_HEADER "Access-Control-Allow-Origin "
#define ALLOWS OURS "Access-Control-Allow-Origin: " PAGE "\r\n"
#define SEEN(origin, proxy) \
    "{\"origin\":\"" origin "\",\"client\":\"198.51.100.7:1\",\"proxy\":{" proxy "}}"
#define TRUSTED                                       \
    "\"peer\":\"10.0.0.9\",\"peer_is_trusted\":true," \
    "\"x_forwarded_for\":\"198.51.100.7\"," OWN("https://quotes.example")
#define OWN(origin) "\"own_origin\":\"" origin "\""

static struct checks checks;
static char public_url[] = PUBLIC, nowhere[] = "";

/* A proxy that does its work, and a page that gets in directly and through it. */
static void begin(void)
{
    checks_free(&checks);
    checks = (struct checks){.has_answered = true, .has_admitted = true};
    checks.json = json_new();
    checks.config.public_url = public_url;
    checks.gateway.websocket_token = mem_strdup("");
    checks.gateway.forwarded_allow_ips = mem_strdup("127.0.0.1");
    snprintf(checks.url, sizeof checks.url, "%s", GATEWAY);
    snprintf(checks.admitted, sizeof checks.admitted, "%s", PAGE);
    memset(pages, 0, sizeof pages);
    memset(shakes, 0, sizeof shakes);
    pages[0] = (struct page){PUBLIC, LIVE, 200, ALLOWS, "{}", "", false};
    pages[1] = (struct page){GATEWAY, LIVE, 200, ALLOWS, "{}", "", false};
    pages[2] = (struct page){PUBLIC, CHECK, 200, OURS, SEEN(PAGE, TRUSTED), "192.0.2.8:55", false};
    shakes[0] = (struct shake){PUBLIC, PAGE, 101, OURS, true, 0, NULL};
}

static void check(const char *want)
{
    checks_proxy(&checks);
    if (strcmp(found(&checks), want) != 0)
        fail_msg("found%s, not%s", found(&checks), want);
}

static void seen(const char *words)
{
    assert_string_equal(checks.found.items[0].where, "PUBLIC_URL");
    if (!strstr(checks.found.items[0].seen, words))
        fail_msg("\"%s\" lacks \"%s\"", checks.found.items[0].seen, words);
}

static void a_proxy_that_does_its_work_is_no_finding(void **state)
{
    (void)state;
    begin();
    check("");
    assert_int_equal(checks.handshake_count, 1);
    assert_true(checks.handshakes[0].is_expected);
    begin();
    checks.config.public_url = nowhere;
    memset(pages, 0, sizeof pages);
    check("");
    begin();
    checks.has_admitted = false; /* the gateway itself refuses: nothing to compare */
    memset(shakes, 0, sizeof shakes);
    check("");
}

static void an_answer_that_is_not_the_gateways_is_judged_by_its_status(void **state)
{
    static const struct {
        int status;
        const char *head, *found;
    } rows[] = {
        {301, "Location: https://www.quotes.example/\r\n", " proxy_redirects"},
        {300, "", " proxy_redirects"},
        {399, "", " proxy_redirects"},
        {299, "", " public_url_elsewhere"},
        {200, "Server: nginx\r\n", " public_url_elsewhere"},
        {404, "Server: nginx\r\n", " public_url_elsewhere"},
        {500, "", " public_url_elsewhere"},
        {502, "", " proxy_cannot_reach_gateway"},
        {503, "", " proxy_cannot_reach_gateway"},
        {504, "", " proxy_cannot_reach_gateway"},
        {400, "", " proxy_refuses"},
        {401, "", " proxy_refuses"},
        {403, "", " proxy_refuses"},
        {405, "", " proxy_refuses"},
        {429, "", " proxy_refuses"},
        {404, OURS, " proxy_changes_path"},
        {0, "", " public_url_unreachable"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        begin();
        pages[0].status = rows[i].status;
        pages[0].head = rows[i].head;
        check(rows[i].found);
        assert_int_equal(checks.handshake_count, 0);
        if (rows[i].status && rows[i].status != 404) {
            char number[20];

            snprintf(number, sizeof number, "HTTP %d", rows[i].status);
            seen(number);
        }
        if (rows[i].status == 301)
            seen("to https://www.quotes.example/.");
        if (rows[i].status == 300)
            seen("to nowhere.");
    }
    begin();
    pages[0].status = 0;
    check(" public_url_unreachable");
    seen(PUBLIC ": connection refused.");
    begin();
    pages[0].status = 0;
    pages[0].is_tls_fault = true;
    check(" public_url_tls");
    assert_non_null(strstr(checks.found.items[0].todo, "renew the certificate"));
}

static void what_a_proxy_does_to_handshakes_is_found(void **state)
{
    static const struct {
        struct shake shake;
        const char *found;
    } rows[] = {
        {{PUBLIC, PAGE, 101, OURS, false, 0, NULL}, " proxy_buffers"},
        {{PUBLIC, PAGE, 0, "", false, 0, NULL}, " proxy_drops_upgrade"},
        {{PUBLIC, PAGE, 426, OURS "X-Reject-Reason: not_websocket\r\n", false, 0, NULL},
         " proxy_drops_upgrade"},
        {{PUBLIC, PAGE, 404, OURS "X-Reject-Reason: no_such_path\r\n", false, 0, NULL},
         " proxy_changes_path"},
        {{PUBLIC, PAGE, 403, OURS "X-Reject-Reason: origin_not_allowed\r\n", false, 0, NULL},
         " proxy_changes_origin"},
        {{PUBLIC, PAGE, 403, "Server: nginx\r\n", false, 0, NULL}, " proxy_refuses"},
        {{PUBLIC, PAGE, 502, "", false, 0, NULL}, " proxy_cannot_reach_gateway"},
        {{PUBLIC, PAGE, 302, "", false, 0, NULL}, " proxy_redirects"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        begin();
        shakes[0] = rows[i].shake;
        check(rows[i].found);
        assert_false(checks.handshakes[0].is_expected);
        assert_string_equal(checks.handshakes[0].through, "public_url");
        assert_string_equal(checks.handshakes[0].origin, PAGE);
        assert_int_equal(checks.handshakes[0].status, rows[i].shake.status);
        assert_string_equal(checks.found.items[0].where, "PUBLIC_URL");
    }
}

static void what_a_proxy_does_to_headers_is_found(void **state)
{
    static const struct {
        const char *seen, *found;
    } rows[] = {
        {SEEN("https://other.example", TRUSTED), " proxy_changes_origin"},
        {SEEN("", TRUSTED), " proxy_changes_origin"},
        {SEEN(PAGE, "\"peer\":\"10.0.0.9\",\"peer_is_trusted\":false,"
                    "\"x_forwarded_for\":\"198.51.100.7\"," OWN("http://x.example")),
         " proxy_not_trusted"},
        {SEEN(PAGE, "\"peer\":\"10.0.0.9\",\"peer_is_trusted\":true,"
                    "\"x_forwarded_for\":\"\"," OWN("https://quotes.example")),
         " proxy_hides_client"},
        {SEEN(PAGE, "\"peer\":\"10.0.0.9\",\"peer_is_trusted\":true,"
                    "\"x_forwarded_for\":\"1.2.3.4\"," OWN("http://quotes.example")),
         " proxy_scheme_lost"},
        {SEEN(PAGE, "\"peer\":\"10.0.0.9\",\"peer_is_trusted\":true,"
                    "\"x_forwarded_for\":\"1.2.3.4\"," OWN("https://10.0.0.1")),
         " proxy_host_lost"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        begin();
        pages[2].body = rows[i].seen;
        check(rows[i].found);
    }
    seen("Browsers use https://quotes.example, but the gateway takes its address for "
         "https://10.0.0.1: ");
    begin();
    pages[2].body = rows[0].seen;
    check(" proxy_changes_origin");
    seen("Pages of https://page.example arrive with the Origin https://other.example.");
    begin();
    pages[2].body = rows[1].seen;
    check(" proxy_changes_origin");
    seen("with the Origin dropped, as if no browser had sent it.");
    begin();
    pages[2].body = rows[3].seen;
    check(" proxy_hides_client");
    seen("appear with the address 10.0.0.9.");
    begin();
    pages[2].body = rows[2].seen;
    check(" proxy_not_trusted");
    assert_string_equal(checks.found.items[0].change, "FORWARDED_ALLOW_IPS=127.0.0.1,10.0.0.9");
    assert_string_equal(checks.found.items[0].where, "FORWARDED_ALLOW_IPS");
    assert_non_null(strstr(checks.found.items[0].seen,
                           "The proxy 10.0.0.9 sends the client's address (X-Forwarded-For: "
                           "198.51.100.7)"));
    begin();
    checks.gateway.forwarded_allow_ips[0] = '\0';
    pages[2].body = rows[2].seen;
    check(" proxy_not_trusted");
    assert_string_equal(checks.found.items[0].change, "FORWARDED_ALLOW_IPS=10.0.0.9");
    begin();
    pages[2].body = rows[3].seen; /* the client is we ourselves: there is no proxy */
    pages[2].local = "198.51.100.7:1";
    check("");
    begin();
    pages[2].head = "Server: nginx\r\n"; /* whatever that is, it is not the gateway's */
    pages[2].body = rows[0].seen;
    check("");
}

static void changed_cors_headers_are_found(void **state)
{
    static const char *const heads[] = {OURS, ALLOWS "Access-Control-Allow-Origin: *\r\n",
                                        OURS "Access-Control-Allow-Origin: *\r\n"};

    (void)state;
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        begin();
        pages[0].head = heads[i];
        check(" proxy_changes_cors");
        seen(i == 0 ? "says " PAGE_HEADER PAGE
                      " (1 times); through the proxy it is nothing (0 times)"
             : i == 1 ? "says " PAGE_HEADER PAGE " (1 times); through the proxy it is " PAGE
                        " (2 times)"
                      : "says " PAGE_HEADER PAGE " (1 times); through the proxy it is * (1 times)");
    }
    begin();
    pages[1].head = OURS;
    check(" proxy_changes_cors");
    seen("the gateway says " PAGE_HEADER "nothing (0 times); through the proxy it is " PAGE " (1");
    begin();
    pages[1].status = 0; /* nothing to compare with */
    pages[1].head = OURS;
    check("");
    begin();
    pages[0].head = OURS;
    checks.admitted[0] = '\0'; /* no page's origin is known */
    shakes[0].origin = NULL;
    pages[2].body = SEEN("", TRUSTED);
    check("");
}

static int tear_down(void **state)
{
    (void)state;
    checks_free(&checks);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_proxy_that_does_its_work_is_no_finding),
        cmocka_unit_test(an_answer_that_is_not_the_gateways_is_judged_by_its_status),
        cmocka_unit_test(what_a_proxy_does_to_handshakes_is_found),
        cmocka_unit_test(what_a_proxy_does_to_headers_is_found),
        cmocka_unit_test(changed_cors_headers_are_found),
    };

    return cmocka_run_group_tests(tests, NULL, tear_down);
}
