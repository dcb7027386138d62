/*
 * lease_keeper: the thread that writes the locks' file, so that the loop never waits for a disk.
 *
 * Batches change owner: the loop gives one away, and takes it back when it is stored.  One that
 * cannot be written is tried again (after 0.1 s, in the end every 2 s) until it can.  What happens
 * is a result; lease_keeper_fd is readable when there is one.  All functions belong to the loop's
 * thread and return at once, except open, start and stop.
 */
#ifndef BROKER_LEASE_KEEPER_H
#define BROKER_LEASE_KEEPER_H

#include "broker/lease_store.h"

struct lease_keeper;

/* Errors as lease_store_open. */
MUST_CHECK enum err lease_keeper_open(const char *path, uint64_t wall_us,
                                      struct lease_keeper **out, uint64_t *token_floor,
                                      char error[STORE_ERROR_MAX]);
/* Before lease_keeper_start only: after it the store belongs to the thread. */
struct lease_store *lease_keeper_store(struct lease_keeper *k);
MUST_CHECK enum err lease_keeper_start(struct lease_keeper *k,
                                       char error[STORE_ERROR_MAX]);

int lease_keeper_fd(const struct lease_keeper *k);
bool lease_keeper_can_write(const struct lease_keeper *k);
/* Takes the batch.  Only when lease_keeper_can_write. */
void lease_keeper_write(struct lease_keeper *k, struct lease_batch *b);

enum lease_keeper_event {
    LEASE_KEEPER_WRITTEN, /* batch: what was written, the caller's again */
    LEASE_KEEPER_FAILED,  /* text; it is tried again */
};

struct lease_keeper_result {
    enum lease_keeper_event event;
    struct lease_batch *batch;
    char text[STORE_ERROR_MAX];
};

/* false: nothing new. */
bool lease_keeper_take(struct lease_keeper *k, struct lease_keeper_result *out);

/*
 * End the thread and close the file; a batch still under way at deadline_ms (monotonic) is given
 * up.  No-op if not started.
 */
void lease_keeper_stop(struct lease_keeper *k, int64_t deadline_ms);
void lease_keeper_free(struct lease_keeper *k); /* after lease_keeper_stop */

#endif
