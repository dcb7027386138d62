/*
 * prefix_index: names in ascending order of their bytes, each with its owner, so that the names
 * that begin with a prefix are found without looking at the others.
 *
 * Names lie in sorted blocks of at most PREFIX_INDEX_BLOCK entries.  Adding, removing and finding
 * cost a binary search and one move within a block (and within the list of blocks: 8 bytes for
 * some 128 names).  A walk costs O(1) per name that it returns.  An entry takes 16 bytes; a block
 * is half full or more when names were only added.
 *
 * The index keeps a pointer to the name, not a copy: the name ends with NUL and stays where it is,
 * unchanged, until it is removed.  A name is at most PREFIX_INDEX_NAME_MAX bytes long (a longer one
 * is a bug of the caller).  No I/O, no clock; one thread.
 */
#ifndef SHARED_BASE_PREFIX_INDEX_H
#define SHARED_BASE_PREFIX_INDEX_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/base/buf.h"

#define PREFIX_INDEX_NAME_MAX 64
#define PREFIX_INDEX_BLOCK 256

struct prefix_index;

struct prefix_index *prefix_index_new(void);
void prefix_index_free(
    struct prefix_index *x); /* NULL is allowed; names and owners are not freed */

/* `owner` is not NULL.  Returns false if the name is in the index already; nothing changes then. */
bool prefix_index_add(struct prefix_index *x, const char *name, void *owner);
/* Returns the owner of the removed name; NULL: the name is not in the index. */
void *prefix_index_remove(struct prefix_index *x, struct span name);

/*
 * A walk over the names that begin with a prefix, in ascending order. Names may be added and
 * removed between two steps, even the name that the walk returned last: the walk continues with the
 * first name after that one. A value: it may be copied or dropped at any time.
 */
struct prefix_walk {
    const struct prefix_index *index;
    char prefix[PREFIX_INDEX_NAME_MAX], last[PREFIX_INDEX_NAME_MAX];
    size_t prefix_len, last_len;
    /* private: where `last` is, valid while the index has this version */
    size_t block, place, version;
};

/* An empty prefix matches all names; a prefix longer than PREFIX_INDEX_NAME_MAX matches none. */
struct prefix_walk prefix_index_walk(const struct prefix_index *x, struct span prefix);
/* Returns the next owner, or NULL when no further name has this prefix. */
void *prefix_walk_next(struct prefix_walk *w);

#endif
