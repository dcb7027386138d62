#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "gateway/handover.h"

/* A connection over loopback, as civetweb would hold it. */
struct connection {
    int listener, client, server;
    int client_port, local_port;
};

static struct handover handover;
static struct connection c;

static int port_of(int fd, int (*name)(int, struct sockaddr *, socklen_t *))
{
    struct sockaddr_in a;
    socklen_t len = sizeof a;

    assert_int_equal(name(fd, (struct sockaddr *)&a, &len), 0);
    return ntohs(a.sin_port);
}

static int set_up(void **state)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t len = sizeof a;
    int one = 1;

    (void)state;
    assert_int_equal(handover_open(&handover, 4, 100), OK);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(c.listener, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(c.listener, 1), 0);
    assert_int_equal(getsockname(c.listener, (struct sockaddr *)&a, &len), 0);
    c.client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(c.client, (struct sockaddr *)&a, sizeof a), 0);
    c.server = accept(c.listener, NULL, NULL);
    assert_true(c.server >= 0);
    assert_int_equal(setsockopt(c.server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one), 0);
    c.client_port = port_of(c.client, getsockname);
    c.local_port = port_of(c.listener, getsockname);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    close(c.listener);
    close(c.client);
    close(c.server);
    handover_close(&handover);
    return 0;
}

static bool is_without_delay(int fd)
{
    int value = 0;
    socklen_t len = sizeof value;

    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &len), 0);
    return value;
}

static int find(void)
{
    return handover_find(&handover, "127.0.0.1", c.client_port, c.local_port);
}

static void a_taken_socket_is_ours_and_the_old_number_reads_end_of_file(void **state)
{
    char byte = 0;
    int fd = -1, value = 0;
    socklen_t len = sizeof value;

    (void)state;
    assert_int_equal(find(), c.server);
    assert_int_equal(handover_take(&handover, c.server, &fd), OK);
    assert_true(fd >= handover.budget.floor);
    assert_int_equal(read(c.server, &byte, 1), 0);
    assert_int_equal(write(fd, "x", 1), 1);
    assert_int_equal(read(c.client, &byte, 1), 1);
    assert_int_equal(byte, 'x');
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(c.server, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &value, &len), 0);
    assert_true(value > 0);
    assert_true(is_without_delay(fd));
    close(c.server); /* as civetweb will: the connection lives on */
    c.server = -1;
    assert_int_equal(write(fd, "y", 1), 1);
    assert_int_equal(read(c.client, &byte, 1), 1);
    close(fd);
    assert_int_equal(read(c.client, &byte, 1), 0);
}

static void a_lent_socket_has_nothing_to_read_until_it_is_given_back(void **state)
{
    struct handover_loan loan;
    char byte = 0;

    (void)state;
    assert_int_equal(write(c.client, "x", 1), 1);
    assert_int_equal(handover_borrow(&handover, find(), &loan), OK);
    assert_int_equal(loan.number, c.server);
    assert_true(loan.fd >= handover.budget.floor);
    assert_int_equal(read(c.server, &byte, 1), 0);
    handover_return(&loan);
    assert_int_equal(fcntl(loan.fd, F_GETFD), -1);
    assert_int_equal(find(), c.server);
    assert_int_equal(read(c.server, &byte, 1), 1);
    assert_int_equal(byte, 'x');
    assert_int_equal(write(c.server, "y", 1), 1);
    assert_int_equal(read(c.client, &byte, 1), 1);
    assert_int_equal(byte, 'y');
    assert_true(fcntl(c.server, F_GETFD) & FD_CLOEXEC);
}

static void another_peer_is_not_mistaken_for_it(void **state)
{
    (void)state;
    assert_int_equal(
        handover_find(&handover, "127.0.0.2", c.client_port, c.local_port), -1);
    assert_int_equal(
        handover_find(&handover, "127.0.0.1", c.client_port, c.local_port + 1), -1);
    assert_int_equal(
        handover_find(&handover, "127.0.0.1", c.client_port ^ 1, c.local_port), -1);
    assert_int_equal(handover_find(&handover, "nonsense", c.client_port, c.local_port),
                     -1);
}

static int connect_another(int *client)
{
    struct sockaddr_in a;
    socklen_t len = sizeof a;

    assert_int_equal(getsockname(c.listener, (struct sockaddr *)&a, &len), 0);
    *client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(*client, (struct sockaddr *)&a, sizeof a), 0);
    return accept(c.listener, NULL, NULL);
}

/* What was seen on a number says nothing once another connection is there. */
static void a_number_used_again_is_found_as_what_it_is_now(void **state)
{
    int clients[8], servers[8], ports[8], again;

    (void)state;
    for (int i = 0; i < 8; i++) {
        servers[i] = connect_another(&clients[i]);
        ports[i] = port_of(clients[i], getsockname);
    }
    assert_int_equal(find(), c.server); /* and it has seen the others */
    close(servers[3]);
    close(clients[3]);
    again = connect_another(&clients[3]);
    assert_int_equal(again, servers[3] < clients[3] ? clients[3] : servers[3]);
    assert_int_equal(handover_find(&handover, "127.0.0.1", ports[3], c.local_port), -1);
    assert_int_equal(handover_find(&handover, "127.0.0.1",
                                   port_of(clients[3], getsockname), c.local_port),
                     again);
    servers[3] = again;
    for (int i = 7; i >= 0; i--)
        assert_int_equal(
            handover_find(&handover, "127.0.0.1", port_of(clients[i], getsockname),
                          c.local_port),
            servers[i]);
    for (int i = 0; i < 8; i++) {
        close(clients[i]);
        close(servers[i]);
    }
}

static bool is_readable(int fd)
{
    char byte;

    return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
}

static void what_is_said_to_a_corked_socket_leaves_when_it_is_uncorked(void **state)
{
    char bytes[8];
    int fd = -1;

    (void)state;
    handover_cork(c.server);
    assert_int_equal(write(c.server, "one", 3), 3);
    assert_int_equal(handover_take(&handover, c.server, &fd), OK);
    assert_int_equal(write(fd, "two", 3), 3);
    assert_false(is_readable(c.client));
    handover_uncork(fd);
    assert_true(is_without_delay(fd));
    assert_int_equal(recv(c.client, bytes, sizeof bytes, 0), 6);
    assert_memory_equal(bytes, "onetwo", 6);
    close(fd);
}

static void a_connection_on_a_number_freed_later_is_found(void **state)
{
    int low = dup(handover.dead), fd = -1;

    (void)state;
    /* A number below all that was open when we opened: the dead socket moves up. */
    assert_int_equal(dup2(c.server, handover.dead), handover.dead);
    handover.dead = low;
    close(c.server);
    c.server = -1;
    assert_true(find() >= 3 && find() < handover.dead);
    assert_int_equal(handover_take(&handover, find(), &fd), OK);
    assert_true(fd >= handover.budget.floor);
    close(fd);
}

static void without_a_number_left_it_says_emfile_and_leaves_the_socket(void **state)
{
    struct rlimit before, tight;
    char byte;
    int fd = -1;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    tight = before;
    tight.rlim_cur = (rlim_t)handover.budget.floor;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    errno = 0;
    assert_int_equal(handover_take(&handover, c.server, &fd), ERR_SYS);
    assert_int_equal(errno, EMFILE);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(fd, -1);
    assert_int_equal(write(c.server, "x", 1), 1);
    assert_int_equal(read(c.client, &byte, 1), 1);
}

/* FDSize of proc(5): how large the kernel's table is. */
static int table_size(void)
{
    FILE *f = fopen("/proc/self/status", "r");
    char line[256];
    int size = 0;

    assert_non_null(f);
    while (fgets(line, sizeof line, f) && sscanf(line, "FDSize: %d", &size) != 1)
        ;
    fclose(f);
    return size;
}

static void the_table_of_descriptors_need_not_grow_for_those_expected(void **state)
{
    (void)state;
    assert_true(table_size() > handover.budget.floor + 100);
}

static void descriptors_are_divided_without_overlap(void **state)
{
    static const int limits[] = {256, 1024, 20000, 1 << 30};
    struct handover_budget b;

    (void)state;
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        assert_int_equal(handover_divide(limits[i], 100, 32, &b), OK);
        assert_true(b.queue >= 1 && b.queue <= 1000);
        assert_true(b.floor > 100 + 32 + b.queue);
        assert_true(b.capacity > 0);
        assert_true(b.floor + b.capacity < limits[i]);
    }
    assert_int_equal(handover_divide(20000, 100, 32, &b), OK);
    assert_true(b.capacity > 18000);
    assert_int_equal(handover_divide(160, 100, 32, &b), ERR_FULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_taken_socket_is_ours_and_the_old_number_reads_end_of_file),
        TEST(a_lent_socket_has_nothing_to_read_until_it_is_given_back),
        TEST(another_peer_is_not_mistaken_for_it),
        TEST(a_number_used_again_is_found_as_what_it_is_now),
        TEST(what_is_said_to_a_corked_socket_leaves_when_it_is_uncorked),
        TEST(a_connection_on_a_number_freed_later_is_found),
        TEST(without_a_number_left_it_says_emfile_and_leaves_the_socket),
        TEST(the_table_of_descriptors_need_not_grow_for_those_expected),
        cmocka_unit_test(descriptors_are_divided_without_overlap),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
