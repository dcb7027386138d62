/*
 * steady: a wall clock that does not follow a jump at once.
 *
 * It compares the wall clock with boot time, a clock that nobody sets and that counts on while the
 * machine sleeps. A small difference between two readings is drift, and the steady clock follows
 * it. A large one is a jump: somebody set the wall clock. steady_look reports a jump at once, but
 * the steady clock follows only after the jump has lasted for `patience_ms`; if the wall clock
 * returns before, nothing has changed. A value; reads no clock: `boot_ms` and `wall_us` are read at
 * the same instant.
 */
#ifndef SHARED_BASE_STEADY_H
#define SHARED_BASE_STEADY_H

#include <stdbool.h>
#include <stdint.h>

/* a larger change between two readings is a jump, not drift */
#define STEADY_JUMP_US 1000000

struct steady {
    int64_t trusted_us; /* trusted wall clock less boot time */
    int64_t seen_us;    /* wall clock less boot time at the last reading */
    int64_t patience_ms;
    int64_t since_ms; /* boot time of the last jump */
    bool is_apart;    /* the wall clock has jumped and is not trusted yet */
};

/*
 * Starts with `wall_us` as the trusted time; a caller that is not certain of it may pass an earlier
 * time.
 */
void steady_begin(struct steady *s, int64_t boot_ms, int64_t wall_us, int64_t patience_ms);
/*
 * Takes a reading; call it at least once a second. Returns by how many µs the clock has just
 * jumped; 0: no jump.
 */
int64_t steady_look(struct steady *s, int64_t boot_ms, int64_t wall_us);
/* The trusted time, µs since 1970. */
int64_t steady_time(const struct steady *s, int64_t boot_ms);

/*
 * Returns the time before which a stamp is older than `age_us` by both the trusted clock and the
 * wall clock. So a jump in either direction makes no older stamp expire at once. (A record stamped
 * while the clock was set back carries an earlier time and may expire earlier by that much.)
 * Returns 0 if nothing is that old or age_us is 0.
 */
uint64_t steady_cut(const struct steady *s, int64_t boot_ms, int64_t wall_us, uint64_t age_us);

#endif
