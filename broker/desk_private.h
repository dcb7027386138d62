/*
 * desk_private: what the files that answer control questions share; nobody else includes it.
 *
 * desk_control.c has the table of ops and the short answers, desk_replay.c and desk_history.c
 * those that are read from the log, desk_status.c how it all stands, desk_feed.c what is said of
 * grants of feeds; desk_lock.c has a table of its own.  Loop's thread only; nothing here looks at more than some DESK_PAGE_SCAN
 * entries for one question.
 */
#ifndef BROKER_DESK_PRIVATE_H
#define BROKER_DESK_PRIVATE_H

#include <msgpack.h>

#include "broker/desk.h"

#define DESK_PAGE_ENTRIES 2000 /* of a snapshot, replay or history answer */
#define DESK_PAGE_BYTES (256 * 1024)
#define DESK_PAGE_SCAN 20000 /* entries looked at for one page: some milliseconds */

/* One question while it is being answered. */
struct question {
    struct desk *d;
    struct span peer, map, op;
    uint64_t id;
    msgpack_packer pk; /* writes into d->answer */
};

/* desk_control.c */
/* Begin an answer of `members` besides "re" and "id". */
void desk_answer_begin(struct question *q, uint32_t members);
void desk_answer_say(struct question *q);
void desk_answer_error(struct question *q, enum err e, const char *message);

/* desk_feed.c: what is said of a grant. */
#define DESK_FEED_WHO_MAX 128
/* "pid 7 on host", in `out`; what is known of one from before our start is neither. */
const char *desk_feed_who(uint64_t pid, const char *host, char out[DESK_FEED_WHO_MAX]);
void desk_feed_log_grant(struct desk *d, const struct feed *f);
/* "after" and who had the name before. */
void desk_feed_pack_former(struct desk *d, const struct feed *f, msgpack_packer *pk);
/* When the name may be free, for one that asks for it in vain. */
uint64_t desk_feed_retry_ms(const struct desk *d, const struct feed *f);

/* desk_replay.c */
void desk_replay(struct question *q);
/* The oldest position that can be told of. */
uint64_t desk_first(const struct desk *d);
/* Begin an answer with the DESK_PAGE_MEMBERS that every page of the log has; head: the log's. */
#define DESK_PAGE_MEMBERS 5
void desk_answer_page(struct question *q, uint32_t more_members, uint64_t head,
                      const struct store_page *page);
/* [topic, record], the way the store's pages have them. */
void desk_page_add(struct store_page *page, const struct journal_entry *e);
/* Have the store answer later; says so if it cannot. */
void desk_ask_store(struct question *q, bool is_history,
                    const struct store_query *query);

/* desk_status.c */
void desk_status(struct question *q);
void desk_pack_gateways(struct question *q);

/* desk_history.c */
void desk_history(struct question *q);
void desk_history_answer(struct question *q, struct archive_result *r);

#endif
