#include "shared/base/table.h"

#include <stdlib.h>

#include "shared/base/mem.h"

#define SLOTS_MIN 16

static struct table_node **slot_of(const struct table *t, uint32_t hash)
{
    return &t->slots[hash & (t->slot_count - 1)];
}

static void put(struct table *t, struct table_node *n)
{
    struct table_node **slot = slot_of(t, n->hash);

    n->chain = *slot;
    *slot = n;
}

static void resize(struct table *t, size_t slot_count)
{
    struct table old = *t;

    t->slots = mem_zalloc(slot_count * sizeof *t->slots);
    t->slot_count = slot_count;
    for (size_t i = 0; i < old.slot_count; i++) {
        struct table_node *n = old.slots[i], *next;

        for (; n; n = next) {
            next = n->chain;
            put(t, n);
        }
    }
    free(old.slots);
}

void table_free(struct table *t)
{
    free(t->slots);
    *t = (struct table){0};
}

void table_add(struct table *t, struct table_node *n, uint32_t hash)
{
    if (t->count == t->slot_count)
        resize(t, t->slot_count ? t->slot_count * 2 : SLOTS_MIN);
    n->hash = hash;
    put(t, n);
    t->count++;
}

void table_remove(struct table *t, struct table_node *n)
{
    struct table_node **at = slot_of(t, n->hash);

    while (*at != n)
        at = &(*at)->chain;
    *at = n->chain;
    t->count--;
    if (t->slot_count > SLOTS_MIN && t->count < t->slot_count / 8)
        resize(t, t->slot_count / 2);
}
