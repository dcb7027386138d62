#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_socket_has_zmtp_heartbeats),
        cmocka_unit_test(the_kernel_drops_dead_peers_of_every_socket),
        cmocka_unit_test(the_bytes_of_every_frame_count_also_of_a_dropped_message),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
