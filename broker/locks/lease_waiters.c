/* lease_waiting: who waits, and what time brings. */
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "broker/locks/lease_private.h"
#include "shared/base/mem.h"

struct lease_place *lease_place_find(const struct lease *l, struct span owner)
{
    struct lease_place *p;

    HASH_FIND(hh, l->line, owner.at, owner.len, p);
    return p;
}

size_t lease_place_number(const struct lease *l, const struct lease_place *p)
{
    const struct lease_place *other = l->line;
    size_t number = 1;

    for (; other != p; other = other->hh.next)
        number++;
    return number;
}

size_t lease_waiting(const struct lease *l, const char **owners, size_t max)
{
    size_t count = 0;

    for (const struct lease_place *p = l->line; p && count < max; p = p->hh.next)
        owners[count++] = p->owner;
    return count;
}

static struct lease_place *add_place(struct lease_table *t, struct lease *l,
                                     struct span owner)
{
    struct lease_place *p = mem_zalloc(sizeof *p);

    span_copy(p->owner, sizeof p->owner, owner);
    p->lease = l;
    p->due.owner = p;
    p->due.kind = LEASE_DUE_PLACE;
    HASH_ADD_KEYPTR(hh, l->line, p->owner, owner.len, p);
    DL_APPEND2(t->asked, p, prev_asked, next_asked);
    l->waiters++;
    t->places++;
    return p;
}

struct lease_place *lease_place_ask(struct lease_table *t, struct lease *l,
                                    const struct lease_ask *ask, int64_t now,
                                    int64_t awake)
{
    struct lease_place *p = lease_place_find(l, ask->owner);
    uint64_t wait_ms = ask->wait_ms < LEASE_PLACE_MS ? ask->wait_ms : LEASE_PLACE_MS;

    if (!p)
        p = add_place(t, l, ask->owner);
    span_copy(p->host, sizeof p->host, ask->host);
    p->pid = ask->pid;
    p->ttl_ms = (int64_t)ask->ttl_ms;
    p->delay_ms = (int64_t)ask->delay_ms;
    p->asked_at = now;
    p->asked_awake = awake;
    DL_DELETE2(t->asked, p, prev_asked, next_asked);
    DL_APPEND2(t->asked, p, prev_asked, next_asked);
    p->asker.peer_len = 0;
    due_unset(&t->dues, &p->due);
    if (wait_ms) {
        memcpy(p->asker.peer, ask->peer.at, ask->peer.len);
        p->asker.peer_len = ask->peer.len;
        p->asker.id = ask->id;
        due_set(&t->dues, &p->due, now + (int64_t)wait_ms);
    }
    return p;
}

void lease_place_leave(struct lease_table *t, struct lease_place *p)
{
    struct lease *l = p->lease;

    due_unset(&t->dues, &p->due);
    DL_DELETE2(t->asked, p, prev_asked, next_asked);
    HASH_DEL(l->line, p);
    l->waiters--;
    t->places--;
    free(p);
}

bool lease_cancel(struct lease_table *t, struct lease *l, struct span owner,
                  int64_t now)
{
    struct lease_place *p = lease_place_find(l, owner);

    if (!p)
        return false;
    lease_place_leave(t, p);
    lease_judge(t, l, now);
    return true;
}

void lease_judge(struct lease_table *t, struct lease *l, int64_t now)
{
    bool is_free = l->state == LEASE_FREE;
    bool is_ready = is_free && l->line && l->line->asker.peer_len;
    bool is_idle = is_free && !l->line && !l->version;

    if (is_ready && !l->is_ready)
        DL_APPEND2(t->ready, l, prev_ready, next_ready);
    if (!is_ready && l->is_ready)
        DL_DELETE2(t->ready, l, prev_ready, next_ready);
    l->is_ready = is_ready;
    if (is_idle && !l->is_idle) {
        l->idle_since = now;
        DL_APPEND2(t->idle, l, prev_idle, next_idle);
    }
    if (!is_idle && l->is_idle)
        DL_DELETE2(t->idle, l, prev_idle, next_idle);
    l->is_idle = is_idle;
}

/* --- what happens by itself ----------------------------------------------------------------- */

static void tell_place(struct lease_place *p, enum lease_event_kind kind, int64_t now,
                       struct lease_event *out)
{
    out->kind = kind;
    out->lease = p->lease;
    out->asker = p->asker;
    out->place = lease_place_number(p->lease, p);
    out->waited_ms = now - p->asked_at;
    memcpy(out->owner, p->owner, sizeof out->owner);
}

static void end_wait(struct lease_table *t, struct lease_place *p, int64_t now,
                     struct lease_event *out)
{
    tell_place(p, LEASE_EVENT_WAIT_OVER, now, out);
    p->asker.peer_len = 0;
    due_unset(&t->dues, &p->due);
    lease_judge(t, p->lease, now);
}

static void end_lease(struct lease_table *t, struct lease *l, int64_t now,
                      struct lease_event *out)
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

static void drop(struct lease_table *t, struct lease_place *p, int64_t now,
                 struct lease_event *out)
{
    struct lease *l = p->lease;

    tell_place(p, LEASE_EVENT_DROPPED, now, out);
    lease_place_leave(t, p);
    lease_judge(t, l, now);
}

static void grant_first(struct lease_table *t, struct lease *l, int64_t now,
                        struct lease_event *out)
{
    struct lease_place to = *l->line;

    tell_place(l->line, LEASE_EVENT_GRANTED, now, out);
    lease_place_leave(t, l->line);
    lease_grant(t, l, &to, now);
}

/* Longest idle first: when it is time, or when there is no room for another name. */
static struct lease *to_forget(const struct lease_table *t, int64_t now)
{
    struct lease *l = t->idle;

    return l && !l->is_unstored &&
                   (now - l->idle_since >= LEASE_FORGET_MS ||
                    t->count >= t->limits.count)
               ? l
               : NULL;
}

bool lease_next(struct lease_table *t, int64_t now, int64_t awake,
                struct lease_event *out)
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
    if (t->asked && awake - t->asked->asked_awake >= LEASE_PLACE_MS) {
        drop(t, t->asked, now, out);
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

static int64_t sooner(int64_t a, int64_t b)
{
    if (b < 0)
        b = 0;
    return a < 0 || b < a ? b : a;
}

int64_t lease_wait(const struct lease_table *t, int64_t now, int64_t awake)
{
    struct due *first = due_first(&t->dues);
    int64_t wait = -1;

    if (first)
        wait = sooner(wait, first->at - now);
    if (t->asked)
        wait = sooner(wait, t->asked->asked_awake + LEASE_PLACE_MS - awake);
    if (t->idle && !t->idle->is_unstored)
        wait = sooner(wait, t->idle->idle_since + LEASE_FORGET_MS - now);
    if ((t->ready && t->may_grant) || to_forget(t, now))
        wait = 0;
    return wait;
}
