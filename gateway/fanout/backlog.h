/*
 * backlog: the messages that one subscriber has not been sent yet. Only hub and session use it.
 *
 * In mode merge it is a list of *due symbols*, not of messages: when the socket has room, the
 * message is made from the symbol's newest value. While a subscriber keeps up, the list is empty
 * between turns and needs no search. A subscriber that falls behind gets a bit mask by symbol, so
 * that each symbol is in the list once. Memory is bounded by the number of symbols, not by time. In
 * mode all it is a queue of frames, bounded in bytes; past the bound, has_overflowed is set. No
 * I/O, no clock. Loop's thread only. Zero-initialise.
 */
#ifndef GATEWAY_FANOUT_BACKLOG_H
#define GATEWAY_FANOUT_BACKLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/fanout/hub_frame.h"

struct backlog {
    /* merge: due symbols, each tagged with the kind of message; the list begins at `due_first` */
    /* points to one_due while the list has at most one entry, so such a struct must not move */
    uintptr_t *due;
    uintptr_t one_due;
    uint32_t due_first, due_count, due_cap;
    uint32_t queue_count;
    /* the last symbol marked, and when, to notice that a second pattern matches it */
    uint32_t marked_index;
    uint64_t marked_round;
    /* merge: two bits per symbol, only for a subscriber that is behind */
    uint64_t *mask;
    uint32_t mask_words;
    bool has_overflowed;
    /*
     * entries may belong to topics that the subscriber left: only the first `verified` may be sent
     */
    bool is_dirty;
    /* number of entries, from the first, that backlog_verify has checked */
    uint32_t verified;
    enum symbol_message quote_as; /* MESSAGE_QUOTE or MESSAGE_TRACED */
    /* mode all: queue_count frames in order */
    uint32_t queue_first, queue_cap; /* cap: a power of two */
    struct frame **queue;
    size_t queue_bytes;
    uint64_t sent_seq; /* mode all: the highest position sent */
    uint64_t merged;   /* updates that were not sent because newer ones replaced them */
};

void backlog_fini(struct backlog *b); /* empties it; `merged` and `quote_as` stay */

/*
 * Adds a symbol that had `updates` updates. `round` numbers the fan-out: a second mark of the
 * symbol in the same round (because two patterns match it) is ignored. Returns by how much `merged`
 * rose.
 */
uint32_t backlog_mark(struct backlog *b, struct hub_symbol *s, enum symbol_message kind,
                      uint32_t updates, uint64_t round);
/*
 * Queues a frame and retains it. A frame equal to the last one queued, or one past `limit`, is not
 * queued.
 */
void backlog_queue(struct backlog *b, struct frame *f, size_t limit);
/* The subscriber did not keep up: from now on each symbol is in the list once. */
void backlog_fall_behind(struct backlog *b);
/*
 * backlog_suspect: some entries may have become invalid, so none is sent until backlog_verify has
 * checked it. backlog_verify checks the first `most` entries and drops those for which `is_kept`
 * returns false.
 */
void backlog_suspect(struct backlog *b);
void backlog_verify(struct backlog *b, bool (*is_kept)(void *ctx, struct hub_symbol *s), void *ctx,
                    uint32_t most);

/* The number of entries that may be sent now. */
static inline uint32_t backlog_sendable(const struct backlog *b)
{
    return b->is_dirty ? b->verified : UINT32_MAX;
}

static inline bool backlog_is_empty(const struct backlog *b)
{
    return !b->due_count && !b->queue_count;
}
/*
 * Mode all: true if a client that received everything sent so far, and reconnects with sent_seq,
 * misses nothing. It is false while snapshots, or records below those sent, are queued. Costs
 * O(length of the queue).
 */
bool backlog_is_ascending(const struct backlog *b);
static inline uint32_t backlog_length(const struct backlog *b) /* in messages */
{
    return b->due_count + b->queue_count;
}
/*
 * Returns the frame at place `ahead` of the due list and makes it if necessary; NULL: the list is
 * shorter. The frame is valid until the next call.
 */
struct frame *backlog_peek_due(struct backlog *b, enum encoding encoding,
                               uint32_t ahead); /* counted behind the queued frames */
static inline struct frame *backlog_peek(struct backlog *b, enum encoding encoding, uint32_t ahead)
{
    if (ahead < b->queue_count)
        return b->queue[(b->queue_first + ahead) & (b->queue_cap - 1)];
    return backlog_peek_due(b, encoding, ahead - b->queue_count);
}
/* The first `count` messages have been sent; the subscriber is behind with the rest. */
void backlog_took(struct backlog *b, uint32_t count);

#endif
