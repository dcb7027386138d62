/*
 * request_queue: requests that wait for the broker to work on them, fair between peers.
 *
 * Each peer has its own queue; the peers take turns, one request each, so that a peer with many
 * requests delays the others by one request per turn only.  When all places are taken, the peer
 * with the most requests loses one to a peer with fewer (request_queue_evict).  A peer without a
 * waiting request takes no memory.  Bounds: REQUEST_QUEUE_PEER requests of one peer,
 * REQUEST_QUEUE_MAX of all, each of at most REQUEST_QUEUE_BYTES: 16 MB in all.  No I/O, no clock;
 * the broker's loop only.
 */
#ifndef BROKER_CORE_REQUEST_QUEUE_H
#define BROKER_CORE_REQUEST_QUEUE_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/base/buf.h"
#include "shared/base/err.h"

#define REQUEST_QUEUE_PEER 256
#define REQUEST_QUEUE_MAX 2048
#define REQUEST_QUEUE_BYTES 8192

struct request_queue;

/* A request; both buffers are the holder's. */
struct request_item {
    struct buf peer, message;
};

struct request_queue *request_queue_new(void);
void request_queue_free(struct request_queue *q); /* NULL is allowed */

/* Copies both.  ERR_FULL: too many wait; ERR_TOO_LARGE: over REQUEST_QUEUE_BYTES. */
MUST_CHECK enum err request_queue_add(struct request_queue *q, struct span peer,
                                      struct span message);
/* Take the next request, in fair order.  false: the queue is empty. */
bool request_queue_take(struct request_queue *q, struct request_item *out);
/* The peer whose turn it is; an empty span: the queue is empty. */
struct span request_queue_turn(const struct request_queue *q);
/* Move that peer with all its requests to the end of the round. */
void request_queue_skip(struct request_queue *q);
void request_item_clear(struct request_item *item);

/*
 * Make room for a request of this peer: take the newest request of the peer with the most requests,
 * if it has at least two more than this peer.  Looks at every peer with a request, so only call it
 * when the queue is full.  false: there is none to take.
 */
bool request_queue_evict(struct request_queue *q, struct span peer, struct request_item *out);

size_t request_queue_count(const struct request_queue *q);
size_t request_queue_peers(const struct request_queue *q); /* with a request */

#endif
