/*
 * lock_core: answers the requests about locks (docs/protocol/locks.md).
 *
 * broker/locks/ keeps the locks: their table (lease.h), their file (lease_store.h,
 * lock_writer.h) and the answers.  Only main.c and broker/core call it; it knows neither, and
 * sends through the answers and the `publish` that it is given.
 *
 * The table changes at once; what is sent about a change, to the peer that made the request and
 * to watchers, waits until the change is stored, so that no peer learns of a grant that a crash
 * could undo.  Renewals are not stored and never wait.  While the file cannot be written
 * nothing new is granted, and the peers that wait for an answer get an error.  Owned by the
 * broker's loop.
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
    struct answers *answers; /* the caller's; lives longer */
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
/* From then on in this file; the locks that it holds go on.  Errors as lease_store_open. */
MUST_CHECK enum err lock_core_open(struct lock_core *k, const char *path,
                                   const struct turn_time *time, char error[STORE_ERROR_MAX]);
int lock_core_fd(const struct lock_core *k); /* with a file: readable when a tick is due */
void lock_core_free(struct lock_core *k);    /* NULL is allowed */

/* One request; false: its op is none about locks. */
bool lock_core_control(struct lock_core *k, const struct control_request *q,
                       const struct turn_time *time);
/* What is due, and the results of the file.  Returns ms until the next call, -1: none is due. */
int64_t lock_core_tick(struct lock_core *k, const struct turn_time *time);
/* Nothing is granted any more. */
void lock_core_stop(struct lock_core *k);

/*
 * Store what is left and send the answers that wait for it, until deadline_ms (monotonic);
 * true: all is stored.  Before the sockets are closed.
 */
bool lock_core_close(struct lock_core *k, int64_t deadline_ms);

/* "locks" and its map, for the answer to `status`. */
void lock_core_pack_status(const struct lock_core *k, const struct turn_time *time,
                           msgpack_packer *pk);

#endif
