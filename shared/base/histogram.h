/*
 * histogram: counts how many values were at most each of a list of bounds.
 *
 * Values are whole numbers of one unit (microseconds, messages) and are never rounded. Adding a
 * value takes a dozen instructions: the value's highest bit selects the bound, or the one beside
 * it. The caller owns the bounds; they are static, ascending and usually spaced evenly on a
 * logarithmic scale. Counts only rise. No I/O, no clock, no memory of its own; one thread.
 */
#ifndef SHARED_BASE_HISTOGRAM_H
#define SHARED_BASE_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_BOUNDS_MAX 24

struct histogram_scale {
    uint64_t bounds[HISTOGRAM_BOUNDS_MAX];
    uint32_t count;
};

struct histogram {
    const struct histogram_scale *scale;
    /* one per bound; the last counts values above all bounds */
    uint64_t counts[HISTOGRAM_BOUNDS_MAX + 1];
    uint64_t sum;
    /* by the number of bits of a value: the first bound that can hold it */
    uint8_t first[65];
};

void histogram_init(struct histogram *h, const struct histogram_scale *scale);

/* 50 microseconds to 10 seconds, in steps of 1, 2.5, 5. */
extern const struct histogram_scale histogram_latency_us;
/* 0 to 100,000, in steps of 1, 3, 10. */
extern const struct histogram_scale histogram_amount;

static inline void histogram_add(struct histogram *h, uint64_t value)
{
    uint32_t i = h->first[value ? 64 - __builtin_clzll(value) : 0];

    while (i < h->scale->count && value > h->scale->bounds[i])
        i++;
    h->counts[i]++;
    h->sum += value;
}

/*
 * Returns how many values were at most bounds[i]; for i == scale->count, how many there were in
 * all.
 */
uint64_t histogram_upto(const struct histogram *h, uint32_t i);

#endif
