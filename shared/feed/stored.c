#include "shared/feed/stored.h"

enum stored_news stored_judge(struct stored *s, uint64_t received, uint64_t line, int64_t now)
{
    bool is_in_time = false;

    s->is_known = true;
    s->line = line < received ? line : received;
    if (s->mark && s->line >= s->mark) {
        is_in_time = now < s->marked_at + STORED_LATE_MS;
        s->mark = 0;
    }
    if (!s->mark && s->line < received) {
        s->mark = received;
        s->marked_at = now;
    }
    if (s->is_behind && (is_in_time || !s->mark)) {
        s->is_behind = false;
        return STORED_CAUGHT_UP;
    }
    if (!s->is_behind && s->mark && now >= s->marked_at + STORED_LATE_MS) {
        s->is_behind = true;
        return STORED_BEHIND;
    }
    return STORED_NO_NEWS;
}

void stored_forget(struct stored *s)
{
    *s = (struct stored){0};
}

void stored_pause(struct stored *s)
{
    s->mark = 0;
}
