/*
 * link_sockets: the two sockets of a feeder's link, opened together.
 *
 * The link replaces them when nothing proves that the broker hears it: a new ZeroMQ socket connects
 * anew, where an old one may wait for a peer that has silently gone.  Loop's thread only.
 */
#ifndef FEEDER_LINK_SOCKETS_H
#define FEEDER_LINK_SOCKETS_H

#include <stdbool.h>

#include "feeder/link.h"

struct link_sockets {
    void *ingest,
        *control; /* PUB: lines and heartbeats; DEALER: hello and its answers */
};

/* Both, to the endpoints of `settings`.  false: neither, `out` untouched, what is wrong logged. */
bool link_sockets_open(void *context, const struct link_settings *settings,
                       struct link_sockets *out);
void link_sockets_close(struct link_sockets *s);

#endif
