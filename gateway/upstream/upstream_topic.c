/*
 * upstream_topic: which topics are subscribed, and the marks that say since when they are live.
 */
#include <stdio.h>
#include <string.h>
#include <zmq.h>

#include "gateway/upstream/upstream_private.h"
#include "shared/wire/bus.h"

#define ASKED_MAX 64 /* snapshots of topics under way */
#define MARK_MS 1000 /* before a mark is tried again */

static void subscribe(struct upstream *u, int option, const char *topic, size_t len)
{
    zmq_setsockopt(u->records.socket, option, topic, len);
    readiness_touch(&u->records);
}

/* "EUR/USD" is subscribed as "EUR/USD ", "BTC*" as "BTC". */
static size_t zmq_topic(const struct hub_topic *t, char out[WIRE_TOPIC_MAX])
{
    if (!t->is_prefix)
        return wire_topic(out, hub_topic_pattern(t));
    memcpy(out, t->pattern, (size_t)t->pattern_len - 1);
    return (size_t)t->pattern_len - 1;
}

static void on_topic_new(void *ctx, struct hub_topic *t)
{
    struct upstream *u = ctx;
    char topic[WIRE_TOPIC_MAX];

    subscribe(u, ZMQ_SUBSCRIBE, topic, zmq_topic(t, topic));
    u->has_new_topics = true;
}

static void on_topic_gone(void *ctx, const struct hub_topic *t)
{
    struct upstream *u = ctx;
    char topic[WIRE_TOPIC_MAX];

    subscribe(u, ZMQ_UNSUBSCRIBE, topic, zmq_topic(t, topic));
}

void upstream_subscribe_all(struct upstream *u)
{
    subscribe(u, ZMQ_SUBSCRIBE, WIRE_TOPIC_HEARTBEAT, sizeof WIRE_TOPIC_HEARTBEAT - 1);
    subscribe(u, ZMQ_SUBSCRIBE, WIRE_TOPIC_LOST, sizeof WIRE_TOPIC_LOST - 1);
    subscribe(u, ZMQ_SUBSCRIBE, WIRE_TOPIC_WELCOME, sizeof WIRE_TOPIC_WELCOME - 1);
    for (struct hub_topic *t = hub_topic_first(u->g->hub); t; t = t->next)
        on_topic_new(u, t);
}

void upstream_drop_mark(struct upstream *u)
{
    if (u->mark[0])
        subscribe(u, ZMQ_UNSUBSCRIBE, u->mark, strlen(u->mark));
    u->mark[0] = '\0';
}

/*
 * One mark serves all topics that are new; those that come meanwhile wait for the next.  A resync
 * needs one even if there is no topic.  While the gateway catches up to one, no other is placed:
 * the end of the catch-up must not move.
 */
void upstream_place_mark(struct upstream *u)
{
    bool is_wanted = !u->is_verified;

    if (u->is_catching_up || (u->mark[0] ? u->g->now - u->mark_at < MARK_MS
                                         : !u->has_new_topics && !is_wanted))
        return;
    u->has_new_topics = false;
    u->generation += is_wanted;
    for (struct hub_topic *t = hub_topic_first_pending(u->g->hub); t;
         t = t->next_pending) {
        if (t->sync == TOPIC_SYNCING && t->is_marked)
            continue; /* its snapshot is under way */
        if (!is_wanted)
            u->generation++;
        is_wanted = true;
        t->sync = TOPIC_SYNCING;
        t->is_marked = false;
        t->generation = u->generation;
    }
    upstream_drop_mark(u); /* if all topics that waited for it are gone, too */
    if (!is_wanted)
        return;
    snprintf(u->mark, sizeof u->mark, WIRE_TOPIC_MARK "%s-%u ", u->mark_name,
             u->generation);
    subscribe(u, ZMQ_SUBSCRIBE, u->mark, strlen(u->mark));
    u->mark_at = u->g->now;
}

void upstream_on_mark(struct upstream *u, struct span topic, uint64_t seq,
                      uint64_t heartbeats)
{
    if (!u->mark[0] || !span_eq(topic, u->mark))
        return; /* somebody else's, seen through a subscription to everything */
    upstream_drop_mark(u);
    u->mark_seq = seq;
    if (!u->is_verified) {
        u->heartbeat_number = heartbeats; /* those before it were not looked at */
        upstream_catch_up(u);
    }
    if (u->asked_upto == u->to_ask.len) {
        buf_clear(&u->to_ask);
        u->asked_upto = 0;
    }
    for (struct hub_topic *t = hub_topic_first_pending(u->g->hub); t;
         t = t->next_pending) {
        if (t->sync != TOPIC_SYNCING || t->generation != u->generation)
            continue;
        t->is_marked = true;
        buf_add(&u->to_ask, t->pattern, (size_t)t->pattern_len + 1);
    }
    upstream_request_more(u);
}

void upstream_request_more(struct upstream *u)
{
    while (u->is_verified && u->asked < ASKED_MAX && u->asked_upto < u->to_ask.len) {
        const char *pattern = u->to_ask.data + u->asked_upto;
        const struct hub_topic *t = hub_topic_find(u->g->hub, span_of(pattern));

        if (t && t->sync == TOPIC_SYNCING && t->is_marked)
            upstream_request_snapshot(u, QUESTION_TOPIC, pattern, t->generation, 0);
        u->asked_upto += strlen(pattern) + 1;
    }
}

void upstream_watch_topics(struct upstream *u)
{
    hub_watch(u->g->hub, (struct hub_watcher){u, on_topic_new, on_topic_gone});
}
