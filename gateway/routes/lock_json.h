/*
 * lock_json: the broker's answers about locks, as the JSON of docs/protocol/locks.md.
 *
 * Milliseconds become seconds with three decimals.  Answers have passed pack_check.  A member that
 * is missing or has another type becomes 0, "" or null. `shows_owners` false: the JSON omits all
 * owners (holder, waiting owners, last owner).
 *
 * Pure: no I/O, no clock.  Any thread.
 */
#ifndef GATEWAY_ROUTES_LOCK_JSON_H
#define GATEWAY_ROUTES_LOCK_JSON_H

#include <stdbool.h>

#include "shared/base/buf.h"

/* {"name":…,"state":…,…} */
void lock_json_entry(struct buf *b, struct span entry, bool shows_owners);

/*
 * [entry,…] of an answer to `locks`.  Returns the number of entries; -1: the answer has no such
 * list.
 */
int lock_json_list(struct buf *b, struct span answer, bool shows_owners);

/* The first entry, if it is the lock `name`; false: there is no such lock. */
bool lock_json_find(struct span answer, struct span name, struct span *entry);

/* {"name":…,"owner":…,"token":…,…} of an answer to `lock`, or of one to `renew`. */
void lock_json_grant(struct buf *b, struct span answer);
void lock_json_renewal(struct buf *b, struct span answer, struct span owner);

/* ,"holder":…,"closed_for":…,"place":…,"waiters":… of a `lock` that was refused. */
void lock_json_held(struct buf *b, struct span answer);
/* ,"owner":…,"token":…,"reason":… of what ended a grant. */
void lock_json_stale(struct buf *b, struct span answer);

#endif
