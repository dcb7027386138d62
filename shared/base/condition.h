/*
 * condition: waiting for another thread, with deadlines on the monotonic clock.
 *
 * pthread's conditions wait by the wall clock unless told otherwise when they are made.
 */
#ifndef SHARED_BASE_CONDITION_H
#define SHARED_BASE_CONDITION_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

static inline void condition_init(pthread_cond_t *c)
{
    pthread_condattr_t monotonic;

    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(c, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

/* Holding the lock.  false: until_ms (as clock_mono_ms) is over; true: look again. */
static inline bool condition_wait(pthread_cond_t *c, pthread_mutex_t *lock,
                                  int64_t until_ms)
{
    struct timespec until = {(time_t)(until_ms / 1000),
                             (long)(until_ms % 1000 * 1000000)};

    return pthread_cond_timedwait(c, lock, &until) != ETIMEDOUT;
}

#endif
