/* The whole HTTP side of a gateway: what comes in on its port, and what the loop gets. */
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "gateway/policy/policy.h"
#include "gateway/routes/http.h"
#include "shared/base/log.h"
#include "shared/base/mem.h"
#include "tests/unit/gateway/default_config.h"
#include "tests/unit/gateway/http/client_fixture.h"
#include "tests/unit/logged.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
#define UPGRADE(query, headers)                                                           \
    "GET /ws/cotizaciones" query " HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n" \
    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"                                \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" headers "\r\n"

static struct gateway_config config;
static struct gate *gate;
static struct loop_request_queue *requests;
static struct accept_queue *accepted;
static struct http *http;
static char error[HTTP_ERROR_MAX];

static void set(char **setting, const char *value)
{
    free(*setting);
    *setting = mem_strdup(value);
}

static void start(void)
{
    assert_int_equal(http_start(&config, gate, requests, accepted, &http, error), OK);
    assert_true(http_port(http) > 0);
}

static int comes(const char *text)
{
    return comes_to(http_port(http), text);
}

static void wait_for(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    assert_int_equal(poll(&p, 1, 60000), 1);
}

static void is_answered(int fd, const char *status, const char *part)
{
    const char *text = gets(fd);

    if (strncmp(text, status, strlen(status)) != 0 || !strstr(text, part))
        fail_msg("%s\nis not %s with %s", text, status, part);
    close(fd);
}

static void requests_are_answered_by_their_path(void **state)
{
    (void)state;
    start();
    is_answered(comes(GET("/cotizaciones/ready")), "HTTP/1.1 200 OK\r\n",
                "{\"status\":\"ready\"}\n");
    is_answered(comes(GET("/cotizaciones/none")), "HTTP/1.1 404 Not Found\r\n", "no_such_path");
    is_answered(comes("GET / HTTP\r\n\r\n"), "HTTP/1.1 400 ", "bad_request");
}

static void a_body_is_read_and_handed_to_the_loop(void **state)
{
    struct loop_request *q;
    int fd;

    (void)state;
    set(&config.locks_token, "secret");
    start();
    fd = comes("PUT /cotizaciones/locks/a HTTP/1.1\r\nHost: 127.0.0.1\r\n"
               "Authorization: Bearer secret\r\nExpect: 100-continue\r\n"
               "Content-Length: 25\r\n\r\n");
    wait_for(fd);
    {
        char text[100] = "";

        assert_true(recv(fd, text, sizeof text - 1, 0) > 0);
        assert_string_equal(text, "HTTP/1.1 100 Continue\r\n\r\n");
    }
    sends(fd, "{\"owner\":\"me\",\"ttl\":5.25}");
    wait_for(loop_request_queue_fd(requests));
    q = loop_request_take(requests);
    assert_non_null(q);
    assert_int_equal(q->kind, LOOP_REQUEST_BROKER);
    loop_request_answer(requests, q, 503);
    is_answered(fd, "HTTP/1.1 503 ", "Retry-After");
}

static void a_websocket_goes_to_the_loop_with_its_place(void **state)
{
    struct accepted *a;
    char text[400] = "";
    int fd, own_port;
    struct sockaddr_in own;
    socklen_t len = sizeof own;

    (void)state;
    start();
    fd = comes(UPGRADE("?symbols=A*", "Sec-WebSocket-Protocol: pregon.v1.msgpack\r\n"));
    wait_for(accept_queue_fd(accepted));
    a = accept_queue_take(accepted);
    assert_non_null(a);
    assert_int_equal(gate_active(gate), 1);
    assert_string_equal(a->host, "127.0.0.1");
    assert_int_equal(getsockname(fd, (struct sockaddr *)&own, &len), 0);
    own_port = ntohs(own.sin_port);
    assert_int_equal(a->port, own_port);
    assert_int_equal(strlen(a->request_id), 16);
    assert_string_equal(a->path, "/ws/cotizaciones");
    assert_string_equal(a->query, "symbols=A*");
    assert_int_equal(a->encoding, ENCODING_MSGPACK);
    assert_false(a->is_early);
    assert_int_equal(a->explain_close, 0);
    assert_int_equal(send(a->fd, "frame", 5, 0), 5);
    close(a->fd);
    accept_free(a);
    gate_release(gate);
    while (recv(fd, text + strlen(text), sizeof text - 1 - strlen(text), 0) > 0)
        ;
    assert_string_equal(text, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                              "Connection: Upgrade\r\n"
                              "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
                              "Sec-WebSocket-Protocol: pregon.v1.msgpack\r\n\r\nframe");
    close(fd);
}

static void events_go_to_the_loop_with_their_head_sent(void **state)
{
    struct accepted *a;
    char text[600] = "";
    int fd;

    (void)state;
    start();
    fd = comes("GET /cotizaciones/events?symbols=A HTTP/1.1\r\nHost: 127.0.0.1\r\n"
               "Last-Event-ID: 0000000000000abc:7\r\n\r\nmore");
    wait_for(accept_queue_fd(accepted));
    a = accept_queue_take(accepted);
    assert_int_equal(gate_active(gate), 1);
    assert_int_equal(a->encoding, ENCODING_EVENTS);
    assert_string_equal(a->query, "symbols=A");
    assert_string_equal(a->last_event_id, "0000000000000abc:7");
    assert_false(a->is_early); /* it has no frames */
    assert_int_equal(send(a->fd, "data", 4, 0), 4);
    close(a->fd);
    accept_free(a);
    gate_release(gate);
    while (recv(fd, text + strlen(text), sizeof text - 1 - strlen(text), 0) > 0)
        ;
    assert_memory_equal(text, "HTTP/1.1 200 OK\r\n", 17);
    assert_non_null(strstr(text, "\r\nContent-Type: text/event-stream\r\n"));
    assert_null(strstr(text, "Content-Length"));
    assert_string_equal(strstr(text, "\r\n\r\n"), "\r\n\r\ndata");
    close(fd);
}

static void a_client_that_sends_frames_early_is_marked(void **state)
{
    struct accepted *a;
    int fd;

    (void)state;
    start();
    fd = comes(UPGRADE("", "") "frame");
    wait_for(accept_queue_fd(accepted));
    a = accept_queue_take(accepted);
    assert_true(a->is_early);
    assert_int_equal(a->encoding, ENCODING_JSON);
    assert_string_equal(a->query, "");
    close(a->fd);
    accept_free(a);
    close(fd);
}

static void a_refused_websocket_gets_a_reason_and_holds_no_place(void **state)
{
    struct accepted *a;
    char error_text[HTTP_ERROR_MAX];
    int fd;

    (void)state;
    start();
    is_answered(comes(UPGRADE("", "Origin: https://evil.example\r\n")), "HTTP/1.1 403 ",
                "X-Reject-Reason: origin_not_allowed\r\n");
    set(&config.websocket_token, "secret");
    assert_int_equal(http_set_policy(http, &config, error_text), OK);
    is_answered(comes(UPGRADE("", "")), "HTTP/1.1 401 ", "WWW-Authenticate: Bearer\r\n");
    is_answered(comes("GET /ws/cotizaciones HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"), "HTTP/1.1 426 ",
                "Upgrade: websocket\r\nConnection: Upgrade, close\r\n");
    assert_int_equal(gate_active(gate), 0);
    assert_int_equal(gate_refused(gate, ADMISSION_origin_not_allowed), 1);
    assert_int_equal(gate_refused(gate, ADMISSION_unauthorized), 1);
    /* WEBSOCKET_EXPLAIN: the client is accepted, only to get the reason of the refusal. */
    config.websocket_explain = true;
    assert_int_equal(http_set_policy(http, &config, error_text), OK);
    fd = comes(UPGRADE("", ""));
    wait_for(accept_queue_fd(accepted));
    a = accept_queue_take(accepted);
    assert_int_equal(a->explain_close, 4401);
    assert_string_equal(a->explain_reason, "{\"code\":\"unauthorized\",\"message\":\"token missing "
                                           "or wrong\",\"setting\":\"WEBSOCKET_TOKEN\"}");
    assert_int_equal(gate_active(gate), 0);
    close(a->fd);
    accept_free(a);
    close(fd);
}

static void new_settings_hold_or_nothing_changes(void **state)
{
    (void)state;
    config.websocket_max_connections = 7;
    start();
    assert_int_equal(gate_limit(gate), 7);
    config.websocket_max_connections = 9;
    set(&config.cors_origins, "https://page.example");
    assert_int_equal(http_set_policy(http, &config, error), OK);
    assert_int_equal(gate_limit(gate), 9);
    is_answered(comes("GET /cotizaciones/ready HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                      "Origin: https://page.example\r\n\r\n"),
                "HTTP/1.1 200 ", "Access-Control-Allow-Origin: https://page.example\r\n");
    config.websocket_max_connections = 11;
    set(&config.cors_origins, "page");
    assert_int_equal(http_set_policy(http, &config, error), ERR_INVALID);
    assert_non_null(strstr(error, "CORS_ORIGINS"));
    assert_int_equal(gate_limit(gate), 9);
    is_answered(comes("GET /cotizaciones/ready HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                      "Origin: https://page.example\r\n\r\n"),
                "HTTP/1.1 200 ", "Access-Control-Allow-Origin: https://page.example\r\n");
}

static void a_gateway_that_cannot_start_says_which_setting(void **state)
{
    struct http *none = NULL;

    (void)state;
    start();
    config.port = http_port(http);
    assert_int_equal(http_start(&config, gate, requests, accepted, &none, error), ERR_INVALID);
    assert_non_null(strstr(error, "another program listens on 127.0.0.1:"));
    config.port = 0;
    set(&config.cors_origins, "page");
    assert_int_equal(http_start(&config, gate, requests, accepted, &none, error), ERR_INVALID);
    assert_non_null(strstr(error, "CORS_ORIGINS"));
    assert_null(none);
    http_stop(NULL);
}

static void a_limit_above_the_descriptors_is_said_at_the_start(void **state)
{
    const char *text;

    (void)state;
    config.websocket_max_connections = 1000000;
    log_begin("warning");
    start();
    text = logged();
    assert_non_null(strstr(text, "WARNING:  WEBSOCKET_MAX_CONNECTIONS is 1000000, but of"));
    assert_true(gate_limit(gate) < 1000000);
    log_begin("warning");
    config.websocket_max_connections = gate_limit(gate);
    assert_int_equal(http_set_policy(http, &config, error), OK);
    assert_string_equal(logged(), "");
}

static void half_of_the_workers_may_wait_for_the_loop(void **state)
{
    (void)state;
    config.http_threads = 8;
    assert_int_equal(http_max_waiting(&config), 4);
}

static int set_up(void **state)
{
    (void)state;
    load_default_config(&config);
    config.access_log = false;
    config.port = 0;
    gate = gate_new();
    gate_set_started(gate);
    requests = loop_request_queue_new(2);
    accepted = accept_queue_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    loop_request_cancel_all(requests);
    http_stop(http);
    http = NULL;
    accept_queue_free(accepted);
    loop_request_queue_free(requests);
    gate_free(gate);
    config_free(&gateway_program, &config);
    return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(requests_are_answered_by_their_path),
        TEST(a_body_is_read_and_handed_to_the_loop),
        TEST(a_websocket_goes_to_the_loop_with_its_place),
        TEST(events_go_to_the_loop_with_their_head_sent),
        TEST(a_client_that_sends_frames_early_is_marked),
        TEST(a_refused_websocket_gets_a_reason_and_holds_no_place),
        TEST(new_settings_hold_or_nothing_changes),
        TEST(a_gateway_that_cannot_start_says_which_setting),
        TEST(a_limit_above_the_descriptors_is_said_at_the_start),
        TEST(half_of_the_workers_may_wait_for_the_loop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
