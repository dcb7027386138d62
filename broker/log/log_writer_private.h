/*
 * log_writer_private: the log writer from inside, for log_writer.c (while it runs, and its end)
 * and log_writer_open.c (its start).  No other file includes it.
 */
#ifndef BROKER_LOG_LOG_WRITER_PRIVATE_H
#define BROKER_LOG_LOG_WRITER_PRIVATE_H

#include "broker/log/log_writer.h"

struct log_writer {
    struct archive *archive;
    struct journal *journal;
    bool is_new_epoch, is_started;
    const char *epoch_reason;
    uint64_t above; /* a new epoch's positions are above this one, too */
    struct store_batch *filling, *spare;
    uint64_t copied; /* everything up to here is in a batch, a gap, or stored */
    int64_t filling_at;
    /* When the first record of the batch was accepted; 0: there is none. */
    uint64_t filling_us, handed_us;
    /* What was accepted up to jump_head is of a time before the clock was set by jump_us. */
    uint64_t jump_head;
    int64_t jump_us;
    /* By feed: the line of the last record copied, in the batch under way, stored. */
    uint64_t copied_line[JOURNAL_FEEDS], handed_line[JOURNAL_FEEDS], stored_line[JOURNAL_FEEDS];
    bool is_known_to_store[JOURNAL_FEEDS]; /* the store knows this feed's index */
    uint64_t first, gaps, behind_max_us;
    uint64_t keep_count, keep_age_us;
    char reason[STORE_ERROR_MAX]; /* "" while it is durable */
    struct damage damage;
    char *path, *ring_path; /* of the store, and beside it */
};

/* Copy what is new into the batch, a bounded bit of it.  Returns whether there is more. */
bool log_writer_copy_some(struct log_writer *k, int64_t now, uint64_t wall_us);
/* The batch is complete: feeds and settings are put in, and another is begun. */
struct store_batch *log_writer_take_batch(struct log_writer *k);
/* is_stored: what the ring has is written to disk and trusted at the next start. */
void log_writer_free(struct log_writer *k, bool is_stored);

#endif
