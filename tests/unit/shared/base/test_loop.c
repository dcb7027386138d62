/*
 * The clocks are ours: this file defines clock_mono_ms and clock_wall_us in place of
 * shared/base/clock.c, so that lateness needs no waiting.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/base/clock.h"
#include "shared/base/loop.h"

#define PIPES 4

static int64_t clock_ms, lost_in_wait_ms;
static int clock_reads;

int64_t clock_mono_ms(void)
{
    /* A turn reads it twice: before it waits and after. */
    if (++clock_reads % 2 == 0) {
        clock_ms += lost_in_wait_ms;
        lost_in_wait_ms = 0;
    }
    return clock_ms;
}

int64_t clock_wall_us(void)
{
    return 1640995200000000 + clock_ms * 1000;
}

static struct loop *loop;

struct end {
    struct loop_watch watch; /* first: the callback casts back */
    int write_fd;
    int calls;
    uint32_t events;
    struct end *victim; /* unwatched from the callback */
};

static struct end ends[PIPES];

static void on_ready(struct loop_watch *w, uint32_t events)
{
    struct end *e = (struct end *)w;

    e->calls++;
    e->events = events;
    if (e->victim)
        loop_unwatch(loop, &e->victim->watch);
}

static int set_up(void **state)
{
    (void)state;
    clock_ms = 1000000;
    lost_in_wait_ms = 0;
    clock_reads = 1; /* loop_new reads it once */
    loop = loop_new();
    for (int i = 0; i < PIPES; i++) {
        int fds[2];

        if (pipe2(fds, O_CLOEXEC | O_NONBLOCK))
            return -1;
        ends[i] = (struct end){.watch = {fds[0], on_ready}, .write_fd = fds[1]};
        if (loop_watch(loop, &ends[i].watch, EPOLLIN))
            return -1;
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (int i = 0; i < PIPES; i++) {
        close(ends[i].watch.fd);
        close(ends[i].write_fd);
    }
    loop_free(loop);
    loop_free(NULL);
    return 0;
}

static void poke(struct end *e)
{
    assert_int_equal(write(e->write_fd, "x", 1), 1);
}

static void take(struct end *e)
{
    char c;

    assert_int_equal(read(e->watch.fd, &c, 1), 1);
}

static void only_what_is_ready_is_called(void **state)
{
    (void)state;
    loop_turn(loop, 0);
    poke(&ends[1]);
    loop_turn(loop, -1);
    assert_int_equal(ends[1].calls, 1);
    assert_true(ends[1].events & EPOLLIN);
    loop_turn(loop, 0); /* not read: still ready */
    assert_int_equal(ends[1].calls, 2);
    take(&ends[1]);
    loop_turn(loop, 0);
    assert_int_equal(ends[1].calls, 2);
    assert_int_equal(ends[0].calls + ends[2].calls + ends[3].calls, 0);
}

static void a_watch_removed_from_a_callback_is_not_called(void **state)
{
    (void)state;
    /* Whichever comes first of a turn removes another that is ready as well. */
    for (int i = 0; i < PIPES; i++) {
        ends[i].victim = &ends[(i + 1) % PIPES];
        poke(&ends[i]);
    }
    loop_turn(loop, 0);
    for (int i = 0; i < PIPES; i++)
        assert_int_equal(ends[i].calls + ends[(i + 1) % PIPES].calls, 1);
}

static void a_watch_may_remove_itself_and_come_back(void **state)
{
    (void)state;
    ends[0].victim = &ends[0];
    poke(&ends[0]);
    loop_turn(loop, 0);
    loop_turn(loop, 0);
    assert_int_equal(ends[0].calls, 1);
    ends[0].victim = NULL;
    assert_int_equal(loop_watch(loop, &ends[0].watch, EPOLLIN), OK);
    loop_turn(loop, 0);
    assert_int_equal(ends[0].calls, 2);
}

static void the_events_asked_for_can_change(void **state)
{
    (void)state;
    poke(&ends[0]);
    assert_int_equal(loop_rewatch(loop, &ends[0].watch, 0), OK);
    loop_turn(loop, 0);
    assert_int_equal(ends[0].calls, 0);
    assert_int_equal(loop_rewatch(loop, &ends[0].watch, EPOLLIN | (uint32_t)EPOLLET), OK);
    loop_turn(loop, 0);
    loop_turn(loop, 0);
    assert_int_equal(ends[0].calls, 1); /* edge-triggered: called once */
    poke(&ends[0]);
    loop_turn(loop, 0);
    assert_int_equal(ends[0].calls, 2);
}

static void a_descriptor_that_cannot_be_watched_is_an_error(void **state)
{
    struct loop_watch closed = {.fd = -1, .on_ready = on_ready};

    (void)state;
    assert_int_equal(loop_watch(loop, &closed, EPOLLIN), ERR_SYS);
    assert_int_equal(loop_watch(loop, &ends[0].watch, EPOLLIN), ERR_SYS); /* twice */
    loop_unwatch(loop, &ends[0].watch);
    assert_int_equal(loop_rewatch(loop, &ends[0].watch, EPOLLIN), ERR_SYS);
}

static void the_other_end_closing_is_reported(void **state)
{
    (void)state;
    close(ends[2].write_fd);
    loop_turn(loop, 0);
    assert_int_equal(ends[2].calls, 1);
    assert_true(ends[2].events & EPOLLHUP);
    ends[2].write_fd = dup(ends[3].write_fd);
}

static void requests_to_stop_are_counted(void **state)
{
    (void)state;
    assert_int_equal(loop_stops(loop), 0);
    raise(SIGTERM);
    assert_int_equal(loop_stops(loop), 0); /* until a turn has seen it */
    loop_turn(loop, -1);
    assert_int_equal(loop_stops(loop), 1);
    raise(SIGINT);
    loop_turn(loop, 0);
    assert_int_equal(loop_stops(loop), 2);
    raise(SIGTERM);
    raise(SIGINT);
    loop_turn(loop, 0);
    assert_int_equal(loop_stops(loop), 4);
    assert_false(loop_take_reload(loop));
}

/*
 * How a process of its own ends that runs `life`.  It has a loop of its own, too: an epoll that a
 * fork inherits looks at the signals of its parent.
 */
static int end_of(void (*life)(void))
{
    int status;
    pid_t child = fork();

    if (!child) {
        loop = loop_new();
        life();
        _exit(7);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void stop_twice_after_leaving(void)
{
    loop_leave(loop);
    raise(SIGTERM);
    if (loop_stops(loop) == 1)
        raise(SIGINT);
}

static void stop_before_and_after_leaving(void)
{
    raise(SIGINT);
    loop_leave(loop);
    raise(SIGINT);
}

static void leave_after_two_stops(void)
{
    raise(SIGINT);
    loop_turn(loop, -1);
    raise(SIGTERM);
    loop_leave(loop);
}

static void stop_once_and_come_back(void)
{
    loop_leave(loop);
    raise(SIGHUP); /* stays a descriptor's */
    raise(SIGTERM);
    loop_enter(loop);
    raise(SIGTERM);
    loop_turn(loop, -1);
    _exit(loop_stops(loop) == 2 && loop_take_reload(loop) ? 8 : 9);
}

static void a_second_stop_ends_a_process_that_has_left_its_loop(void **state)
{
    (void)state;
    assert_int_equal(end_of(stop_twice_after_leaving), 1);
    assert_int_equal(end_of(stop_before_and_after_leaving), 1);
    assert_int_equal(end_of(leave_after_two_stops), 1);
    assert_int_equal(end_of(stop_once_and_come_back), 8);
}

static void a_hangup_asks_once_to_reload_and_never_to_stop(void **state)
{
    (void)state;
    assert_false(loop_take_reload(loop));
    raise(SIGHUP);
    loop_turn(loop, 0);
    assert_true(loop_take_reload(loop));
    assert_false(loop_take_reload(loop));
    assert_int_equal(loop_stops(loop), 0);
}

static void a_broken_pipe_ends_nobody(void **state)
{
    int fds[2];

    (void)state;
    assert_int_equal(pipe(fds), 0);
    close(fds[0]);
    assert_int_equal(write(fds[1], "x", 1), -1);
    close(fds[1]);
}

static void the_clocks_are_read_once_a_turn(void **state)
{
    (void)state;
    loop_turn(loop, 0);
    assert_int_equal(loop_now(loop), 1000000);
    clock_ms += 500;
    assert_int_equal(loop_now(loop), 1000000);
    loop_turn(loop, 0);
    assert_int_equal(loop_now(loop), 1000500);
    assert_int_equal(loop_wall_us(loop), 1640995200000000 + 1000500 * 1000LL);
    assert_int_equal(loop_awake(loop), loop_now(loop));
}

static void our_own_pauses_are_nobodys_silence(void **state)
{
    static const struct {
        int64_t in_work, timeout, in_wait, awake; /* how far the awake clock goes on */
    } table[] = {
        {10, 0, 0, 10},
        {1000, 0, 0, 1000}, /* a second is still ordinary */
        {1001, 0, 0, 0},    /* stopped between two turns */
        {86400000, 0, 0, 0},
        {0, 0, 1000, 1000},
        {0, 0, 1001, 0},       /* stopped while it waited */
        {0, 5000, 5000, 5000}, /* waiting for the requested time is no pause */
        {0, 5000, 6000, 6000},
        {0, 5000, 6001, 5000},
        {0, 5000, 3600000, 5000},
        {2000, 500, 3000, 500}, /* both: what was meant to pass has passed */
        {20, 100, 60, 80},
        {0, -1, 7200000, 7200000}, /* no deadline: silence of all alike */
    };

    (void)state;
    loop_turn(loop, 0);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        int64_t now = loop_now(loop), awake = loop_awake(loop);

        clock_ms += table[i].in_work;
        lost_in_wait_ms = table[i].in_wait;
        if (table[i].timeout < 0)
            poke(&ends[0]);
        else if (table[i].timeout > 0)
            poke(&ends[1]); /* or it would really wait */
        loop_turn(loop, table[i].timeout);
        if (table[i].timeout)
            take(&ends[table[i].timeout < 0 ? 0 : 1]);
        assert_int_equal(loop_now(loop) - now, table[i].in_work + table[i].in_wait);
        if (loop_awake(loop) - awake != table[i].awake)
            fail_msg("row %zu: the awake clock went on %lld ms", i,
                     (long long)(loop_awake(loop) - awake));
    }
}

/* Standard output goes to a pipe while loop_ready runs. */
static size_t printed(const char *text, char *out, size_t size)
{
    int fds[2], keep = dup(STDOUT_FILENO);
    ssize_t n;

    assert_int_equal(pipe(fds), 0);
    dup2(fds[1], STDOUT_FILENO);
    loop_ready("%s", text);
    dup2(keep, STDOUT_FILENO);
    close(keep);
    close(fds[1]);
    n = read(fds[0], out, size - 1);
    close(fds[0]);
    assert_true(n > 0);
    out[n] = '\0';
    return (size_t)n;
}

static void readiness_is_one_line(void **state)
{
    char out[2000], text[1500];

    (void)state;
    printed("http=127.0.0.1:8000 pid=7", out, sizeof out);
    assert_string_equal(out, "ready http=127.0.0.1:8000 pid=7\n");
    memset(text, 'x', sizeof text - 1);
    for (size_t len = 480; len < 530; len++) { /* around what fits */
        size_t n;

        text[len] = '\0';
        n = printed(text, out, sizeof out);
        assert_ptr_equal(strchr(out, '\n'), out + n - 1);
        assert_true(n <= len + 7);
        assert_memory_equal(out, "ready xxx", 9);
        text[len] = 'x';
    }
}

/* What systemd hears at `path` (a name of the abstract namespace begins with @). */
static void assert_notified(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    char heard[32] = "", out[100];

    memcpy(a.sun_path, path, strlen(path));
    if (path[0] == '@')
        a.sun_path[0] = '\0';
    unlink(path);
    assert_return_code(bind(fd, (struct sockaddr *)&a,
                            (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path))),
                       errno);
    setenv("NOTIFY_SOCKET", path, 1);
    printed("feed=x", out, sizeof out);
    unsetenv("NOTIFY_SOCKET");
    assert_string_equal(out, "ready feed=x\n");
    assert_int_equal(recv(fd, heard, sizeof heard - 1, MSG_DONTWAIT), 7);
    assert_string_equal(heard, "READY=1");
    close(fd);
    unlink(path);
}

static void systemd_is_notified_at_the_socket_it_named(void **state)
{
    char path[64];

    (void)state;
    snprintf(path, sizeof path, "/tmp/pregon-notify-%d", getpid());
    assert_notified(path);
    snprintf(path, sizeof path, "@pregon-notify-%d", getpid());
    assert_notified(path);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(only_what_is_ready_is_called),
        TEST(a_watch_removed_from_a_callback_is_not_called),
        TEST(a_watch_may_remove_itself_and_come_back),
        TEST(the_events_asked_for_can_change),
        TEST(a_descriptor_that_cannot_be_watched_is_an_error),
        TEST(the_other_end_closing_is_reported),
        TEST(requests_to_stop_are_counted),
        TEST(a_second_stop_ends_a_process_that_has_left_its_loop),
        TEST(a_hangup_asks_once_to_reload_and_never_to_stop),
        TEST(a_broken_pipe_ends_nobody),
        TEST(the_clocks_are_read_once_a_turn),
        TEST(our_own_pauses_are_nobodys_silence),
        TEST(readiness_is_one_line),
        TEST(systemd_is_notified_at_the_socket_it_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
