/* client_sweep: pings, heartbeats and silences, of a tenth of all clients at a time. */
#include "gateway/session/client_private.h"
#include "gateway/session/stream.h"

#define SWEEP_PARTS 10 /* a sweep does a tenth */
#define SWEEP_ROUND_MS (SWEEP_PARTS * CLIENT_SWEEP_MS)

static void check_one(struct client *c)
{
    struct gateway *g = c->g;
    int64_t silence = g->awake - c->heard_at, timeout = g->config.websocket_timeout,
            interval = g->config.ws_ping_interval;

    if (c->is_closing) {
        if (g->now >= c->close_by)
            client_drop(c, "no answer to close");
        return;
    }
    if (silence >= timeout) {
        client_close(c, CLOSE_IDLE,
                     SPAN("{\"code\":\"idle\",\"setting\":\"WEBSOCKET_TIMEOUT\"}"),
                     "silent for WEBSOCKET_TIMEOUT");
        /* Most likely nobody is there: it gets one chance to take the close frame. */
        client_flush(c);
        if (!c->is_dead && c->is_blocked)
            client_drop(c, "silent for WEBSOCKET_TIMEOUT");
        return;
    }
    if (!interval)
        interval = timeout / 3;
    if (silence >= interval * (c->pings + 1) && !c->is_blocked && c->pings < 100) {
        frame_append(&c->out, OPCODE_PING, SPAN(""));
        c->pings++;
        hub_set_due(g->hub, &c->sub);
    }
    if (g->now >= c->heartbeat_at && !c->is_blocked) {
        client_say_heartbeat(c);
        hub_set_due(g->hub, &c->sub);
    } else if (g->now + SWEEP_ROUND_MS >= c->heartbeat_at) {
        /* The next sweep would be too late: it goes along with a quote if one comes before. */
        c->owes_heartbeat = true;
        stream_settle_position(c);
    }
}

void client_sweep(struct gateway *g)
{
    size_t i = g->sweep_at++ % SWEEP_PARTS;

    while (i < g->client_count) {
        struct client *c = g->clients[i];

        check_one(c);
        /* Who is dropped leaves its place to the last one, which is looked at then. */
        if (i < g->client_count && g->clients[i] == c)
            i += SWEEP_PARTS;
    }
}

void client_measure(struct gateway *g)
{
    size_t part =
        (g->sweep_at + SWEEP_PARTS - 1) % SWEEP_PARTS; /* the last one swept */

    for (size_t i = part; i < g->client_count; i += SWEEP_PARTS) {
        const struct client *c = g->clients[i];

        histogram_add(&g->figures.queued[c->sub.wants_all],
                      backlog_length(&c->sub.backlog));
    }
}
