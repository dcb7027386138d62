/*
 * batch_writer: the thread that writes batches into a file, for the log and for the locks.
 *
 * The loop gives a batch away, one at a time.  A batch that cannot be written is tried again
 * (after 0.1 s, in the end every 2 s) until it can, or until it is given up:
 * batch_writer_give_up, a deadline that is over when the thread shall end, or ERR_INVALID,
 * which no further try can change.  The functions of the kind put results into a mailbox;
 * batch_writer_returned notes that the loop took the result which ends the batch under way.
 *
 * All functions belong to the loop's thread and return at once, except batch_writer_join.
 */
#ifndef BROKER_SQLITE_BATCH_WRITER_H
#define BROKER_SQLITE_BATCH_WRITER_H

#include "broker/sqlite/store_error.h"
#include "broker/sqlite/worker.h"
#include "shared/base/err.h"

/* What differs between files.  All but `interrupt` run on the thread. */
struct batch_writer_kind {
    /* One transaction.  is_retry: the try before failed; make room, if there is a way. */
    enum err (*write)(void *ctx, void *batch, bool is_retry,
                      char error[STORE_ERROR_MAX]);
    void (*failed)(void *ctx, enum err e, const char *text); /* a try */
    /*
     * Take the batch back: it is written (e is OK), or given up, and `text` has the reason.
     * Returns as worker_kind's `work`.
     */
    int64_t (*take_back)(void *ctx, void *batch, enum err e, const char *text);
    int64_t (*idle)(void *ctx); /* as worker_kind's, and so are these */
    void (*end)(void *ctx);
    void (*interrupt)(void *ctx);
};

struct batch_writer;

struct batch_writer *batch_writer_new(const struct batch_writer_kind *kind, void *ctx);
/* 0, or the errno why there is no thread. */
int batch_writer_start(struct batch_writer *w);

/* It was started, and no batch is under way. */
bool batch_writer_can_write(const struct batch_writer *w);
/* Takes the batch.  Only when batch_writer_can_write. */
void batch_writer_write(struct batch_writer *w, void *batch);
void batch_writer_returned(struct batch_writer *w);
/* Give up the batch under way if it fails (has failed, or will at its next try). */
void batch_writer_give_up(struct batch_writer *w);

/* As those of the worker; a batch under way is finished first. */
void batch_writer_stop(struct batch_writer *w);
bool batch_writer_join(struct batch_writer *w, int64_t deadline_ms);
bool batch_writer_has_hung(const struct batch_writer *w);
void batch_writer_free(struct batch_writer *w);

#endif
