#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "shared/wire/bus.h"

static int option(void *socket, int name)
{
    int value = -1;
    size_t size = sizeof value;

    assert_int_equal(zmq_getsockopt(socket, name, &value, &size), 0);
    return value;
}

/* Their timers end the process when they meet a connection with a full pipe: docs/adr/0013. */
static void no_socket_has_zmtp_heartbeats(void **state)
{
    static const int types[] = {ZMQ_XSUB, ZMQ_XPUB, ZMQ_ROUTER, ZMQ_SUB, ZMQ_DEALER, ZMQ_PUB};
    void *context = bus_context();

    (void)state;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        void *s = bus_bind(context, types[i], "tcp://127.0.0.1:*", 1, 1024, "TEST");

        assert_non_null(s);
        assert_int_equal(option(s, ZMQ_HEARTBEAT_IVL), 0);
        bus_close(s);
    }
    zmq_ctx_term(context);
}

static void the_kernel_drops_dead_peers_of_every_socket(void **state)
{
    void *context = bus_context();
    void *s = bus_bind(context, ZMQ_ROUTER, "tcp://127.0.0.1:*", 1, 1024, "TEST");

    (void)state;
    assert_non_null(s);
    assert_int_equal(option(s, ZMQ_TCP_KEEPALIVE), 1);
    assert_in_range(option(s, ZMQ_TCP_MAXRT), 1, 60000);
    assert_in_range(option(s, ZMQ_HANDSHAKE_IVL), 1, 60000);
    bus_close(s);
    zmq_ctx_term(context);
}

static enum err receive(void *socket, struct bus_message *m)
{
    enum err e = ERR_AGAIN;
    zmq_pollitem_t item = {.socket = socket, .events = ZMQ_POLLIN};

    while (e == ERR_AGAIN) {
        assert_int_equal(zmq_poll(&item, 1, 10000), 1);
        e = bus_recv(socket, m);
    }
    return e;
}

static void the_bytes_of_every_frame_count_also_of_a_dropped_message(void **state)
{
    static const char large[300];
    void *context = bus_context();
    void *to = bus_bind(context, ZMQ_PULL, "inproc://bytes", 10, 1024, "TEST");
    void *from = bus_connect(context, ZMQ_PUSH, "inproc://bytes", 10, 1024);
    struct span frames[] = {SPAN("one"), {large, sizeof large}};
    struct bus_message m;

    (void)state;
    assert_int_equal(bus_send(from, frames, 2), OK);
    assert_int_equal(receive(to, &m), OK);
    assert_int_equal(m.count, 2);
    assert_int_equal(bus_bytes(&m), 2 + 3 + 9 + 300);
    bus_message_close(&m);

    for (int i = 0; i < BUS_FRAMES_MAX + 2; i++)
        assert_int_equal(zmq_send(from, "12345", 5, i < BUS_FRAMES_MAX + 1 ? ZMQ_SNDMORE : 0), 5);
    assert_int_equal(bus_send(from, frames, 1), OK);
    assert_int_equal(receive(to, &m), ERR_MALFORMED);
    assert_int_equal(bus_bytes(&m), (BUS_FRAMES_MAX + 2) * (2 + 5));
    assert_int_equal(receive(to, &m), OK); /* the next one is whole */
    assert_int_equal(m.count, 1);
    assert_int_equal(bus_bytes(&m), 2 + 3);
    bus_message_close(&m);
    bus_close(from);
    bus_close(to);
    zmq_ctx_term(context);
}

/* The options that bus.h promises, of every type of socket. */
static void every_socket_has_the_options_that_it_was_opened_with(void **state)
{
    static const int types[] = {ZMQ_XSUB, ZMQ_XPUB, ZMQ_ROUTER, ZMQ_SUB, ZMQ_DEALER, ZMQ_PUB};
    void *context = bus_context();

    (void)state;
    assert_int_equal(zmq_ctx_get(context, ZMQ_MAX_SOCKETS), 64);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        bool is_publisher = types[i] == ZMQ_XPUB || types[i] == ZMQ_PUB;
        void *s = bus_bind(context, types[i], "tcp://127.0.0.1:*", 77, 1024, "TEST");
        int64_t frame_max = 0;
        size_t size = sizeof frame_max;

        assert_non_null(s);
        assert_int_equal(option(s, ZMQ_LINGER), 0);
        assert_int_equal(option(s, ZMQ_SNDHWM), 77);
        assert_int_equal(option(s, ZMQ_RCVHWM), is_publisher ? 16 : 77);
        assert_int_equal(option(s, ZMQ_CONNECT_TIMEOUT), 2000);
        assert_int_equal(option(s, ZMQ_HANDSHAKE_IVL), BUS_SILENCE_MS);
        assert_int_equal(option(s, ZMQ_TCP_MAXRT), 10000);
        assert_int_equal(option(s, ZMQ_TCP_KEEPALIVE), 1);
        assert_int_equal(option(s, ZMQ_TCP_KEEPALIVE_IDLE), 3);
        assert_int_equal(option(s, ZMQ_TCP_KEEPALIVE_INTVL), 1);
        assert_int_equal(option(s, ZMQ_TCP_KEEPALIVE_CNT), 3);
        assert_int_equal(option(s, ZMQ_RECONNECT_IVL), 100);
        assert_int_equal(option(s, ZMQ_RECONNECT_IVL_MAX), 2000);
        assert_int_equal(zmq_getsockopt(s, ZMQ_MAXMSGSIZE, &frame_max, &size), 0);
        assert_int_equal(frame_max, 1024);
        bus_set_linger(s, 5);
        assert_int_equal(option(s, ZMQ_LINGER), 5);
        assert_true(bus_fd(s) >= 0);
        bus_close(s);
    }
    bus_set_linger(NULL, 5);
    bus_close(NULL);
    zmq_ctx_term(context);
}

static void an_endpoint_that_cannot_be_opened_leaves_no_socket(void **state)
{
    void *context = bus_context(), *s;
    char endpoint[BUS_ENDPOINT_MAX];

    (void)state;
    s = bus_bind(context, ZMQ_PUB, "tcp://127.0.0.1:*", 1, 1024, "TEST");
    bus_endpoint(s, endpoint);
    assert_memory_equal(endpoint, "tcp://127.0.0.1:", 16);
    assert_true(endpoint[16] >= '1' && endpoint[16] <= '9');
    assert_null(bus_bind(context, ZMQ_PUB, endpoint, 1, 1024, "TEST"));
    assert_int_equal(errno, EADDRINUSE);
    assert_null(bus_bind(context, ZMQ_PUB, "tcp://192.0.2.1:1", 1, 1024, "TEST"));
    assert_null(bus_connect(context, ZMQ_SUB, "nonsense", 1, 1024));
    assert_null(bus_try_connect(context, ZMQ_SUB, "nonsense", 1, 1024));
    assert_int_equal(errno, EINVAL);
    for (int i = 0; i < 70; i++) /* none of the refused ones counts for the limit of sockets */
        assert_null(bus_try_connect(context, ZMQ_SUB, "nonsense", 1, 1024));
    bus_close(s);
    zmq_ctx_term(context);
}

static void a_full_queue_takes_nothing_of_a_message(void **state)
{
    void *context = bus_context();
    void *to = bus_bind(context, ZMQ_PULL, "inproc://full", 2, 1024, "TEST");
    void *from = bus_connect(context, ZMQ_PUSH, "inproc://full", 2, 1024);
    void *over = bus_bind(context, ZMQ_PUSH, "inproc://over", 1, 1024, "TEST");
    struct span frames[] = {SPAN("one"), SPAN("two")};
    struct bus_message m;
    int sent = 0;

    (void)state;
    assert_false(bus_is_readable(to));
    assert_int_equal(bus_recv(to, &m), ERR_AGAIN);
    assert_true(m.count == 0 && bus_bytes(&m) == 0 && bus_source(&m) == -1);
    while (bus_send(from, frames, 2) == OK)
        sent++;
    assert_in_range(sent, 1, 10);
    assert_true(bus_is_readable(to));
    for (int i = 0; i < sent; i++) {
        assert_int_equal(receive(to, &m), OK);
        assert_int_equal(m.count, 2);
        assert_true(span_eq(bus_frame(&m, 0), "one") && span_eq(bus_frame(&m, 1), "two"));
        assert_int_equal(bus_forward(over, &m), ERR_AGAIN); /* nobody is connected: it is kept */
        assert_int_equal(m.count, 2);
        bus_message_close(&m);
        assert_int_equal(m.count, 0);
    }
    assert_int_equal(bus_recv(to, &m), ERR_AGAIN);
    bus_close(from);
    bus_close(to);
    bus_close(over);
    zmq_ctx_term(context);
}

static void a_message_is_forwarded_whole(void **state)
{
    void *context = bus_context();
    void *to = bus_bind(context, ZMQ_PULL, "inproc://whole", 9, 1024, "TEST");
    void *from = bus_connect(context, ZMQ_PUSH, "inproc://whole", 9, 1024);
    struct span frames[] = {SPAN("a"), SPAN(""), SPAN("c")};
    struct bus_message m;

    (void)state;
    assert_int_equal(bus_send(from, frames, 3), OK);
    assert_int_equal(receive(to, &m), OK);
    assert_int_equal(bus_forward(from, &m), OK);
    assert_int_equal(m.count, 0);
    assert_int_equal(receive(to, &m), OK);
    assert_int_equal(m.count, 3);
    assert_true(span_eq(bus_frame(&m, 0), "a") && span_eq(bus_frame(&m, 2), "c"));
    assert_int_equal(bus_frame(&m, 1).len, 0);
    bus_message_close(&m);
    bus_close(from);
    bus_close(to);
    zmq_ctx_term(context);
}

static void a_frame_has_a_head_of_two_bytes_or_nine(void **state)
{
    (void)state;
    assert_int_equal(bus_wire_bytes(0), 2);
    assert_int_equal(bus_wire_bytes(255), 257);
    assert_int_equal(bus_wire_bytes(256), 265);
}

/* Over TCP a message has the descriptor of its connection, also one that was dropped. */
static void the_source_of_a_message_is_its_connection(void **state)
{
    void *context = bus_context();
    void *to = bus_bind(context, ZMQ_PULL, "tcp://127.0.0.1:*", 9, 1024, "TEST"), *from;
    char endpoint[BUS_ENDPOINT_MAX];
    struct span one = SPAN("a");
    struct bus_message m;
    int source;

    (void)state;
    bus_endpoint(to, endpoint);
    from = bus_connect(context, ZMQ_PUSH, endpoint, 9, 1024);
    assert_int_equal(zmq_send(from, "x", 1, 0), 1); /* it waits for the connection */
    assert_int_equal(receive(to, &m), OK);
    source = bus_source(&m);
    assert_true(source >= 0);
    bus_message_close(&m);
    assert_int_equal(bus_source(&m), -1);
    for (int i = 0; i < BUS_FRAMES_MAX + 1; i++)
        assert_int_equal(zmq_send(from, "x", 1, i < BUS_FRAMES_MAX ? ZMQ_SNDMORE : 0), 1);
    assert_int_equal(receive(to, &m), ERR_MALFORMED);
    assert_int_equal(bus_source(&m), source);
    assert_int_equal(bus_send(from, &one, 1), OK);
    assert_int_equal(receive(to, &m), OK);
    assert_int_equal(bus_source(&m), source);
    bus_message_close(&m);
    bus_close(from);
    bus_close(to);
    zmq_ctx_term(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_socket_has_zmtp_heartbeats),
        cmocka_unit_test(the_kernel_drops_dead_peers_of_every_socket),
        cmocka_unit_test(the_bytes_of_every_frame_count_also_of_a_dropped_message),
        cmocka_unit_test(every_socket_has_the_options_that_it_was_opened_with),
        cmocka_unit_test(an_endpoint_that_cannot_be_opened_leaves_no_socket),
        cmocka_unit_test(a_full_queue_takes_nothing_of_a_message),
        cmocka_unit_test(a_message_is_forwarded_whole),
        cmocka_unit_test(a_frame_has_a_head_of_two_bytes_or_nine),
        cmocka_unit_test(the_source_of_a_message_is_its_connection),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
