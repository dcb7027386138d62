/*
 * hub: who wants which symbol, and what each subscriber is still owed.
 *
 * A topic is a pattern some client holds ("EUR/USD", or a prefix "BTC*"); it has the list of its
 * subscribers, and every symbol has the list of topics that match it.  A record changes its
 * symbol and puts it on the list of changed ones; once per turn hub_fan_out() walks that
 * list and marks each subscriber's backlog (backlog.h).
 *
 * Frames are made at most once per record and encoding, when the first subscriber needs one.
 * No I/O, no clock.  Loop's thread only.
 */
#ifndef GATEWAY_FANOUT_HUB_H
#define GATEWAY_FANOUT_HUB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/fanout/backlog.h"
#include "gateway/fanout/frame.h"
#include "shared/base/buf.h"
#include "shared/base/prefix_index.h"
#include "shared/wire/quote.h"
#include "shared/wire/wire.h"

#define HUB_PATTERN_MAX (QUOTE_SYMBOL_MAX + 1) /* a symbol, or a prefix and '*' */

enum symbol_state { SYMBOL_UNKNOWN, SYMBOL_LIVE, SYMBOL_STALE };

struct hub_symbol {
    char name[QUOTE_SYMBOL_MAX + 1];
    uint8_t name_len;
    uint32_t index;
    enum symbol_state state;
    bool last_is_state; /* its last record was a state, not a quote */
    uint64_t seq, prev; /* of its last record */
    uint64_t sent_us, accepted_us, received_us; /* of it, 0: not known */
    struct buf body;   /* of its last quote, msgpack; empty: none yet */
    uint64_t body_seq; /* position of that quote */
    /* private to the hub */
    struct frame *frames[MESSAGE_COUNT][ENCODING_COUNT];
    struct hub_topic **topics; /* those that match it, if `matching` is the hub's */
    uint32_t topic_count, topic_cap;
    uint64_t matching;
    uint32_t holds;            /* records of windows that point to it */
    uint32_t updates;          /* quotes in this turn */
    bool is_changed;           /* on the list of changed ones */
    bool had_quote, had_state; /* in this turn */
    bool
        is_of_old_log; /* the next quote is the first of this log: sent as a snapshot */
    bool is_snapshot_due; /* resynchronised: send a snapshot, not a quote */
    uint32_t hash;
    struct hub_symbol *chain;
};

enum topic_sync {
    TOPIC_NEW,     /* somebody wants it, the broker has not been asked */
    TOPIC_SYNCING, /* subscribed, waiting for mark and snapshot */
    TOPIC_LIVE,
};

struct hub_join;
struct hub_subscriber;

struct hub_member {
    struct hub_subscriber *who;
    uint32_t place : 31; /* in who->topics */
    bool is_joining : 1; /* it may not have been owed the topic's snapshots yet */
};

struct hub_topic {
    char pattern[HUB_PATTERN_MAX + 1];
    uint8_t pattern_len;
    bool is_prefix;
    enum topic_sync sync;
    uint32_t
        generation;  /* upstream's number of the synchronisation under way, 0: none */
    bool is_marked;  /* upstream's: its mark has come, its snapshot may be asked for */
    bool is_doubted; /* it was live, and is being synchronised again */
    uint64_t synced_seq; /* position of the snapshot it became live with */
    uint32_t stamp;      /* of the last hub_stamp that named it */
    uint64_t asked_by;   /* stream's number of the last request that named it */
    uint32_t references; /* requests waiting for it, and members */
    /* private to the hub */
    struct hub_member *members;
    uint32_t member_count, member_cap;
    uint32_t all_count; /* of them in mode all */
    uint32_t hash;
    bool is_idle; /* on the list of those that may be removed */
    struct hub_topic *next_idle;
    struct hub_topic *chain;
    struct hub_topic *next, **link;                 /* all topics */
    struct hub_topic *next_pending, **pending_link; /* those not live; NULL: live */
};

struct hub_place {
    struct hub_topic *topic;
    uint32_t place; /* in topic->members */
};

/*
 * Embedded in a client.  Zero-initialise, then set encoding and mode; once it has topics,
 * hub_set_mode sets the mode.  What every quote needs stands together, the rest at the end.
 */
struct hub_subscriber {
    enum encoding encoding;
    bool wants_all; /* mode all */
    bool is_due;    /* on the hub's list of those to flush */
    bool is_counted_dirty;
    struct hub_join *join; /* while it joins topics, else NULL */
    struct backlog backlog;
    struct hub_place *topics;
    uint32_t topic_count, topic_cap;
    uint32_t due_at;     /* on that list */
    uint32_t slot_count; /* to find a topic among many */
    uint32_t *slots;
};

struct hub;

struct hub *hub_new(size_t queue_limit);
void hub_free(struct hub *h);
void hub_set_queue_limit(struct hub *h, size_t bytes); /* of subscribers in mode all */

/* --- records from upstream ------------------------------------------------- */

/*
 * The position up to which everything our topics cover has been applied.  It stands still while
 * something may be missing: from hub_resync, hub_go_stale or hub_reset until hub_thaw.
 */
uint64_t hub_seq(const struct hub *h);
uint64_t hub_applied(const struct hub *h); /* the newest applied, missing ones or not */
void hub_set_seq(struct hub *h, uint64_t seq); /* only ever upwards */
uint64_t hub_epoch(const struct hub *h);
bool hub_is_frozen(const struct hub *h);
/* How often topics started anew: what was live before may not be now. */
uint64_t hub_restarts(const struct hub *h);
/* Are there topics that were live before and are not yet again? */
bool hub_has_doubts(const struct hub *h);
void hub_thaw(struct hub *h);

/*
 * The record of this symbol before r never came: true.  Only for symbols whose position is
 * known to be complete, or that someone follows in mode all; for one not seen yet (from now on hub_find finds it), what its topics'
 * snapshots covered counts.
 */
bool hub_is_gap(struct hub *h, struct span symbol, const struct wire_record *r);

/*
 * A new log: every position is forgotten, every value becomes stale, nothing is owed any more,
 * topics start anew.
 */
void hub_reset(struct hub *h, uint64_t epoch);
/* The broker is away: every value becomes stale and is announced; topics start anew. */
void hub_go_stale(struct hub *h);
/* Positions may have a hole: topics start anew, values stay. */
void hub_resync(struct hub *h);

/* Apply a published quote or state.  false: not newer, dropped. */
bool hub_apply(struct hub *h, struct span symbol, const struct wire_record *r);
/* A loss; its subscribers are told by hub_queue_all. */
void hub_apply_lost(struct hub *h, uint64_t seq, struct span body);

/* Apply one entry of a snapshot taken at or after the mark. */
void hub_apply_snapshot(struct hub *h, struct span symbol, uint64_t seq, bool is_stale,
                        const struct wire_record *quote);

/* Records kept for clients that come back; without this call none are. */
void hub_set_window(struct hub *h, size_t bytes);
struct window *hub_window(const struct hub *h);
/* Records were leapt over: what the window has from now on is not complete before `floor`. */
void hub_break_window(struct hub *h, uint64_t floor);

/* Mark the subscribers of everything that changed.  Once per turn, then flush those due. */
void hub_fan_out(struct hub *h);
/* Updates that subscribers, present and gone, never got, because newer ones replaced them. */
uint64_t hub_merged(const struct hub *h);
/* Take one subscriber off the list of those to flush, or NULL. */
struct hub_subscriber *hub_take_due(struct hub *h);
bool hub_has_due(const struct hub *h);
size_t hub_due_count(struct hub *h); /* at most so many */
/* Put a subscriber on it (again). */
void hub_set_due(struct hub *h, struct hub_subscriber *s);

/* --- topics ------------------------------------------------------------------ */

bool hub_is_pattern(struct span pattern);
/* Find or make; holds a reference for the caller. */
struct hub_topic *hub_topic_hold(struct hub *h, struct span pattern);
/* Let go.  Without a reference a topic stays until hub_tidy removes it. */
void hub_topic_release(struct hub *h, struct hub_topic *t);
/* Its last snapshot page, taken at `seq`, was applied: → TOPIC_LIVE. */
void hub_topic_synced(struct hub *h, struct hub_topic *t, uint64_t seq);
/* What the broker counts for them all: the bytes of each as a topic of ZeroMQ, and 4. */
size_t hub_topic_bytes(const struct hub *h);
size_t hub_topic_cost(struct span pattern);
struct hub_topic *hub_topic_first(const struct hub *h); /* then ->next */
/* Those that are not live, then ->next_pending: a mark costs no look at all topics. */
struct hub_topic *hub_topic_first_pending(const struct hub *h);
struct hub_topic *hub_topic_find(const struct hub *h, struct span pattern);
/* The newest value of every symbol of the log is here: '*' is live and nothing may be missing. */
bool hub_has_everything(const struct hub *h);
/* Symbols with a quote of this log. */
size_t hub_valued_count(const struct hub *h);
/* The symbols whose names begin so: prefix_walk_next. */
struct prefix_walk hub_walk_names(const struct hub *h, struct span prefix);

/* What upstream must do: called when a topic is made and when one is removed. */
struct hub_watcher {
    void *ctx;
    void (*on_topic_new)(void *ctx, struct hub_topic *t);
    void (*on_topic_gone)(void *ctx, const struct hub_topic *t);
};
void hub_watch(struct hub *h, struct hub_watcher w);
struct span hub_topic_pattern(const struct hub_topic *t);

/* --- subscribers --------------------------------------------------------------- */

bool hub_is_member(const struct hub_subscriber *s, const struct hub_topic *t);
void hub_set_mode(struct hub_subscriber *s, bool wants_all);
/*
 * Join topics (each gets a reference of the subscriber's own) and owe snapshots of at most
 * `limit` symbols of the new ones: those that changed after the position `since` (0: all).  In
 * mode all they go in ascending position, and every record after them.  Of those that did
 * not change it is owed the states: it has every record up to `since`, but what it was told of
 * the broker's absence is none.  HUB_SINCE_NOW: owe nothing.
 *
 * In slices: hub_join_begin, then hub_join_find until it returns true, then hub_join_owe until it
 * does (then s->join is NULL).  hub_reset and hub_leave_all may come between; after the latter
 * the join is over.  No hub_leave, hub_set_mode or other join may.  `steps` is how much work may be
 * done, a symbol looked at each, and is lowered by what was done.  Nothing of the new topics is
 * owed before hub_join_owe; in mode all nothing is while the subscriber has `room` bytes
 * in its queue.
 */
#define HUB_SINCE_NOW UINT64_MAX
void hub_join_begin(struct hub *h, struct hub_subscriber *s,
                    struct hub_topic *const *topics, size_t count, uint64_t since,
                    size_t limit, size_t room);
bool hub_join_find(struct hub *h, struct hub_subscriber *s, size_t *steps);
/*
 * How many symbols changed.  *before becomes the position before the first of them, if that is lower.
 * Once all are found.
 */
size_t hub_join_changed(const struct hub_subscriber *s, uint64_t *before);
bool hub_join_owe(struct hub *h, struct hub_subscriber *s, size_t *steps);
/* All of it at once; returns how many changed.  before: NULL is allowed. */
size_t hub_join(struct hub *h, struct hub_subscriber *s,
                struct hub_topic *const *topics, size_t count, size_t limit,
                uint64_t since, uint64_t *before);

/*
 * The symbols that one of the topics matches, each once, in slices: the topics stay held, symbols may
 * come and go.  hub_walk_next returns false if `steps` are spent; else *out is the next symbol, or
 * NULL after the last one.  Finding a symbol among N costs O(log N), each that follows O(1).
 */
struct hub_walk {
    struct hub_topic **patterns; /* sorted, without those that another one covers */
    size_t count, at;
    bool is_within; /* a prefix's symbols */
    struct prefix_walk place;
};
void hub_walk_begin(struct hub_walk *w, struct hub_topic *const *topics, size_t count);
bool hub_walk_next(const struct hub *h, struct hub_walk *w, size_t *steps,
                   struct hub_symbol **out);
void hub_walk_end(struct hub_walk *w);

/*
 * Leave a pattern; what is no longer covered is no longer owed.  false: not held.  Costs O(1): the
 * backlog is looked through when it is sent (hub_verify_backlog).
 */
bool hub_leave(struct hub *h, struct hub_subscriber *s, struct span pattern);
/* Also frees the backlog.  Costs O(what it has). */
void hub_leave_all(struct hub *h, struct hub_subscriber *s);
/* Drop what it has left from the first `most` entries of its backlog: only they may be sent. */
void hub_verify_backlog(struct hub *h, struct hub_subscriber *s, uint32_t most);

/* Queue a frame to everyone in mode all, in order (losses). */
void hub_queue_all(struct hub *h, struct frame *frames[ENCODING_COUNT]);
/* Is anyone in mode all subscribed to this symbol; to anything? */
bool hub_has_all(const struct hub *h, struct hub_symbol *symbol);
bool hub_topic_has_all(const struct hub_topic *t);
bool hub_has_anyone_in_all(const struct hub *h);

/* The frame of a symbol's newest record, made once per kind and encoding; the hub's own. */
struct frame *hub_make_frame(struct hub_symbol *s, enum symbol_message kind,
                             enum encoding encoding);
static inline struct frame *hub_symbol_frame(struct hub_symbol *s,
                                             enum symbol_message kind,
                                             enum encoding encoding)
{
    struct frame *f = s->frames[kind][encoding];

    return f ? f : hub_make_frame(s, kind, encoding);
}

/* --- questions ------------------------------------------------------------------ */

struct hub_symbol *hub_find(const struct hub *h, struct span symbol);
struct hub_symbol *hub_know(struct hub *h, struct span name); /* find or add */
bool hub_is_covered(const struct hub *h, struct span symbol); /* by a live topic */
bool hub_is_wanted(const struct hub *h, struct span symbol);  /* by any topic */
/* Name a set of topics; then ask whether a symbol is matched by one of them. */
void hub_stamp(struct hub *h, struct hub_topic *const *topics, size_t count);
bool hub_is_stamped(const struct hub *h, struct hub_symbol *symbol);
/* Is it covered by a live topic: is its `seq` complete? */
bool hub_is_synced(const struct hub *h, struct hub_symbol *symbol);
size_t hub_symbol_count(const struct hub *h); /* known */
/* Indexes are below this; a symbol has its index as long as it is known. */
size_t hub_symbol_end(const struct hub *h);
struct hub_symbol *hub_symbol_at(const struct hub *h, size_t index); /* NULL: none */

/*
 * Remove at most `most` topics that nobody holds, and look whether four times as many symbols are
 * still wanted.  A symbol is forgotten when no topic matches it, no feed of this log has supplied it and
 * no window points to it: the number of names kept is bounded by what clients hold and
 * the broker knows.  Once per turn, after hub_fan_out; true: there is more to do.
 */
bool hub_tidy(struct hub *h, size_t most);

#endif
