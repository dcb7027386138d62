/*
 * receiver_apply: the effect of a record that is not held: it is passed on, or shows that another
 * one is missing.
 */
#include "shared/sync/receiver_private.h"
#include "shared/wire/pack.h"

/*
 * A record that was just passed on, or that no pattern matches, may have been the only missing one.
 */
static void advance(struct receiver *f, uint64_t seq)
{
    if (f->has_verified_seq && seq == f->verified_seq + 1)
        f->verified_seq = seq;
}

static void request_symbol(struct receiver *f, const char *name)
{
    if (f->symbols_queued < RECEIVER_SYMBOLS_MAX) {
        receiver_queue_snapshot(f, true, name);
        receiver_send_queued(f);
        return;
    }
    receiver_note(f, false, "The records of more than %d symbols never came: a resync",
                  RECEIVER_SYMBOLS_MAX);
    receiver_doubt(f);
}

/* Did the record before r, of the same symbol, never arrive? */
static bool is_gap(struct receiver *f, struct span name, const struct receiver_symbol *s,
                   const struct wire_record *r, struct receiver_coverage *c)
{
    if (r->prev <= s->last)
        return false;
    *c = f->out.cover(f->out.ctx, name, s);
    if (c->is_live && c->is_followed && r->prev <= f->verified_seq)
        return false; /* the log did not have it either, and its loss was reported */
    if (s->last)
        return c->is_live || c->is_followed;
    return c->is_live && r->prev > receiver_match(f, name).live_seq;
}

static void apply_symbol(struct receiver *f, struct span name, const struct wire_record *r)
{
    struct receiver_symbol s = f->out.find(f->out.ctx, name, true);
    struct receiver_coverage c;
    char text[QUOTE_SYMBOL_MAX + 1];

    if (!s.of)
        return;
    if (!is_gap(f, name, &s, r, &c)) {
        f->out.record(f->out.ctx, &s, r, RECEIVER_LIVE);
        advance(f, r->seq);
        return;
    }
    f->gaps++;
    span_copy(text, sizeof text, name);
    if (c.is_followed) { /* the log has this record and the one before it */
        receiver_note(f, false, "%s: the record %llu never came: asking the log", text,
                      (unsigned long long)r->prev);
        receiver_doubt(f);
        return;
    }
    /* A quote replaces all earlier records; a state does not. */
    f->out.record(f->out.ctx, &s, r, RECEIVER_LEAP);
    if (f->out.passed)
        f->out.passed(f->out.ctx, r->seq);
    if (r->kind == WIRE_STATE)
        request_symbol(f, text);
}

void receiver_report_loss(struct receiver *f, const struct wire_record *r)
{
    if (r->seq <= f->lost_seq)
        return;
    f->lost_seq = r->seq;
    f->out.lost(f->out.ctx, r);
}

/* `prev` of a loss is the previous loss. */
static void apply_loss(struct receiver *f, const struct wire_record *r)
{
    if (r->prev > f->lost_seq && receiver_has_all(f)) {
        receiver_note(f, false, "The loss at position %llu never came: asking the log",
                      (unsigned long long)r->prev);
        f->gaps++;
        receiver_doubt(f);
        return;
    }
    receiver_report_loss(f, r);
    advance(f, r->seq);
}

/*
 * Is the record that a heartbeat names missing?  For a followed symbol everything up to
 * verified_seq was passed on or reported; symbols that no live pattern matches get a snapshot
 * later.
 */
static bool is_missing(struct receiver *f, struct span name, uint64_t seq, bool *is_followed)
{
    struct receiver_symbol s = f->out.find(f->out.ctx, name, false);
    struct receiver_coverage c;

    if (s.last >= seq)
        return false;
    c = f->out.cover(f->out.ctx, name, &s);
    *is_followed = c.is_followed;
    return c.is_followed ? seq > f->verified_seq : c.is_live;
}

/*
 * false: a record of ours is missing, and has been requested; or the heartbeat does not name all
 * changes.
 */
static bool check_changed(struct receiver *f, struct span body)
{
    struct span c, symbol;
    uint64_t seq;
    uint32_t count = pack_find_list(body, "changed", &c);
    bool is_complete = pack_find_bool(body, "complete", true), is_followed;
    char text[QUOTE_SYMBOL_MAX + 1];

    if (!c.at)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        if (!pack_next_array(&c, 2) || !pack_next_text(&c, &symbol) || !pack_next_u(&c, &seq) ||
            !quote_is_symbol(symbol))
            return false;
        if (!is_missing(f, symbol, seq, &is_followed))
            continue;
        is_complete = false;
        f->gaps++;
        span_copy(text, sizeof text, symbol);
        receiver_note(f, false, "%s: the record %llu never came: asking for it", text,
                      (unsigned long long)seq);
        if (is_followed)
            receiver_doubt(f);
        else
            request_symbol(f, text);
        if (f->phase == PHASE_UNVERIFIED)
            return false;
    }
    return is_complete;
}

static void apply_heartbeat(struct receiver *f, const struct wire_record *r)
{
    bool is_next = r->prev == f->heartbeat + 1;

    f->heartbeat = r->prev;
    if (!is_next) {
        receiver_note(f, false,
                      "Heartbeat %llu came after another than its predecessor: records may "
                      "be missing",
                      (unsigned long long)r->prev);
        f->gaps++;
        receiver_doubt(f);
    } else if (check_changed(f, r->body)) {
        f->out.complete(f->out.ctx, r->seq);
        if (!f->is_frozen && r->seq > f->verified_seq)
            f->verified_seq = r->seq;
    }
}

void receiver_apply(struct receiver *f, struct span topic, const struct wire_record *r)
{
    struct span symbol = wire_topic_symbol(topic);

    switch (r->kind) {
    case WIRE_HEARTBEAT:
        apply_heartbeat(f, r);
        break;
    case WIRE_LOST:
        apply_loss(f, r);
        break;
    case WIRE_QUOTE:
    case WIRE_STATE:
        if (symbol.len)
            apply_symbol(f, symbol, r);
        break;
    case WIRE_MARK:
    case WIRE_LOCK: /* not a topic of ours */
    case WIRE_KEY:  /* not published */
    case WIRE_FORGET:
    case WIRE_KIND_COUNT:
        break;
    }
}

/*
 * Records in mode all wait in order; records of a symbol in mode merge wait only until its snapshot
 * has arrived.
 */
bool receiver_must_hold(const struct receiver *f, struct span topic, const struct wire_record *r)
{
    struct span symbol = wire_topic_symbol(topic);
    struct receiver_symbol s;
    struct receiver_coverage c;

    if (f->phase != PHASE_HOLDING)
        return f->phase == PHASE_CATCHING_UP || receiver_has_held(f);
    if (r->kind == WIRE_HEARTBEAT)
        return true;
    if (!symbol.len)
        return receiver_has_all(f);
    s = f->out.find(f->out.ctx, symbol, true);
    c = f->out.cover(f->out.ctx, symbol, &s);
    return c.is_followed || !c.is_live;
}
