#include "gateway/http/front.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#include "gateway/http/front_private.h"
#include "shared/base/clock.h"
#include "shared/base/condition.h"
#include "shared/base/mem.h"

#define BACKLOG 4096 /* the usual 128 loses SYNs in a burst */
#define DEFER_S 10

/* --- for workers ----------------------------------------------------------------------------- */

struct connection *front_take(struct front *f)
{
    struct waiting *w;

    pthread_mutex_lock(&f->lock);
    while (!f->ready && !f->is_stopping)
        pthread_cond_wait(&f->has_ready, &f->lock);
    w = f->is_stopping ? NULL : f->ready;
    if (w)
        DL_DELETE(f->ready, w);
    pthread_mutex_unlock(&f->lock);
    return w ? &w->c : NULL;
}

static void give_back(struct front *f, struct waiting *w)
{
    pthread_mutex_lock(&f->lock);
    LL_PREPEND(f->returned, w);
    bell_ring(&f->bell);
    pthread_mutex_unlock(&f->lock);
}

void front_await_body(struct front *f, struct connection *c, size_t len)
{
    c->waiting->wanted = len;
    give_back(f, c->waiting);
}

void front_answer(struct front *f, struct connection *c, struct buf *answer, bool lingers)
{
    struct waiting *w = c->waiting;
    ssize_t n = front_send(c->fd, answer->data, answer->len);

    if (n < 0 || ((size_t)n == answer->len && !lingers)) {
        buf_free(answer);
        front_discard(f, w);
        return;
    }
    w->out = *answer;
    *answer = (struct buf){0};
    w->sent = (size_t)n;
    w->wanted = 0;
    w->lingers = lingers;
    give_back(f, w);
}

int front_release(struct front *f, struct connection *c)
{
    int fd = c->fd;

    c->fd = -1;
    front_discard(f, c->waiting);
    return fd;
}

/* --- start and stop -------------------------------------------------------------------------- */

static bool resolve(const char *host, struct sockaddr_in *out)
{
    const struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;

    if (inet_pton(AF_INET, host, &out->sin_addr) == 1)
        return true;
    if (getaddrinfo(host, NULL, &hints, &found) || !found)
        return false;
    out->sin_addr = ((const struct sockaddr_in *)(const void *)found->ai_addr)->sin_addr;
    freeaddrinfo(found);
    return true;
}

/* Accepted connections inherit the options. */
static bool listen_at(struct front *f, const struct sockaddr_in *at)
{
    int one = 1, seconds = DEFER_S;
    struct sockaddr_in real;
    socklen_t len = sizeof real;

    f->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (f->listener < 0)
        return false;
    (void)setsockopt(f->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    (void)setsockopt(f->listener, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    (void)setsockopt(f->listener, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (bind(f->listener, (const struct sockaddr *)at, sizeof *at) ||
        listen(f->listener, BACKLOG) || getsockname(f->listener, (struct sockaddr *)&real, &len))
        return false;
    if (setsockopt(f->listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof seconds))
        log_debug("TCP_DEFER_ACCEPT could not be set: silent clients take places");
    f->port = ntohs(real.sin_port);
    return true;
}

static enum err say_cannot_listen(const char *host, int port, int error, char text[FRONT_ERROR_MAX])
{
    if (error == EADDRINUSE)
        snprintf(text, FRONT_ERROR_MAX, "another program listens on %s:%d: end it, or set PORT",
                 host, port);
    else
        snprintf(text, FRONT_ERROR_MAX, "HOST, PORT: cannot listen on %s:%d: %s", host, port,
                 strerror(error));
    return ERR_INVALID;
}

static bool open_epoll(struct front *f)
{
    struct epoll_event listener = {.events = EPOLLIN, .data.ptr = &f->listener};
    struct epoll_event bell = {.events = EPOLLIN, .data.ptr = &f->bell};

    f->epoll = epoll_create1(EPOLL_CLOEXEC);
    return f->epoll >= 0 && bell_open(&f->bell) &&
           epoll_ctl(f->epoll, EPOLL_CTL_ADD, f->listener, &listener) == 0 &&
           epoll_ctl(f->epoll, EPOLL_CTL_ADD, f->bell.fd, &bell) == 0;
}

enum err front_open(const char *host, int port, const struct front_limits *limits,
                    struct gate *gate, struct front **out, char error[FRONT_ERROR_MAX])
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct front *f;
    enum err e = OK;

    if (!resolve(host, &at)) {
        snprintf(error, FRONT_ERROR_MAX,
                 "HOST=%s: must be an IPv4 address of this machine, or a name for one", host);
        return ERR_INVALID;
    }
    f = mem_zalloc(sizeof *f);
    f->listener = f->epoll = f->bell.fd = -1;
    f->gate = gate;
    f->connections = limits->connections;
    f->invalid = (struct log_limit){.burst = 20, .interval_ms = 10000};
    if (getrandom(&f->id_prefix, sizeof f->id_prefix, 0) < 0)
        f->id_prefix = (uint32_t)clock_wall_us();
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->has_ready, NULL);
    condition_init(&f->is_idle);
    front_set_limits(f, limits);
    f->now = clock_mono_ms();
    if (!listen_at(f, &at)) {
        e = say_cannot_listen(host, port, errno, error);
    } else if (!open_epoll(f)) {
        snprintf(error, FRONT_ERROR_MAX, "epoll: %s", strerror(errno));
        e = ERR_SYS;
    }
    if (e)
        front_free(f);
    else
        *out = f;
    return e;
}

int front_port(const struct front *f)
{
    return f->port;
}

void front_set_limits(struct front *f, const struct front_limits *limits)
{
    atomic_store(&f->per_address, limits->per_address);
    atomic_store(&f->head_ms, limits->head_ms);
}

enum err front_start(struct front *f)
{
    f->is_running = pthread_create(&f->thread, NULL, front_run, f) == 0;
    return f->is_running ? OK : ERR_SYS;
}

void front_wait_idle(struct front *f, int64_t until_ms)
{
    pthread_mutex_lock(&f->lock);
    while (f->answering && condition_wait(&f->is_idle, &f->lock, until_ms))
        ;
    pthread_mutex_unlock(&f->lock);
}

void front_stop(struct front *f)
{
    pthread_mutex_lock(&f->lock);
    f->is_stopping = true;
    bell_ring(&f->bell);
    pthread_cond_broadcast(&f->has_ready);
    pthread_mutex_unlock(&f->lock);
    if (f->is_running)
        pthread_join(f->thread, NULL);
    f->is_running = false;
}

static void discard_all(struct front *f, struct waiting *all)
{
    while (all) {
        struct waiting *w = all;

        all = w->next;
        front_discard(f, w);
    }
}

void front_free(struct front *f)
{
    if (!f)
        return;
    for (int what = 0; what < WAITING_KINDS; what++)
        while (f->lists[what])
            front_drop(f, f->lists[what]);
    front_reap(f);
    discard_all(f, f->ready);
    discard_all(f, f->returned);
    bell_close(&f->bell);
    if (f->listener >= 0)
        close(f->listener);
    if (f->epoll >= 0)
        close(f->epoll);
    pthread_cond_destroy(&f->is_idle);
    pthread_cond_destroy(&f->has_ready);
    pthread_mutex_destroy(&f->lock);
    free(f);
}
