/*
 * clock: the two clocks, read in one place.
 *
 * Monotonic milliseconds for every deadline and silence; wall-clock microseconds
 * since 1970 only for what people and peers read.  Only main loops call these;
 * state modules are handed `now`.
 */
#ifndef SHARED_BASE_CLOCK_H
#define SHARED_BASE_CLOCK_H

#include <stdint.h>

int64_t clock_mono_ms(void);
/* The same, but it goes on while the machine is suspended: for leases held elsewhere. */
int64_t clock_boot_ms(void);
int64_t clock_wall_us(void);
/* Both of the same instant, to within a few ms, also if we are stopped in between. */
void clock_pair(int64_t *boot_ms, int64_t *wall_us);

#endif
