/*
 * boot_clock: CLOCK_BOOTTIME in the hands of a test; all other clocks go on as they are.  It stands
 * still unless the test moves it.  Include it in one file of a program.
 */
#ifndef TESTS_UNIT_BOOT_CLOCK_H
#define TESTS_UNIT_BOOT_CLOCK_H

#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int64_t boot_ms = 1000000;
static int64_t boot_step_ms; /* by so much each look at the clock moves it on */

/* In place of the C library's, also for the functions of the libraries that are tested. */
int clock_gettime(clockid_t id, struct timespec *t)
{
    if (id != CLOCK_BOOTTIME)
        return (int)syscall(SYS_clock_gettime, id, t);
    boot_ms += boot_step_ms;
    *t = (struct timespec){(time_t)(boot_ms / 1000), (long)(boot_ms % 1000 * 1000000)};
    return 0;
}

#endif
