/*
 * lock_core: answers the requests about locks (docs/protocol/locks.md).
 *
 * broker/locks/ keeps the locks: their table (lease.h), their file (lease_store.h, lock_writer.h)
 * and the answers.  Only main.c and broker/core call it; it calls neither, and sends through
 * `answers` and `publish`, which the caller passes.
 *
 * The table changes at once.  The answer to the requesting peer and the messages to watchers wait
 * until the change is stored, so that no peer learns of a grant that a crash could undo.  Renewals
 * are not stored and never wait.  While the file cannot be written nothing new is granted, and the
 * peers that wait for an answer get an error.  Owned by the broker's loop.
 */
#ifndef BROKER_LOCKS_LOCK_CORE_H
#define BROKER_LOCKS_LOCK_CORE_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/answer/answer.h"
#include "broker/answer/turn_time.h"
#include "broker/locks/lease.h"
#include "broker/sqlite/store_error.h"
#include "shared/wire/wire.h"

struct lock_core_out {
    struct answers *answers; /* owned by the caller; outlives the lock core */
    void *ctx;
    /*
     * Publish a record about a lock under this topic; epoch and time of acceptance are the
     * caller's to fill in.
     */
    void (*publish)(void *ctx, struct span topic, struct wire_record *r);
};

struct lock_core;

/* In memory. */
struct lock_core *lock_core_new(const struct lease_limits *limits, const struct lock_core_out *out,
                                const struct turn_time *time);
/*
 * Open the file; from then on changes are stored in it. Locks that are held stay held.  Errors as
 * lease_store_open.
 */
MUST_CHECK enum err lock_core_open(struct lock_core *k, const char *path,
                                   const struct turn_time *time, char error[STORE_ERROR_MAX]);
int lock_core_fd(const struct lock_core *k); /* with a file: readable when a tick is due */
void lock_core_free(struct lock_core *k);    /* NULL is allowed */

/* Answer one request; false: its op is not about locks. */
bool lock_core_control(struct lock_core *k, const struct control_request *q,
                       const struct turn_time *time);
/*
 * Handle due events and results of the file.  Returns ms until the next call, -1: nothing is due.
 */
int64_t lock_core_tick(struct lock_core *k, const struct turn_time *time);
/* Grant nothing any more. */
void lock_core_stop(struct lock_core *k);

/*
 * Store all changes and send the answers that wait for them, until deadline_ms (monotonic); true:
 * all is stored.  Call it before the sockets are closed.
 */
bool lock_core_close(struct lock_core *k, int64_t deadline_ms);

/* "locks" and its map, for the answer to `status`. */
void lock_core_pack_status(const struct lock_core *k, const struct turn_time *time,
                           msgpack_packer *pk);

#endif
