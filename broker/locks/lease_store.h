/*
 * lease_store: the locks' file, SQLite, beside the log's but of its own.
 *
 * Every transaction is on the disk when it returns (synchronous = FULL), because the answers
 * sent then must hold.  One broker has it (FILE-lock); an operator may read it with sqlite3.
 * Opening it writes: a disk that takes nothing is found out at the start.  Used by one thread
 * at a time, but for lease_store_interrupt.  Reads no clock.
 */
#ifndef BROKER_LOCKS_LEASE_STORE_H
#define BROKER_LOCKS_LEASE_STORE_H

#include <sqlite3.h>

#include "broker/locks/lease_batch.h"
#include "broker/sqlite/schema.h"
#include "broker/sqlite/store_error.h"

/* Tokens reserved ahead.  Half of it must be more than can be given and not yet stored. */
#define LEASE_STORE_RESERVE 10000

struct lease_store;

/*
 * *token_floor: no token given before is above.  Errors as store_open.  wall_us: tokens begin above
 * it, too, so that a file that was deleted or restored gives none again.
 */
MUST_CHECK enum err lease_store_open(const char *path, uint64_t wall_us, struct lease_store **out,
                                     uint64_t *token_floor, char error[STORE_ERROR_MAX]);
void lease_store_close(struct lease_store *s);

/* Every lock as it was stored; take returns false for a row that makes no sense. */
MUST_CHECK enum err lease_store_each(struct lease_store *s, uint64_t wall_us,
                                     bool (*take)(void *ctx, const struct lease_stored *l),
                                     void *ctx, char error[STORE_ERROR_MAX]);
/* One transaction: all of it, or nothing. */
MUST_CHECK enum err lease_store_write(struct lease_store *s, const struct lease_batch *b,
                                      char error[STORE_ERROR_MAX]);
void lease_store_interrupt(struct lease_store *s); /* any thread */

extern const struct schema lease_store_schema; /* "Prel" */

#endif
