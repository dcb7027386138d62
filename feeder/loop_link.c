#include "feeder/loop_link.h"

#include <stddef.h>

static void on_ready(struct loop_watch *w, uint32_t events)
{
    (void)w; /* every turn reads both sockets anyway */
    (void)events;
}

static struct loop_watch *find(struct loop_link *l, int fd)
{
    return &l->watches[l->watches[0].fd == fd ? 0 : 1];
}

static bool watch(void *ctx, int fd)
{
    struct loop_link *l = ctx;
    struct loop_watch *w = find(l, 0);

    *w = (struct loop_watch){.fd = fd, .on_ready = on_ready};
    if (loop_watch(l->loop, w, EPOLLIN) == OK)
        return true;
    w->fd = 0;
    return false;
}

static void unwatch(void *ctx, int fd)
{
    struct loop_link *l = ctx;
    struct loop_watch *w = find(l, fd);

    loop_unwatch(l->loop, w);
    w->fd = 0;
}

static void note(void *ctx, enum log_level level, const char *text)
{
    (void)ctx;
    log_at(level, "%s", text);
}

struct broker_link_out loop_link_out(struct loop_link *l)
{
    return (struct broker_link_out){l, watch, unwatch, note, NULL};
}

struct broker_link_time loop_link_time(const struct loop_link *l)
{
    return (struct broker_link_time){loop_awake(l->loop), loop_now(l->loop), loop_wall_us(l->loop)};
}
