#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

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
        const char *told;
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
                 cases[i].told);
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
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
