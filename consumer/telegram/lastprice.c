#include "consumer/telegram/lastprice.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "shared/base/mem.h"

struct entry {
    struct lastprice price;
    UT_hash_handle hh;
};

struct lastprice_table {
    struct entry *entries;
};

struct lastprice_table *lastprice_table_new(void)
{
    return mem_zalloc(sizeof(struct lastprice_table));
}

void lastprice_table_free(struct lastprice_table *t)
{
    struct entry *e, *next;

    if (!t)
        return;
    HASH_ITER(hh, t->entries, e, next)
    {
        HASH_DEL(t->entries, e);
        free(e);
    }
    free(t);
}

static struct entry *find(const struct lastprice_table *t, const char *symbol)
{
    struct entry *e;

    HASH_FIND_STR(t->entries, symbol, e);
    return e;
}

void lastprice_put(struct lastprice_table *t, const struct lastprice *p)
{
    struct entry *e = find(t, p->symbol);

    if (e && e->price.epoch == p->epoch && e->price.seq > p->seq)
        return;
    if (e) {
        e->price = *p;
        return;
    }
    e = mem_zalloc(sizeof *e);
    e->price = *p;
    HASH_ADD_STR(t->entries, price.symbol, e);
}

void lastprice_set_stale(struct lastprice_table *t, const char *symbol, uint64_t epoch,
                         uint64_t seq, bool is_stale)
{
    struct entry *e = find(t, symbol);

    if (e && (e->price.epoch != epoch || e->price.seq <= seq))
        e->price.is_stale = is_stale;
}

void lastprice_remove(struct lastprice_table *t, const char *symbol, uint64_t epoch, uint64_t seq)
{
    struct entry *e = find(t, symbol);

    if (!e || (e->price.epoch == epoch && e->price.seq > seq))
        return;
    HASH_DEL(t->entries, e);
    free(e);
}

const struct lastprice *lastprice_find(const struct lastprice_table *t, const char *symbol)
{
    const struct entry *e = find(t, symbol);

    return e ? &e->price : NULL;
}
