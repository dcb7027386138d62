/* HTTP answers as they are sent, and the access log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/http/reply.h"
#include "tests/unit/logged.h"

static struct policy policy;
static struct head head = {.method = "GET", .path = "/a", .version = "1.1"};
static struct request request;
static struct buf out;

/* The answer is sent so, apart from its date. */
static void is_sent(struct reply *p, const char *first, const char *rest)
{
    const char *text, *date, *end;

    buf_clear(&out);
    reply_write(p, &request, &out);
    reply_fini(p);
    text = buf_text(&out);
    date = strstr(text, "Date: ");
    assert_non_null(date);
    if (strncmp(text, first, strlen(first)) != 0 || date != text + strlen(first))
        fail_msg("%s\ndoes not begin with %s", text, first);
    end = strstr(date, " GMT\r\n");
    assert_ptr_equal(end, date + strlen("Date: Mon, 30 Nov 2026 03:38:44"));
    assert_string_equal(end + 6, rest);
}

#define HEAD                                   \
    "Server: pregon\r\nX-Request-Id: 0123\r\n" \
    "X-Content-Type-Options: nosniff\r\n"
#define CLOSE "Connection: close\r\nCache-Control: no-store\r\n"

static void an_answer_has_its_headers_and_its_body(void **state)
{
    struct reply p = {0};

    (void)state;
    reply_json(&p, 200);
    buf_adds(&p.body, "{}");
    buf_adds(&p.headers, "A: b\r\n");
    is_sent(&p, "HTTP/1.1 200 OK\r\n",
            HEAD CLOSE "Content-Type: application/json\r\nContent-Length: 3\r\nA: b\r\n\r\n{}\n");
    p = (struct reply){0};
    reply_json(&p, 200);
    buf_adds(&p.body, "{}\n"); /* it has its newline */
    is_sent(&p, "HTTP/1.1 200 OK\r\n",
            HEAD CLOSE "Content-Type: application/json\r\nContent-Length: 3\r\n\r\n{}\n");
    p = (struct reply){.status = 200, .type = "application/json", .is_exact = true};
    buf_adds(&p.body, "{}"); /* a file is sent as it is */
    is_sent(&p, "HTTP/1.1 200 OK\r\n",
            HEAD CLOSE "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}");
    p = (struct reply){.status = 200, .type = "text/html", .cache = "max-age=1"};
    buf_adds(&p.body, "x");
    is_sent(&p, "HTTP/1.1 200 OK\r\n",
            HEAD "Connection: close\r\nCache-Control: max-age=1\r\n"
                 "Content-Type: text/html\r\nContent-Length: 1\r\n\r\nx");
    p = (struct reply){.status = 200, .type = "application/json"};
    is_sent(&p, "HTTP/1.1 200 OK\r\n",
            HEAD CLOSE "Content-Type: application/json\r\nContent-Length: 0\r\n\r\n");
}

static void a_head_and_an_unchanged_file_have_no_body(void **state)
{
    struct reply p = {0};

    (void)state;
    request.is_head = true;
    reply_json(&p, 200);
    buf_adds(&p.body, "{}");
    is_sent(&p, "HTTP/1.1 200 OK\r\n",
            HEAD CLOSE "Content-Type: application/json\r\nContent-Length: 3\r\n\r\n");
    request.is_head = false;
    p = (struct reply){.status = 304, .type = "text/html"};
    buf_adds(&p.body, "x");
    is_sent(&p, "HTTP/1.1 304 Not Modified\r\n", HEAD CLOSE "\r\n");
    p = (struct reply){.status = 308};
    is_sent(&p, "HTTP/1.1 308 Permanent Redirect\r\n", HEAD CLOSE "Content-Length: 0\r\n\r\n");
    p = (struct reply){.status = 426, .keeps_upgrade = true};
    is_sent(&p, "HTTP/1.1 426 Upgrade Required\r\n",
            HEAD "Upgrade: websocket\r\nConnection: Upgrade, close\r\n"
                 "Cache-Control: no-store\r\nContent-Length: 0\r\n\r\n");
}

static void an_error_has_one_shape_and_may_have_more_members(void **state)
{
    struct reply p = {0};

    (void)state;
    buf_adds(&p.body, "begun");
    reply_error(&p, &request, 409, "held", "It is \"held\".", "Wait.");
    reply_error_add(&p, SPAN(",\"at\":7"));
    is_sent(&p, "HTTP/1.1 409 Conflict\r\n",
            HEAD CLOSE "Content-Type: application/json\r\nContent-Length: 96\r\n"
                       "X-Reject-Reason: held\r\nContent-Language: en\r\n"
                       "Vary: Accept-Language\r\n\r\n"
                       "{\"error\":{\"code\":\"held\",\"message\":\"It is \\\"held\\\".\","
                       "\"hint\":\"Wait.\",\"request_id\":\"0123\"},\"at\":7}\n");
}

static void what_is_no_request_gets_the_same_shape(void **state)
{
    const struct head_explanation why = {400, "bad_request", "No.", "Yes."};
    const char *text;

    (void)state;
    buf_clear(&out);
    reply_bare(&out, &why, "0123");
    text = buf_text(&out);
    assert_int_equal(strncmp(text, "HTTP/1.1 400 Bad Request\r\nDate: ", 32), 0);
    assert_string_equal(strstr(text, "Server:"),
                        HEAD CLOSE "X-Reject-Reason: bad_request\r\n"
                                   "Content-Type: application/json\r\nContent-Length: 83\r\n\r\n"
                                   "{\"error\":{\"code\":\"bad_request\",\"message\":\"No.\","
                                   "\"hint\":\"Yes.\",\"request_id\":\"0123\"}}\n");
}

static void each_status_has_its_phrase(void **state)
{
    static const struct {
        int status;
        const char *phrase;
    } rows[] = {
        {101, "Switching Protocols"},
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {304, "Not Modified"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {416, "Range Not Satisfiable"},
        {422, "Unprocessable Content"},
        {426, "Upgrade Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
        {507, "Insufficient Storage"},
        {299, "Answer"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct reply p = {.status = rows[i].status};
        char first[80];

        snprintf(first, sizeof first, "HTTP/1.1 %d %s\r\n", rows[i].status, rows[i].phrase);
        buf_clear(&out);
        reply_write(&p, &request, &out);
        reply_fini(&p);
        assert_int_equal(strncmp(buf_text(&out), first, strlen(first)), 0);
    }
}

static void accesses_are_logged_if_they_are_to_be(void **state)
{
    struct reply p = {.status = 404};
    int ends[2], out_fd = dup(STDOUT_FILENO);
    char text[200] = "";

    (void)state;
    snprintf(request.client_name, sizeof request.client_name, "192.0.2.7:40000");
    request.query = "symbols=A&token=secret";
    assert_int_equal(pipe(ends), 0);
    fflush(stdout);
    assert_int_equal(dup2(ends[1], STDOUT_FILENO), STDOUT_FILENO);
    log_init("test", "info", "text");
    buf_clear(&out);
    reply_write(&p, &request, &out);
    policy.has_access_log = true;
    reply_write(&p, &request, &out);
    log_init("test", "critical", "text");
    fflush(stdout);
    assert_int_equal(dup2(out_fd, STDOUT_FILENO), STDOUT_FILENO);
    close(ends[1]);
    close(out_fd);
    assert_true(read(ends[0], text, sizeof text - 1) > 0);
    close(ends[0]);
    assert_non_null(strstr(text, "192.0.2.7:40000 - \"GET /a?symbols=A&token="));
    assert_non_null(strstr(text, " HTTP/1.1\" 404 Not Found\n"));
    assert_null(strstr(text, "secret"));
    assert_null(strstr(strchr(text, '\n') + 1, "GET")); /* once */
    policy.has_access_log = false;
    reply_fini(&p);
}

static int set_up(void **state)
{
    (void)state;
    log_init("test", "critical", "text");
    request = (struct request){.head = &head, .policy = &policy, .query = "", .id = "0123"};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    buf_free(&out);
    return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(an_answer_has_its_headers_and_its_body),
        TEST(a_head_and_an_unchanged_file_have_no_body),
        TEST(an_error_has_one_shape_and_may_have_more_members),
        TEST(what_is_no_request_gets_the_same_shape),
        TEST(each_status_has_its_phrase),
        TEST(accesses_are_logged_if_they_are_to_be),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
