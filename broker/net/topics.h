/*
 * topics: the subscriptions of one connection, and their size.
 *
 * libzmq keeps every topic in a trie, some 32 bytes for each byte of it and 112 for the topic,
 * and does not bound them.  So the broker counts: the bytes of each different topic, and
 * TOPIC_BYTES for itself.  An own entry of some 90 bytes is kept for each.  No I/O, no clock,
 * one thread.
 */
#ifndef BROKER_NET_TOPICS_H
#define BROKER_NET_TOPICS_H

#include <stdint.h>

#include "shared/base/buf.h"

#define TOPIC_BYTES 4

struct topic;

/* Zero-initialise; `seed` is random, so that no peer can choose two topics that count as one. */
struct topics {
    struct topic *all;
    uint64_t bytes;
    uint64_t seed;
};

/*
 * A message of an XPUB: 1 subscribes to the topic that follows, 0 unsubscribes; other messages are
 * ignored.
 */
void topics_take(struct topics *t, struct span message);
void topics_free(struct topics *t);

#endif
