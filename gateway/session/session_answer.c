/* session_answer: acks and errors, and messages that a session gets without a request. */
#include <stdio.h>

#include "gateway/fanout/encode.h"
#include "gateway/fanout/framing.h"
#include "gateway/session/session_private.h"

/* The log's name. */
static void put_epoch(struct message *m, const struct session *s)
{
    char text[17];

    snprintf(text, sizeof text, "%016llx", (unsigned long long)hub_epoch(s->all->hub));
    message_text(m, "epoch", span_of(text));
}

void session_finish(struct session *s, struct message *m)
{
    message_end(m, &s->out);
    s->messages_out++;
    hub_set_due(s->all->hub, &s->sub);
}

void session_put_id(struct message *m, const struct buf *id)
{
    if (id->len)
        message_raw(m, "id", buf_span(id));
}

void session_put_trace(struct message *m, const struct session *s)
{
    if (session_is_traced(s))
        message_bool(m, "trace", true);
}

void session_send_error(struct session *s, const struct buf *id, const char *code, const char *text,
                        const size_t *at)
{
    struct sessions *all = s->all;
    struct message m;

    all->counters->errors++;
    message_begin(&m, s->sub.encoding, "error");
    session_put_id(&m, id);
    message_text(&m, "code", span_of(code));
    message_text(&m, "message", span_of(text));
    if (at && encoding_is_text(s->sub.encoding))
        message_u(&m, "at", *at);
    session_finish(s, &m);
    if (all->now >= s->minute_at) {
        s->minute_at = all->now + 60000;
        s->bad_requests = 0;
    }
    if (++s->bad_requests > SESSION_BAD_REQUESTS)
        session_close(s, SESSION_CLOSE_ABUSE, SPAN("{\"code\":\"too_many_errors\"}"),
                      "too many bad requests");
}

bool session_is_live(const struct session *s)
{
    if (hub_is_frozen(s->all->hub))
        return false;
    for (uint32_t i = 0; i < s->sub.topic_count; i++)
        if (!s->sub.topics[i].topic->is_live)
            return false;
    return true;
}

/*
 * Has the session been sent everything up to the hub's position?  For topics that were not live
 * when it joined them, the hub may lack records: the session's position then stays the same until
 * they are live.
 */
static bool is_complete(struct session *s)
{
    if (!backlog_is_empty(&s->sub.backlog))
        return false;
    if (s->is_incomplete)
        s->is_incomplete = !session_is_live(s);
    return !s->is_incomplete;
}

uint64_t session_complete_seq(struct session *s)
{
    if (hub_seq(s->all->hub) > s->stated_seq && is_complete(s))
        s->stated_seq = hub_seq(s->all->hub);
    return s->stated_seq;
}

void session_settle_position(struct session *s)
{
    if (!s->requests && is_complete(s))
        s->settled_seq = hub_seq(s->all->hub);
}

void session_send_heartbeat(struct session *s)
{
    struct message m;
    uint64_t position;

    s->is_heartbeat_pending = false;
    s->heartbeat_at = s->all->now + s->all->config->heartbeat;
    /* While a subscription waits, the records that it requests from `since` on are still unsent. */
    if (!s->requests && session_complete_seq(s) < s->settled_seq)
        s->stated_seq = s->settled_seq;
    message_begin(&m, s->sub.encoding, "heartbeat");
    message_u(&m, "seq", s->stated_seq);
    if (s->sub.backlog.sent_seq < s->stated_seq && s->sub.wants_all)
        s->sub.backlog.sent_seq = s->stated_seq;
    position = s->sub.wants_all ? s->sub.backlog.sent_seq : s->stated_seq;
    if (!s->requests && position)
        message_set_position(&m, hub_epoch(s->all->hub), position);
    message_u(&m, "merged", s->sub.backlog.merged);
    message_time(&m, "timestamp", s->all->wall_us);
    session_finish(s, &m);
}

void session_send_reset(struct session *s, const char *reason)
{
    struct message m;

    message_begin(&m, s->sub.encoding, "reset");
    message_set_position(&m, 0, 0);
    put_epoch(&m, s);
    message_u(&m, "seq", hub_seq(s->all->hub));
    message_text(&m, "reason", span_of(reason));
    session_finish(s, &m);
}

void session_send_away(struct session *s, int64_t reconnect_after_ms)
{
    struct message m;

    framing_add_retry(&s->out, s->sub.encoding, reconnect_after_ms);
    message_begin(&m, s->sub.encoding, "going_away");
    message_text(&m, "reason", SPAN("restart"));
    message_seconds(&m, "reconnect_after", reconnect_after_ms);
    session_finish(s, &m);
}

/* Where a client that received this ack goes on; 0: it has no position. */
static uint64_t position_after(const struct session_request *r, uint64_t seq, bool is_recovered)
{
    if (is_recovered)
        return seq > r->since_seq ? seq : r->since_seq;
    return r->session->sub.wants_all ? 0 : seq;
}

void session_send_subscribed(struct session_request *r, uint64_t seq, bool is_recovered,
                             bool is_broker_away)
{
    struct session *s = r->session;
    struct message m;

    message_begin(&m, s->sub.encoding, "ack");
    message_set_position(&m, hub_epoch(s->all->hub), position_after(r, seq, is_recovered));
    message_text(&m, "op", SPAN("subscribe"));
    session_put_id(&m, &r->id);
    put_epoch(&m, s);
    message_u(&m, "seq", seq);
    message_put_texts(&m, "symbols", &r->accepted);
    message_put_texts(&m, "rejected", &r->rejected);
    if (r->has_since) {
        message_bool(&m, "recovered", is_recovered);
        s->all->counters->resumes[is_recovered]++;
    }
    if (r->is_auto)
        message_bool(&m, "auto", true);
    session_put_trace(&m, s);
    if (is_broker_away)
        message_text(&m, "upstream", SPAN("away"));
    session_finish(s, &m);
}

void session_send_too_many(struct session *s, size_t count, size_t limit)
{
    struct buf none = {0};
    char text[200];

    snprintf(text, sizeof text,
             "%zu symbols match, the first %zu were sent as snapshots: subscribe to what "
             "you need, or raise AUTO_MAX",
             count, limit);
    session_send_error(s, &none, "auto_max", text, NULL);
}

void session_send_welcome(struct session *s)
{
    struct sessions *all = s->all;
    struct message m;
    char connection[96];

    framing_add_retry(&s->out, s->sub.encoding,
                      session_reconnect_ms(all, (uint32_t)s->id, all->place_count, 1));
    snprintf(connection, sizeof connection, "%s:%llu", all->name, (unsigned long long)s->id);
    message_begin(&m, s->sub.encoding, "welcome");
    message_text(&m, "protocol",
                 encoding_is_text(s->sub.encoding) ? SPAN("pregon.v1.json")
                                                   : SPAN("pregon.v1.msgpack"));
    message_text(&m, "gateway", span_of(all->name));
    message_text(&m, "connection", span_of(connection));
    put_epoch(&m, s);
    message_u(&m, "seq", hub_seq(all->hub));
    message_seconds(&m, "heartbeat", all->config->heartbeat);
    message_seconds(&m, "timeout", all->config->websocket_timeout);
    message_map(&m, "limits", 3);
    message_u(&m, "symbols", (uint64_t)all->config->max_symbols);
    message_u(&m, "message_bytes", (uint64_t)all->config->ws_max_size);
    message_u(&m, "queue_bytes", (uint64_t)all->config->client_queue);
    message_map_end(&m);
    message_time(&m, "timestamp", all->wall_us);
    session_finish(s, &m);
}
