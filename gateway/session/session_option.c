/* session_option: how a subscription's options are written, by message and in a URL. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/session/session_private.h"

#define HZ_MIN 0.01
#define HZ_MAX 1000.0
#define EPOCH_DIGITS 16

bool session_option_hz(struct span text, uint32_t *interval_ms)
{
    char copy[32], *end;
    double hz;

    if (!text.len || text.len >= sizeof copy)
        return false;
    memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    if (strspn(copy, "0123456789.eE+-") != text.len || !isdigit((unsigned char)copy[0]))
        return false; /* strtod would take more, as hexadecimal numbers */
    hz = strtod(copy, &end);
    if (*end || !(hz >= HZ_MIN && hz <= HZ_MAX))
        return false;
    *interval_ms = (uint32_t)(1000.0 / hz);
    return true;
}

bool session_option_mode(struct span text, bool *wants_all)
{
    *wants_all = span_eq(text, "all");
    return *wants_all || span_eq(text, "merge");
}

static bool read_number(struct span text, int base, uint64_t *out)
{
    char copy[24], *end;

    if (!text.len || text.len >= sizeof copy)
        return false;
    memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    if (strspn(copy, "0123456789abcdefABCDEF") != text.len)
        return false;
    errno = 0;
    *out = strtoull(copy, &end, base);
    return !*end && !errno;
}

bool session_option_position(struct span epoch, struct span seq, uint64_t *out_epoch,
                             uint64_t *out_seq)
{
    return epoch.len == EPOCH_DIGITS && read_number(epoch, 16, out_epoch) &&
           read_number(seq, 10, out_seq);
}

void session_option_apply(struct session *s, const struct session_options *o)
{
    int64_t now = s->all->now;

    if (o->has_mode)
        session_set_mode(s, o->wants_all);
    if (o->has_hz) {
        s->interval_ms = o->interval_ms;
        if (s->flush_at > now + s->interval_ms)
            s->flush_at = now + s->interval_ms;
    }
    if (o->has_trace) {
        s->all->traced_count += o->is_traced;
        s->all->traced_count -= session_is_traced(s);
        s->sub.backlog.quote_as = o->is_traced ? MESSAGE_TRACED : MESSAGE_QUOTE;
    }
}
