/*
 * archive: the threads that write and read the store, so that the loop never waits for a disk.
 *
 * One thread writes batches and prunes between them, two answer requests, each with a
 * connection of its own.  Nothing is shared: batches, requests and results change owner.  All
 * functions here belong to the loop's thread and return at once, except archive_open,
 * archive_start and archive_stop.  The threads block all signals and log nothing: what happens
 * is a result, and archive_fd is readable when there is one.
 *
 * A batch that cannot be written is kept and tried again (after 0.1 s, in the end every 2 s)
 * until it can, or until archive_abandon.  One that can never be (ERR_INVALID: a bug) comes
 * back as ABANDONED at once.  Pruning ends at damage, which is reported once: it would only be
 * met again.
 */
#ifndef BROKER_LOG_ARCHIVE_H
#define BROKER_LOG_ARCHIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/log/store.h"
#include "broker/log/store_batch.h"
#include "shared/base/err.h"

#define ARCHIVE_READERS 2
#define ARCHIVE_REQUESTS_MAX 64 /* sent and not yet answered */
#define ARCHIVE_PEER_MAX 64

struct archive;

/* Opens the store for writing; errors as store_open. */
MUST_CHECK enum err archive_open(const char *path, struct archive **out,
                                 char error[STORE_ERROR_MAX]);
/* For recovery, before archive_start: after it the store belongs to the writer. */
struct store *archive_store(struct archive *a);
MUST_CHECK enum err archive_start(struct archive *a, char error[STORE_ERROR_MAX]);

int archive_fd(const struct archive *a); /* readable: call archive_take until false */

/* No batch is under way: from archive_start on, and after WRITTEN or ABANDONED was taken. */
bool archive_can_write(const struct archive *a);
/* Takes the batch.  Only when archive_can_write. */
void archive_write(struct archive *a, struct store_batch *b);
/*
 * Give up the batch under way if it fails (has failed, or will at its next try).  Its result
 * is ABANDONED, or WRITTEN if it could be written after all.
 */
void archive_abandon(struct archive *a);

/* The peer and the number of a request; they come back with the answer. */
struct archive_ticket {
    char peer[ARCHIVE_PEER_MAX];
    size_t peer_len;
    uint64_t id;
};

/* The patterns are copied.  ERR_FULL: ARCHIVE_REQUESTS_MAX wait. */
MUST_CHECK enum err archive_request(struct archive *a, bool is_history,
                                    const struct store_query *query,
                                    const struct archive_ticket *ticket);

enum archive_event {
    ARCHIVE_WRITTEN,   /* upto, first, rows, ms, batch */
    ARCHIVE_FAILED,    /* text; a failure begins (writing, pruning or checkpointing) */
    ARCHIVE_RECOVERED, /* ms since it began; comes before the WRITTEN that ends it */
    ARCHIVE_ABANDONED, /* text, batch: nothing of it is stored */
    ARCHIVE_DAMAGED,   /* text: nothing is pruned any more, for the file is damaged */
    ARCHIVE_PRUNED,    /* first, rows; reported when a pass is done, not for every chunk */
    ARCHIVE_ANSWER,    /* ticket, is_history, error (OK: page, else text), ms */
};

struct archive_result {
    enum archive_event event;
    uint64_t upto;  /* head of the store */
    uint64_t first; /* oldest position kept */
    uint64_t rows;  /* written or removed */
    uint64_t ms;    /* taken, without waiting in the queue */
    /* Cleared, to be filled again; archive_result_clear frees it unless set to NULL. */
    struct store_batch *batch;
    struct archive_ticket ticket;
    bool is_history;
    struct store_query query;          /* of the request, without patterns; */
    char symbol[QUOTE_SYMBOL_MAX + 1]; /* of a history request */
    enum err error;
    struct store_page page;
    char text[STORE_ERROR_MAX];
};

/* false: nothing new.  Each taken result is given back with archive_result_clear. */
bool archive_take(struct archive *a, struct archive_result *out);
void archive_result_clear(struct archive_result *r);

/*
 * Finish the batch under way, checkpoint, end the threads; requests not begun are dropped.
 * What is not done at deadline_ms (monotonic) is interrupted; false then: the batch may not be
 * stored.  Results can still be taken afterwards.  No-op if not started.
 */
bool archive_stop(struct archive *a, int64_t deadline_ms);
/* A thread did not even come back when it was interrupted: the disk does not answer. */
bool archive_has_hung(const struct archive *a);
void archive_free(struct archive *a); /* after archive_stop; closes the store */

#endif
