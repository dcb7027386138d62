/*
 * tape: when the rows of a recording are due; source_csv and source_ndjson use it.
 *
 * The playback clock is the latest time seen: a row that lies before it is played at once and does
 * not set the clock back, so one row out of order causes no wait. After many such rows in a row the
 * clock is set back. No I/O but one log line, no clock. One owner, one thread.
 */
#ifndef FEEDER_TAPE_H
#define FEEDER_TAPE_H

#include "feeder/source.h"

/* Zero-initialise. */
struct tape {
    bool has_clock;
    bool has_gone_back; /* the log has a line about that */
    int behind;         /* rows in a row before the playback clock */
    int64_t clock_us;   /* on the recording's time scale, µs since 1970 */
    int64_t due_us;     /* when the row is due, on the loop's awake clock */
};

/* The row with number `line` was recorded at row_us. Returns when it is due, for due_ms. */
int64_t tape_schedule(struct tape *t, const struct source *s, int64_t row_us, uint64_t line,
                      const struct source_now *now);
/* The recording starts again, after the longest silence. */
void tape_rewind(struct tape *t, const struct source *s);

#endif
