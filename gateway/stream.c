#include "gateway/stream_private.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/upstream.h"
#include "shared/mem.h"

/* --- requests -------------------------------------------------------------------------- */

void stream_request_end(struct gateway *g, struct request *r)
{
    stream_resume_end(r);
    r->client->requests--;
    r->client->waiting_bytes -= r->cost;
    buf_free(&r->message);
    for (size_t i = 0; i < r->topic_count; i++)
        hub_topic_release(g->hub, r->topics[i]);
    free(r->topics);
    buf_free(&r->rejected.items);
    buf_free(&r->id);
    free(r);
}

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
 * Join, owing what the client has not.  The ack goes before it (`out` is sent before what the hub
 * owes), and the position it states is one below everything still owed.
 */
static void acknowledge(struct gateway *g, struct request *r, bool is_broker_away)
{
    struct client *c = r->client;
    /* In mode all stream_resume tells what is missing; of no symbols nothing is. */
    bool is_recovered =
        (!c->sub.wants_all || !r->topic_count) && is_position_known(g, r);
    uint64_t seq;
    size_t count;

    leave_auto(g, r);
    seq = stream_complete_seq(c);
    count = hub_join(g->hub, &c->sub, r->topics, r->topic_count, r->snapshot_limit,
                     is_recovered ? r->since_seq : 0, &seq);
    stream_state_position(c, seq);
    c->sub.backlog.sent_seq = seq;
    if (!r->is_acked && !r->is_anew)
        stream_say_subscribed(g, r, seq, is_recovered, is_broker_away);
    hub_set_due(g->hub, &c->sub);
    if (r->is_auto && count > r->snapshot_limit)
        stream_say_too_many(c, count, r->snapshot_limit);
}

static bool is_answerable(const struct request *r)
{
    for (size_t i = 0; i < r->topic_count; i++)
        if (r->topics[i]->sync != TOPIC_LIVE)
            return false;
    return true;
}

static void insert(struct gateway *g, struct request **at, struct request *r)
{
    r->next = *at;
    *at = r;
    if (!r->next)
        g->requests_end = &r->next;
}

static struct request *take_out(struct gateway *g, struct request **at)
{
    struct request *r = *at;

    *at = r->next;
    if (!*at)
        g->requests_end = at;
    return r;
}

void stream_forget(struct client *c)
{
    for (struct request **at = &c->g->requests; c->requests && *at;) {
        if ((*at)->client == c)
            stream_request_end(c->g, take_out(c->g, at));
        else
            at = &(*at)->next;
    }
}

struct request *stream_request_new(struct client *c)
{
    struct request *r = mem_zalloc(sizeof *r);

    r->client = c;
    c->requests++;
    r->snapshot_limit = SIZE_MAX;
    r->answer_by = c->g->now + STREAM_WAIT_MS;
    return r;
}

/* Named in the answer, if need be cut short. */
void stream_reject(struct message_texts *t, enum encoding encoding, struct span pattern)
{
    if (pattern.len > STREAM_ID_MAX)
        pattern.len = STREAM_ID_MAX;
    message_texts_add(t, encoding, pattern);
}

/* Add a pattern; one that is none, or one too many, is rejected by name. */
void stream_request_add(struct request *r, struct span pattern)
{
    struct gateway *g = r->client->g;
    struct hub_topic *t;

    if (!hub_is_pattern(pattern) || memchr(pattern.at, '\0', pattern.len) ||
        r->client->sub.topic_count + r->topic_count >= (size_t)g->config.max_symbols) {
        stream_reject(&r->rejected, r->client->sub.encoding, pattern);
        return;
    }
    t = hub_topic_hold(g->hub, pattern);
    for (size_t i = 0; i < r->topic_count; i++)
        if (r->topics[i] == t) {
            hub_topic_release(g->hub, t);
            return;
        }
    if ((r->topic_count & (r->topic_count - 1)) == 0) /* doubles at powers of two */
        r->topics = mem_resize(r->topics, (r->topic_count ? r->topic_count * 2 : 1) *
                                              sizeof *r->topics);
    r->topics[r->topic_count++] = t;
}

/* At the end of the list, or where the message that made it stood. */
void stream_submit(struct gateway *g, struct request *r)
{
    insert(g,
           g->submit_at  ? g->submit_at
           : g->requests ? g->requests_end
                         : &g->requests,
           r);
}

void stream_begin_anew(struct client *c)
{
    struct gateway *g = c->g;
    struct request *r;

    if (!c->sub.topic_count)
        return;
    r = stream_request_new(c);
    r->is_anew = true;
    r->is_auto = c->is_auto;
    if (r->is_auto)
        r->snapshot_limit = (size_t)g->config.auto_max;
    r->topics = mem_alloc(c->sub.topic_count * sizeof *r->topics);
    for (; r->topic_count < c->sub.topic_count; r->topic_count++)
        r->topics[r->topic_count] = hub_topic_hold(
            g->hub, hub_topic_pattern(c->sub.topics[r->topic_count].topic));
    hub_leave_all(g->hub, &c->sub);
    insert(g, &g->requests, r); /* before what it has asked for meanwhile */
}

void stream_message(struct client *c, bool is_text, struct span message)
{
    struct request *r;

    if (!c->requests && client_has_room(c)) {
        stream_run(c, is_text, message);
        return;
    }
    r = stream_request_new(c);
    buf_add(&r->message, message.at, message.len);
    if (!message.len)
        buf_addc(&r->message, ' '); /* as wrong as nothing, but something to run */
    r->is_text = is_text;
    r->cost = sizeof *r + r->message.len;
    c->waiting_bytes += r->cost;
    stream_submit(c->g, r);
}

/*
 * A subscription whose topics are not live waits, for so long as the broker is there.  One
 * that is ahead waits until we have caught up, the broker says that there is no such
 * position, or the broker is known to be away.
 */
static bool is_patient(struct gateway *g, struct request *r, bool is_away)
{
    if (!upstream_is_here(g->upstream))
        return false;
    if (is_ahead(g, r) && r->topic_count)
        return g->now < r->answer_by + UPSTREAM_SILENCE_MS &&
               !stream_resume_is_beyond(g, r);
    return is_away && g->now < r->answer_by;
}

/* Answer a subscription if that can be done now. */
static bool settle(struct gateway *g, struct request *r)
{
    bool is_away = !is_answerable(r);

    if (!r->client->sub.wants_all) {
        if (is_patient(g, r, is_away))
            return false;
    } else if (is_away) {
        return false; /* in mode all nothing follows a hole, not at the beginning either */
    } else if (r->has_since && r->topic_count) {
        switch (stream_resume(g, r)) {
        case RESUME_WAITS:
            return false;
        case RESUME_READY:
            hub_join(g->hub, &r->client->sub, r->topics, r->topic_count, 0,
                     HUB_SINCE_NOW, NULL);
            return true;
        case RESUME_NOT_KEPT:
            break;
        }
    }
    acknowledge(g, r, is_away);
    return true;
}

void stream_settle(struct gateway *g)
{
    g->settle_round++;
    for (struct request **at = &g->requests; *at;) {
        struct request *r = *at;
        bool is_behind = r->client->waits_in_round == g->settle_round;

        r->is_cut = !is_behind && !client_has_room(r->client);
        if (is_behind || r->is_cut || (!r->message.len && !settle(g, r))) {
            r->client->waits_in_round = g->settle_round;
            at = &r->next;
            continue;
        }
        take_out(g, at);
        if (r->message.len) {
            g->submit_at = at;
            stream_run(r->client, r->is_text, buf_span(&r->message));
            g->submit_at = NULL;
        }
        hub_set_due(g->hub, &r->client->sub);
        stream_request_end(g, r);
    }
    stream_resume_ask(g);
}

bool stream_has_more(const struct gateway *g)
{
    for (const struct request *r = g->requests; r; r = r->next)
        if (stream_resume_has_room(r))
            return true;
    return false;
}
