/*
 * route_fixture: requests as bytes, and the answers of the routes; the loop is a thread that gives
 * one request the answer that the test sets.
 *
 * Include it after <cmocka.h>, in one file of a program.
 */
#ifndef TESTS_UNIT_GATEWAY_ROUTES_ROUTE_FIXTURE_H
#define TESTS_UNIT_GATEWAY_ROUTES_ROUTE_FIXTURE_H

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gateway/routes/route.h"
#include "shared/base/log.h"
#include "shared/base/mem.h"
#include "tests/unit/fake_clock.h"
#include "tests/unit/gateway/default_config.h"
#include "tests/unit/packed.h"

#define OURS "Host: 127.0.0.1:8000\r\n"
#define PAGE "Origin: https://page.example\r\n"
#define UPGRADE                                     \
    "Upgrade: websocket\r\nConnection: Upgrade\r\n" \
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

static struct gateway_config config;
static struct service service;
static struct policy *policy;
static struct buf answer;
static bool is_answered;
static struct connection c;
static const char *body = ""; /* of the next requests */

static inline void set(char **setting, const char *value)
{
    char error[POLICY_ERROR_MAX];

    free(*setting);
    *setting = mem_strdup(value);
    policy_drop(policy);
    policy = policy_new(&config, error);
    assert_non_null(policy);
}

/* The answer to a request with these headers, as bytes. */
static inline const char *answer_to(const char *line, const char *headers)
{
    static char bytes[4000];
    struct request r;
    struct head_scan scan = {0};
    int len = snprintf(bytes, sizeof bytes, "%s HTTP/1.1\r\n%s\r\n", line, headers);

    buf_free(&c.body);
    memset(&c, 0, sizeof c);
    buf_adds(&c.body, body);
    snprintf(c.peer, sizeof c.peer, "127.0.0.1");
    snprintf(c.id, sizeof c.id, "0123456789abcdef");
    c.port = 40000;
    assert_int_equal(head_scan(&scan, bytes, (size_t)len), 0);
    assert_int_equal(head_parse(bytes + scan.start, scan.size - scan.start, &c.head), 0);
    request_init(&r, &c, policy_hold(policy));
    buf_clear(&answer);
    is_answered = route_answer(&service, &r, &answer);
    if (!is_answered)
        handshake_abandon(&service.handshakes, &r);
    request_fini(&r);
    return buf_text(&answer);
}

static inline int status(void)
{
    return is_answered ? atoi(buf_text(&answer) + strlen("HTTP/1.1 ")) : 0;
}

static inline void check(const char *line, const char *headers, int want, const char *part)
{
    const char *text = answer_to(line, headers);

    if (status() != want || (part[0] && !strstr(text, part)))
        fail_msg("%s %s: %s\nnot %d with %s", line, headers, text, want, part);
}

/* --- the loop ------------------------------------------------------------ */

/* The loop's next answer, and the request that it is for. */
static struct {
    pthread_t thread;
    int status;
    struct buf body;
    uint64_t epoch;
    bool is_complete;
    enum loop_request_kind kind;
    char text[LOOP_REQUEST_TEXT_MAX];
    uint64_t offset, limit;
    struct timeline timeline;
    bool is_privileged;
    struct buf request; /* of LOOP_REQUEST_BROKER: its map as JSON */
} loop;

static inline void *turn_loop(void *arg)
{
    struct pollfd p = {.fd = loop_request_queue_fd(service.core), .events = POLLIN};
    struct loop_request *q = NULL;
    struct buf map = {0};
    msgpack_packer pk;

    (void)arg;
    while (!q && poll(&p, 1, 20000) == 1)
        q = loop_request_take(service.core);
    if (!q)
        return NULL;
    loop.kind = q->kind;
    memcpy(loop.text, q->text, sizeof loop.text);
    loop.offset = q->offset;
    loop.limit = q->limit;
    loop.timeline = q->timeline;
    loop.is_privileged = q->privileged;
    msgpack_packer_init(&pk, &map, buf_pack_write);
    msgpack_pack_map(&pk, q->members + 1);
    pack_kv_text(&pk, "op", span_of(q->op ? q->op : ""));
    buf_add(&map, q->arguments.data, q->arguments.len);
    unpacked(&loop.request, buf_span(&map));
    buf_free(&map);
    q->body = loop.body;
    loop.body = (struct buf){0};
    q->epoch = loop.epoch;
    q->answered_us = 1500000;
    q->is_complete = loop.is_complete;
    loop_request_answer(service.core, q, loop.status);
    return NULL;
}

/* The loop answers the next request with this status, and the msgpack of this body ("": none). */
static inline void loop_answers(int answer_status, const char *text)
{
    buf_clear(&loop.body);
    if (text[0])
        packed(&loop.body, text);
    loop.status = answer_status;
    assert_int_equal(pthread_create(&loop.thread, NULL, turn_loop, NULL), 0);
}

/* Check that the loop got a request and has answered it. */
static inline void loop_was_asked(void)
{
    pthread_join(loop.thread, NULL);
}

/* The loop answers the request with this status and body. */
static inline void check_loop(const char *line, const char *headers, int answer_status,
                              const char *text, int want, const char *part)
{
    loop_answers(answer_status, text);
    check(line, headers, want, part);
    loop_was_asked();
}

static inline void has(const char *part)
{
    if (!strstr(buf_text(&answer), part))
        fail_msg("%s\nhas no %s", buf_text(&answer), part);
}

static inline void has_no(const char *part)
{
    if (strstr(buf_text(&answer), part))
        fail_msg("%s\nhas %s", buf_text(&answer), part);
}

static inline int set_up(void **state)
{
    char error[POLICY_ERROR_MAX];

    (void)state;
    load_default_config(&config);
    config.access_log = false;
    policy = policy_new(&config, error);
    assert_non_null(policy);
    service = (struct service){.queries = rate_new(1), .gate = gate_new()};
    service.handshakes.gate = service.gate;
    service.core = loop_request_queue_new(2);
    gate_set_limit(service.gate, 10, 10);
    gate_set_started(service.gate);
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    policy_drop(policy);
    policy = NULL;
    rate_free(service.queries);
    gate_free(service.gate);
    loop_request_queue_free(service.core);
    config_free(&gateway_program, &config);
    buf_free(&answer);
    buf_free(&c.body);
    buf_free(&loop.request);
    loop.epoch = 0;
    loop.is_complete = false;
    body = "";
    return 0;
}

#endif
