/*
 * due: deadlines ordered by time, so that the next one is found without a scan. A binary heap of
 * pointers to `struct due`, which are embedded in their owners.  Setting, moving and removing a
 * deadline costs O(log n).  The caller supplies all times.  One thread.
 */
#ifndef BROKER_LOCKS_DUE_H
#define BROKER_LOCKS_DUE_H

#include <stddef.h>
#include <stdint.h>

struct due {
    int64_t at;
    size_t slot; /* from 1; 0: not set */
    void *owner;
    int kind; /* the caller's, to distinguish owners */
};

struct due_heap {
    struct due **slots; /* from 1 */
    size_t count, cap;
};

/* A zeroed heap and a zeroed due (but for owner and kind) are empty and not set. */
void due_free(struct due_heap *h);
void due_set(struct due_heap *h, struct due *d, int64_t at);
void due_unset(struct due_heap *h, struct due *d); /* no-op if not set */
struct due *due_first(const struct due_heap *h);   /* NULL: none */

#endif
