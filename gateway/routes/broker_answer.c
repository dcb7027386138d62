#include "gateway/routes/broker_answer.h"

#include "shared/wire/pack.h"

uint32_t broker_answer_list(struct span answer, const char *key, struct span *c)
{
    struct pack_value list;

    if (!pack_find(answer, key, &list, c) || list.type != PACK_ARRAY)
        return 0;
    pack_next(c, &list);
    return list.count;
}

struct span broker_answer_take(struct span *c)
{
    struct span start = *c;

    pack_skip(c);
    return (struct span){start.at, start.len - c->len};
}
