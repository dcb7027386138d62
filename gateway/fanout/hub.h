/*
 * hub: knows which subscriber wants which symbol, and marks what each one must be sent. upstream
 * applies the broker's records here; sessions join and leave topics and send the backlogs.
 *
 * A topic is a pattern that some client subscribed to ("EUR/USD", or a prefix "BTC*"). It has the
 * list of its subscribers, and every symbol has the list of topics that match it. A record changes
 * its symbol and puts the symbol on the list of changed ones; once per turn hub_fan_out() walks
 * that list and marks each subscriber's backlog (backlog.h).
 *
 * Frames are made at most once per record and encoding, when the first subscriber needs one. No
 * I/O, no clock. Loop's thread only.
 *
 * Folder gateway/fanout: from one record to the frames of all its subscribers.  Every other folder
 * of the gateway may call it; it calls only shared.
 */
#ifndef GATEWAY_FANOUT_HUB_H
#define GATEWAY_FANOUT_HUB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/fanout/backlog.h"
#include "gateway/fanout/hub_frame.h"
#include "shared/base/buf.h"
#include "shared/base/prefix_index.h"
#include "shared/wire/quote.h"
#include "shared/wire/wire.h"

#define HUB_PATTERN_MAX (QUOTE_SYMBOL_MAX + 1) /* a symbol, or a prefix and '*' */

struct hub_join;
struct hub_subscriber;

struct hub_member {
    struct hub_subscriber *subscriber;
    uint32_t place : 31; /* index in subscriber->topics */
    /* the snapshots of the topic's symbols may not be queued yet */
    bool is_joining : 1;
};

struct hub_topic {
    char pattern[HUB_PATTERN_MAX + 1];
    uint8_t pattern_len;
    bool is_prefix;
    bool is_live;          /* its snapshot was applied: its symbols are complete */
    uint64_t synced_seq;   /* position of the snapshot that made it live */
    uint32_t stamp;        /* number of the last hub_stamp that named it */
    uint64_t requested_by; /* stream's number of the last client request that named it */
    uint32_t references;   /* references of its members and of requests that wait for it */
    /* private to the hub */
    struct hub_member *members;
    uint32_t member_count, member_cap;
    uint32_t all_count; /* number of members in mode all */
    uint32_t hash;
    bool is_idle; /* on the list of topics that hub_tidy may remove */
    struct hub_topic *next_idle;
    struct hub_topic *chain;
    struct hub_topic *next, **link; /* list of all topics */
};

struct hub_place {
    struct hub_topic *topic;
    uint32_t place; /* index in topic->members */
};

/*
 * Embedded in a client. Zero-initialise, then set encoding and mode; hub_set_mode changes the mode
 * of a subscriber that has topics. The members that every quote needs are first, the rest at the
 * end.
 */
struct hub_subscriber {
    enum encoding encoding;
    bool wants_all; /* mode all */
    bool is_due;    /* on the hub's list of due subscribers */
    bool is_counted_dirty;
    struct hub_join *join; /* set while it joins topics, else NULL */
    struct backlog backlog;
    struct hub_place *topics;
    uint32_t topic_count, topic_cap;
    uint32_t due_at;     /* index in that list */
    uint32_t slot_count; /* hash slots that find a topic among many */
    uint32_t *slots;
};

struct hub;

struct hub *hub_new(size_t queue_limit);
void hub_free(struct hub *h);
/* limit of each backlog in mode all */
void hub_set_queue_limit(struct hub *h, size_t bytes);

/* --- records from upstream ------------------------------------------------- */

/*
 * The position up to which every record of our topics has been applied. It does not change while a
 * record may be missing: from hub_resync, hub_go_stale or hub_reset until hub_thaw.
 */
uint64_t hub_seq(const struct hub *h);
/* the newest position applied, even if earlier records are missing */
uint64_t hub_applied(const struct hub *h);
void hub_set_seq(struct hub *h, uint64_t seq); /* never lowers it */
uint64_t hub_epoch(const struct hub *h);
bool hub_is_frozen(const struct hub *h);
/* Counts resyncs of all topics: a topic that was live before one may not be live now. */
uint64_t hub_restarts(const struct hub *h);
void hub_thaw(struct hub *h);

/*
 * A new log: the hub forgets every position, sets every value stale, empties every backlog and
 * starts a resync of all topics.
 */
void hub_reset(struct hub *h, uint64_t epoch);
/*
 * The broker is away: the hub sets every value stale, announces that, and starts a resync of all
 * topics.
 */
void hub_go_stale(struct hub *h);
/* Records may be missing: the hub starts a resync of all topics; values stay. */
void hub_resync(struct hub *h);

/*
 * Apply a published quote or state. Returns false if it is not newer than the symbol's last record;
 * nothing changes then.
 */
bool hub_apply(struct hub *h, struct hub_symbol *s, const struct wire_record *r);
/* Apply a loss; hub_queue_all sends it to subscribers. */
void hub_apply_lost(struct hub *h, uint64_t seq, struct span body);

/* Apply one entry of a snapshot taken at or after the mark. */
void hub_apply_snapshot(struct hub *h, struct span symbol, uint64_t seq, bool is_stale,
                        const struct wire_record *quote);

/*
 * A snapshot names the symbol among those that were removed, at `seq`.  A removed symbol has no
 * value; it is kept for clients that resume while a topic matches it, so as long as the topic has
 * clients, the hub knows every name that was removed since.
 */
void hub_apply_removed(struct hub *h, struct hub_symbol *s, uint64_t seq);

/* The window of records for reconnecting clients; without this call there is none. */
void hub_set_window(struct hub *h, size_t bytes);
struct window *hub_window(const struct hub *h);
/* Records were skipped: the window's records from now on are complete only above `floor`. */
void hub_break_window(struct hub *h, uint64_t floor);

/*
 * Mark the subscribers of every symbol that changed. Call it once per turn, then flush the due
 * subscribers.
 */
void hub_fan_out(struct hub *h);
/*
 * Updates that were never sent to their subscribers, present and past, because newer ones replaced
 * them.
 */
uint64_t hub_merged(const struct hub *h);
/* Take one subscriber off the list of due subscribers; NULL: it is empty. */
struct hub_subscriber *hub_take_due(struct hub *h);
bool hub_has_due(const struct hub *h);
size_t hub_due_count(struct hub *h); /* an upper bound */
/* Put a subscriber on the list of due subscribers, if it is not there. */
void hub_set_due(struct hub *h, struct hub_subscriber *s);

/* --- topics ------------------------------------------------------------------ */

bool hub_is_pattern(struct span pattern);
/* Find the topic or make it; the caller gets a reference. */
struct hub_topic *hub_topic_retain(struct hub *h, struct span pattern);
/* Release a reference.  A topic without references stays until hub_tidy removes it. */
void hub_topic_release(struct hub *h, struct hub_topic *t);
/* The last page of its snapshot, taken at `seq`, was applied: the topic is live. */
void hub_topic_synced(struct hub_topic *t, uint64_t seq);
/* The broker counts the same for this gateway: the bytes of each topic as a ZeroMQ topic, and 4. */
size_t hub_topic_bytes(const struct hub *h);
size_t hub_topic_cost(struct span pattern);
struct hub_topic *hub_topic_first(const struct hub *h); /* then ->next */
struct hub_topic *hub_topic_find(const struct hub *h, struct span pattern);
/*
 * True if every symbol of the log has its newest value: '*' is live and no record may be missing.
 */
bool hub_has_everything(const struct hub *h);
/* Number of symbols with a quote of this log. */
size_t hub_valued_count(const struct hub *h);
/* The symbols whose names begin with `prefix`; prefix_walk_next returns each of them. */
struct prefix_walk hub_walk_names(const struct hub *h, struct span prefix);

/* Calls to upstream when a topic is made and when one is removed. */
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
 * Join topics (the subscriber gets a reference of its own to each) and queue snapshots of at most
 * `limit` symbols of the new topics, of those that changed after the position `since` (0: all). In
 * mode all the snapshots are queued in ascending position, and every record behind them. Of symbols
 * that did not change, only the state is queued: the client has every record up to `since`, but a
 * state that the gateway sent while the broker was away is not a record. HUB_SINCE_NOW: queue
 * nothing.
 *
 * A join works in slices: hub_join_begin, then hub_join_find until it returns true, then
 * hub_join_queue until it returns true (then s->join is NULL). hub_reset and hub_leave_all may be
 * called in between; the latter ends the join. hub_leave, hub_set_mode and another join may not.
 * `steps` limits the work, one step per symbol, and is lowered by the work done. Nothing of the new
 * topics is queued before hub_join_queue; in mode all, hub_join_queue adds nothing while the
 * subscriber has `room` bytes in its queue.
 */
#define HUB_SINCE_NOW UINT64_MAX
void hub_join_begin(struct hub *h, struct hub_subscriber *s, struct hub_topic *const *topics,
                    size_t count, uint64_t since, size_t limit, size_t room);
bool hub_join_find(struct hub *h, struct hub_subscriber *s, size_t *steps);
/*
 * Returns how many symbols changed, after hub_join_find has found all. *before becomes the position
 * before the first change, if that is lower.
 */
size_t hub_join_changed(const struct hub_subscriber *s, uint64_t *before);
bool hub_join_queue(struct hub *h, struct hub_subscriber *s, size_t *steps);
/* The whole join at once; returns how many symbols changed.  `before` may be NULL. */
size_t hub_join(struct hub *h, struct hub_subscriber *s, struct hub_topic *const *topics,
                size_t count, size_t limit, uint64_t since, uint64_t *before);

/*
 * Walks over the symbols that one of the topics matches, each once, in slices. The caller keeps its
 * references to the topics; symbols may be added and removed in between. hub_walk_next returns
 * false if `steps` are used up; else *out is the next symbol, or NULL after the last one. Finding
 * the first symbol of a pattern among N costs O(log N), each further one O(1).
 */
struct hub_walk {
    struct hub_topic **patterns; /* sorted, without those that another pattern covers */
    size_t count, at;
    bool is_within; /* inside the symbols of a prefix */
    struct prefix_walk place;
};
void hub_walk_begin(struct hub_walk *w, struct hub_topic *const *topics, size_t count);
bool hub_walk_next(const struct hub *h, struct hub_walk *w, size_t *steps, struct hub_symbol **out);
void hub_walk_end(struct hub_walk *w);

/*
 * Leave a pattern: symbols that no other pattern covers are no longer sent. Returns false if the
 * subscriber had not joined it. Costs O(1): hub_verify_backlog checks the backlog when it is sent.
 */
bool hub_leave(struct hub *h, struct hub_subscriber *s, struct span pattern);
/* Leave all topics and free the backlog.  Costs O(length of the backlog). */
void hub_leave_all(struct hub *h, struct hub_subscriber *s);
/* Drop everything that is pending for the subscriber, because it belongs to an old log. */
void hub_drop_backlog(struct hub *h, struct hub_subscriber *s);
/*
 * Drop symbols that the subscriber left from the first `most` entries of its backlog; only checked
 * entries may be sent.
 */
void hub_verify_backlog(struct hub *h, struct hub_subscriber *s, uint32_t most);

/* Queue a frame (a loss) to every subscriber in mode all, in order. */
void hub_queue_all(struct hub *h, struct frame *frames[ENCODING_COUNT]);
/* Is a subscriber in mode all subscribed to this topic? */
bool hub_topic_has_all(const struct hub_topic *t);

/* --- queries -------------------------------------------------------------------- */

struct hub_symbol *hub_find(const struct hub *h, struct span symbol);
/* adds the symbol if it is not known */
struct hub_symbol *hub_know(struct hub *h, struct span name);
/* does a live topic match it? */
/* does any topic match it? */
bool hub_is_wanted(const struct hub *h, struct span symbol);
/* Name a set of topics; hub_is_stamped then tells whether one of them matches a symbol. */
void hub_stamp(struct hub *h, struct hub_topic *const *topics, size_t count);
bool hub_is_stamped(const struct hub *h, struct hub_symbol *symbol);
/*
 * What the topics that match a symbol say of it: one of them is live; one has a subscriber in mode
 * all. s: NULL if the hub does not know the symbol.
 */
struct hub_coverage {
    bool is_live, has_all;
};
struct hub_coverage hub_cover(const struct hub *h, struct span name, struct hub_symbol *s);
size_t hub_symbol_count(const struct hub *h); /* number of known symbols */
/* All indexes are below this; a symbol keeps its index while it is known. */
size_t hub_symbol_end(const struct hub *h);
/* NULL: the index is free */
struct hub_symbol *hub_symbol_at(const struct hub *h, size_t index);

/*
 * Remove at most `most` topics without references, and check for four times as many symbols whether
 * they are still wanted. A symbol is forgotten when no topic matches it, no feed of this log has
 * supplied it and no window record points to it. So the number of names in memory is bounded by the
 * clients' patterns and the broker's symbols. Call it once per turn, after hub_fan_out; it returns
 * true while there is more to do.
 */
bool hub_tidy(struct hub *h, size_t most);

#endif
