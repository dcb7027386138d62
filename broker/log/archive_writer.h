/*
 * archive_writer: the archive's writing thread: it writes batches, prunes between them and
 * checkpoints.  Part of the archive; no other file includes it.
 */
#ifndef BROKER_LOG_ARCHIVE_WRITER_H
#define BROKER_LOG_ARCHIVE_WRITER_H

#include "broker/log/archive.h"
#include "broker/sqlite/worker.h"
#include "shared/base/steady.h"

/* The thread's, from the start to the end of the worker. */
struct archive_writer {
    struct worker *worker; /* its tasks are struct store_batch *, its results archive_result */
    struct store *store;
    /* private */
    struct store_batch *batch; /* under way */
    uint64_t keep_count, keep_age_us;
    unsigned failing; /* enum failing */
    int64_t failing_since;
    int64_t write_ms;   /* the last attempt took */
    int64_t prune_at;   /* monotonic ms, when nothing else happens before */
    uint64_t pruned;    /* rows removed in the current pass */
    bool is_prune_over; /* the file is damaged where it would go on */
    uint64_t first, head;
    struct steady clock; /* pruning by age must not use a clock that was just set */
};

/* worker and store are set.  Returns as worker_start. */
int archive_writer_start(struct archive_writer *w);

#endif
