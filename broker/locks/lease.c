#include "broker/locks/lease_private.h"

#include <string.h>

const char *lease_end_name(enum lease_end e)
{
    static const char *const names[] = {"", "released", "expired", "broken", "taken"};

    return names[e];
}

void lease_allow_grants(struct lease_table *t, bool may_grant)
{
    t->may_grant = may_grant;
}

/* The shortest remaining time that a restarted broker would give this lease. */
static int64_t sure_ttl(const struct lease_table *t, const struct lease *l)
{
    return l->change <= t->stored ? l->ttl_ms : l->sure_ttl_ms;
}

/* --- states ------------------------------------------------------------------------- */

static void set_held(struct lease_table *t, struct lease *l, int64_t ttl_ms, int64_t now)
{
    if (l->state != LEASE_HELD)
        t->held++;
    l->state = LEASE_HELD;
    l->ended = LEASE_RUNS;
    /*
     * One ms more, because the clock is rounded down to whole ms: the lease must not end before the
     * holder's own count.
     */
    l->until = now + ttl_ms + 1;
    due_set(&t->dues, &l->due, l->until);
}

static void leave_held(struct lease_table *t, struct lease *l)
{
    if (l->state == LEASE_HELD)
        t->held--;
    due_unset(&t->dues, &l->due);
}

void lease_set_free(struct lease_table *t, struct lease *l, int64_t now)
{
    leave_held(t, l);
    l->state = LEASE_FREE;
    lease_judge(t, l, now);
}

void lease_set_closed(struct lease_table *t, struct lease *l, int64_t since, int64_t now,
                      enum lease_end why)
{
    l->ended = why;
    memcpy(l->lost.owner, l->owner, sizeof l->lost.owner);
    l->lost.token = l->token;
    l->lost.at = since;
    l->lost.reason = why;
    if (since + l->delay_ms <= now) {
        lease_set_free(t, l, now);
        return;
    }
    leave_held(t, l);
    l->state = LEASE_CLOSED;
    l->until = since + l->delay_ms;
    due_set(&t->dues, &l->due, l->until);
}

void lease_grant(struct lease_table *t, struct lease *l, const struct lease_place *to, int64_t now)
{
    memcpy(l->owner, to->owner, sizeof l->owner);
    memcpy(l->host, to->host, sizeof l->host);
    l->pid = to->pid;
    l->token = ++t->token;
    l->ttl_ms = l->sure_ttl_ms = to->ttl_ms;
    l->delay_ms = to->delay_ms;
    l->granted_at = now;
    set_held(t, l, l->ttl_ms, now);
    lease_note(t, l);
    lease_judge(t, l, now);
}

/* --- requests ----------------------------------------------------------------------- */

static const char *check_request(const struct lease_table *t, const struct lease_request *request)
{
    if (!lock_is_name(request->name))
        return "name must be 1 to 64 of A-Z a-z 0-9 . _ : -";
    if (!lock_is_owner(request->owner))
        return "owner must be 1 to 128 printable ASCII characters without spaces";
    if (request->ttl_ms < LOCK_TTL_MIN_MS || request->ttl_ms > (uint64_t)t->limits.ttl_max_ms)
        return "ttl_ms must be from 1000 to LOCK_TTL_MAX";
    if (request->delay_ms > (uint64_t)t->limits.delay_max_ms)
        return "delay_ms must be at most LOCK_DELAY_MAX";
    if (request->peer.len > LEASE_PEER_MAX)
        return "peer identity too long";
    return NULL;
}

static bool is_holder(const struct lease *l, struct span owner)
{
    return l->state == LEASE_HELD && span_eq(owner, l->owner);
}

/* The same grant again: the stored time must be as long as the one in the answer. */
static enum err extend(struct lease_table *t, struct lease *l, const struct lease_request *request,
                       int64_t now)
{
    bool is_changed =
        (uint64_t)l->ttl_ms != request->ttl_ms || (uint64_t)l->delay_ms != request->delay_ms;

    if (is_changed && !t->may_grant)
        return ERR_AGAIN;
    l->sure_ttl_ms = sure_ttl(t, l);
    if (l->sure_ttl_ms > (int64_t)request->ttl_ms)
        l->sure_ttl_ms = (int64_t)request->ttl_ms;
    l->ttl_ms = (int64_t)request->ttl_ms;
    l->delay_ms = (int64_t)request->delay_ms;
    set_held(t, l, l->ttl_ms, now);
    if (is_changed)
        lease_note(t, l);
    return OK;
}

static void grant_request(struct lease_table *t, struct lease *l,
                          const struct lease_request *request, struct lease_place *place,
                          int64_t now)
{
    struct lease_place to = {.pid = request->pid,
                             .ttl_ms = (int64_t)request->ttl_ms,
                             .delay_ms = (int64_t)request->delay_ms};

    span_copy(to.owner, sizeof to.owner, request->owner);
    span_copy(to.host, sizeof to.host, request->host);
    if (place)
        lease_place_leave(t, place);
    lease_grant(t, l, &to, now);
}

/*
 * The lock cannot be granted now: give the owner a place in the queue if it wants one or has one.
 */
static enum err queue(struct lease_table *t, struct lease *l, const struct lease_request *request,
                      struct lease_place *place, int64_t now, int64_t awake,
                      struct lease_answer *out)
{
    if (!place && !request->wait_ms && !request->is_to_keep) {
        out->place = l->waiters + 1;
        return OK;
    }
    if (!place && l->waiters >= LEASE_LINE_MAX) {
        out->why = "the line of this lock is full";
        return ERR_FULL;
    }
    if (!place && t->places >= LEASE_PLACES_MAX) {
        out->why = "the lines of all locks are full";
        return ERR_FULL;
    }
    place = lease_place_take(t, l, request, now, awake);
    out->place = lease_place_number(l, place);
    out->is_waiting = request->wait_ms > 0;
    return OK;
}

static enum err acquire_known(struct lease_table *t, struct lease *l,
                              const struct lease_request *request, int64_t now, int64_t awake,
                              struct lease_answer *out)
{
    struct lease_place *place = lease_place_find(l, request->owner);
    bool is_next = !l->line || l->line == place, is_free = l->state == LEASE_FREE;
    enum err e;

    out->lease = l;
    if (is_holder(l, request->owner))
        return extend(t, l, request, now);
    if (is_free && is_next && t->may_grant) {
        out->is_new = true;
        grant_request(t, l, request, place, now);
        return OK;
    }
    e = queue(t, l, request, place, now, awake, out);
    if (e)
        return e;
    lease_judge(t, l, now);
    if (!is_free || !is_next)
        return ERR_HELD;
    return out->is_waiting ? ERR_HELD : ERR_AGAIN;
}

enum err lease_acquire(struct lease_table *t, const struct lease_request *request, int64_t now,
                       int64_t awake, struct lease_answer *out)
{
    struct lease *l;

    *out = (struct lease_answer){.why = check_request(t, request)};
    if (out->why)
        return ERR_INVALID;
    l = lease_find(t, request->name);
    if (l)
        return acquire_known(t, l, request, now, awake, out);
    if (!t->may_grant)
        return ERR_AGAIN;
    if (t->count >= t->limits.count) {
        out->why = "there are LOCK_COUNT_MAX locks already";
        return ERR_FULL;
    }
    out->lease = lease_add(t, request->name);
    out->is_new = true;
    grant_request(t, out->lease, request, NULL, now);
    return OK;
}

/* --- with a grant ------------------------------------------------------------------- */

enum lease_end lease_ended(const struct lease *l, uint64_t token)
{
    return token == l->token ? l->ended : LEASE_TAKEN;
}

static bool is_current(const struct lease *l, struct span owner, uint64_t token)
{
    return is_holder(l, owner) && token == l->token;
}

enum err lease_renew(struct lease_table *t, struct lease *l, struct span owner, uint64_t token,
                     uint64_t ttl_ms, int64_t now)
{
    int64_t most;

    if (!is_current(l, owner, token))
        return ERR_STALE;
    if (ttl_ms && ttl_ms < LOCK_TTL_MIN_MS)
        return ERR_INVALID;
    most = sure_ttl(t, l);
    set_held(t, l, ttl_ms && ttl_ms < (uint64_t)most ? (int64_t)ttl_ms : most, now);
    return OK;
}

enum err lease_release(struct lease_table *t, struct lease *l, struct span owner, uint64_t token,
                       int64_t now)
{
    if (token == l->token && l->ended == LEASE_RELEASED && span_eq(owner, l->owner))
        return OK;
    if (!is_current(l, owner, token))
        return ERR_STALE;
    l->ended = LEASE_RELEASED;
    lease_note(t, l);
    lease_set_free(t, l, now);
    return OK;
}

enum err lease_break(struct lease_table *t, struct lease *l, uint64_t token, int64_t now)
{
    if (token == l->token && l->ended == LEASE_BROKEN)
        return OK;
    if (l->state != LEASE_HELD || token != l->token)
        return ERR_STALE;
    lease_note(t, l);
    lease_set_closed(t, l, now, now, LEASE_BROKEN);
    return OK;
}

enum err lease_put(struct lease_table *t, struct lease *l, struct span owner, uint64_t token,
                   struct span value)
{
    if (!is_current(l, owner, token))
        return ERR_STALE;
    if (value.len > LOCK_VALUE_MAX)
        return ERR_TOO_LARGE;
    if (t->value_bytes - l->value.len + value.len > LEASE_VALUES_MAX)
        return ERR_FULL;
    l->sure_ttl_ms = sure_ttl(t, l);
    t->value_bytes += value.len - l->value.len;
    buf_free(&l->value); /* a short one does not keep a long one's memory */
    if (value.len)
        buf_add(&l->value, value.at, value.len);
    l->value_token = token;
    l->version++;
    l->is_value_unstored = true;
    lease_note(t, l);
    return OK;
}

/* --- looking ------------------------------------------------------------------------ */

int64_t lease_expires_ms(const struct lease *l, int64_t now)
{
    int64_t left = l->until - 1 - now;

    return l->state == LEASE_HELD && left > 0 ? left : 0;
}

int64_t lease_closed_ms(const struct lease *l, int64_t now)
{
    int64_t left = l->until - now;

    return l->state == LEASE_CLOSED && left > 0 ? left : 0;
}

size_t lease_waiters(const struct lease *l)
{
    return l->waiters;
}

/* --- as stored ---------------------------------------------------------------------- */

static bool is_restorable(const struct lease_table *t, const struct lease_stored *s)
{
    return lock_is_name(s->name) && !lease_find(t, s->name) &&
           (!s->token || lock_is_owner(s->owner)) && s->value.len <= LOCK_VALUE_MAX &&
           s->ttl_ms <= INT32_MAX && s->delay_ms <= INT32_MAX && s->held_ms <= INT64_MAX / 2 &&
           s->lost_ago_ms <= INT64_MAX / 2;
}

static void restore_value(struct lease_table *t, struct lease *l, const struct lease_stored *s)
{
    if (s->value.len)
        buf_add(&l->value, s->value.at, s->value.len);
    t->value_bytes += s->value.len;
    l->value_token = s->value_token;
    l->version = s->version;
}

enum err lease_restore(struct lease_table *t, const struct lease_stored *s, int64_t now)
{
    struct lease *l;

    if (!is_restorable(t, s))
        return ERR_INVALID;
    l = lease_add(t, s->name);
    span_copy(l->owner, sizeof l->owner, s->owner);
    span_copy(l->host, sizeof l->host, s->host);
    l->pid = s->pid;
    l->token = s->token;
    l->ended = s->ended;
    l->ttl_ms = l->sure_ttl_ms = (int64_t)s->ttl_ms;
    l->delay_ms = (int64_t)s->delay_ms;
    l->granted_at = now - (int64_t)s->held_ms;
    span_copy(l->lost.owner, sizeof l->lost.owner, s->lost_owner);
    l->lost.token = s->lost_token;
    l->lost.at = now - (int64_t)s->lost_ago_ms;
    l->lost.reason = s->lost_reason;
    restore_value(t, l, s);
    if (t->token < s->token)
        t->token = s->token;
    if (s->state == LEASE_HELD) {
        set_held(t, l, l->ttl_ms, now);
    } else if (s->state == LEASE_CLOSED) {
        l->state = LEASE_CLOSED;
        l->until = now + l->delay_ms;
        due_set(&t->dues, &l->due, l->until);
    } else {
        lease_judge(t, l, now);
    }
    return OK;
}
