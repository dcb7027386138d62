#include "shared/base/clock.h"

#include <time.h>

static int64_t read_ns(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t clock_mono_ms(void)
{
    return read_ns(CLOCK_MONOTONIC) / 1000000;
}

int64_t clock_boot_ms(void)
{
    return read_ns(CLOCK_BOOTTIME) / 1000000;
}

int64_t clock_wall_us(void)
{
    return read_ns(CLOCK_REALTIME) / 1000;
}

void clock_pair(int64_t *boot_ms, int64_t *wall_us)
{
    int64_t before;

    do {
        before = clock_boot_ms();
        *wall_us = clock_wall_us();
        *boot_ms = clock_boot_ms();
    } while (*boot_ms - before > 10);
}
