/*
 * range: the part of the log that pregon-tail writes, by SINCE and UNTIL.
 *
 * Records come in the order of their positions, and the times at which the broker accepted them
 * ascend with these. So the range begins with the first record of its time and ends with the first
 * one after it. A loss has no time: it belongs to the range if the record after it does. No I/O, no
 * clock: times are microseconds since 1970.
 */
#ifndef CONSUMER_TAIL_RANGE_H
#define CONSUMER_TAIL_RANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "consumer/lib/pregon.h"

#define RANGE_LATE_US 2000000 /* a record comes with the next heartbeat at the latest */

/* Zero-initialise. */
struct range {
    struct pregon_position since; /* for pregon_open */
    int64_t since_us;             /* 0: no time */
    int64_t until_us;             /* 0: no time */
    bool until_end;
    bool is_synced;  /* the log has been read */
    bool has_passed; /* a record of a later time has come */
};

/* false: the text is not allowed; *r is untouched. "" is allowed. */
bool range_set_since(struct range *r, const char *text);
bool range_set_until(struct range *r, const char *text);

enum range_place { RANGE_BEFORE, RANGE_WITHIN, RANGE_AFTER };
/* A record was accepted at this time. */
enum range_place range_judge(struct range *r, int64_t accepted_us);
/* Everything in the log has come; it is `wall_us` now. Is nothing more to come? */
bool range_is_over(const struct range *r, int64_t wall_us);

#endif
