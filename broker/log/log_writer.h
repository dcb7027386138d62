/*
 * log_writer: copies the log from the ring to the store, and restores it at the start.
 *
 * broker/log/ keeps the log: the ring (journal.h), the store (store.h) and the threads that
 * write and read it (archive.h).  broker/core, broker/backup and main.c call it.
 *
 * The loop calls log_writer_turn: new records of the ring are copied into a batch, and the
 * archive's writer gets the batch when it is free.  The loop never waits: while the disk accepts no
 * data, batch and ring fill up, and records that the ring overwrites before they were copied become
 * a gap, which the store records and which replay and history report.  At start it decides whether
 * this is still the same log (else a new epoch begins), and stores what a killed broker left in the
 * ring, before any socket is open.  Owned by the broker's loop, except the threads of archive.h.
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

/* Open store and ring; on failure `error` has one sentence: the cause and what to do. */
MUST_CHECK enum err log_writer_open(const struct broker_config *config, uint64_t wall_us,
                                    struct log_writer **out, char error[LOG_WRITER_ERROR_MAX]);
/* The same, but a new epoch begins for this reason (a literal), with positions above `above`. */
MUST_CHECK enum err log_writer_open_anew(const struct broker_config *config, uint64_t wall_us,
                                         const char *reason, uint64_t above,
                                         struct log_writer **out, char error[LOG_WRITER_ERROR_MAX]);
/* Store all records, until deadline_ms (monotonic); frees.  false: some could not be stored. */
bool log_writer_close(struct log_writer *k, int64_t deadline_ms);

struct journal *log_writer_journal(struct log_writer *k); /* the log writer's */
uint64_t log_writer_epoch(const struct log_writer *k);
bool log_writer_is_new_epoch(const struct log_writer *k);
const char *log_writer_epoch_reason(const struct log_writer *k); /* why the epoch is new */
struct store *log_writer_store(struct log_writer *k);            /* before log_writer_start only */
MUST_CHECK enum err log_writer_start(struct log_writer *k, char error[LOG_WRITER_ERROR_MAX]);

int log_writer_fd(const struct log_writer *k); /* readable while results wait to be taken */

/*
 * Take the results of the threads.  true: an answer to log_writer_request; archive_result_clear
 * it and call again.  false: that was all; now log_writer_turn knows what was written.
 */
bool log_writer_take_answer(struct log_writer *k, struct archive_result *out);
/* Copy new records and pass on a due batch.  Returns ms until the next call is needed, or -1. */
int64_t log_writer_turn(struct log_writer *k, int64_t now, uint64_t wall_us);
MUST_CHECK enum err log_writer_request(struct log_writer *k, bool is_history,
                                       const struct store_query *query,
                                       const struct archive_ticket *ticket);

struct log_writer_status {
    bool is_durable;    /* published records are stored soon after */
    const char *reason; /* why not, or "" */
    uint64_t first;     /* oldest position the store has */
    uint64_t stored;    /* newest */
    uint64_t gaps;      /* positions that could not be stored, since the start */
    uint64_t behind_us; /* age of the oldest record that is not stored yet */
    uint64_t behind_max_us;
    uint64_t damaged;   /* positions that are lost because a file is damaged */
    const char *damage; /* which and what to do, or ""; once there, it stays */
};
void log_writer_status(struct log_writer *k, uint64_t wall_us, struct log_writer_status *out);

/* The wall clock jumped by this much: correct the age of the records that wait. */
void log_writer_jump(struct log_writer *k, int64_t jump_us);

uint64_t log_writer_first(const struct log_writer *k); /* log_writer_status has it too */

/* All up to this line of the feed is stored, or named as lost: for a log that has just begun. */
void log_writer_set_line(struct log_writer *k, uint32_t feed, uint64_t line);
/* No feed has the index any more; everything of the feed that had it is stored. */
void log_writer_forget_feed(struct log_writer *k, uint32_t feed);
/* The line of this feed up to which its quotes are stored. */
uint64_t log_writer_stored_line(const struct log_writer *k, uint32_t feed);

#endif
