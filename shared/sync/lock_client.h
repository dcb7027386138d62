/*
 * hold: one lock, as the one who wants it sees it.
 *
 * It says what to ask the broker and when, and is handed the answers: ask, wait in line,
 * renew at a third of the time, ask again after a loss, release at the end.  The lease is
 * counted from *before* the request that was granted was sent, and is over for us at two
 * thirds of it: whoever gets the lock next gets it later than that.
 *
 * No I/O, no clock: `now` is ms of a clock that also counts while the machine is suspended.
 */
#ifndef SHARED_SYNC_LOCK_CLIENT_H
#define SHARED_SYNC_LOCK_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/base/buf.h"

#define HOLD_WAIT_MS 3000 /* how long a question in line may go unanswered by intent */

enum lock_client_phase {
    HOLD_WAITING, /* wanted */
    HOLD_HELD,
    HOLD_LEAVING, /* closed; the broker has not heard it yet */
    HOLD_GONE,
};

enum lock_client_wish {
    HOLD_WISH_NOTHING,
    HOLD_WISH_LOCK, /* wait_ms says for how long an answer may be held back */
    HOLD_WISH_RENEW,
    HOLD_WISH_RELEASE,
    HOLD_WISH_CANCEL,
};

enum lock_client_reason {
    HOLD_UNANSWERED,
    HOLD_EXPIRED,
    HOLD_TAKEN,
    HOLD_BROKEN,
    HOLD_RELEASED,
};

enum lock_client_news {
    HOLD_NO_NEWS,
    HOLD_NOW_HELD,
    HOLD_NOW_LOST, /* `reason` says why */
    HOLD_STILL_WAITING,
};

struct lock_client {
    enum lock_client_phase phase;
    int64_t ttl_ms;      /* wanted; once granted, as the broker has it */
    uint64_t token;      /* of our grant, or of the last one */
    int64_t until;       /* HELD: when it is over for us */
    int64_t ask_at;      /* when to ask next */
    int64_t wait_ms;     /* of the next HOLD_WISH_LOCK */
    int64_t leave_until; /* LEAVING: then all has ended by itself */
    enum lock_client_reason reason;
    bool is_asked;      /* a question in line is under way */
    bool is_unanswered; /* the last one got no answer */
    bool may_be_placed; /* the broker may have a place in line for us, or a grant */
    bool may_be_ours;   /* it may hold the grant of `token` for us */
};

/* An answer; spans into the message. */
struct lock_client_answer {
    enum lock_client_wish to;
    int64_t sent_at;      /* of the question, as lock_client_asked was told */
    uint64_t asked_token; /* of the question, if it had one */
    struct span error;    /* .len 0: none */
    struct span reason;   /* of `stale` */
    uint64_t token;
    int64_t ttl_ms;
};

void lock_client_init(struct lock_client *h, int64_t ttl_ms, int64_t now);

/* Before anything else in a turn: is its time up? */
enum lock_client_news lock_client_check(struct lock_client *h, int64_t now);
/* What is to be asked now? */
enum lock_client_wish lock_client_wish(struct lock_client *h, int64_t now);
/* It was sent (or could not be: it is asked again all the same). */
void lock_client_asked(struct lock_client *h, enum lock_client_wish wish, int64_t now);
enum lock_client_news lock_client_on_answer(struct lock_client *h,
                                            const struct lock_client_answer *a,
                                            int64_t now);
/* Once, when a question in line went unanswered: the broker is away. */
bool lock_client_is_newly_unanswered(struct lock_client *h, int64_t now);
/* Give it up: it is LEAVING, or GONE if there is nothing to be said. */
void lock_client_leave(struct lock_client *h, int64_t now);
/* Has the broker still to hear of it? */
bool lock_client_is_leaving(const struct lock_client *h);

int64_t lock_client_remaining_ms(const struct lock_client *h, int64_t now);
/* When lock_client_check or lock_client_wish will say something new. */
int64_t lock_client_deadline(const struct lock_client *h);

#endif
