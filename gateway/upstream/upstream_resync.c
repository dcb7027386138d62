/*
 * upstream_resync: which records may be delivered.
 *
 * The invariant: a record reaches the hub only while the link is *verified*, which means that of the
 * topics with a client in mode all every earlier record was applied, or reported as lost.  The
 * link starts unverified.  It becomes unverified again with a new connection, when the broker was silent,
 * when the log is another one, and when a heartbeat, a `prev` or a snapshot names a record that never
 * came.  Only a completed resync makes it verified:
 *
 *   1. A mark is subscribed and comes back.  The records before it are dropped: what they said
 *      is in the log and in the snapshots that are asked for after it.
 *   2. If a client is in mode all, the log is asked, page by page, for what lies between `verified_seq` and the
 *      mark.  Records after the mark are held meanwhile, at most HELD_MAX bytes; more of them
 *      begin another resync, which goes on from the last page.
 *   3. The held records are delivered.
 *
 * The broker cuts a connection rather than drop a record on it (broker/net/publisher.h), so a verified
 * connection has no holes; what heartbeats and `prev` find is a second line of defence.
 */
#include <string.h>

#include "gateway/session/sessions.h"
#include "gateway/upstream/upstream_private.h"
#include "shared/base/log.h"
#include "shared/wire/pack.h"
#include "shared/wire/replay.h"

#define HELD_MAX ((size_t)64 * 1024 * 1024)
#define RETRY_MS \
    250 /* before a page that was refused or brought nothing is asked for again */

void upstream_resync(struct upstream *u)
{
    u->is_verified = u->is_catching_up = u->is_page_asked = false;
    u->resyncs++;
    u->heartbeat_number = 0; /* it may be another broker, counting anew */
    buf_free(&u->held);
    buf_clear(&u->to_ask); /* topics of before: their mark proves nothing any more */
    u->asked_upto = 0;
    hub_resync(u->g->hub);
    u->has_new_topics = true;
    upstream_drop_mark(u); /* one that was asked for before proves nothing */
}

static void hold(struct upstream *u, struct span topic, struct span message)
{
    uint32_t lengths[] = {(uint32_t)topic.len, (uint32_t)message.len};

    if (u->held.len + sizeof lengths + topic.len + message.len > HELD_MAX) {
        log_info("More than %zu MiB of records wait for the log: asking it again",
                 HELD_MAX >> 20);
        upstream_resync(u);
        return;
    }
    buf_add(&u->held, lengths, sizeof lengths);
    buf_add(&u->held, topic.at, topic.len);
    buf_add(&u->held, message.at, message.len);
}

void upstream_deliver(struct upstream *u, struct span topic, struct span message,
                      const struct wire_record *r)
{
    if (u->is_verified)
        upstream_apply(u, topic, r);
    else if (u->is_catching_up)
        hold(u, topic, message);
}

/* The log gave everything up to the mark, and what is held came in order after it. */
static void verify(struct upstream *u)
{
    struct buf held = u->held;
    struct wire_record r;
    uint32_t lengths[2];

    u->held = (struct buf){0};
    u->is_catching_up = false;
    u->is_verified = true;
    if (u->mark_seq > u->lost_seq)
        u->lost_seq = u->mark_seq;
    for (size_t at = 0; at < held.len; at += sizeof lengths + lengths[0] + lengths[1]) {
        struct span topic, message;

        memcpy(lengths, held.data + at, sizeof lengths);
        topic = (struct span){held.data + at + sizeof lengths, lengths[0]};
        message = (struct span){topic.at + topic.len, lengths[1]};
        if (!wire_read(message, &r, NULL))
            upstream_deliver(u, topic, message, &r); /* it may begin another resync */
    }
    buf_free(&held);
    upstream_request_more(u);
}

static void ask_page(struct upstream *u)
{
    u->is_page_asked = true;
    upstream_request_page(u);
}

void upstream_catch_up(struct upstream *u)
{
    struct hub *hub = u->g->hub;

    if (!u->has_verified_seq) /* what was before, snapshots say */
        u->verified_seq = u->mark_seq;
    u->has_verified_seq = true;
    u->is_catching_up = true;
    if (u->verified_seq >= u->mark_seq) {
        verify(u);
    } else if (!hub_has_anyone_in_all(hub)) {
        /* Snapshots will do, and nobody asks the log for what the window lacks. */
        u->verified_seq = u->mark_seq;
        hub_break_window(hub, u->mark_seq);
        verify(u);
    } else {
        log_info("Catching up: asking the log for positions %llu to %llu",
                 (unsigned long long)u->verified_seq + 1,
                 (unsigned long long)u->mark_seq);
        ask_page(u);
    }
}

static void take_one(void *ctx, struct span topic, const struct wire_record *r)
{
    struct upstream *u = ctx;
    struct span symbol = wire_topic_symbol(topic);

    if (!r->epoch) /* a hole of the log itself */
        sessions_report_loss(u->g->sessions, r->seq, r->body);
    else if (r->kind == WIRE_LOST)
        upstream_take_loss(u, r);
    else if (hub_is_wanted(u->g->hub, symbol))
        hub_apply(u->g->hub, symbol, r);
}

static void report_pruned(struct upstream *u, uint64_t first, uint64_t last)
{
    struct buf body = {0};

    log_error(
        "Records from position %llu to %llu never came, and the log does not have "
        "them any more: clients in mode all are told",
        (unsigned long long)first, (unsigned long long)last);
    replay_put_hole(&body, first, last, SPAN("retention"));
    sessions_report_loss(u->g->sessions, last, buf_span(&body));
    buf_free(&body);
}

static void ask_later(struct upstream *u)
{
    u->is_page_asked = false;
    u->page_at = u->g->now + RETRY_MS;
}

void upstream_on_no_page(struct upstream *u, const struct question *q)
{
    if (u->is_catching_up && q->generation == u->resyncs)
        ask_later(u);
}

void upstream_on_page(struct upstream *u, const struct question *q, struct span answer)
{
    uint64_t first = pack_find_u(answer, "first", 0),
             upto = pack_find_u(answer, "upto", 0), after = u->verified_seq;

    if (!u->is_catching_up || q->generation != u->resyncs)
        return; /* another resync came in between: it asks itself */
    if (pack_find_u(answer, "epoch", 0) != hub_epoch(u->g->hub) ||
        pack_find_text(answer, "error").len) {
        ask_later(u); /* the records will tell of the new epoch, or did */
        return;
    }
    if (first > after + 1) {
        u->verified_seq = first - 1 < u->mark_seq ? first - 1 : u->mark_seq;
        report_pruned(u, after + 1, u->verified_seq);
    }
    replay_each(answer, u->verified_seq, take_one, u);
    if (upto > u->mark_seq)
        upto = u->mark_seq;
    if (upto > u->verified_seq)
        u->verified_seq = upto;
    if (u->verified_seq >= u->mark_seq) {
        log_info("Caught up to position %llu", (unsigned long long)u->mark_seq);
        verify(u);
    } else if (u->verified_seq > after) {
        ask_page(u);
    } else {
        ask_later(u);
    }
}

void upstream_resync_tick(struct upstream *u)
{
    struct hub *hub = u->g->hub;

    if (u->is_catching_up && !u->is_page_asked && u->g->now >= u->page_at)
        ask_page(u);
    if (!hub_is_frozen(hub) || !u->is_verified || !u->is_here || hub_is_resyncing(hub))
        return;
    hub_thaw(hub);
}
