#include "shared/sync/receiver.h"

#include <stdlib.h>

#include "shared/base/mem.h"
#include "shared/sync/receiver_private.h"
#include "shared/wire/pack.h"

struct receiver *receiver_new(const struct receiver_settings *settings,
                              const struct receiver_out *out, int64_t now)
{
    struct receiver *f = mem_zalloc(sizeof *f);

    f->settings = *settings;
    f->out = *out;
    f->now = f->heard_at = now;
    f->is_frozen = true;
    receiver_subscribe_all(f);
    return f;
}

void receiver_free(struct receiver *f)
{
    if (!f)
        return;
    receiver_free_patterns(f);
    buf_free(&f->queue);
    buf_free(&f->held);
    free(f);
}

void receiver_listen(struct receiver *f)
{
    receiver_doubt(f);
    receiver_subscribe_all(f);
}

static void set_up(struct receiver *f, bool is_up)
{
    bool was_up = f->is_up;

    if (f->is_up == is_up && (is_up || f->was_down_sent))
        return;
    f->is_up = is_up;
    f->was_down_sent = !is_up;
    if (was_up && f->settings.needs_heartbeat)
        receiver_doubt(f);
    f->out.presence(f->out.ctx, is_up);
}

/* --- what comes from the broker --------------------------------------------------------- */

/*
 * A heartbeat below a known position: the broker lost positions, and a hello proves that to the
 * broker.
 */
static void note_known(struct receiver *f, const struct wire_record *r)
{
    if (r->kind == WIRE_HEARTBEAT && r->seq < f->known.seq)
        if (f->out.fell_back)
            f->out.fell_back(f->out.ctx);
    if (r->seq > f->known.seq)
        f->known.seq = r->seq;
    if (r->kind != WIRE_HEARTBEAT && r->kind != WIRE_MARK && r->seq > f->known.record) {
        f->known.record = r->seq;
        f->known.accepted_us = r->accepted_us;
    }
}

bool receiver_on_record(struct receiver *f, struct span topic, struct span message,
                        const struct wire_record *r, int64_t now)
{
    f->now = now;
    if (pack_check(r->body))
        return false;
    if (r->kind == WIRE_LOCK || !receiver_check_epoch(f, r->epoch))
        return true;
    note_known(f, r);
    if (r->kind == WIRE_HEARTBEAT) {
        f->heard_at = now;
        set_up(f, true);
    }
    if (r->kind == WIRE_MARK) {
        /* A subscription to everything also gets other receivers' marks. */
        if (f->mark[0] && span_eq(topic, f->mark))
            receiver_on_mark(f, r);
        return true;
    }
    if (f->phase == PHASE_UNVERIFIED)
        return true;
    if ((f->phase != PHASE_VERIFIED || f->held.len) && receiver_must_hold(f, topic, r))
        receiver_hold(f, topic, message);
    else
        receiver_apply(f, topic, r);
    return true;
}

/*
 * The broker sends this first on every connection, before any record: records sent on the previous
 * connection may never have arrived.
 */
void receiver_on_welcome(struct receiver *f)
{
    if (!f->welcomes++)
        return;
    receiver_note(f, false, "The broker's records come over a new connection");
    receiver_doubt(f);
}

void receiver_on_hello(struct receiver *f, uint64_t epoch, int64_t now)
{
    f->now = f->heard_at = now;
    if (receiver_check_epoch(f, epoch))
        set_up(f, true);
}

void receiver_on_answer(struct receiver *f, uint64_t request, struct span answer, int64_t now)
{
    struct receiver_request *q;

    f->now = now;
    if (!request)
        return;
    if (request == f->page_request) {
        receiver_on_page(f, answer);
        return;
    }
    q = receiver_find_request(f, request);
    if (q)
        receiver_on_snapshot(f, q, answer);
}

/* --- time ------------------------------------------------------------------------------- */

void receiver_tick(struct receiver *f, bool is_drained, int64_t now)
{
    f->now = now;
    if (is_drained && now - f->heard_at >= RECEIVER_SILENCE_MS)
        set_up(f, false);
    if (f->is_paused)
        return;
    receiver_place_mark(f);
    receiver_catch_up(f);
    receiver_retry(f);
    receiver_check_complete(f);
    f->has_ticked = true;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t receiver_deadline(const struct receiver *f)
{
    int64_t due = earlier(receiver_mark_deadline(f), receiver_request_deadline(f));

    if (f->phase == PHASE_VERIFIED ? receiver_has_held(f) : f->phase == PHASE_HOLDING && !f->marked)
        return 0;
    return f->is_up ? earlier(due, f->heard_at + RECEIVER_SILENCE_MS) : due;
}

void receiver_pause(struct receiver *f)
{
    f->is_paused = true;
}

void receiver_resume(struct receiver *f)
{
    f->is_paused = false;
}

bool receiver_is_paused(const struct receiver *f)
{
    return f->is_paused;
}

/* --- questions --------------------------------------------------------------------------- */

uint64_t receiver_epoch(const struct receiver *f)
{
    return f->epoch;
}

bool receiver_is_up(const struct receiver *f)
{
    return f->is_up;
}

bool receiver_is_verified(const struct receiver *f)
{
    return f->phase == PHASE_VERIFIED;
}

int64_t receiver_heard_at(const struct receiver *f)
{
    return f->heard_at;
}

uint64_t receiver_gaps(const struct receiver *f)
{
    return f->gaps;
}

uint32_t receiver_connections(const struct receiver *f)
{
    return f->welcomes;
}

uint64_t receiver_verified_seq(const struct receiver *f)
{
    return f->has_synced ? f->verified_seq : 0;
}

uint64_t receiver_complete_seq(const struct receiver *f)
{
    if (!f->has_synced)
        return 0;
    return f->is_frozen ? f->frozen_seq : f->verified_seq;
}

struct receiver_known receiver_known(const struct receiver *f)
{
    return f->known;
}
