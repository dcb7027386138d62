/* hub_private: what hub.c and hub_topic.c share; nobody else includes it. */
#ifndef GATEWAY_HUB_PRIVATE_H
#define GATEWAY_HUB_PRIVATE_H

#include "gateway/hub.h"
#include "shared/hash.h"

struct hub {
    uint64_t epoch, seq, applied;
    bool is_frozen;
    size_t doubted; /* topics */
    struct window *window;
    uint32_t stamp;
    size_t queue_limit;
    struct hub_symbol **symbols; /* by index */
    size_t symbol_count, symbol_cap;
    struct hub_symbol **symbol_slots;
    size_t symbol_slot_count; /* powers of two */
    struct hub_topic **topic_slots;
    size_t topic_slot_count, topic_count;
    struct hub_topic *topics; /* all */
    struct hub_symbol **changed;
    size_t changed_count, changed_cap;
    struct hub_subscriber **due;
    size_t due_first, due_count,
        due_cap; /* taken in order, from due_first up to due_count */
    struct hub_watcher watcher;
    uint32_t round; /* of fan-out and joining; never 0 */
};

static inline struct span hub_name_of(const struct hub_symbol *s)
{
    return (struct span){s->name, s->name_len};
}

/* Call `each` for every topic that matches the name: itself, or one of its prefixes and '*'. */
void hub_topic_each(const struct hub *h, struct span name,
                    void (*each)(void *ctx, struct hub_topic *t), void *ctx);
/* A symbol has just become known: join it to the topics that match it. */
void hub_topic_match(struct hub *h, struct hub_symbol *s);

#endif
