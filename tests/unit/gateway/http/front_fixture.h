/*
 * front_fixture: a front on a free port of the loopback, its clients, and its only worker: the
 * test itself, which takes requests and answers them.
 *
 * The front's deadlines are of the fake clock: time passes only in pass().  Include it after
 * <cmocka.h>, in one file of a program.
 */
#ifndef TESTS_UNIT_GATEWAY_HTTP_FRONT_FIXTURE_H
#define TESTS_UNIT_GATEWAY_HTTP_FRONT_FIXTURE_H

#include <sched.h>
#include <stdio.h>

#include "gateway/http/front_private.h"
#include "shared/base/mem.h"
#include "tests/unit/fake_clock.h"
#include "tests/unit/gateway/http/client_fixture.h"

#define HEAD_MS 1000
#define GET "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

static struct gate *gate;
static struct front *front;

static inline void open_front(int connections, int per_address)
{
    const struct front_limits limits = {connections, per_address, HEAD_MS};
    char error[FRONT_ERROR_MAX];

    log_init("test", "critical", "text");
    gate = gate_new();
    assert_int_equal(front_open("127.0.0.1", 0, &limits, gate, &front, error), OK);
    assert_int_equal(front_start(front), OK);
}

static inline void close_front(void)
{
    front_stop(front);
    front_free(front);
    front = NULL;
    gate_free(gate);
}

/* The front looks at its deadlines at the new time. */
static inline void pass(int64_t ms)
{
    fake_clock_ms += ms;
    pthread_mutex_lock(&front->lock);
    bell_ring(&front->bell);
    pthread_mutex_unlock(&front->lock);
}

static inline int comes(const char *text)
{
    return comes_to(front_port(front), text);
}

/* --- the worker ------------------------------------------------------------------------ */

static inline void answers(struct connection *c, const char *text, bool lingers)
{
    struct buf b = {0};

    buf_adds(&b, text);
    front_answer(front, c, &b, lingers);
    assert_null(b.data);
}

/* The next request is for this path. */
static inline struct connection *takes(const char *path)
{
    struct connection *c = front_take(front);

    assert_non_null(c);
    assert_string_equal(c->head.path, path);
    return c;
}

/*
 * What the front had to do is done, and it made no request of it: another one comes first.  Its
 * deadlines were looked at.
 */
static inline void nothing_happens(void)
{
    int fd = comes("GET /other HTTP/1.1\r\nHost: x\r\n\r\n");

    answers(takes("/other"), "", false);
    ends(fd, "");
}

/* Check that this many connections are open. */
static inline void are_open(int count)
{
    while (atomic_load(&front->open) != count)
        sched_yield();
}

#endif
