#include "consumer/lib/subscription.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "shared/base/mem.h"
#include "shared/wire/pack.h"

struct symbol {
    UT_hash_handle hh;
    char name[QUOTE_SYMBOL_MAX + 1];
    uint64_t last; /* position of the last record that was handed on, or is about to be */
    bool is_stale;
    /*
     * Valid for the patterns' change number `changes`: some pattern matches; the symbol is complete
     * since its snapshot, or since a matching pattern is live.
     */
    bool is_wanted, is_synced;
    unsigned changes;
    /* SUBSCRIPTION_NEWEST: what to deliver at the end of the turn */
    bool has_quote, has_state, is_snapshot;
    struct wire_record quote, state; /* the bodies of these records are in the bufs */
    struct buf quote_body, state_body;
    /* list of the symbols with something to deliver, oldest change first */
    struct symbol *previous, *next;
    bool is_listed;
};

struct subscription {
    struct subscription_settings settings;
    struct subscription_out out;
    struct receiver *receiver;
    struct symbol *symbols; /* by name */
    struct symbol *changed, *changed_last;
    uint64_t flushed_seq; /* SUBSCRIPTION_NEWEST: complete_seq as of the last flush */
    bool is_synced_due;
};

/* --- symbols ----------------------------------------------------------------------------- */

/*
 * In SUBSCRIPTION_ALL a pattern stays complete while the link is unverified: the log has the
 * missing records.
 */
static bool is_complete(const struct subscription *d, const struct receiver_match *m)
{
    return d->settings.mode == SUBSCRIPTION_ALL ? m->was_live : m->is_live;
}

/* Which patterns match is found out once per symbol, until they change. */
static void refresh(struct subscription *d, struct symbol *s)
{
    struct receiver_match m;

    if (s->changes == receiver_changes(d->receiver))
        return;
    m = receiver_match(d->receiver, span_of(s->name));
    s->changes = receiver_changes(d->receiver);
    s->is_wanted = m.is_wanted;
    /* Once it is complete it stays so, whichever pattern it is that matches. */
    s->is_synced = is_complete(d, &m) || (m.is_wanted && s->is_synced);
    if (m.is_wanted)
        return;
    s->last = 0; /* if the symbol is subscribed again, it begins anew */
    s->is_stale = s->has_quote = s->has_state = false;
}

static struct symbol *add_symbol(struct subscription *d, struct span name)
{
    struct receiver_match m = receiver_match(d->receiver, name);
    struct symbol *s;

    if (!m.is_wanted)
        return NULL;
    s = mem_zalloc(sizeof *s);
    span_copy(s->name, sizeof s->name, name);
    s->last = m.since_seq;
    s->changes = receiver_changes(d->receiver) - 1;
    HASH_ADD_KEYPTR(hh, d->symbols, s->name, (unsigned)name.len, s);
    return s;
}

static struct receiver_symbol find(void *ctx, struct span name, bool may_add)
{
    struct subscription *d = ctx;
    struct symbol *s;

    HASH_FIND(hh, d->symbols, name.at, (unsigned)name.len, s);
    if (!s && may_add)
        s = add_symbol(d, name);
    if (s)
        refresh(d, s);
    return (struct receiver_symbol){s, s ? s->last : 0};
}

static struct receiver_coverage cover(void *ctx, struct span name,
                                      const struct receiver_symbol *known)
{
    struct subscription *d = ctx;
    const struct symbol *s = known->of;
    struct receiver_match m = {0};
    struct receiver_coverage c;

    if (!s)
        m = receiver_match(d->receiver, name);
    c.is_live = s ? s->is_synced : is_complete(d, &m);
    c.is_followed = c.is_live && d->settings.mode == SUBSCRIPTION_ALL;
    return c;
}

static bool wants_all(void *ctx, struct span pattern)
{
    (void)pattern;
    return ((const struct subscription *)ctx)->settings.mode == SUBSCRIPTION_ALL;
}

static void forget_symbols(struct subscription *d)
{
    struct symbol *s, *next;

    HASH_ITER(hh, d->symbols, s, next)
    {
        HASH_DEL(d->symbols, s);
        buf_free(&s->quote_body);
        buf_free(&s->state_body);
        free(s);
    }
    d->changed = d->changed_last = NULL;
}

enum err subscription_remove(struct subscription *d, struct span pattern)
{
    enum err e = receiver_remove(d->receiver, pattern);

    for (struct symbol *s = d->symbols; s && !e; s = s->hh.next)
        refresh(d, s);
    return e;
}

/* --- to the program -------------------------------------------------------------------------- */

static void list_remove(struct subscription *d, struct symbol *s)
{
    if (!s->is_listed)
        return;
    *(s->previous ? &s->previous->next : &d->changed) = s->next;
    *(s->next ? &s->next->previous : &d->changed_last) = s->previous;
    s->is_listed = false;
}

static void list_append(struct subscription *d, struct symbol *s)
{
    list_remove(d, s);
    s->previous = d->changed_last;
    s->next = NULL;
    *(d->changed_last ? &d->changed_last->next : &d->changed) = s;
    d->changed_last = s;
    s->is_listed = true;
}

static void keep(struct wire_record *to, struct buf *body, const struct wire_record *r)
{
    buf_clear(body);
    buf_add(body, r->body.at, r->body.len);
    *to = *r;
    to->body = buf_span(body);
}

static void hand_on(struct subscription *d, const struct symbol *s, const struct wire_record *r,
                    bool is_snapshot)
{
    bool is_removed = r->kind == WIRE_STATE && wire_state_of(r->body) == WIRE_REMOVED;
    struct delivered what = {s->name, s->is_stale, is_removed, is_snapshot, r};

    if (r->kind == WIRE_STATE)
        d->out.state(d->out.ctx, &what);
    else
        d->out.quote(d->out.ctx, &what);
}

static void deliver(struct subscription *d, struct symbol *s, const struct wire_record *r,
                    bool is_snapshot)
{
    s->last = r->seq;
    if (r->kind == WIRE_STATE)
        s->is_stale = wire_state_of(r->body) == WIRE_STALE;
    else if (!is_snapshot)
        s->is_stale = false; /* a quote shows that its feed is connected */
    if (d->settings.mode == SUBSCRIPTION_ALL) {
        hand_on(d, s, r, is_snapshot);
        return;
    }
    if (r->kind == WIRE_STATE) {
        keep(&s->state, &s->state_body, r);
        if (wire_state_of(r->body) == WIRE_REMOVED)
            s->has_quote = false;
    } else {
        keep(&s->quote, &s->quote_body, r);
        s->has_quote = true;
        s->is_snapshot = is_snapshot;
    }
    s->has_state = r->kind == WIRE_STATE;
    list_append(d, s);
}

static void flush_changed(void *ctx)
{
    struct subscription *d = ctx;

    while (d->changed && !receiver_is_paused(d->receiver)) {
        struct symbol *s = d->changed;

        if (s->has_quote) {
            s->has_quote = false;
            hand_on(d, s, &s->quote, s->is_snapshot);
        } else if (s->has_state) {
            s->has_state = false;
            hand_on(d, s, &s->state, false);
        } else {
            list_remove(d, s);
        }
    }
    if (!d->changed)
        d->flushed_seq = receiver_complete_seq(d->receiver);
}

void subscription_flush(struct subscription *d)
{
    flush_changed(d);
    if (!d->is_synced_due || receiver_is_paused(d->receiver))
        return;
    d->is_synced_due = false;
    d->out.synced(d->out.ctx);
}

/* --- to the broker ---------------------------------------------------------------------- */

/* --- from the receiver --------------------------------------------------------------------- */

static void on_record(void *ctx, const struct receiver_symbol *known, const struct wire_record *r,
                      enum receiver_origin origin)
{
    struct symbol *s = known->of;

    /* The requested snapshot has more: the quote that the state refers to may be missing, too. */
    if (origin == RECEIVER_LEAP && r->kind == WIRE_STATE)
        return;
    /*
     * A record of a pattern that is not live yet: it came before the mark, and the snapshot
     * contains it.
     */
    if (s->is_wanted && s->is_synced && r->seq > s->last)
        deliver(ctx, s, r, false);
}

/* A program that never had a value of the symbol needs no message. */
static void take_removed(struct subscription *d, struct symbol *s, uint64_t seq)
{
    static const char body[] = "\x81\xa5state\xa7removed";
    struct wire_record r = {.kind = WIRE_STATE,
                            .epoch = receiver_epoch(d->receiver),
                            .seq = seq,
                            .prev = s->last,
                            .body = {body, sizeof body - 1}};

    if (s->last)
        deliver(d, s, &r, false);
    s->last = seq;
}

static void on_snapshot(void *ctx, const struct receiver_symbol *known, const struct wire_entry *e)
{
    struct subscription *d = ctx;
    struct symbol *s = known->of;
    struct wire_record quote = e->quote;

    if (!s->is_wanted || e->seq <= s->last)
        return;
    s->is_synced = true;
    if (e->is_removed) {
        take_removed(d, s, e->seq);
        return;
    }
    s->is_stale = e->is_stale;
    quote.epoch = receiver_epoch(d->receiver);
    quote.seq = e->seq; /* it is the newest value as of that position; the next record follows it */
    deliver(d, s, &quote, true);
}

static void on_lost(void *ctx, const struct wire_record *r)
{
    struct subscription *d = ctx;

    d->out.lost(d->out.ctx, r);
}

static void on_reset(void *ctx, uint64_t epoch, uint64_t old_epoch, const char *reason)
{
    struct subscription *d = ctx;

    forget_symbols(d);
    d->flushed_seq = 0;
    d->is_synced_due = false;
    if (old_epoch)
        d->out.reset(d->out.ctx, epoch, old_epoch, reason);
}

static void on_link(void *ctx, bool is_up)
{
    struct subscription *d = ctx;

    d->out.presence(d->out.ctx, is_up,
                    is_up ? "The broker is here."
                          : "No heartbeat of the broker has come for 3 seconds.");
}

static void on_synced(void *ctx)
{
    struct subscription *d = ctx;

    d->is_synced_due = true;
    subscription_flush(d);
}

static void on_position(void *ctx, uint64_t seq)
{
    (void)ctx, (void)seq; /* the receiver has this position itself */
}

/* --- life ---------------------------------------------------------------------------------- */

struct subscription *subscription_new(const struct subscription_settings *settings,
                                      const struct subscription_out *out, int64_t now)
{
    struct subscription *d = mem_zalloc(sizeof *d);
    struct receiver_settings receiver = {
        .name = settings->name,
        .holds_for_snapshots = true,
        .trusts_log = true,
        .no_snapshot = settings->no_snapshot,
        .since_epoch = settings->since_epoch,
        .since_seq = settings->since_seq,
    };

    d->settings = *settings;
    d->out = *out;
    d->receiver = receiver_new(&receiver,
                               &(struct receiver_out){
                                   .broker = out->broker,
                                   .ctx = d,
                                   .wants_all = wants_all,
                                   .find = find,
                                   .cover = cover,
                                   .record = on_record,
                                   .snapshot = on_snapshot,
                                   .lost = on_lost,
                                   .flush = flush_changed,
                                   .reset = on_reset,
                                   .presence = on_link,
                                   .synced = on_synced,
                                   .complete = on_position,
                               },
                               now);
    return d;
}

void subscription_free(struct subscription *d)
{
    if (!d)
        return;
    forget_symbols(d);
    receiver_free(d->receiver);
    free(d);
}

struct receiver *subscription_receiver(const struct subscription *d)
{
    return d->receiver;
}

uint64_t subscription_position(const struct subscription *d)
{
    return d->settings.mode == SUBSCRIPTION_ALL ? receiver_verified_seq(d->receiver)
                                                : d->flushed_seq;
}
