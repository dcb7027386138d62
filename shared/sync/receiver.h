/*
 * receiver: receives the broker's records of some patterns, in order and without a gap.
 *
 * The folder shared/sync holds the state machines of the broker's peers; gateway/upstream and
 * consumer/lib call it.  The owner passes the broker's messages in.  Through the functions of `out`
 * the receiver sends requests to the broker and passes records to its owner
 * (docs/protocol/wire.md).  The owner keeps the symbols: the gateway in its hub, libpregon in its
 * subscription.
 *
 * The invariant: a live record reaches the owner only while the link is *verified*, which means:
 * for every followed symbol (one that a pattern in mode all matches), every earlier record was
 * passed on, or reported as lost.  The link is unverified at first, and again after a new
 * connection, a new log, a silence of the broker (needs_heartbeat), and when a heartbeat, a `prev`
 * or a snapshot names a record that never arrived.  Only a resync verifies it:
 *
 *   1. A mark is subscribed and comes back.  Records before it are dropped: their content is in the
 *      log and in the snapshots that are requested after it.
 *   2. If a pattern is in mode all, the pages of the log between the verified position and the mark
 *      are requested and handed out.  Newer records are held meanwhile.
 *   3. The held records are handed out.  Snapshots of the patterns are requested before that
 *      (holds_for_snapshots) or after it.
 *
 * A pattern that is added later needs a mark and its snapshot; the link stays verified. No I/O, no
 * clock: `now` is any monotonic ms.  One thread.  The functions of `out` may add and remove
 * patterns and pause, but must not pass messages in.  Bounds: RECEIVER_HELD_MAX bytes of held
 * records, RECEIVER_REQUESTS_MAX snapshots requested at once, RECEIVER_SYMBOLS_MAX snapshots of
 * single symbols that wait; patterns are bounded by the owner.
 */
#ifndef SHARED_SYNC_RECEIVER_H
#define SHARED_SYNC_RECEIVER_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/base/buf.h"
#include "shared/base/err.h"
#include "shared/wire/quote.h"
#include "shared/wire/wire.h"

#define RECEIVER_PATTERN_MAX (QUOTE_SYMBOL_MAX + 1)
#define RECEIVER_SILENCE_MS 3000 /* without a heartbeat: the broker is away */
/* after this time a request counts as unanswered and is repeated */
#define RECEIVER_ANSWER_MS 1500
#define RECEIVER_HELD_MAX ((size_t)64 * 1024 * 1024)
#define RECEIVER_REQUESTS_MAX 64
#define RECEIVER_SYMBOLS_MAX 1000

/* A symbol with the data that its owner has. */
struct receiver_symbol {
    void *of;      /* the owner's own pointer; NULL: the owner does not have the symbol */
    uint64_t last; /* position of the last record that was passed on, 0: none */
};

struct receiver_coverage {
    bool is_live;     /* a pattern that matches it is live, so `last` is complete */
    bool is_followed; /* each of its records must be passed on, in order */
};

enum receiver_origin {
    RECEIVER_LIVE,   /* the record directly after the symbol's last one */
    RECEIVER_LOGGED, /* from the log */
    RECEIVER_LEAP,   /* earlier records never arrived; for a state, a snapshot is requested */
};

/* What a receiver does with the broker. */
struct receiver_broker {
    void *ctx;
    /* Subscribe or unsubscribe on the socket for records. */
    void (*listen)(void *ctx, struct span topic, bool is_on);
    /*
     * Send a request on the control socket.  The answer carries `request`; requests with earlier
     * numbers may be dropped.
     */
    void (*request_snapshot)(void *ctx, uint64_t request, struct span pattern, uint64_t from);
    void (*request_replay)(void *ctx, uint64_t request, struct span patterns, uint64_t after,
                           uint64_t until);
    void (*note)(void *ctx, bool is_error, const char *text); /* for the log of the program */
};

/* `flush` and the functions after `presence`, except `complete`, may be NULL: nothing is to do. */
struct receiver_out {
    struct receiver_broker broker;
    void *ctx; /* of the others */

    /* Questions to the owner. */
    bool (*wants_all)(void *ctx, struct span pattern); /* is the pattern in mode all? */
    /* may_add: add an unknown symbol if a pattern matches it. */
    struct receiver_symbol (*find)(void *ctx, struct span name, bool may_add);
    struct receiver_coverage (*cover)(void *ctx, struct span name, const struct receiver_symbol *s);

    /* Messages to the owner.  A record whose position is not above s->last is not new. */
    void (*record)(void *ctx, const struct receiver_symbol *s, const struct wire_record *r,
                   enum receiver_origin origin);
    void (*snapshot)(void *ctx, const struct receiver_symbol *s, const struct wire_entry *e);
    void (*lost)(void *ctx, const struct wire_record *r);
    /*
     * A new log begins, or (if the reason is not log_replaced) the position to resume from cannot
     * be used. old_epoch 0: this is the first log.  `flush` is called before: pass on what still
     * belongs to the old log.
     */
    void (*flush)(void *ctx);
    void (*reset)(void *ctx, uint64_t epoch, uint64_t old_epoch, const char *reason);
    /* The broker is connected, or was silent for RECEIVER_SILENCE_MS (or never connected). */
    void (*presence)(void *ctx, bool is_up);

    /* How far all is complete. */
    void (*unverified)(void *ctx);                              /* no pattern is live */
    void (*live)(void *ctx, struct span pattern, uint64_t seq); /* its snapshot is of `seq` */
    void (*synced)(void *ctx);               /* patterns that were added are now live */
    void (*passed)(void *ctx, uint64_t seq); /* records up to here were passed over (mode newest) */
    void (*complete)(void *ctx, uint64_t seq); /* live patterns are complete up to this position */
    void (*thawed)(void *ctx);                 /* all patterns are live again after `unverified` */

    /* The broker has lost positions that it published: send it receiver_known. */
    void (*fell_back)(void *ctx);
};

#define RECEIVER_ANY_EPOCH UINT64_MAX

struct receiver_settings {
    uint64_t name; /* random, for marks */
    /* Place no mark while the broker is silent, and make the link unverified after a silence. */
    bool needs_heartbeat;
    /*
     * Hold records back until the patterns' snapshots have been handed out, so that positions
     * ascend.
     */
    bool holds_for_snapshots;
    /*
     * A pattern in mode all that was live needs no snapshot after a resync: the log had all its
     * records.
     */
    bool trusts_log;
    bool no_snapshot; /* a pattern is live without a snapshot */
    /* position to resume from; 0, 0: none; RECEIVER_ANY_EPOCH: of whichever log there is */
    uint64_t since_epoch, since_seq;
};

struct receiver;

struct receiver *receiver_new(const struct receiver_settings *settings,
                              const struct receiver_out *out, int64_t now);
void receiver_free(struct receiver *f); /* NULL is allowed */

bool receiver_is_pattern(struct span pattern);
/* ERR_INVALID: not a pattern.  Adding a pattern twice is OK. */
MUST_CHECK enum err receiver_add(struct receiver *f, struct span pattern);
MUST_CHECK enum err receiver_remove(struct receiver *f, struct span pattern);

/* How the receiver's patterns match a symbol. */
struct receiver_match {
    bool is_wanted;     /* some pattern matches; */
    bool is_live;       /* one that matches is live */
    bool was_live;      /* one was live in this log, so the log has all later records */
    uint64_t live_seq;  /* the lowest position since which one of them is live */
    uint64_t since_seq; /* and to resume from, if one that matches was there at the start; or 0 */
};
struct receiver_match receiver_match(const struct receiver *f, struct span symbol);
/* Rises when what receiver_match answers may have changed. */
unsigned receiver_changes(const struct receiver *f);

/* The records' socket is a new one: subscribe to everything on it. */
void receiver_listen(struct receiver *f);
/*
 * A message of two frames: its topic, and the record that wire_read has read from `message`.
 * false: its body is no msgpack, and it was dropped.
 */
bool receiver_on_record(struct receiver *f, struct span topic, struct span message,
                        const struct wire_record *r, int64_t now);
void receiver_on_welcome(struct receiver *f);
/* The broker has answered a hello, which counts as a heartbeat. */
void receiver_on_hello(struct receiver *f, uint64_t epoch, int64_t now);
/* The answer to a request; it has passed pack_check. */
void receiver_on_answer(struct receiver *f, uint64_t request, struct span answer, int64_t now);
/* Do due work.  is_drained: there is nothing left to read, so that silence really is silence. */
void receiver_tick(struct receiver *f, bool is_drained, int64_t now);
/* The time of the next tick. */
int64_t receiver_deadline(const struct receiver *f);

/*
 * Call from a function of `out`: nothing more is passed on until receiver_resume and the next tick.
 */
void receiver_pause(struct receiver *f);
void receiver_resume(struct receiver *f);
bool receiver_is_paused(const struct receiver *f);

uint64_t receiver_epoch(const struct receiver *f); /* 0: none yet */
bool receiver_is_up(const struct receiver *f);
bool receiver_is_verified(const struct receiver *f);
int64_t receiver_heard_at(const struct receiver *f);     /* when the last heartbeat came */
uint64_t receiver_gaps(const struct receiver *f);        /* records found missing, so far */
uint32_t receiver_connections(const struct receiver *f); /* welcomes, so far */
/*
 * Everything of followed symbols up to here was passed on or reported; 0: nothing was verified yet.
 */
uint64_t receiver_verified_seq(const struct receiver *f);
/* The same for all live patterns; it stays the same from `unverified` until `thawed`. */
uint64_t receiver_complete_seq(const struct receiver *f);

/* The data for a hello, by which the broker finds out whether it has lost positions. */
struct receiver_known {
    uint64_t epoch, seq;          /* the newest position that was seen */
    uint64_t record, accepted_us; /* the newest record */
};
struct receiver_known receiver_known(const struct receiver *f);

#endif
