/* pregon_follow: passes the receiver's requests to the broker, and records to the program. */
#include <msgpack.h>

#include "consumer/lib/pregon_private.h"
#include "shared/wire/bus.h"
#include "shared/wire/pack.h"
#include "shared/base/random.h"

void pregon_note(struct pregon *p, const char *text)
{
    if (p->options.on_note)
        p->options.on_note(p->options.ctx, text);
}

static void listen_to(void *ctx, struct span topic, bool is_on)
{
    struct pregon *p = ctx;

    zmq_setsockopt(p->records, is_on ? ZMQ_SUBSCRIBE : ZMQ_UNSUBSCRIBE, topic.at, topic.len);
}

static void request_snapshot(void *ctx, uint64_t request, struct span pattern, uint64_t from)
{
    struct pregon *p = ctx;
    struct buf b = {0};
    msgpack_packer pk;

    pregon_request_begin(p, REQUEST_RECEIVER, "snapshot", 2, &b, &pk)->number = request;
    pack_kv_text(&pk, "pattern", pattern);
    pack_kv_u(&pk, "from", from);
    pregon_request_send(p, &b);
}

static void request_replay(void *ctx, uint64_t request, struct span patterns, uint64_t after,
                           uint64_t until)
{
    struct pregon *p = ctx;
    struct buf b = {0};
    msgpack_packer pk;

    pregon_request_begin(p, REQUEST_RECEIVER, "replay", 3, &b, &pk)->number = request;
    pack_kv_text(&pk, "pattern", patterns);
    pack_kv_u(&pk, "after", after);
    pack_kv_u(&pk, "until", until);
    pregon_request_send(p, &b);
}

static struct pregon_span span_out(struct span s)
{
    return (struct pregon_span){s.at, s.len};
}

static void report_quote(void *ctx, const struct delivered *d)
{
    struct pregon *p = ctx;
    struct pregon_quote q = {
        .symbol = d->symbol,
        .epoch = d->record->epoch,
        .seq = d->record->seq,
        .prev = d->is_snapshot ? 0 : d->record->prev,
        .is_snapshot = d->is_snapshot,
        .state = d->is_stale ? PREGON_STALE : PREGON_LIVE,
        .sent_us = (int64_t)d->record->sent_us,
        .accepted_us = (int64_t)d->record->accepted_us,
        .body = span_out(d->record->body),
    };

    if (p->options.on_quote)
        p->options.on_quote(p->options.ctx, &q);
}

static void report_state(void *ctx, const struct delivered *d)
{
    struct pregon *p = ctx;
    char feed[65];
    struct pregon_state_change s = {
        .symbol = d->symbol,
        .epoch = d->record->epoch,
        .seq = d->record->seq,
        .prev = d->record->prev,
        .state = d->is_removed ? PREGON_REMOVED
                 : d->is_stale ? PREGON_STALE
                               : PREGON_LIVE,
        .feed = feed,
        .accepted_us = (int64_t)d->record->accepted_us,
    };

    span_copy(feed, sizeof feed, pack_find_text(d->record->body, "feed"));
    if (p->options.on_state)
        p->options.on_state(p->options.ctx, &s);
}

static void report_lost(void *ctx, const struct wire_record *r)
{
    struct pregon *p = ctx;
    char feed[65], reason[65];
    struct pregon_loss l = {
        .feed = feed,
        .epoch = r->epoch,
        .seq = r->seq,
        .first = pack_find_u(r->body, "first", 0),
        .last = pack_find_u(r->body, "last", 0),
        .count = pack_find_u(r->body, "count", 0),
        .reason = reason,
    };

    span_copy(feed, sizeof feed, pack_find_text(r->body, "feed"));
    span_copy(reason, sizeof reason, pack_find_text(r->body, "reason"));
    if (p->options.on_lost)
        p->options.on_lost(p->options.ctx, &l);
}

static void report_reset(void *ctx, uint64_t epoch, uint64_t old_epoch, const char *reason)
{
    struct pregon *p = ctx;
    struct pregon_reset r = {epoch, old_epoch, reason};

    if (p->options.on_reset)
        p->options.on_reset(p->options.ctx, &r);
}

static void report_synced(void *ctx)
{
    struct pregon *p = ctx;

    if (p->options.on_synced)
        p->options.on_synced(p->options.ctx);
}

static void report_link(void *ctx, bool is_up, const char *why)
{
    struct pregon *p = ctx;

    if (is_up) {
        p->is_greeted = false;
        p->hello_at = p->now;
    }
    if (p->options.on_link)
        p->options.on_link(p->options.ctx, is_up, why);
}

static void report_note(void *ctx, bool is_error, const char *text)
{
    (void)is_error;
    pregon_note(ctx, text);
}

void pregon_follow(struct pregon *p)
{
    struct subscription_settings settings = {
        .mode = p->options.mode == PREGON_NEWEST ? SUBSCRIPTION_NEWEST : SUBSCRIPTION_ALL,
        .no_snapshot = p->options.no_snapshot,
        .since_epoch = p->options.since.epoch,
        .since_seq = p->options.since.seq,
        .name = random_u64(),
    };
    struct subscription_out out = {
        .broker = {p, listen_to, request_snapshot, request_replay, report_note},
        .ctx = p,
        .quote = report_quote,
        .state = report_state,
        .lost = report_lost,
        .reset = report_reset,
        .synced = report_synced,
        .presence = report_link,
    };

    p->subscription = subscription_new(&settings, &out, p->now);
    p->receiver = subscription_receiver(p->subscription);
}
