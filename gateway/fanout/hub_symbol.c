/*
 * hub_symbol: the symbols that a hub knows, by name and by index.
 *
 * A symbol keeps its index while it is known; the index of a forgotten symbol is used again.
 */
#include <stdlib.h>
#include <string.h>

#include "gateway/fanout/hub_topic.h"
#include "shared/base/array.h"
#include "shared/base/mem.h"

static struct hub_symbol *find_symbol(const struct hub *h, struct span name, uint32_t hash)
{
    struct hub_symbol *s = h->symbol_slots[hash & (h->symbol_slot_count - 1)];

    while (s &&
           !(s->hash == hash && s->name_len == name.len && memcmp(s->name, name.at, name.len) == 0))
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

void hub_resize_symbols(struct hub *h, size_t count)
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
        hub_resize_symbols(h, h->symbol_slot_count * 2);
    s->index = take_index(h);
    s->epoch = h->epoch;
    h->symbols[s->index] = s;
    h->symbol_count++;
    put_symbol_in_slot(h, s);
    prefix_index_add(h->index, s->name, s);
    hub_match(h, s);
    if (!s->topic_count)
        hub_may_forget(h);
    return s;
}

size_t hub_valued_count(const struct hub *h)
{
    return h->valued_count;
}

struct prefix_walk hub_walk_names(const struct hub *h, struct span prefix)
{
    return prefix_index_walk(h->index, prefix);
}
