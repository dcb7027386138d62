/* hub_symbol: the symbols a hub knows, and the frames of their newest records. */
#include <stdlib.h>
#include <string.h>

#include "gateway/encode.h"
#include "gateway/hub_private.h"
#include "shared/mem.h"

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

static void put_symbol_in_slot(struct hub *h, struct hub_symbol *s)
{
    struct hub_symbol **slot = &h->symbol_slots[s->hash & (h->symbol_slot_count - 1)];

    s->chain = *slot;
    *slot = s;
}

static void grow_symbol_slots(struct hub *h)
{
    if (h->symbol_count < h->symbol_slot_count)
        return;
    free(h->symbol_slots);
    h->symbol_slot_count *= 2;
    h->symbol_slots = mem_zalloc(h->symbol_slot_count * sizeof(void *));
    for (size_t i = 0; i < h->symbol_count; i++)
        put_symbol_in_slot(h, h->symbols[i]);
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
    s->index = (uint32_t)h->symbol_count;
    grow_symbol_slots(h);
    h->symbols = hub_grown(h->symbols, h->symbol_count, &h->symbol_cap, sizeof(void *));
    h->symbols[h->symbol_count++] = s;
    put_symbol_in_slot(h, s);
    hub_topic_match(h, s);
    return s;
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
