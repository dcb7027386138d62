#include "broker/core/book.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/array.h"
#include "shared/base/hash.h"
#include "shared/base/mem.h"

struct book {
    size_t max, count, cap, change_count, change_cap;
    struct table by_symbol;
    struct prefix_index *in_order; /* of their symbols */
    struct book_entry **by_index;
    struct book_entry **changes;
    size_t removed;
    uint32_t renamed;
    /* The entries that were removed, the first one first; some may be known again. */
    struct book_entry *removed_first, *removed_last;
};

struct book *book_new(size_t max_symbols)
{
    struct book *b = mem_zalloc(sizeof *b);

    b->max = max_symbols;
    b->in_order = prefix_index_new();
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
    table_free(&b->by_symbol);
    prefix_index_free(b->in_order);
    free(b->by_index);
    free(b->changes);
    free(b);
}

static struct book_entry *find(const struct book *b, struct span symbol, uint32_t hash)
{
    for (struct table_node *n = table_first(&b->by_symbol, hash); n; n = table_next(n)) {
        struct book_entry *e = TABLE_OWNER(n, struct book_entry, node);

        if (e->symbol_len == symbol.len && memcmp(e->symbol, symbol.at, symbol.len) == 0)
            return e;
    }
    return NULL;
}

struct book_entry *book_find(const struct book *b, struct span symbol)
{
    return find(b, symbol, hash_name(symbol));
}

static struct book_entry *append(struct book *b)
{
    struct book_entry *e = mem_zalloc(sizeof *e);

    e->index = (uint32_t)b->count;
    ARRAY_ADD(b->by_index, b->cap, b->count, e);
    return e;
}

static struct book_entry *take_removed(struct book *b)
{
    struct book_entry *e = b->removed_first;

    b->removed_first = e->next_removed;
    e->next_removed = NULL;
    e->is_queued = false;
    return e;
}

/*
 * Does the entry that was removed first have a place for another symbol?  Not if the next heartbeat
 * still has to name its removal.
 */
static bool has_removed(struct book *b)
{
    while (b->removed_first && !b->removed_first->is_removed)
        take_removed(b); /* the symbol is known again */
    return b->removed_first && !b->removed_first->is_changed;
}

/* The entry that was removed first, without its name; NULL: there is none. */
static struct book_entry *reuse(struct book *b)
{
    struct book_entry *e;

    if (!has_removed(b))
        return NULL;
    e = take_removed(b);
    prefix_index_remove(b->in_order, (struct span){e->symbol, e->symbol_len});
    table_remove(&b->by_symbol, &e->node);
    b->removed--;
    b->renamed++;
    *e = (struct book_entry){.index = e->index, .record = e->record, .renamed = b->renamed};
    return e;
}

bool book_has_room(struct book *b)
{
    return b->count < b->max || has_removed(b);
}

struct book_entry *book_add(struct book *b, struct span symbol)
{
    uint32_t hash = hash_name(symbol);
    struct book_entry *e = find(b, symbol, hash);

    if (e)
        return e;
    e = b->count < b->max ? append(b) : reuse(b);
    if (!e)
        return NULL;
    memcpy(e->symbol, symbol.at, symbol.len);
    e->symbol_len = (uint8_t)symbol.len;
    e->feed = BOOK_NO_FEED;
    prefix_index_add(b->in_order, e->symbol, e);
    table_add(&b->by_symbol, &e->node, hash);
    return e;
}

void book_remove(struct book *b, struct book_entry *e)
{
    if (e->is_removed)
        return;
    e->is_removed = true;
    e->is_stale = false;
    e->feed = BOOK_NO_FEED;
    buf_free(&e->record);
    b->removed++;
    if (e->is_queued)
        return;
    e->is_queued = true;
    if (b->removed_first)
        b->removed_last->next_removed = e;
    else
        b->removed_first = e;
    b->removed_last = e;
}

void book_return(struct book *b, struct book_entry *e)
{
    b->removed -= e->is_removed;
    e->is_removed = false;
}

size_t book_known(const struct book *b)
{
    return b->count - b->removed;
}

uint32_t book_renamed(const struct book *b)
{
    return b->renamed;
}

struct book_entry *book_at(const struct book *b, size_t index)
{
    assert(index < b->count);
    return b->by_index[index];
}

size_t book_count(const struct book *b)
{
    return b->count;
}

struct prefix_walk book_walk(const struct book *b, struct span prefix)
{
    return prefix_index_walk(b->in_order, prefix);
}

void book_touch(struct book *b, struct book_entry *e, uint64_t seq)
{
    e->seq = seq;
    if (!e->is_changed) {
        e->is_changed = true;
        ARRAY_ADD(b->changes, b->change_cap, b->change_count, e);
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
