/* Requests as bytes and their answers: each path that does not need the loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/gateway/routes/route_fixture.h"

static void paths_are_found_or_404_and_methods_are_known_or_405(void **state)
{
    (void)state;
    check("GET /cotizaciones/ready", OURS, 200, "{\"status\":\"ready\"}");
    check("GET /cotizaciones/ready/", OURS, 200, "ready");
    check("GET /cotizaciones/readyx", OURS, 404, "\"no_such_path\"");
    check("GET /cotizaciones/ready/x", OURS, 404, "no_such_path");
    check("GET /cotizaciones", OURS, 404, "no_such_path");
    check("GET /cotizaciones/locks/a/b/value/x", OURS, 400, "\"bad_name\"");
    check("POST /cotizaciones/ready", OURS, 405, "Allow: GET, HEAD\r\n");
    check("PUT /cotizaciones/ready", OURS, 405, "Use GET.");
    check("DELETE /cotizaciones/quotes", OURS, 405, "Allow: GET, HEAD, POST\r\n");
    check("POST /cotizaciones/quotes", OURS, 403, "\"publish_disabled\"");
    check("POST /cotizaciones/quotes/A", OURS, 405, "Allow: GET, HEAD, DELETE\r\n");
    check("PUT /cotizaciones/feeds/a", OURS, 405, "Allow: GET, HEAD, DELETE\r\n");
    check("POST /cotizaciones/locks/a", OURS, 405, "Allow: GET, HEAD, PUT, DELETE\r\n");
    check("DELETE /cotizaciones/locks/a/value", OURS, 405, "Allow: GET, HEAD, PUT\r\n");
    check("PUT /cotizaciones/locks", OURS, 405, "Allow: GET, HEAD\r\n");
    check("POST /ws/cotizaciones", OURS, 405, "Allow: GET\r\n");
    check("GET /%zz", OURS, 400, "\"bad_request\"");
    check("GET /ws/cotizaciones", OURS, 426, "\"upgrade_required\"");
}

static void a_gateway_says_whether_it_is_ready(void **state)
{
    (void)state;
    gate_set_leaving(service.gate);
    check("GET /cotizaciones/ready", OURS, 503, "\"draining\"");
    gate_free(service.gate);
    service.gate = service.handshakes.gate = gate_new();
    gate_set_limit(service.gate, 10, 10);
    check("GET /cotizaciones/ready", OURS, 503, "\"starting\"");
    assert_non_null(strstr(buf_text(&answer), "Retry-After: 1\r\n"));
    gate_set_started(service.gate);
    check("GET /cotizaciones/ready", OURS, 200, "");
}

static void parameters_that_a_path_does_not_know_are_refused(void **state)
{
    (void)state;
    check("GET /cotizaciones/ready?x=1", OURS, 400, "bad_request");
    check("GET /metrics?limit=1", OURS, 400, "bad_request");
    check("GET /cotizaciones/websocket_status?limt=1", OURS, 400, "limt");
    check("GET /cotizaciones/websocket_status?limit=x", OURS, 400, "bad_request");
    check("GET /cotizaciones/quotes?symbol=A", OURS, 400, "symbol");
    check("GET /?anything=1", OURS, 200, "text/html"); /* pages read their own */
}

static void queries_beyond_the_rate_are_429_with_the_setting(void **state)
{
    (void)state;
    policy->query_rate = 1;
    for (int i = 0; i < RATE_BURST_SECONDS; i++)
        check("GET /cotizaciones/quotes/a%20b", OURS, 400, "");
    check("GET /cotizaciones/quotes/a%20b", OURS, 429, "HTTP_QUERY_RATE.");
    assert_non_null(strstr(buf_text(&answer), "Retry-After: 1\r\n"));
    check("GET /cotizaciones/ready", OURS, 200, ""); /* that is no query */
    policy->query_rate = 0;
    check("GET /cotizaciones/quotes/a%20b", OURS, 400, "");
    policy->query_rate_total = 1;
    for (int i = 0; i < RATE_BURST_SECONDS_OF_ALL; i++)
        check("GET /cotizaciones/quotes/a%20b", OURS, 400, "");
    check("GET /cotizaciones/quotes/a%20b", OURS, 429, "HTTP_QUERY_RATE_TOTAL.");
}

static void files_are_sent_once_and_pages_where_their_links_lead(void **state)
{
    char etag[100], *at;

    (void)state;
    check("GET /", OURS, 200, "text/html");
    assert_null(strstr(buf_text(&answer), "Content-Encoding"));
    check("GET /", OURS "Accept-Encoding: gzip\r\n", 200, "Content-Encoding: gzip\r\n");
    at = strstr(buf_text(&answer), "ETag: ");
    assert_non_null(at);
    snprintf(etag, sizeof etag, OURS "Accept-Encoding: gzip\r\nIf-None-Match: %.*s\r\n",
             (int)strcspn(at + 6, "\r"), at + 6);
    check("GET /", etag, 304, "");
    check("GET /openapi.json", OURS, 200, "application/json");
    check("HEAD /openapi.json", OURS, 200, "Content-Length: ");
    assert_true(answer.len < 1000); /* without the body */
    set(&config.root_path, "/precios");
    check("GET /precios", OURS, 308, "Location: ./precios/\r\n");
    check("GET /precios?x=1", OURS, 308, "Location: ./precios/?x=1\r\n");
    check("GET /precios/", OURS, 200, "text/html");
    check("GET /precios/cotizaciones/ready", OURS, 200, "ready");
    check("GET /cotizaciones/ready", OURS, 200, "ready");
}

static void preflights_come_before_everything_else(void **state)
{
    const char *wish = OURS PAGE "Access-Control-Request-Method: GET\r\n";

    (void)state;
    check("OPTIONS /cotizaciones/ready", wish, 400, "Disallowed CORS origin");
    set(&config.cors_origins, "https://page.example");
    check("OPTIONS /cotizaciones/ready", wish, 200,
          "Access-Control-Allow-Origin: https://page.example\r\n");
    check("OPTIONS /nothing/here", wish, 200, "OK");
    check("GET /cotizaciones/ready", OURS PAGE, 200,
          "Access-Control-Allow-Origin: https://page.example\r\n");
    set(&config.cors_origins, "");
    check("GET /cotizaciones/ready", OURS PAGE, 200, "");
    assert_null(strstr(buf_text(&answer), "Access-Control-Allow-Origin"));
    /* A page of any origin may request the reason of its refusal. */
    check("GET /cotizaciones/websocket_check", OURS PAGE, 200, "Access-Control-Allow-Origin");
}

static void hosts_that_are_not_allowed_get_no_page(void **state)
{
    (void)state;
    set(&config.allowed_hosts, "quotes.example");
    check("GET /", "Host: quotes.example\r\n", 200, "");
    check("GET /", "Host: evil.example\r\n", 403, "\"host_not_allowed\"");
    check("GET /nothing", "Host: evil.example\r\n", 403, "host_not_allowed");
    check("GET /cotizaciones/ready", "Host: evil.example\r\n", 200, ""); /* probes */
    check("GET /cotizaciones/websocket_check", "Host: evil.example\r\n", 200, "");
}

static void locks_are_changed_with_the_token_only(void **state)
{
    (void)state;
    check("PUT /cotizaciones/locks/a", OURS, 403, "LOCKS_TOKEN");
    set(&config.locks_token, "secret");
    check("PUT /cotizaciones/locks/a", OURS, 401, "unauthorized");
    check("DELETE /cotizaciones/locks/a", OURS "Authorization: Bearer x\r\n", 401, "");
    check("DELETE /cotizaciones/locks/a?ownr=x", OURS "Authorization: Bearer secret\r\n", 400,
          "ownr");
    check("PUT /cotizaciones/locks/a", OURS "Authorization: Bearer   secret\r\n", 411,
          "length_required");
}

static void handshakes_are_admitted_or_refused(void **state)
{
    (void)state;
    answer_to("GET /ws/cotizaciones", OURS UPGRADE);
    assert_false(is_answered);
    answer_to("GET /ws/cotizaciones/?symbols=A*", OURS UPGRADE);
    assert_false(is_answered);
    check("GET /ws/cotizaciones?symbls=A", OURS UPGRADE, 400, "symbls");
    check("GET /ws/other", OURS UPGRADE, 404, "no_such_path");
    check("GET /ws/cotizaciones", OURS UPGRADE PAGE, 403, "origin_not_allowed");
    set(&config.websocket_token, "a+b");
    check("GET /ws/cotizaciones", OURS UPGRADE, 401, "unauthorized");
    answer_to("GET /ws/cotizaciones?token=a+b", OURS UPGRADE);
    assert_false(is_answered);
    answer_to("GET /ws/cotizaciones", OURS UPGRADE "Authorization: bearer a+b\r\n");
    assert_false(is_answered);
}

static void websocket_check_gives_the_verdict_of_a_handshake(void **state)
{
    (void)state;
    check("GET /cotizaciones/websocket_check", OURS, 200, "\"allowed\":true");
    check("GET /cotizaciones/websocket_check", OURS PAGE, 200, "\"code\":\"origin_not_allowed\"");
    check("GET /cotizaciones/websocket_check?origin=https://page.example", OURS, 200,
          "\"allowed\":false");
    check("GET /cotizaciones/websocket_check?path=/ws/other", OURS, 200,
          "\"code\":\"no_such_path\"");
    check("GET /cotizaciones/websocket_check?path=/ws/cotizaciones%3Fsymbls%3DA", OURS, 200,
          "symbls");
    check("GET /cotizaciones/websocket_check?path=/ws/cotizaciones%3Fsymbols%3DA", OURS, 200,
          "\"allowed\":true");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(paths_are_found_or_404_and_methods_are_known_or_405),
        TEST(a_gateway_says_whether_it_is_ready),
        TEST(parameters_that_a_path_does_not_know_are_refused),
        TEST(queries_beyond_the_rate_are_429_with_the_setting),
        TEST(files_are_sent_once_and_pages_where_their_links_lead),
        TEST(preflights_come_before_everything_else),
        TEST(hosts_that_are_not_allowed_get_no_page),
        TEST(locks_are_changed_with_the_token_only),
        TEST(handshakes_are_admitted_or_refused),
        TEST(websocket_check_gives_the_verdict_of_a_handshake),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
