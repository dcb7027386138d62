#include "shared/base/steady.h"

static bool is_jump(int64_t us)
{
    return us >= STEADY_JUMP_US || us <= -STEADY_JUMP_US;
}

void steady_begin(struct steady *s, int64_t boot_ms, int64_t wall_us, int64_t patience_ms)
{
    int64_t offset = wall_us - boot_ms * 1000;

    *s = (struct steady){offset, offset, patience_ms, boot_ms, false};
}

int64_t steady_look(struct steady *s, int64_t boot_ms, int64_t wall_us)
{
    int64_t offset = wall_us - boot_ms * 1000, step = offset - s->seen_us;
    bool has_jumped = is_jump(step);

    s->seen_us = offset;
    if (has_jumped) {
        s->since_ms = boot_ms;
        s->is_apart = true;
    }
    if (!s->is_apart || !is_jump(offset - s->trusted_us) ||
        boot_ms - s->since_ms >= s->patience_ms) {
        s->trusted_us = offset;
        s->is_apart = false;
    } else if (!has_jumped) {
        s->trusted_us += step; /* drift, not a jump */
    }
    return has_jumped ? step : 0;
}

int64_t steady_time(const struct steady *s, int64_t boot_ms)
{
    return s->trusted_us + boot_ms * 1000;
}

uint64_t steady_cut(const struct steady *s, int64_t boot_ms, int64_t wall_us, uint64_t age_us)
{
    int64_t now = steady_time(s, boot_ms);

    if (wall_us < now)
        now = wall_us;
    return age_us && now > 0 && (uint64_t)now > age_us ? (uint64_t)now - age_us : 0;
}
