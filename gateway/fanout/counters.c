#include "gateway/fanout/counters.h"

#define DELAY_MAX_US 86400000000u /* a day */

const char *counters_end_name(enum counters_end end)
{
    static const char *const names[] = {
#define X(name) #name,
        COUNTERS_ENDS(X)
#undef X
    };

    return names[end];
}

void counters_init(struct counters *f)
{
    *f = (struct counters){0};
    histogram_init(&f->since_sent, &histogram_latency_us);
    histogram_init(&f->since_accepted, &histogram_latency_us);
    histogram_init(&f->queued[0], &histogram_amount);
    histogram_init(&f->queued[1], &histogram_amount);
}

/* A feeder's time stamp may be wrong by days: such a delay is not counted. */
static void add(struct histogram *h, uint64_t from_us, uint64_t to_us)
{
    uint64_t delay_us = to_us > from_us ? to_us - from_us : 0;

    if (from_us && delay_us <= DELAY_MAX_US)
        histogram_add(h, delay_us);
}

void counters_served(struct counters *f, int64_t wall_us)
{
    for (uint32_t i = 0; i < f->pending; i++) {
        add(&f->since_sent, f->sent_us[i], (uint64_t)wall_us);
        add(&f->since_accepted, f->accepted_us[i], (uint64_t)wall_us);
    }
    f->pending = 0;
}
