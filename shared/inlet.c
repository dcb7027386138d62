#include "shared/inlet.h"

static void on_ready(struct loop_watch *w, uint32_t events)
{
    (void)events;
    inlet_touch((struct inlet *)w);
}

enum err inlet_open(struct inlet *in, struct loop *l, void *socket)
{
    _Static_assert(offsetof(struct inlet, watch) == 0, "see on_ready");
    *in = (struct inlet){.socket = socket, .is_due = true};
    in->watch.fd = bus_fd(socket);
    in->watch.on_ready = on_ready;
    return loop_watch(l, &in->watch, EPOLLIN);
}

void inlet_close(struct inlet *in, struct loop *l)
{
    if (in->socket)
        loop_unwatch(l, &in->watch);
    *in = (struct inlet){0};
}

enum err inlet_recv(struct inlet *in, struct bus_message *out)
{
    enum err e = in->is_due ? bus_recv(in->socket, out) : ERR_AGAIN;

    if (e == ERR_AGAIN)
        in->is_due = false;
    return e;
}

bool inlet_has_more(struct inlet *in)
{
    in->is_due = in->is_due && bus_is_readable(in->socket);
    return in->is_due;
}
