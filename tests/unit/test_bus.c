#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shared/bus.h"

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
    static const int types[] = {ZMQ_XSUB, ZMQ_XPUB,   ZMQ_ROUTER,
                                ZMQ_SUB,  ZMQ_DEALER, ZMQ_PUB};
    void *context = bus_context();

    (void)state;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        void *s = bus_bind(context, types[i], "tcp://127.0.0.1:*", 1, 1024, "STORY");

        assert_non_null(s);
        assert_int_equal(option(s, ZMQ_HEARTBEAT_IVL), 0);
        bus_close(s);
    }
    zmq_ctx_term(context);
}

static void the_kernel_drops_dead_peers_of_every_socket(void **state)
{
    void *context = bus_context();
    void *s = bus_bind(context, ZMQ_ROUTER, "tcp://127.0.0.1:*", 1, 1024, "STORY");

    (void)state;
    assert_non_null(s);
    assert_int_equal(option(s, ZMQ_TCP_KEEPALIVE), 1);
    assert_in_range(option(s, ZMQ_TCP_MAXRT), 1, 60000);
    assert_in_range(option(s, ZMQ_HANDSHAKE_IVL), 1, 60000);
    bus_close(s);
    zmq_ctx_term(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_socket_has_zmtp_heartbeats),
        cmocka_unit_test(the_kernel_drops_dead_peers_of_every_socket),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
