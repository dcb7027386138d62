#include "gateway/arrival.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "shared/bell.h"
#include "shared/log.h"
#include "shared/mem.h"

struct arrival_queue {
    pthread_mutex_t lock;
    struct bell bell; /* the loop's: somebody has come */
    struct arrival *first, *last;
};

struct arrival_queue *arrival_queue_new(void)
{
    struct arrival_queue *q = mem_zalloc(sizeof *q);

    pthread_mutex_init(&q->lock, NULL);
    if (!bell_open(&q->bell)) {
        log_critical("no descriptor for the queue of arrivals (errno %d)", errno);
        abort();
    }
    return q;
}

void arrival_free(struct arrival *a)
{
    if (!a)
        return;
    free(a->path);
    free(a->query);
    free(a);
}

void arrival_queue_free(struct arrival_queue *q)
{
    if (!q)
        return;
    while (q->first) {
        struct arrival *a = q->first;

        q->first = a->next;
        if (a->fd >= 0)
            close(a->fd);
        arrival_free(a);
    }
    bell_close(&q->bell);
    pthread_mutex_destroy(&q->lock);
    free(q);
}

int arrival_queue_fd(const struct arrival_queue *q)
{
    return q->bell.fd;
}

void arrival_put(struct arrival_queue *q, struct arrival *a)
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

struct arrival *arrival_take(struct arrival_queue *q)
{
    struct arrival *a;

    pthread_mutex_lock(&q->lock);
    a = q->first;
    if (a) {
        q->first = a->next;
        if (!q->first)
            q->last = NULL;
        a->next = NULL;
    } else {
        bell_hush(&q->bell);
    }
    pthread_mutex_unlock(&q->lock);
    return a;
}
