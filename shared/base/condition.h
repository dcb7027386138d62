/*
 * condition: waits for another thread, with deadlines on the monotonic clock.
 *
 * pthread conditions use the wall clock unless their creator chooses another one.
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

/*
 * Call it with the lock held. Returns false when until_ms (of clock_mono_ms) has passed; after
 * true, the caller must look at its condition again.
 */
static inline bool condition_wait(pthread_cond_t *c, pthread_mutex_t *lock, int64_t until_ms)
{
    struct timespec until = {(time_t)(until_ms / 1000), (long)(until_ms % 1000 * 1000000)};

    return pthread_cond_timedwait(c, lock, &until) != ETIMEDOUT;
}

#endif
