/* hub_member: subscribers: which topics each is in, what it is owed, and who is to be flushed. */
#include <stdlib.h>
#include <string.h>

#include "gateway/fanout/hub_private.h"
#include "shared/base/array.h"
#include "shared/base/mem.h"

/* --- due lists ---------------------------------------------------------------------- */

void hub_set_due(struct hub *h, struct hub_subscriber *s)
{
    hub_put_due(h, s);
}

void hub_enter_due(struct hub *h, struct hub_subscriber *s)
{
    s->is_due = true;
    s->due_at = (uint32_t)h->due_count;
    ARRAY_RESERVE(h->due, h->due_cap, h->due_count + 1);
    h->due[h->due_count++] = s;
}

bool hub_has_due(const struct hub *h)
{
    return h->due_first < h->due_count;
}

size_t hub_due_count(struct hub *h)
{
    if (h->due_first > h->due_count / 2) {
        h->due_count -= h->due_first;
        memmove(h->due, h->due + h->due_first, h->due_count * sizeof(void *));
        h->due_first = 0;
        for (size_t i = 0; i < h->due_count; i++)
            if (h->due[i])
                h->due[i]->due_at = (uint32_t)i;
    }
    return h->due_count - h->due_first;
}

struct hub_subscriber *hub_take_due(struct hub *h)
{
    while (h->due_first < h->due_count) {
        struct hub_subscriber *s = h->due[h->due_first++];

        if (!s)
            continue; /* it left meanwhile */
        s->is_due = false;
        return s;
    }
    h->due_first = h->due_count = 0;
    return NULL;
}

void hub_begin_round(struct hub *h)
{
    if (++h->round == 0)
        h->round = 1;
}

/* --- which topics ---------------------------------------------------------------------- */

#define SLOTS_FROM 8 /* topics; fewer are looked through */
#define NO_PLACE UINT32_MAX

/* Where in s->topics a topic is, by its hash: open addressing; a slot holds the place + 1. */
static void put_in_slot(struct hub_subscriber *s, uint32_t place)
{
    uint32_t mask = s->slot_count - 1, at = s->topics[place].topic->hash & mask;

    while (s->slots[at])
        at = (at + 1) & mask;
    s->slots[at] = place + 1;
}

static void make_slots(struct hub_subscriber *s)
{
    uint32_t count = SLOTS_FROM * 2;

    while (count < s->topic_count * 2)
        count *= 2;
    free(s->slots);
    s->slots = mem_zalloc(count * sizeof *s->slots);
    s->slot_count = count;
    for (uint32_t i = 0; i < s->topic_count; i++)
        put_in_slot(s, i);
}

static void drop_slots(struct hub_subscriber *s)
{
    free(s->slots);
    s->slots = NULL;
    s->slot_count = 0;
}

static uint32_t slot_of(const struct hub_subscriber *s, const struct hub_topic *t,
                        uint32_t place)
{
    uint32_t mask = s->slot_count - 1, at = t->hash & mask;

    while (s->slots[at] && (place == NO_PLACE ? s->topics[s->slots[at] - 1].topic != t
                                              : s->slots[at] != place + 1))
        at = (at + 1) & mask;
    return at;
}

static uint32_t place_of(const struct hub_subscriber *s, const struct hub_topic *t)
{
    if (s->slots)
        return s->slots[slot_of(s, t, NO_PLACE)] - 1; /* 0 - 1: NO_PLACE */
    for (uint32_t i = 0; i < s->topic_count; i++)
        if (s->topics[i].topic == t)
            return i;
    return NO_PLACE;
}

/* Empty the slot; those behind it that it stood in the way of move up. */
static void clear_slot(struct hub_subscriber *s, uint32_t hole)
{
    uint32_t mask = s->slot_count - 1;

    for (uint32_t at = (hole + 1) & mask; s->slots[at]; at = (at + 1) & mask) {
        uint32_t home = s->topics[s->slots[at] - 1].topic->hash & mask;

        if (((at - home) & mask) >= ((at - hole) & mask)) {
            s->slots[hole] = s->slots[at];
            hole = at;
        }
    }
    s->slots[hole] = 0;
}

bool hub_is_member(const struct hub_subscriber *s, const struct hub_topic *t)
{
    return place_of(s, t) != NO_PLACE;
}

bool hub_add_member(struct hub *h, struct hub_subscriber *s, struct hub_topic *t,
                    bool is_joining)
{
    (void)h;
    if (hub_is_member(s, t))
        return false;
    ARRAY_RESERVE(t->members, t->member_cap, t->member_count + 1);
    ARRAY_RESERVE(s->topics, s->topic_cap, s->topic_count + 1);
    t->members[t->member_count] =
        (struct hub_member){s, s->topic_count & HUB_PLACE_MAX, is_joining};
    s->topics[s->topic_count++] = (struct hub_place){t, t->member_count++};
    if (s->topic_count > SLOTS_FROM) {
        if (s->topic_count * 2 > s->slot_count)
            make_slots(s);
        else
            put_in_slot(s, s->topic_count - 1);
    }
    t->all_count += s->wants_all;
    t->references++;
    return true;
}

static void remove_member(struct hub *h, struct hub_subscriber *s, uint32_t i)
{
    struct hub_place p = s->topics[i];
    struct hub_topic *t = p.topic;
    uint32_t last = s->topic_count - 1;

    if (s->slots) {
        clear_slot(s, slot_of(s, t, i));
        if (i != last)
            s->slots[slot_of(s, s->topics[last].topic, last)] = i + 1;
    }
    t->all_count -= s->wants_all;
    t->members[p.place] = t->members[--t->member_count];
    if (p.place < t->member_count)
        t->members[p.place].who->topics[t->members[p.place].place].place = p.place;
    s->topics[i] = s->topics[last];
    s->topic_count = last;
    if (i < last)
        s->topics[i].topic->members[s->topics[i].place].place = i & HUB_PLACE_MAX;
    if (s->topic_count <= SLOTS_FROM)
        drop_slots(s);
    hub_topic_release(h, t);
}

void hub_set_mode(struct hub_subscriber *s, bool wants_all)
{
    for (uint32_t i = 0; i < s->topic_count; i++) {
        s->topics[i].topic->all_count -= s->wants_all;
        s->topics[i].topic->all_count += wants_all;
    }
    s->wants_all = wants_all;
}

/* --- leaving --------------------------------------------------------------------------- */

/* Its backlog may name symbols that it has left: none of them may be forgotten meanwhile. */
static void note_dirty(struct hub *h, struct hub_subscriber *s)
{
    if (s->is_counted_dirty == s->backlog.is_dirty)
        return;
    s->is_counted_dirty = s->backlog.is_dirty;
    if (s->is_counted_dirty)
        h->dirty_count++;
    else
        h->dirty_count--;
}

struct coverage {
    const struct hub *h;
    const struct hub_subscriber *s;
};

static bool is_covered(void *ctx, struct hub_symbol *symbol)
{
    const struct coverage *c = ctx;

    hub_match(c->h, symbol);
    for (uint32_t i = 0; i < symbol->topic_count; i++) {
        const struct hub_topic *t = symbol->topics[i];
        uint32_t place = place_of(c->s, t);

        if (place != NO_PLACE && !(t->members[c->s->topics[place].place].is_joining &&
                                   hub_join_awaits(c->s, symbol)))
            return true;
    }
    return false;
}

void hub_verify_backlog(struct hub *h, struct hub_subscriber *s, uint32_t most)
{
    struct coverage c = {h, s};

    if (s->backlog.is_dirty)
        backlog_verify(&s->backlog, is_covered, &c, most);
    note_dirty(h, s);
}

bool hub_leave(struct hub *h, struct hub_subscriber *s, struct span pattern)
{
    const struct hub_topic *t =
        pattern.len <= HUB_PATTERN_MAX ? hub_topic_find(h, pattern) : NULL;
    uint32_t place = t ? place_of(s, t) : NO_PLACE;

    if (place == NO_PLACE)
        return false;
    remove_member(h, s, place);
    backlog_suspect(&s->backlog);
    note_dirty(h, s);
    return true;
}

void hub_leave_all(struct hub *h, struct hub_subscriber *s)
{
    hub_join_end(h, s);
    drop_slots(s);
    while (s->topic_count)
        remove_member(h, s, s->topic_count - 1);
    if (s->is_due)
        h->due[s->due_at] = NULL;
    backlog_fini(&s->backlog);
    note_dirty(h, s);
    free(s->topics);
    s->topics = NULL;
    s->topic_cap = 0;
    s->is_due = false;
}
