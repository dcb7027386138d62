/* The front's thread: it accepts, reads, writes the rest of answers, and keeps the deadlines. */
#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <utlist.h>

#include "gateway/http/front_private.h"
#include "gateway/http/reply.h"
#include "shared/base/clock.h"
#include "shared/base/mem.h"
#include "shared/base/wait.h"

#define ACCEPT_MOST 64 /* in one turn */
#define EVENTS_MOST 256
#define READ_SIZE 2048 /* most heads are shorter */
#define JUNK 16384
#define RETRY_MS 20  /* while no descriptor or place is left */
#define SLICE_MS 100 /* between looks at whether the gateway drains, while bodies are awaited */

static void new_id(struct front *f, char id[FRONT_ID_MAX])
{
    snprintf(id, FRONT_ID_MAX, "%08x%08x", f->id_prefix, ++f->id_count);
}

/* --- to workers ------------------------------------------------------------------------------ */

static void dispatch(struct front *f, struct waiting *w, enum front_body outcome)
{
    front_unpark(f, w);
    w->c.outcome = outcome;
    buf_free(&w->out);
    pthread_mutex_lock(&f->lock);
    if (!w->is_counted)
        f->answering++;
    w->is_counted = true;
    DL_APPEND(f->ready, w);
    pthread_cond_signal(&f->has_ready);
    pthread_mutex_unlock(&f->lock);
}

/* --- answers ---------------------------------------------------------------------------------- */

/* Returns the bytes sent, or -1: the peer is gone. */
ssize_t front_send(int fd, const char *at, size_t len)
{
    ssize_t n = send(fd, at, len, MSG_NOSIGNAL | MSG_DONTWAIT);

    return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : n;
}

static void finish(struct front *f, struct waiting *w)
{
    buf_free(&w->out);
    buf_free(&w->in);
    buf_free(&w->c.body);
    front_settle(f, w);
    if (w->lingers && shutdown(w->c.fd, SHUT_WR) == 0)
        front_park(f, w, WAITING_LINGER);
    else
        front_drop(f, w);
}

static void write_on(struct front *f, struct waiting *w)
{
    ssize_t n = front_send(w->c.fd, w->out.data + w->sent, w->out.len - w->sent);

    if (n < 0) {
        front_drop(f, w);
        return;
    }
    w->sent += (size_t)n;
    if (w->sent < w->out.len)
        front_park(f, w, WAITING_WRITE);
    else
        finish(f, w);
}

static void refuse(struct front *f, struct waiting *w, const struct head_explanation *why,
                   enum gate_head kind)
{
    gate_count_head(f->gate, kind);
    log_limited(&f->invalid, f->now, LOG_WARNING, "%s:%d - Invalid HTTP request received: %d %s",
                w->c.peer, w->c.port, why->status, why->message);
    new_id(f, w->c.id);
    reply_bare(&w->out, why, w->c.id);
    w->sent = 0;
    w->lingers = true;
    write_on(f, w);
}

static enum gate_head kind_of(int status)
{
    switch (status) {
    case 414:
        return GATE_HEAD_target_too_long;
    case 431:
        return GATE_HEAD_too_large;
    default:
        return GATE_HEAD_malformed;
    }
}

static void refuse_head(struct front *f, struct waiting *w, enum head_fault fault)
{
    struct head_explanation why = head_explain(fault);

    refuse(f, w, &why, kind_of(why.status));
}

static void refuse_late(struct front *f, struct waiting *w)
{
    char hint[120];
    const struct head_explanation why = {408, "timed_out",
                                         "The request's head did not come in time.", hint};

    snprintf(hint, sizeof hint, "All of it must be here within %.3g s (HTTP_HEAD_TIMEOUT).",
             (double)atomic_load(&f->head_ms) / 1000);
    refuse(f, w, &why, GATE_HEAD_late);
}

/* --- requests --------------------------------------------------------------------------------- */

static void take_head(struct front *f, struct waiting *w)
{
    size_t size = w->scan.size;
    enum head_fault fault =
        head_parse(w->in.data + w->scan.start, size - w->scan.start, &w->c.head);

    if (fault) {
        refuse_head(f, w, fault);
        return;
    }
    buf_add(&w->c.body, w->in.data + size, w->in.len - size);
    new_id(f, w->c.id);
    dispatch(f, w, FRONT_BODY_UNREAD);
}

static void read_head(struct front *f, struct waiting *w)
{
    while (!w->scan.size) {
        char *at = buf_room(&w->in, READ_SIZE);
        ssize_t n = recv(w->c.fd, at, READ_SIZE, MSG_DONTWAIT);
        enum head_fault fault;

        w->in.len -= READ_SIZE - (size_t)(n > 0 ? n : 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            front_park(f, w, WAITING_HEAD);
            return;
        }
        if (n <= 0) {
            front_drop(f, w);
            return;
        }
        fault = head_scan(&w->scan, w->in.data, w->in.len);
        if (fault) {
            refuse_head(f, w, fault);
            return;
        }
        if (n < READ_SIZE && !w->scan.size) { /* all that has come */
            front_park(f, w, WAITING_HEAD);
            return;
        }
    }
    take_head(f, w);
}

static void read_body(struct front *f, struct waiting *w)
{
    struct buf *body = &w->c.body;

    while (body->len < w->wanted) {
        size_t room = w->wanted - body->len;
        char *at = buf_room(body, room);
        ssize_t n = recv(w->c.fd, at, room, MSG_DONTWAIT);

        body->len -= room - (size_t)(n > 0 ? n : 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            front_park(f, w, WAITING_BODY);
            return;
        }
        if (n <= 0) {
            dispatch(f, w, FRONT_BODY_CUT_OFF);
            return;
        }
    }
    dispatch(f, w, FRONT_BODY_WHOLE);
}

static void discard(struct front *f, struct waiting *w)
{
    char junk[JUNK];
    ssize_t n = recv(w->c.fd, junk, sizeof junk, MSG_DONTWAIT);

    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        front_drop(f, w);
}

static void on_ready(struct front *f, struct waiting *w)
{
    if (w->is_dead)
        return;
    switch (w->what) {
    case WAITING_HEAD:
        read_head(f, w);
        break;
    case WAITING_BODY:
        read_body(f, w);
        break;
    case WAITING_WRITE:
        write_on(f, w);
        break;
    case WAITING_LINGER:
        discard(f, w);
        break;
    case WAITING_WORKER:
        break;
    }
}

static void on_late(struct front *f, struct waiting *w)
{
    if (w->what == WAITING_HEAD && w->in.len)
        refuse_late(f, w);
    else if (w->what == WAITING_BODY)
        dispatch(f, w, FRONT_BODY_LATE);
    else
        front_drop(f, w);
}

/* --- the thread ------------------------------------------------------------------------------- */

static void watch_listener(struct front *f, bool on)
{
    struct epoll_event e = {.events = on ? EPOLLIN : 0, .data.ptr = &f->listener};

    f->is_paused = !on;
    f->paused_until = f->now + RETRY_MS;
    (void)epoll_ctl(f->epoll, EPOLL_CTL_MOD, f->listener, &e);
}

static void welcome(struct front *f, int fd, const struct sockaddr_in *peer)
{
    struct waiting *w = mem_zalloc(sizeof *w);

    atomic_fetch_add(&f->open, 1);
    w->what = WAITING_WORKER;
    w->c.fd = fd;
    w->c.waiting = w;
    w->c.port = ntohs(peer->sin_port);
    w->ip = peer->sin_addr.s_addr;
    inet_ntop(AF_INET, &peer->sin_addr, w->c.peer, sizeof w->c.peer);
    read_head(f, w);
}

static void accept_some(struct front *f)
{
    for (int i = 0; i < ACCEPT_MOST; i++) {
        struct sockaddr_in peer;
        socklen_t len = sizeof peer;
        int fd;

        if (atomic_load(&f->open) >= f->connections) {
            if (i > 0) /* close an old connection only if another one is known to wait */
                return;
            if (!front_evict(f)) {
                watch_listener(f, false);
                return;
            }
        }
        fd = accept4(f->listener, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
            welcome(f, fd, &peer);
        else if (errno == EAGAIN)
            return;
        else if ((errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) &&
                 !front_evict(f)) {
            watch_listener(f, false);
            return;
        }
    }
}

static void take_returned(struct front *f)
{
    struct waiting *all;

    pthread_mutex_lock(&f->lock);
    all = f->returned;
    f->returned = NULL;
    bell_hush(&f->bell);
    pthread_mutex_unlock(&f->lock);
    while (all) {
        struct waiting *w = all;

        all = w->next;
        if (w->wanted)
            read_body(f, w);
        else
            write_on(f, w);
    }
}

static void expire(struct front *f)
{
    bool is_draining = f->lists[WAITING_BODY] && gate_is_draining(f->gate);

    for (int what = 0; what < WAITING_KINDS; what++)
        while (f->lists[what] && f->lists[what]->deadline <= f->now)
            on_late(f, f->lists[what]);
    while (is_draining && f->lists[WAITING_BODY])
        dispatch(f, f->lists[WAITING_BODY], FRONT_BODY_STOPPED);
}

static int next_wait(const struct front *f)
{
    int64_t wait = front_timeout(f);

    if (f->lists[WAITING_BODY])
        wait = wait_sooner(wait, SLICE_MS);
    if (f->is_paused)
        wait = wait_sooner(wait, RETRY_MS);
    return (int)wait;
}

static bool is_stopping(struct front *f)
{
    bool stopping;

    pthread_mutex_lock(&f->lock);
    stopping = f->is_stopping;
    pthread_mutex_unlock(&f->lock);
    return stopping;
}

void *front_run(void *arg)
{
    const struct sched_param none = {0};
    struct epoll_event events[EVENTS_MOST];
    struct front *f = arg;

    /* A thread that wakes up may not interrupt the loop: docs/adr/0012. */
    (void)pthread_setschedparam(pthread_self(), SCHED_BATCH, &none);
    while (!is_stopping(f)) {
        int count = epoll_wait(f->epoll, events, EVENTS_MOST, next_wait(f));

        f->now = clock_mono_ms();
        for (int i = 0; i < count; i++) {
            void *of = events[i].data.ptr;

            if (of == &f->listener)
                accept_some(f);
            else if (of == &f->bell)
                take_returned(f);
            else
                on_ready(f, of);
        }
        expire(f);
        front_reap(f);
        if (f->is_paused && f->now >= f->paused_until)
            watch_listener(f, true);
    }
    return NULL;
}
