/*
 * bus_fixture: a simulated broker for the doctor.
 *
 * The functions of bus.h and those of ZeroMQ that the doctor calls are defined here.  A request is
 * kept as JSON and makes ready what a test has scripted for its op; records for the SUB socket are
 * ready from the start.  A socket without a message is polled once, with a wait within the
 * patience, and has one then, or never.  Include it after <cmocka.h>, in one file of a program.
 */
#ifndef TESTS_UNIT_DOCTOR_BUS_FIXTURE_H
#define TESTS_UNIT_DOCTOR_BUS_FIXTURE_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "shared/wire/bus.h"
#include "shared/wire/wire.h"
#include "tests/unit/packed.h"

#define MESSAGES 10

struct scripted {
    const char *op; /* NULL: a record of publish */
    struct buf frames[3];
    int count;
    bool is_ready, is_taken;
};

static struct scripted script[MESSAGES];
static int scripted, contexts, open_sockets, open_messages;
static char control_socket, publish_socket, context; /* their addresses */
static bool is_control_refused, is_publish_refused, is_send_refused, is_polled;
static struct buf requests; /* as JSON, one a line */
static char control_at[300], publish_at[300], subscribed[50];
static long patience;

void *bus_context(void)
{
    contexts++;
    return &context;
}

int zmq_ctx_term(void *c)
{
    assert_ptr_equal(c, &context);
    contexts--;
    return 0;
}

void *bus_try_connect(void *c, int type, const char *endpoint, int high_water, size_t frame_max)
{
    bool is_control = type == ZMQ_DEALER;

    assert_ptr_equal(c, &context);
    assert_true(high_water > 0);
    assert_true(frame_max >= (is_control ? WIRE_ANSWER_FRAME_MAX : WIRE_RECORD_FRAME_MAX));
    snprintf(is_control ? control_at : publish_at, 300, "%s", endpoint);
    if (is_control ? is_control_refused : is_publish_refused)
        return NULL;
    open_sockets++;
    return is_control ? &control_socket : &publish_socket;
}

void bus_close(void *socket)
{
    open_sockets -= socket != NULL;
}

int zmq_setsockopt(void *socket, int option, const void *value, size_t len)
{
    assert_ptr_equal(socket, &publish_socket);
    assert_int_equal(option, ZMQ_SUBSCRIBE);
    snprintf(subscribed, sizeof subscribed, "%.*s", (int)len, (const char *)value);
    return 0;
}

int zmq_poll(zmq_pollitem_t *items, int count, long ms)
{
    assert_int_equal(count, 1);
    assert_int_equal(items->events, ZMQ_POLLIN);
    assert_in_range(ms, 1, patience);
    is_polled = !is_polled;
    return is_polled ? 0 : -1;
}

enum err bus_send(void *socket, const struct span *frames, int count)
{
    struct buf text = {0};
    struct pack_value op;

    assert_ptr_equal(socket, &control_socket);
    assert_int_equal(count, 1);
    buf_printf(&requests, "%s\n", unpacked(&text, frames[0]));
    buf_free(&text);
    assert_true(pack_find(frames[0], "op", &op, NULL));
    for (int i = 0; i < scripted; i++)
        if (script[i].op && span_eq(op.text, script[i].op))
            script[i].is_ready = true;
    return is_send_refused ? ERR_AGAIN : OK;
}

enum err bus_recv(void *socket, struct bus_message *out)
{
    if (!is_polled)
        return ERR_AGAIN;
    for (int i = 0; i < scripted; i++)
        if (script[i].is_ready && !script[i].is_taken &&
            (socket == &publish_socket) == !script[i].op) {
            script[i].is_taken = true;
            is_polled = false;
            *out = (struct bus_message){.count = script[i].count, .source = i};
            open_messages++;
            return OK;
        }
    return ERR_AGAIN;
}

struct span bus_frame(struct bus_message *m, int index)
{
    return buf_span(&script[m->source].frames[index]);
}

void bus_message_close(struct bus_message *m)
{
    (void)m;
    open_messages--;
}

/* The broker gives this answer to that op, after the answers scripted before. */
static inline struct buf *answers(const char *op, const char *json)
{
    struct scripted *s = &script[scripted++];

    assert_in_range(scripted, 1, MESSAGES);
    s->op = op;
    s->count = 1;
    packed(&s->frames[0], json);
    return &s->frames[0];
}

/* A heartbeat whose clock is ahead of ours by this much. */
static inline struct scripted *beats(int64_t ahead_us, int64_t now_us)
{
    struct wire_record r = {.kind = WIRE_HEARTBEAT,
                            .epoch = 0x77,
                            .seq = 5,
                            .accepted_us = (uint64_t)(now_us + ahead_us),
                            .body = SPAN("\x80")};
    struct scripted *s = &script[scripted++];

    assert_in_range(scripted, 1, MESSAGES);
    s->count = 2;
    s->is_ready = true;
    buf_adds(&s->frames[0], WIRE_TOPIC_HEARTBEAT);
    wire_put(&s->frames[1], &r);
    return s;
}

static inline void clear_bus(void)
{
    for (int i = 0; i < scripted; i++)
        for (int k = 0; k < 3; k++)
            buf_free(&script[i].frames[k]);
    memset(script, 0, sizeof script);
    scripted = 0;
    is_control_refused = is_publish_refused = is_send_refused = is_polled = false;
    control_at[0] = publish_at[0] = subscribed[0] = '\0';
    buf_free(&requests);
}

#endif
