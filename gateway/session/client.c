#include "gateway/session/client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/base/mem.h"

struct client {
    struct loop_watch watch;
    struct session session;
};

static struct client *client_of(struct session *s)
{
    return (struct client *)((char *)s - offsetof(struct client, session));
}

static ssize_t io_recv(struct session *s, void *to, size_t size)
{
    ssize_t n = recv(client_of(s)->watch.fd, to, size, MSG_DONTWAIT);

    if (n > 0)
        return n;
    return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

static ssize_t io_send(struct session *s, const void *bytes, size_t len)
{
    ssize_t n = send(client_of(s)->watch.fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);

    return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : n;
}

static bool io_watch(struct session *s)
{
    uint32_t events = (session_reads(s) ? (uint32_t)EPOLLIN : 0) | (uint32_t)EPOLLRDHUP |
                      (s->is_blocked ? (uint32_t)EPOLLOUT : 0);

    return loop_rewatch(s->all->io.ctx, &client_of(s)->watch, events) == OK;
}

static size_t io_unacknowledged(struct session *s)
{
    int bytes = 0;

    return ioctl(client_of(s)->watch.fd, SIOCOUTQ, &bytes) ? 0 : (size_t)bytes;
}

static void io_end_output(struct session *s)
{
    shutdown(client_of(s)->watch.fd, SHUT_WR);
}

static void io_close(struct session *s)
{
    struct client *c = client_of(s);

    loop_unwatch(s->all->io.ctx, &c->watch);
    close(c->watch.fd);
}

static void io_free(struct session *s)
{
    free(client_of(s));
}

static int64_t io_wall_us(void *ctx)
{
    (void)ctx;
    return clock_wall_us();
}

struct session_io client_io(struct loop *loop)
{
    return (struct session_io){
        .ctx = loop,
        .recv = io_recv,
        .send = io_send,
        .watch = io_watch,
        .unacknowledged = io_unacknowledged,
        .end_output = io_end_output,
        .close = io_close,
        .free = io_free,
        .wall_us = io_wall_us,
    };
}

static void on_ready(struct loop_watch *w, uint32_t events)
{
    struct client *c = (struct client *)((char *)w - offsetof(struct client, watch));

    session_on_ready(&c->session, (events & EPOLLIN ? SESSION_READABLE : 0) |
                                      (events & EPOLLOUT ? SESSION_WRITABLE : 0) |
                                      (events & EPOLLRDHUP ? SESSION_PEER_ENDED : 0) |
                                      (events & (EPOLLERR | EPOLLHUP) ? SESSION_FAILED : 0));
}

bool client_accept(struct sessions *all, const struct accepted *a)
{
    struct client *c = mem_zalloc(sizeof *c);

    c->watch.fd = a->fd;
    c->watch.on_ready = on_ready;
    if (loop_watch(all->io.ctx, &c->watch, EPOLLIN | EPOLLRDHUP)) {
        log_error("%s:%d - a client's socket could not be watched: %s", a->host, a->port,
                  strerror(errno));
        close(a->fd);
        free(c);
        return false;
    }
    session_open(all, &c->session, a);
    session_begin(&c->session, a);
    return true;
}
