#include "broker/locks/due.h"

#include <stdlib.h>

#include "shared/base/array.h"

void due_free(struct due_heap *h)
{
    free(h->slots);
    *h = (struct due_heap){0};
}

static void put(struct due_heap *h, size_t slot, struct due *d)
{
    h->slots[slot] = d;
    d->slot = slot;
}

static void rise(struct due_heap *h, struct due *d)
{
    size_t slot = d->slot;

    for (; slot > 1 && h->slots[slot / 2]->at > d->at; slot /= 2)
        put(h, slot, h->slots[slot / 2]);
    put(h, slot, d);
}

static void sink(struct due_heap *h, struct due *d)
{
    size_t slot = d->slot, child;

    for (; (child = slot * 2) <= h->count; slot = child) {
        if (child < h->count && h->slots[child + 1]->at < h->slots[child]->at)
            child++;
        if (h->slots[child]->at >= d->at)
            break;
        put(h, slot, h->slots[child]);
    }
    put(h, slot, d);
}

static void settle(struct due_heap *h, struct due *d)
{
    rise(h, d);
    sink(h, d);
}

void due_set(struct due_heap *h, struct due *d, int64_t at)
{
    if (!d->slot) {
        ARRAY_RESERVE(h->slots, h->cap, h->count + 2);
        put(h, ++h->count, d);
    }
    d->at = at;
    settle(h, d);
}

void due_unset(struct due_heap *h, struct due *d)
{
    struct due *last;
    size_t slot = d->slot;

    if (!slot)
        return;
    d->slot = 0;
    last = h->slots[h->count--];
    if (last == d)
        return;
    put(h, slot, last);
    settle(h, last);
}

struct due *due_first(const struct due_heap *h)
{
    return h->count ? h->slots[1] : NULL;
}
