#include "feeder/tape.h"

/* after so many rows in a row before the playback clock, the clock is set back */
#define BEHIND_MAX 32
/* if a row is later than this, the pace starts again from now */
#define LATE_US 1000000

int64_t tape_schedule(struct tape *t, const struct source *s, int64_t row_us, uint64_t line,
                      const struct source_now *now)
{
    const struct source_settings *set = &s->set;
    int64_t gap = 0, now_us = now->ms * 1000;
    bool is_behind = t->has_clock && row_us < t->clock_us;

    if (t->has_clock && !is_behind && set->speed)
        gap = (row_us - t->clock_us) / set->speed;
    if (gap > set->max_gap_ms * 1000)
        gap = set->max_gap_ms * 1000;
    t->behind = is_behind ? t->behind + 1 : 0;
    if (t->behind == BEHIND_MAX && !t->has_gone_back) {
        t->has_gone_back = true;
        log_warning("%s: at row %llu its times go back by %lld s: it is played on from "
                    "there, without a pause",
                    s->name, (unsigned long long)line,
                    (long long)((t->clock_us - row_us) / 1000000));
    }
    if (!is_behind || t->behind == BEHIND_MAX)
        t->clock_us = row_us;
    t->has_clock = true;
    if (now_us - t->due_us > LATE_US)
        t->due_us = now_us;
    t->due_us += gap;
    return (t->due_us + 999) / 1000;
}

void tape_rewind(struct tape *t, const struct source *s)
{
    t->has_clock = false;
    if (s->set.speed)
        t->due_us += s->set.max_gap_ms * 1000;
}
