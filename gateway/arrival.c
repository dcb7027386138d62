#include "gateway/arrival.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "shared/log.h"
#include "shared/mem.h"

struct arrival_queue {
    pthread_mutex_t lock;
    int fd;
    struct arrival *first, *last;
};

struct arrival_queue *arrival_queue_new(void)
{
    struct arrival_queue *q = mem_zalloc(sizeof *q);

    pthread_mutex_init(&q->lock, NULL);
    q->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (q->fd < 0) {
        log_critical("no descriptor for the queue of arrivals (errno %d)", errno);
        abort();
    }
    return q;
}

void arrival_free(struct arrival *a)
{
    if (!a)
        return;
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
    close(q->fd);
    pthread_mutex_destroy(&q->lock);
    free(q);
}

int arrival_queue_fd(const struct arrival_queue *q)
{
    return q->fd;
}

void arrival_put(struct arrival_queue *q, struct arrival *a)
{
    uint64_t one = 1;

    a->next = NULL;
    pthread_mutex_lock(&q->lock);
    if (q->last)
        q->last->next = a;
    else
        q->first = a;
    q->last = a;
    if (write(q->fd, &one, sizeof one) < 0 && errno != EAGAIN)
        log_error("cannot wake the loop (errno %d)", errno);
    pthread_mutex_unlock(&q->lock);
}

struct arrival *arrival_take(struct arrival_queue *q)
{
    struct arrival *a;
    uint64_t count;

    pthread_mutex_lock(&q->lock);
    a = q->first;
    if (a) {
        q->first = a->next;
        if (!q->first)
            q->last = NULL;
        a->next = NULL;
    } else if (read(q->fd, &count, sizeof count) < 0 && errno != EAGAIN) {
        log_error("cannot reset the queue's descriptor (errno %d)", errno);
    }
    pthread_mutex_unlock(&q->lock);
    return a;
}
