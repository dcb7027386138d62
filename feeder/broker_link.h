/*
 * broker_link: the two sockets of a feeder, and the state machine `link` that talks over them.
 *
 * The control socket (DEALER) carries hello and its answers, the ingest socket (PUB) lines and
 * heartbeats.  When nothing proves that the broker hears this feeder, both are replaced: a new ZeroMQ
 * socket connects anew, where an old one may wait for a peer that has silently gone.  Main and loop
 * only; one thread.
 */
#ifndef FEEDER_BROKER_LINK_H
#define FEEDER_BROKER_LINK_H

#include "feeder/link.h"
#include "shared/base/loop.h"

struct broker_link;

/*
 * The settings' owner, host and pid are filled in here.  NULL with what is wrong logged: an endpoint
 * that cannot be, or a loop that takes no more descriptors.  The outbox must outlive it.
 */
struct broker_link *broker_link_open(void *context, struct loop *loop,
                                     const struct link_settings *settings,
                                     struct outbox *outbox);
void broker_link_close(struct broker_link *b); /* NULL is allowed */

/* The state, to ask it and to send through it. */
struct link *broker_link_state(struct broker_link *b);
/*
 * Take in at most 256 messages of the broker, do what is due, and replace the sockets if need be.
 * false: the loop takes no more descriptors (logged).
 */
bool broker_link_turn(struct broker_link *b);
/* When the next turn has something to do at the latest, on the awake clock. */
int64_t broker_link_deadline(const struct broker_link *b);

#endif
