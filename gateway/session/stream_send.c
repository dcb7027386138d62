/* stream_send: the ack of a subscription, what clients get without asking, what all answers share. */
#include <stdio.h>

#include "gateway/fanout/encode.h"
#include "gateway/session/stream_private.h"

#define BAD_REQUESTS_MAX 100 /* a minute, then 4429 */

void stream_epoch_text(uint64_t epoch, char out[17])
{
    snprintf(out, 17, "%016llx", (unsigned long long)epoch);
}

void stream_finish(struct client *c, struct message *m)
{
    message_end(m, &c->out);
    c->messages_out++;
    hub_set_due(c->g->hub, &c->sub);
}

void stream_put_id(struct message *m, const struct buf *id)
{
    if (id->len)
        message_raw(m, "id", buf_span(id));
}

void stream_put_trace(struct message *m, const struct client *c)
{
    if (client_is_traced(c))
        message_bool(m, "trace", true);
}

void stream_send_error(struct client *c, const struct buf *id, const char *code,
                       const char *text, const size_t *at)
{
    struct gateway *g = c->g;
    struct message m;

    g->figures.errors++;
    message_begin(&m, c->sub.encoding, "error");
    stream_put_id(&m, id);
    message_text(&m, "code", span_of(code));
    message_text(&m, "message", span_of(text));
    if (at && c->sub.encoding == ENCODING_JSON)
        message_u(&m, "at", *at);
    stream_finish(c, &m);
    if (g->now >= c->minute_at) {
        c->minute_at = g->now + 60000;
        c->bad_requests = 0;
    }
    if (++c->bad_requests > BAD_REQUESTS_MAX)
        client_close(c, CLOSE_ABUSE, SPAN("{\"code\":\"too_many_errors\"}"),
                     "too many bad requests");
}

/*
 * It has been sent all that the hub's position speaks for.  Of topics that were not live when it
 * joined them the hub does not know everything: the client's position stands still until they are.
 */
static bool is_complete(struct client *c)
{
    if (!backlog_is_empty(&c->sub.backlog))
        return false;
    if (c->is_incomplete)
        c->is_incomplete = !stream_is_live(c);
    return !c->is_incomplete;
}

uint64_t stream_complete_seq(struct client *c)
{
    if (hub_seq(c->g->hub) > c->stated_seq && is_complete(c))
        c->stated_seq = hub_seq(c->g->hub);
    return c->stated_seq;
}

void stream_settle_position(struct client *c)
{
    if (!c->requests && is_complete(c))
        c->settled_seq = hub_seq(c->g->hub);
}

void stream_heartbeat(struct client *c)
{
    struct message m;

    /* While a subscription waits, what it asks for from `since` on is still owed. */
    if (!c->requests && stream_complete_seq(c) < c->settled_seq)
        c->stated_seq = c->settled_seq;
    message_begin(&m, c->sub.encoding, "heartbeat");
    message_u(&m, "seq", c->stated_seq);
    if (c->sub.backlog.sent_seq < c->stated_seq && c->sub.wants_all)
        c->sub.backlog.sent_seq = c->stated_seq;
    message_u(&m, "merged", c->sub.backlog.merged);
    message_time(&m, "timestamp", c->g->wall_us);
    stream_finish(c, &m);
}

void stream_going_away(struct client *c, int64_t reconnect_after_ms)
{
    struct message m;

    message_begin(&m, c->sub.encoding, "going_away");
    message_text(&m, "reason", SPAN("restart"));
    message_seconds(&m, "reconnect_after", reconnect_after_ms);
    stream_finish(c, &m);
}

void stream_reset_all(struct gateway *g, const char *reason)
{
    char epoch[17];

    stream_epoch_text(hub_epoch(g->hub), epoch);
    for (size_t i = 0; i < g->client_count; i++) {
        struct client *c = g->clients[i];
        struct message m;

        if (c->is_closing)
            continue;
        stream_state_position(c, 0);
        backlog_fini(&c->sub.backlog); /* of the old log */
        if (c->sub.wants_all)
            stream_begin_anew(c);
        message_begin(&m, c->sub.encoding, "reset");
        message_text(&m, "epoch", span_of(epoch));
        message_u(&m, "seq", hub_seq(g->hub));
        message_text(&m, "reason", span_of(reason));
        stream_finish(c, &m);
    }
}

/* In mode all it takes its place among the records; in merge it is news by itself. */
void stream_lost_all(struct gateway *g, uint64_t seq, struct span body)
{
    struct frame *frames[ENCODING_COUNT];

    hub_apply_lost(g->hub, seq, body);
    for (int e = 0; e < ENCODING_COUNT; e++)
        frames[e] = encode_lost(seq, body, (enum encoding)e);
    hub_queue_all(g->hub, frames);
    for (size_t i = 0; i < g->client_count; i++) {
        struct client *c = g->clients[i];
        const struct frame *f = frames[c->sub.encoding];

        if (c->is_closing || c->sub.wants_all)
            continue;
        buf_add(&c->out, f->bytes, f->len);
        c->messages_out++;
        g->figures.deliveries++;
        hub_set_due(g->hub, &c->sub);
    }
    for (int e = 0; e < ENCODING_COUNT; e++)
        frame_release(&frames[e]);
}

void stream_send_subscribed(struct gateway *g, struct request *r, uint64_t seq,
                            bool is_recovered, bool is_broker_away)
{
    struct client *c = r->client;
    struct message m;
    char epoch[17];

    stream_epoch_text(hub_epoch(g->hub), epoch);
    message_begin(&m, c->sub.encoding, "ack");
    message_text(&m, "op", SPAN("subscribe"));
    stream_put_id(&m, &r->id);
    message_text(&m, "epoch", span_of(epoch));
    message_u(&m, "seq", seq);
    message_put_texts(&m, "symbols", &r->accepted);
    message_put_texts(&m, "rejected", &r->rejected);
    if (r->has_since) {
        message_bool(&m, "recovered", is_recovered);
        g->figures.resumes[is_recovered]++;
    }
    if (r->is_auto)
        message_bool(&m, "auto", true);
    stream_put_trace(&m, c);
    if (is_broker_away)
        message_text(&m, "upstream", SPAN("away"));
    stream_finish(c, &m);
}

void stream_send_too_many(struct client *c, size_t count, size_t limit)
{
    struct buf none = {0};
    char text[200];

    snprintf(
        text, sizeof text,
        "%zu symbols match, the first %zu were sent as snapshots: subscribe to what "
        "you need, or raise AUTO_MAX",
        count, limit);
    stream_send_error(c, &none, "auto_max", text, NULL);
}

void stream_send_welcome(struct client *c)
{
    struct gateway *g = c->g;
    struct message m;
    char epoch[17], connection[96];

    stream_epoch_text(hub_epoch(g->hub), epoch);
    snprintf(connection, sizeof connection, "%s:%llu", g->name,
             (unsigned long long)c->id);
    message_begin(&m, c->sub.encoding, "welcome");
    message_text(&m, "protocol",
                 c->sub.encoding == ENCODING_JSON ? SPAN("pregon.v1.json")
                                                  : SPAN("pregon.v1.msgpack"));
    message_text(&m, "gateway", span_of(g->name));
    message_text(&m, "connection", span_of(connection));
    message_text(&m, "epoch", span_of(epoch));
    message_u(&m, "seq", hub_seq(g->hub));
    message_seconds(&m, "heartbeat", g->config.heartbeat);
    message_seconds(&m, "timeout", g->config.websocket_timeout);
    message_map(&m, "limits", 3);
    message_u(&m, "symbols", (uint64_t)g->config.max_symbols);
    message_u(&m, "message_bytes", (uint64_t)g->config.ws_max_size);
    message_u(&m, "queue_bytes", (uint64_t)g->config.client_queue);
    message_map_end(&m);
    message_time(&m, "timestamp", g->wall_us);
    stream_finish(c, &m);
}
