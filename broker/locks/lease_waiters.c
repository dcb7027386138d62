/*
 * lease_waiters: the owners that wait for a lock, and the lists of free locks to grant or to
 * remove.
 */
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

static struct lease_place *add_place(struct lease_table *t, struct lease *l, struct span owner)
{
    struct lease_place *p = mem_zalloc(sizeof *p);

    span_copy(p->owner, sizeof p->owner, owner);
    p->lease = l;
    p->due.owner = p;
    p->due.kind = LEASE_DUE_PLACE;
    HASH_ADD_KEYPTR(hh, l->line, p->owner, owner.len, p);
    DL_APPEND2(t->by_request, p, prev_request, next_request);
    l->waiters++;
    t->places++;
    return p;
}

struct lease_place *lease_place_take(struct lease_table *t, struct lease *l,
                                     const struct lease_request *request, int64_t now,
                                     int64_t awake)
{
    struct lease_place *p = lease_place_find(l, request->owner);
    uint64_t wait_ms = request->wait_ms < LEASE_PLACE_MS ? request->wait_ms : LEASE_PLACE_MS;

    if (!p)
        p = add_place(t, l, request->owner);
    span_copy(p->host, sizeof p->host, request->host);
    p->pid = request->pid;
    p->ttl_ms = (int64_t)request->ttl_ms;
    p->delay_ms = (int64_t)request->delay_ms;
    p->requested_at = now;
    p->requested_awake = awake;
    DL_DELETE2(t->by_request, p, prev_request, next_request);
    DL_APPEND2(t->by_request, p, prev_request, next_request);
    p->reply_to.peer_len = 0;
    due_unset(&t->dues, &p->due);
    if (wait_ms) {
        memcpy(p->reply_to.peer, request->peer.at, request->peer.len);
        p->reply_to.peer_len = request->peer.len;
        p->reply_to.id = request->id;
        due_set(&t->dues, &p->due, now + (int64_t)wait_ms);
    }
    return p;
}

void lease_place_leave(struct lease_table *t, struct lease_place *p)
{
    struct lease *l = p->lease;

    due_unset(&t->dues, &p->due);
    DL_DELETE2(t->by_request, p, prev_request, next_request);
    HASH_DEL(l->line, p);
    l->waiters--;
    t->places--;
    free(p);
}

bool lease_cancel(struct lease_table *t, struct lease *l, struct span owner, int64_t now)
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
    bool is_ready = is_free && l->line && l->line->reply_to.peer_len;
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
