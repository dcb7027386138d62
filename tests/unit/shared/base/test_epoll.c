/*
 * Peers written by hand fill a ROUTER until ZeroMQ stops reading, then reset their connection.
 * Without shared/base/epoll.c libzmq 4.3.4 ends the process in both tests.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/wire/bus.h"

#define HIGH_WATER 4
#define BUFFER 4096
#define TRIES 100000

static void *context, *router, *monitor, *here, *there;

static void set(void *socket, int option, int value)
{
    assert_int_equal(zmq_setsockopt(socket, option, &value, sizeof value), 0);
}

static void *open_socket(int type)
{
    void *s = zmq_socket(context, type);

    assert_non_null(s);
    set(s, ZMQ_LINGER, 0);
    return s;
}

/* The thread of ZeroMQ has looked at all its connections: a message went there and back. */
static void let_zeromq_look(void)
{
    char byte;

    for (int i = 0; i < 2; i++) {
        assert_int_equal(zmq_send(here, "x", 1, 0), 1);
        assert_int_equal(zmq_recv(there, &byte, 1, 0), 1);
        assert_int_equal(zmq_send(there, "x", 1, 0), 1);
        assert_int_equal(zmq_recv(here, &byte, 1, 0), 1);
    }
}

static int setup(void **state)
{
    char at[BUS_ENDPOINT_MAX];

    (void)state;
    context = bus_context();
    here = open_socket(ZMQ_PAIR);
    there = open_socket(ZMQ_PAIR);
    assert_int_equal(zmq_bind(here, "tcp://127.0.0.1:*"), 0);
    bus_endpoint(here, at);
    assert_int_equal(zmq_connect(there, at), 0);
    router = open_socket(ZMQ_ROUTER);
    set(router, ZMQ_RCVHWM, HIGH_WATER);
    set(router, ZMQ_RCVBUF, BUFFER);
    assert_int_equal(zmq_bind(router, "tcp://127.0.0.1:*"), 0);
    assert_int_equal(zmq_socket_monitor(router, "inproc://monitor", ZMQ_EVENT_DISCONNECTED), 0);
    monitor = open_socket(ZMQ_PAIR);
    assert_int_equal(zmq_connect(monitor, "inproc://monitor"), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    zmq_socket_monitor(router, NULL, 0);
    bus_close(router);
    bus_close(monitor);
    bus_close(here);
    bus_close(there);
    zmq_ctx_term(context);
    return 0;
}

static int connect_to(void *bound)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char at[BUS_ENDPOINT_MAX];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), size = BUFFER;

    bus_endpoint(bound, at);
    a.sin_port = htons((uint16_t)atoi(strrchr(at, ':') + 1));
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

static void read_all(int fd, size_t count)
{
    char bytes[256];

    assert_true(count <= sizeof bytes);
    assert_int_equal(recv(fd, bytes, count, MSG_WAITALL), (ssize_t)count);
}

/* A DEALER by hand. */
static int open_peer(void)
{
    static const char greeting[64] = "\xff\0\0\0\0\0\0\0\0\x7f\3\0NULL",
                      ready[] = "\4\x1c\5READY\xbSocket-Type\0\0\0\6DEALER";
    int fd = connect_to(router);

    assert_int_equal(send(fd, greeting, sizeof greeting, 0), sizeof greeting);
    assert_int_equal(send(fd, ready, sizeof ready - 1, 0), sizeof ready - 1);
    read_all(fd, sizeof greeting);
    return fd;
}

/* Sends messages, each with the heartbeat of a peer behind it, until ZeroMQ takes no more. */
static void fill(int fd)
{
    static const char message[] = "\0\1x\4\7\4PING\0\0";
    size_t at = 0;

    for (int refused = 0; refused < 3;) {
        ssize_t sent = send(fd, message + at, sizeof message - 1 - at, MSG_DONTWAIT);

        if (sent > 0) {
            at = (at + (size_t)sent) % (sizeof message - 1);
            refused = 0;
            continue;
        }
        assert_int_equal(errno, EAGAIN);
        refused++;
        let_zeromq_look();
    }
}

static void reset(int fd)
{
    struct linger now = {.l_onoff = 1};

    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
    close(fd);
    let_zeromq_look();
}

static bool is_disconnected(void)
{
    char frame[BUS_ENDPOINT_MAX];

    if (zmq_recv(monitor, frame, sizeof frame, ZMQ_DONTWAIT) < 0)
        return false;
    assert_true(zmq_recv(monitor, frame, sizeof frame, 0) > 0); /* the address */
    return true;
}

/* Reads what had come; then ZeroMQ notices that the peer is gone. */
static void drain(void)
{
    char frame[16];
    int messages = 0;

    for (int i = 0; i < TRIES; i++) {
        while (zmq_recv(router, frame, sizeof frame, ZMQ_DONTWAIT) >= 0)
            messages++;
        let_zeromq_look();
        if (is_disconnected()) {
            assert_true(messages / 2 >= HIGH_WATER);
            return;
        }
    }
    fail_msg("ZeroMQ did not notice that the peer is gone");
}

static void reset_after_pings_ends_the_connection_only(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        int fd = open_peer();

        fill(fd);
        reset(fd);
        drain();
    }
}

static void reset_under_our_own_heartbeats_ends_the_connection_only(void **state)
{
    (void)state;
    set(router, ZMQ_HEARTBEAT_IVL, 1);
    reset_after_pings_ends_the_connection_only(state);
}

static void an_error_nobody_asked_for_is_reported_with_the_next_input(void **state)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC), fd, accepted, bound;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof a;
    struct epoll_event e = {0}, got;

    (void)state;
    bound = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(bound, (struct sockaddr *)&a, size), 0);
    assert_int_equal(listen(bound, 1), 0);
    assert_int_equal(getsockname(bound, (struct sockaddr *)&a, &size), 0);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, size), 0);
    accepted = accept(bound, NULL, NULL);
    assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, accepted, &e), 0);
    reset(fd);

    assert_int_equal(epoll_wait(epoll, &got, 1, 0), 0);
    /* Nor does the kernel wake us for it again and again. */
    assert_int_equal(epoll_pwait(epoll, &got, 1, 0, NULL), 0);
    e.events = EPOLLIN;
    assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_MOD, accepted, &e), 0);
    assert_int_equal(epoll_wait(epoll, &got, 1, 0), 1);
    assert_int_equal(got.events, EPOLLIN);
    e.events = EPOLLOUT;
    assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_MOD, accepted, &e), 0);
    assert_int_equal(epoll_wait(epoll, &got, 1, 0), 1);
    assert_int_equal(got.events, EPOLLOUT);
    assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_DEL, accepted, NULL), 0);
    assert_int_equal(epoll_wait(epoll, &got, 1, 0), 0);
    close(accepted);
    close(bound);
    close(epoll);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reset_after_pings_ends_the_connection_only, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(reset_under_our_own_heartbeats_ends_the_connection_only,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(an_error_nobody_asked_for_is_reported_with_the_next_input,
                                        setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
