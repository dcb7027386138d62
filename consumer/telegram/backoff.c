#include "consumer/telegram/backoff.h"

void backoff_succeeded(struct backoff *b)
{
    *b = (struct backoff){0};
}

void backoff_failed(struct backoff *b, int64_t at_least_ms, uint64_t random, int64_t now)
{
    int64_t ms = BACKOFF_MIN_MS;

    for (unsigned i = 0; i < b->failures && ms < BACKOFF_MAX_MS; i++)
        ms *= 2;
    if (ms > BACKOFF_MAX_MS)
        ms = BACKOFF_MAX_MS;
    b->failures++;
    ms -= (int64_t)(random % (uint64_t)(ms / 2));
    b->until = now + (ms > at_least_ms ? ms : at_least_ms);
}

int64_t backoff_wait(const struct backoff *b, int64_t now)
{
    return b->until > now ? b->until - now : 0;
}
