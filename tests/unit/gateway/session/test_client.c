/* The socket of a session: a real one, whose other end is the test. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "gateway/session/client.h"
#include "gateway/session/sessions.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"

#define PING "\x81\x8d\0\0\0\0{\"op\":\"ping\"}"
#define PING_LEN (sizeof PING - 1)

static struct gateway_config config;
static struct counters counters;
static struct loop *loop;
static struct sessions *all;
static int peer, opened, closed;

static void on_opened(void *ctx, const struct session *s)
{
    (void)ctx;
    (void)s;
    opened++;
}

static void on_closed(void *ctx, const struct session *s)
{
    (void)ctx;
    (void)s;
    closed++;
}

static bool broker_is_here(void *ctx)
{
    (void)ctx;
    return false;
}

static void turn(void)
{
    loop_turn(loop, 0);
    sessions_set_time(all, loop_now(loop), loop_awake(loop), loop_wall_us(loop));
    sessions_unthrottle(all);
    hub_fan_out(all->hub);
    sessions_settle(all);
    sessions_flush_due(all, SIZE_MAX, UINT64_MAX / 2, false);
    sessions_reap(all);
}

/* A client connects whose buffers are small. */
static struct session *accept_client(void)
{
    char path[] = "/ws/cotizaciones", query[] = "";
    struct accepted a = {.host = "192.0.2.7", .port = 40000, .path = path, .query = query};
    int ends[2], size = 4096;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    assert_int_equal(setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
    a.fd = ends[0];
    peer = ends[1];
    assert_true(client_accept(all, &a));
    assert_int_equal(all->count, 1);
    return all->list[0];
}

/* All that has come is taken; returns how many bytes. */
static size_t read_frame(char *first)
{
    char text[4096];
    size_t len = 0;
    ssize_t n;

    while ((n = recv(peer, text, sizeof text, 0)) > 0) {
        if (first && !len)
            *first = text[2];
        len += (size_t)n;
    }
    return len;
}

static void a_client_is_welcomed_and_answered(void **state)
{
    struct session *s = accept_client();
    uint64_t bytes;

    (void)state;
    turn();
    assert_int_equal(opened, 1);
    bytes = read_frame(NULL);
    assert_true(bytes > 0);
    assert_int_equal(s->bytes_out, bytes);
    turn();
    assert_int_equal(s->messages_in, 0);
    assert_int_equal(send(peer, PING, PING_LEN, 0), PING_LEN);
    turn();
    assert_int_equal(s->messages_in, 1);
    assert_int_equal(counters.bytes_in, PING_LEN);
    assert_true(read_frame(NULL) > 0);
    assert_false(s->is_dead);
}

static void a_full_socket_is_written_again_when_it_has_room(void **state)
{
    struct session *s = accept_client();
    size_t heard;

    (void)state;
    turn();
    heard = read_frame(NULL);
    for (int i = 0; i < 5000 && !s->is_blocked; i++) {
        if (send(peer, PING, PING_LEN, MSG_NOSIGNAL) < 0)
            assert_int_equal(errno, EAGAIN);
        sessions_set_time(all, all->now + 1, all->awake + 1, all->wall_us);
        sessions_unthrottle(all);
        loop_turn(loop, 0);
        sessions_settle(all);
        sessions_flush_due(all, SIZE_MAX, UINT64_MAX / 2, false);
    }
    assert_true(s->is_blocked && s->out.len > 0);
    assert_int_equal(all->blocked_count, 1);
    while (s->is_blocked || s->out.len) {
        heard += read_frame(NULL);
        loop_turn(loop, 60000);
    }
    heard += read_frame(NULL);
    assert_int_equal(s->bytes_out, heard);
    assert_int_equal(all->blocked_count, 0);
}

static void a_client_that_goes_is_closed_and_freed(void **state)
{
    (void)state;
    (void)accept_client();
    turn();
    close(peer);
    peer = -1;
    turn();
    assert_int_equal(all->count, 0);
    assert_int_equal(closed, 1);
    assert_int_equal(counters.ends[COUNTERS_END_lost], 1);
    (void)accept_client();
    turn();
    (void)read_frame(NULL);
    assert_int_equal(send(peer, PING, PING_LEN, 0), PING_LEN);
    shutdown(peer, SHUT_WR); /* what it sent before is read */
    turn();
    assert_int_equal(counters.messages_in, 1);
    assert_int_equal(all->count, 0);
    assert_int_equal(closed, 2);
}

static void an_end_of_the_gateways_is_the_clients_end(void **state)
{
    struct session *s = accept_client();
    char byte;

    (void)state;
    turn();
    (void)read_frame(NULL);
    all->io.end_output(s);
    assert_int_equal(recv(peer, &byte, 1, 0), 0);
    assert_int_equal(send(peer, PING, PING_LEN, 0), PING_LEN); /* that way is open */
    assert_int_equal(all->io.recv(s, &byte, 1), 1);
    sessions_drop_all(all, "test");
    assert_int_equal(closed, 1);
    assert_int_equal(send(peer, PING, PING_LEN, MSG_NOSIGNAL), -1);
}

static void a_socket_that_is_gone_cannot_be_sent_to(void **state)
{
    struct session *s = accept_client();
    char byte = 0;

    (void)state;
    turn();
    (void)read_frame(NULL);
    assert_int_equal(all->io.recv(s, &byte, 1), 0); /* nothing has come */
    close(peer);
    peer = -1;
    assert_int_equal(all->io.send(s, &byte, 1), -1);
    assert_int_equal(all->io.recv(s, &byte, 1), -1);
}

static void what_epoll_does_not_take_is_closed(void **state)
{
    char path[] = "/ws/cotizaciones", query[] = "";
    struct accepted a = {.host = "192.0.2.7", .port = 40000, .path = path, .query = query};
    FILE *file = tmpfile();
    int fd;

    (void)state;
    assert_non_null(file);
    fd = a.fd = dup(fileno(file)); /* epoll watches no files */
    assert_false(client_accept(all, &a));
    assert_int_equal(all->count, 0);
    assert_int_equal(opened, 0);
    assert_int_equal(close(fd), -1);
    assert_int_equal(errno, EBADF);
    fclose(file);
    peer = -1;
}

static void traces_state_the_wall_clock(void **state)
{
    int64_t before = clock_wall_us(), at = all->io.wall_us(all->io.ctx);

    (void)state;
    peer = -1;
    assert_true(before <= at && at <= clock_wall_us());
}

static int set_up(void **state)
{
    const struct session_out out = {
        .opened = on_opened, .closed = on_closed, .is_broker_here = broker_is_here};
    char name[] = "test", *arguments[] = {name, NULL};

    (void)state;
    log_init("test", "critical", "text");
    assert_int_equal(config_load(&gateway_program, arguments, &config), CONFIG_RUN);
    log_init("test", "critical", "text");
    counters_init(&counters);
    opened = closed = 0;
    loop = loop_new();
    all = sessions_new(&config, "gw", hub_new(1 << 20), &counters, &out);
    all->io = client_io(loop);
    sessions_set_time(all, loop_now(loop), loop_awake(loop), loop_wall_us(loop));
    hub_set_window(all->hub, 1 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    sessions_drop_all(all, "end of the test");
    hub_free(all->hub);
    sessions_free(all);
    loop_free(loop);
    config_free(&gateway_program, &config);
    if (peer >= 0)
        close(peer);
    return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_client_is_welcomed_and_answered),
        TEST(a_full_socket_is_written_again_when_it_has_room),
        TEST(a_client_that_goes_is_closed_and_freed),
        TEST(an_end_of_the_gateways_is_the_clients_end),
        TEST(a_socket_that_is_gone_cannot_be_sent_to),
        TEST(what_epoll_does_not_take_is_closed),
        TEST(traces_state_the_wall_clock),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
