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
    struct prefix_index *x); /* NULL is allowed; names and owners stay */

size_t prefix_index_count(const struct prefix_index *x);
/* owner is not NULL.  false: the name is there already; nothing is changed. */
bool prefix_index_add(struct prefix_index *x, const char *name, void *owner);
/* The owner of the name that was removed; NULL: it is not there. */
void *prefix_index_remove(struct prefix_index *x, struct span name);

/*
 * A walk over the names that begin with a prefix, in ascending order.  Names may be added and
 * removed while it is under way, also the one it returned last: it goes on with the first name
 * after that one.  A value: copy it or drop it at any time.
 */
struct prefix_walk {
    const struct prefix_index *index;
    char prefix[PREFIX_INDEX_NAME_MAX], last[PREFIX_INDEX_NAME_MAX];
    size_t prefix_len, last_len;
    /* private: where `last` stands, if the index has this version */
    size_t block, place, version;
};

/* All names if prefix.len is 0; none if it is longer than a name may be. */
struct prefix_walk prefix_index_walk(const struct prefix_index *x, struct span prefix);
/* The next owner, or NULL: there is no further name with this prefix. */
void *prefix_walk_next(struct prefix_walk *w);

#endif
