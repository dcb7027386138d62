/* The kernel's data about connections of this test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/net/descriptor.h"

struct pair {
    int listener, ours, theirs; /* ours was accepted */
    int port, their_port;
};

static int port_of(int fd)
{
    struct sockaddr_storage a = {0};
    socklen_t size = sizeof a;

    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &size), 0);
    return ntohs(a.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&a)->sin6_port
                                         : ((struct sockaddr_in *)&a)->sin_port);
}

/* A connection over loopback; false: this machine has no such addresses. */
static bool connected(int family, struct pair *out)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr *a = family == AF_INET ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6;
    socklen_t size = family == AF_INET ? sizeof v4 : sizeof v6;

    out->listener = socket(family, SOCK_STREAM, 0);
    if (bind(out->listener, a, size)) {
        close(out->listener);
        return false;
    }
    assert_int_equal(listen(out->listener, 1), 0);
    out->port = port_of(out->listener);
    v4.sin_port = v6.sin6_port = htons((uint16_t)out->port);
    out->theirs = socket(family, SOCK_STREAM, 0);
    assert_int_equal(connect(out->theirs, a, size), 0);
    out->ours = accept(out->listener, NULL, NULL);
    assert_true(out->ours >= 0);
    out->their_port = port_of(out->theirs);
    return true;
}

static void ended(struct pair *p)
{
    close(p->listener);
    close(p->ours);
    close(p->theirs);
}

static void a_connection_has_our_port_and_their_name(void **state)
{
    char name[DESCRIPTOR_NAME_MAX], want[DESCRIPTOR_NAME_MAX];
    struct pair p;

    (void)state;
    assert_true(connected(AF_INET, &p));
    assert_int_equal(descriptor_port(p.ours), p.port);
    assert_int_equal(descriptor_port(p.listener), p.port);
    assert_false(descriptor_name(p.listener, name));
    assert_true(descriptor_name(p.ours, name));
    snprintf(want, sizeof want, "127.0.0.1:%d", p.their_port);
    assert_string_equal(name, want);
    ended(&p);
    if (!connected(AF_INET6, &p))
        return;
    assert_int_equal(descriptor_port(p.ours), p.port);
    assert_true(descriptor_name(p.ours, name));
    snprintf(want, sizeof want, "::1:%d", p.their_port);
    assert_string_equal(name, want);
    ended(&p);
}

static void a_local_program_has_no_port_and_no_sample(void **state)
{
    char name[DESCRIPTOR_NAME_MAX];
    struct peer_sample s = {.consumed = 7};
    int fds[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_int_equal(descriptor_port(fds[0]), 0);
    assert_true(descriptor_name(fds[0], name));
    assert_string_equal(name, "a local program");
    assert_false(descriptor_sample(fds[0], &s));
    assert_int_equal(s.consumed, 7);
    close(fds[0]);
    close(fds[1]);
}

static void what_is_no_socket_has_no_inode(void **state)
{
    int file = open("/dev/null", O_RDONLY), socket_pair[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, socket_pair), 0);
    assert_int_equal(descriptor_inode(file), 0);
    assert_int_equal(descriptor_port(file), 0);
    assert_int_equal(descriptor_inode(-1), 0);
    assert_true(descriptor_inode(socket_pair[0]) != 0);
    assert_true(descriptor_inode(socket_pair[0]) != descriptor_inode(socket_pair[1]));
    close(file);
    close(socket_pair[0]);
    close(socket_pair[1]);
}

static void a_sample_counts_what_was_read_and_what_the_other_side_has(void **state)
{
    static char bytes[4096];
    struct peer_sample s;
    struct pair p;
    size_t put = 0;

    (void)state;
    assert_true(connected(AF_INET, &p));
    assert_true(descriptor_sample(p.ours, &s));
    assert_int_equal(s.consumed, 0);
    assert_int_equal(s.written, s.acked);
    assert_int_equal(write(p.theirs, bytes, 1000), 1000);
    assert_int_equal(recv(p.ours, bytes, 600, MSG_WAITALL), 600);
    do
        assert_true(descriptor_sample(p.ours, &s));
    while (s.consumed != 600); /* the rest is in our kernel */
    assert_int_equal(write(p.ours, bytes, 100), 100);
    do
        assert_true(descriptor_sample(p.ours, &s));
    while (s.acked != 100 || s.written != 100);
    assert_int_equal(s.not_sent, 0);
    assert_int_equal(fcntl(p.ours, F_SETFL, O_NONBLOCK), 0);
    for (;;) { /* until both kernels' buffers are full */
        ssize_t n = write(p.ours, bytes, sizeof bytes);

        if (n > 0)
            put += (size_t)n;
        else if (errno == EAGAIN)
            break;
    }
    do
        assert_true(descriptor_sample(p.ours, &s));
    while (s.written != 100 + put);
    assert_true(s.not_sent > 0);
    assert_true(s.acked + s.not_sent <= s.written);
    ended(&p);
}

static void a_connection_that_is_shut_down_drops_what_is_unsent(void **state)
{
    static char bytes[65536];
    struct pollfd end = {.events = POLLIN};
    struct pair p;
    int free_fd;

    (void)state;
    assert_true(connected(AF_INET, &p));
    assert_int_equal(fcntl(p.ours, F_SETFL, O_NONBLOCK), 0);
    while (write(p.ours, bytes, sizeof bytes) > 0)
        ;
    free_fd = dup(p.ours);
    close(free_fd);
    descriptor_shut_down(p.ours, descriptor_inode(p.ours) + 1);
    assert_true(write(p.ours, bytes, 1) < 0 && errno == EAGAIN);
    descriptor_shut_down(p.ours, descriptor_inode(p.ours));
    assert_true(send(p.ours, bytes, 1, MSG_NOSIGNAL) < 0 && errno == EPIPE);
    end.fd = dup(p.ours);
    assert_int_equal(end.fd, free_fd); /* the duplicate is closed */
    close(end.fd);
    close(p.ours); /* as libzmq does */
    end.fd = p.theirs;
    while (poll(&end, 1, -1) == 1 && read(p.theirs, bytes, sizeof bytes) > 0)
        ;
    assert_int_equal(errno, ECONNRESET); /* the end comes without the rest */
    p.ours = -1;
    ended(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_has_our_port_and_their_name),
        cmocka_unit_test(a_local_program_has_no_port_and_no_sample),
        cmocka_unit_test(what_is_no_socket_has_no_inode),
        cmocka_unit_test(a_sample_counts_what_was_read_and_what_the_other_side_has),
        cmocka_unit_test(a_connection_that_is_shut_down_drops_what_is_unsent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
