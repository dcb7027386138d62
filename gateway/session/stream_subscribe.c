/*
 * stream_subscribe: how a subscription, or the end of one, goes on in slices.
 *
 * Its patterns are taken one by one; a subscription waits until their topics are live; then it joins
 * (hub_join): what its topics match is found, it is acknowledged, and the snapshots are owed.
 * A slice ends when its client has no steps left.
 */
#include <stdlib.h>
#include <string.h>

#include "gateway/session/stream_private.h"
#include "gateway/upstream/upstream.h"
#include "shared/base/mem.h"

#define PATTERN_STEPS 8 /* what taking a pattern costs, */
#define TOPIC_STEPS 64  /* and one that nobody holds */

/* --- patterns ---------------------------------------------------------------------------- */

/* Named in the answer, if need be cut short. */
void stream_reject(struct message_texts *t, enum encoding encoding, struct span pattern)
{
    if (pattern.len > STREAM_ID_MAX)
        pattern.len = STREAM_ID_MAX;
    message_texts_add(t, encoding, pattern);
}

void stream_request_add(struct request *r, struct span pattern)
{
    uint32_t len = (uint32_t)pattern.len;

    buf_add(&r->patterns, &len, sizeof len);
    buf_add(&r->patterns, pattern.at, pattern.len);
}

/* The next to be taken. */
static struct span next_pattern(const struct request *r)
{
    uint32_t len;

    memcpy(&len, r->patterns.data + r->patterns_at, sizeof len);
    return (struct span){r->patterns.data + r->patterns_at + sizeof len, len};
}

/* r takes over the caller's reference. */
static void add_topic(struct request *r, struct hub_topic *t)
{
    if ((r->topic_count & (r->topic_count - 1)) == 0) /* doubles at powers of two */
        r->topics = mem_resize(r->topics, (r->topic_count ? r->topic_count * 2 : 1) *
                                              sizeof *r->topics);
    r->topics[r->topic_count++] = t;
}

/* A topic more must not make the broker end the gateway's connection. */
static bool has_room_for(const struct gateway *g, struct span pattern)
{
    return hub_topic_find(g->hub, pattern) || pattern.len == 1 ||
           hub_topic_bytes(g->hub) + hub_topic_cost(pattern) <=
               (size_t)g->config.topic_bytes;
}

/* One that is none, or one too many, is rejected by name. */
static void hold(struct request *r, struct span pattern)
{
    struct gateway *g = r->client->g;
    struct hub_topic *t;

    if (!hub_is_pattern(pattern) || memchr(pattern.at, '\0', pattern.len) ||
        !has_room_for(g, pattern) ||
        r->client->sub.topic_count + r->kept_count + r->topic_count >=
            (size_t)g->config.max_symbols) {
        stream_reject(&r->rejected, r->client->sub.encoding, pattern);
        return;
    }
    t = hub_topic_hold(g->hub, pattern);
    if (t->asked_by == r->number) { /* named twice */
        hub_topic_release(g->hub, t);
        return;
    }
    t->asked_by = r->number;
    message_texts_add(&r->accepted, r->client->sub.encoding, pattern);
    add_topic(r, t);
}

bool stream_is_live(const struct client *c)
{
    if (hub_is_frozen(c->g->hub))
        return false;
    for (uint32_t i = 0; i < c->sub.topic_count; i++)
        if (c->sub.topics[i].topic->sync != TOPIC_LIVE)
            return false;
    return true;
}

void stream_request_keep(struct request *r)
{
    struct client *c = r->client;

    if (backlog_is_empty(&c->sub.backlog) && stream_is_live(c))
        return;        /* it has every record */
    if (!c->is_auto) { /* the automatic subscription ends with this one */
        r->kept = mem_alloc((c->sub.topic_count + 1) * sizeof *r->kept);
        for (; r->kept_count < c->sub.topic_count; r->kept_count++)
            r->kept[r->kept_count] = hub_topic_hold(
                c->g->hub, hub_topic_pattern(c->sub.topics[r->kept_count].topic));
    }
    hub_leave_all(c->g->hub, &c->sub);
    hub_set_due(c->g->hub, &c->sub); /* it may have answers to be sent */
}

static void add_kept(struct request *r)
{
    while (r->kept_count) {
        struct hub_topic *t = r->kept[--r->kept_count];

        if (t->asked_by == r->number)
            hub_topic_release(r->client->g->hub, t);
        else
            add_topic(r, t);
    }
}

static void leave(struct request *r, struct span pattern)
{
    struct client *c = r->client;

    if (hub_leave(c->g->hub, &c->sub, pattern))
        message_texts_add(&r->left, c->sub.encoding, pattern);
    else
        stream_reject(&r->rejected, c->sub.encoding, pattern);
}

/* It may be taken now: it is held already, or its client may make one more topic. */
static bool may_take(struct request *r, struct span pattern, size_t *steps)
{
    struct gateway *g = r->client->g;
    const struct bucket_rate rate = {.capacity = (uint32_t)g->config.max_symbols +
                                                 STREAM_TOPICS,
                                     .count = STREAM_TOPICS,
                                     .period_ms = STREAM_TOPICS_MS};
    bool is_new = !r->is_leaving && !hub_topic_find(g->hub, pattern);
    size_t cost = is_new ? TOPIC_STEPS : PATTERN_STEPS;

    if (*steps < cost || (is_new && !bucket_take(&r->client->topics, &rate, g->now))) {
        *steps = 0;
        return false;
    }
    *steps -= cost;
    return true;
}

/* false: the slice is over. */
static bool take_patterns(struct request *r, size_t *steps)
{
    while (r->patterns_at < r->patterns.len) {
        struct span pattern = next_pattern(r);

        if (!may_take(r, pattern, steps))
            return false;
        r->patterns_at += sizeof(uint32_t) + pattern.len;
        if (r->is_leaving)
            leave(r, pattern);
        else
            hold(r, pattern);
    }
    buf_free(&r->patterns);
    r->patterns_at = 0;
    add_kept(r);
    return true;
}

/* --- waiting ----------------------------------------------------------------------------- */

/* The automatic subscription ends with the first that was asked for. */
static void leave_auto(struct gateway *g, struct request *r)
{
    struct client *c = r->client;

    if (!c->is_auto || r->is_auto)
        return;
    while (c->sub.topic_count)
        hub_leave(g->hub, &c->sub, hub_topic_pattern(c->sub.topics[0].topic));
    c->is_auto = false;
}

/* Another gateway was ahead of us, or there is no such position. */
static bool is_ahead(const struct gateway *g, const struct request *r)
{
    return r->has_since && r->since_epoch == hub_epoch(g->hub) &&
           r->since_seq > hub_applied(g->hub);
}

/*
 * All that changed since can be told.  While the broker is away a client that is ahead is believed:
 * of what came after its position we know nothing, and it will be told when we do.
 */
static bool is_position_known(const struct gateway *g, const struct request *r)
{
    return r->has_since && r->since_epoch == hub_epoch(g->hub) &&
           (!is_ahead(g, r) || !upstream_is_here(g->upstream));
}

/*
 * A subscription whose topics are not live waits, for so long as the broker is there.  One that is
 * ahead also waits until we have caught up or the broker says that there is no such position.
 */
static bool is_patient(struct gateway *g, struct request *r, bool is_away)
{
    if (!upstream_is_here(g->upstream))
        return false;
    if (is_ahead(g, r) && r->topic_count &&
        g->now < r->answer_by + UPSTREAM_SILENCE_MS && !stream_resume_is_beyond(g, r))
        return true;
    return is_away && g->now < r->answer_by;
}

/*
 * Are all of its topics live?  Those before `live` were when they were looked at last, so a request
 * that waits is not looked through again.
 */
static bool is_answerable(const struct hub *h, struct request *r)
{
    if (r->live_in != hub_restarts(h)) {
        r->live_in = hub_restarts(h);
        r->live = 0;
    }
    while (r->live < r->topic_count && r->topics[r->live]->sync == TOPIC_LIVE)
        r->live++;
    return r->live == r->topic_count;
}

static void begin_join(struct gateway *g, struct request *r, bool is_away)
{
    struct client *c = r->client;

    /* In mode all stream_resume tells what is missing; of no symbols nothing is. */
    r->is_recovered = (!c->sub.wants_all || !r->topic_count) && is_position_known(g, r);
    r->is_away = is_away;
    leave_auto(g, r);
    r->complete_seq = stream_complete_seq(c);
    r->join_epoch = hub_epoch(g->hub);
    hub_join_begin(g->hub, &c->sub, r->topics, r->topic_count,
                   r->is_recovered ? r->since_seq : 0, r->snapshot_limit,
                   (size_t)g->config.client_queue / 2);
    r->phase = REQUEST_FINDS;
}

/* REQUEST_WAITS: it may go on, and what it does next is in r->phase. */
static bool stop_waiting(struct gateway *g, struct request *r, size_t *steps)
{
    struct client *c = r->client;
    bool is_away = !is_answerable(g->hub, r);

    if (c->sub.backlog.is_dirty && c->sub.wants_all) {
        size_t cost = backlog_length(&c->sub.backlog); /* CLIENT_QUEUE bounds it */

        hub_verify_backlog(g->hub, &c->sub, UINT32_MAX);
        *steps -= cost < *steps ? cost : *steps;
    }
    if (!c->sub.wants_all) {
        if (is_patient(g, r, is_away))
            return false;
    } else if (is_away) {
        return false; /* in mode all nothing follows a hole, not at the beginning either */
    } else if (r->has_since && r->topic_count) {
        switch (stream_resume(g, r, steps)) {
        case RESUME_WAITS:
            return false;
        case RESUME_READY:
            hub_join(g->hub, &c->sub, r->topics, r->topic_count, 0, HUB_SINCE_NOW,
                     NULL);
            r->phase = REQUEST_DONE;
            return true;
        case RESUME_NOT_KEPT:
            break;
        }
    }
    begin_join(g, r, is_away);
    return true;
}

/* --- answering --------------------------------------------------------------------------- */

/*
 * The ack goes before what the hub owes (`out` is sent first), and the position it states is one
 * below everything still owed.
 */
static void acknowledge(struct gateway *g, struct request *r)
{
    struct client *c = r->client;
    uint64_t seq = r->complete_seq;
    size_t count = hub_join_changed(&c->sub, &seq);

    if (r->join_epoch != hub_epoch(g->hub)) {
        seq = 0;
        r->is_recovered = false;
    }
    if (r->is_away) { /* of what it did not have before, little is known here */
        c->is_incomplete = true;
        if (!r->is_recovered)
            seq = 0;
        else if (seq > r->since_seq)
            seq = r->since_seq;
    }
    stream_state_position(c, seq);
    c->sub.backlog.sent_seq = seq;
    if (!r->is_acked && !r->is_anew)
        stream_send_subscribed(g, r, seq, r->is_recovered, r->is_away);
    r->phase = REQUEST_OWES;
    if (r->is_auto && count > r->snapshot_limit)
        stream_send_too_many(c, count, r->snapshot_limit);
}

static void say_left(struct request *r)
{
    struct client *c = r->client;
    struct message m;

    message_begin(&m, c->sub.encoding, "ack");
    message_text(&m, "op", SPAN("unsubscribe"));
    stream_put_id(&m, &r->id);
    message_u(&m, "seq", stream_complete_seq(c));
    message_put_texts(&m, "symbols", &r->left);
    message_put_texts(&m, "rejected", &r->rejected);
    stream_finish(c, &m);
}

bool stream_advance(struct gateway *g, struct request *r, size_t *steps)
{
    struct client *c = r->client;
    struct hub_subscriber *sub = &c->sub;

    if (!take_patterns(r, steps))
        return false;
    if (r->is_leaving) {
        say_left(r);
        return true;
    }
    if (r->phase == REQUEST_FINDS && !sub->join)
        r->phase = REQUEST_WAITS; /* a new log came in between */
    if (r->phase == REQUEST_WAITS && !stop_waiting(g, r, steps))
        return false;
    if (r->phase == REQUEST_FINDS) {
        if (!hub_join_find(g->hub, sub, steps))
            return false;
        acknowledge(g, r);
        if (c->is_closing)
            return true; /* it was one error too many: the request is gone */
    }
    if (r->phase == REQUEST_OWES && sub->join && !hub_join_owe(g->hub, sub, steps)) {
        r->is_cut = *steps > 0; /* no room, then */
        return false;
    }
    return true;
}
