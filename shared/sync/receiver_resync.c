/* receiver_resync: mark, log, snapshots: how what may be missing is found and told. */
#include <stdio.h>
#include <string.h>

#include "shared/sync/receiver_private.h"
#include "shared/wire/pack.h"
#include "shared/wire/replay.h"

#define MARK_MS 1000   /* before a mark is tried again */
#define ANSWER_MS 2000 /* before a question is */
#define RETRY_MS 250   /* after a refusal, or an answer of another log */
#define PATTERNS_ASKED \
    64 /* in one question; of more, the log is asked for everything */
#define HELD_MAX ((size_t)64 * 1024 * 1024)

/* --- marks --------------------------------------------------------------------------------- */

void receiver_drop_mark(struct receiver *f)
{
    if (f->mark[0])
        f->out.listen(f->out.ctx, span_of(f->mark), false);
    f->mark[0] = '\0';
}

static void place_mark(struct receiver *f, int64_t now)
{
    receiver_drop_mark(f);
    snprintf(f->mark, sizeof f->mark, WIRE_TOPIC_MARK "%016llx-%u ",
             (unsigned long long)f->settings.name, ++f->round);
    f->out.listen(f->out.ctx, span_of(f->mark), true);
    for (struct receiver_pattern *p = f->patterns; p; p = p->hh.next)
        if (p->sync == PATTERN_NEW)
            p->sync = PATTERN_MARKED;
    f->mark_at = now;
    f->stage = STAGE_MARK;
}

void receiver_doubt(struct receiver *f)
{
    receiver_drop_mark(f); /* one from before this doubt proves nothing */
    f->is_asking = false;
    f->stage = STAGE_WANTED;
    if (f->settings.mode == RECEIVER_NEWEST && f->has_position && !f->needs_newest) {
        f->needs_newest = true;
        f->newest_after = f->position;
    }
}

void receiver_begin_anew(struct receiver *f, uint64_t epoch, uint64_t old_epoch,
                         const char *reason)
{
    receiver_tell_changed(f);
    if (f->is_stopped)
        return; /* the rest is told first; the next heartbeat is of the new log, too */
    receiver_forget_symbols(f);
    buf_free(&f->held);
    f->held_at = 0;
    f->has_overflowed = f->needs_newest = f->is_synced_due = false;
    f->has_position = f->has_synced = false;
    f->position = f->told_position = f->lost_seq = 0;
    f->is_counting = false;
    for (struct receiver_pattern *p = f->patterns; p; p = p->hh.next)
        p->sync = PATTERN_NEW;
    f->pattern_stamp++;
    f->epoch = epoch;
    receiver_doubt(f);
    f->out.reset(f->out.ctx, epoch, old_epoch, reason);
}

/* --- holding back ----------------------------------------------------------------------------- */

bool receiver_is_holding(const struct receiver *f)
{
    return f->stage != STAGE_IDLE;
}

/* Doubt upon doubt would let it grow for ever: what was told stands before what was not. */
static void drop_told(struct receiver *f)
{
    f->held.len -= f->held_at;
    if (f->held.len) /* else there may be no memory to move */
        memmove(f->held.data, f->held.data + f->held_at, f->held.len);
    f->held_at = 0;
}

void receiver_hold(struct receiver *f, struct span topic, struct span message)
{
    uint32_t lengths[] = {(uint32_t)topic.len, (uint32_t)message.len};

    if (f->held_at > HELD_MAX / 2)
        drop_told(f);
    if (f->held.len - f->held_at + message.len > HELD_MAX) {
        f->has_overflowed = true; /* the log has it: there will be another round */
        return;
    }
    buf_add(&f->held, lengths, sizeof lengths);
    buf_add(&f->held, topic.at, topic.len);
    buf_add(&f->held, message.at, message.len);
}

/* What was held came in order, but what the log told is in it again. */
void receiver_release(struct receiver *f)
{
    struct span topic, message;
    struct wire_record r;
    uint32_t lengths[2];

    while (f->stage == STAGE_RELEASE && !f->is_stopped && f->held_at < f->held.len) {
        memcpy(lengths, f->held.data + f->held_at, sizeof lengths);
        topic = (struct span){f->held.data + f->held_at + sizeof lengths, lengths[0]};
        message = (struct span){topic.at + topic.len, lengths[1]};
        /* One of them may raise a new doubt: it and those behind it stay held. */
        if (!wire_read(message, &r, NULL) && !receiver_take(f, topic, &r))
            return;
        f->held_at += sizeof lengths + lengths[0] + lengths[1];
    }
    if (f->held_at < f->held.len)
        return;
    buf_free(&f->held);
    f->held_at = 0;
    if (f->stage == STAGE_RELEASE)
        f->stage = STAGE_IDLE;
    if (f->has_overflowed) {
        f->has_overflowed = false;
        receiver_doubt(f);
    }
}

/* --- a round -------------------------------------------------------------------------------- */

static void end_round(struct receiver *f)
{
    for (struct receiver_pattern *p = f->patterns; p; p = p->hh.next)
        if (p->sync == PATTERN_MARKED) {
            p->sync = PATTERN_SYNCED;
            f->has_newcomers = true;
        }
    f->pattern_stamp++;
    /* Of what was synced before, only the log or last values can tell that nothing is missing. */
    if ((f->settings.mode == RECEIVER_ALL || f->needs_newest) &&
        f->mark_seq > f->position)
        f->position = f->mark_seq;
    f->has_synced = true;
    f->needs_newest = false;
    f->stage = STAGE_RELEASE;
    f->is_synced_due |= f->has_newcomers;
    f->has_newcomers = false;
    receiver_tell_changed(f);
    receiver_tell_synced(f);
    receiver_release(f);
}

/* A comma list of the patterns from `at` of to_ask; where the next list begins. */
static size_t put_chunk(const struct receiver *f, size_t at, struct buf *out)
{
    for (int i = 0; i < PATTERNS_ASKED && at < f->to_ask.len; i++) {
        const char *text = f->to_ask.data + at;

        if (out->len)
            buf_addc(out, ',');
        buf_adds(out, text);
        at += strlen(text) + 1;
    }
    return at;
}

static void ask_snapshot(struct receiver *f)
{
    struct buf patterns = {0};

    put_chunk(f, f->chunk, &patterns);
    f->out.ask_snapshot(f->out.ctx, buf_span(&patterns), f->chunk_from);
    buf_free(&patterns);
}

static void ask_replay(struct receiver *f)
{
    struct buf patterns = {0};
    size_t count = 0;

    for (struct receiver_pattern *p = f->patterns; p; p = p->hh.next)
        if (count++ < PATTERNS_ASKED) {
            if (patterns.len)
                buf_addc(&patterns, ',');
            buf_add(&patterns, p->text, p->len);
        }
    f->out.ask_replay(f->out.ctx,
                      count > PATTERNS_ASKED ? SPAN("*") : buf_span(&patterns),
                      f->position, f->mark_seq);
    buf_free(&patterns);
}

static void begin_snapshots(struct receiver *f, int64_t now);

static void ask(struct receiver *f, int64_t now)
{
    if (f->stage == STAGE_REPLAY && f->position >= f->mark_seq) {
        begin_snapshots(f, now); /* a stop came with the last record of the last page */
        return;
    }
    f->is_asking = true;
    f->asked_at = now;
    if (f->stage == STAGE_REPLAY)
        ask_replay(f);
    else
        ask_snapshot(f);
}

static void ask_later(struct receiver *f, int64_t now)
{
    f->is_asking = false;
    f->retry_at = now + RETRY_MS;
}

static void begin_snapshots(struct receiver *f, int64_t now)
{
    buf_clear(&f->to_ask);
    f->chunk = 0;
    f->chunk_from = 0;
    if (!f->has_position) { /* from here on what is told is told without a hole */
        f->position = f->mark_seq;
        f->has_position = true;
    }
    for (struct receiver_pattern *p = f->patterns; p; p = p->hh.next)
        if ((p->sync == PATTERN_MARKED && !f->settings.no_snapshot) ||
            (p->sync == PATTERN_SYNCED && f->needs_newest))
            buf_add(&f->to_ask, p->text, p->len + 1);
    f->stage = STAGE_SNAPSHOT;
    if (f->to_ask.len)
        ask(f, now);
    else
        end_round(f);
}

static void resume(struct receiver *f, uint64_t head)
{
    bool is_same = f->settings.since_epoch == f->epoch;
    uint64_t old = f->settings.since_epoch;

    f->settings.since_epoch = 0;
    if (!is_same || f->settings.since_seq > head) {
        f->out.reset(f->out.ctx, f->epoch, old, is_same ? "beyond_head" : "other_log");
        return;
    }
    for (struct receiver_pattern *p = f->patterns; p; p = p->hh.next)
        if (p->resumes) {
            p->sync = PATTERN_SYNCED;
            f->has_newcomers = true;
        }
    f->pattern_stamp++;
    f->position = f->newest_after = f->settings.since_seq;
    f->has_position = true;
    f->has_synced =
        f->settings.mode == RECEIVER_ALL; /* from here on, the log tells it */
    f->needs_newest = f->settings.mode == RECEIVER_NEWEST;
}

void receiver_on_mark(struct receiver *f, const struct wire_record *r, int64_t now)
{
    receiver_drop_mark(f);
    f->mark_seq = r->seq;
    if (!f->is_counting) /* so that the loss of the very next one is noticed */
        f->heartbeat = r->prev;
    f->is_counting = true;
    if (f->settings.since_epoch)
        resume(f, r->seq);
    if (f->settings.mode == RECEIVER_ALL && f->has_position &&
        f->position < f->mark_seq && f->patterns) {
        f->stage = STAGE_REPLAY;
        ask(f, now);
    } else {
        begin_snapshots(f, now);
    }
}

/* --- answers ----------------------------------------------------------------------------------- */

static void tell_pruned(struct receiver *f, uint64_t first)
{
    struct buf body = {0};
    struct wire_record r = {.kind = WIRE_LOST, .epoch = f->epoch};
    uint64_t after = f->position;

    r.seq = first - 1 < f->mark_seq ? first - 1 : f->mark_seq;
    if (!f->needs_newest)
        f->newest_after = after;
    f->needs_newest = true;
    replay_put_hole(&body, after + 1, r.seq, SPAN("retention"));
    r.body = buf_span(&body);
    f->position = r.seq;
    f->out.lost(f->out.ctx, &r);
    buf_free(&body);
}

/* A record of the log: all before it of what is synced has been told. */
static void take_logged(void *ctx, struct span topic, const struct wire_record *r)
{
    struct receiver *f = ctx;
    struct span symbol = wire_topic_symbol(topic);
    struct wire_record record = *r;

    if (f->is_stopped || f->stage != STAGE_REPLAY || r->seq > f->mark_seq)
        return;
    record.epoch = f->epoch; /* it may be older than the log's; a hole has none */
    if (!r->epoch) {
        f->out.lost(f->out.ctx, &record);
    } else if (r->kind == WIRE_LOST) {
        if (r->seq > f->lost_seq)
            receiver_tell_loss(f, &record);
    } else {
        struct receiver_symbol *s = receiver_know(f, symbol);

        if (s->is_synced && r->seq > s->last) {
            s->last = r->seq;
            receiver_tell(f, s, &record, false);
        }
    }
    if (r->seq > f->position)
        f->position = r->seq;
}

static void on_page(struct receiver *f, struct span answer, int64_t now)
{
    uint64_t first = pack_find_u(answer, "first", 0),
             upto = pack_find_u(answer, "upto", 0), after = f->position;

    f->is_asking = false;
    if (first > after + 1)
        tell_pruned(f, first);
    if (!f->is_stopped)
        replay_each(answer, f->position, take_logged, f);
    if (f->is_stopped) { /* the rest is asked for again */
        f->retry_at = now;
        return;
    }
    if (upto > f->mark_seq)
        upto = f->mark_seq;
    if (upto > f->position)
        f->position = upto;
    if (f->position >= f->mark_seq)
        begin_snapshots(f, now);
    else if (f->position > after)
        ask(f, now);
    else
        ask_later(f, now);
}

static void take_entry(struct receiver *f, const struct wire_entry *e)
{
    struct receiver_symbol *s = receiver_know(f, e->symbol);
    struct wire_record quote;
    bool is_news = e->seq > s->last;

    if (s->is_synced) /* only if it makes up for what the log does not have */
        is_news = is_news && f->needs_newest && e->seq > f->newest_after &&
                  (f->settings.mode == RECEIVER_NEWEST || e->seq <= f->mark_seq);
    if (!s->is_wanted || !is_news)
        return;
    s->is_synced = true;
    s->last = e->seq;
    s->is_stale = e->is_stale;
    quote = e->quote;
    quote.epoch = f->epoch;
    quote.seq = e->seq; /* of what it is the newest value, and what is next follows */
    receiver_tell(f, s, &quote, true);
}

static void on_snapshot(struct receiver *f, struct span answer, int64_t now)
{
    uint64_t next = pack_find_u(answer, "next", 0);
    struct buf ignored = {0};
    struct pack_value list;
    struct wire_entry e;
    struct span c;

    f->is_asking = false;
    if (pack_find(answer, "quotes", &list, &c) && list.type == PACK_ARRAY) {
        pack_next(&c, &list);
        for (uint32_t i = 0; i < list.count && !f->is_stopped; i++) {
            if (!wire_take_entry(&c, &e))
                break;
            take_entry(f, &e);
        }
    }
    if (f->is_stopped) { /* the page is asked for again; what was told is known */
        f->retry_at = now;
        return;
    }
    f->chunk_from = next;
    if (!next) {
        f->chunk = put_chunk(f, f->chunk, &ignored);
        buf_free(&ignored);
    }
    if (f->chunk < f->to_ask.len)
        ask(f, now);
    else
        end_round(f);
}

void receiver_on_answer(struct receiver *f, struct span answer, int64_t now)
{
    struct span error = pack_find_text(answer, "error");

    if (!f->is_asking)
        return;
    if (error.len)
        receiver_note(f, "the broker refuses a question (%.*s): asking again",
                      (int)error.len, error.at);
    if (error.len || pack_find_u(answer, "epoch", 0) != f->epoch)
        ask_later(f, now); /* records will tell of a new epoch, or did */
    else if (f->stage == STAGE_REPLAY)
        on_page(f, answer, now);
    else if (f->stage == STAGE_SNAPSHOT)
        on_snapshot(f, answer, now);
}

/* --- time ----------------------------------------------------------------------------------------- */

static bool has_new_pattern(const struct receiver *f)
{
    for (const struct receiver_pattern *p = f->patterns; p; p = p->hh.next)
        if (p->sync == PATTERN_NEW)
            return true;
    return false;
}

void receiver_resync_tick(struct receiver *f, int64_t now)
{
    bool is_asking_stage = f->stage == STAGE_REPLAY || f->stage == STAGE_SNAPSHOT;

    if (f->stage == STAGE_IDLE && has_new_pattern(f))
        f->stage = STAGE_WANTED;
    if (f->stage == STAGE_WANTED ||
        (f->stage == STAGE_MARK && now - f->mark_at >= MARK_MS))
        place_mark(f, now);
    else if (is_asking_stage &&
             (f->is_asking ? now - f->asked_at >= ANSWER_MS : now >= f->retry_at))
        ask(f, now);
}

int64_t receiver_deadline(const struct receiver *f)
{
    int64_t silence = f->heard_at + RECEIVER_SILENCE_MS, due = INT64_MAX;

    switch (f->stage) {
    case STAGE_IDLE:
        if (has_new_pattern(f))
            due = 0;
        break;
    case STAGE_WANTED:
    case STAGE_RELEASE:
        due = 0;
        break;
    case STAGE_MARK:
        due = f->mark_at + MARK_MS;
        break;
    case STAGE_REPLAY:
    case STAGE_SNAPSHOT:
        due = f->is_asking ? f->asked_at + ANSWER_MS : f->retry_at;
        break;
    }
    return f->is_up && silence < due ? silence : due;
}
