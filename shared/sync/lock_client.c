#include "shared/sync/lock_client.h"

/* added to the time for which the broker may hold an answer back */
#define ANSWER_MS 1500
/* after an error, and between two requests for a place in the queue */
#define AGAIN_MS 1000
#define RENEW_AGAIN_MAX 1000
#define RENEW_AGAIN_MIN 100
#define LEAVE_AGAIN_MS 500
/* after so long without a request the broker drops a place in the queue */
#define PLACE_MS 10000
#define NEVER INT64_MAX
/* after the client gives up its place, a grant may still be on its way */
#define LATE_GRANT_MS 2000

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
    *h = (struct lock_client){.phase = LOCK_CLIENT_WAITING, .ttl_ms = ttl_ms, .request_at = now};
}

static void lose(struct lock_client *h, enum lock_client_reason reason, int64_t now)
{
    h->phase = LOCK_CLIENT_WAITING;
    h->reason = reason;
    h->may_be_ours = reason == LOCK_CLIENT_UNANSWERED;
    h->request_at = now;
}

enum lock_client_news lock_client_check(struct lock_client *h, int64_t now)
{
    if (h->phase != LOCK_CLIENT_HELD || now < h->until)
        return LOCK_CLIENT_NO_NEWS;
    lose(h, LOCK_CLIENT_UNANSWERED, now);
    return LOCK_CLIENT_NOW_LOST;
}

enum lock_client_request lock_client_request(struct lock_client *h, int64_t now)
{
    if (h->phase == LOCK_CLIENT_LEAVING && now >= h->leave_until)
        h->phase = LOCK_CLIENT_GONE;
    if (h->phase == LOCK_CLIENT_GONE || now < h->request_at)
        return LOCK_CLIENT_REQUEST_NONE;
    if (h->phase == LOCK_CLIENT_HELD)
        return LOCK_CLIENT_REQUEST_RENEW;
    if (h->phase == LOCK_CLIENT_WAITING)
        return LOCK_CLIENT_REQUEST_LOCK;
    return h->may_be_ours ? LOCK_CLIENT_REQUEST_RELEASE : LOCK_CLIENT_REQUEST_CANCEL;
}

void lock_client_sent(struct lock_client *h, enum lock_client_request request, int64_t now)
{
    switch (request) {
    case LOCK_CLIENT_REQUEST_NONE:
        break;
    case LOCK_CLIENT_REQUEST_LOCK:
        h->is_pending = h->may_be_placed = true;
        h->request_at = now + h->wait_ms + ANSWER_MS;
        break;
    case LOCK_CLIENT_REQUEST_RENEW:
        h->request_at = now + later(RENEW_AGAIN_MIN, earlier(RENEW_AGAIN_MAX, h->ttl_ms / 12));
        break;
    case LOCK_CLIENT_REQUEST_RELEASE:
    case LOCK_CLIENT_REQUEST_CANCEL:
        h->request_at = now + LEAVE_AGAIN_MS;
        break;
    }
}

bool lock_client_is_newly_unanswered(struct lock_client *h, int64_t now)
{
    if (h->phase != LOCK_CLIENT_WAITING || !h->is_pending || now < h->request_at)
        return false;
    h->is_pending = false;
    h->wait_ms = 0; /* the next request must be answered at once */
    if (h->is_unanswered)
        return false;
    h->is_unanswered = true;
    return true;
}

static enum lock_client_news on_grant(struct lock_client *h, const struct lock_client_answer *a,
                                      int64_t now)
{
    int64_t until = a->sent_at + a->ttl_ms * 2 / 3;

    h->may_be_ours = true;
    h->may_be_placed = false;
    if (h->phase == LOCK_CLIENT_HELD && h->token == a->token) {
        h->until = later(h->until, until);
        return LOCK_CLIENT_NO_NEWS;
    }
    /* our grant ended and this is a new one: report the loss first */
    if (h->phase == LOCK_CLIENT_HELD) {
        lose(h, LOCK_CLIENT_EXPIRED, now);
        return LOCK_CLIENT_NOW_LOST;
    }
    h->token = a->token;
    h->ttl_ms = a->ttl_ms;
    if (h->phase == LOCK_CLIENT_LEAVING) {
        h->request_at = now;
        h->leave_until = later(h->leave_until, a->sent_at + a->ttl_ms);
        return LOCK_CLIENT_NO_NEWS;
    }
    h->wait_ms = 0;
    /* the grant took so long that it has nearly expired: request again */
    h->request_at = now;
    if (now >= until)
        return LOCK_CLIENT_NO_NEWS;
    h->phase = LOCK_CLIENT_HELD;
    h->until = until;
    h->request_at = a->sent_at + a->ttl_ms / 3;
    return LOCK_CLIENT_NOW_HELD;
}

static enum lock_client_news on_lock(struct lock_client *h, const struct lock_client_answer *a,
                                     int64_t now)
{
    h->is_pending = h->is_unanswered = false;
    if (!a->error.len)
        return on_grant(h, a, now);
    if (h->phase == LOCK_CLIENT_LEAVING && h->request_at == NEVER)
        h->phase = LOCK_CLIENT_GONE; /* the place is given up, and no grant can arrive */
    if (h->phase != LOCK_CLIENT_WAITING)
        return LOCK_CLIENT_NO_NEWS;
    if (span_eq(a->error, "held")) {
        h->may_be_ours = false;
        h->request_at = h->wait_ms ? later(now, a->sent_at + AGAIN_MS) : now;
        h->wait_ms = LOCK_CLIENT_WAIT_MS;
    } else {
        h->request_at = now + AGAIN_MS;
        h->wait_ms = 0;
    }
    return LOCK_CLIENT_STILL_WAITING;
}

static enum lock_client_reason reason_of(struct span text)
{
    return span_eq(text, "taken")      ? LOCK_CLIENT_TAKEN
           : span_eq(text, "broken")   ? LOCK_CLIENT_BROKEN
           : span_eq(text, "released") ? LOCK_CLIENT_RELEASED
                                       : LOCK_CLIENT_EXPIRED;
}

static bool is_over(const struct lock_client_answer *a)
{
    return span_eq(a->error, "stale") || span_eq(a->error, "not_found");
}

static enum lock_client_news on_renew(struct lock_client *h, const struct lock_client_answer *a,
                                      int64_t now)
{
    if (h->phase != LOCK_CLIENT_HELD || a->request_token != h->token)
        return LOCK_CLIENT_NO_NEWS;
    if (!a->error.len) {
        h->until = later(h->until, a->sent_at + h->ttl_ms * 2 / 3);
        h->request_at = a->sent_at + h->ttl_ms / 3;
    } else if (is_over(a)) {
        lose(h, reason_of(a->reason), now);
        return LOCK_CLIENT_NOW_LOST;
    }
    return LOCK_CLIENT_NO_NEWS;
}

static void on_left(struct lock_client *h, const struct lock_client_answer *a, int64_t now)
{
    if (h->phase != LOCK_CLIENT_LEAVING || (a->error.len && !is_over(a)))
        return;
    if (a->to == LOCK_CLIENT_REQUEST_RELEASE && a->request_token == h->token) {
        h->may_be_ours = false;
        /* The grant was no longer ours, but there may be a place in the queue to give up. */
        if (a->error.len && h->may_be_placed)
            h->request_at = now;
        else
            h->phase = LOCK_CLIENT_GONE;
    } else if (a->to == LOCK_CLIENT_REQUEST_CANCEL && !h->may_be_ours) {
        if (!h->is_pending)
            h->phase = LOCK_CLIENT_GONE;
        h->request_at = NEVER;
        h->leave_until = earlier(h->leave_until, now + LATE_GRANT_MS);
    }
}

enum lock_client_news lock_client_on_answer(struct lock_client *h,
                                            const struct lock_client_answer *a, int64_t now)
{
    switch (a->to) {
    case LOCK_CLIENT_REQUEST_NONE:
        break;
    case LOCK_CLIENT_REQUEST_LOCK:
        return on_lock(h, a, now);
    case LOCK_CLIENT_REQUEST_RENEW:
        return on_renew(h, a, now);
    case LOCK_CLIENT_REQUEST_RELEASE:
    case LOCK_CLIENT_REQUEST_CANCEL:
        on_left(h, a, now);
        break;
    }
    return LOCK_CLIENT_NO_NEWS;
}

bool lock_client_is_leaving(const struct lock_client *h)
{
    return h->phase == LOCK_CLIENT_LEAVING && h->request_at != NEVER;
}

void lock_client_leave(struct lock_client *h, int64_t now)
{
    bool is_known = h->may_be_ours || h->may_be_placed;

    h->leave_until = later(now + PLACE_MS, h->phase == LOCK_CLIENT_HELD ? h->until : 0);
    if (h->phase == LOCK_CLIENT_HELD)
        h->leave_until += h->ttl_ms / 3;
    h->phase = is_known ? LOCK_CLIENT_LEAVING : LOCK_CLIENT_GONE;
    h->request_at = now;
}

int64_t lock_client_remaining_ms(const struct lock_client *h, int64_t now)
{
    return h->phase == LOCK_CLIENT_HELD && now < h->until ? h->until - now : 0;
}

int64_t lock_client_deadline(const struct lock_client *h)
{
    switch (h->phase) {
    case LOCK_CLIENT_WAITING:
        return h->request_at;
    case LOCK_CLIENT_HELD:
        return earlier(h->request_at, h->until);
    case LOCK_CLIENT_LEAVING:
        return earlier(h->request_at, h->leave_until);
    case LOCK_CLIENT_GONE:
        break;
    }
    return NEVER;
}
