/* The waiting connections: lists by the event that they wait for, bounds, deadlines. */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>
#include <utlist.h>

#include "gateway/http/front_private.h"
#include "shared/base/mem.h"

static int64_t wait_ms(const struct front *f, enum waiting_for what)
{
    switch (what) {
    case WAITING_HEAD:
        return atomic_load_explicit(&f->head_ms, memory_order_relaxed);
    case WAITING_BODY:
        return FRONT_BODY_MS;
    case WAITING_WRITE:
        return FRONT_WRITE_MS;
    case WAITING_LINGER:
    case WAITING_WORKER:
        break;
    }
    return FRONT_LINGER_MS;
}

void front_settle(struct front *f, struct waiting *w)
{
    if (!w->is_counted)
        return;
    w->is_counted = false;
    pthread_mutex_lock(&f->lock);
    if (--f->answering == 0)
        pthread_cond_broadcast(&f->is_idle);
    pthread_mutex_unlock(&f->lock);
}

void front_discard(struct front *f, struct waiting *w)
{
    front_settle(f, w);
    if (!w->is_dead) /* first release the place: a peer that sees the end may reconnect at once */
        atomic_fetch_sub(&f->open, 1);
    if (w->c.fd >= 0)
        close(w->c.fd);
    buf_free(&w->in);
    buf_free(&w->out);
    buf_free(&w->c.body);
    free(w);
}

static void count_in(struct front *f, struct waiting *w)
{
    struct address *a;

    HASH_FIND(hh, f->addresses, &w->ip, sizeof w->ip, a);
    if (!a) {
        a = mem_zalloc(sizeof *a);
        a->ip = w->ip;
        HASH_ADD(hh, f->addresses, ip, sizeof a->ip, a);
    }
    a->count++;
    w->address = a;
    DL_APPEND2(a->first, w, address_prev, address_next);
}

static void count_out(struct front *f, struct waiting *w)
{
    struct address *a = w->address;

    DL_DELETE2(a->first, w, address_prev, address_next);
    if (--a->count > 0)
        return;
    HASH_DELETE(hh, f->addresses, a);
    free(a);
}

void front_unpark(struct front *f, struct waiting *w)
{
    if (w->what == WAITING_WORKER)
        return;
    if (w->events)
        epoll_ctl(f->epoll, EPOLL_CTL_DEL, w->c.fd, NULL);
    w->events = 0;
    f->held -= w->held;
    w->held = 0;
    DL_DELETE(f->lists[w->what], w);
    count_out(f, w);
    w->what = WAITING_WORKER;
}

void front_drop(struct front *f, struct waiting *w)
{
    front_unpark(f, w);
    front_settle(f, w);
    close(w->c.fd); /* now, for a new connection may need the number */
    w->c.fd = -1;
    w->is_dead = true;
    atomic_fetch_sub(&f->open, 1);
    LL_PREPEND(f->dead, w);
}

void front_reap(struct front *f)
{
    while (f->dead) {
        struct waiting *w = f->dead;

        f->dead = w->next;
        front_discard(f, w);
    }
}

bool front_evict(struct front *f)
{
    for (int what = 0; what < WAITING_KINDS; what++) {
        if (!f->lists[what])
            continue;
        gate_count_head(f->gate, GATE_HEAD_pushed_out);
        front_drop(f, f->lists[what]);
        return true;
    }
    return false;
}

static bool register_events(struct front *f, struct waiting *w, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = w};

    if (w->events == events)
        return true;
    if (epoll_ctl(f->epoll, w->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, w->c.fd, &e))
        return false;
    w->events = events;
    return true;
}

static void bound(struct front *f, const struct waiting *w)
{
    while (f->held > FRONT_HELD_MOST && front_evict(f))
        ;
    if (!w->is_dead &&
        w->address->count > atomic_load_explicit(&f->per_address, memory_order_relaxed)) {
        gate_count_head(f->gate, GATE_HEAD_pushed_out);
        front_drop(f, w->address->first);
    }
}

void front_park(struct front *f, struct waiting *w, enum waiting_for what)
{
    size_t held = sizeof *w + w->in.cap + w->out.cap + w->c.body.cap;

    if (w->what != what) {
        if (w->what != WAITING_WORKER) {
            DL_DELETE(f->lists[w->what], w);
        } else {
            count_in(f, w);
        }
        w->what = what;
        w->deadline = f->now + wait_ms(f, what);
        DL_APPEND(f->lists[what], w);
    }
    f->held += held - w->held;
    w->held = held;
    if (!register_events(f, w, what == WAITING_WRITE ? EPOLLOUT : EPOLLIN))
        front_drop(f, w);
    else
        bound(f, w);
}

int front_timeout(const struct front *f)
{
    int64_t least = -1;

    for (int what = 0; what < WAITING_KINDS; what++) {
        const struct waiting *w = f->lists[what];
        int64_t left = w ? w->deadline - f->now : -1;

        if (!w)
            continue;
        if (left < 0)
            left = 0;
        if (least < 0 || left < least)
            least = left;
    }
    return (int)least;
}
