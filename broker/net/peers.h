/*
 * peers: watches the connections of the broker's sockets, and closes those that cost too much.
 *
 * broker/net/ bounds what a peer can cost, below libzmq: connections, topics, unread answers. 
 * Only main.c calls it; it knows nothing of the messages.
 *
 * Three sockets, each with at most `connections` of them.  A turn looks at PEERS_PER_TURN
 * descriptors of the process, asks the kernel what each connection sent and took, and lets
 * peer.h judge.  Every descriptor is looked at each PEERS_EVERY_MS, one under suspicion each
 * PEERS_SUSPECT_EVERY_MS.  Bounds for one connection:
 *
 *   unfinished messages   the largest message of the socket (BUS_FRAMES_MAX frames) and
 *                         PEER_SUSPECT_BYTES (on publish PEERS_SUBSCRIPTIONS_MAX, of whatever
 *                         is not taken in yet), and what arrives within PEERS_EVERY_MS
 *   unread answers        PEERS_FAIR_BYTES: beyond, its requests wait until it has read.
 *                         Beyond answer_bytes (or, under pressure, PEERS_FAIR_BYTES in
 *                         libzmq's memory) they are refused
 *   refusals              PEERS_REFUSED_MAX within PEERS_REFUSED_MS, counted only while the
 *                         peer does not read: requests refused, and answers dropped because
 *                         libzmq's queue for it is full; beyond, it is closed
 *   topics                answer_bytes / 4 of what it subscribes to (topics.h), that is some
 *                         32 MiB of memory with the default; of all together
 *                         PEERS_SUBSCRIBERS_FULL times as much, then the connection with the
 *                         most is closed
 *   taking nothing        timeout_ms while data waits for it, or PEERS_PRESSED_MS under
 *                         pressure
 *
 * Pressure: more than PEERS_TOTAL_BYTES wait for all connections together.  Of records a
 * connection's queue has PUBLISH_QUEUE at most (publisher.h).
 *
 * A connection beyond a bound is closed with shutdown(2), and libzmq frees its memory; a
 * well-behaved program connects again.  Descriptors are known by number and inode, and the inode is
 * compared on a duplicate before the connection is closed, so that no other connection is closed.
 * Freed memory is given back to the system once, PEERS_TRIM_MS after the last such end.
 *
 * Not bounded (docs/operations.md, "What libzmq leaves without a bound"): connections to
 * control with a routing id that is taken, which libzmq never delivers from, and floods of
 * subscriptions inside one call of libzmq.
 *
 * Only TCP is watched: peers of ipc:// are processes of this machine.  Owned by the loop's
 * thread.
 */
#ifndef BROKER_NET_PEERS_H
#define BROKER_NET_PEERS_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/base/buf.h"

#define PEERS_PER_TURN 64
#define PEERS_EVERY_MS 100
#define PEERS_SUSPECT_EVERY_MS 20
/* On publish: a gateway subscribes to all its topics at once, faster than the broker reads them. */
#define PEERS_SUBSCRIPTIONS_MAX (1024 * 1024)
#define PEERS_SUBSCRIBERS_FULL 4
#define PEERS_TOTAL_BYTES (64 * 1024 * 1024)
#define PEERS_FAIR_BYTES (256 * 1024)
#define PEERS_PRESSED_MS 1000
#define PEERS_REFUSED_MAX 256
#define PEERS_REFUSED_MS 10000
#define PEERS_LOOK_MS 16 /* at most, between two samples of a peer that does not read */
#define PEERS_TRIM_MS 500

enum peers_door { PEERS_INGEST, PEERS_PUBLISH, PEERS_CONTROL, PEERS_DOORS };

struct peers_limits {
    uint64_t connections;  /* of each socket */
    uint64_t answer_bytes; /* of one connection */
    int64_t timeout_ms;
};

struct peers_counts {
    uint64_t connections[PEERS_DOORS];
    uint64_t closed_unfinished, closed_deaf, closed_topics,
        closed_full;  /* connections, since the start */
    uint64_t refused; /* requests of peers that do not read their answers */
};

struct peers;

struct peers *peers_new(const struct peers_limits *limits);
void peers_free(struct peers *p); /* NULL is allowed */

/* A bound ZeroMQ socket that takes frames of at most frame_max bytes. */
void peers_watch(struct peers *p, enum peers_door door, void *socket, size_t frame_max);

/*
 * A message of `bytes` on the wire came from descriptor fd (zmq_msg_get of ZMQ_SRCFD; -1: unknown),
 * by a peer of that ROUTER identity (control only, else empty).
 */
void peers_hear(struct peers *p, enum peers_door door, int fd, uint64_t bytes,
                struct span identity);
/* A message of the publish socket came from fd: a subscription or the end of one. */
void peers_subscribe(struct peers *p, int fd, struct span message);
/* All messages that had arrived were read from the socket. */
void peers_drained(struct peers *p, enum peers_door door);
/* Should the caller look up the sender on ingest?  False most of the time: a look-up costs. */
bool peers_asks_for(const struct peers *p, enum peers_door door);

/*
 * May this identity make another request?  False: it does not read its answers (counted), or its
 * connection has ended.
 */
bool peers_may_ask(struct peers *p, struct span identity);
/* Has it answers to read, more than PEERS_FAIR_BYTES, before its next request is worked on? */
bool peers_is_behind(struct peers *p, struct span identity);
/*
 * A request of this identity was refused because too many wait; counted if the peer has unread
 * answers.
 */
void peers_refuse(struct peers *p, struct span identity);
/* An answer was dropped: libzmq's queue is full; counted if the kernel waits for the peer. */
void peers_drop(struct peers *p, struct span identity);
/* false: the connection of this identity has ended; sending to it would only cost memory. */
bool peers_is_there(const struct peers *p, struct span identity);
/* An answer of `bytes` on the wire was given to libzmq. */
void peers_give(struct peers *p, struct span identity, uint64_t bytes);

/*
 * Sample some descriptors, if it is due.  head: the last position of the log.  Returns ms until the
 * next call.
 */
int64_t peers_turn(struct peers *p, int64_t now, uint64_t head);

const struct peers_counts *peers_counts(const struct peers *p);
struct msgpack_packer;
/* "peers" and its map, for the answer to `status`. */
void peers_pack_status(const struct peers *p, struct msgpack_packer *pk);

#endif
