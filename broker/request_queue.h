/*
 * request_queue: requests that wait for the broker to work on them, fair between peers.
 *
 * Each peer has a line of its own; the peers take turns, one request each, so that a peer with
 * many requests delays the others by one request per turn only.  A peer without a waiting request
 * takes no memory.  Bounds: REQUEST_QUEUE_PEER requests of one peer, REQUEST_QUEUE_MAX of all, and beyond
 * them REQUEST_QUEUE_FIRST of peers that have none waiting, so that a few peers with many requests do
 * not lock the others out; each of at most REQUEST_QUEUE_BYTES: 24 MB in all.
 * No I/O, no clock; the broker's loop only.
 */
#ifndef BROKER_REQUEST_QUEUE_H
#define BROKER_REQUEST_QUEUE_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/buf.h"
#include "shared/err.h"

#define REQUEST_QUEUE_PEER 256
#define REQUEST_QUEUE_MAX 2048
#define REQUEST_QUEUE_FIRST 1024
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
void request_item_clear(struct request_item *item);

size_t request_queue_count(const struct request_queue *q);

#endif
