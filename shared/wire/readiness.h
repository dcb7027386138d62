/*
 * readiness: remembers whether a ZeroMQ socket, which a loop watches, may have a message.
 *
 * Reading an empty ZeroMQ socket costs a poll and two getpid calls, and one quote would pay that
 * for every socket of its process. So readiness_recv reads a socket only after the socket's
 * descriptor became readable, until the socket is empty. Every other call on the socket may consume
 * the event that made the descriptor readable: call readiness_touch after it. (The rest is safe: a
 * reader that finds a pipe empty tells the pipe's writer, and the next message then makes the
 * descriptor readable until the socket is called.) The struct belongs to the loop's thread and must
 * not move while it is watched.
 */
#ifndef SHARED_WIRE_READINESS_H
#define SHARED_WIRE_READINESS_H

#include <stdbool.h>

#include "shared/wire/bus.h"
#include "shared/base/loop.h"

struct readiness {
    struct loop_watch watch;
    void *socket;
    bool is_due; /* the socket may have a message */
};

MUST_CHECK enum err readiness_open(struct readiness *r, struct loop *l, void *socket);
/* Call it before the socket is closed; a readiness that is not open is allowed. */
void readiness_close(struct readiness *r, struct loop *l);
/* Call it after sending on the socket or setting an option of it. */
static inline void readiness_touch(struct readiness *r)
{
    r->is_due = true;
}
/* Calls bus_recv if the socket may have a message. */
MUST_CHECK enum err readiness_recv(struct readiness *r, struct bus_message *out);
/*
 * Does the socket have a message that no descriptor will announce? Call it before the loop waits.
 */
bool readiness_has_more(struct readiness *r);

#endif
