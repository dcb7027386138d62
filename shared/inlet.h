/*
 * inlet: a ZeroMQ socket that a loop reads, and whether it may have something.
 *
 * A look at an empty ZeroMQ socket costs a poll and two getpid, and a quote that comes alone would
 * pay for every socket of its process.  So a socket is looked at when its descriptor has told, until
 * it has been read to its end.  Every other call on it may take in what woke the descriptor:
 * say inlet_touch after it.  (Why the rest is safe: a pipe that was found empty tells its writer
 * so, and the next message in it makes the descriptor readable, until the socket is called.)
 * The struct belongs to the loop's thread and stays where it is while it is watched.
 */
#ifndef SHARED_INLET_H
#define SHARED_INLET_H

#include <stdbool.h>

#include "shared/bus.h"
#include "shared/loop.h"

struct inlet {
    struct loop_watch watch;
    void *socket;
    bool is_due; /* to be looked at */
};

MUST_CHECK enum err inlet_open(struct inlet *in, struct loop *l, void *socket);
/* Before the socket is closed; an inlet that is not open is allowed. */
void inlet_close(struct inlet *in, struct loop *l);
/* The socket was sent to, or an option of it set. */
static inline void inlet_touch(struct inlet *in)
{
    in->is_due = true;
}
/* bus_recv, if there may be something. */
MUST_CHECK enum err inlet_recv(struct inlet *in, struct bus_message *out);
/* Is there more, which no descriptor will tell of?  For who is about to sleep. */
bool inlet_has_more(struct inlet *in);

#endif
