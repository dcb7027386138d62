/*
 * backlog: what one subscriber is still owed.
 *
 * In merge it is *which symbols are due*, not a queue of messages: what is sent is made when the
 * socket has room, from the newest value.  While a subscriber keeps up, the list is empty between
 * turns and needs no search; one that falls behind gets a bit mask by symbol, so that a symbol
 * stands in the list once.  Memory is bounded by symbols, not by time.
 * In mode all it is a queue of frames, bounded in bytes; over the bound it has overflowed.
 * No I/O, no clock.  Loop's thread only.  Zero-initialise.
 */
#ifndef GATEWAY_FANOUT_BACKLOG_H
#define GATEWAY_FANOUT_BACKLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/fanout/frame.h"

struct hub_symbol;

/* MESSAGE_TRACED: a quote for those who asked when it passed where. */
enum symbol_message {
    MESSAGE_QUOTE,
    MESSAGE_SNAPSHOT,
    MESSAGE_STATE,
    MESSAGE_TRACED,
    MESSAGE_COUNT
};

struct backlog {
    /* merge: symbols due, tagged with what to send; from `first` on */
    uintptr_t
        *due; /* one_due, as long as there is no more than one: it does not move */
    uintptr_t one_due;
    uint32_t due_first, due_count, due_cap;
    uint32_t queue_count;
    uint32_t marked_round,
        marked_index; /* the last marking, to see overlapping patterns */
    uint64_t *mask;   /* two bits a symbol, only while behind */
    uint32_t mask_words;
    bool has_overflowed;
    bool
        is_dirty; /* it may name what is not owed any more: only `verified` may be sent */
    uint32_t verified;            /* entries from the first */
    enum symbol_message quote_as; /* MESSAGE_QUOTE or MESSAGE_TRACED */
    /* all: frames in order, queue_count of them */
    uint32_t queue_first, queue_cap; /* cap: a power of two */
    struct frame **queue;
    size_t queue_bytes;
    uint64_t sent_seq; /* all: the highest position taken */
    uint64_t merged;   /* updates it will never see because newer ones replaced them */
};

void backlog_fini(struct backlog *b); /* empties it; `merged`, `quote_as` stay */

/*
 * Owe a symbol of which `updates` happened.  `round` names the fan-out: a second marking in
 * the same round (two patterns match) is ignored.  Returns by how many `merged` rose.
 */
uint32_t backlog_mark(struct backlog *b, struct hub_symbol *s, enum symbol_message kind,
                      uint32_t updates, uint32_t round);
/* Queue a frame (a reference is taken), unless it is the last one queued, or over `limit`. */
void backlog_queue(struct backlog *b, struct frame *f, size_t limit);
/* It did not keep up: from now on a symbol stands in the list once. */
void backlog_fall_behind(struct backlog *b);
/*
 * Some entries may not be owed any more: none is sent before backlog_verify has looked at it.  It looks at
 * the first `most` and drops those that `is_kept` says no to.
 */
void backlog_suspect(struct backlog *b);
void backlog_verify(struct backlog *b, bool (*is_kept)(void *ctx, struct hub_symbol *s),
                    void *ctx, uint32_t most);

/* So many entries may be sent now; no bound if nothing is suspected. */
static inline uint32_t backlog_sendable(const struct backlog *b)
{
    return b->is_dirty ? b->verified : UINT32_MAX;
}

static inline bool backlog_is_empty(const struct backlog *b)
{
    return !b->due_count && !b->queue_count;
}
/*
 * All: a client that has got what was taken, and comes back from sent_seq, misses nothing.  false:
 * snapshots are queued, or records below those taken.  Costs O(what is queued).
 */
bool backlog_is_ascending(const struct backlog *b);
static inline uint32_t backlog_length(const struct backlog *b) /* in messages */
{
    return b->due_count + b->queue_count;
}
/* The frame owed `ahead` down the list, made if need be; NULL: no more.  Valid until the next call. */
struct frame *backlog_peek_due(struct backlog *b, enum encoding encoding,
                               uint32_t ahead); /* beyond the queue */
static inline struct frame *backlog_peek(struct backlog *b, enum encoding encoding,
                                         uint32_t ahead)
{
    if (ahead < b->queue_count)
        return b->queue[(b->queue_first + ahead) & (b->queue_cap - 1)];
    return backlog_peek_due(b, encoding, ahead - b->queue_count);
}
/* The first `count` have been sent; what is left has fallen behind. */
void backlog_took(struct backlog *b, uint32_t count);

#endif
