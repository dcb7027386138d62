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
    /* When the first record of each batch was accepted; 0: the batch has no record. */
    uint64_t filling_us, handed_us;
    /* Records up to jump_head were accepted before the clock was set by jump_us. */
    uint64_t jump_head;
    int64_t jump_us;
    /* For each feed: the last line copied, passed to the writer, and stored. */
    uint64_t copied_line[JOURNAL_FEEDS], handed_line[JOURNAL_FEEDS], stored_line[JOURNAL_FEEDS];
    bool is_known_to_store[JOURNAL_FEEDS]; /* the store knows this feed's index */
    uint8_t handed_left[JOURNAL_FEEDS];    /* has_left, as the store knows it */
    uint64_t first, gaps, behind_max_us;
    uint64_t keep_count, keep_age_us;
    char reason[STORE_ERROR_MAX]; /* "" while it is durable */
    struct damage damage;
    char *path, *ring_path; /* of the store, and beside it */
};

/* Copy new records into the batch, a bounded number.  Returns whether there are more. */
bool log_writer_copy_some(struct log_writer *k, int64_t now, uint64_t wall_us);
/* The batch is complete: feeds and settings are put in, and another is begun. */
struct store_batch *log_writer_take_batch(struct log_writer *k);
/* is_stored: sync the ring to disk, so that the next start trusts it. */
void log_writer_free(struct log_writer *k, bool is_stored);

#endif
