#include "consumer/tail/range.h"

#include <string.h>

#include "shared/base/text_time.h"

/* ISO 8601 as 2026-11-25…, or @ and Unix seconds: other forms could be a position. */
static bool parse_time(const char *text, int64_t *us)
{
    if (text[0] == '@')
        return text_time_parse("unix", span_of(text + 1), us);
    return strlen(text) > 4 && text[4] == '-' && text_time_parse("auto", span_of(text), us);
}

bool range_set_since(struct range *r, const char *text)
{
    struct pregon_position at = {0, 0};
    int64_t us = 0;

    if (*text && pregon_position_parse(text, &at)) {
        if (!parse_time(text, &us))
            return false;
        pregon_position_parse("start", &at);
    }
    r->since = at;
    r->since_us = us;
    return true;
}

bool range_set_until(struct range *r, const char *text)
{
    bool is_end = strcmp(text, "end") == 0;
    int64_t us = 0;

    if (*text && !is_end && !parse_time(text, &us))
        return false;
    r->until_end = is_end;
    r->until_us = *text && !is_end && !us ? 1 : us; /* @0: nothing was accepted before it */
    return true;
}

enum range_place range_judge(struct range *r, int64_t accepted_us)
{
    if (accepted_us < r->since_us)
        return RANGE_BEFORE;
    r->has_passed |= r->until_us && accepted_us >= r->until_us;
    return r->has_passed ? RANGE_AFTER : RANGE_WITHIN;
}

bool range_is_over(const struct range *r, int64_t wall_us)
{
    if (r->has_passed)
        return true;
    if (!r->is_synced)
        return false;
    return r->until_end || (r->until_us && wall_us >= r->until_us + RANGE_LATE_US);
}
