#include "broker/sqlite/worker.h"

#include <assert.h>
#include <signal.h>
#include <stdlib.h>

#include "shared/base/clock.h"
#include "shared/base/condition.h"
#include "shared/base/mem.h"

#define LATE_MS 1000 /* after the deadline, for what was interrupted to come back */
#define NUDGE_MS 20  /* an interrupt only reaches a statement that runs */

struct thread {
    struct worker *worker;
    void *ctx;
    pthread_t id;
};

struct worker {
    /* The loop's. */
    const struct worker_kind *kind;
    struct thread threads[WORKER_THREADS_MAX];
    size_t count; /* threads started and not joined */
    bool has_hung;

    /* Below: only while holding it. */
    pthread_mutex_t lock;
    pthread_cond_t has_work, has_ended;
    struct mail *first, *last;
    size_t running;
    bool must_give_up, must_stop, is_late;
};

struct worker *worker_new(const struct worker_kind *kind)
{
    struct worker *w = mem_zalloc(sizeof *w);

    w->kind = kind;
    pthread_mutex_init(&w->lock, NULL);
    condition_init(&w->has_work);
    condition_init(&w->has_ended);
    return w;
}

/* --- the thread --------------------------------------------------------------------- */

static struct mail *take(struct worker *w)
{
    struct mail *mail = w->first;

    if (mail)
        w->first = mail->next;
    if (!w->first)
        w->last = NULL;
    return mail;
}

/* NULL: it is time to be idle, or (*is_end) to end. */
static struct mail *wait_for_mail(struct worker *w, int64_t idle_at, bool *is_end)
{
    struct mail *mail;

    pthread_mutex_lock(&w->lock);
    while (!w->first && !w->must_stop) {
        if (idle_at == WORKER_NEVER)
            pthread_cond_wait(&w->has_work, &w->lock);
        else if (!condition_wait(&w->has_work, &w->lock, idle_at))
            break;
    }
    mail = take(w);
    *is_end = !mail && w->must_stop;
    pthread_mutex_unlock(&w->lock);
    return mail;
}

static void *run(void *arg)
{
    struct thread *t = arg;
    struct worker *w = t->worker;
    int64_t idle_at = WORKER_NEVER;
    bool is_end = false;

    while (!is_end) {
        struct mail *mail = wait_for_mail(w, idle_at, &is_end);

        if (mail)
            idle_at = w->kind->work(t->ctx, mail);
        else if (!is_end)
            idle_at = w->kind->idle(t->ctx);
    }
    if (w->kind->end)
        w->kind->end(t->ctx);
    pthread_mutex_lock(&w->lock);
    w->running--;
    pthread_cond_signal(&w->has_ended);
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

bool worker_pause(struct worker *w, int64_t until_ms)
{
    bool goes_on;

    pthread_mutex_lock(&w->lock);
    while (!w->must_give_up && !w->is_late &&
           condition_wait(&w->has_work, &w->lock, until_ms))
        ;
    goes_on = !w->must_give_up && !w->is_late;
    pthread_mutex_unlock(&w->lock);
    return goes_on;
}

/* --- the loop's side ---------------------------------------------------------------- */

int worker_start(struct worker *w, void *ctx)
{
    struct thread *t = &w->threads[w->count];
    sigset_t all, before;
    int failure;

    assert(w->count < WORKER_THREADS_MAX);
    *t = (struct thread){.worker = w, .ctx = ctx};
    pthread_mutex_lock(&w->lock);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failure = pthread_create(&t->id, NULL, run, t);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    w->running += !failure;
    pthread_mutex_unlock(&w->lock);
    w->count += !failure;
    return failure;
}

void worker_send(struct worker *w, struct mail *mail)
{
    mail->next = NULL;
    pthread_mutex_lock(&w->lock);
    if (w->last)
        w->last->next = mail;
    else
        w->first = mail;
    w->last = mail;
    w->must_give_up = false;
    pthread_cond_signal(&w->has_work);
    pthread_mutex_unlock(&w->lock);
}

struct mail *worker_withdraw(struct worker *w)
{
    struct mail *mail;

    pthread_mutex_lock(&w->lock);
    mail = take(w);
    pthread_mutex_unlock(&w->lock);
    return mail;
}

/* Set a flag that the threads look at, and wake them. */
static void raise_flag(struct worker *w, bool *flag)
{
    pthread_mutex_lock(&w->lock);
    *flag = true;
    pthread_cond_broadcast(&w->has_work);
    pthread_mutex_unlock(&w->lock);
}

void worker_give_up(struct worker *w)
{
    raise_flag(w, &w->must_give_up);
}

void worker_stop(struct worker *w)
{
    raise_flag(w, &w->must_stop);
}

static bool wait_for_end(struct worker *w, int64_t deadline_ms)
{
    bool is_over;

    pthread_mutex_lock(&w->lock);
    while (w->running && condition_wait(&w->has_ended, &w->lock, deadline_ms))
        ;
    is_over = !w->running;
    pthread_mutex_unlock(&w->lock);
    return is_over;
}

static bool interrupt(struct worker *w)
{
    int64_t end = clock_mono_ms() + LATE_MS, now;

    raise_flag(w, &w->is_late);
    while ((now = clock_mono_ms()) < end) {
        for (size_t i = 0; i < w->count; i++)
            w->kind->interrupt(w->threads[i].ctx);
        if (wait_for_end(w, now + NUDGE_MS))
            return true;
    }
    return false;
}

bool worker_join(struct worker *w, int64_t deadline_ms)
{
    bool is_in_time = wait_for_end(w, deadline_ms);

    if (!is_in_time && !interrupt(w)) {
        w->has_hung = true; /* a thread hangs in the kernel: leave it all to it */
        return false;
    }
    for (; w->count; w->count--)
        pthread_join(w->threads[w->count - 1].id, NULL);
    return is_in_time;
}

bool worker_has_hung(const struct worker *w)
{
    return w->has_hung;
}

void worker_free(struct worker *w)
{
    if (!w || w->has_hung)
        return;
    assert(!w->count && !w->first);
    pthread_cond_destroy(&w->has_work);
    pthread_cond_destroy(&w->has_ended);
    pthread_mutex_destroy(&w->lock);
    free(w);
}
