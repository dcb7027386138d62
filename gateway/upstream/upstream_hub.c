/* upstream_hub: between the receiver and the hub: topics are patterns, records are applied. */
#include "gateway/upstream/upstream_private.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/wire/bus.h"

/* --- to the broker -------------------------------------------------------------------- */

static void on_listen(void *ctx, struct span topic, bool is_on)
{
    struct upstream *u = ctx;

    zmq_setsockopt(u->records.socket, is_on ? ZMQ_SUBSCRIBE : ZMQ_UNSUBSCRIBE, topic.at, topic.len);
    readiness_touch(&u->records);
}

/* --- what the hub knows ------------------------------------------------------------------ */

static struct hub *hub_of(void *ctx)
{
    return ((struct upstream *)ctx)->settings.hub;
}

static bool wants_all(void *ctx, struct span pattern)
{
    const struct hub_topic *t = hub_topic_find(hub_of(ctx), pattern);

    return t && hub_topic_has_all(t);
}

static struct receiver_symbol find(void *ctx, struct span name, bool may_add)
{
    struct hub *hub = hub_of(ctx);
    struct hub_symbol *s = hub_find(hub, name);

    if (!s && may_add && hub_is_wanted(hub, name))
        s = hub_know(hub, name);
    return (struct receiver_symbol){s, s ? s->seq : 0};
}

static struct receiver_coverage cover(void *ctx, struct span name, const struct receiver_symbol *s)
{
    struct hub_coverage c = hub_cover(hub_of(ctx), name, s->of);

    return (struct receiver_coverage){c.is_live, c.has_all};
}

/* --- what the hub gets ----------------------------------------------------------------------- */

static void on_apply(void *ctx, const struct receiver_symbol *s, const struct wire_record *r,
                     enum receiver_origin origin)
{
    struct upstream *u = ctx;
    bool is_new = hub_apply(u->settings.hub, s->of, r);

    if (origin == RECEIVER_LOGGED)
        return;
    if (!is_new)
        u->settings.counters->not_newer++;
    else if (r->kind == WIRE_QUOTE)
        counters_note(u->settings.counters, r);
}

static void on_snapshot(void *ctx, const struct receiver_symbol *s, const struct wire_entry *e)
{
    if (e->is_removed)
        hub_apply_removed(hub_of(ctx), s->of, e->seq);
    else
        hub_apply_snapshot(hub_of(ctx), e->symbol, e->seq, e->is_stale, &e->quote);
}

static void on_lost(void *ctx, const struct wire_record *r)
{
    struct upstream *u = ctx;

    u->out.lost(u->out.ctx, r->seq, r->body);
}

static void on_reset(void *ctx, uint64_t epoch, uint64_t old_epoch, const char *reason)
{
    struct upstream *u = ctx;

    hub_reset(u->settings.hub, epoch);
    if (!old_epoch)
        return;
    log_warning("The broker has a new log (epoch %016llx): clients are told to start anew",
                (unsigned long long)epoch);
    u->out.reset(u->out.ctx, reason);
}

static void on_link(void *ctx, bool is_up)
{
    struct upstream *u = ctx;

    if (u->is_here == is_up)
        return;
    u->is_here = is_up;
    if (is_up) {
        log_info("The broker is here, log epoch %016llx",
                 (unsigned long long)hub_epoch(u->settings.hub));
        return;
    }
    log_warning("The broker is silent: every value is stale until it is back");
    u->is_known = u->has_met = false;
    hub_go_stale(u->settings.hub);
}

static void on_unverified(void *ctx)
{
    hub_resync(hub_of(ctx));
}

static void on_live(void *ctx, struct span pattern, uint64_t seq)
{
    struct hub_topic *t = hub_topic_find(hub_of(ctx), pattern);

    if (t)
        hub_topic_synced(t, seq);
}

static void on_passed(void *ctx, uint64_t seq)
{
    hub_break_window(hub_of(ctx), seq);
}

static void on_complete(void *ctx, uint64_t seq)
{
    hub_set_seq(hub_of(ctx), seq);
}

static void on_thawed(void *ctx)
{
    hub_thaw(hub_of(ctx));
}

static void on_fell_back(void *ctx)
{
    upstream_introduce(ctx);
}

static void on_note(void *ctx, bool is_error, const char *text)
{
    (void)ctx;
    if (is_error)
        log_error("%s", text);
    else
        log_info("%s", text);
}

/* --- topics ----------------------------------------------------------------------------------- */

static void on_topic_new(void *ctx, struct hub_topic *t)
{
    struct upstream *u = ctx;

    if (receiver_add(u->receiver, hub_topic_pattern(t)))
        log_error("%s: the hub has a topic that is no pattern", t->pattern);
}

static void on_topic_gone(void *ctx, const struct hub_topic *t)
{
    struct upstream *u = ctx;

    if (receiver_remove(u->receiver, hub_topic_pattern(t)))
        log_error("%s: the hub's topic is not the receiver's", t->pattern);
}

void upstream_connect_hub(struct upstream *u, uint64_t name, int64_t now)
{
    struct receiver_settings settings = {.name = name, .needs_heartbeat = true};
    struct receiver_out out = {
        .broker = {u, on_listen, upstream_request_snapshot, upstream_request_replay, on_note},
        .ctx = u,
        .wants_all = wants_all,
        .find = find,
        .cover = cover,
        .record = on_apply,
        .snapshot = on_snapshot,
        .lost = on_lost,
        .reset = on_reset,
        .presence = on_link,
        .unverified = on_unverified,
        .live = on_live,
        .passed = on_passed,
        .complete = on_complete,
        .thawed = on_thawed,
        .fell_back = on_fell_back,
    };

    u->receiver = receiver_new(&settings, &out, now);
    hub_watch(u->settings.hub, (struct hub_watcher){u, on_topic_new, on_topic_gone});
}

void upstream_on_record(struct upstream *u, struct span topic, struct span message, int64_t now)
{
    struct counters *counters = u->settings.counters;
    struct wire_record r;

    if (wire_read(message, &r, NULL)) {
        log_debug("upstream: a message that is no record");
        counters->malformed++;
        return;
    }
    counters->records[r.kind]++;
    if (*u->settings.tracers)
        r.received_us = (uint64_t)clock_wall_us();
    counters->malformed += !receiver_on_record(u->receiver, topic, message, &r, now);
}
