/*
 * upstream_link: the two sockets to the broker.
 *
 * One gets a heartbeat every second; on the other the gateway sends a ping when it is quiet.  The
 * gateway replaces a socket that received nothing for UPSTREAM_SILENCE_MS, because its connection
 * may hang: the broker may have moved to another machine of the same name.
 *
 * That loses no record: with a new socket the link is unverified, and a resync begins.  It loses no
 * request either: each is answered, given up or repeated within UPSTREAM_ANSWER_MS, which is
 * shorter than the silence.
 */
#include "gateway/upstream/upstream_private.h"
#include "shared/base/log.h"

#define RECORDS_HIGH_WATER 20000
#define CONTROL_HIGH_WATER 10000
#define PING_MS 1000

/* Replace the socket of `in`, if a new one can be opened. */
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
    upstream_introduce(u); /* the broker must learn our new address */
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
