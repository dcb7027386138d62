/* receiver_pattern: the patterns, their subscriptions, and the marks that they wait for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/mem.h"
#include "shared/sync/receiver_private.h"

#define MARK_MS 1000       /* time before another mark is sent */
#define REPLAY_PATTERNS 64 /* named in a request of the log; of more, everything is requested */

bool receiver_is_pattern(struct span pattern)
{
    if (pattern.len && pattern.at[pattern.len - 1] == '*') {
        if (pattern.len == 1)
            return true;
        pattern.len--;
    }
    return quote_is_symbol(pattern);
}

struct receiver_pattern *receiver_find(const struct receiver *f, struct span text)
{
    struct receiver_pattern *p;

    HASH_FIND(hh, f->patterns, text.at, (unsigned)text.len, p);
    return p;
}

static struct span text_of(const struct receiver_pattern *p)
{
    return (struct span){p->text, p->len};
}

/* "EUR/USD" is subscribed as "EUR/USD ", "BTC*" as "BTC". */
static void listen(struct receiver *f, const struct receiver_pattern *p, bool is_on)
{
    char topic[WIRE_TOPIC_MAX];
    size_t len = p->len - 1;

    if (p->text[len] == '*')
        memcpy(topic, p->text, len);
    else
        len = wire_topic(topic, text_of(p));
    f->out.broker.listen(f->out.broker.ctx, (struct span){topic, len}, is_on);
}

static void set_pending(struct receiver *f, struct receiver_pattern *p)
{
    if (p->pending_link)
        return;
    p->next_pending = f->pending;
    p->pending_link = &f->pending;
    if (p->next_pending)
        p->next_pending->pending_link = &p->next_pending;
    f->pending = p;
}

static void end_pending(struct receiver_pattern *p)
{
    if (!p->pending_link)
        return;
    *p->pending_link = p->next_pending;
    if (p->next_pending)
        p->next_pending->pending_link = p->pending_link;
    p->pending_link = NULL;
}

static void set_sync(struct receiver *f, struct receiver_pattern *p, enum receiver_sync sync)
{
    f->marked += sync == PATTERN_MARKED;
    f->marked -= p->sync == PATTERN_MARKED;
    p->sync = sync;
    if (sync == PATTERN_LIVE)
        end_pending(p);
    else
        set_pending(f, p);
}

enum err receiver_add(struct receiver *f, struct span text)
{
    struct receiver_pattern *p;

    if (!receiver_is_pattern(text))
        return ERR_INVALID;
    if (receiver_find(f, text))
        return OK;
    p = mem_zalloc(sizeof *p);
    memcpy(p->text, text.at, text.len);
    p->len = text.len;
    p->resumes = f->settings.since_epoch && !f->has_ticked;
    HASH_ADD_KEYPTR(hh, f->patterns, p->text, (unsigned)p->len, p);
    set_sync(f, p, PATTERN_NEW);
    f->changes++;
    f->has_new = true;
    listen(f, p, true);
    return OK;
}

static void end_doubt(struct receiver *f, struct receiver_pattern *p)
{
    f->doubted -= p->is_doubted;
    p->is_doubted = false;
}

enum err receiver_remove(struct receiver *f, struct span text)
{
    struct receiver_pattern *p = receiver_find(f, text);

    if (!p)
        return ERR_NOT_FOUND;
    listen(f, p, false);
    set_sync(f, p, PATTERN_NEW);
    end_pending(p);
    end_doubt(f, p);
    HASH_DEL(f->patterns, p);
    free(p);
    f->changes++;
    return OK;
}

void receiver_free_patterns(struct receiver *f)
{
    struct receiver_pattern *p, *next;

    HASH_ITER(hh, f->patterns, p, next)
    {
        HASH_DEL(f->patterns, p);
        free(p);
    }
}

void receiver_subscribe_all(struct receiver *f)
{
    f->out.broker.listen(f->out.broker.ctx, SPAN(WIRE_TOPIC_WELCOME), true);
    f->out.broker.listen(f->out.broker.ctx, SPAN(WIRE_TOPIC_HEARTBEAT), true);
    f->out.broker.listen(f->out.broker.ctx, SPAN(WIRE_TOPIC_LOST), true);
    for (const struct receiver_pattern *p = f->patterns; p; p = p->hh.next)
        listen(f, p, true);
}

unsigned receiver_changes(const struct receiver *f)
{
    return f->changes;
}

static void add_match(const struct receiver *f, struct receiver_match *m,
                      const struct receiver_pattern *p)
{
    if (!p)
        return;
    m->is_wanted = true;
    if (p->resumes && f->settings.since_seq > m->since_seq)
        m->since_seq = f->settings.since_seq;
    m->is_live |= p->sync == PATTERN_LIVE;
    if (p->was_live && (!m->was_live || p->live_seq < m->live_seq))
        m->live_seq = p->live_seq;
    m->was_live |= p->was_live;
}

struct receiver_match receiver_match(const struct receiver *f, struct span symbol)
{
    struct receiver_match m = {0};
    char pattern[RECEIVER_PATTERN_MAX];

    if (symbol.len > QUOTE_SYMBOL_MAX)
        return m;
    add_match(f, &m, receiver_find(f, symbol));
    for (size_t len = 0; len <= symbol.len; len++) {
        memcpy(pattern, symbol.at, len);
        pattern[len] = '*';
        add_match(f, &m, receiver_find(f, (struct span){pattern, len + 1}));
    }
    return m;
}

bool receiver_has_all(const struct receiver *f)
{
    for (const struct receiver_pattern *p = f->patterns; p; p = p->hh.next)
        if (f->out.wants_all(f->out.ctx, text_of(p)))
            return true;
    return false;
}

void receiver_put_all(const struct receiver *f, struct buf *out)
{
    size_t count = 0;

    for (const struct receiver_pattern *p = f->patterns; p; p = p->hh.next) {
        if (!f->out.wants_all(f->out.ctx, text_of(p)))
            continue;
        if (++count > REPLAY_PATTERNS) {
            buf_clear(out);
            break;
        }
        if (out->len)
            buf_addc(out, ',');
        buf_add(out, p->text, p->len);
    }
    if (!out->len)
        buf_addc(out, '*');
}

/* --- sync states ---------------------------------------------------------------------- */

void receiver_set_marked(struct receiver *f, struct receiver_pattern *p)
{
    p->live_seq = f->mark_seq;
    set_sync(f, p, PATTERN_MARKED);
}

void receiver_set_live(struct receiver *f, struct receiver_pattern *p, uint64_t seq)
{
    set_sync(f, p, PATTERN_LIVE);
    end_doubt(f, p);
    f->has_newcomers |= !p->was_live;
    p->was_live = true;
    f->changes++;
    if (f->out.live)
        f->out.live(f->out.ctx, text_of(p), seq);
}

void receiver_doubt_all(struct receiver *f, bool starts_anew)
{
    for (struct receiver_pattern *p = f->patterns; p; p = p->hh.next) {
        if (starts_anew)
            set_sync(f, p, PATTERN_NEW);
        f->doubted += !p->is_doubted;
        p->is_doubted = true;
    }
    f->changes++;
    f->has_new |= starts_anew;
}

/* --- marks ------------------------------------------------------------------------------ */

void receiver_drop_mark(struct receiver *f)
{
    if (f->mark[0])
        f->out.broker.listen(f->out.broker.ctx, span_of(f->mark), false);
    f->mark[0] = '\0';
}

/*
 * While the log is read up to a mark, or records are held for snapshots, no other mark is placed:
 * the end of the wait must not move.
 */
int64_t receiver_mark_deadline(const struct receiver *f)
{
    if (f->phase == PHASE_CATCHING_UP || f->phase == PHASE_HOLDING || receiver_has_held(f) ||
        (f->settings.needs_heartbeat && !f->is_up))
        return RECEIVER_NEVER;
    if (f->mark[0])
        return f->mark_at + MARK_MS;
    return f->has_new || f->phase == PHASE_UNVERIFIED ? 0 : RECEIVER_NEVER;
}

/* One mark serves all patterns that are not live; patterns added after it wait for the next one. */
void receiver_place_mark(struct receiver *f)
{
    bool is_wanted = f->phase == PHASE_UNVERIFIED;

    if (f->now < receiver_mark_deadline(f))
        return;
    f->has_new = false;
    f->generation++;
    for (struct receiver_pattern *p = f->pending; p; p = p->next_pending) {
        if (p->sync == PATTERN_MARKED)
            continue; /* its snapshot is already requested */
        is_wanted = true;
        set_sync(f, p, PATTERN_MARKING);
        p->generation = f->generation;
    }
    receiver_drop_mark(f); /* if all patterns that waited for it were removed */
    if (!is_wanted)
        return;
    snprintf(f->mark, sizeof f->mark, WIRE_TOPIC_MARK "%016llx-%u ",
             (unsigned long long)f->settings.name, f->generation);
    f->mark_at = f->now;
    f->out.broker.listen(f->out.broker.ctx, span_of(f->mark), true);
}
