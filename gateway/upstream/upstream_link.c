/*
 * upstream_link: the two sockets to the broker.
 *
 * Heartbeats come on one every second; the other is pinged when it is quiet.  A socket on which
 * nothing has come for UPSTREAM_SILENCE_MS is closed and a new one opened, because the old one's
 * connection may hang: the broker may have moved to another machine of the same name.
 *
 * No record is lost by that: with a new socket the link is unverified, and a resync begins.  No
 * request is lost either: each is answered, given up or asked again within UPSTREAM_ANSWER_MS,
 * which is less than the silence.
 */
#include "gateway/upstream/upstream_private.h"
#include "shared/base/log.h"

#define RECORDS_HIGH_WATER 20000
#define CONTROL_HIGH_WATER 10000
#define PING_MS 1000

/* In place of what `in` has, if there is a socket to be had. */
static bool reopen(struct upstream *u, struct readiness *in, int type, const char *endpoint,
                   int high_water, size_t frame_max)
{
    struct loop *loop = u->settings.loop;
    void *old = in->socket, *fresh = bus_connect(u->context, type, endpoint, high_water, frame_max);

    if (!fresh)
        return false;
    readiness_close(in, loop);
    bus_close(old);
    if (!readiness_open(in, loop, fresh))
        return true;
    log_error("the loop takes no more descriptors");
    bus_close(fresh);
    *in = (struct readiness){0};
    return false;
}

static bool reopen_records(struct upstream *u)
{
    u->records_at = loop_awake(u->settings.loop);
    if (!reopen(u, &u->records, ZMQ_SUB, u->publish, RECORDS_HIGH_WATER, WIRE_RECORD_FRAME_MAX))
        return false;
    if (u->receiver) /* else it subscribes when it is made */
        receiver_listen(u->receiver);
    return true;
}

static bool reopen_control(struct upstream *u)
{
    u->control_at = loop_awake(u->settings.loop);
    if (!reopen(u, &u->control, ZMQ_DEALER, u->control_endpoint, CONTROL_HIGH_WATER,
                WIRE_ANSWER_FRAME_MAX))
        return false;
    upstream_introduce(u); /* the broker must know our new address */
    return true;
}

bool upstream_link_open(struct upstream *u)
{
    return reopen_records(u) && reopen_control(u);
}

void upstream_link_close(struct upstream *u)
{
    void *records = u->records.socket, *control = u->control.socket;

    readiness_close(&u->records, u->settings.loop);
    readiness_close(&u->control, u->settings.loop);
    bus_close(records);
    bus_close(control);
}

void upstream_link_tick(struct upstream *u)
{
    int64_t now = loop_awake(u->settings.loop);

    if (now - u->records_at >= UPSTREAM_SILENCE_MS) {
        log_debug("no heartbeat: a new socket for the records");
        (void)reopen_records(u);
    }
    if (now - u->control_at >= UPSTREAM_SILENCE_MS) {
        log_debug("no answer: a new socket for requests");
        (void)reopen_control(u);
    } else if (now - u->control_at >= PING_MS && now >= u->ping_at) {
        upstream_ping(u);
        u->ping_at = now + PING_MS;
    }
}
