#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "consumer/telegram/botapi.h"

static struct json *json;

static struct botapi_answer judged(int status, const char *body)
{
    struct botapi_answer a = {.code = status, .body = span_of(body)};

    botapi_judge(json, &a);
    return a;
}

static void a_wait_is_as_long_as_telegram_says_but_a_second_at_least_and_a_day_at_most(void **state)
{
    static const struct {
        const char *shown;
        int64_t ms;
    } cases[] = {
        {"0", 1000},
        {"-5", 1000},
        {"7", 7000},
        {"86399", 86399000},
        {"86400", 86400000},
        {"86401", 86400000},
        {"9223372036854775807", 86400000},
        {"\"7\"", 1000},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char body[256];
        struct botapi_answer a;

        snprintf(body, sizeof body,
                 "{\"ok\":false,\"error_code\":429,\"description\":\"Too Many\","
                 "\"parameters\":{\"retry_after\":%s}}",
                 cases[i].shown);
        a = judged(429, body);
        assert_int_equal(a.verdict, BOTAPI_REFUSED);
        assert_int_equal(a.retry_after_ms, cases[i].ms);
        assert_string_equal(a.why, "Too Many");
    }
}

static void only_a_refused_client_or_one_with_retry_after_waits(void **state)
{
    (void)state;
    assert_int_equal(judged(429, "{\"ok\":false}").retry_after_ms, 1000);
    assert_int_equal(judged(400, "{\"ok\":false}").retry_after_ms, 0);
    assert_int_equal(judged(400, "{\"ok\":false}").verdict, BOTAPI_REFUSED);
    assert_int_equal(judged(502, "{\"ok\":false}").verdict, BOTAPI_UNKNOWN);
    assert_int_equal(judged(200, "{\"ok\":true,\"result\":[]}").verdict, BOTAPI_OK);
    assert_int_equal(judged(200, "{\"ok\":true}").verdict, BOTAPI_UNKNOWN);
    assert_int_equal(judged(502, "<html>").verdict, BOTAPI_UNKNOWN);
    assert_int_equal(judged(200, "{\"ok\":1}").verdict, BOTAPI_UNKNOWN);
    assert_string_equal(judged(200, "[]").why, "HTTP status 200, and no answer of a Bot API");
}

static void an_answer_is_what_its_members_say(void **state)
{
    struct botapi_answer a;

    (void)state;
    a = judged(200, "{\"ok\":true,\"result\":{\"id\":7}}");
    assert_non_null(json_member(a.result, "id"));
    a = judged(200, "{\"ok\":true}");
    assert_string_equal(a.why, "the result is missing");
    assert_false(a.is_unreadable);
    a = judged(503, "{\"ok\":1}");
    assert_string_equal(a.why, "HTTP status 503, and no answer of a Bot API");
    assert_int_equal(a.verdict, BOTAPI_UNKNOWN);
    a = judged(200, "[]");
    assert_string_equal(a.why, "HTTP status 200, and no answer of a Bot API");
    a = judged(502, "<html>");
    assert_non_null(strstr(a.why, "HTTP status 502, and no JSON: "));
    assert_false(a.is_unreadable); /* it is not JSON at all */
    a = judged(400, "{\"ok\":false}");
    assert_string_equal(a.why, "no description");
    assert_int_equal(a.moved_to, 0);
    a = judged(400, "{\"ok\":false,\"description\":\"upgraded\","
                    "\"parameters\":{\"migrate_to_chat_id\":-1001234567890}}");
    assert_true(a.moved_to == -1001234567890);
    assert_int_equal(a.retry_after_ms, 0);
    a = judged(400, "{\"ok\":false,\"parameters\":{\"retry_after\":1}}");
    assert_int_equal(a.retry_after_ms, 1000);
}

/* The HTTP status counts unless the answer has a valid error_code. */
static void the_code_is_that_of_the_answer(void **state)
{
    static const struct {
        const char *number;
        int code;
        enum botapi_verdict verdict;
    } cases[] = {
        {"0", 500, BOTAPI_UNKNOWN},    {"1", 1, BOTAPI_UNKNOWN},      {"399", 399, BOTAPI_UNKNOWN},
        {"400", 400, BOTAPI_REFUSED},  {"499", 499, BOTAPI_REFUSED},  {"500", 500, BOTAPI_UNKNOWN},
        {"999", 999, BOTAPI_UNKNOWN},  {"1000", 500, BOTAPI_UNKNOWN}, {"-1", 500, BOTAPI_UNKNOWN},
        {"true", 500, BOTAPI_UNKNOWN},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char body[64];
        struct botapi_answer a;

        snprintf(body, sizeof body, "{\"ok\":false,\"error_code\":%s}", cases[i].number);
        a = judged(500, body);
        assert_int_equal(a.code, cases[i].code);
        assert_int_equal(a.verdict, cases[i].verdict);
    }
}

static void an_answer_beyond_the_limits_of_the_parser_is_unreadable(void **state)
{
    struct botapi_answer a;
    char deep[1200];

    (void)state;
    memset(deep, '[', sizeof deep - 1);
    deep[sizeof deep - 1] = '\0';
    a = judged(200, deep);
    assert_int_equal(a.verdict, BOTAPI_UNKNOWN);
    assert_true(a.is_unreadable);
}

static struct botapi_answer refused(int code, const char *why)
{
    struct botapi_answer a = {.verdict = BOTAPI_REFUSED, .code = code};

    snprintf(a.why, sizeof a.why, "%s", why);
    return a;
}

static void a_chat_is_closed_and_a_thread_gone_by_what_telegram_writes(void **state)
{
    static const char *const closed[] = {
        "Bad Request: chat not found",
        "Bad Request: USER NOT FOUND",
        "Forbidden: user is deactivated",
        "bot was kicked from the group chat",
        "bot is not a member",
        "PEER_ID_INVALID",
        "not enough rights to send text",
        "CHAT_WRITE_FORBIDDEN",
        "group chat was upgraded to a supergroup chat",
    };
    static const char *const gone[] = {"Bad Request: message thread not found", "TOPIC_DELETED"};
    struct botapi_answer a;

    (void)state;
    for (size_t i = 0; i < sizeof closed / sizeof closed[0]; i++) {
        a = refused(400, closed[i]);
        assert_true(botapi_is_chat_closed(&a));
        assert_false(botapi_is_thread_gone(&a));
        a.code = 429;
        assert_false(botapi_is_chat_closed(&a));
        a = refused(400, closed[i]);
        a.verdict = BOTAPI_UNKNOWN;
        assert_false(botapi_is_chat_closed(&a));
    }
    for (size_t i = 0; i < sizeof gone / sizeof gone[0]; i++) {
        a = refused(400, gone[i]);
        assert_true(botapi_is_thread_gone(&a));
        assert_false(botapi_is_chat_closed(&a));
        a.code = 403;
        assert_false(botapi_is_thread_gone(&a));
        a = refused(400, gone[i]);
        a.verdict = BOTAPI_UNKNOWN;
        assert_false(botapi_is_thread_gone(&a));
    }
    a = refused(400, "Bad Request: message is too long");
    assert_false(botapi_is_chat_closed(&a) || botapi_is_thread_gone(&a));
    a = refused(403, "");
    assert_true(botapi_is_chat_closed(&a));
    a.verdict = BOTAPI_UNKNOWN;
    assert_false(botapi_is_chat_closed(&a));
}

static int set_up(void **state)
{
    (void)state;
    json = json_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    json_free(json);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            a_wait_is_as_long_as_telegram_says_but_a_second_at_least_and_a_day_at_most),
        cmocka_unit_test(only_a_refused_client_or_one_with_retry_after_waits),
        cmocka_unit_test(an_answer_is_what_its_members_say),
        cmocka_unit_test(the_code_is_that_of_the_answer),
        cmocka_unit_test(an_answer_beyond_the_limits_of_the_parser_is_unreadable),
        cmocka_unit_test(a_chat_is_closed_and_a_thread_gone_by_what_telegram_writes),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
