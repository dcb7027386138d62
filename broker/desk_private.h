/*
 * desk_private: what the files that answer control questions share; nobody else includes it.
 *
 * desk_control.c has the table of ops and the short answers, desk_request.c the queue of those
 * that take longer, desk_snapshot.c, desk_replay.c and desk_history.c those that are worked on in
 * slices, desk_status.c how it all stands, desk_feed.c what is said of
 * grants of feeds; desk_lock.c has a table of its own.  Loop's thread only.  A replay or history
 * looks at some DESK_PAGE_SCAN entries of the log at most, a snapshot at every symbol once; none of
 * them does more than DESK_TURN_WORK in one turn.
 */
#ifndef BROKER_DESK_PRIVATE_H
#define BROKER_DESK_PRIVATE_H

#include <msgpack.h>

#include "broker/desk.h"
#include "broker/desk_reading.h"
#include "shared/patterns.h"

/* One question while it is being answered. */
struct question {
    struct desk *d;
    struct span peer, map, op;
    uint64_t id;
    msgpack_packer pk; /* writes into d->answer */
};

/*
 * A request that is answered in slices.  `start` reads the request; false: it has been answered.
 * `step` works until *work is used up; true: it has been answered.  `end` frees what the state owns.
 * The state has `size` bytes and is zero before `start`.
 */
struct desk_slices {
    const char *op;
    size_t size;
    bool (*start)(struct question *q, void *state);
    bool (*step)(struct question *q, void *state, int64_t *work);
    void (*end)(void *state);
};

/* Units of work: 1 for an entry of the log or the book that is looked at, and */
#define DESK_WORK_ENTRY 4 /* for one that goes into an answer, or is packed into it, */
#define DESK_WORK_MESSAGE 16 /* for any message */

/* desk_request.c */
void desk_request_init(struct desk *d);
void desk_request_fini(struct desk *d);
/* Queue the request of `q`; the error is said if that cannot be done. */
void desk_request_queue(struct question *q);
/* The same of a message; errors as request_queue_add. */
MUST_CHECK enum err desk_request_add(struct desk *d, struct span peer,
                                     struct span message);

/* desk_control.c */
/* Answer a request that `desk_request_queue` has had wait. */
void desk_control_answer(struct question *q);
/* Begin an answer of `members` besides "re" and "id". */
void desk_answer_begin(struct question *q, uint32_t members);
void desk_answer_say(struct question *q);
void desk_answer_error(struct question *q, enum err e, const char *message);
/* true: its peer does not read its answers; the question has been refused. */
bool desk_refuse_deaf(struct question *q);

/* desk_feed.c: what is said of a grant. */
#define DESK_FEED_WHO_MAX 128
/* "pid 7 on host", in `out`; what is known of one from before our start is neither. */
const char *desk_feed_who(uint64_t pid, const char *host, char out[DESK_FEED_WHO_MAX]);
void desk_feed_log_grant(struct desk *d, const struct feed *f);
/* "after" and who had the name before. */
void desk_feed_pack_former(struct desk *d, const struct feed *f, msgpack_packer *pk);
/* When the name may be free, for one that asks for it in vain. */
uint64_t desk_feed_retry_ms(const struct desk *d, const struct feed *f);

/* desk_snapshot.c */
extern const struct desk_slices desk_snapshot_slices;
/* Read the request's patterns; false: they are refused, and the error is said. */
bool desk_read_patterns(struct question *q, struct patterns *out);

/* desk_replay.c */
extern const struct desk_slices desk_replay_slices;
/* The oldest position that can be told of. */
uint64_t desk_first(const struct desk *d);
/* Begin an answer with the DESK_PAGE_MEMBERS that every page of the log has; head: the log's. */
#define DESK_PAGE_MEMBERS 5
void desk_answer_page(struct question *q, uint32_t more_members, uint64_t head,
                      const struct store_page *page);
/* A gap of one position more, STORE_GAP_DAMAGED.  false: there is no room for it. */
bool desk_page_damage(struct store_page *page, uint64_t seq);
/* [topic, record], the way the store's pages have them. */
void desk_page_add(struct store_page *page, const struct journal_entry *e);
/* Have the store answer later; says so if it cannot. */
void desk_ask_store(struct question *q, bool is_history,
                    const struct store_query *query);

/* desk_status.c */
void desk_status(struct question *q);
void desk_pack_gateways(struct question *q);

/* desk_epoch.c: proofs that the log has lost positions. */
#define DESK_ROLLED_BACK "rolled_back" /* the reason of the epoch that then begins */
#define DESK_CLAIM_MAX ((uint64_t)1 << 40)
/* The holder of f was acknowledged lines up to `last`, above f->received. */
void desk_claim_lines(struct desk *d, const struct feed *f, uint64_t last);
/* What position a peer knows, by its hello. */
void desk_claim_position(struct desk *d, struct span hello);
/* desk_request.c: the request that is worked on is not answered; who asked will ask again. */
void desk_request_drop(struct desk *d);

/* desk_clock.c */
void desk_clock_pack_status(const struct desk *d, msgpack_packer *pk);

/* desk_history.c */
extern const struct desk_slices desk_history_slices;
void desk_history_answer(struct question *q, struct archive_result *r);

#endif
