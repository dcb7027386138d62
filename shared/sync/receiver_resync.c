/* receiver_resync: a resync: from a mark, through the log and snapshots, to a verified link. */
#include "shared/sync/receiver_private.h"
#include "shared/wire/pack.h"
#include "shared/wire/replay.h"

#define RETRY_MS 250   /* time before a refused or empty page is requested again */
#define REFUSED_MS 100 /* before a refused snapshot is */

/* --- the end of a resync ------------------------------------------------------------------- */

static void release_one(struct receiver *f)
{
    struct span topic, message;
    struct wire_record r;

    receiver_take_held(f, &topic, &message);
    if (!wire_read(message, &r, NULL))
        receiver_apply(f, topic, &r); /* it may begin another resync, which drops the rest */
}

/* Held records are in order; records that the log and the snapshots already had are skipped. */
void receiver_release(struct receiver *f)
{
    if (f->phase != PHASE_VERIFIED || f->is_paused || !f->held.len)
        return;
    f->is_releasing = true;
    while (receiver_has_held(f) && !f->is_paused)
        release_one(f);
    f->is_releasing = false;
    if (receiver_has_held(f))
        return;
    buf_free(&f->held);
    f->held_at = 0;
    if (f->has_overflowed)
        receiver_doubt(f);
}

/* The link is verified: records are passed on again. */
static void verify(struct receiver *f)
{
    f->phase = PHASE_VERIFIED;
    f->has_synced = true;
    receiver_release(f);
}

static void thaw(struct receiver *f)
{
    if (!f->is_frozen || f->phase != PHASE_VERIFIED || f->doubted ||
        (f->settings.needs_heartbeat && !f->is_up))
        return;
    f->is_frozen = f->must_snapshot = false;
    if (f->out.thawed)
        f->out.thawed(f->out.ctx);
}

void receiver_check_complete(struct receiver *f)
{
    thaw(f);
    if (f->is_paused || f->marked)
        return;
    if (f->phase == PHASE_HOLDING) {
        f->phase = PHASE_VERIFIED;
        f->has_synced |= f->patterns != NULL;
        thaw(f);
    }
    if (f->phase == PHASE_VERIFIED && f->has_newcomers) {
        f->has_newcomers = false;
        if (f->out.synced)
            f->out.synced(f->out.ctx);
    }
    receiver_release(f);
    thaw(f);
}

/* The mark has arrived, and if needed the log up to it: the patterns now only lack snapshots. */
static void begin_snapshots(struct receiver *f)
{
    for (struct receiver_pattern *p = f->pending, *next; p; p = next) {
        struct span text = {p->text, p->len};

        next = p->next_pending;
        if (p->sync != PATTERN_MARKING)
            continue;
        receiver_set_marked(f, p);
        if (f->settings.no_snapshot || (p->was_live && f->settings.trusts_log &&
                                        !f->must_snapshot && f->out.wants_all(f->out.ctx, text)))
            receiver_set_live(f, p, f->mark_seq);
        else
            receiver_queue_snapshot(f, false, p->text);
    }
    if (f->settings.holds_for_snapshots)
        f->phase = PHASE_HOLDING;
    receiver_check_complete(f);
    receiver_send_queued(f);
}

/* The log gave everything up to the mark. */
static void end_catch_up(struct receiver *f)
{
    if (f->mark_seq > f->lost_seq)
        f->lost_seq = f->mark_seq;
    if (!f->settings.holds_for_snapshots)
        verify(f);
    if (f->settings.holds_for_snapshots || f->phase == PHASE_VERIFIED)
        begin_snapshots(f);
}

void receiver_catch_up(struct receiver *f)
{
    if (f->phase != PHASE_CATCHING_UP || f->now < f->page_due_at)
        return;
    if (f->verified_seq >= f->mark_seq) /* a pause came with the last record of the last page */
        end_catch_up(f);
    else
        receiver_request_page(f);
}

/* --- marks --------------------------------------------------------------------------------- */

/*
 * At the first mark with a position to resume from: request everything after that position from the
 * log.
 */
static void resume(struct receiver *f)
{
    uint64_t since = f->settings.since_epoch;
    bool is_same = since == f->epoch || since == RECEIVER_ANY_EPOCH;
    bool is_beyond = f->settings.since_seq > f->mark_seq;

    f->settings.since_epoch = 0;
    if (!is_same || is_beyond) {
        f->settings.since_seq = 0;
        f->changes++;
        f->out.reset(f->out.ctx, f->epoch, since, is_same ? "beyond_head" : "other_log");
        return;
    }
    f->verified_seq = f->settings.since_seq;
    f->has_verified_seq = true;
    f->has_synced = receiver_has_all(f);
    for (struct receiver_pattern *p = f->patterns; p; p = p->hh.next)
        if (p->resumes) {
            p->was_live = true;
            f->has_newcomers = true;
        }
    f->changes++;
}

static void begin_catch_up(struct receiver *f)
{
    if (!f->has_verified_seq) /* the snapshots cover the time before */
        f->verified_seq = f->mark_seq;
    f->has_verified_seq = true;
    if (f->verified_seq >= f->mark_seq) {
        end_catch_up(f);
    } else if (!receiver_has_all(f)) {
        /* Snapshots will do. */
        f->verified_seq = f->mark_seq;
        if (f->out.passed)
            f->out.passed(f->out.ctx, f->mark_seq);
        end_catch_up(f);
    } else {
        receiver_note(f, false, "Catching up: asking the log for positions %llu to %llu",
                      (unsigned long long)f->verified_seq + 1, (unsigned long long)f->mark_seq);
        f->phase = PHASE_CATCHING_UP;
        receiver_request_page(f);
    }
}

void receiver_on_mark(struct receiver *f, const struct wire_record *r)
{
    receiver_drop_mark(f);
    f->mark_seq = r->seq;
    if (f->phase == PHASE_VERIFIED) {
        begin_snapshots(f);
        return;
    }
    f->heartbeat = r->prev; /* earlier heartbeats were not checked */
    if (f->settings.since_epoch)
        resume(f);
    begin_catch_up(f);
}

/* --- the log ------------------------------------------------------------------------------- */

/* A hole of the log may extend beyond the mark, but records after the mark arrive on the link. */
static void report_hole(struct receiver *f, struct wire_record *r)
{
    uint64_t first = pack_find_u(r->body, "first", 0);
    struct buf body = {0};

    if (r->seq > f->mark_seq && first <= f->mark_seq) {
        replay_put_hole(&body, first, f->mark_seq, pack_find_text(r->body, "reason"));
        r->body = buf_span(&body);
        r->seq = f->mark_seq;
    }
    if (r->seq <= f->mark_seq) {
        f->verified_seq = r->seq;
        f->out.lost(f->out.ctx, r);
    }
    buf_free(&body);
}

/* A record of the log: everything before it of followed symbols was passed on. */
static void take_logged(void *ctx, struct span topic, const struct wire_record *r)
{
    struct receiver *f = ctx;
    struct wire_record record = *r;

    if (f->is_paused || (r->epoch && r->seq > f->mark_seq))
        return;
    record.epoch = f->epoch; /* the log may begin with an older epoch; a hole has no epoch */
    if (!r->epoch) {
        report_hole(f, &record);
        return;
    }
    if (r->kind == WIRE_LOST) {
        receiver_report_loss(f, &record);
    } else {
        struct receiver_symbol s = f->out.find(f->out.ctx, wire_topic_symbol(topic), true);

        if (s.of)
            f->out.record(f->out.ctx, &s, &record, RECEIVER_LOGGED);
    }
    if (r->seq > f->verified_seq)
        f->verified_seq = r->seq;
}

/* The log begins with `first`: report everything before it as lost. */
static void report_pruned(struct receiver *f, uint64_t first)
{
    struct wire_record r = {.kind = WIRE_LOST, .epoch = f->epoch};
    uint64_t after = f->verified_seq;
    struct buf body = {0};

    r.seq = first - 1 < f->mark_seq ? first - 1 : f->mark_seq;
    receiver_note(f, true,
                  "Records from position %llu to %llu never came, and the log does not have "
                  "them any more: they are reported as lost",
                  (unsigned long long)after + 1, (unsigned long long)r.seq);
    replay_put_hole(&body, after + 1, r.seq, SPAN("retention"));
    r.body = buf_span(&body);
    f->verified_seq = r.seq;
    f->must_snapshot = true;
    f->out.lost(f->out.ctx, &r);
    buf_free(&body);
}

static void request_page_at(struct receiver *f, int64_t due_at)
{
    f->page_request = 0;
    f->page_due_at = due_at;
}

void receiver_on_page(struct receiver *f, struct span answer)
{
    uint64_t first = pack_find_u(answer, "first", 0), upto = pack_find_u(answer, "upto", 0),
             after = f->verified_seq;

    if (pack_find_u(answer, "epoch", 0) != f->epoch || pack_find_text(answer, "error").len) {
        request_page_at(f, f->now + RETRY_MS); /* records announce a new epoch, or did */
        return;
    }
    if (first > after + 1)
        report_pruned(f, first);
    if (!f->is_paused)
        replay_each(answer, f->verified_seq, take_logged, f);
    if (f->is_paused) { /* the rest is requested again */
        request_page_at(f, f->now);
        return;
    }
    if (upto > f->mark_seq)
        upto = f->mark_seq;
    if (upto > f->verified_seq)
        f->verified_seq = upto;
    if (f->verified_seq >= f->mark_seq) {
        receiver_note(f, false, "Caught up to position %llu", (unsigned long long)f->mark_seq);
        f->page_request = 0;
        end_catch_up(f);
    } else if (f->verified_seq > after) {
        receiver_request_page(f);
    } else {
        request_page_at(f, f->now + RETRY_MS);
    }
}

/* --- snapshots ------------------------------------------------------------------------------- */

/*
 * For a followed symbol: everything up to the mark has arrived, but not the record that the entry
 * names.
 */
static bool is_missing(const struct receiver *f, const struct receiver_coverage *c, uint64_t seq)
{
    return c->is_followed && seq <= f->mark_seq && seq > f->verified_seq;
}

/*
 * Records arrive on the other socket, so a snapshot that is ahead of them shows a record that is
 * about to arrive.  Exceptions: it is from before the mark (then the resync could not get it, and
 * reported it), the symbol was not followed so far, or the snapshot was requested because the last
 * record never arrived.
 */
static bool is_about_to_come(const struct receiver *f, const struct receiver_request *q,
                             const struct receiver_coverage *c, uint64_t seq)
{
    if (!q->is_symbol && seq <= f->mark_seq)
        return false;
    return c->is_followed || (!q->is_symbol && c->is_live);
}

/* false: the entry shows that the link is not verified. */
static bool take_entry(struct receiver *f, const struct receiver_request *q,
                       const struct wire_entry *e)
{
    struct receiver_symbol s = f->out.find(f->out.ctx, e->symbol, !e->is_removed);
    struct receiver_coverage c;
    char text[QUOTE_SYMBOL_MAX + 1];

    if (!s.of)
        return true;
    if (e->seq > s.last) {
        c = f->out.cover(f->out.ctx, e->symbol, &s);
        if (is_missing(f, &c, e->seq)) {
            span_copy(text, sizeof text, e->symbol);
            receiver_note(f, false, "%s: the record %llu never came: asking the log", text,
                          (unsigned long long)e->seq);
            f->gaps++;
            receiver_doubt(f);
            return false;
        }
        if (is_about_to_come(f, q, &c, e->seq))
            return true;
        if (q->is_symbol && f->out.passed)
            f->out.passed(f->out.ctx, e->seq);
    }
    f->out.snapshot(f->out.ctx, &s, e);
    return true;
}

typedef bool entry_reader(struct span *cursor, struct wire_entry *out);

/* false: the link is unverified now. */
static bool take_list(struct receiver *f, const struct receiver_request *q, struct span answer,
                      const char *name, entry_reader *take)
{
    struct wire_entry e;
    struct span c;
    uint32_t count = pack_find_list(answer, name, &c);

    for (uint32_t i = 0; i < count && !f->is_paused && take(&c, &e); i++)
        if (!take_entry(f, q, &e))
            return false;
    return true;
}

static bool take_entries(struct receiver *f, const struct receiver_request *q, struct span answer)
{
    return take_list(f, q, answer, "removed", wire_take_removed) &&
           take_list(f, q, answer, "quotes", wire_take_entry);
}

/* The last page of the snapshot has arrived. */
static void end_snapshot(struct receiver *f, struct receiver_request *q, uint64_t seq)
{
    struct receiver_pattern *p = receiver_find_requested(f, q);

    receiver_end_request(f, q);
    if (p) {
        receiver_set_live(f, p, seq);
        f->out.complete(f->out.ctx, f->mark_seq);
        receiver_check_complete(f);
    }
    receiver_send_queued(f);
}

void receiver_on_snapshot(struct receiver *f, struct receiver_request *q, struct span answer)
{
    uint64_t next = pack_find_u(answer, "next", 0);

    if (pack_find_text(answer, "error").len || pack_find_u(answer, "epoch", 0) != f->epoch) {
        q->due_at = f->now + REFUSED_MS; /* until then it occupies a place */
        return;
    }
    if (!q->is_symbol && !receiver_find_requested(f, q)) {
        receiver_end_request(f, q); /* the pattern was removed */
        receiver_send_queued(f);
        return;
    }
    if (!take_entries(f, q, answer))
        return; /* the request was dropped */
    if (f->is_paused) {
        q->due_at = f->now; /* request the same page again: records that were passed on are known */
    } else if (next && !q->is_symbol) {
        q->from = next;
        receiver_send(f, q);
    } else {
        end_snapshot(f, q, pack_find_u(answer, "seq", 0));
    }
}
