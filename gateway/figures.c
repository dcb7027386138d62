#include "gateway/figures.h"

#define DELAY_MAX_US 86400000000u /* a day */

const char *figures_end_name(enum figures_end end)
{
    static const char *const names[] = {
#define X(name) #name,
        FIGURES_ENDS(X)
#undef X
    };

    return names[end];
}

void figures_init(struct figures *f)
{
    *f = (struct figures){0};
    histogram_init(&f->since_sent, &histogram_latency_us);
    histogram_init(&f->since_accepted, &histogram_latency_us);
    histogram_init(&f->queued[0], &histogram_amount);
    histogram_init(&f->queued[1], &histogram_amount);
}

/* A feeder's stamp may be anything: of a clock that is days off no delay can be told. */
static void add(struct histogram *h, uint64_t from_us, uint64_t to_us)
{
    uint64_t delay_us = to_us > from_us ? to_us - from_us : 0;

    if (from_us && delay_us <= DELAY_MAX_US)
        histogram_add(h, delay_us);
}

void figures_served(struct figures *f, int64_t wall_us)
{
    for (uint32_t i = 0; i < f->pending; i++) {
        add(&f->since_sent, f->sent_us[i], (uint64_t)wall_us);
        add(&f->since_accepted, f->accepted_us[i], (uint64_t)wall_us);
    }
    f->pending = 0;
}
