/* lease_table: the names of a table, and the list of locks that must be stored. */
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "broker/locks/lease_private.h"
#include "shared/base/array.h"
#include "shared/base/mem.h"

struct lease_table *lease_table_new(const struct lease_limits *limits, uint64_t token_floor)
{
    struct lease_table *t = mem_zalloc(sizeof *t);

    t->limits = *limits;
    t->token = token_floor;
    t->stored = UINT64_MAX;
    t->may_grant = true;
    return t;
}

void lease_set_floor(struct lease_table *t, uint64_t token_floor)
{
    t->token = token_floor;
}

static void free_lease(struct lease *l)
{
    struct lease_place *p, *next;

    HASH_ITER(hh, l->line, p, next)
    {
        HASH_DEL(l->line, p);
        free(p);
    }
    buf_free(&l->value);
    free(l);
}

void lease_table_free(struct lease_table *t)
{
    if (!t)
        return;
    HASH_CLEAR(hh, t->by_name);
    for (size_t i = 0; i < t->count; i++)
        free_lease(t->in_order[i]);
    free(t->in_order);
    due_free(&t->dues);
    free(t);
}

/* --- names -------------------------------------------------------------------------- */

struct lease *lease_find(const struct lease_table *t, struct span name)
{
    struct lease *l;

    if (name.len > LOCK_NAME_MAX)
        return NULL;
    HASH_FIND(hh, t->by_name, name.at, name.len, l);
    return l;
}

/*
 * Compares like memcmp: the whole name, or with is_prefix only the first bytes, as many as the key
 * has.
 */
static int compare(const struct lease *l, struct span key, bool is_prefix)
{
    size_t len = strlen(l->name), common = len < key.len ? len : key.len;
    int order = memcmp(l->name, key.at, common);

    if (order)
        return order;
    return len < key.len ? -1 : len > key.len && !is_prefix;
}

/*
 * The index of the first name that is not below the key; with after_prefix, of the first name after
 * all names with this prefix.
 */
static size_t lower_bound(const struct lease_table *t, struct span key, bool after_prefix)
{
    size_t low = 0, high = t->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (compare(t->in_order[middle], key, after_prefix) < (after_prefix ? 1 : 0))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

size_t lease_range(const struct lease_table *t, struct span prefix, size_t *first)
{
    *first = lower_bound(t, prefix, false);
    return lower_bound(t, prefix, true) - *first;
}

struct lease *lease_add(struct lease_table *t, struct span name)
{
    struct lease *l = mem_zalloc(sizeof *l);
    size_t at = lower_bound(t, name, false);

    memcpy(l->name, name.at, name.len);
    l->due.owner = l;
    l->due.kind = LEASE_DUE_LEASE;
    ARRAY_RESERVE(t->in_order, t->cap, t->count + 1);
    ARRAY_INSERT(t->in_order, t->count, at, l);
    HASH_ADD_KEYPTR(hh, t->by_name, l->name, name.len, l);
    return l;
}

void lease_forget(struct lease_table *t, struct lease *l)
{
    size_t at = lower_bound(t, span_of(l->name), false);

    ARRAY_REMOVE(t->in_order, t->count, at);
    HASH_DEL(t->by_name, l);
    DL_DELETE2(t->idle, l, prev_idle, next_idle);
    free_lease(l);
}

/* --- what is to be stored ----------------------------------------------------------- */

void lease_note_later(struct lease_table *t, struct lease *l)
{
    if (l->is_unstored)
        return;
    l->is_unstored = true;
    l->next_unstored = NULL;
    if (t->last_unstored)
        t->last_unstored->next_unstored = l;
    else
        t->first_unstored = l;
    t->last_unstored = l;
}

void lease_note(struct lease_table *t, struct lease *l)
{
    l->change = ++t->change;
    lease_note_later(t, l);
}

void lease_set_stored(struct lease_table *t, uint64_t change)
{
    t->stored = change;
}

uint64_t lease_stored(const struct lease_table *t)
{
    return t->stored;
}

struct lease *lease_take_unstored(struct lease_table *t, bool *has_new_value)
{
    struct lease *l = t->first_unstored;

    if (!l)
        return NULL;
    t->first_unstored = l->next_unstored;
    if (!t->first_unstored)
        t->last_unstored = NULL;
    l->is_unstored = false;
    *has_new_value = l->is_value_unstored;
    l->is_value_unstored = false;
    return l;
}

size_t lease_count(const struct lease_table *t)
{
    return t->count;
}

size_t lease_count_held(const struct lease_table *t)
{
    return t->held;
}

size_t lease_count_places(const struct lease_table *t)
{
    return t->places;
}

uint64_t lease_last_token(const struct lease_table *t)
{
    return t->token;
}

uint64_t lease_last_change(const struct lease_table *t)
{
    return t->change;
}

struct lease *lease_at(const struct lease_table *t, size_t index)
{
    return t->in_order[index];
}
