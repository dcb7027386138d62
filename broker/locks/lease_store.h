/*
 * lease_store: the SQLite file of the locks, separate from the log's file.
 *
 * Every transaction is on the disk when the call returns (synchronous = FULL), because the broker
 * then answers.  Only one broker opens the file (FILE-lock); an operator may read it with sqlite3.
 * Opening the file writes to it, so a disk that accepts no data is detected at the start.  One
 * thread at a time uses it, except lease_store_interrupt.  Reads no clock.
 */
#ifndef BROKER_LOCKS_LEASE_STORE_H
#define BROKER_LOCKS_LEASE_STORE_H

#include <sqlite3.h>

#include "broker/locks/lease_batch.h"
#include "broker/sqlite/schema.h"
#include "broker/sqlite/store_error.h"

/*
 * How many tokens are reserved ahead.  Half of it must exceed the grants that can be unstored at
 * once.
 */
#define LEASE_STORE_RESERVE 10000

struct lease_store;

/*
 * *token_floor: no token of an earlier run is above it.  Errors as store_open.  wall_us: the floor
 * is at least this time, so that a deleted or restored file does not repeat tokens.
 */
MUST_CHECK enum err lease_store_open(const char *path, uint64_t wall_us, struct lease_store **out,
                                     uint64_t *token_floor, char error[STORE_ERROR_MAX]);
void lease_store_close(struct lease_store *s);

/* Every lock as it was stored; `take` returns false for an invalid row. */
MUST_CHECK enum err lease_store_each(struct lease_store *s, uint64_t wall_us,
                                     bool (*take)(void *ctx, const struct lease_stored *l),
                                     void *ctx, char error[STORE_ERROR_MAX]);
/* One transaction: the whole batch is stored, or nothing. */
MUST_CHECK enum err lease_store_write(struct lease_store *s, const struct lease_batch *b,
                                      char error[STORE_ERROR_MAX]);
void lease_store_interrupt(struct lease_store *s); /* any thread */

extern const struct schema lease_store_schema; /* "Prel" */

#endif
