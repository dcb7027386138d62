#include "shared/wire/readiness.h"

static void on_ready(struct loop_watch *w, uint32_t events)
{
    (void)events;
    readiness_touch((struct readiness *)w);
}

enum err readiness_open(struct readiness *r, struct loop *l, void *socket)
{
    _Static_assert(offsetof(struct readiness, watch) == 0, "see on_ready");
    *r = (struct readiness){.socket = socket, .is_due = true};
    r->watch.fd = bus_fd(socket);
    r->watch.on_ready = on_ready;
    return loop_watch(l, &r->watch, EPOLLIN);
}

void readiness_close(struct readiness *r, struct loop *l)
{
    if (r->socket)
        loop_unwatch(l, &r->watch);
    *r = (struct readiness){0};
}

enum err readiness_recv(struct readiness *r, struct bus_message *out)
{
    enum err e = r->is_due ? bus_recv(r->socket, out) : ERR_AGAIN;

    if (e == ERR_AGAIN)
        r->is_due = false;
    return e;
}

bool readiness_has_more(struct readiness *r)
{
    r->is_due = r->is_due && bus_is_readable(r->socket);
    return r->is_due;
}
