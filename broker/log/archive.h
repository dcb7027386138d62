/*
 * archive: the threads that write and read the store, so that the loop never waits for a disk.
 *
 * One thread writes batches and prunes between them, two answer requests, each with a connection of
 * its own.  The threads share no data with the loop: batches, requests and results change owner.
 * All functions here belong to the loop's thread and return at once, except archive_open,
 * archive_start and archive_stop.  The threads block all signals and do not log: each outcome is a
 * result, and archive_fd is readable while there is one.
 *
 * The writer retries a failed batch (after 0.1 s, later every 2 s) until it succeeds or until the
 * deadline of archive_stop.  A batch that can never be written (ERR_INVALID: a bug) is returned
 * as ABANDONED at once.  Pruning stops at a damaged page, because it would fail there again; the
 * damage is reported once.
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
#define ARCHIVE_REQUESTS_MAX 64 /* requests sent and not yet answered */
#define ARCHIVE_PEER_MAX 64

struct archive;

/* Opens the store for writing; errors as store_open. */
MUST_CHECK enum err archive_open(const char *path, struct archive **out,
                                 char error[STORE_ERROR_MAX]);
/* For recovery before archive_start: after that the store belongs to the writer. */
struct store *archive_store(struct archive *a);
MUST_CHECK enum err archive_start(struct archive *a, char error[STORE_ERROR_MAX]);

int archive_fd(const struct archive *a); /* readable: call archive_take until false */

/*
 * Is no batch in progress?  True from archive_start on, and again after WRITTEN or ABANDONED was
 * taken.
 */
bool archive_can_write(const struct archive *a);
/* Takes the batch.  Only when archive_can_write. */
void archive_write(struct archive *a, struct store_batch *b);

/* The peer and the number of a request; the answer carries them back. */
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
    ARCHIVE_ABANDONED, /* text, batch: no part of it is stored */
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
    /* cleared, ready to be filled again; archive_result_clear frees it unless it is NULL */
    struct store_batch *batch;
    struct archive_ticket ticket;
    bool is_history;
    struct store_query query;          /* of the request, without patterns; */
    char symbol[QUOTE_SYMBOL_MAX + 1]; /* of a history request */
    enum err error;
    struct store_page page;
    char text[STORE_ERROR_MAX];
};

/* false: there is no new result.  Release each result with archive_result_clear. */
bool archive_take(struct archive *a, struct archive_result *out);
void archive_result_clear(struct archive_result *r);

/*
 * Finish the batch in progress, checkpoint, end the threads; waiting requests are dropped. At
 * deadline_ms (monotonic) unfinished work is interrupted, and the result is false: the batch may
 * not be stored.  Results can still be taken afterwards.  No-op if not started.
 */
bool archive_stop(struct archive *a, int64_t deadline_ms);
/* A thread did not return even after an interrupt: the disk does not respond. */
bool archive_has_hung(const struct archive *a);
void archive_free(struct archive *a); /* after archive_stop; closes the store */

#endif
