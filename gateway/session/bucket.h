/*
 * bucket: a token bucket: a burst of `capacity`, then `count` every `period_ms`.
 *
 * Tokens come in portions of `count`, not one by one, so that what they pay for is done in batches.
 * Zero-initialised it is full.  No I/O, no clock: `now` is monotonic ms, above 0.
 */
#ifndef GATEWAY_SESSION_BUCKET_H
#define GATEWAY_SESSION_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

struct bucket_rate {
    uint32_t capacity;  /* tokens, at least `count` */
    uint32_t count;     /* tokens of a portion */
    uint32_t period_ms; /* between two portions, at least 1 */
};

struct bucket {
    uint32_t used;  /* tokens taken and not given back */
    int64_t fed_at; /* when the last portion came */
};

/* Take a token.  false: there is none, and nothing has changed but for portions that came. */
bool bucket_take(struct bucket *b, const struct bucket_rate *rate, int64_t now);

#endif
