/*
 * core_private: what the files of the core share; no other file includes it.  From the top,
 * each calls only those below it:
 *
 *   core.c           the core's state, lines of feeders, deadlines
 *   core_control.c   the table of ops, and the answers to feeders and other peers
 *   core_status.c, core_gateway.c, core_snapshot.c, core_replay.c, core_history.c
 *                    other answers
 *   core_produce.c   quotes that come in requests
 *   core_forget.c    removing symbols and feeds
 *   core_epoch.c     proofs that the log has lost positions
 *   core_request.c   the queue of requests that are answered in slices, between turns
 *   core_publish.c, core_page.c, core_reading.c, core_feed.c, core_quote.c, core_key.c,
 *   core_clock.c
 *                    parts of these
 *
 * Loop's thread only.  A replay or history looks at some CORE_PAGE_SCAN entries of the log at
 * most, a snapshot at every symbol once; none of them does more than CORE_TURN_WORK in one
 * turn.
 */
#ifndef BROKER_CORE_CORE_PRIVATE_H
#define BROKER_CORE_CORE_PRIVATE_H

#include <msgpack.h>

#include "broker/core/core.h"
#include "broker/core/core_reading.h"
#include "shared/wire/patterns.h"

/*
 * A request that is answered in slices.  `start` reads the request; false: it has been
 * answered.  `step` works until *work is used up; true: it has been answered.  `end` frees what
 * the state owns.  The state has `size` bytes and is zero before `start`.
 */
struct core_slices {
    size_t size;
    bool (*start)(const struct core_log *log, struct control_request *q, void *state);
    bool (*step)(const struct core_log *log, struct control_request *q, void *state, int64_t *work);
    void (*end)(void *state);
};

/* An op of the control socket. */
struct core_op {
    const char *op;
    void (*answer)(struct core *d, struct control_request *q); /* NULL: in slices */
    const struct core_slices *slices;
    bool waits; /* in the queue of core_request.c */
};

/* Units of work: 1 for an entry of the log or the book that is looked at, and */
#define CORE_WORK_ENTRY 4    /* for one that goes into an answer, or is packed into it, */
#define CORE_WORK_MESSAGE 16 /* for any message */

/* core_request.c */
void core_request_init(struct core *d, const struct core_op *(*find)(struct span op));
void core_request_fini(struct core *d);
/* Does a request wait? */
bool core_request_waits(const struct core *d);
/* Queue the request of `q`, or answer with the error if that cannot be done. */
void core_request_queue(struct core *d, struct control_request *q);
/* true: its peer does not read its answers, or has gone; the request has been refused. */
bool core_request_refuse(struct core *d, struct control_request *q);
/* The same of a message; errors as request_queue_add. */
MUST_CHECK enum err core_request_add(struct core *d, struct span peer, struct span message);

/* core_feed.c: log lines and answers about grants. */
#define CORE_FEED_OWNER_MAX 128
/* "pid 7 on host", in `out`; of an owner from before the start neither is known. */
const char *core_feed_owner(uint64_t pid, const char *host, char out[CORE_FEED_OWNER_MAX]);
void core_feed_log_grant(struct core *d, const struct feed *f);
/* "after" and its map: the owner before. */
void core_feed_pack_former(struct core *d, const struct feed *f, msgpack_packer *pk);
/*
 * Grant the name, if need be after the least used feed is forgotten; errors as feed_table_hello.
 * NULL: the request has been answered: held, with the holder and when to come again; or with
 * `full` or `invalid` as its text.
 */
struct feed *core_feed_grant(struct core *d, struct control_request *q, const struct feed_hello *h,
                             const char *full, const char *invalid, bool *is_new);
/* Answer with the error of feed_table_hello; f: the holder of ERR_HELD; why: the text otherwise. */
void core_feed_refuse(struct core *d, struct control_request *q, enum err e, const struct feed *f,
                      const char *why);

/*
 * Does the store have everything of this feed that is in the ring, so that another feed can take
 * the index?
 */
bool core_feed_is_stored(const struct core *d, const struct feed *f);
/* All quotes accepted up to this line of the feed are stored; 0 without a store. */
uint64_t core_feed_stored_line(const struct core *d, const struct feed *f);
/* Drop the name and free its place.  No feeder holds it, and core_feed_is_stored.  Looks at every
 * symbol. */
void core_feed_drop(struct core *d, struct feed *f);

/* core_forget.c */
void core_on_forget(struct core *d, struct control_request *q);

/* core_quote.c: what becomes of a quote of a feed, whichever way it came. */
struct quote_rules core_quote_rules(const struct core *d, bool allow_crossed);
/* Count and log, as line f->received; f is NULL if no feed was granted for it. */
void core_quote_refuse(struct core *d, struct feed *f, struct span feed, struct span symbol,
                       enum quote_refusal why);
/* The two members "refused" and "refusals" of a `received`. */
void core_quote_pack_refusals(const struct feed *f, msgpack_packer *pk);
/* Stamp the header in place and enter the record into ring and book, as line f->received. */
void core_quote_enter(struct core *d, struct book_entry *e, struct feed *f, struct wire_record *r,
                      struct span topic, struct span record);
/* The record in our layout, with a timestamp; valid until the next call. */
struct span core_quote_pack(struct core *d, struct wire_record *r, bool has_time);

/* core_produce.c */
#define CORE_PRODUCE_OWNER "~requests" /* no feeder's owner begins like this */
#define CORE_PRODUCE_HOST "requests to publish"
void core_produce_init(struct core *d);
void core_produce_fini(struct core *d);
/* A key that an earlier broker left, the oldest first; its body has passed pack_check. */
void core_produce_restore(struct core *d, const struct wire_record *r);
void core_on_publish(struct core *d, struct control_request *q);
/* Answer those whose quotes are stored, or who waited too long.  ms until the next; -1: none. */
int64_t core_produce_tick(struct core *d);

/* core_key.c */
struct key_name;
struct key_answer;
struct key_table;
/* Append the key and its answer to the ring. */
void core_key_enter(struct core *d, const struct key_name *n, const struct key_answer *a);
/*
 * How long ago the key was entered, at most KEY_TABLE_MS: by the time since the machine started, if
 * that is the same start, so that a wall clock which was set drops no key; else by the wall clock.
 */
int64_t core_key_age_ms(const struct core *d, const struct wire_record *r);
void core_key_restore(struct core *d, struct key_table *keys, const struct wire_record *r);

/* core_page.c */
/* Read the request's patterns; false: they are refused, and the error is sent. */
bool core_read_patterns(struct control_request *q, struct patterns *out);
/* The oldest position that an answer can have. */
uint64_t core_first(const struct core_log *log);
/* Begin an answer with the CORE_PAGE_MEMBERS that every page of the log has; head: the log's. */
#define CORE_PAGE_MEMBERS 5
void core_page_begin(const struct core_log *log, struct control_request *q, uint32_t more_members,
                     uint64_t head, const struct store_page *page);
/* A gap of one position more, STORE_GAP_DAMAGED.  false: there is no room for it. */
bool core_page_damage(struct store_page *page, uint64_t seq);
/* [topic, record], the way the store's pages have them. */
void core_page_add(struct store_page *page, const struct journal_entry *e);
/* Have the store answer later; the error is sent if it cannot. */
void core_store_request(const struct core_log *log, struct control_request *q, bool is_history,
                        const struct store_query *query);

/* core_snapshot.c, core_replay.c, core_history.c */
extern const struct core_slices core_snapshot_slices, core_replay_slices, core_history_slices;
/* Send a page that the store has read. */
void core_replay_send(const struct core_log *log, struct control_request *q,
                      const struct store_page *page);
/*
 * The same for a history.  false: the page is empty, and the ring may have the records.  Then
 * nothing is sent, and `again` is the request that reads the ring, to be queued for the same
 * peer.  With `again` NULL the page is sent in any case, and leads on by itself.
 */
bool core_history_answer(const struct core_log *log, struct control_request *q,
                         struct archive_result *r, struct buf *again);

/* core_status.c */
void core_status(struct core *d, struct control_request *q);

/* core_gateway.c */
void core_pack_gateways(struct core *d, struct control_request *q);
void core_on_report(struct core *d, struct control_request *q);
void core_on_connections(struct core *d, struct control_request *q);

/* core_control.c: the op of that name; NULL: there is none here. */
const struct core_op *core_control_find(struct span op);

/* core_publish.c */
/*
 * Begin a record about a lock with the members that only the core knows, and publish it; ctx: the
 * core.
 */
void core_publish_lock(void *ctx, struct span topic, struct wire_record *r);
void core_send_heartbeat(struct core *d);

/* core_epoch.c: proofs that the log has lost positions. */
#define CORE_ROLLED_BACK "rolled_back" /* the reason of the epoch that then begins */
#define CORE_CLAIM_MAX ((uint64_t)1 << 40)
/* The holder of f was acknowledged lines up to `last`, above f->received. */
void core_claim_lines(struct core *d, const struct feed *f, uint64_t last);
/* Check the position that a peer states in its hello. */
void core_claim_position(struct core *d, struct span hello);
/* core_request.c: end the request in progress without an answer; the peer sends it again. */
void core_request_drop(struct core *d);

/* core_clock.c */
void core_clock_pack_status(const struct core *d, msgpack_packer *pk);

#endif
