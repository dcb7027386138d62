#include "gateway/session/bucket.h"

bool bucket_take(struct bucket *b, const struct bucket_rate *rate, int64_t now)
{
    uint64_t portions = now > b->fed_at ? (uint64_t)(now - b->fed_at) / rate->period_ms : 0;

    if (!b->used || portions > b->used / rate->count) {
        b->used = 0;
        b->fed_at = now;
    } else {
        b->used -= (uint32_t)portions * rate->count;
        b->fed_at += (int64_t)portions * rate->period_ms;
    }
    if (b->used >= rate->capacity)
        return false;
    b->used++;
    return true;
}
