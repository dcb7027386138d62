#include "shared/sync/receiver_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/mem.h"
#include "shared/wire/pack.h"

void receiver_note(struct receiver *f, const char *format, ...)
{
    char text[256];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    f->out.note(f->out.ctx, text);
}

/* --- patterns and symbols -------------------------------------------------------------- */

bool receiver_is_pattern(struct span pattern)
{
    if (pattern.len && pattern.at[pattern.len - 1] == '*') {
        if (pattern.len == 1)
            return true;
        pattern.len--;
    }
    return quote_is_symbol(pattern);
}

static struct receiver_pattern *find_pattern(const struct receiver *f, struct span text)
{
    struct receiver_pattern *p;

    HASH_FIND(hh, f->patterns, text.at, (unsigned)text.len, p);
    return p;
}

static bool is_prefix(const struct receiver_pattern *p)
{
    return p->text[p->len - 1] == '*';
}

/* "EUR/USD" is subscribed as "EUR/USD ", "BTC*" as "BTC". */
static void listen(struct receiver *f, const struct receiver_pattern *p, bool is_on)
{
    char topic[WIRE_TOPIC_MAX];
    size_t len = p->len - 1;

    if (is_prefix(p))
        memcpy(topic, p->text, len);
    else
        len = wire_topic(topic, (struct span){p->text, p->len});
    f->out.listen(f->out.ctx, (struct span){topic, len}, is_on);
}

static void cover(struct receiver_symbol *s, const struct receiver_pattern *p)
{
    if (!p)
        return;
    s->is_wanted = true;
    s->is_synced |= p->sync == PATTERN_SYNCED;
}

/* Which patterns match is found out once per symbol, until they change. */
static void refresh(struct receiver *f, struct receiver_symbol *s)
{
    char pattern[RECEIVER_PATTERN_MAX];
    size_t len = strlen(s->name);
    bool was_synced = s->is_synced;

    if (s->stamp == f->pattern_stamp)
        return;
    s->stamp = f->pattern_stamp;
    s->is_wanted = s->is_synced = false;
    cover(s, find_pattern(f, (struct span){s->name, len}));
    for (size_t i = 0; i <= len; i++) {
        memcpy(pattern, s->name, i);
        pattern[i] = '*';
        cover(s, find_pattern(f, (struct span){pattern, i + 1}));
    }
    if (s->is_wanted) { /* once told it goes on, whichever pattern it is that matches */
        s->is_synced |= was_synced;
        return;
    }
    s->last = 0; /* should it be wanted again, it begins anew */
    s->is_stale = s->has_quote = s->has_state = false;
}

struct receiver_symbol *receiver_know(struct receiver *f, struct span name)
{
    struct receiver_symbol *s;

    HASH_FIND(hh, f->symbols, name.at, (unsigned)name.len, s);
    if (!s) {
        s = mem_zalloc(sizeof *s);
        span_copy(s->name, sizeof s->name, name);
        s->stamp = f->pattern_stamp - 1;
        HASH_ADD_KEYPTR(hh, f->symbols, s->name, (unsigned)name.len, s);
    }
    refresh(f, s);
    return s;
}

void receiver_forget_symbols(struct receiver *f)
{
    struct receiver_symbol *s, *next;

    HASH_ITER(hh, f->symbols, s, next)
    {
        HASH_DEL(f->symbols, s);
        buf_free(&s->quote_body);
        buf_free(&s->state_body);
        free(s);
    }
    f->changed = f->changed_last = NULL;
}

enum err receiver_add(struct receiver *f, struct span text)
{
    struct receiver_pattern *p;

    if (!receiver_is_pattern(text))
        return ERR_INVALID;
    if (find_pattern(f, text))
        return OK;
    p = mem_zalloc(sizeof *p);
    memcpy(p->text, text.at, text.len);
    p->len = text.len;
    p->resumes = f->settings.since_epoch && !f->has_turned;
    HASH_ADD_KEYPTR(hh, f->patterns, p->text, (unsigned)p->len, p);
    f->pattern_stamp++;
    listen(f, p, true);
    return OK;
}

enum err receiver_remove(struct receiver *f, struct span text)
{
    struct receiver_pattern *p = find_pattern(f, text);

    if (!p)
        return ERR_NOT_FOUND;
    listen(f, p, false);
    HASH_DEL(f->patterns, p);
    free(p);
    f->pattern_stamp++;
    /* At once: who adds the pattern again begins anew. */
    for (struct receiver_symbol *s = f->symbols; s; s = s->hh.next)
        refresh(f, s);
    return OK;
}

/* --- telling ------------------------------------------------------------------------------ */

static void list_remove(struct receiver *f, struct receiver_symbol *s)
{
    if (!s->is_listed)
        return;
    *(s->previous ? &s->previous->next : &f->changed) = s->next;
    *(s->next ? &s->next->previous : &f->changed_last) = s->previous;
    s->is_listed = false;
}

static void list_append(struct receiver *f, struct receiver_symbol *s)
{
    list_remove(f, s);
    s->previous = f->changed_last;
    s->next = NULL;
    *(f->changed_last ? &f->changed_last->next : &f->changed) = s;
    f->changed_last = s;
    s->is_listed = true;
}

static void keep(struct wire_record *to, struct buf *body, const struct wire_record *r)
{
    buf_clear(body);
    buf_add(body, r->body.at, r->body.len);
    *to = *r;
    to->body = buf_span(body);
}

static void tell_now(struct receiver *f, const struct receiver_symbol *s,
                     const struct wire_record *r, bool is_snapshot)
{
    struct receiver_told told = {s->name, s->is_stale, is_snapshot, r};

    if (r->kind == WIRE_STATE)
        f->out.state(f->out.ctx, &told);
    else
        f->out.quote(f->out.ctx, &told);
}

void receiver_tell(struct receiver *f, struct receiver_symbol *s,
                   const struct wire_record *r, bool is_snapshot)
{
    if (r->kind == WIRE_STATE)
        s->is_stale = !span_eq(pack_find_text(r->body, "state"), "live");
    else if (!is_snapshot)
        s->is_stale = false; /* its feed speaks */
    if (f->settings.mode == RECEIVER_ALL) {
        tell_now(f, s, r, is_snapshot);
        return;
    }
    if (r->kind == WIRE_STATE) {
        keep(&s->state, &s->state_body, r);
    } else {
        keep(&s->quote, &s->quote_body, r);
        s->has_quote = true;
        s->is_snapshot = is_snapshot;
    }
    s->has_state = r->kind == WIRE_STATE;
    list_append(f, s);
}

void receiver_tell_changed(struct receiver *f)
{
    while (f->changed && !f->is_stopped) {
        struct receiver_symbol *s = f->changed;

        if (s->has_quote) {
            s->has_quote = false;
            tell_now(f, s, &s->quote, s->is_snapshot);
        } else if (s->has_state) {
            s->has_state = false;
            tell_now(f, s, &s->state, false);
        } else {
            list_remove(f, s);
        }
    }
    if (!f->changed)
        f->told_position = f->position;
}

void receiver_tell_synced(struct receiver *f)
{
    if (!f->is_synced_due || f->is_stopped || f->changed)
        return;
    f->is_synced_due = false;
    f->out.synced(f->out.ctx);
}

void receiver_flush(struct receiver *f)
{
    receiver_tell_changed(f);
    receiver_tell_synced(f);
    if (f->stage == STAGE_RELEASE)
        receiver_release(f);
}

/* --- records -------------------------------------------------------------------------------- */

static bool is_accounted_for(const struct receiver *f, uint64_t last, uint64_t seq)
{
    return seq <= last || (f->has_position && seq <= f->position);
}

/* What has just been told, or is nothing of ours, may be all that was missing next. */
static void advance(struct receiver *f, uint64_t seq)
{
    if (f->has_position && seq == f->position + 1)
        f->position = seq;
}

void receiver_tell_loss(struct receiver *f, const struct wire_record *r)
{
    if (r->seq > f->lost_seq)
        f->lost_seq = r->seq;
    f->out.lost(f->out.ctx, r);
}

static bool take_loss(struct receiver *f, const struct wire_record *r)
{
    if (pack_check(r->body) || is_accounted_for(f, f->lost_seq, r->seq))
        return true;
    if (f->settings.mode == RECEIVER_ALL &&
        !is_accounted_for(f, f->lost_seq, r->prev)) {
        receiver_note(f, "a loss at position %llu was never told: asking the log",
                      (unsigned long long)r->prev);
        receiver_doubt(f);
        return false;
    }
    receiver_tell_loss(f, r);
    advance(f, r->seq);
    return true;
}

static bool take_symbol(struct receiver *f, struct span name,
                        const struct wire_record *r)
{
    struct receiver_symbol *s = receiver_know(f, name);
    bool is_all = f->settings.mode == RECEIVER_ALL;

    /* Of a pattern that is not synced yet: it came before the mark, and snapshots will say it. */
    if (!s->is_wanted || !s->is_synced || is_accounted_for(f, s->last, r->seq))
        return true;
    /* Who wants the newest needs no more than a quote; a state may be of one that is missing. */
    if (!is_accounted_for(f, s->last, r->prev) && (is_all || r->kind == WIRE_STATE)) {
        receiver_note(f, "%s: the record %llu never came: asking the log", s->name,
                      (unsigned long long)r->prev);
        receiver_doubt(f);
        return !is_all;
    }
    s->last = r->seq;
    if (pack_check(r->body) == OK)
        receiver_tell(f, s, r, false);
    advance(f, r->seq);
    return true;
}

/* Does the heartbeat name a record of ours that never came? */
static bool has_missed(struct receiver *f, struct span body, bool *is_complete)
{
    struct pack_value list, pair, symbol, seq;
    struct span c;

    *is_complete = false;
    if (pack_check(body) || !pack_find(body, "changed", &list, &c) ||
        list.type != PACK_ARRAY)
        return false;
    pack_next(&c, &list);
    for (uint32_t i = 0; i < list.count; i++) {
        const struct receiver_symbol *s;

        if (!pack_next(&c, &pair) || pair.type != PACK_ARRAY || pair.count != 2 ||
            !pack_next(&c, &symbol) || !pack_next(&c, &seq) ||
            symbol.type != PACK_STR || seq.type != PACK_UINT ||
            !quote_is_symbol(symbol.text))
            return false;
        s = receiver_know(f, symbol.text);
        if (s->is_synced && !is_accounted_for(f, s->last, seq.u)) {
            receiver_note(f, "%s: the record %llu never came: asking the log", s->name,
                          (unsigned long long)seq.u);
            return true;
        }
    }
    *is_complete = pack_find_bool(body, "complete", true);
    return false;
}

static void take_heartbeat(struct receiver *f, const struct wire_record *r)
{
    bool is_next = !f->is_counting || r->prev == f->heartbeat + 1, is_complete;

    f->heartbeat = r->prev;
    f->is_counting = true;
    if (!is_next)
        receiver_note(f, "heartbeats are missing: asking the log");
    if (!is_next || has_missed(f, r->body, &is_complete))
        receiver_doubt(f);
    else if (is_complete && f->has_position && r->seq > f->position)
        f->position = r->seq;
}

bool receiver_take(struct receiver *f, struct span topic, const struct wire_record *r)
{
    struct span symbol = wire_topic_symbol(topic);

    switch (r->kind) {
    case WIRE_HEARTBEAT:
        take_heartbeat(f, r);
        return true;
    case WIRE_LOST:
        return take_loss(f, r);
    case WIRE_QUOTE:
    case WIRE_STATE:
        return !symbol.len || take_symbol(f, symbol, r);
    case WIRE_MARK:
    case WIRE_LOCK:
        break;
    }
    return true;
}

static void set_up(struct receiver *f, bool is_up)
{
    if (f->is_up == is_up && (is_up || f->was_told_down))
        return;
    f->is_up = is_up;
    f->was_told_down = !is_up;
    if (is_up)
        f->out.link(f->out.ctx, true, "The broker is here.");
    else
        f->out.link(f->out.ctx, false,
                    "No heartbeat of the broker has come for 3 seconds.");
}

/* What is not told yet waits for the round's end; who wants the newest waits for that only. */
static bool is_to_be_held(struct receiver *f, struct span topic,
                          const struct wire_record *r)
{
    struct span symbol = wire_topic_symbol(topic);

    if (!receiver_is_holding(f) || f->settings.mode == RECEIVER_ALL || !f->has_synced ||
        r->kind == WIRE_HEARTBEAT)
        return receiver_is_holding(f);
    return symbol.len && !receiver_know(f, symbol)->is_synced;
}

void receiver_on_record(struct receiver *f, struct span topic, struct span message,
                        int64_t now)
{
    struct wire_record r;

    if (wire_read(message, &r, NULL) || r.kind == WIRE_LOCK)
        return; /* no record of the log */
    if (!f->epoch)
        f->epoch = r.epoch;
    else if (r.epoch != f->epoch)
        receiver_begin_anew(f, r.epoch, f->epoch, "log_replaced");
    if (f->is_stopped)
        return; /* the round that begins now has this record, too */
    if (r.kind == WIRE_HEARTBEAT) {
        f->heard_at = now;
        set_up(f, true);
    }
    if (r.kind == WIRE_MARK) {
        if (f->mark[0] && span_eq(topic, f->mark))
            receiver_on_mark(f, &r, now);
    } else if (f->stage == STAGE_IDLE && !f->has_position) {
        return; /* nothing is followed yet */
    } else if (is_to_be_held(f, topic, &r) || !receiver_take(f, topic, &r)) {
        receiver_hold(f, topic, message);
    }
}

/*
 * The broker says this first on every connection, before any record: what was under way on the
 * one before may never have arrived.
 */
void receiver_on_welcome(struct receiver *f)
{
    f->is_counting = false; /* it may be another broker, counting anew */
    if (f->welcomes++ == 0)
        return;
    receiver_note(f, "records come over a new connection: asking the log");
    receiver_doubt(f);
}

/* --- life ------------------------------------------------------------------------------------ */

struct receiver *receiver_new(const struct receiver_settings *settings,
                              const struct receiver_out *out, int64_t now)
{
    struct receiver *f = mem_zalloc(sizeof *f);

    f->settings = *settings;
    f->out = *out;
    f->heard_at = now;
    receiver_listen(f);
    return f;
}

void receiver_listen(struct receiver *f)
{
    f->out.listen(f->out.ctx, SPAN(WIRE_TOPIC_WELCOME), true);
    f->out.listen(f->out.ctx, SPAN(WIRE_TOPIC_HEARTBEAT), true);
    f->out.listen(f->out.ctx, SPAN(WIRE_TOPIC_LOST), true);
    for (const struct receiver_pattern *p = f->patterns; p; p = p->hh.next)
        listen(f, p, true);
    if (f->mark[0])
        f->out.listen(f->out.ctx, span_of(f->mark), true);
}

int64_t receiver_heard_at(const struct receiver *f)
{
    return f->heard_at;
}

void receiver_free(struct receiver *f)
{
    struct receiver_pattern *p, *next;

    if (!f)
        return;
    HASH_ITER(hh, f->patterns, p, next)
    {
        HASH_DEL(f->patterns, p);
        free(p);
    }
    receiver_forget_symbols(f);
    buf_free(&f->to_ask);
    buf_free(&f->held);
    free(f);
}

void receiver_tick(struct receiver *f, bool is_drained, int64_t now)
{
    if (is_drained && now - f->heard_at >= RECEIVER_SILENCE_MS)
        set_up(f, false);
    receiver_resync_tick(f, now);
    f->has_turned = true;
}

void receiver_stop(struct receiver *f)
{
    f->is_stopped = true;
}

void receiver_go_on(struct receiver *f)
{
    f->is_stopped = false;
}

bool receiver_is_stopped(const struct receiver *f)
{
    return f->is_stopped;
}

uint64_t receiver_epoch(const struct receiver *f)
{
    return f->epoch;
}

uint64_t receiver_position(const struct receiver *f)
{
    if (!f->has_position || !f->has_synced)
        return 0;
    return f->settings.mode == RECEIVER_ALL ? f->position : f->told_position;
}

bool receiver_is_up(const struct receiver *f)
{
    return f->is_up;
}
