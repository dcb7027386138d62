#include "broker/core/key_table.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

#include "shared/base/mem.h"

struct entry {
    UT_hash_handle hh;
    struct entry *prev, *next; /* in the order in which they end */
    int64_t until;
    size_t bytes;
    struct key_answer answer;
    struct buf name, refused;
};

struct key_table {
    struct entry *by_name, *oldest;
    size_t max, bytes;
    struct buf name; /* reused */
};

struct key_table *key_table_new(size_t max)
{
    struct key_table *t = mem_zalloc(sizeof *t);

    t->max = max;
    return t;
}

static void drop(struct key_table *t, struct entry *e)
{
    HASH_DELETE(hh, t->by_name, e);
    DL_DELETE(t->oldest, e);
    t->bytes -= e->bytes;
    buf_free(&e->name);
    buf_free(&e->refused);
    free(e);
}

void key_table_free(struct key_table *t)
{
    if (!t)
        return;
    while (t->oldest)
        drop(t, t->oldest);
    buf_free(&t->name);
    free(t);
}

/* The separator is a space: neither a feed's name nor a key contains one. */
static void put_name(struct buf *out, const struct key_name *n)
{
    buf_clear(out);
    buf_add(out, n->feed.at, n->feed.len);
    buf_printf(out, " %llu ", (unsigned long long)n->part);
    buf_add(out, n->key.at, n->key.len);
}

static void expire(struct key_table *t, int64_t now)
{
    for (int i = 0; i < KEY_TABLE_EXPIRE && t->oldest && t->oldest->until <= now; i++)
        drop(t, t->oldest);
}

const struct key_answer *key_table_find(struct key_table *t, const struct key_name *n, int64_t now)
{
    struct entry *e;

    expire(t, now);
    put_name(&t->name, n);
    HASH_FIND(hh, t->by_name, t->name.data, t->name.len, e);
    if (e && e->until <= now) {
        drop(t, e);
        e = NULL;
    }
    return e ? &e->answer : NULL;
}

bool key_table_has_room(struct key_table *t, int64_t now)
{
    expire(t, now);
    return HASH_COUNT(t->by_name) < t->max && t->bytes < KEY_TABLE_BYTES;
}

void key_table_add(struct key_table *t, const struct key_name *n, const struct key_answer *a,
                   int64_t age_ms, int64_t now)
{
    struct entry *e = mem_zalloc(sizeof *e);

    put_name(&e->name, n);
    buf_add(&e->refused, a->refused.at, a->refused.len);
    e->answer = *a;
    e->answer.refused = buf_span(&e->refused);
    e->until = now + KEY_TABLE_MS - age_ms;
    if (t->oldest && e->until < t->oldest->prev->until)
        e->until = t->oldest->prev->until; /* the order stays; it is kept a little longer */
    e->bytes = sizeof *e + e->name.cap + e->refused.cap;
    t->bytes += e->bytes;
    HASH_ADD_KEYPTR(hh, t->by_name, e->name.data, e->name.len, e);
    DL_APPEND(t->oldest, e);
}

int64_t key_table_wait(const struct key_table *t, int64_t now)
{
    int64_t wait = t->oldest ? t->oldest->until - now : 0;

    return wait > 0 ? wait : 0;
}
