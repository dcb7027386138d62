#include "broker/sqlite/worker.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/bell.h"
#include "shared/base/clock.h"
#include "shared/base/condition.h"
#include "shared/base/mem.h"

#define RETRY_MS 100 /* after a failure, doubling */
#define RETRY_MOST_MS 2000
#define LATE_MS 1000 /* after the deadline, for what was interrupted to come back */
#define NUDGE_MS 20  /* an interrupt only reaches a statement that runs */

/* A task or a result. */
struct item {
    struct item *next;
    _Alignas(max_align_t) char bytes[];
};

struct queue {
    struct item *first, *last;
};

struct thread {
    struct worker *worker;
    const struct worker_kind *kind;
    void *ctx;
    pthread_t id;
};

struct worker {
    /* The loop's. */
    struct thread threads[WORKER_THREADS_MAX];
    size_t count; /* threads started and not joined */
    bool has_hung;

    /* Below: only while holding it. */
    pthread_mutex_t lock;
    struct bell bell; /* the loop's: there is a result */
    pthread_cond_t has_task[WORKER_LANES], has_ended;
    struct queue tasks[WORKER_LANES], results;
    size_t running;
    bool must_stop, is_late;
};

struct worker *worker_new(void)
{
    struct worker *w = mem_zalloc(sizeof *w);

    if (!bell_open(&w->bell)) {
        free(w);
        return NULL;
    }
    pthread_mutex_init(&w->lock, NULL);
    for (size_t i = 0; i < WORKER_LANES; i++)
        condition_init(&w->has_task[i]);
    condition_init(&w->has_ended);
    return w;
}

static struct item *copy(const void *bytes, size_t size)
{
    struct item *item = mem_alloc(sizeof *item + size);

    item->next = NULL;
    memcpy(item->bytes, bytes, size);
    return item;
}

static void push(struct queue *q, struct item *item)
{
    if (q->last)
        q->last->next = item;
    else
        q->first = item;
    q->last = item;
}

static struct item *pop(struct queue *q)
{
    struct item *item = q->first;

    if (item)
        q->first = item->next;
    if (!q->first)
        q->last = NULL;
    return item;
}

/* --- the threads -------------------------------------------------------------------- */

/* NULL: it is time to be idle, or (*is_end) to end. */
static struct item *wait_for_task(struct thread *t, int64_t idle_at, bool *is_end)
{
    struct worker *w = t->worker;
    struct queue *tasks = &w->tasks[t->kind->lane];
    pthread_cond_t *has_task = &w->has_task[t->kind->lane];
    struct item *task;

    pthread_mutex_lock(&w->lock);
    while (!tasks->first && !w->must_stop) {
        if (idle_at == WORKER_NEVER)
            pthread_cond_wait(has_task, &w->lock);
        else if (!condition_wait(has_task, &w->lock, idle_at))
            break;
    }
    task = pop(tasks);
    *is_end = !task && w->must_stop;
    pthread_mutex_unlock(&w->lock);
    return task;
}

static void *run(void *arg)
{
    struct thread *t = arg;
    struct worker *w = t->worker;
    int64_t idle_at = WORKER_NEVER;
    bool is_end = false;

    while (!is_end) {
        struct item *task = wait_for_task(t, idle_at, &is_end);

        if (task)
            idle_at = t->kind->work(t->ctx, task->bytes);
        else if (!is_end)
            idle_at = t->kind->idle(t->ctx);
        free(task);
    }
    if (t->kind->end)
        t->kind->end(t->ctx);
    pthread_mutex_lock(&w->lock);
    w->running--;
    pthread_cond_signal(&w->has_ended);
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

void worker_put(struct worker *w, const void *result, size_t size)
{
    struct item *item = copy(result, size);

    pthread_mutex_lock(&w->lock);
    push(&w->results, item);
    bell_ring(&w->bell);
    pthread_mutex_unlock(&w->lock);
}

/* false: it is to be given up. */
static bool wait_to_retry(struct worker *w, enum worker_lane lane, int64_t delay_ms)
{
    int64_t until_ms = clock_mono_ms() + delay_ms;
    bool goes_on;

    pthread_mutex_lock(&w->lock);
    while (!w->is_late && condition_wait(&w->has_task[lane], &w->lock, until_ms))
        ;
    goes_on = !w->is_late;
    pthread_mutex_unlock(&w->lock);
    return goes_on;
}

enum err worker_retry(struct worker *w, enum worker_lane lane,
                      enum err (*attempt)(void *ctx, bool is_retry, char error[STORE_ERROR_MAX]),
                      void *ctx, char error[STORE_ERROR_MAX])
{
    int64_t delay_ms = RETRY_MS;
    enum err e = attempt(ctx, false, error);

    while (e && e != ERR_INVALID && wait_to_retry(w, lane, delay_ms)) {
        delay_ms = delay_ms < RETRY_MOST_MS / 2 ? delay_ms * 2 : RETRY_MOST_MS;
        e = attempt(ctx, true, error);
    }
    return e;
}

/* --- the loop's side ---------------------------------------------------------------- */

int worker_start(struct worker *w, const struct worker_kind *kind, void *ctx)
{
    struct thread *t = &w->threads[w->count];
    sigset_t all, before;
    int failure;

    assert(w->count < WORKER_THREADS_MAX);
    *t = (struct thread){.worker = w, .kind = kind, .ctx = ctx};
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

void worker_send(struct worker *w, enum worker_lane lane, const void *task, size_t size)
{
    struct item *item = copy(task, size);

    pthread_mutex_lock(&w->lock);
    push(&w->tasks[lane], item);
    pthread_cond_signal(&w->has_task[lane]);
    pthread_mutex_unlock(&w->lock);
}

int worker_fd(const struct worker *w)
{
    return w->bell.fd;
}

bool worker_take(struct worker *w, void *result, size_t size)
{
    struct item *item;
    bool is_taken;

    pthread_mutex_lock(&w->lock);
    item = pop(&w->results);
    is_taken = item != NULL;
    if (!is_taken)
        bell_hush(&w->bell);
    pthread_mutex_unlock(&w->lock);
    if (is_taken)
        memcpy(result, item->bytes, size);
    free(item);
    return is_taken;
}

/* Set a flag that the threads look at, and wake them. */
static void raise_flag(struct worker *w, bool *flag)
{
    pthread_mutex_lock(&w->lock);
    *flag = true;
    for (size_t i = 0; i < WORKER_LANES; i++)
        pthread_cond_broadcast(&w->has_task[i]);
    pthread_mutex_unlock(&w->lock);
}

static void drop(struct worker *w, struct queue *q)
{
    struct item *item;

    pthread_mutex_lock(&w->lock);
    while ((item = pop(q)))
        free(item);
    pthread_mutex_unlock(&w->lock);
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
            w->threads[i].kind->interrupt(w->threads[i].ctx);
        if (wait_for_end(w, now + NUDGE_MS))
            return true;
    }
    return false;
}

bool worker_stop(struct worker *w, int64_t deadline_ms)
{
    bool is_in_time;

    drop(w, &w->tasks[WORKER_READ]);
    raise_flag(w, &w->must_stop);
    is_in_time = wait_for_end(w, deadline_ms);
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
    assert(!w->count);
    drop(w, &w->results);
    for (size_t i = 0; i < WORKER_LANES; i++) {
        drop(w, &w->tasks[i]);
        pthread_cond_destroy(&w->has_task[i]);
    }
    pthread_cond_destroy(&w->has_ended);
    pthread_mutex_destroy(&w->lock);
    bell_close(&w->bell);
    free(w);
}
