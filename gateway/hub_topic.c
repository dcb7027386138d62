/* hub_topic: patterns, topics, and which symbols they match. */
#include <stdlib.h>
#include <string.h>

#include "gateway/hub_private.h"
#include "shared/mem.h"

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

static struct hub_topic *find_topic(const struct hub *h, struct span pattern,
                                    uint32_t hash)
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

static void symbol_add_topic(struct hub_symbol *s, struct hub_topic *t)
{
    if (s->topic_count == s->topic_cap) {
        s->topic_cap = s->topic_cap ? s->topic_cap * 2 : 2;
        s->topics = mem_resize(s->topics, s->topic_cap * sizeof(void *));
    }
    s->topics[s->topic_count++] = t;
    if (t->sync == TOPIC_LIVE)
        s->is_synced = true;
}

static void symbol_refresh_synced(struct hub_symbol *s)
{
    s->is_synced = false;
    for (uint32_t i = 0; i < s->topic_count; i++)
        s->is_synced |= s->topics[i]->sync == TOPIC_LIVE;
}

static void symbol_remove_topic(struct hub_symbol *s, const struct hub_topic *t)
{
    for (uint32_t i = 0; i < s->topic_count; i++)
        if (s->topics[i] == t) {
            s->topics[i] = s->topics[--s->topic_count];
            break;
        }
    symbol_refresh_synced(s);
}

void hub_topic_each(const struct hub *h, struct span name,
                    void (*each)(void *ctx, struct hub_topic *t), void *ctx)
{
    char pattern[HUB_PATTERN_MAX + 1];
    struct hub_topic *t = hub_topic_find(h, name);

    if (t)
        each(ctx, t);
    for (size_t len = 0; len <= name.len; len++) {
        memcpy(pattern, name.at, len);
        pattern[len] = '*';
        t = hub_topic_find(h, (struct span){pattern, len + 1});
        if (t)
            each(ctx, t);
    }
}

static void add_to_symbol(void *ctx, struct hub_topic *t)
{
    symbol_add_topic(ctx, t);
}

void hub_topic_match(struct hub *h, struct hub_symbol *s)
{
    hub_topic_each(h, hub_name_of(s), add_to_symbol, s);
}

static void set_true(void *ctx, struct hub_topic *t)
{
    (void)t;
    *(bool *)ctx = true;
}

bool hub_is_wanted(const struct hub *h, struct span symbol)
{
    bool is_wanted = false;

    hub_topic_each(h, symbol, set_true, &is_wanted);
    return is_wanted;
}

void hub_stamp(struct hub *h, struct hub_topic *const *topics, size_t count)
{
    h->stamp++;
    for (size_t i = 0; i < count; i++)
        topics[i]->stamp = h->stamp;
}

bool hub_is_stamped(const struct hub *h, const struct hub_symbol *symbol)
{
    for (uint32_t i = 0; i < symbol->topic_count; i++)
        if (symbol->topics[i]->stamp == h->stamp)
            return true;
    return false;
}

static void end_doubt(struct hub *h, struct hub_topic *t)
{
    h->doubted -= t->is_doubted;
    t->is_doubted = false;
}

static void put_topic_in_slot(struct hub *h, struct hub_topic *t)
{
    struct hub_topic **slot = &h->topic_slots[t->hash & (h->topic_slot_count - 1)];

    t->chain = *slot;
    *slot = t;
}

static void grow_topic_slots(struct hub *h)
{
    if (h->topic_count < h->topic_slot_count)
        return;
    free(h->topic_slots);
    h->topic_slot_count *= 2;
    h->topic_slots = mem_zalloc(h->topic_slot_count * sizeof(void *));
    for (struct hub_topic *t = h->topics; t; t = t->next)
        put_topic_in_slot(h, t);
}

/* Call `each` for every known symbol the topic matches. */
static void each_match(struct hub *h, struct hub_topic *t,
                       void (*each)(struct hub_symbol *s, struct hub_topic *t))
{
    if (!t->is_prefix) {
        struct hub_symbol *s = hub_find(h, hub_topic_pattern(t));

        if (s)
            each(s, t);
        return;
    }
    for (size_t i = 0; i < h->symbol_count; i++)
        if (quote_pattern_matches(hub_topic_pattern(t), hub_name_of(h->symbols[i])))
            each(h->symbols[i], t);
}

static void match_add(struct hub_symbol *s, struct hub_topic *t)
{
    symbol_add_topic(s, t);
}

static void match_remove(struct hub_symbol *s, struct hub_topic *t)
{
    symbol_remove_topic(s, t);
}

static void match_refresh(struct hub_symbol *s, struct hub_topic *t)
{
    (void)t;
    symbol_refresh_synced(s);
}

struct hub_topic *hub_topic_hold(struct hub *h, struct span pattern)
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
    grow_topic_slots(h);
    put_topic_in_slot(h, t);
    h->topic_count++;
    t->next = h->topics;
    t->link = &h->topics;
    if (t->next)
        t->next->link = &t->next;
    h->topics = t;
    each_match(h, t, match_add);
    if (h->watcher.on_topic_new)
        h->watcher.on_topic_new(h->watcher.ctx, t);
    return t;
}

void hub_topic_release(struct hub *h, struct hub_topic *t)
{
    struct hub_topic **slot = &h->topic_slots[t->hash & (h->topic_slot_count - 1)];

    if (--t->references)
        return;
    if (h->watcher.on_topic_gone)
        h->watcher.on_topic_gone(h->watcher.ctx, t);
    end_doubt(h, t);
    each_match(h, t, match_remove);
    while (*slot != t)
        slot = &(*slot)->chain;
    *slot = t->chain;
    *t->link = t->next;
    if (t->next)
        t->next->link = t->link;
    h->topic_count--;
    free(t->members);
    free(t);
}

void hub_topic_synced(struct hub *h, struct hub_topic *t, uint64_t seq)
{
    t->sync = TOPIC_LIVE;
    t->synced_seq = seq;
    end_doubt(h, t);
    each_match(h, t, match_refresh);
}

struct hub_topic *hub_topic_first(const struct hub *h)
{
    return h->topics;
}

bool hub_is_covered(const struct hub *h, struct span symbol)
{
    for (const struct hub_topic *t = h->topics; t; t = t->next)
        if (t->sync == TOPIC_LIVE &&
            quote_pattern_matches(hub_topic_pattern(t), symbol))
            return true;
    return false;
}
