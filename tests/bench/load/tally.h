/*
 * tally: counters of a load client, and the delays of quotes.
 *
 * Delays go into a histogram with 64 steps per power of two: an error of at most 1.6 %, a fixed
 * size, no allocation.  Microseconds.
 */
#ifndef TESTS_BENCH_LOAD_TALLY_H
#define TESTS_BENCH_LOAD_TALLY_H

#include <stdint.h>
#include <string.h>

#define STEPS 64
#define STEPS_LOG2 6
#define CELLS (STEPS * 40)

struct tally {
    uint64_t sent;      /* quotes */
    uint64_t expected;  /* deliveries of them, to clients that read */
    uint64_t delivered; /* quotes that came to them */
    uint64_t missed;    /* numbers left out, by the quote that came after them */
    uint64_t backward;  /* numbers that did not rise */
    uint64_t snapshots, lost, unrecovered, resets, errors, closed, refused;
    uint64_t bytes; /* payload of the quotes delivered */
    uint64_t cells[CELLS];
    int64_t worst_us;
};

static inline void tally_time(struct tally *t, int64_t us)
{
    uint64_t v = us < 0 ? 0 : (uint64_t)us;
    int shift = v < STEPS ? 0 : 63 - __builtin_clzll(v) - STEPS_LOG2;
    uint64_t cell = v < STEPS ? v : (uint64_t)(shift + 1) * STEPS + (v >> shift) - STEPS;

    t->cells[cell < CELLS ? cell : CELLS - 1]++;
    if (us > t->worst_us)
        t->worst_us = us;
}

/* The delay that `part` (0 to 1) of the deliveries did not exceed. */
static inline int64_t tally_quantile(const struct tally *t, double part)
{
    uint64_t count = 0, sum = 0;

    for (int i = 0; i < CELLS; i++)
        count += t->cells[i];
    for (int i = 0; i < CELLS; i++) {
        sum += t->cells[i];
        if (sum && (double)sum >= part * (double)count)
            return i < STEPS ? i : (int64_t)(i % STEPS + STEPS) << (i / STEPS - 1);
    }
    return 0;
}

#endif
