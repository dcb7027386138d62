#include "feeder/pace.h"

#define LATE_MS 500
/* below this a source counts as in time again; a second bound, so that the state does not flap */
#define IN_TIME_MS 100
#define INTERVAL_MIN_MS 1000
#define INTERVAL_MAX_MS 60000

enum pace_news pace_judge(struct pace *p, int64_t late_ms, bool is_full, int64_t now)
{
    enum pace_news news = p->was_full || is_full ? PACE_HELD_UP : PACE_TOO_SLOW;

    p->was_full |= is_full;
    if (p->is_late && late_ms < IN_TIME_MS) {
        *p = (struct pace){0};
        return PACE_IN_TIME;
    }
    if (!p->is_late && late_ms < LATE_MS) {
        p->was_full = is_full;
        return PACE_NO_NEWS;
    }
    if (!p->is_late) {
        p->is_late = true;
        p->since = p->next_log_at = now;
        p->interval = INTERVAL_MIN_MS;
    }
    if (now < p->next_log_at)
        return PACE_NO_NEWS;
    p->next_log_at = now + p->interval;
    p->interval = p->interval * 2 > INTERVAL_MAX_MS ? INTERVAL_MAX_MS : p->interval * 2;
    p->was_full = false;
    return news;
}
