#include "broker/core/book.h"

#include <stdlib.h>
#include <string.h>

#include "shared/base/hash.h"
#include "shared/base/mem.h"

/* A chained hash table that doubles: one cache line per look-up on the quote path. */
struct book {
    size_t max, count, slot_count;
    struct book_entry **slots;
    struct book_entry **by_index;
    struct prefix_index *by_symbol;
    struct book_entry **changes;
    size_t change_count, cap; /* cap of by_index and changes */
};

struct book *book_new(size_t max_symbols)
{
    struct book *b = mem_zalloc(sizeof *b);

    b->max = max_symbols;
    b->slot_count = 1024;
    b->slots = mem_zalloc(b->slot_count * sizeof *b->slots);
    b->by_symbol = prefix_index_new();
    return b;
}

void book_free(struct book *b)
{
    if (!b)
        return;
    for (size_t i = 0; i < b->count; i++) {
        buf_free(&b->by_index[i]->record);
        free(b->by_index[i]);
    }
    prefix_index_free(b->by_symbol);
    free(b->by_index);
    free(b->changes);
    free(b->slots);
    free(b);
}

static struct book_entry *find(const struct book *b, struct span symbol, uint32_t hash)
{
    struct book_entry *e = b->slots[hash & (b->slot_count - 1)];

    while (e && !(e->hash == hash && e->symbol_len == symbol.len &&
                  memcmp(e->symbol, symbol.at, symbol.len) == 0))
        e = e->chain;
    return e;
}

static void put_in_slot(struct book *b, struct book_entry *e)
{
    struct book_entry **slot = &b->slots[e->hash & (b->slot_count - 1)];

    e->chain = *slot;
    *slot = e;
}

static void grow(struct book *b)
{
    if (b->count == b->cap) {
        b->cap = b->cap ? b->cap * 2 : 256;
        b->by_index = mem_resize(b->by_index, b->cap * sizeof(void *));
        b->changes = mem_resize(b->changes, b->cap * sizeof(void *));
    }
    if (b->count < b->slot_count)
        return;
    free(b->slots);
    b->slot_count *= 2;
    b->slots = mem_zalloc(b->slot_count * sizeof *b->slots);
    for (size_t i = 0; i < b->count; i++)
        put_in_slot(b, b->by_index[i]);
}

struct book_entry *book_find(const struct book *b, struct span symbol)
{
    return find(b, symbol, hash_name(symbol));
}

struct book_entry *book_add(struct book *b, struct span symbol)
{
    uint32_t hash = hash_name(symbol);
    struct book_entry *e = find(b, symbol, hash);

    if (e || b->count == b->max)
        return e;
    grow(b);
    e = mem_zalloc(sizeof *e);
    memcpy(e->symbol, symbol.at, symbol.len);
    e->symbol_len = (uint8_t)symbol.len;
    e->hash = hash;
    e->index = (uint32_t)b->count;
    b->by_index[b->count++] = e;
    prefix_index_add(b->by_symbol, e->symbol, e);
    put_in_slot(b, e);
    return e;
}

struct book_entry *book_at(const struct book *b, size_t index)
{
    return b->by_index[index];
}

size_t book_count(const struct book *b)
{
    return b->count;
}

struct prefix_walk book_walk(const struct book *b, struct span prefix)
{
    return prefix_index_walk(b->by_symbol, prefix);
}

void book_touch(struct book *b, struct book_entry *e, uint64_t seq)
{
    e->seq = seq;
    if (!e->is_changed) {
        e->is_changed = true;
        b->changes[b->change_count++] = e;
    }
}

struct book_entry *const *book_changes(const struct book *b, size_t *count)
{
    *count = b->change_count;
    return b->changes;
}

void book_clear_changes(struct book *b)
{
    for (size_t i = 0; i < b->change_count; i++)
        b->changes[i]->is_changed = false;
    b->change_count = 0;
}
