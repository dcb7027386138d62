/*
 * backoff: how long to leave something alone that failed, twice as long each time.
 *
 * From BACKOFF_MIN_MS to BACKOFF_MAX_MS, of which a random half is taken off, so that many
 * do not come back at once.  `now` is monotonic ms.  Pure.
 */
#ifndef CONSUMER_TELEGRAM_BACKOFF_H
#define CONSUMER_TELEGRAM_BACKOFF_H

#include <stdint.h>

#define BACKOFF_MIN_MS 500
#define BACKOFF_MAX_MS 30000

struct backoff {
    unsigned failures; /* in a row */
    int64_t until;
};

void backoff_succeeded(struct backoff *b);
/* random: any number.  Not before `at_least_ms` either (0: no matter). */
void backoff_failed(struct backoff *b, int64_t at_least_ms, uint64_t random,
                    int64_t now);
int64_t backoff_wait(const struct backoff *b, int64_t now); /* ms; 0: now */

#endif
