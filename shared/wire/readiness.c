#include "shared/wire/readiness.h"

static void on_ready(struct loop_watch *w, uint32_t events)
{
    (void)events;
    readiness_touch((struct readiness *)w);
}

enum err readiness_open(struct readiness *in, struct loop *l, void *socket)
{
    _Static_assert(offsetof(struct readiness, watch) == 0, "see on_ready");
    *in = (struct readiness){.socket = socket, .is_due = true};
    in->watch.fd = bus_fd(socket);
    in->watch.on_ready = on_ready;
    return loop_watch(l, &in->watch, EPOLLIN);
}

void readiness_close(struct readiness *in, struct loop *l)
{
    if (in->socket)
        loop_unwatch(l, &in->watch);
    *in = (struct readiness){0};
}

enum err readiness_recv(struct readiness *in, struct bus_message *out)
{
    enum err e = in->is_due ? bus_recv(in->socket, out) : ERR_AGAIN;

    if (e == ERR_AGAIN)
        in->is_due = false;
    return e;
}

bool readiness_has_more(struct readiness *in)
{
    in->is_due = in->is_due && bus_is_readable(in->socket);
    return in->is_due;
}
