#include "feeder/link_sockets.h"

#include "shared/wire/bus.h"
#include "shared/wire/wire.h"

/*
 * Messages waiting for the broker.  Lines beyond stay in the ring, where a heartbeat or
 * a rewind is not behind them.
 */
#define INGEST_HIGH_WATER 4096
/* Hellos to a broker that is away: it gets a few at once when it comes, no flood. */
#define CONTROL_HIGH_WATER 16

bool link_sockets_open(void *context, const struct link_settings *settings,
                       struct link_sockets *out)
{
    struct link_sockets s;
    int one = 1;

    s.control = bus_connect(context, ZMQ_DEALER, settings->control, CONTROL_HIGH_WATER,
                            WIRE_FEED_ANSWER_FRAME_MAX);
    s.ingest = bus_connect(context, ZMQ_PUB, settings->ingest, INGEST_HIGH_WATER,
                           WIRE_SUBSCRIPTION_FRAME_MAX);
    /* A full pipe says EAGAIN instead of dropping; an option of PUB too, see
     * zmq_setsockopt. */
    if (s.control && s.ingest &&
        !zmq_setsockopt(s.ingest, ZMQ_XPUB_NODROP, &one, sizeof one)) {
        *out = s;
        return true;
    }
    link_sockets_close(&s);
    return false;
}

void link_sockets_close(struct link_sockets *s)
{
    bus_close(s->ingest);
    bus_close(s->control);
    *s = (struct link_sockets){0};
}
