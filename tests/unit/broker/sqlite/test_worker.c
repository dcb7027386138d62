#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>

#include <cmocka.h>

#include "broker/sqlite/worker.h"
#include "shared/base/clock.h"

#define WAIT_MS 30000 /* timeout of waits; a test that passes never reaches it */
#define MANY 1000

enum event { ATTEMPT, RETRY, DONE, GIVEN_UP, IDLE, END, READ };

struct result {
    enum event event;
    int task, place;
    enum err error;
    char text[STORE_ERROR_MAX];
};

/* A file that fails as often as the test sets. */
static struct file {
    enum err error;  /* of the next attempts, */
    int failures;    /* this many; below 0: all */
    bool is_hanging; /* an attempt does not return before it is interrupted */
    int64_t idle_at;
    int task;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_interrupted;
} file;

static struct worker *worker;
static bool is_started;

static void put(struct result r)
{
    worker_put(worker, &r, sizeof r);
}

static void hang(void)
{
    pthread_mutex_lock(&file.lock);
    while (!file.is_interrupted)
        pthread_cond_wait(&file.changed, &file.lock);
    pthread_mutex_unlock(&file.lock);
}

static enum err attempt(void *ctx, bool is_retry, char error[STORE_ERROR_MAX])
{
    (void)ctx;
    put((struct result){.event = is_retry ? RETRY : ATTEMPT, .task = file.task});
    if (file.is_hanging)
        hang();
    if (!file.failures)
        return OK;
    if (file.failures > 0)
        file.failures--;
    snprintf(error, STORE_ERROR_MAX, "no luck");
    return file.error;
}

static int64_t work(void *ctx, void *task)
{
    struct result r = {.task = *(int *)task};

    file.task = r.task;
    r.error = worker_retry(worker, WORKER_WRITE, attempt, ctx, r.text);
    r.event = r.error ? GIVEN_UP : DONE;
    put(r);
    return file.idle_at;
}

static int64_t be_idle(void *ctx)
{
    (void)ctx;
    put((struct result){.event = IDLE});
    return WORKER_NEVER;
}

static void end(void *ctx)
{
    sigset_t blocked;

    (void)ctx;
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    put((struct result){.event = END, .task = sigismember(&blocked, SIGTERM)});
}

static void interrupt(void *ctx)
{
    (void)ctx;
    pthread_mutex_lock(&file.lock);
    file.is_interrupted = true;
    pthread_cond_broadcast(&file.changed);
    pthread_mutex_unlock(&file.lock);
}

static const struct worker_kind writer = {
    .lane = WORKER_WRITE, .work = work, .idle = be_idle, .end = end, .interrupt = interrupt};

static int64_t read_task(void *ctx, void *task)
{
    if (file.is_hanging)
        hang();
    put((struct result){.event = READ, .task = *(int *)task, .place = *(int *)ctx});
    return WORKER_NEVER;
}

static const struct worker_kind reader = {
    .lane = WORKER_READ, .work = read_task, .interrupt = interrupt};

static int set_up(void **state)
{
    (void)state;
    file = (struct file){.error = ERR_SYS, .idle_at = WORKER_NEVER};
    pthread_mutex_init(&file.lock, NULL);
    pthread_cond_init(&file.changed, NULL);
    worker = worker_new();
    assert_non_null(worker);
    is_started = false;
    return 0;
}

static void start(void)
{
    assert_int_equal(worker_start(worker, &writer, NULL), 0);
    is_started = true;
}

static void write_task(int task)
{
    worker_send(worker, WORKER_WRITE, &task, sizeof task);
}

static bool stop(int64_t deadline_ms)
{
    is_started = false;
    return worker_stop(worker, deadline_ms);
}

static bool stop_in_time(void)
{
    return stop(clock_mono_ms() + WAIT_MS);
}

static struct result next(void)
{
    struct pollfd p = {.fd = worker_fd(worker), .events = POLLIN};
    struct result r;

    while (!worker_take(worker, &r, sizeof r))
        assert_int_equal(poll(&p, 1, WAIT_MS), 1);
    return r;
}

static void expect(enum event event, int task)
{
    struct result r = next();

    assert_int_equal(r.event, event);
    assert_int_equal(r.task, task);
}

/* The result after the permitted number of failures. */
static struct result after_failures(enum event event)
{
    struct result r;

    while ((r = next()).event != event)
        assert_true(r.event == ATTEMPT || r.event == RETRY);
    return r;
}

static int tear_down(void **state)
{
    struct pollfd p = {.fd = worker_fd(worker), .events = POLLIN};
    struct result r;

    (void)state;
    if (is_started) {
        assert_true(stop_in_time());
        expect(END, 1);
    }
    assert_false(worker_take(worker, &r, sizeof r));
    assert_int_equal(poll(&p, 1, 0), 0);
    assert_false(worker_has_hung(worker));
    worker_free(worker);
    worker_free(NULL);
    pthread_cond_destroy(&file.changed);
    pthread_mutex_destroy(&file.lock);
    return 0;
}

static void tasks_are_done_one_after_the_other_and_no_signal_comes_to_the_thread(void **state)
{
    (void)state;
    start();
    for (int i = 0; i < 3; i++)
        write_task(i);
    for (int i = 0; i < 3; i++) {
        expect(ATTEMPT, i);
        expect(DONE, i);
    }
    assert_true(stop_in_time());
    expect(END, 1); /* SIGTERM is blocked there */
}

static void an_attempt_that_fails_is_repeated_until_it_does_not(void **state)
{
    (void)state;
    file.failures = 2;
    start();
    write_task(7);
    expect(ATTEMPT, 7);
    expect(RETRY, 7);
    expect(RETRY, 7);
    expect(DONE, 7);
}

static void what_no_attempt_can_change_is_given_up_at_once(void **state)
{
    struct result r;

    (void)state;
    file.failures = -1;
    file.error = ERR_INVALID;
    start();
    write_task(7);
    expect(ATTEMPT, 7);
    r = next();
    assert_int_equal(r.event, GIVEN_UP);
    assert_int_equal(r.error, ERR_INVALID);
    assert_string_equal(r.text, "no luck");
}

static void an_idle_thread_is_called_when_it_asked_to_be(void **state)
{
    (void)state;
    file.idle_at = 0;
    start();
    write_task(1);
    expect(ATTEMPT, 1);
    expect(DONE, 1);
    expect(IDLE, 0);
}

static void a_task_to_write_is_done_before_the_thread_ends(void **state)
{
    (void)state;
    file.failures = 1;
    start();
    write_task(1);
    write_task(2);
    assert_true(stop_in_time());
    expect(ATTEMPT, 1);
    expect(RETRY, 1);
    expect(DONE, 1);
    expect(ATTEMPT, 2);
    expect(DONE, 2);
    expect(END, 1);
}

static void what_fails_until_the_deadline_is_given_up(void **state)
{
    (void)state;
    file.failures = -1;
    start();
    write_task(1);
    expect(ATTEMPT, 1);
    assert_false(stop(0));
    (void)after_failures(GIVEN_UP);
    expect(END, 1);
}

static void what_does_not_return_is_interrupted_at_the_deadline(void **state)
{
    (void)state;
    file.is_hanging = true;
    start();
    write_task(1);
    expect(ATTEMPT, 1);
    assert_false(stop(0));
    expect(DONE, 1);
    expect(END, 1);
}

static void every_task_is_done_once_by_one_of_the_threads_of_its_lane(void **state)
{
    static bool is_done[MANY];
    int places[] = {1, 2};

    (void)state;
    start();
    assert_int_equal(worker_start(worker, &reader, &places[0]), 0);
    assert_int_equal(worker_start(worker, &reader, &places[1]), 0);
    for (int i = 0; i < MANY; i++)
        worker_send(worker, WORKER_READ, &i, sizeof i);
    for (int i = 0; i < MANY; i++) {
        struct result r = next();

        assert_int_equal(r.event, READ);
        assert_in_range(r.place, 1, 2);
        assert_in_range(r.task, 0, MANY - 1);
        assert_false(is_done[r.task]);
        is_done[r.task] = true;
    }
}

static void tasks_to_read_that_no_thread_has_begun_are_dropped_at_the_end(void **state)
{
    int place = 1, count = 0;
    struct result r;

    (void)state;
    file.is_hanging = true;
    assert_int_equal(worker_start(worker, &reader, &place), 0);
    for (int i = 0; i < MANY; i++)
        worker_send(worker, WORKER_READ, &i, sizeof i);
    assert_false(stop(0));
    while (worker_take(worker, &r, sizeof r))
        count++;
    assert_true(count <= 1);
}

static void a_worker_without_threads_ends_at_once(void **state)
{
    int task = 1;

    (void)state;
    worker_send(worker, WORKER_READ, &task, sizeof task);
    write_task(1);
    assert_true(stop(0));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(tasks_are_done_one_after_the_other_and_no_signal_comes_to_the_thread),
        T(an_attempt_that_fails_is_repeated_until_it_does_not),
        T(what_no_attempt_can_change_is_given_up_at_once),
        T(an_idle_thread_is_called_when_it_asked_to_be),
        T(a_task_to_write_is_done_before_the_thread_ends),
        T(what_fails_until_the_deadline_is_given_up),
        T(what_does_not_return_is_interrupted_at_the_deadline),
        T(every_task_is_done_once_by_one_of_the_threads_of_its_lane),
        T(tasks_to_read_that_no_thread_has_begun_are_dropped_at_the_end),
        T(a_worker_without_threads_ends_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
