#include "gateway/routes/loop_request.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "shared/base/clock.h"
#include "shared/base/bell.h"
#include "shared/base/condition.h"
#include "shared/base/log.h"
#include "shared/base/mem.h"

struct loop_request_queue {
    pthread_mutex_t lock;
    pthread_cond_t answered;
    struct bell bell; /* wakes the loop: there is a request */
    int waiting, max_waiting;
    bool is_cancelled;
    uint64_t serial;
    struct loop_request *first, *last;
};

struct loop_request_queue *loop_request_queue_new(int max_waiting)
{
    struct loop_request_queue *d = mem_zalloc(sizeof *d);

    pthread_mutex_init(&d->lock, NULL);
    condition_init(&d->answered);
    d->max_waiting = max_waiting;
    if (!bell_open(&d->bell)) {
        log_critical("no descriptor for the queue of requests (errno %d)", errno);
        abort();
    }
    return d;
}

/* The worker and the loop hold it; the last to let go frees it. */
static void release_one(struct loop_request *q)
{
    if (--q->references)
        return;
    buf_free(&q->body);
    buf_free(&q->arguments);
    free(q);
}

void loop_request_queue_free(struct loop_request_queue *d)
{
    if (!d)
        return;
    while (d->first) {
        struct loop_request *q = d->first;

        d->first = q->next;
        release_one(q);
    }
    bell_close(&d->bell);
    pthread_cond_destroy(&d->answered);
    pthread_mutex_destroy(&d->lock);
    free(d);
}

int loop_request_queue_fd(const struct loop_request_queue *d)
{
    return d->bell.fd;
}

enum loop_request_outcome loop_request_post(struct loop_request_queue *d, struct loop_request *q)
{
    int64_t until = clock_mono_ms() + LOOP_REQUEST_WAIT_MS;
    enum loop_request_outcome outcome = LOOP_REQUEST_TIMED_OUT;
    struct loop_request *copy;
    int place =
        q->kind != LOOP_REQUEST_LIVE; /* a probe must not be refused because other requests wait */

    pthread_mutex_lock(&d->lock);
    if (d->is_cancelled || (place && d->waiting >= d->max_waiting)) {
        outcome = d->is_cancelled ? LOOP_REQUEST_CANCELLED : LOOP_REQUEST_BUSY;
        pthread_mutex_unlock(&d->lock);
        return outcome;
    }
    copy = mem_alloc(sizeof *copy);
    *copy = *q;
    copy->body = copy->arguments = (struct buf){0};
    buf_add(&copy->arguments, q->arguments.data, q->arguments.len);
    copy->next = NULL;
    copy->references = 2;
    copy->is_done = 0;
    q->serial = copy->serial = ++d->serial;
    if (d->last)
        d->last->next = copy;
    else
        d->first = copy;
    d->last = copy;
    d->waiting += place;
    bell_ring(&d->bell);
    while (!copy->is_done && !d->is_cancelled && condition_wait(&d->answered, &d->lock, until))
        ;
    d->waiting -= place;
    if (copy->is_done) {
        outcome = LOOP_REQUEST_ANSWERED;
        q->status = copy->status;
        q->body = copy->body;
        q->epoch = copy->epoch;
        q->answered_us = copy->answered_us;
        q->is_complete = copy->is_complete;
        q->is_sent = copy->is_sent;
        copy->body = (struct buf){0};
    } else if (d->is_cancelled) {
        outcome = LOOP_REQUEST_CANCELLED;
    }
    release_one(copy);
    pthread_mutex_unlock(&d->lock);
    return outcome;
}

struct loop_request *loop_request_take(struct loop_request_queue *d)
{
    struct loop_request *q;

    pthread_mutex_lock(&d->lock);
    /* The worker of this request has gone: no answer is needed. */
    while ((q = d->first)) {
        d->first = q->next;
        if (!d->first)
            d->last = NULL;
        q->next = NULL;
        if (q->references == 2)
            break;
        release_one(q);
    }
    if (!q)
        bell_hush(&d->bell);
    pthread_mutex_unlock(&d->lock);
    return q;
}

void loop_request_answer(struct loop_request_queue *d, struct loop_request *q, int status)
{
    pthread_mutex_lock(&d->lock);
    q->status = status;
    q->is_done = 1;
    release_one(q);
    pthread_cond_broadcast(&d->answered);
    pthread_mutex_unlock(&d->lock);
}

void loop_request_cancel_all(struct loop_request_queue *d)
{
    pthread_mutex_lock(&d->lock);
    d->is_cancelled = true;
    pthread_cond_broadcast(&d->answered);
    pthread_mutex_unlock(&d->lock);
}
