/* The doctor's findings about the answers and handshakes of a simulated gateway. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shared/base/clock.h"
#include "shared/base/mem.h"
#include "shared/base/version.h"
#include "tests/unit/doctor/probe_fixture.h"

#define HEALTH "/cotizaciones/health"
#define STATUS "/cotizaciones/websocket_status?limit=0"

static struct checks checks;
static char none[] = "";
static char health[500], asked_for[200];

static void answer_health(double skew_s, const char *broker, const char *version)
{
    snprintf(health, sizeof health,
             "{\"timestamp\":%.3f,\"broker\":%s,\"gateway\":{\"version\":\"%s\"}}",
             (double)clock_wall_us() / 1e6 + skew_s, broker, version);
    pages[0] = (struct page){GATEWAY, HEALTH, 200, OURS, health, NULL, false};
}

static void answer_status(int max_connections, double timeout)
{
    static char status[200];

    snprintf(status, sizeof status, "{\"gateway\":{\"max_connections\":%d,\"timeout\":%.3f}}",
             max_connections, timeout);
    pages[1] = (struct page){GATEWAY, STATUS, 200, OURS, status, NULL, false};
}

/* A gateway as it should be, with contact to the broker of epoch 77. */
static void begin(void)
{
    checks_free(&checks);
    checks = (struct checks){.is_gateway_there = true, .broker_epoch = 0x77};
    checks.json = json_new();
    checks.config.gateway_url = none;
    checks.config.origin = asked_for;
    checks.config.max_skew = 2000;
    checks.gateway.websocket_max_connections = 100;
    checks.gateway.websocket_timeout = 30000;
    checks.gateway.websocket_token = mem_strdup("");
    checks.gateway.cors_origins = mem_strdup("");
    checks.gateway.cors_allow_methods = mem_strdup("");
    checks.gateway.cors_allow_headers = mem_strdup("");
    snprintf(checks.url, sizeof checks.url, "%s", GATEWAY);
    snprintf(checks.broker_version, sizeof checks.broker_version, "%s", PREGON_VERSION);
    memset(pages, 0, sizeof pages);
    memset(shakes, 0, sizeof shakes);
    memset(preflights, 0, sizeof preflights);
    preflight_count = 0;
    asked_for[0] = '\0';
    answer_health(0, "{\"status\":\"connected\",\"epoch\":\"0000000000000077\"}", PREGON_VERSION);
    answer_status(100, 30);
}

static void check(const char *want)
{
    checks_gateway(&checks);
    if (strcmp(found(&checks), want) != 0)
        fail_msg("found%s, not%s", found(&checks), want);
}

static void a_gateway_as_it_should_be_is_no_finding(void **state)
{
    (void)state;
    begin();
    check("");
    assert_true(checks.has_answered);
    begin();
    answer_health(1.8, "{\"status\":\"connected\"}", PREGON_VERSION);
    checks.broker_version[0] = '\0';
    check("");
}

static void another_server_and_a_silent_gateway_are_reported_differently(void **state)
{
    (void)state;
    begin();
    pages[0].head = "Server: nginx\r\n";
    check(" gateway_silent");
    assert_false(checks.has_answered);
    assert_non_null(strstr(checks.found.items[0].seen, "HTTP 200"));
    begin();
    pages[0].status = 0;
    check(" gateway_silent");
    assert_non_null(strstr(checks.found.items[0].seen, "No answer"));
    begin();
    checks.is_gateway_there = false;
    check("");
    assert_false(checks.has_answered);
}

static void a_finding_about_the_gateway_names_its_address_and_its_holder(void **state)
{
    static char url[] = "http://gateway.example";

    (void)state;
    for (int has_url = 0; has_url < 2; has_url++)
        for (int is_silent = 0; is_silent < 2; is_silent++) {
            begin();
            if (has_url)
                checks.config.gateway_url = url;
            else
                snprintf(checks.holder, sizeof checks.holder, "pid 7 (x)");
            pages[0].head = "Server: nginx\r\n";
            pages[0].status = is_silent ? 0 : 200;
            check(" gateway_silent");
            assert_string_equal(checks.found.items[0].where, has_url ? "GATEWAY_URL" : "PORT");
            assert_string_equal(
                checks.found.items[0].seen,
                is_silent
                    ? (has_url ? "No answer from " GATEWAY ": connection refused."
                               : "No answer from " GATEWAY ", pid 7 (x): connection refused.")
                    : (has_url ? "The server at " GATEWAY " is not a gateway of Pregón: HTTP 200."
                               : "The server at " GATEWAY
                                 " is not a gateway of Pregón: HTTP 200, pid 7 (x)."));
        }
}

static void a_clock_that_differs_is_found_on_either_side(void **state)
{
    (void)state;
    begin();
    answer_health(-5, "{}", PREGON_VERSION);
    check(" clock_skew");
    assert_non_null(strstr(checks.found.items[0].seen, "behind"));
    begin();
    answer_health(5, "{}", PREGON_VERSION);
    check(" clock_skew");
    assert_non_null(strstr(checks.found.items[0].seen, "ahead"));
}

static void a_gateway_of_another_broker_or_of_none_is_found(void **state)
{
    (void)state;
    begin();
    answer_health(0, "{\"status\":\"away\",\"reason\":\"no heartbeat\"}", PREGON_VERSION);
    check(" gateway_without_broker");
    assert_non_null(strstr(checks.found.items[0].todo, "the broker answers here"));
    assert_string_equal(checks.found.items[0].where, "BROKER_CONTROL");
    assert_string_equal(checks.found.items[0].seen,
                        "The gateway has no contact with its broker: no heartbeat.");
    begin();
    checks.broker_epoch = 0;
    answer_health(0, "{\"status\":\"away\",\"reason\":\"no heartbeat\"}", PREGON_VERSION);
    check(" gateway_without_broker");
    assert_non_null(strstr(checks.found.items[0].todo, "start the broker"));
    begin();
    answer_health(0, "{\"status\":\"connected\",\"epoch\":\"0000000000000078\"}", PREGON_VERSION);
    check(" another_broker");
    assert_string_equal(checks.found.items[0].where, "BROKER_CONTROL");
    assert_string_equal(checks.found.items[0].seen,
                        "The gateway follows a broker whose log is 0000000000000078; that of .env "
                        "has 0000000000000077.");
}

static void other_versions_and_other_settings_are_found(void **state)
{
    (void)state;
    begin();
    answer_health(0, "{}", "0.0.1");
    check(" versions_differ");
    begin();
    snprintf(checks.broker_version, sizeof checks.broker_version, "0.0.1");
    check(" versions_differ");
    begin();
    answer_status(99, 30);
    check(" settings_not_in_force");
    assert_string_equal(checks.found.items[0].where, "WEBSOCKET_MAX_CONNECTIONS");
    assert_string_equal(checks.found.items[0].seen,
                        "WEBSOCKET_MAX_CONNECTIONS is 100 here, and 99 in the gateway that runs.");
    begin();
    answer_status(100, 30.001);
    check(" settings_not_in_force");
    assert_string_equal(checks.found.items[0].where, "WEBSOCKET_TIMEOUT");
    assert_string_equal(checks.found.items[0].seen,
                        "WEBSOCKET_TIMEOUT is 30.000 here, and 30.001 in the gateway that runs.");
    begin();
    pages[1].body = "{}"; /* an older gateway, which has neither member */
    check("");
    begin();
    answer_status(99, 30);
    finding_add(&checks.found, FINDING_descriptors_too_few, "", "", NULL, "x");
    check(" descriptors_too_few"); /* that explains the number */
}

/* --- pages ------------------------------------------------------------------------------ */

static void lets_in(int i, const char *origin)
{
    shakes[i] = (struct shake){GATEWAY, origin, 101, OURS, true, 0, NULL};
}

static void refuses(int i, const char *origin, int status, const char *head)
{
    shakes[i] = (struct shake){GATEWAY, origin, status, head, false, 0, NULL};
}

#define NOT_ALLOWED OURS "X-Reject-Reason: origin_not_allowed\r\n"

static void lists(const char *listed)
{
    free(checks.gateway.cors_origins);
    checks.gateway.cors_origins = mem_strdup(listed);
}

static void try_pages(const char *listed, const char *own, const char *want)
{
    lists(listed);
    snprintf(asked_for, sizeof asked_for, "%s", own);
    checks.has_answered = true;
    checks_pages(&checks);
    if (strcmp(found(&checks), want) != 0)
        fail_msg("found%s, not%s", found(&checks), want);
}

static void listed_pages_get_in_and_foreign_ones_do_not(void **state)
{
    (void)state;
    begin();
    lets_in(0, "https://page.example");
    lets_in(1, "https://doctor.wild.example");
    lets_in(2, "http://localhost:8080");
    refuses(3, CHECKS_FOREIGN_ORIGIN, 403, NOT_ALLOWED);
    try_pages("https://page.example/,https://*.wild.example,http://localhost:*", "", "");
    assert_int_equal(checks.handshake_count, 4);
    assert_true(checks.has_admitted);
    assert_string_equal(checks.admitted, "https://page.example");
    for (size_t i = 0; i < checks.handshake_count; i++)
        assert_true(checks.handshakes[i].is_expected);
    begin();
    lets_in(0, NULL);
    try_pages("https://page.example", "", " foreign_origin_admitted");
    begin();
    lets_in(0, NULL);
    try_pages("*", "", ""); /* a star lets everybody in */
    assert_true(checks.has_admitted);
    assert_string_equal(checks.admitted, "");
}

/* The gateway refuses the preflights of this method. */
static void refuses_preflights(size_t i, const char *method, const char *code)
{
    static char heads[10][80];

    snprintf(heads[i], sizeof heads[i], OURS "X-Reject-Reason: %s\r\n", code);
    preflights[i] = (struct preflight){method, heads[i], 400};
}

static void begin_with_pages(const char *allow_methods, const char *allow_headers)
{
    begin();
    lets_in(0, "https://page.example");
    lets_in(1, "https://other.example");
    refuses(2, CHECKS_FOREIGN_ORIGIN, 403, NOT_ALLOWED);
    free(checks.gateway.cors_allow_methods);
    free(checks.gateway.cors_allow_headers);
    checks.gateway.cors_allow_methods = mem_strdup(allow_methods);
    checks.gateway.cors_allow_headers = mem_strdup(allow_headers);
}

static void listed_pages_send_a_preflight_for_each_method(void **state)
{
    const char *both = "https://page.example,https://other.example";

    (void)state;
    begin_with_pages("", "");
    try_pages(both, "", "");
    assert_int_equal(preflight_count, 2 * 5);
    begin_with_pages("GET,HEAD,POST", "X-Token,authorization");
    refuses_preflights(0, "PUT", "cors_method_not_allowed");
    refuses_preflights(1, "GET", "cors_header_not_allowed");
    try_pages(both, "", " preflight_refused preflight_refused");
    assert_string_equal(checks.found.items[0].where, "CORS_ALLOW_HEADERS");
    assert_non_null(strstr(checks.found.items[0].todo, "Add x-requested-with to CORS_ALLOW_HEAD"));
    assert_string_equal(checks.found.items[1].where, "CORS_ALLOW_METHODS");
    assert_non_null(
        strstr(checks.found.items[1].seen, "The preflight for PUT /cotizaciones/locks"));
    begin_with_pages("", "");
    refuses_preflights(0, "POST", "cors_header_not_allowed");
    try_pages(both, "", " settings_not_in_force");
    assert_string_equal(checks.found.items[0].where, "CORS_ALLOW_HEADERS");
}

static void an_entry_with_a_star_is_tried_with_what_it_allows(void **state)
{
    static const char *const rows[][2] = {
        {"https://*.wild.example/", "https://doctor.wild.example"},
        {"*://page.example", "https://page.example"},
        {"http://localhost:*", "http://localhost:8080"},
        {"https://page.example/", "https://page.example"},
        {"https://page.example:81", "https://page.example:81"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        begin();
        lets_in(0, rows[i][1]);
        refuses(1, CHECKS_FOREIGN_ORIGIN, 403, NOT_ALLOWED);
        try_pages(rows[i][0], "", "");
        assert_int_equal(checks.handshake_count, 2);
        assert_string_equal(checks.handshakes[0].origin, rows[i][1]);
        assert_string_equal(checks.handshakes[0].through, "gateway");
        assert_string_equal(checks.handshakes[0].code, "admitted");
        assert_int_equal(checks.handshakes[0].status, 101);
        assert_string_equal(checks.handshakes[1].code, "origin_not_allowed");
        assert_int_equal(checks.handshakes[1].status, 403);
        assert_false(checks.handshakes[1].is_admitted);
    }
}

static void a_page_that_is_refused_is_reported_with_the_list_that_lacks_it(void **state)
{
    (void)state;
    begin();
    refuses(0, NULL, 403, NOT_ALLOWED);
    try_pages("https://page.example", "", " settings_not_in_force");
    begin();
    lets_in(0, "https://page.example");
    refuses(1, NULL, 403, NOT_ALLOWED);
    try_pages("https://page.example", "https://my.page", " origin_not_allowed");
    assert_string_equal(checks.found.items[0].change,
                        "CORS_ORIGINS=https://page.example,https://my.page");
    begin();
    lets_in(0, ""); /* a program has no origin */
    refuses(1, NULL, 403, NOT_ALLOWED);
    try_pages("", "https://my.page", " origin_not_allowed");
    assert_true(checks.has_admitted);
    assert_string_equal(checks.found.items[0].change, "CORS_ORIGINS=https://my.page");
    begin();
    checks.has_answered = false;
    lists("https://page.example");
    snprintf(asked_for, sizeof asked_for, "https://page.example,https://my.page");
    checks_pages(&checks); /* no gateway: only the list is checked */
    assert_string_equal(found(&checks), " origin_not_allowed");
    assert_int_equal(checks.handshake_count, 0);
}

static void a_refusal_of_everybody_is_found_once(void **state)
{
    static const char token[] = OURS "X-Reject-Reason: unauthorized\r\n",
                      full[] = OURS "X-Reject-Reason: max_connections\r\n";

    (void)state;
    begin();
    refuses(0, NULL, 401, token);
    try_pages("https://a.example,https://b.example", "", " unauthorized");
    assert_int_equal(checks.handshake_count, 1);
    assert_string_equal(checks.found.items[0].where, "WEBSOCKET_TOKEN");
    assert_string_equal(checks.found.items[0].change, "");
    assert_ptr_equal(strstr(checks.found.items[0].seen,
                            "Handshakes are refused with HTTP 401 unauthorized: handshakes are "
                            "refused: "),
                     checks.found.items[0].seen); /* for want of a message, what that means */
    assert_string_equal(checks.found.items[0].todo, "see docs/troubleshooting.md");
    begin();
    refuses(0, NULL, 503, full);
    try_pages("https://a.example", "", " max_connections");
    assert_string_equal(checks.found.items[0].change, "WEBSOCKET_MAX_CONNECTIONS=200");
    begin();
    checks.gateway.websocket_max_connections = 0;
    refuses(0, NULL, 503, full);
    try_pages("https://a.example", "", " max_connections");
    assert_string_equal(checks.found.items[0].change, "WEBSOCKET_MAX_CONNECTIONS=100");
    begin(); /* WEBSOCKET_EXPLAIN: accepted, and closed with the reason */
    shakes[0] =
        (struct shake){GATEWAY, NULL, 101, OURS, true, 4013, "{\"code\":\"max_connections\"}"};
    try_pages("https://a.example", "", " max_connections");
    begin();
    lets_in(0, NULL);
    shakes[0].is_followed = false; /* 101, and then nothing */
    try_pages("https://a.example", "", " gateway_silent");
    begin();
    try_pages("https://a.example", "", " gateway_silent");
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
        cmocka_unit_test(a_gateway_as_it_should_be_is_no_finding),
        cmocka_unit_test(another_server_and_a_silent_gateway_are_reported_differently),
        cmocka_unit_test(a_finding_about_the_gateway_names_its_address_and_its_holder),
        cmocka_unit_test(listed_pages_send_a_preflight_for_each_method),
        cmocka_unit_test(an_entry_with_a_star_is_tried_with_what_it_allows),
        cmocka_unit_test(a_clock_that_differs_is_found_on_either_side),
        cmocka_unit_test(a_gateway_of_another_broker_or_of_none_is_found),
        cmocka_unit_test(other_versions_and_other_settings_are_found),
        cmocka_unit_test(listed_pages_get_in_and_foreign_ones_do_not),
        cmocka_unit_test(a_page_that_is_refused_is_reported_with_the_list_that_lacks_it),
        cmocka_unit_test(a_refusal_of_everybody_is_found_once),
    };

    return cmocka_run_group_tests(tests, NULL, tear_down);
}
