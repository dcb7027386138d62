#include "shared/base/array.h"
#include "shared/base/prefix_index.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/mem.h"

#define NO_NAME SIZE_MAX /* prefix_len of a walk that matches no name */

struct entry {
    const char *name;
    void *owner;
};

struct block {
    size_t count; /* never 0 */
    struct entry entries[PREFIX_INDEX_BLOCK];
};

struct prefix_index {
    struct block **blocks;
    size_t block_count, block_cap;
    /* changes with every addition or removal, so that walks notice that places moved */
    size_t version;
};

struct prefix_index *prefix_index_new(void)
{
    return mem_zalloc(sizeof(struct prefix_index));
}

void prefix_index_free(struct prefix_index *x)
{
    if (!x)
        return;
    for (size_t i = 0; i < x->block_count; i++)
        free(x->blocks[i]);
    free(x->blocks);
    free(x);
}

/* <0, 0, >0: `name` is before, equal to, after `other`, which may contain any bytes. */
static int compare(const char *name, struct span other)
{
    size_t len = strnlen(name, other.len);
    int order = memcmp(name, other.at, len);

    return order ? order : len < other.len ? -1 : name[len] != '\0';
}

static bool begins_with(const char *name, const char *prefix, size_t len)
{
    return strnlen(name, len) == len && memcmp(name, prefix, len) == 0;
}

/* The place of the first entry that is not before `name`; block->count if there is none. */
static size_t find_place(const struct block *b, struct span name)
{
    size_t low = 0, high = b->count;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (compare(b->entries[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The last block whose first name is not after `name`; 0 if there is none. */
static size_t find_block(const struct prefix_index *x, struct span name)
{
    size_t low = 0, high = x->block_count;

    while (high - low > 1) {
        size_t middle = (low + high) / 2;

        if (compare(x->blocks[middle]->entries[0].name, name) <= 0)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static void insert_block(struct prefix_index *x, size_t at, struct block *b)
{
    ARRAY_RESERVE(x->blocks, x->block_cap, x->block_count + 1);
    ARRAY_INSERT(x->blocks, x->block_count, at, b);
}

static void remove_block(struct prefix_index *x, size_t at)
{
    free(x->blocks[at]);
    ARRAY_REMOVE(x->blocks, x->block_count, at);
}

/* Moves the upper half of a full block into a new block behind it. */
static void split(struct prefix_index *x, size_t at)
{
    struct block *full = x->blocks[at], *upper = mem_alloc(sizeof *upper);

    upper->count = PREFIX_INDEX_BLOCK / 2;
    full->count = PREFIX_INDEX_BLOCK - upper->count;
    memcpy(upper->entries, full->entries + full->count, upper->count * sizeof(struct entry));
    insert_block(x, at + 1, upper);
}

bool prefix_index_add(struct prefix_index *x, const char *name, void *owner)
{
    struct span text = span_of(name);
    size_t at, place;
    struct block *b;

    assert(owner && text.len <= PREFIX_INDEX_NAME_MAX);
    if (!x->block_count) {
        b = mem_alloc(sizeof *b);
        b->count = 0;
        insert_block(x, 0, b);
    }
    at = find_block(x, text);
    place = find_place(x->blocks[at], text);
    if (place < x->blocks[at]->count && compare(x->blocks[at]->entries[place].name, text) == 0)
        return false;
    if (x->blocks[at]->count == PREFIX_INDEX_BLOCK) {
        split(x, at);
        if (place > x->blocks[at]->count)
            place -= x->blocks[at++]->count;
    }
    b = x->blocks[at];
    ARRAY_INSERT(b->entries, b->count, place, (struct entry){name, owner});
    x->version++;
    return true;
}

/*
 * Joins a small block with its neighbour, so that the number of blocks follows the number of names.
 */
static void join(struct prefix_index *x, size_t at)
{
    struct block *b = x->blocks[at], *next;

    if (at + 1 >= x->block_count)
        return;
    next = x->blocks[at + 1];
    if (b->count + next->count > PREFIX_INDEX_BLOCK / 2)
        return;
    memcpy(b->entries + b->count, next->entries, next->count * sizeof(struct entry));
    b->count += next->count;
    remove_block(x, at + 1);
}

void *prefix_index_remove(struct prefix_index *x, struct span name)
{
    size_t at, place;
    struct block *b;
    void *owner;

    if (!x->block_count)
        return NULL;
    at = find_block(x, name);
    b = x->blocks[at];
    place = find_place(b, name);
    if (place == b->count || compare(b->entries[place].name, name) != 0)
        return NULL;
    owner = b->entries[place].owner;
    ARRAY_REMOVE(b->entries, b->count, place);
    x->version++;
    if (!b->count) {
        remove_block(x, at);
    } else {
        join(x, at);
        if (at)
            join(x, at - 1);
    }
    return owner;
}

/* Moves the walk to the first name that is not before `name`. */
static void seek(struct prefix_walk *w, struct span name)
{
    const struct prefix_index *x = w->index;

    w->version = x->version;
    w->block = w->place = 0;
    if (!x->block_count)
        return;
    w->block = find_block(x, name);
    w->place = find_place(x->blocks[w->block], name);
}

struct prefix_walk prefix_index_walk(const struct prefix_index *x, struct span prefix)
{
    struct prefix_walk w = {.index = x};

    if (prefix.len > PREFIX_INDEX_NAME_MAX) {
        w.prefix_len = NO_NAME;
        return w;
    }
    if (prefix.len)
        memcpy(w.prefix, prefix.at, prefix.len);
    w.prefix_len = prefix.len;
    seek(&w, (struct span){w.prefix, w.prefix_len});
    return w;
}

void *prefix_walk_next(struct prefix_walk *w)
{
    const struct prefix_index *x = w->index;
    const struct block *b;
    const char *name;

    if (w->prefix_len == NO_NAME)
        return NULL;
    if (w->version != x->version) {
        struct span last = {w->last, w->last_len};

        seek(w, w->last_len ? last : (struct span){w->prefix, w->prefix_len});
        if (w->last_len && w->block < x->block_count && w->place < x->blocks[w->block]->count &&
            compare(x->blocks[w->block]->entries[w->place].name, last) == 0)
            w->place++;
    }
    if (w->block < x->block_count && w->place == x->blocks[w->block]->count) {
        w->block++;
        w->place = 0;
    }
    if (w->block >= x->block_count)
        return NULL;
    b = x->blocks[w->block];
    name = b->entries[w->place].name;
    if (!begins_with(name, w->prefix, w->prefix_len))
        return NULL;
    w->last_len = strlen(name);
    memcpy(w->last, name, w->last_len);
    return b->entries[w->place++].owner;
}
