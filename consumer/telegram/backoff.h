/*
 * backoff: how long to wait after a failure; the wait doubles with each failure.
 *
 * The wait grows from BACKOFF_MIN_MS to BACKOFF_MAX_MS; a random part of up to half is subtracted,
 * so that many clients do not return at once. `now` is monotonic ms. Pure.
 */
#ifndef CONSUMER_TELEGRAM_BACKOFF_H
#define CONSUMER_TELEGRAM_BACKOFF_H

#include <stdint.h>

#define BACKOFF_MIN_MS 500
#define BACKOFF_MAX_MS 30000

struct backoff {
    unsigned failures; /* failures in a row */
    int64_t until;
};

void backoff_succeeded(struct backoff *b);
/* random: any number.  The wait is at least at_least_ms (0: no minimum). */
void backoff_failed(struct backoff *b, int64_t at_least_ms, uint64_t random, int64_t now);
int64_t backoff_wait(const struct backoff *b, int64_t now); /* ms left; 0: try now */

#endif
