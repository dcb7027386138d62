#include "gateway/upstream/upstream.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/upstream/upstream_private.h"
#include "shared/base/log.h"
#include "shared/base/mem.h"
#include "shared/base/random.h"
#include "shared/wire/bus.h"

#define BURST 256
#define ANSWER_BYTES 65536       /* of answers in one turn, and one more */
#define NO_BROKER_MS 3000        /* after this time the gateway logs that there is no broker */
#define NO_BROKER_AGAIN_MS 60000 /* and again */

struct upstream *upstream_new(const struct upstream_settings *settings,
                              const struct upstream_out *out)
{
    struct upstream *u = mem_zalloc(sizeof *u);

    u->settings = *settings;
    u->out = *out;
    u->publish = mem_strdup(settings->publish);
    u->control_endpoint = mem_strdup(settings->control);
    u->context = bus_context();
    if (!upstream_link_open(u)) {
        upstream_free(u);
        return NULL;
    }
    upstream_connect_hub(u, random_u64(), loop_awake(u->settings.loop));
    u->complain_at = loop_awake(u->settings.loop) + NO_BROKER_MS;
    return u;
}

void upstream_free(struct upstream *u)
{
    struct sent_request *q, *next;

    if (!u)
        return;
    if (u->is_known)
        upstream_say_goodbye(u);
    hub_watch(u->settings.hub, (struct hub_watcher){0});
    HASH_ITER(hh, u->requests, q, next)
    upstream_end_request(u, q);
    upstream_link_close(u);
    zmq_ctx_term(u->context);
    receiver_free(u->receiver);
    report_fini(&u->report);
    free(u->publish);
    free(u->control_endpoint);
    free(u);
}

void upstream_drain(struct upstream *u)
{
    int64_t now = loop_awake(u->settings.loop);
    struct bus_message m;
    enum err e = OK;
    size_t bytes = 0; /* a page of values is worth hundreds of records */

    for (int i = 0; i < BURST && e != ERR_AGAIN && bytes < ANSWER_BYTES; i++) {
        e = readiness_recv(&u->control, &m);
        if (e)
            continue;
        bytes += bus_frame(&m, m.count - 1).len;
        u->control_at = now;
        upstream_on_answer(u, bus_frame(&m, m.count - 1), now);
        bus_message_close(&m);
    }
    e = OK;
    for (int i = 0; i < BURST && e != ERR_AGAIN; i++) {
        e = readiness_recv(&u->records, &m);
        if (e)
            continue;
        u->records_at = now;
        if (m.count == 2)
            upstream_on_record(u, bus_frame(&m, 0), bus_frame(&m, 1), now);
        else if (m.count == 1 && span_eq(bus_frame(&m, 0), WIRE_TOPIC_WELCOME))
            receiver_on_welcome(u->receiver);
        bus_message_close(&m);
    }
}

bool upstream_has_input(struct upstream *u)
{
    return readiness_has_more(&u->control) || readiness_has_more(&u->records);
}

static void complain_of_silence(struct upstream *u, int64_t now)
{
    if (u->is_known) {
        u->complain_at = now + NO_BROKER_MS;
        u->has_started = true;
        u->out.started(u->out.ctx);
    } else if (now >= u->complain_at) {
        u->complain_at = now + NO_BROKER_AGAIN_MS;
        log_warning("no broker at %s and %s%s: is pregon-broker running?", u->publish,
                    u->control_endpoint, u->has_started ? "" : " yet");
    }
}

void upstream_tick(struct upstream *u)
{
    int64_t now = loop_awake(u->settings.loop);
    struct sent_request *q, *next;

    upstream_link_tick(u);
    if (!u->is_known && now >= u->hello_at)
        upstream_say_hello(u);
    receiver_tick(u->receiver, true, now);
    if (now >= u->report_at)
        upstream_send_report(u);
    HASH_ITER(hh, u->requests, q, next)
    if (now >= q->give_up_at)
        upstream_give_up(u, q);
    complain_of_silence(u, now);
}

bool upstream_is_here(const struct upstream *u)
{
    return u->is_here;
}

int64_t upstream_silence_ms(const struct upstream *u)
{
    return loop_awake(u->settings.loop) - receiver_heard_at(u->receiver);
}

uint64_t upstream_gaps(const struct upstream *u)
{
    return receiver_gaps(u->receiver);
}

uint32_t upstream_connections(const struct upstream *u)
{
    return receiver_connections(u->receiver);
}
