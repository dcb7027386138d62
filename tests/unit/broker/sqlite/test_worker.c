#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <poll.h>

#include <cmocka.h>

#include "broker/sqlite/worker.h"
#include "shared/base/clock.h"

#define WAIT_MS 30000
#define MAILS 1000

struct task {
    struct mail mail;
    int number, done_by;
};

struct place {
    struct mailbox *results;
    int number;
};

static int64_t work(void *ctx, struct mail *mail)
{
    struct place *place = ctx;
    struct task *task = (struct task *)mail;

    task->done_by = place->number;
    mailbox_put(place->results, mail);
    return WORKER_NEVER;
}

static void interrupt(void *ctx)
{
    (void)ctx;
}

static const struct worker_kind kind = {.work = work, .interrupt = interrupt};

static void every_mail_is_worked_on_once_by_one_of_the_threads(void **state)
{
    struct mailbox results;
    struct place places[] = {{&results, 1}, {&results, 2}};
    struct worker *w = worker_new(&kind);
    static struct task tasks[MAILS];
    struct pollfd p;
    int count = 0;

    (void)state;
    assert_true(mailbox_open(&results));
    p = (struct pollfd){.fd = mailbox_fd(&results), .events = POLLIN};
    assert_int_equal(worker_start(w, &places[0]), 0);
    assert_int_equal(worker_start(w, &places[1]), 0);
    for (int i = 0; i < MAILS; i++) {
        tasks[i] = (struct task){.number = i};
        worker_send(w, &tasks[i].mail);
    }
    while (count < MAILS) {
        struct mail *mail = mailbox_take(&results);

        if (!mail) {
            assert_int_equal(poll(&p, 1, WAIT_MS), 1);
            continue;
        }
        assert_in_range(((struct task *)mail)->done_by, 1, 2);
        ((struct task *)mail)->done_by = 0;
        count++;
    }
    worker_stop(w);
    assert_true(worker_join(w, clock_mono_ms() + WAIT_MS));
    assert_null(mailbox_take(&results));
    assert_int_equal(poll(&p, 1, 0), 0);
    worker_free(w);
    mailbox_close(&results);
}

static void mail_that_no_thread_took_can_be_withdrawn(void **state)
{
    struct worker *w = worker_new(&kind);
    struct task first = {.number = 1}, second = {.number = 2};

    (void)state;
    assert_null(worker_withdraw(w));
    worker_send(w, &first.mail);
    worker_send(w, &second.mail);
    assert_ptr_equal(worker_withdraw(w), &first.mail);
    assert_ptr_equal(worker_withdraw(w), &second.mail);
    assert_null(worker_withdraw(w));
    worker_stop(w);
    assert_true(worker_join(w, 0)); /* no thread was started */
    worker_free(w);
    worker_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_mail_is_worked_on_once_by_one_of_the_threads),
        cmocka_unit_test(mail_that_no_thread_took_can_be_withdrawn),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
