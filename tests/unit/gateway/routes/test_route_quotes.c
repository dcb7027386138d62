/* Quotes and history over HTTP: the requests to the loop, and the answers made of its answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shared/wire/wire.h"
#include "tests/unit/gateway/routes/route_fixture.h"

#define QUOTES "GET /cotizaciones/quotes"
#define NONE "{'seq':4,'symbols':9,'quotes':[]}"

static void lists_are_asked_for_by_pattern_and_page(void **state)
{
    (void)state;
    loop.epoch = 0xabc;
    loop.is_complete = true;
    check_loop(QUOTES "?symbols=A*,B&limit=5&offset=7", OURS, 200, NONE, 200,
               "{\"quotes\":[],\"epoch\":\"0000000000000abc\",\"seq\":4,\"symbols\":9,"
               "\"truncated\":false,\"complete\":true,\"timestamp\":1.5}\n");
    assert_int_equal(loop.kind, LOOP_REQUEST_QUOTES);
    assert_string_equal(loop.text, "A*,B");
    assert_int_equal(loop.limit, 5);
    assert_int_equal(loop.offset, 7);
    loop.is_complete = false;
    check_loop(QUOTES, OURS, 200, "{'next':3,'quotes':[]}", 200,
               "\"seq\":0,\"symbols\":0,\"next\":3,\"truncated\":true,\"complete\":false,");
    assert_string_equal(loop.text, "");
    assert_int_equal(loop.limit, 1000);
    assert_int_equal(loop.offset, 0);
    check_loop(QUOTES "?limit=1000&offset=4294967295", OURS, 200, NONE, 200, "");
    assert_int_equal(loop.offset, 4294967295);
    check_loop(QUOTES "?limit=1&symbols=", OURS, 200, NONE, 200, "");
    check_loop(QUOTES, OURS, 429, "", 503, "\"busy\"");
    assert_non_null(strstr(buf_text(&answer), "Retry-After: 1\r\n"));
}

static void parameters_of_lists_that_make_no_sense_are_named(void **state)
{
    char line[400];

    (void)state;
    check(QUOTES "?limit=0", OURS, 400, "The parameter 'limit' is not what it should be.");
    check(QUOTES "?limit=1001", OURS, 400, "A whole number from 1 to 1000.");
    check(QUOTES "?limit=", OURS, 400, "'limit'");
    check(QUOTES "?limit=1x", OURS, 400, "'limit'");
    check(QUOTES "?limit=18446744073709551616", OURS, 400, "'limit'");
    check(QUOTES "?offset=4294967296", OURS, 400, "A whole number from 0 to 4294967295.");
    check(QUOTES "?symbols=A,b", OURS, 400, "'b' in 'symbols' is neither a symbol nor a pattern.");
    check(QUOTES "?symbols=A*B,C", OURS, 400, "'A*B' in 'symbols' is neither");
    check(QUOTES "?symbols=,", OURS, 400, "'symbols' names no symbol.");
    snprintf(line, sizeof line, QUOTES "?symbols=%0256d", 0);
    check(line, OURS, 400, "'symbols' is too long.");
    snprintf(line, sizeof line, QUOTES "?symbols=A,%0150d", 0);
    check(line, OURS, 400, "'000");
    assert_null(strstr(buf_text(&answer), "'symbols' is too long."));
    {
        char cut[120];

        snprintf(cut, sizeof cut, "'%0100d' in 'symbols'", 0);
        assert_non_null(strstr(buf_text(&answer), cut));
    }
}

static void a_loop_without_an_answer_is_503_with_a_reason(void **state)
{
    (void)state;
    loop_request_cancel_all(service.core);
    check(QUOTES, OURS, 503, "\"draining\"");
    assert_non_null(strstr(buf_text(&answer), "Retry-After: 2\r\n"));
    loop_request_queue_free(service.core);
    service.core = loop_request_queue_new(0); /* too many wait */
    check(QUOTES, OURS, 503, "Ask less often, or raise HTTP_THREADS.");
    assert_non_null(strstr(buf_text(&answer), "Retry-After: 1\r\n"));
    check("GET /cotizaciones/health", OURS, 503, "\"busy\"");
}

static void one_quote_is_asked_for_by_its_symbol(void **state)
{
    char line[200];

    (void)state;
    check_loop(QUOTES "/EUR/USD", OURS, 200, NONE, 404, "\"unknown_symbol\"");
    assert_int_equal(loop.kind, LOOP_REQUEST_QUOTE);
    assert_string_equal(loop.text, "EUR/USD");
    check_loop(QUOTES "/A", OURS, 503, "", 503, "\"broker_away\"");
    assert_non_null(strstr(buf_text(&answer), "Retry-After: 2\r\n"));
    check_loop(QUOTES "/A", OURS, 429, "", 503, "\"busy\"");
    check(QUOTES "/a", OURS, 400, "'a' cannot be a symbol.");
    snprintf(line, sizeof line, QUOTES "/%0120d", 0);
    check(line, OURS, 400, "\"bad_symbol\"");
    snprintf(line, sizeof line, "'%0100d' cannot be a symbol.", 0);
    assert_non_null(strstr(buf_text(&answer), line));
}

static void history_is_asked_for_with_its_bounds(void **state)
{
    (void)state;
    check_loop(QUOTES "/A/history", OURS, 200, "{'epoch':2748,'first':1,'head':9,'last':5}", 200,
               "{\"symbol\":\"A\",\"order\":\"newest\",\"records\":[],\"gaps\":[],"
               "\"epoch\":\"0000000000000abc\",\"first\":1,\"head\":9,\"truncated\":false,"
               "\"complete\":true,\"timestamp\":1.5}\n");
    assert_int_equal(loop.kind, LOOP_REQUEST_HISTORY);
    assert_string_equal(loop.text, "A");
    assert_int_equal(loop.limit, 1000);
    assert_false(loop.timeline.is_oldest_first);
    check_loop(QUOTES "/A/B/history/?order=oldest&since=5&until=9&limit=3", OURS, 200, "{'last':5}",
               200, "\"order\":\"oldest\"");
    assert_string_equal(loop.text, "A/B");
    assert_true(loop.timeline.is_oldest_first && loop.timeline.has_since);
    assert_int_equal(loop.timeline.before, 10);
    assert_int_equal(loop.limit, 3);
    check_loop(QUOTES "/A/history?order=newest&since=2026-11-25T12:00:00%2B01:00", OURS, 200,
               "{'last':5}", 200, "\"order\":\"newest\"");
    assert_int_equal(loop.timeline.since_us, 1795604400000000);
    check_loop(QUOTES "/A/history?since=2026-11-25T12:00:00+01:00", OURS, 200, "{'last':5}", 200,
               "");
    assert_int_equal(loop.timeline.since_us, 1795604400000000);
    check_loop(QUOTES "/A/history?next=0000000000000abc:7", OURS, 200, "{'last':5}", 200, "");
    assert_true(loop.timeline.has_epoch);
    assert_int_equal(loop.timeline.epoch, 0xabc);
    assert_int_equal(loop.timeline.before, 7);
}

static void parameters_of_history_that_make_no_sense_are_named(void **state)
{
    (void)state;
    check(QUOTES "/A/history?order=old", OURS, 400, "newest (the default) or oldest.");
    check(QUOTES "/A/history?order=", OURS, 400, "'order'");
    check(QUOTES "/A/history?since=x", OURS, 400, "'since'");
    check(QUOTES "/A/history?until=x", OURS, 400, "'until'");
    check(QUOTES "/A/history?until=", OURS, 400, "'until'");
    check(QUOTES "/A/history?next=x", OURS, 400, "'next'");
    check(QUOTES "/A/history?limit=0", OURS, 400, "A whole number from 1 to 1000.");
    check(QUOTES "/A/history?limit=1001", OURS, 400, "'limit'");
    check(QUOTES "/a/history", OURS, 400, "'a' cannot be a symbol.");
    check(QUOTES "//history", OURS, 400, "'/history' cannot be a symbol.");
}

static void history_that_there_is_none_of_is_an_error_with_its_reason(void **state)
{
    (void)state;
    check_loop(QUOTES "/A/history", OURS, 404, "", 404, "\"unknown_symbol\"");
    check_loop(QUOTES "/A/history", OURS, 410, "", 410, "\"log_replaced\"");
    check_loop(QUOTES "/A/history", OURS, 500, "", 503, "\"store_failed\"");
    assert_non_null(strstr(buf_text(&answer), "Retry-After: 5\r\n"));
    check_loop(QUOTES "/A/history", OURS, 503, "", 503, "\"broker_away\"");
    assert_non_null(strstr(buf_text(&answer), "Retry-After: 2\r\n"));
    check_loop(QUOTES "/A/history", OURS, 429, "", 503, "\"busy\"");
}

static void status_metrics_and_health_are_the_loops(void **state)
{
    (void)state;
    loop.status = 200;
    check_loop("GET /cotizaciones/websocket_status?limit=0&offset=3", OURS, 200, "'x'", 200,
               "Content-Type: application/json\r\n");
    assert_int_equal(loop.kind, LOOP_REQUEST_WEBSOCKET_STATUS);
    assert_int_equal(loop.limit, 0);
    assert_int_equal(loop.offset, 3);
    assert_true(loop.is_privileged);
    set(&config.status_token, "secret");
    check_loop("GET /cotizaciones/websocket_status", OURS, 200, "'x'", 200, "");
    assert_false(loop.is_privileged);
    check_loop("GET /cotizaciones/websocket_status", OURS "Authorization: Bearer secret\r\n", 200,
               "'x'", 200, "");
    assert_true(loop.is_privileged);
    check("GET /cotizaciones/websocket_status?limit=1001", OURS, 400,
          "A whole number from 0 to 1000.");
    check_loop("GET /metrics", OURS, 200, "'x'", 200, "Content-Type: text/plain; version=0.0.4");
    assert_int_equal(loop.kind, LOOP_REQUEST_METRICS);
    check_loop("GET /cotizaciones/health", OURS, 503, "'x'", 503, "");
    assert_int_equal(loop.kind, LOOP_REQUEST_HEALTH);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(lists_are_asked_for_by_pattern_and_page),
        TEST(parameters_of_lists_that_make_no_sense_are_named),
        TEST(a_loop_without_an_answer_is_503_with_a_reason),
        TEST(one_quote_is_asked_for_by_its_symbol),
        TEST(history_is_asked_for_with_its_bounds),
        TEST(parameters_of_history_that_make_no_sense_are_named),
        TEST(history_that_there_is_none_of_is_an_error_with_its_reason),
        TEST(status_metrics_and_health_are_the_loops),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
