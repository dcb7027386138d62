/*
 * worker: threads that do the slow work of a SQLite file, so that the loop never waits for a
 * disk.
 *
 * The loop sends tasks to a lane; a thread of that lane takes one, works on it and puts
 * results, which the loop takes.  Tasks and results are copied; what they point to changes
 * owner with them, and nothing else is shared.  The threads block all signals and log nothing. 
 * Each has a context of its own, which belongs to it from worker_start to worker_stop.  Neither
 * tasks nor results are bounded here: the caller bounds its tasks.
 *
 * All functions belong to the loop's thread and return at once, except worker_stop; worker_put
 * and worker_retry are for the threads.
 */
#ifndef BROKER_SQLITE_WORKER_H
#define BROKER_SQLITE_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/sqlite/store_error.h"

#define WORKER_THREADS_MAX 3
#define WORKER_NEVER INT64_MAX

/* Tasks that the loop waits for are in another lane than those that may be dropped at the end. */
enum worker_lane { WORKER_WRITE, WORKER_READ, WORKER_LANES };

/* The work of a thread.  All but `interrupt` run on it. */
struct worker_kind {
    enum worker_lane lane;
    /*
     * Do this task.  Returns when to call `idle` (monotonic ms); WORKER_NEVER: not before
     * another.
     */
    int64_t (*work)(void *ctx, void *task);
    int64_t (*idle)(void *ctx);   /* there is no task; returns as `work`; NULL: never called */
    void (*end)(void *ctx);       /* the last call of the thread; NULL: none */
    void (*interrupt)(void *ctx); /* the loop's thread: make the others return soon */
};

struct worker;

/* NULL: no descriptor is left, errno says why. */
struct worker *worker_new(void);
/* One thread more.  0, or the errno why there is none. */
int worker_start(struct worker *w, const struct worker_kind *kind, void *ctx);

void worker_send(struct worker *w, enum worker_lane lane, const void *task, size_t size);

int worker_fd(const struct worker *w); /* readable: call worker_take until false */
/* The oldest result, of this size; false: there is none. */
bool worker_take(struct worker *w, void *result, size_t size);
void worker_put(struct worker *w, const void *result, size_t size); /* a thread */

/*
 * The one thread of a lane: call `attempt` until it is OK (after 0.1 s, in the end every 2 s), or
 * until it is given up: after ERR_INVALID, which no further attempt can change, or at the deadline
 * of a stop.  `error` has the last failure.
 */
enum err worker_retry(struct worker *w, enum worker_lane lane,
                      enum err (*attempt)(void *ctx, bool is_retry, char error[STORE_ERROR_MAX]),
                      void *ctx, char error[STORE_ERROR_MAX]);

/*
 * End the threads: tasks of WORKER_READ that no thread has begun are dropped, all others are done
 * first.  Those that have not ended at deadline_ms (monotonic) are interrupted, and false is
 * returned.
 */
bool worker_stop(struct worker *w, int64_t deadline_ms);
/* A thread did not even come back when it was interrupted: the disk does not answer. */
bool worker_has_hung(const struct worker *w);
/* After worker_stop; NULL is allowed.  A worker that hangs is left alone, with its contexts. */
void worker_free(struct worker *w);

#endif
