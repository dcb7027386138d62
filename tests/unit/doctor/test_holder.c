/* Whose sockets listen on this machine: those of this test do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "doctor/holder.h"

static int bound(const char *host, int *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t size = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(inet_pton(AF_INET, host, &a.sin_addr), 1);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &size), 0);
    *port = ntohs(a.sin_port);
    return fd;
}

static void finds_this_test(const char *host, int port)
{
    struct holder h = {0};
    char name[16];

    assert_int_equal(prctl(PR_GET_NAME, name), 0);
    assert_true(holder_find(host, port, &h));
    assert_int_equal(h.pid, getpid());
    assert_int_equal(h.user, geteuid());
    assert_string_equal(h.program, name);
}

static void the_process_that_listens_is_found_with_its_name(void **state)
{
    struct holder h = {.pid = 1};
    int port, fd = bound("127.0.0.1", &port);

    (void)state;
    assert_false(holder_find("127.0.0.1", port, &h)); /* it is bound, and does not listen */
    assert_int_equal(h.pid, 1);
    assert_int_equal(listen(fd, 1), 0);
    finds_this_test("127.0.0.1", port);
    finds_this_test("localhost", port);
    finds_this_test("0.0.0.0", port); /* what wants every address would collide with it */
    assert_false(holder_find("127.0.0.2", port, &h));
    close(fd);
    assert_false(holder_find("127.0.0.1", port, &h));
}

static void a_listener_on_every_address_is_found_on_each(void **state)
{
    int port, fd = bound("0.0.0.0", &port);

    (void)state;
    assert_int_equal(listen(fd, 1), 0);
    finds_this_test("127.0.0.1", port);
    finds_this_test("127.0.0.2", port);
    close(fd);
}

static void an_ipv4_address_on_an_ipv6_socket_is_found_too(void **state)
{
    struct sockaddr_in6 a = {.sin6_family = AF_INET6};
    socklen_t size = sizeof a;
    struct holder h;
    int port, fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)state;
    if (fd < 0)
        skip(); /* this machine has no IPv6 */
    assert_int_equal(inet_pton(AF_INET6, "::ffff:127.0.0.1", &a.sin6_addr), 1);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &size), 0);
    assert_int_equal(listen(fd, 1), 0);
    port = ntohs(a.sin6_port);
    finds_this_test("127.0.0.1", port);
    assert_false(holder_find("127.0.0.2", port, &h));
    close(fd);
}

static void the_hard_limit_of_a_process_is_read(void **state)
{
    struct rlimit r = {.rlim_cur = 100, .rlim_max = 203};

    (void)state;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &r), 0);
    assert_int_equal(holder_descriptors(getpid()), 203);
    assert_int_equal(holder_descriptors(0), 0); /* there is no such process */
}

static void a_holder_is_named_by_its_process_or_by_its_user(void **state)
{
    char text[100];

    (void)state;
    assert_string_equal(holder_text(&(struct holder){.user = 33, .pid = 7, .program = "x"}, text),
                        "pid 7 (x)");
    assert_string_equal(holder_text(&(struct holder){.user = 33}, text), "a process of user 33");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_process_that_listens_is_found_with_its_name),
        cmocka_unit_test(a_listener_on_every_address_is_found_on_each),
        cmocka_unit_test(an_ipv4_address_on_an_ipv6_socket_is_found_too),
        cmocka_unit_test(the_hard_limit_of_a_process_is_read),
        cmocka_unit_test(a_holder_is_named_by_its_process_or_by_its_user),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
