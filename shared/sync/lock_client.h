/*
 * lock_client: the client's state of one lock; it decides which request to send when. libpregon
 * calls it.
 *
 * It requests the lock, waits in the queue, renews at a third of the lease, requests again after a
 * loss, and releases at the end; the caller sends these requests and passes the answers in. The
 * lease is counted from *before* the granted request was sent, and ends for the client at two
 * thirds of its length: the next holder gets the lock later than that.
 *
 * No I/O, no clock: `now` is ms of a clock that also counts while the machine is suspended.
 */
#ifndef SHARED_SYNC_LOCK_CLIENT_H
#define SHARED_SYNC_LOCK_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/base/buf.h"

/* how long the broker may delay the answer to a request that waits in the queue */
#define LOCK_CLIENT_WAIT_MS 3000

enum lock_client_phase {
    LOCK_CLIENT_WAITING, /* wanted */
    LOCK_CLIENT_HELD,
    LOCK_CLIENT_LEAVING, /* closing; the broker has not confirmed it yet */
    LOCK_CLIENT_GONE,
};

enum lock_client_request {
    LOCK_CLIENT_REQUEST_NONE,
    LOCK_CLIENT_REQUEST_LOCK, /* wait_ms is how long the broker may delay the answer */
    LOCK_CLIENT_REQUEST_RENEW,
    LOCK_CLIENT_REQUEST_RELEASE,
    LOCK_CLIENT_REQUEST_CANCEL,
};

enum lock_client_reason {
    LOCK_CLIENT_UNANSWERED,
    LOCK_CLIENT_EXPIRED,
    LOCK_CLIENT_TAKEN,
    LOCK_CLIENT_BROKEN,
    LOCK_CLIENT_RELEASED,
};

enum lock_client_news {
    LOCK_CLIENT_NO_NEWS,
    LOCK_CLIENT_NOW_HELD,
    LOCK_CLIENT_NOW_LOST, /* `reason` has the cause */
    LOCK_CLIENT_STILL_WAITING,
};

struct lock_client {
    enum lock_client_phase phase;
    int64_t ttl_ms;      /* requested; after a grant, the broker's value */
    uint64_t token;      /* of the current grant, or of the last one */
    int64_t until;       /* HELD: when the lease ends for this client */
    int64_t request_at;  /* when to send the next request */
    int64_t wait_ms;     /* of the next LOCK_CLIENT_REQUEST_LOCK */
    int64_t leave_until; /* LEAVING: by then everything has ended without us */
    enum lock_client_reason reason;
    bool is_pending;    /* a request that waits in the queue has no answer yet */
    bool is_unanswered; /* the last such request got no answer */
    bool may_be_placed; /* the broker may have a place in the queue or a grant for us */
    bool may_be_ours;   /* the broker may have the grant of `token` for us */
};

/* The broker's answer; spans point into the message. */
struct lock_client_answer {
    enum lock_client_request to;
    int64_t sent_at;        /* `now` of the lock_client_sent call of its request */
    uint64_t request_token; /* the token in the request, if it had one */
    struct span error;      /* .len 0: no error */
    struct span reason;     /* of the error `stale` */
    uint64_t token;
    int64_t ttl_ms;
};

void lock_client_init(struct lock_client *h, int64_t ttl_ms, int64_t now);

/* Call it first in every turn: has the lease ended? */
enum lock_client_news lock_client_check(struct lock_client *h, int64_t now);
/* Which request must be sent now? */
enum lock_client_request lock_client_request(struct lock_client *h, int64_t now);
/* The request was sent, or the socket was full (then it is repeated like an unanswered request). */
void lock_client_sent(struct lock_client *h, enum lock_client_request request, int64_t now);
enum lock_client_news lock_client_on_answer(struct lock_client *h,
                                            const struct lock_client_answer *a, int64_t now);
/* True once when a request that waits in the queue got no answer: the broker is away. */
bool lock_client_is_newly_unanswered(struct lock_client *h, int64_t now);
/* Give up the lock: the state becomes LEAVING, or GONE if the broker need not be informed. */
void lock_client_leave(struct lock_client *h, int64_t now);
/* Does the broker still have to be informed? */
bool lock_client_is_leaving(const struct lock_client *h);

int64_t lock_client_remaining_ms(const struct lock_client *h, int64_t now);
/* When lock_client_check or lock_client_request will next return something new. */
int64_t lock_client_deadline(const struct lock_client *h);

#endif
