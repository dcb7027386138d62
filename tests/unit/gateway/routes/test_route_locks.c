/* Locks over HTTP: the requests to the broker, and the answers made of its answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/gateway/routes/route_fixture.h"

#define LOCKS "/cotizaciones/locks"
#define BEARER OURS "Authorization: Bearer secret\r\n"
#define ENTRY                                                                              \
    "{'name':'a','state':'held','owner':'me','host':'web1','pid':7,'token':9,'held_ms':1," \
    "'expires_ms':2,'ttl_ms':3,'delay_ms':4,'waiters':0}"

static void was_asked(const char *request)
{
    assert_int_equal(loop.kind, LOOP_REQUEST_BROKER);
    assert_string_equal(buf_text(&loop.request), request);
}

/* --- shown ------------------------------------------------------------ */

static void locks_are_listed_by_prefix_and_page(void **state)
{
    (void)state;
    check_loop("GET " LOCKS "?prefix=a&limit=5&offset=7", OURS, 200,
               "{'locks':[" ENTRY "],'total':12,'next':13,'durable':true}", 200,
               "{\"locks\":[{\"name\":\"a\",");
    was_asked("{'op':'locks','prefix':'a','offset':7,'limit':5}");
    has("],\"total\":12,\"next\":13,\"truncated\":true,\"durable\":true,\"timestamp\":1600000000."
        "25}\n");
    has("\"owner\":\"me\"");
    check_loop("GET " LOCKS, OURS, 200, "{'locks':[],'next':0,'reason':'in memory'}", 200,
               "{\"locks\":[],\"total\":0,\"truncated\":true,\"durable\":false,"
               "\"reason\":\"in memory\",\"timestamp\":");
    was_asked("{'op':'locks','prefix':'','offset':0,'limit':1000}");
    check_loop("GET " LOCKS, OURS, 200, "{'locks':[" ENTRY "],'next':'x'}", 200,
               "],\"total\":1,\"truncated\":false,\"durable\":false,");
    check_loop("GET " LOCKS "?limit=0", OURS, 200, "{'locks':[]}", 200, "");
    check("GET " LOCKS "?limit=1001", OURS, 400, "A whole number from 0 to 1000.");
    check("GET " LOCKS "?prefix=a%20b", OURS, 400, "The parameter 'prefix' is not");
    check_loop("GET " LOCKS, OURS, 200, "{'locks':7}", 503, "\"bad_answer\"");
    check_loop("GET " LOCKS, OURS, 200, "{'x':7}", 503, "\"bad_answer\"");
    check_loop("GET " LOCKS, OURS, 503, "", 503, "Is pregon-broker running?");
    has("Retry-After: 2\r\n");
}

static void one_lock_is_shown_by_its_name(void **state)
{
    (void)state;
    check_loop("GET " LOCKS "/a", OURS, 200, "{'locks':[" ENTRY "]}", 200, "{\"name\":\"a\",");
    was_asked("{'op':'locks','name':'a'}");
    check_loop("GET " LOCKS "/a/", OURS, 200, "{'locks':[]}", 404, "\"unknown_lock\"");
    was_asked("{'op':'locks','name':'a'}");
    has("GET /cotizaciones/locks lists those");
    check("GET " LOCKS "/a%20b", OURS, 400, "A name is 1 to 64 of");
    check_loop("GET " LOCKS "/a", OURS, 503, "", 503, "\"broker_away\"");
}

static void owners_are_shown_to_those_with_a_token(void **state)
{
    (void)state;
    set(&config.status_token, "status");
    check_loop("GET " LOCKS "/a", OURS, 200, "{'locks':[" ENTRY "]}", 200, "{\"name\":\"a\",");
    has_no("\"owner\":\"me\"");
    check_loop("GET " LOCKS "/a", BEARER, 200, "{'locks':[" ENTRY "]}", 200, "");
    has_no("\"owner\":\"me\"");
    check_loop("GET " LOCKS, OURS "Authorization: Bearer status\r\n", 200, "{'locks':[" ENTRY "]}",
               200, "\"owner\":\"me\"");
    set(&config.locks_token, "secret");
    check_loop("GET " LOCKS "/a", BEARER, 200, "{'locks':[" ENTRY "]}", 200, "\"owner\":\"me\"");
    check_loop("GET " LOCKS "/a", OURS, 200, "{'locks':[" ENTRY "]}", 200, "");
    has_no("\"owner\":\"me\"");
}

static void the_bots_locks_have_a_page_of_their_own(void **state)
{
    static const char page[] = "GET /cotizaciones/telegram_locks_status";

    (void)state;
    check_loop(page, OURS, 200, "{'locks':[" ENTRY "],'durable':true}", 200,
               "{\"status\":\"ok\",\"locks\":[{\"name\":\"a\",");
    was_asked("{'op':'locks','prefix':'telegram','limit':1000}");
    has("],\"count\":1,\"truncated\":false,\"durable\":true,\"timestamp\":1600000000.25}\n");
    check_loop(page, OURS, 503, "", 503,
               "{\"status\":\"unknown\",\"reason\":\"the broker is away, or does not say: whether "
               "a lock is held cannot be told\",\"locks\":null,\"timestamp\":1600000000.25}\n");
    check_loop(page, OURS, 200, "{'error':'x','locks':[]}", 503, "\"unknown\"");
    check_loop(page, OURS, 200, "{}", 503, "\"unknown\"");
    loop_request_cancel_all(service.core);
    check(page, OURS, 503, "\"draining\"");
}

static void values_are_shown_with_the_token_only(void **state)
{
    (void)state;
    check("GET " LOCKS "/a/value", OURS, 403, "\"locks_read_only\"");
    set(&config.locks_token, "secret");
    check("GET " LOCKS "/a/value", OURS, 401, "A token is needed.");
    has("WWW-Authenticate: Bearer\r\n");
    check("GET " LOCKS "/a/value", OURS "Authorization: Bearer x\r\n", 401, "The token is wrong.");
    check_loop("GET " LOCKS "/a/value", BEARER, 200, "{'version':3,'token':9,'value':'xyz'}", 200,
               "\r\n\r\nxyz");
    was_asked("{'op':'value_get','name':'a'}");
    has("Content-Type: application/octet-stream\r\n");
    has("X-Lock-Version: 3\r\nX-Lock-Token: 9\r\n");
    check_loop("GET " LOCKS "/a/value/", BEARER, 200, "{'version':0,'value':''}", 404,
               "\"no_value\"");
    was_asked("{'op':'value_get','name':'a'}");
    check_loop("GET " LOCKS "/a/value", BEARER, 200, "{'version':1}", 404, "\"no_value\"");
    check_loop("GET " LOCKS "/a/value", BEARER, 200, "{'version':1,'value':7}", 404,
               "\"no_value\"");
    check_loop("GET " LOCKS "/a/value", BEARER, 200, "{'error':'not_found'}", 404,
               "\"unknown_lock\"");
}

/* --- changed ------------------------------------------------------------ */

/* With a body, and the token. */
static const char *with_body(const char *text)
{
    static char headers[200];

    body = text;
    set(&config.locks_token, "secret");
    snprintf(headers, sizeof headers, BEARER "Content-Length: %zu\r\n", strlen(text));
    return headers;
}

static void a_lock_is_taken_and_its_place_is_kept(void **state)
{
    const char *headers = with_body("{\"owner\":\"me\",\"ttl\":5,\"lock_delay\":1.5}");

    (void)state;
    check_loop("PUT " LOCKS "/a", headers, 200, "{'name':'a','owner':'me','token':9,'ttl_ms':5000}",
               200, "\"token\":9");
    was_asked("{'op':'lock','name':'a','owner':'me','ttl_ms':5000,'delay_ms':1500,"
              "'host':'127.0.0.1','pid':0,'keep':true}");
    headers = with_body("{\"owner\":\"me\",\"ttl\":5,\"host\":\"web1\",\"pid\":7}");
    check_loop("PUT " LOCKS "/a", headers, 200, "{'error':'held','retry_ms':1001,'place':1}", 409,
               "\"held\"");
    was_asked("{'op':'lock','name':'a','owner':'me','ttl_ms':5000,'delay_ms':0,"
              "'host':'web1','pid':7,'keep':true}");
    has("Retry-After: 2\r\n");
    has("\"place\":1");
    check_loop("PUT " LOCKS "/a", headers, 200, "{'error':'held','retry_ms':0}", 409,
               "Retry-After: 1\r\n");
    check_loop("PUT " LOCKS "/a", headers, 200, "{'error':'held','retry_ms':8000}", 409,
               "Retry-After: 8\r\n");
    check_loop("PUT " LOCKS "/a", headers, 200, "{'error':'held','retry_ms':90000}", 409,
               "Retry-After: 8\r\n");
    check_loop("PUT " LOCKS "/a", headers, 503, "", 503,
               "It may still take effect: ask again with the same owner");
}

static void a_grant_is_renewed_with_its_token(void **state)
{
    const char *headers = with_body("{\"owner\":\"me\",\"token\":\"9\"}");

    (void)state;
    check_loop("PUT " LOCKS "/a", headers, 200, "{'name':'a','token':9,'ttl_ms':5000}", 200,
               "\"owner\":\"me\"");
    was_asked("{'op':'renew','name':'a','owner':'me','token':9}");
    headers = with_body("{\"owner\":\"me\",\"token\":\"9\",\"ttl\":6}");
    check_loop("PUT " LOCKS "/a", headers, 200, "{'error':'stale','reason':'expired'}", 409,
               "\"stale\"");
    was_asked("{'op':'renew','name':'a','owner':'me','token':9,'ttl_ms':6000}");
    has("\"reason\":\"expired\"");
}

static void a_body_that_makes_no_sense_is_400_with_its_byte(void **state)
{
    (void)state;
    check("PUT " LOCKS "/a", with_body("{\"owner\":\"me\",\"ttl\":x}"), 400, "(At byte 20.)");
    has(",\"at\":20}");
    check("PUT " LOCKS "/a%20b", with_body("{}"), 400, "\"bad_name\"");
    set(&config.locks_token, "secret");
    check("PUT " LOCKS "/a", BEARER "Content-Length: 16385\r\n", 413, "The body has 16385 bytes.");
    has("At most 16384.");
    body = "";
    answer_to("PUT " LOCKS "/a", BEARER "Content-Length: 16384\r\n");
    assert_false(is_answered); /* it is awaited */
}

static void a_grant_is_released_or_broken(void **state)
{
    (void)state;
    set(&config.locks_token, "secret");
    check_loop("DELETE " LOCKS "/a?owner=me&token=9", BEARER, 200, "{'token':9}", 200,
               "{\"name\":\"a\",\"token\":9,\"released\":true}\n");
    was_asked("{'op':'release','name':'a','owner':'me','token':9}");
    check("DELETE " LOCKS "/a?token=9", BEARER, 400, "The parameter 'owner'");
    check("DELETE " LOCKS "/a?owner=me", BEARER, 400, "The parameter 'token'");
    check("DELETE " LOCKS "/a?owner=me&token=0", BEARER, 400, "The parameter 'token'");
    check("DELETE " LOCKS "/a?owner=me&token=9&break=2", BEARER, 400, "0 or 1.");
    check("DELETE " LOCKS "/a%20b?owner=me&token=9", BEARER, 400, "\"bad_name\"");
    check_loop("DELETE " LOCKS "/a?break=1&token=9&reason=stuck", BEARER, 200,
               "{'token':9,'closed_ms':1500}", 200,
               "{\"name\":\"a\",\"token\":9,\"broken\":true,\"closed_for\":1.500}\n");
    assert_non_null(strstr(buf_text(&loop.request),
                           "{'op':'lock_break','name':'a','token':9,'by':'127.0.0.1:40000',"
                           "'reason':'stuck'}"));
    check("DELETE " LOCKS "/a?break=1", BEARER, 400, "The parameter 'token'");
    check_loop("DELETE " LOCKS "/a?break=0&owner=me&token=9", BEARER, 200, "{'error':'stale'}", 409,
               "\"stale\"");
    check_loop("DELETE " LOCKS "/a?break=1&token=9", BEARER, 200, "{'error':'stale'}", 409,
               "\"stale\"");
    {
        char line[300];

        snprintf(line, sizeof line, "DELETE " LOCKS "/a?break=1&token=9&reason=%0201d", 0);
        check(line, BEARER, 400, "The parameter 'reason'");
        snprintf(line, sizeof line, "DELETE " LOCKS "/a?break=1&token=9&reason=%0200d", 0);
        check_loop(line, BEARER, 200, "{'token':9}", 200, "\"closed_for\":0.000}");
    }
}

static void a_value_is_put_under_a_grant(void **state)
{
    (void)state;
    check_loop("PUT " LOCKS "/a/value?owner=me&token=9", with_body("xyz"), 200, "{'version':4}",
               200, "{\"name\":\"a\",\"token\":9,\"version\":4}\n");
    assert_non_null(strstr(buf_text(&loop.request),
                           "{'op':'value_put','name':'a','owner':'me','token':9,'value':"));
    check("PUT " LOCKS "/a/value?owner=me", with_body("xyz"), 400, "The parameter 'token'");
    check("PUT " LOCKS "/a%20b/value?owner=me&token=9", with_body("x"), 400, "\"bad_name\"");
    check_loop("PUT " LOCKS "/a/value?owner=me&token=9", with_body("xyz"), 200,
               "{'error':'too_large','message':'It has 70000 bytes.'}", 413, "It has 70000 bytes.");
}

static void each_refusal_of_the_broker_has_its_status(void **state)
{
    static const struct {
        const char *error, *code;
        int status;
    } rows[] = {
        {"not_found", "unknown_lock", 404},
        {"invalid", "bad_request", 400},
        {"malformed", "bad_request", 400},
        {"too_large", "too_large", 413},
        {"full", "full", 503},
        {"again", "busy", 503},
        {"not_stored", "not_stored", 503},
        {"what", "bad_answer", 503},
    };
    char text[100];

    (void)state;
    set(&config.locks_token, "secret");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        snprintf(text, sizeof text, "{'error':'%s'}", rows[i].error);
        check_loop("DELETE " LOCKS "/a?owner=me&token=9", BEARER, 200, text, rows[i].status,
                   rows[i].code);
        if (rows[i].status == 503)
            has("Retry-After: 2\r\n");
        else
            has_no("Retry-After");
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(locks_are_listed_by_prefix_and_page),
        TEST(one_lock_is_shown_by_its_name),
        TEST(owners_are_shown_to_those_with_a_token),
        TEST(the_bots_locks_have_a_page_of_their_own),
        TEST(values_are_shown_with_the_token_only),
        TEST(a_lock_is_taken_and_its_place_is_kept),
        TEST(a_grant_is_renewed_with_its_token),
        TEST(a_body_that_makes_no_sense_is_400_with_its_byte),
        TEST(a_grant_is_released_or_broken),
        TEST(a_value_is_put_under_a_grant),
        TEST(each_refusal_of_the_broker_has_its_status),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
