/*
 * session_subscribe: carries out a subscription, or the end of one, in slices.
 *
 * Its patterns are taken one by one; a subscription waits until their topics are live; then it
 * joins (hub_join): the symbols of its topics are found, the session gets the ack, and the
 * snapshots are queued. A slice ends when its session has no steps left.
 */
#include <stdlib.h>
#include <string.h>

#include "gateway/session/session_private.h"
#include "shared/base/array.h"

#define PATTERN_STEPS 8 /* what taking a pattern costs, */
#define TOPIC_STEPS 64  /* and one that no session holds */
/* How much longer a client that is ahead of this gateway waits for the broker's answer. */
#define AHEAD_WAIT_MS 3000

/* --- patterns ---------------------------------------------------------------------------- */

void session_reject(struct message_texts *t, enum encoding encoding, struct span pattern)
{
    if (pattern.len > SESSION_ID_MAX)
        pattern.len = SESSION_ID_MAX;
    message_texts_add(t, encoding, pattern);
}

/* The next to be taken. */
static struct span next_pattern(const struct session_request *r)
{
    uint32_t len;

    memcpy(&len, r->patterns.data + r->patterns_at, sizeof len);
    return (struct span){r->patterns.data + r->patterns_at + sizeof len, len};
}

/* r takes ownership of the caller's reference. */
static void add_topic(struct session_request *r, struct hub_topic *t)
{
    ARRAY_ADD(r->topics, r->topic_cap, r->topic_count, t);
}

/* A topic more must not make the broker end the gateway's connection. */
static bool has_room_for(const struct sessions *all, struct span pattern)
{
    return hub_topic_find(all->hub, pattern) || pattern.len == 1 ||
           hub_topic_bytes(all->hub) + hub_topic_cost(pattern) <= (size_t)all->config->topic_bytes;
}

/* Reject by name a pattern that is invalid or exceeds the limit. */
static void hold(struct session_request *r, struct span pattern)
{
    struct sessions *all = r->session->all;
    struct hub_topic *t;

    if (!hub_is_pattern(pattern) || memchr(pattern.at, '\0', pattern.len) ||
        !has_room_for(all, pattern) ||
        r->session->sub.topic_count + r->kept_count + r->topic_count >=
            (size_t)all->config->max_symbols) {
        session_reject(&r->rejected, r->session->sub.encoding, pattern);
        return;
    }
    t = hub_topic_retain(all->hub, pattern);
    if (t->requested_by == r->number) { /* named twice */
        hub_topic_release(all->hub, t);
        return;
    }
    t->requested_by = r->number;
    message_texts_add(&r->accepted, r->session->sub.encoding, pattern);
    add_topic(r, t);
}

void session_request_keep(struct session_request *r)
{
    struct session *s = r->session;

    if (backlog_is_empty(&s->sub.backlog) && session_is_live(s))
        return;        /* it has every record */
    if (!s->is_auto) { /* the automatic subscription ends with this one */
        r->kept = mem_alloc((s->sub.topic_count + 1) * sizeof *r->kept);
        for (; r->kept_count < s->sub.topic_count; r->kept_count++)
            r->kept[r->kept_count] = hub_topic_retain(
                s->all->hub, hub_topic_pattern(s->sub.topics[r->kept_count].topic));
    }
    hub_leave_all(s->all->hub, &s->sub);
    hub_set_due(s->all->hub, &s->sub); /* it may have answers to be sent */
}

static void add_kept(struct session_request *r)
{
    while (r->kept_count) {
        struct hub_topic *t = r->kept[--r->kept_count];

        if (t->requested_by == r->number)
            hub_topic_release(r->session->all->hub, t);
        else
            add_topic(r, t);
    }
}

static void leave(struct session_request *r, struct span pattern)
{
    struct session *s = r->session;

    if (hub_leave(s->all->hub, &s->sub, pattern))
        message_texts_add(&r->left, s->sub.encoding, pattern);
    else
        session_reject(&r->rejected, s->sub.encoding, pattern);
}

/*
 * May the pattern be taken now?  Yes if the gateway has it already, or if the session may make one
 * more topic.
 */
static bool may_take(struct session_request *r, struct span pattern, size_t *steps)
{
    struct sessions *all = r->session->all;
    const struct bucket_rate rate = {.capacity =
                                         (uint32_t)all->config->max_symbols + SESSION_TOPICS,
                                     .count = SESSION_TOPICS,
                                     .period_ms = SESSION_TOPICS_MS};
    bool is_new = !r->is_leaving && !hub_topic_find(all->hub, pattern);
    size_t cost = is_new ? TOPIC_STEPS : PATTERN_STEPS;

    if (*steps < cost || (is_new && !bucket_take(&r->session->topics, &rate, all->now))) {
        *steps = 0;
        return false;
    }
    *steps -= cost;
    return true;
}

/* false: the slice is over. */
static bool take_patterns(struct session_request *r, size_t *steps)
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

/* The automatic subscription ends with the first that was requested. */
static void leave_auto(struct session_request *r)
{
    struct session *s = r->session;

    if (!s->is_auto || r->is_auto)
        return;
    while (s->sub.topic_count)
        hub_leave(s->all->hub, &s->sub, hub_topic_pattern(s->sub.topics[0].topic));
    s->is_auto = false;
}

static bool is_broker_here(const struct session_request *r)
{
    const struct session_out *out = &r->session->all->out;

    return out->is_broker_here(out->ctx);
}

static bool is_of_this_log(const struct session_request *r)
{
    return r->has_since && r->since_epoch == hub_epoch(r->session->all->hub);
}

/* Was another gateway ahead of this one, or does the position not exist? */
static bool is_ahead(const struct session_request *r)
{
    return is_of_this_log(r) && r->since_seq > hub_applied(r->session->all->hub);
}

/*
 * Can all changes since the position be sent?  While the broker is away, the gateway accepts a
 * position that is ahead: it has no records after the position, and sends them as soon as it gets
 * them.
 */
static bool is_position_known(const struct session_request *r)
{
    return is_of_this_log(r) && (!is_ahead(r) || !is_broker_here(r));
}

/*
 * A subscription whose topics are not live waits as long as the broker is connected.  One that is
 * ahead also waits until the gateway has caught up or the broker answers that the position does not
 * exist.
 */
static bool is_patient(struct session_request *r, bool is_away)
{
    int64_t now = r->session->all->now;

    if (!is_broker_here(r))
        return false;
    if (is_ahead(r) && r->topic_count && now < r->answer_by + AHEAD_WAIT_MS &&
        !session_resume_is_beyond(r))
        return true;
    return is_away && now < r->answer_by;
}

/*
 * Are all of its topics live?  Those before `live` were live at the last check, so a waiting
 * request does not check them again.
 */
static bool is_answerable(const struct hub *h, struct session_request *r)
{
    if (r->live_in != hub_restarts(h)) {
        r->live_in = hub_restarts(h);
        r->live = 0;
    }
    while (r->live < r->topic_count && r->topics[r->live]->is_live)
        r->live++;
    return r->live == r->topic_count;
}

static void begin_join(struct session_request *r, bool is_away)
{
    struct session *s = r->session;
    struct sessions *all = s->all;

    /* In mode all session_resume sends the missed records; without symbols none are missed. */
    r->is_recovered = (!s->sub.wants_all || !r->topic_count) && is_position_known(r);
    r->is_away = is_away;
    leave_auto(r);
    r->complete_seq = session_complete_seq(s);
    r->join_epoch = hub_epoch(all->hub);
    hub_join_begin(all->hub, &s->sub, r->topics, r->topic_count, r->is_recovered ? r->since_seq : 0,
                   r->snapshot_limit, (size_t)all->config->client_queue / 2);
    r->phase = REQUEST_FINDING;
}

/* REQUEST_WAITING: decide whether the request may continue; its next step is in r->phase. */
static bool stop_waiting(struct session_request *r, size_t *steps)
{
    struct session *s = r->session;
    struct hub *hub = s->all->hub;
    bool is_away = !is_answerable(hub, r);

    /*
     * Do this before the backlog is verified.  Otherwise records come twice, and the next request
     * drops everything.
     */
    if (s->sub.wants_all && !is_away && r->has_since && r->topic_count)
        leave_auto(r);
    if (s->sub.backlog.is_dirty && s->sub.wants_all) {
        size_t cost = backlog_length(&s->sub.backlog); /* CLIENT_QUEUE bounds it */

        hub_verify_backlog(hub, &s->sub, UINT32_MAX);
        *steps -= cost < *steps ? cost : *steps;
    }
    if (!s->sub.wants_all) {
        if (is_patient(r, is_away))
            return false;
    } else if (is_away) {
        return false; /* in mode all nothing follows a hole, not at the beginning either */
    } else if (r->has_since && r->topic_count) {
        switch (session_resume(r, steps)) {
        case RESUME_WAITS:
            return false;
        case RESUME_READY:
            hub_join(hub, &s->sub, r->topics, r->topic_count, 0, HUB_SINCE_NOW, NULL);
            r->phase = REQUEST_DONE;
            return true;
        case RESUME_NOT_KEPT:
            break;
        }
    }
    begin_join(r, is_away);
    return true;
}

/* --- answering --------------------------------------------------------------------------- */

/*
 * The ack is sent before the hub's pending frames (`out` comes first), and its position is one
 * below everything still unsent.
 */
static void acknowledge(struct session_request *r)
{
    struct session *s = r->session;
    uint64_t seq = r->complete_seq;
    size_t count = hub_join_changed(&s->sub, &seq);

    if (r->join_epoch != hub_epoch(s->all->hub)) {
        seq = 0;
        r->is_recovered = false;
    }
    if (r->is_away) { /* the gateway knows little about the new topics */
        s->is_incomplete = true;
        if (!r->is_recovered)
            seq = 0;
        else if (seq > r->since_seq)
            seq = r->since_seq;
    }
    session_state_position(s, seq);
    s->sub.backlog.sent_seq = seq;
    if (!r->is_acked && !r->is_anew)
        session_send_subscribed(r, seq, r->is_recovered, r->is_away);
    r->phase = REQUEST_QUEUEING;
    if (r->is_auto && count > r->snapshot_limit)
        session_send_too_many(s, count, r->snapshot_limit);
}

static void send_left(struct session_request *r)
{
    struct session *s = r->session;
    struct message m;

    message_begin(&m, s->sub.encoding, "ack");
    message_text(&m, "op", SPAN("unsubscribe"));
    session_put_id(&m, &r->id);
    message_u(&m, "seq", session_complete_seq(s));
    message_put_texts(&m, "symbols", &r->left);
    message_put_texts(&m, "rejected", &r->rejected);
    session_finish(s, &m);
}

bool session_advance(struct session_request *r, size_t *steps)
{
    struct session *s = r->session;
    struct hub_subscriber *sub = &s->sub;
    struct hub *hub = s->all->hub;

    if (!take_patterns(r, steps))
        return false;
    if (r->is_leaving) {
        send_left(r);
        return true;
    }
    if (r->phase == REQUEST_FINDING && !sub->join)
        r->phase = REQUEST_WAITING; /* a new log came in between */
    if (r->phase == REQUEST_WAITING && !stop_waiting(r, steps))
        return false;
    if (r->phase == REQUEST_FINDING) {
        if (!hub_join_find(hub, sub, steps))
            return false;
        acknowledge(r);
        if (s->is_closing)
            return true; /* one error too many: the session was closed and the request is gone */
    }
    if (r->phase == REQUEST_QUEUEING && sub->join && !hub_join_queue(hub, sub, steps)) {
        r->is_cut = *steps > 0; /* no room, then */
        return false;
    }
    return true;
}
