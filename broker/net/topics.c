#include "broker/net/topics.h"

#include <stdlib.h>
#include <uthash.h>

#include "shared/base/hash.h"
#include "shared/base/mem.h"

struct topic {
    uint64_t hash;
    UT_hash_handle hh;
};

static uint64_t hash_of(const struct topics *t, struct span topic)
{
    uint64_t h = t->seed;

    for (size_t i = 0; i < topic.len; i++)
        h = hash_two(h, (unsigned char)topic.at[i], topic.len);
    return h ^ h >> 32;
}

void topics_take(struct topics *t, struct span message)
{
    struct topic *found;
    struct span topic = {message.at + 1, message.len - 1};
    uint64_t hash;

    if (!message.len || (unsigned char)message.at[0] > 1)
        return;
    hash = hash_of(t, topic);
    HASH_FIND(hh, t->all, &hash, sizeof hash, found);
    if (message.at[0] && !found) {
        found = mem_zalloc(sizeof *found);
        found->hash = hash;
        HASH_ADD(hh, t->all, hash, sizeof found->hash, found);
        t->bytes += topic.len + TOPIC_BYTES;
    } else if (!message.at[0] && found) {
        HASH_DEL(t->all, found);
        free(found);
        t->bytes -= topic.len + TOPIC_BYTES;
    }
}

void topics_free(struct topics *t)
{
    struct topic *topic, *next;

    if (!t)
        return;
    HASH_ITER(hh, t->all, topic, next)
    {
        HASH_DEL(t->all, topic);
        free(topic);
    }
    t->bytes = 0;
}
