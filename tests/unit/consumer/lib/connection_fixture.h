/*
 * connection_fixture: a program on libpregon and a broker of one thread, over real sockets.  The
 * clock of both stands still unless the test moves it.  Include it after <cmocka.h>, in one file
 * of a program.
 */
#ifndef TESTS_UNIT_CONSUMER_LIB_CONNECTION_FIXTURE_H
#define TESTS_UNIT_CONSUMER_LIB_CONNECTION_FIXTURE_H

#include <stdarg.h>
#include <stdio.h>

#include "consumer/lib/pregon_private.h"
#include "shared/wire/bus.h"
#include "shared/wire/wire.h"
#include "tests/unit/boot_clock.h"
#include "tests/unit/packed.h"

#define HEARD_MAX 64
#define TURNS_MAX 5000 /* of 10 ms at most: after this many turns the test fails */
#define EPOCH 7

static struct {
    struct pregon *p;
    void *context, *publish, *control;
    char publish_at[BUS_ENDPOINT_MAX], control_at[BUS_ENDPOINT_MAX];
    /* Requests that came and the test has not looked at, as JSON with single quotes. */
    char *heard[HEARD_MAX];
    unsigned heard_count;
    char *last;                /* the request that the test last read */
    struct buf peer;           /* the connection that sent the last request */
    struct buf listening;      /* subscriptions: "+topic" or "-topic", a line each */
    uint64_t heartbeats, head; /* numbers of heartbeats, position of the log */
    int wait;                  /* what the last pregon_turn returned */
    struct buf reported;       /* calls of the callbacks, a line each */
} c;

/* --- the broker's side ---------------------------------------------------------------------- */

static inline void publishes(const char *topic, enum wire_kind kind, uint64_t seq, uint64_t prev,
                             const char *body)
{
    struct wire_record r = {.kind = kind, .epoch = EPOCH, .seq = seq, .prev = prev};
    struct buf frame = {0}, packed_body = {0};
    struct span frames[2] = {span_of(topic)};

    r.sent_us = 1000 + seq;
    r.accepted_us = 2000 + seq;
    packed(&packed_body, body);
    r.body = buf_span(&packed_body);
    wire_put(&frame, &r);
    frames[1] = buf_span(&frame);
    assert_int_equal(bus_send(c.publish, frames, 2), OK);
    buf_free(&frame);
    buf_free(&packed_body);
}

static inline void heartbeat(uint64_t head)
{
    publishes(WIRE_TOPIC_HEARTBEAT, WIRE_HEARTBEAT, head, ++c.heartbeats,
              "{'complete':true,'changed':[]}");
}

/* A mark is published as soon as it is subscribed. */
static inline void read_subscriptions(void)
{
    struct bus_message m;

    while (bus_recv(c.publish, &m) == OK) {
        struct span s = bus_frame(&m, 0);
        char topic[WIRE_TOPIC_MAX];

        span_copy(topic, sizeof topic, (struct span){s.at + 1, s.len - 1});
        buf_printf(&c.listening, "%c%s\n", s.at[0] ? '+' : '-', topic);
        if (s.at[0] && strncmp(topic, WIRE_TOPIC_MARK, strlen(WIRE_TOPIC_MARK)) == 0)
            publishes(topic, WIRE_MARK, c.head, c.heartbeats, "null");
        bus_message_close(&m);
    }
}

static inline void read_requests(void)
{
    struct bus_message m;

    while (bus_recv(c.control, &m) == OK) {
        struct span peer = bus_frame(&m, 0);
        struct buf text = {0};

        assert_int_equal(m.count, 2);
        buf_clear(&c.peer);
        buf_add(&c.peer, peer.at, peer.len);
        unpacked(&text, bus_frame(&m, 1));
        assert_true(c.heard_count < HEARD_MAX);
        c.heard[c.heard_count++] = strdup(buf_text(&text));
        buf_free(&text);
        bus_message_close(&m);
    }
}

/* A turn of the program and of the broker; it waits until one of them has something to do. */
static inline void step(void)
{
    zmq_pollitem_t items[] = {{.socket = c.publish, .events = ZMQ_POLLIN},
                              {.socket = c.control, .events = ZMQ_POLLIN},
                              {.fd = pregon_fd(c.p), .events = ZMQ_POLLIN}};

    c.wait = pregon_turn(c.p);
    read_subscriptions();
    read_requests();
    zmq_poll(items, 3, c.wait ? 10 : 0);
}

#define until(condition)                                                         \
    do {                                                                         \
        int turns_left = TURNS_MAX;                                              \
        while (!(condition)) {                                                   \
            if (!turns_left--)                                                   \
                fail_msg("%s; reported: %s", #condition, buf_text(&c.reported)); \
            step();                                                              \
        }                                                                        \
    } while (0)

static inline char **find_heard(const char *op)
{
    char start[64];

    snprintf(start, sizeof start, "{'op':'%s',", op);
    for (unsigned i = 0; i < c.heard_count; i++)
        if (strncmp(c.heard[i], start, strlen(start)) == 0)
            return &c.heard[i];
    return NULL;
}

static inline char *take_heard(char **at)
{
    char *request = *at;

    memmove(at, at + 1, (size_t)(&c.heard[--c.heard_count] - at) * sizeof *at);
    return request;
}

/* The oldest request with that op; valid until the next call. */
static inline const char *receives(const char *op)
{
    until(find_heard(op));
    free(c.last);
    c.last = take_heard(find_heard(op));
    return c.last;
}

static inline uint64_t id_of(const char *request)
{
    const char *at = strstr(request, "'id':");

    assert_non_null(at);
    return strtoull(at + strlen("'id':"), NULL, 10);
}

/* Everything that the program sent has arrived: was there no such request? */
static inline bool receives_no(const char *op)
{
    step();
    assert_int_equal(pregon_value_get(c.p, "barrier", NULL, NULL), PREGON_OK);
    until(find_heard("value_get"));
    free(take_heard(find_heard("value_get")));
    return !find_heard(op);
}

static inline void send_packed(const char *json)
{
    struct buf b = {0};
    struct span frames[2] = {buf_span(&c.peer)};

    packed(&b, json);
    frames[1] = buf_span(&b);
    assert_int_equal(bus_send(c.control, frames, 2), OK);
    buf_free(&b);
}

/* Answers the request; members: "'epoch':7,…".  It does not wait until the answer has come. */
static inline void answers(const char *request, const char *members)
{
    struct buf text = {0};

    buf_printf(&text, "{'id':%llu%s%s}", (unsigned long long)id_of(request), *members ? "," : "",
               members);
    send_packed(buf_text(&text));
    buf_free(&text);
}

static inline bool is_listening(const char *line)
{
    read_subscriptions();
    return strstr(buf_text(&c.listening), line) != NULL;
}

/* --- the program's side --------------------------------------------------------------------- */

__attribute__((format(printf, 1, 2))) static inline void report(const char *format, ...)
{
    va_list args;
    char line[1024];

    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    buf_printf(&c.reported, "%s\n", line);
}

static inline bool is_reported(const char *text)
{
    return strstr(buf_text(&c.reported), text) != NULL;
}

/* The callbacks since the last call of this function. */
static inline void assert_reported(const char *text)
{
    assert_string_equal(buf_text(&c.reported), text);
    buf_clear(&c.reported);
}

static inline void on_note(void *ctx, const char *text)
{
    assert_ptr_equal(ctx, &c);
    report("note: %s", text);
}

static inline void open_broker(void)
{
    memset(&c, 0, sizeof c);
    c.head = 4;
    boot_ms = 1000000;
    boot_step_ms = 0;
    c.context = bus_context();
    c.publish = bus_bind(c.context, ZMQ_XPUB, "tcp://127.0.0.1:*", 10000, 1024, "TEST");
    c.control = bus_bind(c.context, ZMQ_ROUTER, "tcp://127.0.0.1:*", 1000, 100000, "TEST");
    assert_non_null(c.publish);
    assert_non_null(c.control);
    zmq_setsockopt(c.publish, ZMQ_XPUB_VERBOSE, &(int){1}, sizeof(int)); /* of each connection */
    bus_set_welcome(c.publish, SPAN(WIRE_TOPIC_WELCOME));
    bus_endpoint(c.publish, c.publish_at);
    bus_endpoint(c.control, c.control_at);
}

/* Opens the connection; the caller has set the callbacks. */
static inline void open_connection(struct pregon_options o)
{
    o.publish = c.publish_at;
    o.control = c.control_at;
    o.ctx = &c;
    assert_int_equal(pregon_open(&o, &c.p), PREGON_OK);
}

/* Both sockets are connected, and every hello that follows from that was sent; the last one. */
static inline const char *receives_greeting(void)
{
    const char *hello;

    until(receiver_connections(c.p->receiver) > 0);
    do
        hello = receives("hello");
    while (!receives_no("hello"));
    return hello;
}

/* A connection whose broker has answered the hello. */
static inline void open_greeted(struct pregon_options o)
{
    open_broker();
    open_connection(o);
    answers(receives_greeting(), "'epoch':7");
    until(c.p->is_greeted);
}

static inline void close_all(void)
{
    boot_step_ms = 250; /* a closing connection waits for its locks by this clock */
    pregon_close(&c.p);
    while (c.heard_count)
        free(c.heard[--c.heard_count]);
    free(c.last);
    bus_close(c.publish);
    bus_close(c.control);
    zmq_ctx_term(c.context);
    buf_free(&c.peer);
    buf_free(&c.listening);
    buf_free(&c.reported);
}

#endif
