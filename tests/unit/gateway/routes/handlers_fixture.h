/*
 * handlers_fixture: the loop's answers to HTTP workers, with a hub, sessions and a broker that are
 * the test's (broker_fixture.h).
 *
 * post_request() sends a worker's request; the loop has taken it when it returns.  is_answered()
 * waits for the answer.  Include it after <cmocka.h>, in one file of a program.
 */
#ifndef TESTS_UNIT_GATEWAY_ROUTES_HANDLERS_FIXTURE_H
#define TESTS_UNIT_GATEWAY_ROUTES_HANDLERS_FIXTURE_H

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>

#include "gateway/limits/gate.h"
#include "gateway/routes/handlers.h"
#include "tests/unit/gateway/upstream/broker_fixture.h"

#define STARTED_US 1599999990000000 /* ten seconds and a quarter ago */
#define TIMESTAMP ",'timestamp':1600000000.25}\n"

static struct gateway_config config;
static struct handlers handlers;

/* A worker that sends one request. */
static struct worker {
    pthread_t thread;
    struct loop_request q;
    enum loop_request_outcome outcome;
    bool is_waiting;
} worker;

static inline void *post(void *arg)
{
    struct worker *w = arg;

    w->outcome = loop_request_post(handlers.requests, &w->q);
    return NULL;
}

static inline void post_through(struct worker *w, struct loop_request q)
{
    struct pollfd p = {.fd = loop_request_queue_fd(handlers.requests), .events = POLLIN};

    buf_free(&w->q.body);
    w->q = q;
    assert_int_equal(pthread_create(&w->thread, NULL, post, w), 0);
    w->is_waiting = true;
    assert_int_equal(poll(&p, 1, 60000), 1);
    handlers_answer(&handlers);
}

static inline void post_request(struct loop_request q)
{
    post_through(&worker, q);
}

/* Wait for the answer. */
static inline void is_answered(struct worker *w, int status)
{
    assert_true(w->is_waiting);
    pthread_join(w->thread, NULL);
    w->is_waiting = false;
    assert_int_equal(w->outcome, LOOP_REQUEST_ANSWERED);
    assert_int_equal(w->q.status, status);
}

/* The answer has this status, and this body; in JSON a double quote is shown as a single one. */
static inline void is_told(int status, const char *body)
{
    is_answered(&worker, status);
    for (size_t i = 0; i < worker.q.body.len; i++)
        if (worker.q.kind <= LOOP_REQUEST_WEBSOCKET_STATUS && worker.q.body.data[i] == '"')
            worker.q.body.data[i] = '\'';
    if (body)
        assert_string_equal(buf_text(&worker.q.body), body);
}

static inline void is_told_packed(int status, const char *body)
{
    struct buf text = {0};

    is_answered(&worker, status);
    assert_string_equal(unpacked(&text, buf_span(&worker.q.body)), body);
    buf_free(&text);
}

static inline bool is_broker_here(void *ctx)
{
    (void)ctx;
    return upstream_is_here(g.upstream);
}

/* A session with a place, as far as a list of connections shows it; never freed by `sessions`. */
static inline void connects(struct session *s, const char *host, uint16_t port, bool has_place)
{
    struct sessions *all = handlers.sessions;

    *s = (struct session){.all = all, .port = port, .has_place = has_place, .since_us = 5000000};
    s->host = (char *)(uintptr_t)host;
    all->list = realloc(all->list, (all->count + 1) * sizeof(struct session *));
    all->list[all->count++] = s;
    all->place_count += has_place;
}

static inline int set_up_handlers(void **state)
{
    const struct session_out out = {.is_broker_here = is_broker_here};

    (void)state;
    open_broker();
    memset(&config, 0, sizeof config);
    config.websocket_enabled = true;
    config.websocket_timeout = 86399999;
    config.handshake_rate = 2000;
    handlers = (struct handlers){
        .config = &config,
        .name = "g1",
        .http_address = "http://127.0.0.1:8000",
        .started_us = STARTED_US,
        .hub = g.hub,
        .gate = gate_new(),
        .upstream = g.upstream,
        .sessions = sessions_new(&config, "g1", g.hub, &g.counters, &out),
        .requests = loop_request_queue_new(2),
    };
    sessions_set_time(handlers.sessions, clock_mono_ms(), clock_mono_ms(), FAKE_CLOCK_WALL_US);
    gate_set_limit(handlers.gate, 100, 90);
    gate_set_started(handlers.gate);
    return 0;
}

static inline int tear_down_handlers(void **state)
{
    (void)state;
    handlers_fini(&handlers);
    loop_request_cancel_all(handlers.requests);
    if (worker.is_waiting)
        pthread_join(worker.thread, NULL);
    worker.is_waiting = false;
    buf_free(&worker.q.body);
    loop_request_queue_free(handlers.requests);
    sessions_free(handlers.sessions);
    gate_free(handlers.gate);
    close_broker();
    return 0;
}

#endif
