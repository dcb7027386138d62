/* hub_member: the topics of each subscriber, and the members of each topic. */
#include <stdlib.h>
#include <string.h>

#include "gateway/fanout/hub_state.h"
#include "shared/base/array.h"
#include "shared/base/mem.h"

/* with fewer topics a subscriber has no slots; a search looks at all of them */
#define SLOTS_FROM 8

/* A hash table from topic to index in s->topics: open addressing; a slot holds the index + 1. */
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

void hub_drop_slots(struct hub_subscriber *s)
{
    free(s->slots);
    s->slots = NULL;
    s->slot_count = 0;
}

static uint32_t slot_of(const struct hub_subscriber *s, const struct hub_topic *t, uint32_t place)
{
    uint32_t mask = s->slot_count - 1, at = t->hash & mask;

    while (s->slots[at] && (place == HUB_NO_PLACE ? s->topics[s->slots[at] - 1].topic != t
                                                  : s->slots[at] != place + 1))
        at = (at + 1) & mask;
    return at;
}

uint32_t hub_member_place(const struct hub_subscriber *s, const struct hub_topic *t)
{
    /* an empty slot: 0 - 1 is HUB_NO_PLACE */
    if (s->slots)
        return s->slots[slot_of(s, t, HUB_NO_PLACE)] - 1;
    for (uint32_t i = 0; i < s->topic_count; i++)
        if (s->topics[i].topic == t)
            return i;
    return HUB_NO_PLACE;
}

/* Empties the slot and moves up the entries that it had displaced. */
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
    return hub_member_place(s, t) != HUB_NO_PLACE;
}

bool hub_add_member(struct hub *h, struct hub_subscriber *s, struct hub_topic *t, bool is_joining)
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

void hub_remove_member(struct hub *h, struct hub_subscriber *s, uint32_t i)
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
        t->members[p.place].subscriber->topics[t->members[p.place].place].place = p.place;
    s->topics[i] = s->topics[last];
    s->topic_count = last;
    if (i < last)
        s->topics[i].topic->members[s->topics[i].place].place = i & HUB_PLACE_MAX;
    if (s->topic_count <= SLOTS_FROM)
        hub_drop_slots(s);
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

/* While a backlog may contain symbols that its subscriber left, hub_tidy forgets no symbol. */
void hub_note_dirty(struct hub *h, struct hub_subscriber *s)
{
    if (s->is_counted_dirty == s->backlog.is_dirty)
        return;
    s->is_counted_dirty = s->backlog.is_dirty;
    if (s->is_counted_dirty)
        h->dirty_count++;
    else
        h->dirty_count--;
}

void hub_drop_backlog(struct hub *h, struct hub_subscriber *s)
{
    backlog_fini(&s->backlog);
    hub_note_dirty(h, s);
}
