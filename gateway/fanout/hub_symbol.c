/*
 * hub_symbol: the symbols a hub knows, how it forgets them, and the frames of their newest
 * records.
 *
 * A symbol keeps its index as long as it is known; the index of a forgotten one is given again.
 */
#include <stdlib.h>
#include <string.h>

#include "gateway/fanout/encode.h"
#include "gateway/fanout/hub_private.h"
#include "shared/base/array.h"
#include "shared/base/mem.h"

static struct hub_symbol *find_symbol(const struct hub *h, struct span name,
                                      uint32_t hash)
{
    struct hub_symbol *s = h->symbol_slots[hash & (h->symbol_slot_count - 1)];

    while (s && !(s->hash == hash && s->name_len == name.len &&
                  memcmp(s->name, name.at, name.len) == 0))
        s = s->chain;
    return s;
}

struct hub_symbol *hub_find(const struct hub *h, struct span symbol)
{
    return find_symbol(h, symbol, hash_name(symbol));
}

size_t hub_symbol_count(const struct hub *h)
{
    return h->symbol_count;
}

struct hub_symbol *hub_symbol_at(const struct hub *h, size_t index)
{
    return h->symbols[index];
}

size_t hub_symbol_end(const struct hub *h)
{
    return h->symbol_end;
}

static void put_symbol_in_slot(struct hub *h, struct hub_symbol *s)
{
    struct hub_symbol **slot = &h->symbol_slots[s->hash & (h->symbol_slot_count - 1)];

    s->chain = *slot;
    *slot = s;
}

static void resize_symbol_slots(struct hub *h, size_t count)
{
    free(h->symbol_slots);
    h->symbol_slot_count = count;
    h->symbol_slots = mem_zalloc(count * sizeof(void *));
    for (size_t i = 0; i < h->symbol_end; i++)
        if (h->symbols[i])
            put_symbol_in_slot(h, h->symbols[i]);
}

static uint32_t take_index(struct hub *h)
{
    if (h->free_index_count)
        return h->free_indexes[--h->free_index_count];
    ARRAY_RESERVE(h->symbols, h->symbol_cap, h->symbol_end + 1);
    return (uint32_t)h->symbol_end++;
}

struct hub_symbol *hub_know(struct hub *h, struct span name)
{
    uint32_t hash = hash_name(name);
    struct hub_symbol *s = find_symbol(h, name, hash);

    if (s)
        return s;
    s = mem_zalloc(sizeof *s);
    memcpy(s->name, name.at, name.len);
    s->name_len = (uint8_t)name.len;
    s->hash = hash;
    if (h->symbol_count >= h->symbol_slot_count)
        resize_symbol_slots(h, h->symbol_slot_count * 2);
    s->index = take_index(h);
    h->symbols[s->index] = s;
    h->symbol_count++;
    put_symbol_in_slot(h, s);
    prefix_index_add(h->index, s->name, s);
    hub_match(h, s);
    if (!s->topic_count)
        hub_may_forget(h);
    return s;
}

/* --- forgetting --------------------------------------------------------------------- */

void hub_may_forget(struct hub *h)
{
    h->may_forget_again |= h->may_forget && h->forget_at;
    h->may_forget = true;
}

bool hub_has_everything(const struct hub *h)
{
    const struct hub_topic *t = hub_topic_find(h, SPAN("*"));

    return t && t->sync == TOPIC_LIVE && !h->is_frozen;
}

size_t hub_valued_count(const struct hub *h)
{
    return h->valued_count;
}

struct prefix_walk hub_walk_names(const struct hub *h, struct span prefix)
{
    return prefix_index_walk(h->index, prefix);
}

/* No feed of this log supplies it, and nothing points to it. */
static bool is_idle(const struct hub_symbol *s)
{
    return !s->holds && !s->is_changed && (!s->body.len || s->is_of_old_log);
}

static void forget(struct hub *h, struct hub_symbol *s)
{
    struct hub_symbol **slot = &h->symbol_slots[s->hash & (h->symbol_slot_count - 1)];

    while (*slot != s)
        slot = &(*slot)->chain;
    *slot = s->chain;
    prefix_index_remove(h->index, hub_name_of(s));
    h->symbols[s->index] = NULL;
    ARRAY_RESERVE(h->free_indexes, h->free_index_cap, h->free_index_count + 1);
    h->free_indexes[h->free_index_count++] = s->index;
    h->symbol_count--;
    hub_begin_round(h); /* backlogs take two marks of an index in one round for one */
    hub_symbol_free(s);
}

/* A pass is over: give back what the tables do not need any more. */
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
        resize_symbol_slots(h, slots);
    if (h->symbol_cap > 64 && end < h->symbol_cap / 4) {
        h->symbol_cap = end < 16 ? 16 : end;
        h->symbols = mem_resize(h->symbols, h->symbol_cap * sizeof(void *));
    }
    if (h->free_index_cap > 64 && h->free_index_count < h->free_index_cap / 4) {
        h->free_index_cap = h->free_index_count < 16 ? 16 : h->free_index_count;
        h->free_indexes =
            mem_resize(h->free_indexes, h->free_index_cap * sizeof *h->free_indexes);
    }
}

bool hub_forget_some(struct hub *h, size_t most)
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

void hub_symbol_free(struct hub_symbol *s)
{
    hub_drop_frames(s);
    buf_free(&s->body);
    free(s->topics);
    free(s);
}

void hub_drop_frames(struct hub_symbol *s)
{
    for (size_t kind = 0; kind < MESSAGE_COUNT; kind++)
        for (size_t e = 0; e < ENCODING_COUNT; e++)
            if (s->frames[kind][e])
                frame_release(&s->frames[kind][e]);
}

struct frame *hub_make_frame(struct hub_symbol *s, enum symbol_message kind,
                             enum encoding encoding)
{
    struct frame *f = encode_symbol(s, kind, encoding);

    f->symbol = s;
    s->frames[kind][encoding] = f;
    return f;
}
