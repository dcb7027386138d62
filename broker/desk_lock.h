/*
 * desk_lock: the desk's part that answers for locks (docs/protocol.md §2).
 *
 * The table (lease.h) changes at once; what is said about a change, to the asker and to watchers,
 * waits until it is stored, so that nobody is told of a grant that a crash could undo.
 * Renewals are not stored and never wait.  While the file cannot be written nothing new is granted,
 * and those who wait for it are told so.  Owned by the broker's loop.
 */
#ifndef BROKER_DESK_LOCK_H
#define BROKER_DESK_LOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/desk.h"

struct msgpack_packer;

void desk_lock_init(struct desk *d); /* in memory */
/* From then on in this file; what stands there goes on.  Errors as store_open. */
MUST_CHECK enum err desk_lock_open(struct desk *d, const char *path,
                                   char error[STORE_ERROR_MAX]);
int desk_lock_fd(const struct desk *d); /* with a file: readable when a tick is due */
void desk_lock_fini(struct desk *d);

/* One question; false: not one about locks. */
bool desk_lock_control(struct desk *d, struct span peer, struct span map,
                       struct span op, uint64_t id);
/* What is due, and what the store has to say.  Returns ms until the next, -1: none. */
int64_t desk_lock_tick(struct desk *d);
/* Nothing is granted any more. */
void desk_lock_stop(struct desk *d);

/*
 * Store what is left and say what waits for it, until deadline_ms (monotonic); true: all is
 * stored.  Before the sockets are closed.
 */
bool desk_lock_close(struct desk *d, int64_t deadline_ms);

/* "locks" and its map, for the answer to `status`. */
void desk_lock_pack_status(struct desk *d, struct msgpack_packer *pk);

#endif
