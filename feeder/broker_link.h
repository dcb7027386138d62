/*
 * broker_link: the feeder's two sockets to the broker; main.c calls it, and it drives the state
 * machine `link`.
 *
 * The control socket (DEALER) carries hello and its answers, the ingest socket (PUB) lines and
 * heartbeats. When nothing proves that the broker hears this feeder, broker_link replaces both
 * sockets: a new ZeroMQ socket makes a new connection, while an old one may wait for a peer that
 * has silently gone. One thread: the loop's.
 */
#ifndef FEEDER_BROKER_LINK_H
#define FEEDER_BROKER_LINK_H

#include "feeder/link.h"
#include "shared/base/loop.h"

struct broker_link;

/*
 * Opens the sockets; it fills in the settings' owner, host and pid. On failure it logs the reason
 * and returns NULL: an endpoint is not valid, or the loop takes no more descriptors. The outbox
 * must outlive the result.
 */
struct broker_link *broker_link_open(void *context, struct loop *loop,
                                     const struct link_settings *settings, struct outbox *outbox);
void broker_link_close(struct broker_link *b); /* NULL is allowed */

/* The state machine, for queries and for sending. */
struct link *broker_link_state(struct broker_link *b);
/*
 * Takes at most 256 messages of the broker, does what is due, and replaces the sockets if
 * necessary. Returns false if the loop takes no more descriptors (logged).
 */
bool broker_link_turn(struct broker_link *b);
/* When the next turn has something to do at the latest, on the awake clock. */
int64_t broker_link_deadline(const struct broker_link *b);

#endif
