/* Publishing over HTTP: parts of a request to the broker, and the answer made of its answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/gateway/routes/route_fixture.h"

#define POST "POST /cotizaciones/quotes"
#define BEARER OURS "Authorization: Bearer secret\r\n"
#define ACCEPTED(first) "{'epoch':255,'count':256,'first':" first ",'repeated':false,'refused':[]}"

static struct buf posted;
static char headers[400];

/* The next request has so many quotes, and these headers. */
static const char *quotes(int count, const char *more)
{
    buf_clear(&posted);
    for (int i = 0; i < count; i++)
        buf_adds(&posted, "{\"symbol\":\"A\",\"last\":1}\n");
    body = buf_text(&posted);
    snprintf(headers, sizeof headers, BEARER "Content-Length: %zu\r\n%s", posted.len, more);
    return headers;
}

static int set_up_publish(void **state)
{
    (void)set_up(state);
    set(&config.publish_token, "secret");
    service.publishing_max = 1;
    return 0;
}

static int tear_down_publish(void **state)
{
    buf_free(&posted);
    return tear_down(state);
}

/* What the broker answers to the parts; the last one may be "": no answer. */
static const char *const *parts;

static void *answer_parts(void *arg)
{
    (void)arg;
    for (size_t i = 0; parts[i]; i++) {
        buf_clear(&loop.body);
        if (parts[i][0])
            packed(&loop.body, parts[i]);
        loop.status = parts[i][0] ? 200 : 503;
        (void)turn_loop(NULL);
    }
    return NULL;
}

static void check_parts(const char *const *answers, const char *head, int want, const char *part)
{
    parts = answers;
    assert_int_equal(pthread_create(&loop.thread, NULL, answer_parts, NULL), 0);
    check(POST, head, want, part);
    loop_was_asked();
}

static void all_parts_make_one_answer(void **state)
{
    static const char *const answers[] = {
        ACCEPTED("1"), "{'epoch':256,'count':44,'first':900,'repeated':false,'refused':[]}", NULL};

    (void)state;
    check_parts(answers, quotes(300, ""), 200, "{\"feed\":\"web\",\"epoch\":\"00000000000000ff\"");
    has("\"accepted\":300,\"refused\":0,\"repeated\":false");
    has("{\"index\":255,\"seq\":256},{\"index\":256,\"seq\":900,\"epoch\":\"0000000000000100\"}");
}

static void an_error_after_the_first_part_says_what_is_published(void **state)
{
    static const char *const silent[] = {ACCEPTED("1"), "", NULL};
    static const char *const full[] = {
        ACCEPTED("1"), "{'error':'full','message':'no more keys','retry_ms':5000}", NULL};

    (void)state;
    check_parts(silent, quotes(300, ""), 503, "\"code\":\"broker_away\"");
    has("The first 256 quotes of this request are answered in `quotes`: 256 of them are published");
    has("only those from index 256 on");
    has("\"accepted\":256,\"refused\":0,");
    has("{\"index\":255,\"seq\":256}]}");
    check_parts(full, quotes(300, "Idempotency-Key: k\r\n"), 429, "\"too_many_requests\"");
    has("Retry-After: 5\r\n");
    has("with the same Idempotency-Key is safe");
    has("{\"index\":255,\"seq\":256}]}");
}

static void the_broker_refuses_a_request_for_a_reason(void **state)
{
    static const struct {
        const char *answer;
        int status;
        const char *text;
    } cases[] = {
        {"{'error':'held','message':'a','retry_ms':1500}", 409, "Retry-After: 2\r\n"},
        {"{'error':'held','message':'feed a is that of a feeder'}", 409, "that of a feeder"},
        {"{'error':'stale','message':'a'}", 422, "\"key_reused\""},
        {"{'error':'invalid','message':'a'}", 400, "\"bad_request\""},
        {"{'error':'too_large','message':'a'}", 413, "\"too_large\""},
        {"{'error':'full','message':'too many feeds'}", 429, "Retry-After: 1\r\n"},
        {"{'error':'not_found'}", 503, "\"bad_answer\""},
        {"{'error':'odd'}", 503, "\"bad_answer\""},
        {"{'count':1,'first':0,'refused':[]}", 503, "\"bad_answer\""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check_loop(POST, quotes(1, ""), 200, cases[i].answer, cases[i].status, cases[i].text);
        has_no("\"quotes\":");
    }
    check_loop(POST, quotes(1, ""), 503, "", 503, "nothing was published");
}

static void a_place_is_taken_before_the_body_is_read(void **state)
{
    (void)state;
    service.publishing_max = 0;
    check(POST, BEARER "Content-Length: 1000000\r\n", 429, "\"publish_busy\"");
    has("Retry-After: 1\r\n");
    assert_int_equal(service.publishing, 0);
}

static void no_header_of_a_request_to_publish_may_come_twice(void **state)
{
    static const char *const twice[] = {"Idempotency-Key: a\r\nIdempotency-Key: b\r\n",
                                        "X-Feed: a\r\nx-feed: b\r\n",
                                        "Content-Encoding: gzip\r\nContent-Encoding: gzip\r\n"};
    static struct head h;
    char bytes[400];

    (void)state;
    for (size_t i = 0; i < sizeof twice / sizeof *twice; i++) {
        int len = snprintf(bytes, sizeof bytes, POST " HTTP/1.1\r\n" OURS "%s\r\n", twice[i]);

        assert_int_equal(head_parse(bytes, (size_t)len, &h), HEAD_FAULT_repeated);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_publish, tear_down_publish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(all_parts_make_one_answer),
        TEST(an_error_after_the_first_part_says_what_is_published),
        TEST(the_broker_refuses_a_request_for_a_reason),
        TEST(a_place_is_taken_before_the_body_is_read),
        TEST(no_header_of_a_request_to_publish_may_come_twice),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
