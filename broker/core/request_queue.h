/*
 * request_queue: requests that wait for the broker to work on them, fair between peers.
 *
 * Each peer has a line of its own; the peers take turns, one request each, so that a peer with
 * many requests delays the others by one request per turn only.  When all places are taken, the
 * peer with the most gives one up for a peer with fewer (request_queue_evict).  A peer without
 * a waiting request takes no memory.  Bounds: REQUEST_QUEUE_PEER requests of one peer,
 * REQUEST_QUEUE_MAX of all, each of at most REQUEST_QUEUE_BYTES: 16 MB in all.  No I/O, no
 * clock; the broker's loop only.
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
/* The next one, in fair order.  false: none waits. */
bool request_queue_take(struct request_queue *q, struct request_item *out);
/* The peer whose turn it is; an empty span: none. */
struct span request_queue_turn(const struct request_queue *q);
/* That peer goes to the end of the round with all its requests. */
void request_queue_skip(struct request_queue *q);
void request_item_clear(struct request_item *item);

/*
 * Make room for a request of this peer: take the newest one of the peer with the most, if that
 * has at least two more than this peer.  Looks at every peer with a request, so only call it
 * when the queue is full.  false: there is none to take.
 */
bool request_queue_evict(struct request_queue *q, struct span peer, struct request_item *out);

size_t request_queue_count(const struct request_queue *q);
size_t request_queue_peers(const struct request_queue *q); /* with a request */

#endif
