#include "gateway/fanout/slot.h"

/* n's binary digits mirrored at the binary point: 0, 1/2, 1/4, 3/4, 1/8, … of the window. */
int64_t slot_at(uint32_t n, int64_t window_ms)
{
    uint64_t mirrored = 0;

    for (int i = 0; i < 32; i++)
        mirrored |= (uint64_t)(n >> i & 1) << (31 - i);
    return (int64_t)(mirrored * (uint64_t)window_ms >> 32);
}
