/*
 * /cotizaciones/websocket_check: why a page's handshake is refused, and faults of a proxy in
 * between.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/gateway/routes/route_fixture.h"

#define CHECK "GET /cotizaciones/websocket_check"
#define PASSED(rule) "{\"rule\":\"" rule "\",\"pass\":true,\"message\":\"\"}"

static void an_allowed_page_sees_every_rule_and_the_proxy(void **state)
{
    (void)state;
    check(CHECK, OURS, 200,
          "{\"allowed\":true,\"code\":\"admitted\",\"status\":101,"
          "\"message\":\"A WebSocket from this page would be accepted.\",\"hint\":\"\","
          "\"setting\":\"\",\"origin\":null,\"origin_source\":\"none\","
          "\"path\":\"/ws/cotizaciones\",\"client\":\"127.0.0.1:40000\",\"rules\":[" PASSED(
              "no_such_path") "," PASSED("upgrade_required") ",");
    has(PASSED("max_connections") "],\"proxy\":{\"peer\":\"127.0.0.1\",\"peer_is_trusted\":true,"
                                  "\"x_forwarded_for\":null,"
                                  "\"x_forwarded_proto\":null,\"x_forwarded_host\":null,\"host\":"
                                  "\"127.0.0.1:8000\","
                                  "\"own_origin\":\"http://127.0.0.1:8000\",\"notes\":[]},"
                                  "\"publish\":{\"allowed\":false,\"code\":\"publish_disabled\","
                                  "\"message\":\"Quotes cannot be published here.\",\"hint\":\"Set "
                                  "PUBLISH_TOKEN, and send it as 'Authorization: Bearer TOKEN'.\","
                                  "\"setting\":\"PUBLISH_TOKEN\"},"
                                  "\"request_id\":\"0123456789abcdef\"}\n");
}

static void a_refused_page_sees_the_rule_and_its_setting(void **state)
{
    (void)state;
    check(CHECK, OURS PAGE, 200,
          "{\"allowed\":false,\"code\":\"origin_not_allowed\",\"status\":403,"
          "\"message\":\"Pages of the origin https://page.example may not connect.\",");
    has("\"setting\":\"CORS_ORIGINS\",\"origin\":\"https://page.example\","
        "\"origin_source\":\"header\",");
    has(",{\"rule\":\"origin_not_allowed\",\"pass\":false,"
        "\"message\":\"Pages of the origin https://page.example may not connect.\"},");
    check(CHECK "?origin=https://other.example", OURS PAGE, 200,
          "\"origin\":\"https://other.example\",\"origin_source\":\"parameter\",");
    check(CHECK "?origin=", OURS PAGE, 200, "{\"allowed\":true,"); /* as a program */
    has("\"origin\":null,\"origin_source\":\"parameter\",");
}

static void another_path_and_its_query_are_judged_like_the_streams(void **state)
{
    (void)state;
    check(CHECK "?path=/ws/other", OURS, 200, "\"code\":\"no_such_path\"");
    has("\"path\":\"/ws/other\",");
    check(CHECK "?path=/cotizaciones/ready", OURS, 200, "answers plain HTTP only");
    check(CHECK "?path=/ws/cotizaciones%3Fsymbls%3DA", OURS, 200, "The parameter 'symbls' does");
    has("\"code\":\"malformed\"");
    check(CHECK "?symbls=A", OURS, 200, "The parameter 'symbls' does");
    check(CHECK "?symbols=A&path=/ws/cotizaciones%3Fsymbols%3DA", OURS, 200, "\"allowed\":true");
    set(&config.root_path, "/precios");
    check(CHECK "?path=/precios/ws/cotizaciones", OURS, 200, "\"allowed\":true");
    has("\"path\":\"/ws/cotizaciones\",");
}

static void what_is_too_long_or_malformed_is_named(void **state)
{
    static char line[5000];

    (void)state;
    check(CHECK "?origin=%zz", OURS, 400, "The parameter 'origin' is malformed or too long.");
    has("An origin has at most 299 bytes, a path with its query 4095.");
    check(CHECK "?path=%zz", OURS, 400, "The parameter 'path' is malformed or too long.");
    snprintf(line, sizeof line, CHECK "?origin=%0299d", 0);
    check(line, OURS, 200, "\"allowed\":false");
    snprintf(line, sizeof line, CHECK "?origin=%0300d", 0);
    check(line, OURS, 400, "'origin'");
}

static void the_token_is_judged_wherever_it_stands(void **state)
{
    (void)state;
    set(&config.websocket_token, "a+b");
    check(CHECK, OURS, 200, "\"code\":\"unauthorized\"");
    check(CHECK "?token=a%2Bb", OURS, 200, "\"allowed\":true");
    check(CHECK "?token=a+b", OURS, 200, "\"allowed\":true");
    check(CHECK "?token=x", OURS, 200, "The token is wrong.");
    check(CHECK, OURS "Authorization: Bearer a+b\r\n", 200, "\"allowed\":true");
}

/* --- the proxy ------------------------------------------------------------ */

static void a_port_that_the_proxy_drops_is_noted(void **state)
{
    static const char note[] = "The page's origin has the port 8443, and the Host that came, "
                               "quotes.example, has none: nginx's 'proxy_set_header Host $host'";

    (void)state;
    check(CHECK "?origin=http://Quotes.example:8443", "Host: quotes.example\r\n", 200, note);
    check(CHECK "?origin=http://quotes.example", "Host: quotes.example\r\n", 200, "");
    has_no("has the port");
    check(CHECK "?origin=http://other.example:8443", "Host: quotes.example\r\n", 200, "");
    has_no("has the port");
    check(CHECK "?origin=null", "Host: quotes.example\r\n", 200, "");
    has_no("has the port");
    check(CHECK "?origin=http://quotes.example:8443", "Host: quotes.example:8443\r\n", 200, "");
    has_no("has the port");
}

static void headers_of_a_proxy_that_is_not_trusted_are_noted(void **state)
{
    static const char *const headers[] = {"X-Forwarded-For: 192.0.2.1\r\n",
                                          "X-Forwarded-Proto: https\r\n",
                                          "X-Forwarded-Host: quotes.example\r\n"};
    char text[200];

    (void)state;
    set(&config.forwarded_allow_ips, "192.0.2.9");
    check(CHECK, OURS, 200, "\"peer_is_trusted\":false");
    has("\"notes\":[]");
    for (size_t i = 0; i < 3; i++) {
        snprintf(text, sizeof text, OURS "%s", headers[i]);
        check(CHECK, text, 200,
              "\"notes\":[\"X-Forwarded headers came from 127.0.0.1 and were ignored: it is not "
              "in FORWARDED_ALLOW_IPS.\",\"A proxy stands in between.");
    }
    has("\"x_forwarded_host\":\"quotes.example\"");
    check(CHECK, OURS "Via: x\r\n", 200, "\"notes\":[\"A proxy stands in between.");
}

static void a_trusted_proxy_that_does_not_say_the_scheme_is_noted(void **state)
{
    static const char note[] = "The proxy sends X-Forwarded-For but not X-Forwarded-Proto";

    (void)state;
    check(CHECK, OURS "X-Forwarded-For: 192.0.2.1\r\n", 200, note);
    has("\"x_forwarded_for\":\"192.0.2.1\",\"x_forwarded_proto\":null,");
    check(CHECK, OURS "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n", 200, "");
    has_no(note);
    has("\"x_forwarded_proto\":\"https\"");
    has("A proxy stands in between.");
    check(CHECK, OURS "X-Forwarded-Proto: https\r\n", 200, "");
    has_no(note);
    has_no("were ignored");
}

static void a_page_whose_https_ends_at_the_proxy_is_noted(void **state)
{
    static const char note[] = "The page's https origin differs from ours only in the scheme";

    (void)state;
    check(CHECK "?origin=https://127.0.0.1:8000", OURS, 200, note);
    check(CHECK "?origin=http://127.0.0.1:8000", OURS, 200, "");
    has_no(note);
    check(CHECK "?origin=https://127.0.0.1:8001", OURS, 200, "");
    has_no(note);
    check(CHECK "?origin=https://127.0.0.1:8000", OURS "X-Forwarded-Proto: https\r\n", 200, "");
    has_no(note);
}

static void a_request_without_host_is_noted(void **state)
{
    struct head_scan scan = {0};
    char bytes[] = CHECK " HTTP/1.0\r\n\r\n";
    struct request r;

    (void)state;
    (void)answer_to(CHECK, OURS); /* for the connection */
    assert_int_equal(head_scan(&scan, bytes, strlen(bytes)), 0);
    assert_int_equal(head_parse(bytes, scan.size, &c.head), 0);
    request_init(&r, &c, policy_hold(policy));
    buf_clear(&answer);
    assert_true(route_answer(&service, &r, &answer));
    request_fini(&r);
    has("\"host\":null,");
    has("\"notes\":[\"The request has no Host header.\"]");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(an_allowed_page_sees_every_rule_and_the_proxy),
        TEST(a_refused_page_sees_the_rule_and_its_setting),
        TEST(another_path_and_its_query_are_judged_like_the_streams),
        TEST(what_is_too_long_or_malformed_is_named),
        TEST(the_token_is_judged_wherever_it_stands),
        TEST(a_port_that_the_proxy_drops_is_noted),
        TEST(headers_of_a_proxy_that_is_not_trusted_are_noted),
        TEST(a_trusted_proxy_that_does_not_say_the_scheme_is_noted),
        TEST(a_page_whose_https_ends_at_the_proxy_is_noted),
        TEST(a_request_without_host_is_noted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
