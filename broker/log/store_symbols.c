#include "broker/log/store_symbols.h"

#include <stdlib.h>
#include <string.h>

#include "shared/base/array.h"
#include "shared/base/hash.h"
#include "shared/base/mem.h"

void store_symbols_free(struct store_symbols *t)
{
    for (size_t i = 0; i < t->count; i++)
        free(t->all[i]);
    free(t->all);
    table_free(&t->by_name);
    *t = (struct store_symbols){0};
}

struct store_symbol *store_symbols_find(const struct store_symbols *t, struct span name)
{
    struct table_node *n = table_first(&t->by_name, hash_name(name));

    for (; n; n = table_next(n)) {
        struct store_symbol *s = TABLE_OWNER(n, struct store_symbol, node);

        if (s->len == name.len && memcmp(s->name, name.at, name.len) == 0)
            return s;
    }
    return NULL;
}

struct store_symbol *store_symbols_add(struct store_symbols *t, struct span name, int64_t id)
{
    struct store_symbol *s = mem_zalloc(sizeof *s);

    s->len = (uint8_t)name.len;
    memcpy(s->name, name.at, name.len);
    s->id = id;
    ARRAY_ADD(t->all, t->cap, t->count, s);
    table_add(&t->by_name, &s->node, hash_name(name));
    return s;
}

void store_symbols_push(struct store_symbol_list *l, struct store_symbol *symbol)
{
    ARRAY_ADD(l->at, l->cap, l->count, symbol);
}

static int compare(const void *a, const void *b)
{
    int64_t x = (*(struct store_symbol *const *)a)->id, y = (*(struct store_symbol *const *)b)->id;

    return x < y ? -1 : x > y;
}

void store_symbols_sort(struct store_symbol_list *l)
{
    /* No symbol: `at` may be NULL, which qsort does not allow. */
    if (l->count)
        qsort(l->at, l->count, sizeof *l->at, compare);
}
