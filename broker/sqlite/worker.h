/*
 * worker: threads that do the slow work of a SQLite file, so that the loop never waits for a
 * disk.
 *
 * The loop sends mail; a thread takes it, works on it, and puts a result into a mailbox.
 * Nothing is shared: mail changes owner.  The threads block all signals and log nothing.  Each
 * thread has a context of its own, which belongs to it from worker_start to the end of
 * worker_join.
 *
 * All functions belong to the loop's thread and return at once, except worker_join;
 * worker_pause is for the thread itself.
 */
#ifndef BROKER_SQLITE_WORKER_H
#define BROKER_SQLITE_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/sqlite/mailbox.h"

#define WORKER_THREADS_MAX 2
#define WORKER_NEVER INT64_MAX

/* What the threads do.  All but `interrupt` run on the thread. */
struct worker_kind {
    /*
     * Take this mail.  Returns when to call `idle` (monotonic ms), WORKER_NEVER: not before the
     * next.
     */
    int64_t (*work)(void *ctx, struct mail *mail);
    int64_t (*idle)(
        void *ctx); /* there is no mail; returns as `work`; NULL: never called */
    void (*end)(void *ctx); /* the last call of the thread; NULL: none */
    void (*interrupt)(
        void *ctx); /* the loop's thread: make `work`, `idle` or `end` return soon */
};

struct worker;

struct worker *worker_new(const struct worker_kind *kind);
/* One thread more, with this context.  0, or the errno why there is none. */
int worker_start(struct worker *w, void *ctx);

void worker_send(struct worker *w, struct mail *mail);
/* Mail that no thread has taken yet, back; NULL: there is none. */
struct mail *worker_withdraw(struct worker *w);

/*
 * On the one thread of a worker: wait until then, before another try of something that failed.
 * false: it is to be given up (worker_give_up was called, or the thread is late at its end).
 */
bool worker_pause(struct worker *w, int64_t until_ms);
/* The next worker_pause, or the one under way, is false; until more mail is sent. */
void worker_give_up(struct worker *w);

/* The threads shall end when they have worked on all mail. */
void worker_stop(struct worker *w);
/*
 * After worker_stop: wait until they have ended.  Those that have not at deadline_ms
 * (monotonic) are interrupted, and false is returned.
 */
bool worker_join(struct worker *w, int64_t deadline_ms);
/* A thread did not even come back when it was interrupted: the disk does not answer. */
bool worker_has_hung(const struct worker *w);
/* After worker_join; NULL is allowed.  A worker that hangs is left alone, with its contexts. */
void worker_free(struct worker *w);

#endif
