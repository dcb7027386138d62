/*
 * publisher: the socket to gateways and consumers, which drops no record inside a connection.
 *
 * By default ZeroMQ silently drops a record for a subscriber whose queue is full: the subscriber
 * gets the next record and cannot detect the hole.  So the queue (PUBLISH_QUEUE records a
 * connection) refuses instead, and the publisher cuts a connection.  The subscriber connects again,
 * gets `!welcome ` first, and requests from the log what it missed: receivers may rely on a
 * connection without holes.
 *
 * ZeroMQ does not report which queue is full.  The publisher cuts the connection that holds the
 * most unsent bytes in the kernel.  If the kernel would take more from that one, ZeroMQ's own
 * thread is late rather than the subscriber, and the publisher waits for it first.
 *
 * Work: each cut takes at most PUBLISHER_WAIT_MS, and ends one connection.  If there is no room
 * after PUBLISHER_GIVE_UP_MS, the publisher cuts all connections.  Loop's thread only.
 */
#ifndef BROKER_NET_PUBLISHER_H
#define BROKER_NET_PUBLISHER_H

#include "shared/wire/bus.h"

#define PUBLISHER_WAIT_MS 50
#define PUBLISHER_GIVE_UP_MS 5000

struct publisher {
    void *socket; /* XPUB, the caller's */
    uint64_t cuts;
};

/* No record is dropped on this bound socket from now on. */
void publisher_init(struct publisher *p, void *socket);

/* Publish a topic and its record. */
void publisher_send(struct publisher *p, struct span topic, struct span record);
/* The same for a received message, without copying; it is empty afterwards. */
void publisher_forward(struct publisher *p, struct bus_message *m);

#endif
