#include "gateway/fanout/hub_due.h"

#include <string.h>

#include "shared/base/array.h"

void hub_set_due(struct hub *h, struct hub_subscriber *s)
{
    hub_put_due(h, s);
}

void hub_enter_due(struct hub *h, struct hub_subscriber *s)
{
    s->is_due = true;
    s->due_at = (uint32_t)h->due_count;
    ARRAY_ADD(h->due, h->due_cap, h->due_count, s);
}

bool hub_has_due(const struct hub *h)
{
    return h->due_first < h->due_count;
}

size_t hub_due_count(struct hub *h)
{
    if (h->due_first > h->due_count / 2) {
        h->due_count -= h->due_first;
        memmove(h->due, h->due + h->due_first, h->due_count * sizeof(void *));
        h->due_first = 0;
        for (size_t i = 0; i < h->due_count; i++)
            if (h->due[i])
                h->due[i]->due_at = (uint32_t)i;
    }
    return h->due_count - h->due_first;
}

struct hub_subscriber *hub_take_due(struct hub *h)
{
    while (h->due_first < h->due_count) {
        struct hub_subscriber *s = h->due[h->due_first++];

        if (!s)
            continue; /* the subscriber left meanwhile */
        s->is_due = false;
        return s;
    }
    h->due_first = h->due_count = 0;
    return NULL;
}
