#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "gateway/session/accept_queue.h"
#include "shared/base/mem.h"

#define THREADS 4
#define EACH 1000

static struct accept_queue *queue;

static struct accepted *make(int port, int fd)
{
    struct accepted *a = mem_zalloc(sizeof *a);

    a->fd = fd;
    a->port = port;
    a->query = mem_strdup("");
    return a;
}

static int set_up(void **state)
{
    (void)state;
    queue = accept_queue_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    accept_queue_free(queue);
    return 0;
}

static void *put_many(void *base)
{
    for (int i = 0; i < EACH; i++)
        accept_queue_put(queue, make(*(int *)base + i, -1));
    return NULL;
}

static void all_arrive_once_and_in_order_of_their_thread(void **state)
{
    pthread_t threads[THREADS];
    int bases[THREADS], next[THREADS], count = 0;
    struct pollfd p = {.fd = accept_queue_fd(queue), .events = POLLIN};

    (void)state;
    for (int i = 0; i < THREADS; i++) {
        next[i] = bases[i] = i * EACH;
        assert_int_equal(pthread_create(&threads[i], NULL, put_many, &bases[i]), 0);
    }
    while (count < THREADS * EACH) {
        struct accepted *a;

        assert_int_equal(poll(&p, 1, 10000), 1);
        while ((a = accept_queue_take(queue))) {
            assert_int_equal(a->port, next[a->port / EACH]++);
            accept_free(a);
            count++;
        }
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_null(accept_queue_take(queue));
    assert_int_equal(poll(&p, 1, 0), 0);
}

static void a_queue_that_was_emptied_takes_the_next(void **state)
{
    struct pollfd p = {.fd = accept_queue_fd(queue), .events = POLLIN};
    struct accepted *a;

    (void)state;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 2; i++)
            accept_queue_put(queue, make(i, -1));
        assert_int_equal(poll(&p, 1, 0), 1);
        for (int i = 0; i < 2; i++) {
            a = accept_queue_take(queue);
            assert_non_null(a);
            assert_int_equal(a->port, i);
            accept_free(a);
        }
        assert_null(accept_queue_take(queue));
        assert_int_equal(poll(&p, 1, 0), 0);
    }
}

static void what_was_never_taken_is_closed_with_the_queue(void **state)
{
    int ends[2];

    (void)state;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    accept_queue_put(queue, make(1, ends[1]));
    accept_queue_put(queue, make(2, -1));
    accept_queue_free(queue);
    assert_int_equal(fcntl(ends[1], F_GETFD), -1);
    close(ends[0]);
    queue = accept_queue_new();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(all_arrive_once_and_in_order_of_their_thread),
        TEST(a_queue_that_was_emptied_takes_the_next),
        TEST(what_was_never_taken_is_closed_with_the_queue),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
