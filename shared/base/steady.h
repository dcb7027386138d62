/*
 * steady: a wall clock that is not believed at once when it jumps.
 *
 * The wall clock is compared with a clock that nobody sets (boot time: it also counts while the
 * machine sleeps).  A small difference from look to look is drift, and is followed.  A large one is a
 * jump: somebody set the clock.  It is told at once, and believed after it has lasted for
 * `patience_ms`; if the clock goes back before, nothing has happened.
 * A value; reads no clock: `boot_ms` and `wall_us` are of the same instant.
 */
#ifndef SHARED_BASE_STEADY_H
#define SHARED_BASE_STEADY_H

#include <stdbool.h>
#include <stdint.h>

#define STEADY_JUMP_US 1000000 /* from one look to the next: this much is no drift */

struct steady {
    int64_t trusted_us; /* wall clock less boot time, as it is believed */
    int64_t seen_us;    /* the same as of the last look */
    int64_t patience_ms;
    int64_t since_ms; /* boot: of the last jump */
    bool is_apart;    /* the clock has jumped, and is not believed yet */
};

/* Believe `wall_us`; if it is not certain, an earlier time may be given to begin with. */
void steady_begin(struct steady *s, int64_t boot_ms, int64_t wall_us,
                  int64_t patience_ms);
/* Look at the clock, at least once a second.  By how many µs it has just jumped; 0: it has not. */
int64_t steady_look(struct steady *s, int64_t boot_ms, int64_t wall_us);
/* The time as it is believed, µs since 1970. */
int64_t steady_time(const struct steady *s, int64_t boot_ms);

/*
 * What was accepted before this is older than `age_us` by both clocks, the believed one and the wall
 * clock: so a jump in either direction makes nothing old that was there before.  (What is accepted
 * while the clock is set back bears the earlier time, and may go earlier by as long as that lasted.)
 * 0: nothing is so old, or age_us is 0.
 */
uint64_t steady_cut(const struct steady *s, int64_t boot_ms, int64_t wall_us,
                    uint64_t age_us);

#endif
