#include "broker/log/store_symbols.h"

#include <stdlib.h>
#include <string.h>

#include "shared/base/hash.h"
#include "shared/base/mem.h"

struct store_symbols {
    struct store_symbol **slots;
    size_t slot_count, count;
};

struct store_symbols *store_symbols_new(void)
{
    struct store_symbols *t = mem_zalloc(sizeof *t);

    t->slot_count = 1024;
    t->slots = mem_zalloc(t->slot_count * sizeof *t->slots);
    return t;
}

void store_symbols_free(struct store_symbols *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->slot_count; i++)
        for (struct store_symbol *s = t->slots[i], *next; s; s = next) {
            next = s->chain;
            free(s);
        }
    free(t->slots);
    free(t);
}

struct store_symbol *store_symbols_find(const struct store_symbols *t, struct span name)
{
    uint32_t hash = hash_name(name);
    struct store_symbol *s = t->slots[hash & (t->slot_count - 1)];

    while (s && !(s->hash == hash && s->len == name.len &&
                  memcmp(s->name, name.at, name.len) == 0))
        s = s->chain;
    return s;
}

static void put_in_slot(struct store_symbols *t, struct store_symbol *s)
{
    struct store_symbol **slot = &t->slots[s->hash & (t->slot_count - 1)];

    s->chain = *slot;
    *slot = s;
}

static void grow(struct store_symbols *t)
{
    struct store_symbol **old = t->slots;
    size_t old_count = t->slot_count;

    t->slot_count *= 2;
    t->slots = mem_zalloc(t->slot_count * sizeof *t->slots);
    for (size_t i = 0; i < old_count; i++)
        for (struct store_symbol *s = old[i], *next; s; s = next) {
            next = s->chain;
            put_in_slot(t, s);
        }
    free(old);
}

struct store_symbol *store_symbols_add(struct store_symbols *t, struct span name,
                                       int64_t id)
{
    struct store_symbol *s = mem_zalloc(sizeof *s);

    if (t->count++ == t->slot_count)
        grow(t);
    s->hash = hash_name(name);
    s->len = (uint8_t)name.len;
    memcpy(s->name, name.at, name.len);
    s->id = id;
    put_in_slot(t, s);
    return s;
}

void store_symbols_push(struct store_symbol_list *l, struct store_symbol *symbol)
{
    if (l->count == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 256;
        l->at = mem_resize(l->at, l->cap * sizeof *l->at);
    }
    l->at[l->count++] = symbol;
}

static int compare(const void *a, const void *b)
{
    int64_t x = (*(struct store_symbol *const *)a)->id,
            y = (*(struct store_symbol *const *)b)->id;

    return x < y ? -1 : x > y;
}

void store_symbols_sort(struct store_symbol_list *l)
{
    /* No symbol: `at` may be NULL, which qsort does not allow. */
    if (l->count)
        qsort(l->at, l->count, sizeof *l->at, compare);
}
