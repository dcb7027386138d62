/*
 * pace: decides whether the sources are late, and when to log that.
 *
 * A source with a pace of its own is late when quotes were due that the loop did not take. That is
 * logged at once, then after 1, 2, 4 … 60 s while it lasts, and when it is over. Times are
 * monotonic ms; no I/O. One owner, one thread.
 */
#ifndef FEEDER_PACE_H
#define FEEDER_PACE_H

#include <stdbool.h>
#include <stdint.h>

enum pace_news {
    PACE_NO_NEWS,
    PACE_HELD_UP, /* late, and the ring was full: the broker is behind or away */
    /* late although there was room: this machine cannot produce quotes at this rate */
    PACE_TOO_SLOW,
    PACE_IN_TIME, /* no longer late */
};

struct pace {
    bool is_late, was_full; /* was_full: since the last log line */
    int64_t since;          /* is_late: when it was first logged */
    int64_t next_log_at, interval;
};

/* late_ms: of the source that is most late; is_full: a source had to wait for room in this turn. */
enum pace_news pace_judge(struct pace *p, int64_t late_ms, bool is_full, int64_t now);

#endif
