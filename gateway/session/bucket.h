/*
 * bucket: a token bucket: a burst of `capacity`, then `count` every `period_ms`.
 *
 * Tokens are added in portions of `count`, not one by one, so that the limited work is done in
 * batches. A zeroed bucket is full.  No I/O, no clock: `now` is monotonic ms, above 0.
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
    uint32_t used;  /* tokens taken and not yet restored */
    int64_t fed_at; /* when the last portion came */
};

/* Take a token.  false: there is none; nothing changed except that due portions were added. */
bool bucket_take(struct bucket *b, const struct bucket_rate *rate, int64_t now);

#endif
