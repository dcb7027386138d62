/*
 * lock_core: the core's part that answers for locks (docs/protocol/locks.md).
 *
 * The table (lease.h) changes at once; what is said about a change, to the asker and to watchers,
 * waits until it is stored, so that nobody is told of a grant that a crash could undo.
 * Renewals are not stored and never wait.  While the file cannot be written nothing new is granted,
 * and those who wait for it are told so.  Owned by the broker's loop.
 */
#ifndef BROKER_LOCKS_LOCK_CORE_H
#define BROKER_LOCKS_LOCK_CORE_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/core/core.h"

struct msgpack_packer;

void lock_core_init(struct core *d); /* in memory */
/* From then on in this file; what stands there goes on.  Errors as store_open. */
MUST_CHECK enum err lock_core_open(struct core *d, const char *path,
                                   char error[STORE_ERROR_MAX]);
int lock_core_fd(const struct core *d); /* with a file: readable when a tick is due */
void lock_core_fini(struct core *d);

/* One question; false: not one about locks. */
bool lock_core_control(struct core *d, struct span peer, struct span map,
                       struct span op, uint64_t id);
/* What is due, and what the store has to say.  Returns ms until the next, -1: none. */
int64_t lock_core_tick(struct core *d);
/* Nothing is granted any more. */
void lock_core_stop(struct core *d);

/*
 * Store what is left and say what waits for it, until deadline_ms (monotonic); true: all is
 * stored.  Before the sockets are closed.
 */
bool lock_core_close(struct core *d, int64_t deadline_ms);

/* "locks" and its map, for the answer to `status`. */
void lock_core_pack_status(struct core *d, struct msgpack_packer *pk);

#endif
