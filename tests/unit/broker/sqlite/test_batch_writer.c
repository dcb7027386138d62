#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <poll.h>
#include <signal.h>

#include <cmocka.h>

#include "broker/sqlite/batch_writer.h"
#include "shared/base/clock.h"
#include "shared/base/mem.h"

#define WAIT_MS 30000 /* for what must come; a test that passes waits for none of it */

enum event { WRITE, RETRY, FAILED, WRITTEN, GIVEN_UP, IDLE, END };

struct note {
    struct mail mail;
    enum event event;
    void *batch;
    enum err error;
    char text[STORE_ERROR_MAX];
};

/* A file that fails as often as the test says, and tells what it was called for. */
static struct file {
    struct mailbox notes;
    enum err error;  /* of the next tries, */
    int failures;    /* so many; below 0: all */
    bool is_hanging; /* a try does not return before it is interrupted */
    int64_t idle_at;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_interrupted;
} file;

static struct batch_writer *writer;

static void put(enum event event, void *batch, enum err e, const char *text)
{
    struct note *n = mem_zalloc(sizeof *n);

    n->event = event;
    n->batch = batch;
    n->error = e;
    snprintf(n->text, sizeof n->text, "%s", text);
    mailbox_put(&file.notes, &n->mail);
}

static void hang(void)
{
    pthread_mutex_lock(&file.lock);
    while (!file.is_interrupted)
        pthread_cond_wait(&file.changed, &file.lock);
    pthread_mutex_unlock(&file.lock);
}

static enum err write_batch(void *ctx, void *batch, bool is_retry,
                            char error[STORE_ERROR_MAX])
{
    sigset_t blocked;

    (void)ctx;
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    put(is_retry ? RETRY : WRITE, batch, OK,
        sigismember(&blocked, SIGTERM) ? "no signal" : "");
    if (file.is_hanging)
        hang();
    if (!file.failures)
        return OK;
    if (file.failures > 0)
        file.failures--;
    snprintf(error, STORE_ERROR_MAX, "no luck");
    return file.error;
}

static void failed(void *ctx, enum err e, const char *text)
{
    (void)ctx;
    put(FAILED, NULL, e, text);
}

static int64_t take_back(void *ctx, void *batch, enum err e, const char *text)
{
    (void)ctx;
    put(e ? GIVEN_UP : WRITTEN, batch, e, text);
    return file.idle_at;
}

static int64_t be_idle(void *ctx)
{
    (void)ctx;
    put(IDLE, NULL, OK, "");
    return WORKER_NEVER;
}

static void end(void *ctx)
{
    (void)ctx;
    put(END, NULL, OK, "");
}

static void interrupt(void *ctx)
{
    (void)ctx;
    pthread_mutex_lock(&file.lock);
    file.is_interrupted = true;
    pthread_cond_signal(&file.changed);
    pthread_mutex_unlock(&file.lock);
}

static const struct batch_writer_kind kind = {.write = write_batch,
                                              .failed = failed,
                                              .take_back = take_back,
                                              .idle = be_idle,
                                              .end = end,
                                              .interrupt = interrupt};

static int set_up(void **state)
{
    (void)state;
    file = (struct file){.error = ERR_SYS, .idle_at = WORKER_NEVER};
    assert_true(mailbox_open(&file.notes));
    pthread_mutex_init(&file.lock, NULL);
    pthread_cond_init(&file.changed, NULL);
    writer = batch_writer_new(&kind, NULL);
    return 0;
}

static void start(void)
{
    assert_false(batch_writer_can_write(writer));
    assert_int_equal(batch_writer_start(writer), 0);
    assert_true(batch_writer_can_write(writer));
}

static struct note next(void)
{
    struct pollfd p = {.fd = mailbox_fd(&file.notes), .events = POLLIN};
    struct mail *mail;
    struct note n;

    while (!(mail = mailbox_take(&file.notes)))
        assert_int_equal(poll(&p, 1, WAIT_MS), 1);
    n = *(struct note *)mail;
    free(mail);
    return n;
}

static void expect(enum event event)
{
    assert_int_equal(next().event, event);
}

static int tear_down(void **state)
{
    (void)state;
    if (batch_writer_can_write(writer)) {
        batch_writer_stop(writer);
        assert_true(batch_writer_join(writer, clock_mono_ms() + WAIT_MS));
        expect(END);
    }
    assert_null(mailbox_take(&file.notes));
    batch_writer_free(writer);
    batch_writer_free(NULL);
    mailbox_close(&file.notes);
    pthread_cond_destroy(&file.changed);
    pthread_mutex_destroy(&file.lock);
    return 0;
}

static void a_batch_comes_back_when_it_is_written(void **state)
{
    int batch;
    struct note n;

    (void)state;
    start();
    for (int i = 0; i < 3; i++) {
        batch_writer_write(writer, &batch);
        assert_false(batch_writer_can_write(writer));
        expect(WRITE);
        n = next();
        assert_int_equal(n.event, WRITTEN);
        assert_ptr_equal(n.batch, &batch);
        assert_false(batch_writer_can_write(writer));
        batch_writer_returned(writer);
        assert_true(batch_writer_can_write(writer));
    }
}

static void the_thread_takes_no_signal(void **state)
{
    int batch;

    (void)state;
    start();
    batch_writer_write(writer, &batch);
    assert_string_equal(next().text, "no signal");
    expect(WRITTEN);
    batch_writer_returned(writer);
}

static void a_batch_that_fails_is_tried_again_until_it_is_written(void **state)
{
    int batch;
    struct note n;

    (void)state;
    file.failures = 2;
    start();
    batch_writer_write(writer, &batch);
    expect(WRITE);
    for (int i = 0; i < 2; i++) {
        n = next();
        assert_int_equal(n.event, FAILED);
        assert_int_equal(n.error, ERR_SYS);
        assert_string_equal(n.text, "no luck");
        expect(RETRY);
    }
    expect(WRITTEN);
    batch_writer_returned(writer);
}

static void a_batch_that_no_try_can_mend_comes_back_at_once(void **state)
{
    int batch;
    struct note n;

    (void)state;
    file.failures = -1;
    file.error = ERR_INVALID;
    start();
    batch_writer_write(writer, &batch);
    expect(WRITE);
    expect(FAILED);
    n = next();
    assert_int_equal(n.event, GIVEN_UP);
    assert_int_equal(n.error, ERR_INVALID);
    assert_string_equal(n.text, "no luck");
    assert_ptr_equal(n.batch, &batch);
    batch_writer_returned(writer);
}

static void a_batch_that_is_given_up_comes_back_and_the_next_one_is_tried_again(
    void **state)
{
    int batch;

    (void)state;
    file.failures = -1;
    start();
    batch_writer_give_up(writer); /* nothing is under way */
    batch_writer_write(writer, &batch);
    expect(WRITE);
    expect(FAILED);
    batch_writer_give_up(writer);
    for (enum event e; (e = next().event) != GIVEN_UP;)
        assert_true(e == RETRY || e == FAILED);
    batch_writer_returned(writer);
    batch_writer_write(writer, &batch);
    expect(WRITE);
    expect(FAILED);
    expect(RETRY);
    expect(FAILED);
    batch_writer_give_up(writer);
    for (enum event e; (e = next().event) != GIVEN_UP;)
        assert_true(e == RETRY || e == FAILED);
    batch_writer_returned(writer);
}

static void an_idle_thread_is_called_when_it_asked_to_be(void **state)
{
    int batch;

    (void)state;
    file.idle_at = 0;
    start();
    batch_writer_write(writer, &batch);
    expect(WRITE);
    expect(WRITTEN);
    expect(IDLE);
    batch_writer_returned(writer);
}

static void a_batch_under_way_is_finished_before_the_thread_ends(void **state)
{
    int batch;

    (void)state;
    file.failures = 1;
    start();
    batch_writer_write(writer, &batch);
    batch_writer_stop(writer);
    assert_false(batch_writer_can_write(writer));
    assert_true(batch_writer_join(writer, clock_mono_ms() + WAIT_MS));
    expect(WRITE);
    expect(FAILED);
    expect(RETRY);
    expect(WRITTEN);
    expect(END);
    assert_false(batch_writer_has_hung(writer));
}

static void a_batch_that_fails_until_the_deadline_is_given_up(void **state)
{
    int batch;
    enum event e;

    (void)state;
    file.failures = -1;
    start();
    batch_writer_write(writer, &batch);
    expect(WRITE);
    expect(FAILED);
    batch_writer_stop(writer);
    assert_false(batch_writer_join(writer, 0));
    while ((e = next().event) != GIVEN_UP)
        assert_true(e == RETRY || e == FAILED);
    expect(END);
    assert_false(batch_writer_has_hung(writer));
}

static void a_try_that_does_not_return_is_interrupted_at_the_deadline(void **state)
{
    int batch;

    (void)state;
    file.is_hanging = true;
    start();
    batch_writer_write(writer, &batch);
    expect(WRITE);
    batch_writer_stop(writer);
    assert_false(batch_writer_join(writer, 0));
    expect(WRITTEN);
    expect(END);
    assert_false(batch_writer_has_hung(writer));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(a_batch_comes_back_when_it_is_written),
        T(the_thread_takes_no_signal),
        T(a_batch_that_fails_is_tried_again_until_it_is_written),
        T(a_batch_that_no_try_can_mend_comes_back_at_once),
        T(a_batch_that_is_given_up_comes_back_and_the_next_one_is_tried_again),
        T(an_idle_thread_is_called_when_it_asked_to_be),
        T(a_batch_under_way_is_finished_before_the_thread_ends),
        T(a_batch_that_fails_until_the_deadline_is_given_up),
        T(a_try_that_does_not_return_is_interrupted_at_the_deadline),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
