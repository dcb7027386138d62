/*
 * lease: locks as leases: the owner that holds each, the owners that wait, its value.
 *
 * A grant gives a name to an owner for a time, under a fencing token that rises with every grant of
 * any name.  After a grant that expired or was broken, the lock stays closed for the delay that the
 * owner requested; after a release it does not.  A free lock goes to the first owner in the queue.
 * A place in the queue is kept for LEASE_PLACE_MS after its owner's last request.
 *
 * `now` is monotonic ms, read after the request arrived; it also counts while the process is
 * paused.  Only places in the queue expire by `awake`, which does not: a broker that was stopped
 * keeps its queues.  Before every call with a `now`, lease_next must have returned false for it.
 * Changes to store are on a list (lease_take_unstored); `change` is the number that an answer must
 * wait for.  Owned by the broker's loop; no I/O.  Bounded: names, places, bytes of values.
 */
#ifndef BROKER_LOCKS_LEASE_H
#define BROKER_LOCKS_LEASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uthash.h>

#include "broker/locks/due.h"
#include "shared/base/buf.h"
#include "shared/base/err.h"
#include "shared/wire/lock_name.h"

#define LEASE_PEER_MAX 64 /* of a ROUTER identity; ZeroMQ's own are 5 bytes */
#define LEASE_PLACE_MS 10000
#define LEASE_LINE_MAX 1000                 /* places of one lock, */
#define LEASE_PLACES_MAX 100000             /* and of all */
#define LEASE_VALUES_MAX ((size_t)64 << 20) /* bytes of all values */
#define LEASE_FORGET_MS 600000 /* a free lock without a value is removed after this time */

enum lease_state {
    LEASE_FREE,
    LEASE_HELD,
    LEASE_CLOSED, /* until the delay is over */
};

/* How the last grant ended. */
enum lease_end {
    LEASE_RUNS, /* it has not ended, or there was no grant */
    LEASE_RELEASED,
    LEASE_EXPIRED,
    LEASE_BROKEN,
    LEASE_TAKEN, /* in answers only: there was another grant since */
};

const char *lease_end_name(enum lease_end e); /* "expired", as on the wire */

struct lease_place;

struct lease {
    char name[LOCK_NAME_MAX + 1];
    enum lease_state state;
    enum lease_end ended;
    /* The owner of the last grant; owner "" and token 0: there was none. */
    char owner[LOCK_OWNER_MAX + 1], host[LOCK_HOST_MAX + 1];
    uint64_t pid, token;
    int64_t ttl_ms, delay_ms;
    int64_t sure_ttl_ms; /* the shortest one the file may have until `change` is stored */
    int64_t granted_at;
    int64_t until; /* held: it ends then; closed: free from then on */
    /* The last grant that expired or was broken; token 0: none. */
    struct lease_lost {
        char owner[LOCK_OWNER_MAX + 1];
        uint64_t token;
        int64_t at;
        enum lease_end reason;
    } lost;
    struct buf value;
    uint64_t value_token, version; /* version 0: never put */
    uint64_t change;               /* answers about it must not be sent before this one is stored */
    uint64_t watch_seq; /* the caller's: number of the last record about it to watchers */
    /* private from here */
    struct lease_place *line; /* the queue, in order of arrival */
    size_t waiters;
    bool is_unstored, is_value_unstored, is_ready, is_idle;
    int64_t idle_since;
    struct due due;
    struct lease *next_unstored, *prev_ready, *next_ready, *prev_idle, *next_idle;
    UT_hash_handle hh;
};

struct lease_limits {
    size_t count; /* names */
    int64_t ttl_max_ms, delay_max_ms;
};

struct lease_table;

/* Tokens begin above the floor, which must not be below any token ever granted. */
struct lease_table *lease_table_new(const struct lease_limits *limits, uint64_t token_floor);
void lease_table_free(struct lease_table *t);
void lease_set_floor(struct lease_table *t, uint64_t token_floor); /* before any grant */

/* false: the table grants nothing any more (or for now); existing grants continue. */
void lease_allow_grants(struct lease_table *t, bool may_grant);

struct lease *lease_find(const struct lease_table *t, struct span name);

/* The request that waits for an answer. */
struct lease_reply_to {
    char peer[LEASE_PEER_MAX];
    size_t peer_len; /* 0: no request waits for an answer */
    uint64_t id;
};

struct lease_request {
    struct span name, owner, host, peer;
    uint64_t pid, id;
    uint64_t ttl_ms, delay_ms;
    uint64_t wait_ms; /* over LEASE_PLACE_MS counts as that */
    bool is_to_keep;  /* a place, also without waiting */
};

struct lease_answer {
    struct lease *lease; /* NULL: there is no lock of this name, and none was made */
    bool is_new;         /* a new grant, not a repetition of the owner's grant */
    bool is_waiting;     /* no answer now: lease_next gives it */
    /* from 1; the owner's place in the queue, or the place that it would get */
    size_t place;
    const char *why; /* for ERR_INVALID and ERR_FULL */
};

/*
 * Request a lock.  OK: a new grant, or the same owner's grant with a new time. ERR_HELD: another
 * owner has the lock, or it is closed.  ERR_AGAIN: it could be granted, but lease_allow_grants
 * forbids. ERR_INVALID, ERR_FULL.
 */
MUST_CHECK enum err lease_acquire(struct lease_table *t, const struct lease_request *request,
                                  int64_t now, int64_t awake, struct lease_answer *out);
/* Give up a place; true if there was one. */
bool lease_cancel(struct lease_table *t, struct lease *l, struct span owner, int64_t now);

/* These need the current grant: otherwise ERR_STALE, and lease_ended gives how the grant ended. */
/*
 * ttl_ms 0: the grant's; a longer one counts as the grant's.  The new time is never longer than the
 * stored one: a killed broker restores the stored time, and no renewal waits for the disk.
 */
MUST_CHECK enum err lease_renew(struct lease_table *t, struct lease *l, struct span owner,
                                uint64_t token, uint64_t ttl_ms, int64_t now);
/* Also OK if the grant was released before. */
MUST_CHECK enum err lease_release(struct lease_table *t, struct lease *l, struct span owner,
                                  uint64_t token, int64_t now);
/* Also OK if the grant was broken before.  The delay applies. */
MUST_CHECK enum err lease_break(struct lease_table *t, struct lease *l, uint64_t token,
                                int64_t now);
/* ERR_TOO_LARGE; ERR_FULL: LEASE_VALUES_MAX. */
MUST_CHECK enum err lease_put(struct lease_table *t, struct lease *l, struct span owner,
                              uint64_t token, struct span value);
enum lease_end lease_ended(const struct lease *l, uint64_t token);

/* Events that occur without a request. */
enum lease_event_kind {
    LEASE_EVENT_GRANTED,   /* granted to the first owner in the queue */
    LEASE_EVENT_WAIT_OVER, /* the request is to be answered: the lock is held */
    LEASE_EVENT_DROPPED,   /* a place; if its request waits, it is to be answered, too */
    LEASE_EVENT_EXPIRED,   /* now closed, or free if it has no delay */
    LEASE_EVENT_OPENED,    /* the delay is over */
    LEASE_EVENT_FORGOTTEN, /* name only: the lease was removed */
};

struct lease_event {
    enum lease_event_kind kind;
    struct lease *lease;
    struct lease_reply_to reply_to;
    char name[LOCK_NAME_MAX + 1];   /* of a removed lease */
    char owner[LOCK_OWNER_MAX + 1]; /* of the place */
    size_t place;
    int64_t waited_ms; /* since the request */
};

/* The next thing that is due; false: nothing more. */
bool lease_next(struct lease_table *t, int64_t now, int64_t awake, struct lease_event *out);
/* ms until lease_next has something, -1: nothing is to come. */
int64_t lease_wait(const struct lease_table *t, int64_t now, int64_t awake);

/* --- looking ------------------------------------------------------------------------ */

size_t lease_count(const struct lease_table *t);
size_t lease_count_held(const struct lease_table *t);
size_t lease_count_places(const struct lease_table *t);
uint64_t lease_last_token(const struct lease_table *t); /* the last token granted, or the floor */
/* The number of the last change. */
uint64_t lease_last_change(const struct lease_table *t);
/* The locks with the prefix have the indexes *first … *first + result - 1, ordered by name. */
size_t lease_range(const struct lease_table *t, struct span prefix, size_t *first);
struct lease *lease_at(const struct lease_table *t, size_t index);
int64_t lease_expires_ms(const struct lease *l, int64_t now); /* 0 unless held */
int64_t lease_closed_ms(const struct lease *l, int64_t now);  /* 0 unless closed */
size_t lease_waiters(const struct lease *l);
/* The first owners in the queue, at most `max`; how many. */
size_t lease_waiting(const struct lease *l, const char **owners, size_t max);

/* --- storing ------------------------------------------------------------------------ */

/* The next lock that must be stored, removed from the list; NULL: the list is empty. */
struct lease *lease_take_unstored(struct lease_table *t, bool *has_new_value);
/* All changes up to this one are stored.  A table without a file: UINT64_MAX, as at first. */
void lease_set_stored(struct lease_table *t, uint64_t change);
uint64_t lease_stored(const struct lease_table *t);

/* A lock as it was stored.  Held: its whole time starts now; closed: its whole delay starts now. */
struct lease_stored {
    struct span name, owner, host;
    uint64_t pid, token;
    enum lease_state state;
    enum lease_end ended;
    uint64_t ttl_ms, delay_ms;
    uint64_t held_ms; /* since it was granted */
    struct span lost_owner;
    uint64_t lost_token, lost_ago_ms;
    enum lease_end lost_reason;
    struct span value;
    uint64_t value_token, version;
};

/* ERR_INVALID: the name or owner is not valid, or the table already has the name. */
MUST_CHECK enum err lease_restore(struct lease_table *t, const struct lease_stored *s, int64_t now);

#endif
