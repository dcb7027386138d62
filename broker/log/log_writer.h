/*
 * log_writer: brings the log from the ring into the store, and back at start.
 *
 * broker/log/ keeps the log: the ring (journal.h), the store (store.h) and the threads that
 * write and read it (archive.h).  broker/core, broker/backup and main.c call it.
 *
 * The loop calls log_writer_turn: what is new in the ring is copied into a batch, and the batch
 * given to the archive's writer when that is free.  The loop never waits: while the disk does
 * not take it, batch and ring fill up, and what the ring pushes out before it was copied
 * becomes a gap, which the store records and which replay and history report.  At start it
 * decides whether this is still the same log (else a new epoch begins), and stores what a
 * killed broker left in the ring, before any socket is open.  Owned by the broker's loop, but
 * for the threads of archive.h.
 */
#ifndef BROKER_LOG_LOG_WRITER_H
#define BROKER_LOG_LOG_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/log/archive.h"
#include "broker/config/broker_config.h"
#include "broker/log/damage.h"
#include "broker/log/journal.h"

#define LOG_WRITER_ERROR_MAX (STORE_ERROR_MAX + 64)

struct log_writer;

/* Opens store and ring; else `error` has one sentence: what is wrong and what to do. */
MUST_CHECK enum err log_writer_open(const struct broker_config *config, uint64_t wall_us,
                                    struct log_writer **out, char error[LOG_WRITER_ERROR_MAX]);
/* The same, but a new epoch begins for this reason (a literal), with positions above `above`. */
MUST_CHECK enum err log_writer_open_anew(const struct broker_config *config, uint64_t wall_us,
                                         const char *reason, uint64_t above,
                                         struct log_writer **out, char error[LOG_WRITER_ERROR_MAX]);
/* Store what is left, until deadline_ms (monotonic); frees.  false: not all could be. */
bool log_writer_close(struct log_writer *k, int64_t deadline_ms);

struct journal *log_writer_journal(struct log_writer *k); /* the log writer's */
uint64_t log_writer_epoch(const struct log_writer *k);
bool log_writer_is_new_epoch(const struct log_writer *k);
const char *log_writer_epoch_reason(const struct log_writer *k); /* if it is new */
struct store *log_writer_store(struct log_writer *k);            /* before log_writer_start only */
MUST_CHECK enum err log_writer_start(struct log_writer *k, char error[LOG_WRITER_ERROR_MAX]);

int log_writer_fd(const struct log_writer *k); /* readable when there is something to take */

/*
 * Take the results of the threads.  true: an answer to log_writer_request; archive_result_clear
 * it and call again.  false: that was all; now log_writer_turn knows what was written.
 */
bool log_writer_take_answer(struct log_writer *k, struct archive_result *out);
/* Copy and hand over what is due.  Returns ms until it wants to be called again, or -1. */
int64_t log_writer_turn(struct log_writer *k, int64_t now, uint64_t wall_us);
MUST_CHECK enum err log_writer_request(struct log_writer *k, bool is_history,
                                       const struct store_query *query,
                                       const struct archive_ticket *ticket);

struct log_writer_status {
    bool is_durable;    /* what is published is stored soon after */
    const char *reason; /* why not, or "" */
    uint64_t first;     /* oldest position the store has */
    uint64_t stored;    /* newest */
    uint64_t gaps;      /* positions that could not be stored, since the start */
    uint64_t behind_us; /* age of the oldest record that is not stored yet */
    uint64_t behind_max_us;
    uint64_t damaged;   /* positions that are known to be lost, for a file is damaged */
    const char *damage; /* which and what to do, or ""; once there, it stays */
};
void log_writer_status(struct log_writer *k, uint64_t wall_us, struct log_writer_status *out);

/* The wall clock was set by so much: what waits is no older or younger for that. */
void log_writer_jump(struct log_writer *k, int64_t jump_us);

uint64_t log_writer_first(const struct log_writer *k); /* log_writer_status has it too */

/* All up to this line of the feed is stored, or named as lost: for a log that has just begun. */
void log_writer_set_line(struct log_writer *k, uint32_t feed, uint64_t line);
/* No feed has the index any more; everything of the feed that had it is stored. */
void log_writer_forget_feed(struct log_writer *k, uint32_t feed);
/* The line of this feed up to which its quotes are stored. */
uint64_t log_writer_stored_line(const struct log_writer *k, uint32_t feed);

#endif
