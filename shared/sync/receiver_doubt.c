/* receiver_doubt: makes the link unverified, and holds records until it is verified again. */
#include <stdarg.h>
#include <stdio.h>

#include "shared/sync/receiver_private.h"

void receiver_note(struct receiver *f, bool is_error, const char *format, ...)
{
    char text[256];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    f->out.broker.note(f->out.broker.ctx, is_error, text);
}

/* From now on complete_seq does not rise. */
static void freeze(struct receiver *f, bool starts_anew)
{
    if (!f->is_frozen)
        f->frozen_seq = f->verified_seq;
    f->is_frozen = true;
    receiver_doubt_all(f, starts_anew);
}

void receiver_doubt(struct receiver *f)
{
    freeze(f, true);
    f->phase = PHASE_UNVERIFIED;
    receiver_drop_held(f);
    receiver_drop_requests(f);
    receiver_drop_mark(f); /* one that was placed before this proves nothing */
    if (f->out.unverified)
        f->out.unverified(f->out.ctx);
}

bool receiver_check_epoch(struct receiver *f, uint64_t epoch)
{
    uint64_t old = f->epoch;

    if (epoch == old)
        return true;
    if (!old) { /* the mark that is awaited, if any, is of this log */
        freeze(f, false);
    } else {
        if (f->out.flush)
            f->out.flush(f->out.ctx);
        if (f->is_paused)
            return false; /* the next record is of the new log, too */
        receiver_doubt(f);
        f->verified_seq = f->frozen_seq = f->lost_seq = 0;
        f->has_verified_seq = f->has_synced = f->must_snapshot = false;
        if (!f->settings.since_epoch)
            f->settings.since_seq = 0;
        for (struct receiver_pattern *p = f->patterns; p; p = p->hh.next)
            p->was_live = false;
        f->changes++;
    }
    f->known = (struct receiver_known){.epoch = epoch};
    f->epoch = epoch;
    f->out.reset(f->out.ctx, epoch, old, "log_replaced");
    return !f->is_paused;
}

void receiver_hold(struct receiver *f, struct span topic, struct span message)
{
    if (f->has_overflowed || receiver_put_held(f, topic, message))
        return;
    receiver_note(f, false, "More than %zu MiB of records wait: a resync follows",
                  RECEIVER_HELD_MAX >> 20);
    if (f->phase == PHASE_CATCHING_UP)
        receiver_doubt(f); /* the next resync continues after the last page */
    else
        f->has_overflowed = true; /* the resync begins when all snapshots have arrived */
}
