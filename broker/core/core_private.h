/*
 * core_private: what the files that answer control questions share; nobody else includes it.
 *
 * core_control.c has the table of ops and the short answers, core_request.c the queue of those
 * that take longer, core_snapshot.c, core_replay.c and core_history.c those that are worked on in
 * slices, core_status.c how it all stands, core_feed.c what is said of
 * grants of feeds; lock_core.c has a table of its own.  Loop's thread only.  A replay or history
 * looks at some CORE_PAGE_SCAN entries of the log at most, a snapshot at every symbol once; none of
 * them does more than CORE_TURN_WORK in one turn.
 */
#ifndef BROKER_CORE_CORE_PRIVATE_H
#define BROKER_CORE_CORE_PRIVATE_H

#include <msgpack.h>

#include "broker/core/core.h"
#include "broker/core/core_reading.h"
#include "shared/wire/patterns.h"

/* One question while it is being answered. */
struct question {
    struct core *d;
    struct span peer, map, op;
    uint64_t id;
    msgpack_packer pk; /* writes into d->answer */
};

/*
 * A request that is answered in slices.  `start` reads the request; false: it has been answered.
 * `step` works until *work is used up; true: it has been answered.  `end` frees what the state owns.
 * The state has `size` bytes and is zero before `start`.
 */
struct core_slices {
    const char *op;
    size_t size;
    bool (*start)(struct question *q, void *state);
    bool (*step)(struct question *q, void *state, int64_t *work);
    void (*end)(void *state);
};

/* Units of work: 1 for an entry of the log or the book that is looked at, and */
#define CORE_WORK_ENTRY 4 /* for one that goes into an answer, or is packed into it, */
#define CORE_WORK_MESSAGE 16 /* for any message */

/* core_request.c */
void core_request_init(struct core *d);
void core_request_fini(struct core *d);
/* Does a request wait? */
bool core_request_waits(const struct core *d);
/* Queue the request of `q`; the error is said if that cannot be done. */
void core_request_queue(struct question *q);
/* The same of a message; errors as request_queue_add. */
MUST_CHECK enum err core_request_add(struct core *d, struct span peer,
                                     struct span message);

/* core_control.c */
/* Answer a request that `core_request_queue` has had wait. */
void core_control_answer(struct question *q);
/* Begin an answer of `members` besides "re" and "id". */
void answer_begin(struct question *q, uint32_t members);
void answer_send(struct question *q);
void answer_error(struct question *q, enum err e, const char *message);
/* true: its peer does not read its answers, or has gone; the question has been refused. */
bool core_refuse_deaf(struct question *q);

/* core_feed.c: what is said of a grant. */
#define CORE_FEED_WHO_MAX 128
/* "pid 7 on host", in `out`; what is known of one from before our start is neither. */
const char *core_feed_who(uint64_t pid, const char *host, char out[CORE_FEED_WHO_MAX]);
void core_feed_log_grant(struct core *d, const struct feed *f);
/* "after" and who had the name before. */
void core_feed_pack_former(struct core *d, const struct feed *f, msgpack_packer *pk);
/*
 * Forget the least used of the feeds that nobody holds and whose lines are all stored.  Looks at every
 * symbol.  false: there is none.
 */
bool core_feed_make_room(struct core *d);
/* When the name may be free, for one that asks for it in vain. */
uint64_t core_feed_retry_ms(const struct core *d, const struct feed *f);

/* core_snapshot.c */
extern const struct core_slices core_snapshot_slices;
/* Read the request's patterns; false: they are refused, and the error is said. */
bool core_read_patterns(struct question *q, struct patterns *out);

/* core_replay.c */
extern const struct core_slices core_replay_slices;
/* The oldest position that can be told of. */
uint64_t core_first(const struct core *d);
/* Begin an answer with the CORE_PAGE_MEMBERS that every page of the log has; head: the log's. */
#define CORE_PAGE_MEMBERS 5
void answer_page(struct question *q, uint32_t more_members, uint64_t head,
                 const struct store_page *page);
/* A gap of one position more, STORE_GAP_DAMAGED.  false: there is no room for it. */
bool core_page_damage(struct store_page *page, uint64_t seq);
/* [topic, record], the way the store's pages have them. */
void core_page_add(struct store_page *page, const struct journal_entry *e);
/* Have the store answer later; says so if it cannot. */
void core_ask_store(struct question *q, bool is_history,
                    const struct store_query *query);

/* core_status.c */
void core_status(struct question *q);
void core_pack_gateways(struct question *q);

/* core_epoch.c: proofs that the log has lost positions. */
#define CORE_ROLLED_BACK "rolled_back" /* the reason of the epoch that then begins */
#define CORE_CLAIM_MAX ((uint64_t)1 << 40)
/* The holder of f was acknowledged lines up to `last`, above f->received. */
void core_claim_lines(struct core *d, const struct feed *f, uint64_t last);
/* What position a peer knows, by its hello. */
void core_claim_position(struct core *d, struct span hello);
/* core_request.c: the request that is worked on is not answered; who asked will ask again. */
void core_request_drop(struct core *d);

/* core_clock.c */
void core_clock_pack_status(const struct core *d, msgpack_packer *pk);

/* core_history.c */
extern const struct core_slices core_history_slices;
void core_history_answer(struct question *q, struct archive_result *r);

#endif
