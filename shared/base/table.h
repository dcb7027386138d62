/*
 * table: the hash table on the paths that every quote takes; all other tables use uthash.
 *
 * A node is embedded in its owner, so a look-up reads one slot and then the owner itself. The table
 * knows only hashes: the caller computes them (hash.h), walks the nodes with the same hash and
 * compares the keys. The table allocates and frees only its slots, never a node.
 *
 *     for (n = table_first(&book->by_symbol, hash); n; n = table_next(n)) {
 *         struct entry *e = TABLE_OWNER(n, struct entry, node);
 *         if (is_equal(e->key, key))
 *             return e;
 *     }
 *
 * The number of slots doubles when there are more nodes than slots, and halves when fewer than an
 * eighth of them are used. So an addition or removal costs a constant on average; the one that
 * resizes the table costs time proportional to the number of nodes. One thread.
 */
#ifndef SHARED_BASE_TABLE_H
#define SHARED_BASE_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct table_node {
    struct table_node *chain; /* private: the next node in the same slot */
    uint32_t hash;
};

/* Zero-initialise. */
struct table {
    struct table_node **slots; /* private; NULL: empty */
    size_t slot_count;         /* 0 or a power of two */
    size_t count;              /* nodes in the table */
};

/* The struct of type `type` whose member `member` the node is. */
#define TABLE_OWNER(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

/* Free the slots and empty the table; the nodes are the caller's. */
void table_free(struct table *t);

/* The node must not be in a table.  Two nodes may have the same hash. */
void table_add(struct table *t, struct table_node *n, uint32_t hash);
/* The node must be in this table. */
void table_remove(struct table *t, struct table_node *n);

/* The first node with this hash among `n` and the nodes behind it in its slot. */
static inline struct table_node *table_same(struct table_node *n, uint32_t hash)
{
    while (n && n->hash != hash)
        n = n->chain;
    return n;
}

/* A node with this hash; NULL: there is none. */
static inline struct table_node *table_first(const struct table *t, uint32_t hash)
{
    return t->slots ? table_same(t->slots[hash & (t->slot_count - 1)], hash) : NULL;
}

/* The next node with the hash of n, in no order; NULL: there are no more. */
static inline struct table_node *table_next(const struct table_node *n)
{
    return table_same(n->chain, n->hash);
}

#endif
