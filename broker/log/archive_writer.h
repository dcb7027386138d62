/*
 * archive_writer: what the archive's batch writer does with the store: write, prune between
 * batches, and checkpoint.  Part of the archive; no other file includes it.
 */
#ifndef BROKER_LOG_ARCHIVE_WRITER_H
#define BROKER_LOG_ARCHIVE_WRITER_H

#include "broker/log/store.h"
#include "broker/sqlite/batch_writer.h"
#include "shared/base/steady.h"

/* The thread's, from the start of the batch writer to its end. */
struct archive_writer {
    struct mailbox *results; /* struct archive_note */
    struct store *store;
    /* private */
    uint64_t keep_count, keep_age_us;
    unsigned failing; /* enum failing */
    int64_t failing_since;
    int64_t write_ms;   /* the last try took */
    int64_t prune_at;   /* monotonic ms, when nothing else happens before */
    uint64_t pruned;    /* in the pass under way */
    bool is_prune_over; /* the file is damaged where it would go on */
    uint64_t first, head;
    struct steady
        clock; /* what is too old must not depend on a clock that was just set */
};

extern const struct batch_writer_kind archive_writer_kind;

/* results and store are set; before the thread starts. */
void archive_writer_begin(struct archive_writer *w);

#endif
