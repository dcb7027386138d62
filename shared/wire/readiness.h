/*
 * readiness: a ZeroMQ socket that a loop reads, and whether it may have something.
 *
 * A look at an empty ZeroMQ socket costs a poll and two getpid, and a quote that comes alone would
 * pay for every socket of its process.  So a socket is looked at when its descriptor has told, until
 * it has been read to its end.  Every other call on it may take in what woke the descriptor:
 * say readiness_touch after it.  (Why the rest is safe: a pipe that was found empty tells its writer
 * so, and the next message in it makes the descriptor readable, until the socket is called.)
 * The struct belongs to the loop's thread and stays where it is while it is watched.
 */
#ifndef SHARED_WIRE_READINESS_H
#define SHARED_WIRE_READINESS_H

#include <stdbool.h>

#include "shared/wire/bus.h"
#include "shared/base/loop.h"

struct readiness {
    struct loop_watch watch;
    void *socket;
    bool is_due; /* to be looked at */
};

MUST_CHECK enum err readiness_open(struct readiness *in, struct loop *l, void *socket);
/* Before the socket is closed; an readiness that is not open is allowed. */
void readiness_close(struct readiness *in, struct loop *l);
/* The socket was sent to, or an option of it set. */
static inline void readiness_touch(struct readiness *in)
{
    in->is_due = true;
}
/* bus_recv, if there may be something. */
MUST_CHECK enum err readiness_recv(struct readiness *in, struct bus_message *out);
/* Is there more, which no descriptor will tell of?  For who is about to sleep. */
bool readiness_has_more(struct readiness *in);

#endif
