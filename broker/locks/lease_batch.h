/*
 * lease_batch: the content of one transaction of the locks' file, copied out of the loop's memory.
 *
 * The loop fills it and passes it to the writer; it has no pointers to other memory.  It has each
 * lock at most once, in its state when the batch is passed on, so a batch is never larger than the
 * table. Names to be removed are removed first.  No I/O, no clock.  One owner at a time.
 */
#ifndef BROKER_LOCKS_LEASE_BATCH_H
#define BROKER_LOCKS_LEASE_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/locks/lease.h"

/* A lock as the file stores it; times in µs since 1970. */
struct lease_row {
    char name[LOCK_NAME_MAX + 1];
    char owner[LOCK_OWNER_MAX + 1], host[LOCK_HOST_MAX + 1];
    char lost_owner[LOCK_OWNER_MAX + 1];
    enum lease_state state;
    enum lease_end ended, lost_reason;
    uint64_t pid, token, ttl_ms, delay_ms, granted_us, lost_token, lost_us;
    uint64_t value_token, version;
    bool has_value; /* a new one, with these bytes */
    size_t value_at, value_len;
};

struct lease_batch {
    struct lease_row *rows;
    size_t count, cap;
    char (*forgotten)[LOCK_NAME_MAX + 1];
    size_t forgotten_count, forgotten_cap;
    struct buf values;
    uint64_t token_floor; /* no token to come is below; 0: as before */
    uint64_t change;      /* this batch and the earlier ones have all changes up to this number */
};

struct lease_batch *lease_batch_new(void);
void lease_batch_free(struct lease_batch *b);
void lease_batch_clear(struct lease_batch *b); /* keeps the memory */
bool lease_batch_is_empty(const struct lease_batch *b);

void lease_batch_add(struct lease_batch *b, const struct lease *l, bool has_new_value, int64_t now,
                     uint64_t wall_us);
void lease_batch_forget(struct lease_batch *b, const char *name);

#endif
