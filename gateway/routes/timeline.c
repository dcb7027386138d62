#include "gateway/routes/timeline.h"

#include <string.h>

#include "shared/base/text_time.h"

#define EPOCH_DIGITS 16

static bool read_digits(struct span text, unsigned base, uint64_t *out)
{
    uint64_t n = 0;

    if (!text.len || text.len > 20)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                                                : 16;

        if (digit >= base || n > (UINT64_MAX - digit) / base)
            return false;
        n = n * base + digit;
    }
    *out = n;
    return true;
}

/* EPOCH:SEQ */
static bool read_position(struct timeline *t, struct span text, uint64_t *seq)
{
    uint64_t epoch;

    if (text.len <= EPOCH_DIGITS + 1 || text.at[EPOCH_DIGITS] != ':' ||
        !read_digits((struct span){text.at, EPOCH_DIGITS}, 16, &epoch) ||
        (t->has_epoch && epoch != t->epoch) ||
        !read_digits((struct span){text.at + EPOCH_DIGITS + 1, text.len - EPOCH_DIGITS - 1}, 10,
                     seq))
        return false;
    t->has_epoch = true;
    t->epoch = epoch;
    return true;
}

static bool read_time(struct span text, uint64_t *us)
{
    int64_t found;
    bool is_unix = text.at[0] == '@', is_date = text.len > 4 && text.at[4] == '-';

    if (!is_unix && !is_date)
        return false;
    if (is_unix)
        text = (struct span){text.at + 1, text.len - 1};
    if (!text_time_parse(is_unix ? "unix" : "auto", text, &found))
        return false;
    *us = (uint64_t)found;
    return true;
}

static void bound_below(struct timeline *t, uint64_t after)
{
    if (after > t->after)
        t->after = after;
}

static void bound_above(struct timeline *t, uint64_t before)
{
    if (!t->before || before < t->before)
        t->before = before;
}

bool timeline_set(struct timeline *t, enum timeline_bound which, struct span text)
{
    uint64_t n;

    if (!text.len)
        return false;
    if (read_time(text, &n)) {
        if (which == TIMELINE_SINCE)
            t->since_us = n;
        else
            t->until_us = n ? n : 1; /* nothing was accepted in that microsecond */
        return true;
    }
    if (!(read_digits(text, 10, &n) && n < TIMELINE_BARE_END) && !read_position(t, text, &n))
        return false;
    if (which == TIMELINE_SINCE) {
        t->has_since = true;
        bound_below(t, n);
    } else {
        bound_above(t, n < UINT64_MAX ? n + 1 : n);
    }
    return true;
}

bool timeline_set_next(struct timeline *t, struct span text)
{
    uint64_t n;

    if (!text.len || !read_position(t, text, &n) || !n)
        return false;
    if (t->is_oldest_first)
        bound_below(t, n);
    else
        bound_above(t, n);
    return true;
}

void timeline_put_next(struct buf *out, uint64_t epoch, uint64_t next)
{
    buf_printf(out, "%016llx:%llu", (unsigned long long)epoch, (unsigned long long)next);
}
