/* pregon_follow: what `follow` asks the broker and tells the program. */
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

    zmq_setsockopt(p->records, is_on ? ZMQ_SUBSCRIBE : ZMQ_UNSUBSCRIBE, topic.at,
                   topic.len);
}

static void ask_snapshot(void *ctx, struct span patterns, uint64_t from)
{
    struct pregon *p = ctx;
    struct buf b = {0};
    msgpack_packer pk;

    p->follow_id = pregon_request_begin(p, REQUEST_FOLLOW, "snapshot", 2, &b, &pk)->id;
    pack_kv_text(&pk, "pattern", patterns);
    pack_kv_u(&pk, "from", from);
    pregon_request_send(p, &b);
}

static void ask_replay(void *ctx, struct span patterns, uint64_t after, uint64_t until)
{
    struct pregon *p = ctx;
    struct buf b = {0};
    msgpack_packer pk;

    p->follow_id = pregon_request_begin(p, REQUEST_FOLLOW, "replay", 3, &b, &pk)->id;
    pack_kv_text(&pk, "pattern", patterns);
    pack_kv_u(&pk, "after", after);
    pack_kv_u(&pk, "until", until);
    pregon_request_send(p, &b);
}

static struct pregon_span span_out(struct span s)
{
    return (struct pregon_span){s.at, s.len};
}

static void tell_quote(void *ctx, const struct receiver_told *t)
{
    struct pregon *p = ctx;
    struct pregon_quote q = {
        .symbol = t->symbol,
        .epoch = t->record->epoch,
        .seq = t->record->seq,
        .prev = t->is_snapshot ? 0 : t->record->prev,
        .is_snapshot = t->is_snapshot,
        .state = t->is_stale ? PREGON_STALE : PREGON_LIVE,
        .sent_us = (int64_t)t->record->sent_us,
        .accepted_us = (int64_t)t->record->accepted_us,
        .body = span_out(t->record->body),
    };

    if (p->options.on_quote)
        p->options.on_quote(p->options.ctx, &q);
}

static void tell_state(void *ctx, const struct receiver_told *t)
{
    struct pregon *p = ctx;
    char feed[65];
    struct pregon_state_change s = {
        .symbol = t->symbol,
        .epoch = t->record->epoch,
        .seq = t->record->seq,
        .prev = t->record->prev,
        .state = t->is_stale ? PREGON_STALE : PREGON_LIVE,
        .feed = feed,
    };

    span_copy(feed, sizeof feed, pack_find_text(t->record->body, "feed"));
    if (p->options.on_state)
        p->options.on_state(p->options.ctx, &s);
}

static void tell_lost(void *ctx, const struct wire_record *r)
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

static void tell_reset(void *ctx, uint64_t epoch, uint64_t old_epoch,
                       const char *reason)
{
    struct pregon *p = ctx;
    struct pregon_reset r = {epoch, old_epoch, reason};

    if (p->options.on_reset)
        p->options.on_reset(p->options.ctx, &r);
}

static void tell_synced(void *ctx)
{
    struct pregon *p = ctx;

    if (p->options.on_synced)
        p->options.on_synced(p->options.ctx);
}

static void tell_link(void *ctx, bool is_up, const char *why)
{
    struct pregon *p = ctx;

    if (is_up) {
        p->is_greeted = false;
        p->hello_at = p->now;
    }
    if (p->options.on_link)
        p->options.on_link(p->options.ctx, is_up, why);
}

static void tell_note(void *ctx, const char *text)
{
    pregon_note(ctx, text);
}

void pregon_follow(struct pregon *p)
{
    struct receiver_settings settings = {
        .mode = p->options.mode == PREGON_NEWEST ? RECEIVER_NEWEST : RECEIVER_ALL,
        .no_snapshot = p->options.no_snapshot,
        .since_epoch = p->options.since.epoch,
        .since_seq = p->options.since.seq,
        .name = random_u64(),
    };
    struct receiver_out out = {
        .ctx = p,
        .listen = listen_to,
        .ask_snapshot = ask_snapshot,
        .ask_replay = ask_replay,
        .quote = tell_quote,
        .state = tell_state,
        .lost = tell_lost,
        .reset = tell_reset,
        .synced = tell_synced,
        .link = tell_link,
        .note = tell_note,
    };

    p->follow = receiver_new(&settings, &out, p->now);
}
