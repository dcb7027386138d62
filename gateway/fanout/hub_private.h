/* hub_private: what the files of hub share; nobody else includes it. */
#ifndef GATEWAY_FANOUT_HUB_PRIVATE_H
#define GATEWAY_FANOUT_HUB_PRIVATE_H

#include "gateway/fanout/hub.h"
#include "shared/base/hash.h"
#include "shared/base/mem.h"
#include "shared/base/prefix_index.h"

#define HUB_PLACE_MAX 0x7fffffffu /* of struct hub_member */
#define HUB_SLOTS_MIN 1024        /* of a hash table; a power of two */

struct hub {
    uint64_t epoch, seq, applied;
    bool is_frozen;
    uint64_t restarts;
    size_t doubted; /* topics */
    struct window *window;
    uint32_t stamp;
    size_t queue_limit;
    struct hub_symbol **symbols; /* by index; NULL: free */
    size_t symbol_count;         /* known */
    size_t valued_count;         /* of them those that have a quote of this log */
    size_t symbol_end, symbol_cap;
    uint32_t *free_indexes;
    size_t free_index_count, free_index_cap;
    struct prefix_index *index; /* of symbols */
    /* A pass over the symbols is due, or under way; another one after it. */
    bool may_forget, may_forget_again;
    size_t forget_at;
    size_t
        dirty_count; /* subscribers whose backlog may name symbols that they have left */
    struct hub_symbol **symbol_slots;
    size_t symbol_slot_count; /* powers of two */
    struct hub_topic **topic_slots;
    size_t topic_slot_count, topic_count, topic_bytes;
    struct hub_topic *topics;  /* all */
    struct hub_topic *pending; /* those not live */
    struct hub_topic *idle;    /* released; some of them may be held again */
    uint32_t prefix_lengths[HUB_PATTERN_MAX]; /* how many prefixes of each length */
    uint64_t matching; /* counts the changes of the set of topics */
    struct hub_symbol **changed;
    size_t changed_count, changed_cap;
    struct hub_subscriber **due;
    size_t due_first, due_count,
        due_cap;           /* taken in order, from due_first up to due_count */
    uint64_t merged;       /* of all backlogs there ever were */
    size_t joining_in_all; /* subscribers in mode all that join */
    struct hub_watcher watcher;
    uint32_t round; /* of fan-out and joining; never 0 */
};

static inline struct span hub_name_of(const struct hub_symbol *s)
{
    return (struct span){s->name, s->name_len};
}

void hub_drop_frames(struct hub_symbol *s);
void hub_begin_round(struct hub *h);
/* What every quote needs is here, to be inlined. */
void hub_enter_due(struct hub *h, struct hub_subscriber *s);
static inline void hub_put_due(struct hub *h, struct hub_subscriber *s)
{
    if (!s->is_due)
        hub_enter_due(h, s);
}

/* Owe this subscriber the symbol, `updates` of which happened. */
static inline void hub_mark(struct hub *h, struct hub_subscriber *s,
                            struct hub_symbol *symbol, enum symbol_message kind,
                            uint32_t updates)
{
    h->merged += backlog_mark(&s->backlog, symbol, kind, updates, h->round);
    hub_put_due(h, s);
}

struct backlog *hub_join_held(struct hub_subscriber *s);
static inline void hub_queue_frame(struct hub *h, struct hub_subscriber *s,
                                   struct frame *f)
{
    backlog_queue(s->join ? hub_join_held(s) : &s->backlog, f, h->queue_limit);
    hub_put_due(h, s);
}

void hub_symbol_free(struct hub_symbol *s);
void hub_resize_symbols(struct hub *h, size_t slot_count); /* a power of two */
/* Some symbols may be unwanted now: hub_tidy looks. */
static inline void hub_may_forget(struct hub *h)
{
    h->may_forget_again |= h->may_forget && h->forget_at;
    h->may_forget = true;
}

void hub_topic_set_pending(struct hub *h, struct hub_topic *t);
void hub_topic_remove(struct hub *h, struct hub_topic *t); /* it has no references */
void hub_topic_resize(struct hub *h, size_t slot_count);   /* a power of two */

/* A member of the topic now; false: it was already. */
bool hub_add_member(struct hub *h, struct hub_subscriber *s, struct hub_topic *t,
                    bool is_joining);
#define HUB_NO_PLACE UINT32_MAX
/* Where in s->topics the topic is. */
uint32_t hub_member_place(const struct hub_subscriber *s, const struct hub_topic *t);
void hub_remove_member(struct hub *h, struct hub_subscriber *s, uint32_t place);
void hub_drop_slots(struct hub_subscriber *s);
/* Count the subscriber as one whose backlog may name symbols that it has left, or no longer. */
void hub_note_dirty(struct hub *h, struct hub_subscriber *s);

/* hub_join.c, of one that joins: the log is another one; the end, whatever is left to do. */
void hub_join_reset(struct hub_subscriber *s);
void hub_join_end(struct hub *h, struct hub_subscriber *s); /* of none: nothing */
/* A record is about to change the symbol: make the snapshots of it that joins in mode all await. */
void hub_join_keep(struct hub *h, struct hub_symbol *symbol);
/* A record of the symbol came through a membership: is it to be told now? */
bool hub_join_takes(struct hub_subscriber *s, struct hub_symbol *symbol,
                    bool is_joining);

/*
 * The topics that match a symbol are looked up when they are needed: call this before reading
 * s->topics.  So making or removing a topic costs the same however many symbols it matches.
 */
void hub_match_anew(const struct hub *h, struct hub_symbol *s);
static inline void hub_match(const struct hub *h, struct hub_symbol *s)
{
    if (s->matching != h->matching)
        hub_match_anew(h, s);
}

#endif
