#include "shared/base/histogram.h"

const struct histogram_scale histogram_latency_us = {{50, 100, 250, 500, 1000, 2500, 5000, 10000,
                                                      25000, 50000, 100000, 250000, 500000, 1000000,
                                                      2500000, 5000000, 10000000},
                                                     17};

const struct histogram_scale histogram_amount = {
    {0, 1, 3, 10, 30, 100, 300, 1000, 3000, 10000, 30000, 100000}, 12};

void histogram_init(struct histogram *h, const struct histogram_scale *scale)
{
    *h = (struct histogram){.scale = scale};
    for (uint32_t bits = 1; bits <= 64; bits++) {
        uint64_t least = (uint64_t)1 << (bits - 1);

        while (h->first[bits] < scale->count && scale->bounds[h->first[bits]] < least)
            h->first[bits]++;
    }
}

uint64_t histogram_upto(const struct histogram *h, uint32_t i)
{
    uint64_t total = 0;

    for (uint32_t k = 0; k <= i; k++)
        total += h->counts[k];
    return total;
}
