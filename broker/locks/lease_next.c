/* lease_next: the events that time and free locks bring about without a request. */
#include <string.h>

#include "broker/locks/lease_private.h"
#include "shared/base/wait.h"

static void fill_event(struct lease_place *p, enum lease_event_kind kind, int64_t now,
                       struct lease_event *out)
{
    out->kind = kind;
    out->lease = p->lease;
    out->reply_to = p->reply_to;
    out->place = lease_place_number(p->lease, p);
    out->waited_ms = now - p->requested_at;
    memcpy(out->owner, p->owner, sizeof out->owner);
}

static void end_wait(struct lease_table *t, struct lease_place *p, int64_t now,
                     struct lease_event *out)
{
    fill_event(p, LEASE_EVENT_WAIT_OVER, now, out);
    p->reply_to.peer_len = 0;
    due_unset(&t->dues, &p->due);
    lease_judge(t, p->lease, now);
}

static void end_lease(struct lease_table *t, struct lease *l, int64_t now, struct lease_event *out)
{
    out->lease = l;
    lease_note_later(t, l);
    if (l->state == LEASE_HELD) {
        out->kind = LEASE_EVENT_EXPIRED;
        lease_set_closed(t, l, l->until, now, LEASE_EXPIRED);
    } else {
        out->kind = LEASE_EVENT_OPENED;
        lease_set_free(t, l, now);
    }
}

static void drop(struct lease_table *t, struct lease_place *p, int64_t now, struct lease_event *out)
{
    struct lease *l = p->lease;

    fill_event(p, LEASE_EVENT_DROPPED, now, out);
    lease_place_leave(t, p);
    lease_judge(t, l, now);
}

static void grant_first(struct lease_table *t, struct lease *l, int64_t now,
                        struct lease_event *out)
{
    struct lease_place to = *l->line;

    fill_event(l->line, LEASE_EVENT_GRANTED, now, out);
    lease_place_leave(t, l->line);
    lease_grant(t, l, &to, now);
}

/* The free lock to remove: the longest idle one, when it is due, or when a new name needs room. */
static struct lease *to_forget(const struct lease_table *t, int64_t now)
{
    struct lease *l = t->idle;

    return l && !l->is_unstored &&
                   (now - l->idle_since >= LEASE_FORGET_MS || t->count >= t->limits.count)
               ? l
               : NULL;
}

bool lease_next(struct lease_table *t, int64_t now, int64_t awake, struct lease_event *out)
{
    struct due *first = due_first(&t->dues);
    struct lease *old;

    *out = (struct lease_event){0};
    if (first && first->at <= now) {
        if (first->kind == LEASE_DUE_PLACE)
            end_wait(t, first->owner, now, out);
        else
            end_lease(t, first->owner, now, out);
        return true;
    }
    if (t->by_request && awake - t->by_request->requested_awake >= LEASE_PLACE_MS) {
        drop(t, t->by_request, now, out);
        return true;
    }
    if (t->ready && t->may_grant) {
        grant_first(t, t->ready, now, out);
        return true;
    }
    old = to_forget(t, now);
    if (!old)
        return false;
    out->kind = LEASE_EVENT_FORGOTTEN;
    memcpy(out->name, old->name, sizeof out->name);
    lease_forget(t, old);
    return true;
}

int64_t lease_wait(const struct lease_table *t, int64_t now, int64_t awake)
{
    struct due *first = due_first(&t->dues);
    int64_t wait = -1;

    if (first)
        wait = wait_sooner(wait, wait_until(first->at, now));
    if (t->by_request)
        wait =
            wait_sooner(wait, wait_until(t->by_request->requested_awake + LEASE_PLACE_MS, awake));
    if (t->idle && !t->idle->is_unstored)
        wait = wait_sooner(wait, wait_until(t->idle->idle_since + LEASE_FORGET_MS, now));
    if ((t->ready && t->may_grant) || to_forget(t, now))
        wait = 0;
    return wait;
}
