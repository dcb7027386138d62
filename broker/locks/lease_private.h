/*
 * lease_private: what the files of the table share; no other file includes it.  From the top:
 * lease_next.c (events), lease.c (requests, grants), lease_waiters.c (waiting owners) and
 * lease_table.c (names, what must be stored); each calls only those below it.
 */
#ifndef BROKER_LOCKS_LEASE_PRIVATE_H
#define BROKER_LOCKS_LEASE_PRIVATE_H

#include "broker/locks/lease.h"

enum lease_due { LEASE_DUE_LEASE, LEASE_DUE_PLACE };

struct lease_place {
    char owner[LOCK_OWNER_MAX + 1], host[LOCK_HOST_MAX + 1];
    uint64_t pid;
    int64_t ttl_ms, delay_ms;
    struct lease *lease;
    struct lease_reply_to reply_to;
    int64_t requested_at;    /* now, */
    int64_t requested_awake; /* and awake */
    struct due due;          /* when the request is to be answered */
    struct lease_place *prev_request, *next_request;
    UT_hash_handle hh; /* in the line, by owner; uthash keeps the order of coming */
};

struct lease_table {
    struct lease_limits limits;
    struct lease *by_name;
    struct lease **in_order; /* of name */
    size_t count, cap, held, places, value_bytes;
    uint64_t token, change, stored;
    bool may_grant;
    struct due_heap dues;
    struct lease *first_unstored, *last_unstored;
    struct lease *ready; /* free, and an owner waits */
    /* free, without waiting owners or value; the longest idle one first */
    struct lease *idle;
    struct lease_place *by_request; /* all places, by their last request */
};

/* lease_table.c */
struct lease *lease_add(struct lease_table *t, struct span name); /* a free one */
void lease_forget(struct lease_table *t, struct lease *l);
/* An answer about it must wait until this is stored. */
void lease_note(struct lease_table *t, struct lease *l);
/* Store this lock later; no answer waits for it, because a crash would only lengthen the lease. */
void lease_note_later(struct lease_table *t, struct lease *l);

/* lease_waiters.c */
struct lease_place *lease_place_find(const struct lease *l, struct span owner);
size_t lease_place_number(const struct lease *l, const struct lease_place *p);
struct lease_place *lease_place_take(struct lease_table *t, struct lease *l,
                                     const struct lease_request *request, int64_t now,
                                     int64_t awake);
void lease_place_leave(struct lease_table *t, struct lease_place *p);
/* Call this after any change of a lock's state or queue. */
void lease_judge(struct lease_table *t, struct lease *l, int64_t now);

/* lease.c */
void lease_grant(struct lease_table *t, struct lease *l, const struct lease_place *to, int64_t now);
void lease_set_closed(struct lease_table *t, struct lease *l, int64_t since, int64_t now,
                      enum lease_end why);
void lease_set_free(struct lease_table *t, struct lease *l, int64_t now);

#endif
