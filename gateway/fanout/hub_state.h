/* hub_state: what a hub knows; only the files of hub include it. */
#ifndef GATEWAY_FANOUT_HUB_STATE_H
#define GATEWAY_FANOUT_HUB_STATE_H

#include "gateway/fanout/hub.h"
#include "shared/base/hash.h"
#include "shared/base/mem.h"
#include "shared/base/prefix_index.h"

#define HUB_PLACE_MAX 0x7fffffffu /* of struct hub_member */
#define HUB_SLOTS_MIN 1024        /* slots of a hash table; a power of two */

struct hub {
    uint64_t epoch, seq, applied;
    bool is_frozen;
    uint64_t restarts;
    struct window *window;
    uint32_t stamp;
    size_t queue_limit;
    struct hub_symbol **symbols; /* by index; NULL: the index is free */
    size_t symbol_count;         /* known symbols */
    size_t valued_count;         /* known symbols with a quote of this log */
    size_t symbol_end, symbol_cap;
    uint32_t *free_indexes;
    size_t free_index_count, free_index_cap;
    struct prefix_index *index; /* names of the symbols */
    /*
     * may_forget: a pass over all symbols is due or under way; may_forget_again: another one must
     * follow.
     */
    bool may_forget, may_forget_again;
    size_t forget_at;
    /* subscribers whose backlog may contain symbols that they have left */
    size_t dirty_count;
    struct hub_symbol **symbol_slots;
    size_t symbol_slot_count; /* powers of two */
    struct hub_topic **topic_slots;
    size_t topic_slot_count, topic_count, topic_bytes;
    struct hub_topic *topics; /* all topics */
    /* topics whose references were all released; some may be in use again */
    struct hub_topic *idle;
    uint32_t prefix_lengths[HUB_PATTERN_MAX]; /* number of prefixes of each length */
    uint64_t matching;                        /* rises with every change of the set of topics */
    struct hub_symbol **changed;
    size_t changed_count, changed_cap;
    struct hub_subscriber **due;
    size_t due_first, due_count,
        /* the due subscribers, in order, are from due_first to due_count */
        due_cap;
    uint64_t merged;       /* sum over all backlogs, present and past */
    size_t joining_in_all; /* number of joins under way in mode all */
    struct hub_watcher watcher;
    uint64_t round; /* number of the fan-out or join slice; never 0 */
};

void hub_resize_symbols(struct hub *h, size_t slot_count); /* a power of two */
/* Some symbols may no longer be wanted: hub_tidy will check all. */
static inline void hub_may_forget(struct hub *h)
{
    h->may_forget_again |= h->may_forget && h->forget_at;
    h->may_forget = true;
}

/* Returns false if the subscriber was a member of the topic already. */
bool hub_add_member(struct hub *h, struct hub_subscriber *s, struct hub_topic *t, bool is_joining);
#define HUB_NO_PLACE UINT32_MAX
/* The index of the topic in s->topics. */
uint32_t hub_member_place(const struct hub_subscriber *s, const struct hub_topic *t);
void hub_remove_member(struct hub *h, struct hub_subscriber *s, uint32_t i);
void hub_drop_slots(struct hub_subscriber *s);
/* Keeps dirty_count true: is the subscriber's backlog one that may contain symbols it has left? */
void hub_note_dirty(struct hub *h, struct hub_subscriber *s);

/* hub_join.c */
/* Where records for a subscriber wait while it joins. */
struct backlog *hub_join_records(struct hub_subscriber *s);
/* A new log begins, so a join under way starts again from position 0. */
void hub_join_reset(struct hub_subscriber *s);
/* does nothing if no join is under way */
void hub_join_end(struct hub *h, struct hub_subscriber *s);
/*
 * Call it before a record changes the symbol: it makes the snapshots that joins in mode all still
 * need.
 */
void hub_join_keep_snapshot(struct hub *h, struct hub_symbol *symbol);
/*
 * Call it before the symbol's state changes without a record: a join in mode all that has not found
 * the symbol yet finds it, and its snapshot will have the state.
 */
void hub_join_keep_state(struct hub *h, struct hub_symbol *symbol);
/* A record of the symbol came through a membership: may it be queued for the subscriber now? */
bool hub_join_takes(struct hub_subscriber *s, struct hub_symbol *symbol, bool is_joining);

#endif
