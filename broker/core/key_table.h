/*
 * key_table: the answers to requests to publish that came with an idempotency key.
 *
 * A producer that does not get its answer repeats the request with the same key, and gets the same
 * answer; nothing is published again.  A key belongs to a feed.  A request that a gateway sends in
 * parts has one key; each part has its own answer.  An entry is kept for KEY_TABLE_MS and never
 * dropped earlier: while the table is full (a count, and KEY_TABLE_BYTES), requests with a new key
 * are refused.
 *
 * No I/O, no clock: `now` is the awake clock in ms, and never goes back.  The broker's loop only.
 */
#ifndef BROKER_CORE_KEY_TABLE_H
#define BROKER_CORE_KEY_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/buf.h"

#define KEY_TABLE_MS 600000
#define KEY_TABLE_BYTES ((size_t)128 << 20)
#define KEY_TABLE_EXPIRE 64 /* entries that one call checks for expiry */

/* The identity of a repeated request.  The spans point to the caller's memory. */
struct key_name {
    struct span feed, key;
    uint64_t part; /* of the request, from 0 */
};

/* The answer to a request, or to one part of it. */
struct key_answer {
    uint64_t hash;       /* hash of the quotes to publish */
    uint64_t first;      /* position of the first accepted quote, 0: none was accepted */
    uint64_t last;       /* the answer is as durable as this position */
    uint64_t count;      /* quotes in the request */
    uint64_t epoch;      /* of the log when it was answered, to which the positions belong */
    struct span refused; /* msgpack: rows [index, reason, field]; valid until the table changes */
};

struct key_table;

struct key_table *key_table_new(size_t max);
void key_table_free(struct key_table *t); /* NULL is allowed */

/* NULL: the table has no such key.  Valid until the next call. */
const struct key_answer *key_table_find(struct key_table *t, const struct key_name *n, int64_t now);
/* May another entry be added? */
bool key_table_has_room(struct key_table *t, int64_t now);
/* Copies all; the name must not be there.  age_ms: how long ago it was answered. */
void key_table_add(struct key_table *t, const struct key_name *n, const struct key_answer *a,
                   int64_t age_ms, int64_t now);
/* ms until the oldest entry expires; 0: the table is empty. */
int64_t key_table_wait(const struct key_table *t, int64_t now);

#endif
