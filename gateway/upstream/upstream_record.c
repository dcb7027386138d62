/*
 * upstream_record: what each record from the broker does.
 *
 * Every record passes upstream_deliver (upstream_resync.c), which decides whether it is applied.
 */
#include "gateway/session/sessions.h"
#include "gateway/upstream/upstream_private.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/wire/pack.h"

void upstream_set_here(struct upstream *u, bool is_here)
{
    struct gateway *g = u->g;

    if (u->is_here == is_here)
        return;
    u->is_here = is_here;
    if (is_here) {
        log_info("The broker is here, log epoch %016llx",
                 (unsigned long long)hub_epoch(g->hub));
        return;
    }
    log_warning("The broker is silent: every value is stale until it is back");
    u->is_known = u->has_met = false;
    upstream_resync(u);
    hub_go_stale(g->hub);
}

/* The log is another one: nothing we know of positions holds. */
void upstream_check_epoch(struct upstream *u, uint64_t epoch)
{
    struct gateway *g = u->g;
    uint64_t old = hub_epoch(g->hub);

    if (epoch == old)
        return;
    upstream_resync(u);
    u->verified_seq = u->lost_seq = 0;
    u->known_seq = u->known_record = u->known_accepted = 0;
    u->has_verified_seq = false;
    hub_reset(g->hub, epoch);
    if (!old)
        return;
    log_warning(
        "The broker has a new log (epoch %016llx): clients are told to start anew",
        (unsigned long long)epoch);
    sessions_reset(g->sessions, "log_replaced");
}

/*
 * Has the record that a heartbeat names not come, though it ought to?  While the topics of a resync
 * are not live again, this is known of what clients in mode all follow: all up to verified_seq was
 * applied, and what is above it had to come before the heartbeat.
 */
static bool is_missing(struct upstream *u, struct span symbol, uint64_t seq)
{
    struct hub *hub = u->g->hub;
    struct hub_symbol *s = hub_find(hub, symbol);

    if (s && s->seq >= seq)
        return false;
    if (s ? hub_is_synced(hub, s) : hub_is_covered(hub, symbol))
        return true;
    return seq > u->verified_seq && hub_is_wanted(hub, symbol) &&
           hub_has_all(hub, hub_know(hub, symbol));
}

/* false: something of ours is missing; it has been asked for. */
static bool check_changed(struct upstream *u, struct span body)
{
    struct hub *hub = u->g->hub;
    struct pack_value list, pair, symbol, seq;
    struct span c;
    bool is_complete = true;

    if (pack_check(body) || !pack_find(body, "changed", &list, &c) ||
        list.type != PACK_ARRAY)
        return false;
    pack_next(&c, &list);
    for (uint32_t i = 0; i < list.count; i++) {
        struct hub_symbol *s;

        if (!pack_next(&c, &pair) || pair.type != PACK_ARRAY || pair.count != 2 ||
            !pack_next(&c, &symbol) || !pack_next(&c, &seq) ||
            symbol.type != PACK_STR || seq.type != PACK_UINT ||
            !quote_is_symbol(symbol.text))
            return false;
        if (!is_missing(u, symbol.text, seq.u))
            continue;
        is_complete = false;
        u->gaps++;
        s = hub_know(hub, symbol.text);
        log_info("%s: the record %llu never came: asking for it", s->name,
                 (unsigned long long)seq.u);
        if (hub_has_all(hub, s)) {
            upstream_resync(u);
            return false;
        }
        upstream_request_snapshot(u, QUESTION_SYMBOL, s->name, 0, 0);
    }
    return is_complete;
}

static void on_heartbeat(struct upstream *u, const struct wire_record *r)
{
    bool has_missed = u->heartbeat_number && r->prev != u->heartbeat_number + 1;

    u->heartbeat_number = r->prev;
    if (has_missed) {
        log_info(
            "heartbeat %llu came after another than its predecessor: records may be "
            "missing",
            (unsigned long long)r->prev);
        u->gaps++;
        upstream_resync(u);
    } else if (check_changed(u, r->body)) {
        hub_set_seq(u->g->hub, r->seq);
        if (!hub_is_frozen(u->g->hub))
            u->verified_seq = r->seq;
    }
}

static void give(struct upstream *u, struct span symbol, const struct wire_record *r)
{
    struct counters *f = &u->g->counters;

    if (!hub_apply(u->g->hub, symbol, r))
        f->not_newer++;
    else if (r->kind == WIRE_QUOTE)
        counters_note(f, r);
}

static void apply(struct upstream *u, struct span symbol, const struct wire_record *r)
{
    struct hub *hub = u->g->hub;
    struct hub_symbol *s;

    if (!hub_is_gap(hub, symbol, r)) {
        give(u, symbol, r);
        return;
    }
    s = hub_find(hub, symbol);
    u->gaps++;
    if (hub_has_all(hub, s)) {
        upstream_resync(u); /* the log has this record, and the one before it */
        return;
    }
    /* In merge a quote makes up for whatever came before it; a state does not. */
    give(u, symbol, r);
    hub_break_window(hub, r->seq);
    if (r->kind == WIRE_STATE)
        upstream_request_snapshot(u, QUESTION_SYMBOL, s->name, 0, 0);
}

void upstream_take_loss(struct upstream *u, const struct wire_record *r)
{
    if (r->seq <= u->lost_seq || pack_check(r->body))
        return;
    u->lost_seq = r->seq;
    sessions_report_loss(u->g->sessions, r->seq, r->body);
}

/* `prev` of a loss is the loss before it. */
static void apply_loss(struct upstream *u, const struct wire_record *r)
{
    if (r->prev > u->lost_seq && hub_has_anyone_in_all(u->g->hub)) {
        log_info("the loss at position %llu never came: asking the log",
                 (unsigned long long)r->prev);
        u->gaps++;
        upstream_resync(u);
        return;
    }
    upstream_take_loss(u, r);
}

void upstream_apply(struct upstream *u, struct span topic, const struct wire_record *r)
{
    struct span symbol = wire_topic_symbol(topic);

    switch (r->kind) {
    case WIRE_HEARTBEAT:
        on_heartbeat(u, r);
        break;
    case WIRE_LOST:
        apply_loss(u, r);
        break;
    case WIRE_QUOTE:
    case WIRE_STATE:
        if (symbol.len && !pack_check(r->body))
            apply(u, symbol, r);
        else
            u->g->counters.malformed++;
        break;
    case WIRE_MARK:
    case WIRE_LOCK: /* no topic of ours */
        break;
    }
}

void upstream_on_record(struct upstream *u, struct span topic, struct span message)
{
    struct wire_record r;

    if (wire_read(message, &r, NULL)) {
        log_debug("upstream: a message that is no record");
        u->g->counters.malformed++;
        return;
    }
    u->g->counters.records[r.kind]++;
    if (u->g->sessions->traced_count)
        r.received_us = (uint64_t)clock_wall_us();
    upstream_check_epoch(u, r.epoch);
    upstream_note_known(u, &r);
    if (r.kind == WIRE_HEARTBEAT) {
        u->heartbeat_at = u->g->awake;
        upstream_set_here(u, true);
    }
    if (r.kind == WIRE_MARK)
        upstream_on_mark(u, topic, r.seq, r.prev);
    else
        upstream_deliver(u, topic, message, &r);
}

/*
 * The broker sends this first on every connection, before any record: records that were under way
 * on the connection before may never have arrived.
 */
void upstream_on_welcome(struct upstream *u)
{
    if (u->connections++)
        log_info("The broker's records come over a new connection");
    upstream_resync(u);
}
