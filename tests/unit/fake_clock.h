/*
 * fake_clock: the clocks of shared/base/clock.h, as a test sets them: time passes only where the
 * test calls for it.  The program is linked with these functions in place of clock.c; include it in
 * one file of a program.
 */
#ifndef TESTS_UNIT_FAKE_CLOCK_H
#define TESTS_UNIT_FAKE_CLOCK_H

#include <stdatomic.h>

#include "shared/base/clock.h"

#define FAKE_CLOCK_WALL_US 1600000000250000

/* Far in the future, so that no wait on a condition ends by itself. */
static atomic_int_fast64_t fake_clock_ms = 1000000000000;

int64_t clock_mono_ms(void)
{
    return fake_clock_ms;
}

int64_t clock_boot_ms(void)
{
    return fake_clock_ms;
}

int64_t clock_wall_us(void)
{
    return FAKE_CLOCK_WALL_US + (fake_clock_ms - 1000000000000) * 1000;
}

void clock_pair(int64_t *boot_ms, int64_t *wall_us)
{
    *boot_ms = clock_boot_ms();
    *wall_us = clock_wall_us();
}

#endif
