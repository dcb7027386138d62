#include "gateway/session/accept_queue.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "shared/base/bell.h"
#include "shared/base/log.h"
#include "shared/base/mem.h"

struct accept_queue {
    pthread_mutex_t lock;
    struct bell bell; /* the loop's: a connection was put in */
    struct accepted *first, *last;
};

struct accept_queue *accept_queue_new(void)
{
    struct accept_queue *q = mem_zalloc(sizeof *q);

    pthread_mutex_init(&q->lock, NULL);
    if (!bell_open(&q->bell)) {
        log_critical("no descriptor for the queue of accepted connections (errno %d)", errno);
        abort();
    }
    return q;
}

void accept_free(struct accepted *a)
{
    if (!a)
        return;
    free(a->path);
    free(a->query);
    free(a->last_event_id);
    free(a);
}

void accept_queue_free(struct accept_queue *q)
{
    if (!q)
        return;
    while (q->first) {
        struct accepted *a = q->first;

        q->first = a->next;
        if (a->fd >= 0)
            close(a->fd);
        accept_free(a);
    }
    bell_close(&q->bell);
    pthread_mutex_destroy(&q->lock);
    free(q);
}

int accept_queue_fd(const struct accept_queue *q)
{
    return q->bell.fd;
}

void accept_queue_put(struct accept_queue *q, struct accepted *a)
{
    a->next = NULL;
    pthread_mutex_lock(&q->lock);
    if (q->last)
        q->last->next = a;
    else
        q->first = a;
    q->last = a;
    bell_ring(&q->bell);
    pthread_mutex_unlock(&q->lock);
}

struct accepted *accept_queue_take(struct accept_queue *q)
{
    struct accepted *a;

    pthread_mutex_lock(&q->lock);
    a = q->first;
    if (a) {
        q->first = a->next;
        if (!q->first)
            q->last = NULL;
    } else {
        bell_hush(&q->bell);
    }
    pthread_mutex_unlock(&q->lock);
    return a;
}
