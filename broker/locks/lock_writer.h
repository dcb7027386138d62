/*
 * lock_writer: the thread that writes the locks' file, so that the loop never waits for a disk.
 *
 * Batches change owner: the loop passes one to the thread and gets it back when it is stored.  The
 * thread retries a failed batch (after 0.1 s, later every 2 s) until it succeeds.  Each outcome is
 * a result; lock_writer_fd is readable while there is one.  All functions belong to the loop's
 * thread and return at once, except open, start and stop.
 */
#ifndef BROKER_LOCKS_LOCK_WRITER_H
#define BROKER_LOCKS_LOCK_WRITER_H

#include "broker/locks/lease_store.h"

struct lock_writer;

/* Errors as lease_store_open. */
MUST_CHECK enum err lock_writer_open(const char *path, uint64_t wall_us, struct lock_writer **out,
                                     uint64_t *token_floor, char error[STORE_ERROR_MAX]);
/* Call it only before lock_writer_start: then the store belongs to the thread. */
struct lease_store *lock_writer_store(struct lock_writer *k);
MUST_CHECK enum err lock_writer_start(struct lock_writer *k, char error[STORE_ERROR_MAX]);

int lock_writer_fd(const struct lock_writer *k);
bool lock_writer_can_write(const struct lock_writer *k);
/* Takes the batch.  Only when lock_writer_can_write. */
void lock_writer_write(struct lock_writer *k, struct lease_batch *b);

enum lock_writer_event {
    LOCK_WRITER_WRITTEN, /* batch: the written batch, owned by the caller again */
    LOCK_WRITER_FAILED,  /* text: the error; the thread retries */
};

struct lock_writer_result {
    enum lock_writer_event event;
    struct lease_batch *batch;
    char text[STORE_ERROR_MAX];
};

/* false: nothing new. */
bool lock_writer_take(struct lock_writer *k, struct lock_writer_result *out);

/*
 * End the thread and close the file; at deadline_ms (monotonic) a batch in progress is cancelled.
 * Does nothing if the thread was not started.
 */
void lock_writer_stop(struct lock_writer *k, int64_t deadline_ms);
void lock_writer_free(struct lock_writer *k); /* after lock_writer_stop */

#endif
