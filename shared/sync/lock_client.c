#include "shared/sync/lock_client.h"

/* added to the time for which the broker may hold an answer back */
#define ANSWER_MS 1500
/* after an error, and between two requests for a place in line */
#define AGAIN_MS 1000
#define RENEW_AGAIN_MAX 1000
#define RENEW_AGAIN_MIN 100
#define LEAVE_AGAIN_MS 500
/* after so long without a request the broker drops a place in line */
#define PLACE_MS 10000
#define NEVER INT64_MAX
#define LATE_GRANT_MS \
    2000 /* after a place is given up, a grant may still be on its way */

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

void lock_client_init(struct lock_client *h, int64_t ttl_ms, int64_t now)
{
    *h = (struct lock_client){.phase = HOLD_WAITING, .ttl_ms = ttl_ms, .ask_at = now};
}

static void lose(struct lock_client *h, enum lock_client_reason reason, int64_t now)
{
    h->phase = HOLD_WAITING;
    h->reason = reason;
    h->may_be_ours = reason == HOLD_UNANSWERED;
    h->is_asked = h->is_unanswered = false;
    h->wait_ms = 0;
    h->ask_at = now;
}

enum lock_client_news lock_client_check(struct lock_client *h, int64_t now)
{
    if (h->phase != HOLD_HELD || now < h->until)
        return HOLD_NO_NEWS;
    lose(h, HOLD_UNANSWERED, now);
    return HOLD_NOW_LOST;
}

enum lock_client_wish lock_client_wish(struct lock_client *h, int64_t now)
{
    if (h->phase == HOLD_LEAVING && now >= h->leave_until)
        h->phase = HOLD_GONE;
    if (h->phase == HOLD_GONE || now < h->ask_at)
        return HOLD_WISH_NOTHING;
    if (h->phase == HOLD_HELD)
        return HOLD_WISH_RENEW;
    if (h->phase == HOLD_WAITING)
        return HOLD_WISH_LOCK;
    return h->may_be_ours ? HOLD_WISH_RELEASE : HOLD_WISH_CANCEL;
}

void lock_client_asked(struct lock_client *h, enum lock_client_wish wish, int64_t now)
{
    switch (wish) {
    case HOLD_WISH_NOTHING:
        break;
    case HOLD_WISH_LOCK:
        h->is_asked = h->may_be_placed = true;
        h->ask_at = now + h->wait_ms + ANSWER_MS;
        break;
    case HOLD_WISH_RENEW:
        h->ask_at =
            now + later(RENEW_AGAIN_MIN, earlier(RENEW_AGAIN_MAX, h->ttl_ms / 12));
        break;
    case HOLD_WISH_RELEASE:
    case HOLD_WISH_CANCEL:
        h->ask_at = now + LEAVE_AGAIN_MS;
        break;
    }
}

bool lock_client_is_newly_unanswered(struct lock_client *h, int64_t now)
{
    if (h->phase != HOLD_WAITING || !h->is_asked || now < h->ask_at)
        return false;
    h->is_asked = false;
    h->wait_ms = 0; /* the next request must be answered at once */
    if (h->is_unanswered)
        return false;
    h->is_unanswered = true;
    return true;
}

static enum lock_client_news on_grant(struct lock_client *h,
                                      const struct lock_client_answer *a, int64_t now)
{
    int64_t until = a->sent_at + a->ttl_ms * 2 / 3;

    h->may_be_ours = true;
    h->may_be_placed = false;
    if (h->phase == HOLD_HELD && h->token == a->token) {
        h->until = later(h->until, until);
        return HOLD_NO_NEWS;
    }
    /* our grant ended and this is a new one: report the loss first */
    if (h->phase == HOLD_HELD) {
        lose(h, HOLD_EXPIRED, now);
        return HOLD_NOW_LOST;
    }
    h->token = a->token;
    h->ttl_ms = a->ttl_ms;
    if (h->phase == HOLD_LEAVING) {
        h->ask_at = now;
        h->leave_until = later(h->leave_until, a->sent_at + a->ttl_ms);
        return HOLD_NO_NEWS;
    }
    h->wait_ms = 0;
    /* a grant that took so long that it is nearly over is requested again */
    h->ask_at = now;
    if (now >= until)
        return HOLD_NO_NEWS;
    h->phase = HOLD_HELD;
    h->until = until;
    h->ask_at = a->sent_at + a->ttl_ms / 3;
    return HOLD_NOW_HELD;
}

static enum lock_client_news on_lock(struct lock_client *h,
                                     const struct lock_client_answer *a, int64_t now)
{
    h->is_asked = h->is_unanswered = false;
    if (!a->error.len)
        return on_grant(h, a, now);
    if (h->phase == HOLD_LEAVING && h->ask_at == NEVER)
        h->phase = HOLD_GONE; /* the place is given up, and no grant will come */
    if (h->phase != HOLD_WAITING)
        return HOLD_NO_NEWS;
    if (span_eq(a->error, "held")) {
        h->may_be_ours = false;
        h->ask_at = h->wait_ms ? later(now, a->sent_at + AGAIN_MS) : now;
        h->wait_ms = HOLD_WAIT_MS;
    } else {
        h->ask_at = now + AGAIN_MS;
        h->wait_ms = 0;
    }
    return HOLD_STILL_WAITING;
}

static enum lock_client_reason reason_of(struct span text)
{
    return span_eq(text, "taken")      ? HOLD_TAKEN
           : span_eq(text, "broken")   ? HOLD_BROKEN
           : span_eq(text, "released") ? HOLD_RELEASED
                                       : HOLD_EXPIRED;
}

static bool is_over(const struct lock_client_answer *a)
{
    return span_eq(a->error, "stale") || span_eq(a->error, "not_found");
}

static enum lock_client_news on_renew(struct lock_client *h,
                                      const struct lock_client_answer *a, int64_t now)
{
    if (h->phase != HOLD_HELD || a->asked_token != h->token)
        return HOLD_NO_NEWS;
    if (!a->error.len) {
        h->until = later(h->until, a->sent_at + h->ttl_ms * 2 / 3);
        h->ask_at = a->sent_at + h->ttl_ms / 3;
    } else if (is_over(a)) {
        lose(h, reason_of(a->reason), now);
        return HOLD_NOW_LOST;
    }
    return HOLD_NO_NEWS;
}

static void on_left(struct lock_client *h, const struct lock_client_answer *a,
                    int64_t now)
{
    if (h->phase != HOLD_LEAVING || (a->error.len && !is_over(a)))
        return;
    if (a->to == HOLD_WISH_RELEASE && a->asked_token == h->token) {
        h->may_be_ours = false;
        /* The grant was not ours any more; but there may be a place in line to give up. */
        if (a->error.len && h->may_be_placed)
            h->ask_at = now;
        else
            h->phase = HOLD_GONE;
    } else if (a->to == HOLD_WISH_CANCEL && !h->may_be_ours) {
        if (!h->is_asked)
            h->phase = HOLD_GONE;
        h->ask_at = NEVER;
        h->leave_until = earlier(h->leave_until, now + LATE_GRANT_MS);
    }
}

enum lock_client_news lock_client_on_answer(struct lock_client *h,
                                            const struct lock_client_answer *a,
                                            int64_t now)
{
    switch (a->to) {
    case HOLD_WISH_NOTHING:
        break;
    case HOLD_WISH_LOCK:
        return on_lock(h, a, now);
    case HOLD_WISH_RENEW:
        return on_renew(h, a, now);
    case HOLD_WISH_RELEASE:
    case HOLD_WISH_CANCEL:
        on_left(h, a, now);
        break;
    }
    return HOLD_NO_NEWS;
}

bool lock_client_is_leaving(const struct lock_client *h)
{
    return h->phase == HOLD_LEAVING && h->ask_at != NEVER;
}

void lock_client_leave(struct lock_client *h, int64_t now)
{
    bool is_known = h->may_be_ours || h->may_be_placed;

    h->leave_until = later(now + PLACE_MS, h->phase == HOLD_HELD ? h->until : 0);
    if (h->phase == HOLD_HELD)
        h->leave_until += h->ttl_ms / 3;
    h->phase = is_known ? HOLD_LEAVING : HOLD_GONE;
    h->ask_at = now;
}

int64_t lock_client_remaining_ms(const struct lock_client *h, int64_t now)
{
    return h->phase == HOLD_HELD && now < h->until ? h->until - now : 0;
}

int64_t lock_client_deadline(const struct lock_client *h)
{
    switch (h->phase) {
    case HOLD_WAITING:
        return h->ask_at;
    case HOLD_HELD:
        return earlier(h->ask_at, h->until);
    case HOLD_LEAVING:
        return earlier(h->ask_at, h->leave_until);
    case HOLD_GONE:
        break;
    }
    return NEVER;
}
