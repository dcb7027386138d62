/*
 * upstream_catch: what to do when records may be missing.
 *
 * Records may be missing after a new connection to the broker, a heartbeat that never came, a
 * `prev` or a heartbeat that names a record we do not have.  Then all topics are synchronised anew,
 * for the newest values.  If somebody follows every record, all records are held back
 * until the log has told what lies between the position that is vouched for and the new mark:
 * a client in mode all never sees what comes after a hole before the hole.
 */
#include <string.h>

#include "shared/replay.h"
#include "gateway/stream.h"
#include "gateway/upstream_private.h"
#include "shared/log.h"
#include "shared/pack.h"

#define HELD_MAX ((size_t)64 * 1024 * 1024)

void upstream_doubt(struct upstream *u)
{
    struct hub *hub = u->g->hub;

    u->doubts++;
    hub_resync(hub);
    u->has_new_topics = true;
    upstream_drop_mark(u); /* one from before this doubt proves nothing */
    u->is_asked = false;
    u->is_halted = u->is_halted || hub_has_anyone_in_all(hub);
}

bool upstream_hold(struct upstream *u, struct span topic, struct span message)
{
    uint32_t lengths[] = {(uint32_t)topic.len, (uint32_t)message.len};

    if (!u->is_halted)
        return false;
    if (u->held.len + message.len > HELD_MAX) {
        u->has_overflowed = true; /* the log has it: we come again */
        return true;
    }
    buf_add(&u->held, lengths, sizeof lengths);
    buf_add(&u->held, topic.at, topic.len);
    buf_add(&u->held, message.at, message.len);
    return true;
}

void upstream_forget_held(struct upstream *u)
{
    buf_free(&u->held);
    u->is_halted = u->has_overflowed = u->is_asked = false;
}

/* What is held was received in order, but what the log told is in it again. */
static void release(struct upstream *u)
{
    struct buf held = u->held;
    struct wire_record r;
    uint32_t lengths[2];
    bool has_overflowed = u->has_overflowed;

    u->held = (struct buf){0};
    u->is_halted = u->has_overflowed = false;
    for (size_t at = 0; at < held.len; at += sizeof lengths + lengths[0] + lengths[1]) {
        struct span topic, message;

        memcpy(lengths, held.data + at, sizeof lengths);
        topic = (struct span){held.data + at + sizeof lengths, lengths[0]};
        message = (struct span){topic.at + topic.len, lengths[1]};
        /* One of them may raise a new doubt: those behind it are held again. */
        if (!wire_read(message, &r, NULL) && !upstream_hold(u, topic, message))
            upstream_take(u, topic, message, &r);
    }
    buf_free(&held);
    if (has_overflowed)
        upstream_doubt(u);
    upstream_ask_more(u);
}

void upstream_catch_up(struct upstream *u)
{
    if (!u->is_halted || u->is_asked)
        return;
    u->is_asked = true;
    if (u->mark_seq <= u->vouched) {
        release(u);
        return;
    }
    log_info("Catching up: asking the log for positions %llu to %llu",
             (unsigned long long)u->vouched + 1, (unsigned long long)u->mark_seq);
    upstream_ask_page(u, u->vouched);
}

static void take_one(void *ctx, struct span topic, const struct wire_record *r)
{
    struct upstream *u = ctx;
    struct span symbol = wire_topic_symbol(topic);

    if (r->kind == WIRE_LOST)
        upstream_take_loss(u, r);
    else if (hub_is_wanted(u->g->hub, symbol))
        hub_apply(u->g->hub, symbol, r);
}

static void tell_pruned(struct upstream *u, uint64_t first, uint64_t last)
{
    struct buf body = {0};

    log_error(
        "Records from position %llu to %llu never came, and the log does not have "
        "them any more: clients in mode all are told",
        (unsigned long long)first, (unsigned long long)last);
    replay_put_hole(&body, first, last, SPAN("retention"));
    stream_lost_all(u->g, last, buf_span(&body));
    buf_free(&body);
}

void upstream_on_page(struct upstream *u, const struct question *q, struct span answer)
{
    uint64_t first = pack_find_u(answer, "first", 0),
             upto = pack_find_u(answer, "upto", 0);

    if (!u->is_halted || q->generation != u->doubts)
        return; /* another doubt came in between: it asks itself */
    if (pack_find_u(answer, "epoch", 0) != hub_epoch(u->g->hub)) {
        upstream_ask_page(
            u, q->after); /* the records will tell of the new epoch, or did */
        return;
    }
    if (first > q->after + 1 && first <= u->mark_seq + 1)
        tell_pruned(u, q->after + 1, first - 1);
    replay_each(answer, q->after, take_one, u);
    if (upto < u->mark_seq && upto > q->after)
        upstream_ask_page(u, upto);
    else if (upto >= u->mark_seq) {
        log_info("Caught up to position %llu", (unsigned long long)upto);
        release(u);
    } else
        upstream_doubt(u);
}

void upstream_settle(struct upstream *u)
{
    struct hub *hub = u->g->hub;

    if (!hub_is_frozen(hub) || u->is_halted || !u->is_here || hub_has_doubts(hub))
        return;
    hub_thaw(hub);
    if (u->mark_seq > u->vouched)
        u->vouched = u->mark_seq;
}
