/*
 * hub_forget: removes topics without references, and symbols that no subscriber wants and no feed
 * supplies.
 */
#include <stdlib.h>

#include "gateway/fanout/hub_due.h"
#include "gateway/fanout/hub_topic.h"
#include "shared/base/array.h"

/* True if no feed of this log supplies the symbol and nothing points to it. */
static bool is_idle(const struct hub_symbol *s)
{
    return !s->references && !s->is_changed && (!s->body.len || s->is_of_old_log);
}

static void forget(struct hub *h, struct hub_symbol *s)
{
    struct hub_symbol **slot = &h->symbol_slots[s->hash & (h->symbol_slot_count - 1)];

    while (*slot != s)
        slot = &(*slot)->chain;
    *slot = s->chain;
    prefix_index_remove(h->index, hub_name_of(s));
    h->symbols[s->index] = NULL;
    ARRAY_ADD(h->free_indexes, h->free_index_cap, h->free_index_count, s->index);
    h->symbol_count--;
    /*
     * the index may be given to another symbol, and a backlog ignores a second mark of an index in
     * one round
     */
    h->round++;
    hub_symbol_free(s);
}

/* After a pass over all symbols: release memory that the tables no longer need. */
static void shrink(struct hub *h)
{
    size_t end = h->symbol_end, slots = h->symbol_slot_count;

    while (end && !h->symbols[end - 1])
        end--;
    if (end < h->symbol_end) {
        h->symbol_end = end;
        h->free_index_count = 0;
        for (size_t i = end; i-- > 0;)
            if (!h->symbols[i])
                h->free_indexes[h->free_index_count++] = (uint32_t)i;
    }
    while (slots > HUB_SLOTS_MIN && h->symbol_count < slots / 4)
        slots /= 2;
    if (slots < h->symbol_slot_count)
        hub_resize_symbols(h, slots);
    ARRAY_SHRINK(h->symbols, h->symbol_cap, end);
    ARRAY_SHRINK(h->free_indexes, h->free_index_cap, h->free_index_count);
}

static bool forget_some(struct hub *h, size_t most)
{
    if (!h->may_forget || h->dirty_count)
        return false;
    for (; most && h->forget_at < h->symbol_end; most--) {
        struct hub_symbol *s = h->symbols[h->forget_at++];

        if (!s || !is_idle(s))
            continue;
        hub_match(h, s);
        if (!s->topic_count)
            forget(h, s);
    }
    if (h->forget_at < h->symbol_end)
        return true;
    shrink(h);
    h->forget_at = 0;
    h->may_forget = h->may_forget_again;
    h->may_forget_again = false;
    return h->may_forget;
}

bool hub_tidy(struct hub *h, size_t most)
{
    bool has_removed = false;

    for (size_t i = 0; i < most && h->idle; i++) {
        struct hub_topic *t = h->idle;

        h->idle = t->next_idle;
        t->is_idle = false;
        if (t->references)
            continue; /* the topic is in use again */
        hub_topic_remove(h, t);
        has_removed = true;
    }
    if (has_removed) {
        hub_may_forget(h);
        if (h->topic_slot_count > HUB_SLOTS_MIN && h->topic_count < h->topic_slot_count / 4)
            hub_topic_resize(h, h->topic_slot_count / 2);
    }
    return forget_some(h, most * 4) || h->idle;
}
