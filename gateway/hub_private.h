/* hub_private: what the files of hub share; nobody else includes it. */
#ifndef GATEWAY_HUB_PRIVATE_H
#define GATEWAY_HUB_PRIVATE_H

#include "gateway/hub.h"
#include "shared/hash.h"
#include "shared/mem.h"

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

/* Room for one more in an array of `count`. */
static inline void *hub_grown(void *array, size_t count, size_t *cap, size_t size)
{
    if (count < *cap)
        return array;
    *cap = *cap ? *cap * 2 : 16;
    return mem_resize(array, *cap * size);
}

void hub_drop_frames(struct hub_symbol *s);
void hub_begin_round(struct hub *h);
/* Owe this subscriber the symbol, `updates` of which happened. */
void hub_mark(struct hub *h, struct hub_subscriber *s, struct hub_symbol *symbol,
              enum symbol_message kind, uint32_t updates);
void hub_queue_frame(struct hub *h, struct hub_subscriber *s, struct frame *f);

/* Call `each` for every topic that matches the name: itself, or one of its prefixes and '*'. */
void hub_topic_each(const struct hub *h, struct span name,
                    void (*each)(void *ctx, struct hub_topic *t), void *ctx);
/* A symbol has just become known: join it to the topics that match it. */
void hub_topic_match(struct hub *h, struct hub_symbol *s);

#endif
