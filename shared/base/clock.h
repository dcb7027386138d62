/*
 * clock: the only functions that read the system's clocks.
 *
 * Deadlines and silences use monotonic milliseconds. Wall-clock microseconds since 1970 are only
 * for what people and peers read. Only main loops and threads call these functions; state modules
 * get `now` as an argument.
 */
#ifndef SHARED_BASE_CLOCK_H
#define SHARED_BASE_CLOCK_H

#include <stdint.h>

int64_t clock_mono_ms(void);
/*
 * Monotonic, but counts on while the machine is suspended: for leases that another machine holds.
 */
int64_t clock_boot_ms(void);
int64_t clock_wall_us(void);
/*
 * Reads both clocks at the same instant, to within a few ms, even if the process is stopped between
 * the two readings.
 */
void clock_pair(int64_t *boot_ms, int64_t *wall_us);

#endif
