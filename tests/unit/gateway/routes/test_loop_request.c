#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/routes/loop_request.h"

#define WORKERS 8
#define ROUNDS 500

static struct loop_request_queue *core;

/* One worker that sends one request, and its answer. */
struct worker {
    pthread_t thread;
    struct loop_request q;
    enum loop_request_outcome outcome;
};

static int set_up(void **state)
{
    (void)state;
    core = loop_request_queue_new(2);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    loop_request_queue_free(core);
    return 0;
}

static void *post_once(void *arg)
{
    struct worker *w = arg;

    w->outcome = loop_request_post(core, &w->q);
    return NULL;
}

static void begin(struct worker *w, enum loop_request_kind kind, const char *text)
{
    memset(w, 0, sizeof *w);
    w->q.kind = kind;
    snprintf(w->q.text, sizeof w->q.text, "%s", text);
    assert_int_equal(pthread_create(&w->thread, NULL, post_once, w), 0);
}

static enum loop_request_outcome end(struct worker *w)
{
    pthread_join(w->thread, NULL);
    return w->outcome;
}

static struct loop_request *wait_for_question(void)
{
    struct pollfd p = {.fd = loop_request_queue_fd(core), .events = POLLIN};
    struct loop_request *q = NULL;

    while (!q) {
        assert_int_equal(poll(&p, 1, 10000), 1);
        q = loop_request_take(core);
    }
    return q;
}

static void the_loop_sees_the_question_and_the_worker_the_answer(void **state)
{
    struct worker w;
    struct loop_request *q;
    struct pollfd p = {.fd = loop_request_queue_fd(core), .events = POLLIN};

    (void)state;
    begin(&w, LOOP_REQUEST_QUOTE, "EUR/USD");
    q = wait_for_question();
    assert_int_equal(q->kind, LOOP_REQUEST_QUOTE);
    assert_string_equal(q->text, "EUR/USD");
    assert_true(q->serial > 0);
    buf_adds(&q->body, "{}");
    loop_request_answer(core, q, 404);
    assert_int_equal(end(&w), LOOP_REQUEST_ANSWERED);
    assert_int_equal(w.q.status, 404);
    assert_string_equal(buf_text(&w.q.body), "{}");
    buf_free(&w.q.body);
    assert_null(loop_request_take(core));
    assert_int_equal(poll(&p, 1, 0), 0); /* reset by the take that found nothing */
}

static void what_goes_to_the_broker_is_copied_for_the_loop(void **state)
{
    struct worker w = {.q = {.kind = LOOP_REQUEST_BROKER, .op = "renew", .members = 1}};
    struct loop_request *q;

    (void)state;
    buf_adds(&w.q.arguments, "packed");
    assert_int_equal(pthread_create(&w.thread, NULL, post_once, &w), 0);
    q = wait_for_question();
    assert_string_equal(q->op, "renew");
    assert_int_equal(q->members, 1);
    assert_ptr_not_equal(q->arguments.data, w.q.arguments.data);
    assert_string_equal(buf_text(&q->arguments), "packed");
    loop_request_answer(core, q, 200);
    assert_int_equal(end(&w), LOOP_REQUEST_ANSWERED);
    assert_string_equal(buf_text(&w.q.arguments), "packed");
    buf_free(&w.q.arguments);
    loop_request_cancel_all(core);
    w.q.kind = LOOP_REQUEST_BROKER; /* one that is not let in costs nothing */
    assert_int_equal(loop_request_post(core, &w.q), LOOP_REQUEST_CANCELLED);
}

static void questions_come_in_order_and_may_be_answered_in_another(void **state)
{
    struct worker a, b;
    struct loop_request *first, *second;

    (void)state;
    begin(&a, LOOP_REQUEST_QUOTE, "A");
    first = wait_for_question();
    begin(&b, LOOP_REQUEST_QUOTE, "B");
    second = wait_for_question();
    assert_true(first->serial < second->serial);
    buf_adds(&second->body, "b");
    loop_request_answer(core, second, 200);
    assert_int_equal(end(&b), LOOP_REQUEST_ANSWERED);
    buf_adds(&first->body, "a");
    loop_request_answer(core, first, 200);
    assert_int_equal(end(&a), LOOP_REQUEST_ANSWERED);
    assert_string_equal(buf_text(&a.q.body), "a");
    assert_string_equal(buf_text(&b.q.body), "b");
    buf_free(&a.q.body);
    buf_free(&b.q.body);
}

static void no_more_wait_than_may(void **state)
{
    struct worker a, b;
    struct loop_request more = {.kind = LOOP_REQUEST_HEALTH}, *first, *second;

    (void)state;
    begin(&a, LOOP_REQUEST_HEALTH, "");
    first = wait_for_question();
    begin(&b, LOOP_REQUEST_HEALTH, "");
    second = wait_for_question();
    assert_int_equal(loop_request_post(core, &more), LOOP_REQUEST_BUSY);
    loop_request_answer(core, first, 200);
    loop_request_answer(core, second, 200);
    assert_int_equal(end(&a), LOOP_REQUEST_ANSWERED);
    assert_int_equal(end(&b), LOOP_REQUEST_ANSWERED);
}

static void shutdown_frees_all_waiting_workers_and_a_late_answer_harms_nothing(void **state)
{
    struct worker taken, waiting;
    struct loop_request late = {.kind = LOOP_REQUEST_LIVE}, *q;
    struct pollfd p = {.fd = loop_request_queue_fd(core), .events = POLLIN};

    (void)state;
    begin(&taken, LOOP_REQUEST_HEALTH, "");
    q = wait_for_question();
    assert_null(loop_request_take(core));
    begin(&waiting, LOOP_REQUEST_HEALTH, "");
    assert_int_equal(poll(&p, 1, 10000), 1); /* it is posted and not taken */
    loop_request_cancel_all(core);
    assert_int_equal(end(&taken), LOOP_REQUEST_CANCELLED);
    assert_int_equal(end(&waiting), LOOP_REQUEST_CANCELLED);
    assert_int_equal(loop_request_post(core, &late), LOOP_REQUEST_CANCELLED);
    buf_adds(&q->body, "nobody reads this");
    loop_request_answer(core, q, 200);
    assert_null(loop_request_take(core)); /* the worker of the other request has gone */
}

static void a_worker_stops_waiting_and_its_answer_finds_nobody(void **state)
{
    struct worker w;
    struct loop_request *q;

    (void)state;
    begin(&w, LOOP_REQUEST_LIVE, "");
    q = wait_for_question();
    assert_int_equal(end(&w), LOOP_REQUEST_TIMED_OUT); /* takes LOOP_REQUEST_WAIT_MS */
    buf_adds(&q->body, "too late");
    loop_request_answer(core, q, 200);
}

static atomic_int finished;
static atomic_int answered, busy;

static void *post_many(void *arg)
{
    (void)arg;
    for (uint64_t i = 0; i < ROUNDS; i++) {
        struct loop_request q = {.kind = LOOP_REQUEST_QUOTES, .offset = i};

        switch (loop_request_post(core, &q)) {
        case LOOP_REQUEST_ANSWERED:
            assert_int_equal(q.body.len, sizeof i);
            assert_memory_equal(q.body.data, &i, sizeof i);
            buf_free(&q.body);
            atomic_fetch_add(&answered, 1);
            break;
        case LOOP_REQUEST_BUSY:
            atomic_fetch_add(&busy, 1);
            break;
        case LOOP_REQUEST_TIMED_OUT:
        case LOOP_REQUEST_CANCELLED:
            fail();
        }
    }
    atomic_fetch_add(&finished, 1);
    return NULL;
}

static void every_worker_gets_its_own_answer_under_load(void **state)
{
    pthread_t threads[WORKERS];
    struct pollfd p = {.fd = loop_request_queue_fd(core), .events = POLLIN};

    (void)state;
    for (int i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, post_many, NULL), 0);
    while (atomic_load(&finished) < WORKERS) {
        struct loop_request *q;

        poll(&p, 1, 10);
        while ((q = loop_request_take(core))) {
            buf_add(&q->body, &q->offset, sizeof q->offset);
            loop_request_answer(core, q, 200);
        }
    }
    for (int i = 0; i < WORKERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&answered) + atomic_load(&busy), WORKERS * ROUNDS);
    assert_true(atomic_load(&answered) > 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(the_loop_sees_the_question_and_the_worker_the_answer),
        TEST(what_goes_to_the_broker_is_copied_for_the_loop),
        TEST(questions_come_in_order_and_may_be_answered_in_another),
        TEST(no_more_wait_than_may),
        TEST(shutdown_frees_all_waiting_workers_and_a_late_answer_harms_nothing),
        TEST(a_worker_stops_waiting_and_its_answer_finds_nobody),
        TEST(every_worker_gets_its_own_answer_under_load),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
