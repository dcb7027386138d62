#include "gateway/fanout/hub_topic.h"

#include <stdlib.h>
#include <string.h>

#include "shared/base/array.h"
#include "shared/base/mem.h"

struct span hub_topic_pattern(const struct hub_topic *t)
{
    return (struct span){t->pattern, t->pattern_len};
}

bool hub_is_pattern(struct span pattern)
{
    if (pattern.len == 1 && pattern.at[0] == '*')
        return true;
    if (pattern.len > 1 && pattern.at[pattern.len - 1] == '*')
        pattern.len--;
    return quote_is_symbol(pattern);
}

static struct hub_topic *find_topic(const struct hub *h, struct span pattern, uint32_t hash)
{
    struct hub_topic *t = h->topic_slots[hash & (h->topic_slot_count - 1)];

    while (t && !(t->hash == hash && t->pattern_len == pattern.len &&
                  memcmp(t->pattern, pattern.at, pattern.len) == 0))
        t = t->chain;
    return t;
}

struct hub_topic *hub_topic_find(const struct hub *h, struct span pattern)
{
    return find_topic(h, pattern, hash_name(pattern));
}

/* Call `each` for every topic that matches the name, until `each` returns false. */
static void each_topic(const struct hub *h, struct span name,
                       bool (*each)(void *ctx, struct hub_topic *t), void *ctx)
{
    uint64_t hash = HASH_BEGIN;

    if (name.len > QUOTE_SYMBOL_MAX)
        return;
    for (size_t len = 0; len <= name.len; len++) {
        if (h->prefix_lengths[len]) {
            uint32_t hashed = hash_end(hash_byte(hash, '*'));
            struct hub_topic *t = h->topic_slots[hashed & (h->topic_slot_count - 1)];

            while (t && !(t->hash == hashed && t->is_prefix && t->pattern_len == len + 1 &&
                          memcmp(t->pattern, name.at, len) == 0))
                t = t->chain;
            if (t && !each(ctx, t))
                return;
        }
        if (len < name.len)
            hash = hash_byte(hash, name.at[len]);
    }
    if (h->topic_count) {
        struct hub_topic *t = find_topic(h, name, hash_end(hash));

        if (t)
            each(ctx, t);
    }
}

static bool add_to_symbol(void *ctx, struct hub_topic *t)
{
    struct hub_symbol *s = ctx;

    ARRAY_ADD(s->topics, s->topic_cap, s->topic_count, t);
    return true;
}

void hub_match_anew(const struct hub *h, struct hub_symbol *s)
{
    s->topic_count = 0;
    each_topic(h, hub_name_of(s), add_to_symbol, s);
    s->matching = h->matching;
}

static bool set_true(void *ctx, struct hub_topic *t)
{
    (void)t;
    *(bool *)ctx = true;
    return false;
}

bool hub_is_wanted(const struct hub *h, struct span symbol)
{
    bool is_wanted = false;

    each_topic(h, symbol, set_true, &is_wanted);
    return is_wanted;
}

static bool add_coverage(void *ctx, struct hub_topic *t)
{
    struct hub_coverage *c = ctx;

    c->has_all |= t->all_count > 0;
    c->is_live |= t->is_live;
    return true;
}

struct hub_coverage hub_cover(const struct hub *h, struct span name, struct hub_symbol *s)
{
    struct hub_coverage c = {0};

    if (!s) {
        each_topic(h, name, add_coverage, &c);
        return c;
    }
    hub_match(h, s);
    for (uint32_t i = 0; i < s->topic_count; i++)
        add_coverage(&c, s->topics[i]);
    return c;
}

void hub_stamp(struct hub *h, struct hub_topic *const *topics, size_t count)
{
    h->stamp++;
    for (size_t i = 0; i < count; i++)
        topics[i]->stamp = h->stamp;
}

bool hub_is_stamped(const struct hub *h, struct hub_symbol *symbol)
{
    hub_match(h, symbol);
    for (uint32_t i = 0; i < symbol->topic_count; i++)
        if (symbol->topics[i]->stamp == h->stamp)
            return true;
    return false;
}

static void put_topic_in_slot(struct hub *h, struct hub_topic *t)
{
    struct hub_topic **slot = &h->topic_slots[t->hash & (h->topic_slot_count - 1)];

    t->chain = *slot;
    *slot = t;
}

void hub_topic_resize(struct hub *h, size_t count)
{
    free(h->topic_slots);
    h->topic_slot_count = count;
    h->topic_slots = mem_zalloc(count * sizeof(void *));
    for (struct hub_topic *t = h->topics; t; t = t->next)
        put_topic_in_slot(h, t);
}

struct hub_topic *hub_topic_retain(struct hub *h, struct span pattern)
{
    uint32_t hash = hash_name(pattern);
    struct hub_topic *t = find_topic(h, pattern, hash);

    if (t) {
        t->references++;
        return t;
    }
    t = mem_zalloc(sizeof *t);
    memcpy(t->pattern, pattern.at, pattern.len);
    t->pattern_len = (uint8_t)pattern.len;
    t->is_prefix = pattern.at[pattern.len - 1] == '*';
    t->hash = hash;
    t->references = 1;
    if (h->topic_count >= h->topic_slot_count)
        hub_topic_resize(h, h->topic_slot_count * 2);
    put_topic_in_slot(h, t);
    h->topic_count++;
    h->topic_bytes += hub_topic_cost(pattern);
    if (t->is_prefix)
        h->prefix_lengths[t->pattern_len - 1]++;
    h->matching++;
    t->next = h->topics;
    t->link = &h->topics;
    if (t->next)
        t->next->link = &t->next;
    h->topics = t;
    if (h->watcher.on_topic_new)
        h->watcher.on_topic_new(h->watcher.ctx, t);
    return t;
}

void hub_topic_release(struct hub *h, struct hub_topic *t)
{
    if (--t->references || t->is_idle)
        return;
    t->is_idle = true;
    t->next_idle = h->idle;
    h->idle = t;
}

void hub_topic_remove(struct hub *h, struct hub_topic *t)
{
    struct hub_topic **slot = &h->topic_slots[t->hash & (h->topic_slot_count - 1)];

    if (h->watcher.on_topic_gone)
        h->watcher.on_topic_gone(h->watcher.ctx, t);
    while (*slot != t)
        slot = &(*slot)->chain;
    *slot = t->chain;
    *t->link = t->next;
    if (t->next)
        t->next->link = t->link;
    h->topic_count--;
    h->topic_bytes -= hub_topic_cost(hub_topic_pattern(t));
    if (t->is_prefix)
        h->prefix_lengths[t->pattern_len - 1]--;
    h->matching++;
    free(t->members);
    free(t);
}

void hub_topic_synced(struct hub_topic *t, uint64_t seq)
{
    t->is_live = true;
    t->synced_seq = seq;
}

struct hub_topic *hub_topic_first(const struct hub *h)
{
    return h->topics;
}

size_t hub_topic_cost(struct span pattern)
{
    return pattern.len + 1 + 4;
}

size_t hub_topic_bytes(const struct hub *h)
{
    return h->topic_bytes;
}

bool hub_has_everything(const struct hub *h)
{
    const struct hub_topic *t = hub_topic_find(h, SPAN("*"));

    return t && t->is_live && !h->is_frozen;
}
