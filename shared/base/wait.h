/*
 * wait: how long a loop may wait for its next event, in ms; below 0: for ever.
 */
#ifndef SHARED_BASE_WAIT_H
#define SHARED_BASE_WAIT_H

#include <stdint.h>

/* The shorter of two waits. */
static inline int64_t wait_sooner(int64_t a, int64_t b)
{
    return (uint64_t)a < (uint64_t)b ? a : b;
}

/* How long until this time; 0 if it is over. */
static inline int64_t wait_until(int64_t at, int64_t now)
{
    return at < now ? 0 : at - now;
}

#endif
