#include "gateway/upstream/upstream_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "shared/wire/bus.h"
#include "shared/base/log.h"
#include "shared/base/mem.h"

#define BURST 256
#define ANSWER_BYTES 65536       /* of answers in one turn, and one more */
#define NO_BROKER_MS 3000        /* before it is said that there is none, */
#define NO_BROKER_AGAIN_MS 60000 /* and again */

struct upstream *upstream_new(struct gateway *g)
{
    struct upstream *u = mem_zalloc(sizeof *u);
    uint64_t name = 0;

    u->g = g;
    u->context = bus_context();
    if (getrandom(&name, sizeof name, 0) != sizeof name || !upstream_link_open(u)) {
        upstream_free(u);
        return NULL;
    }
    snprintf(u->mark_name, sizeof u->mark_name, "%016llx", (unsigned long long)name);
    upstream_watch_topics(u);
    u->heartbeat_at = g->awake;
    u->complain_at = g->now + NO_BROKER_MS;
    return u;
}

void upstream_free(struct upstream *u)
{
    struct question *q, *next;

    if (!u)
        return;
    if (u->is_known)
        upstream_say_goodbye(u);
    hub_watch(u->g->hub, (struct hub_watcher){0});
    HASH_ITER(hh, u->questions, q, next)
    upstream_question_end(u, q);
    upstream_link_close(u);
    zmq_ctx_term(u->context);
    report_fini(&u->report);
    buf_free(&u->to_ask);
    buf_free(&u->held);
    free(u);
}

void upstream_drain(struct upstream *u)
{
    struct bus_message m;
    enum err e = OK;
    size_t bytes = 0; /* a page of values is worth hundreds of records */

    for (int i = 0; i < BURST && e != ERR_AGAIN && bytes < ANSWER_BYTES; i++) {
        e = readiness_recv(&u->control, &m);
        if (e)
            continue;
        bytes += bus_frame(&m, m.count - 1).len;
        u->control_at = u->g->awake;
        upstream_on_answer(u, bus_frame(&m, m.count - 1));
        bus_message_close(&m);
    }
    e = OK;
    for (int i = 0; i < BURST && e != ERR_AGAIN; i++) {
        e = readiness_recv(&u->records, &m);
        if (e)
            continue;
        u->records_at = u->g->awake;
        if (m.count == 2)
            upstream_on_record(u, bus_frame(&m, 0), bus_frame(&m, 1));
        else if (m.count == 1 && span_eq(bus_frame(&m, 0), WIRE_TOPIC_WELCOME))
            upstream_on_welcome(u);
        bus_message_close(&m);
    }
}

bool upstream_has_input(struct upstream *u)
{
    return readiness_has_more(&u->control) || readiness_has_more(&u->records);
}

/* Heartbeats on one socket and an answer on the other: either may be missing. */
static void complain_of_silence(struct upstream *u)
{
    struct gateway *g = u->g;

    if (u->is_here && u->is_known) {
        u->complain_at = g->now + NO_BROKER_MS;
    } else if (g->now >= u->complain_at) {
        u->complain_at = g->now + NO_BROKER_AGAIN_MS;
        log_warning("no broker at %s and %s%s: is pregon-broker running?",
                    g->config.broker_publish, g->config.broker_control,
                    gate_is_started(g->gate) ? "" : " yet");
    }
}

void upstream_tick(struct upstream *u)
{
    struct gateway *g = u->g;
    struct question *q, *next;

    if (u->is_here && upstream_silence_ms(u) >= UPSTREAM_SILENCE_MS)
        upstream_set_here(u, false);
    upstream_link_tick(u);
    if (!u->is_known && g->now >= u->hello_at)
        upstream_say_hello(u);
    if (u->is_here)
        upstream_place_mark(u);
    if (g->now >= u->report_at)
        upstream_send_report(u);
    HASH_ITER(hh, u->questions, q, next)
    if (g->now >= q->give_up_at)
        upstream_give_up(u, q);
    upstream_request_more(u);
    upstream_resync_tick(u);
    if (u->is_here && u->is_known)
        gate_set_started(g->gate);
    complain_of_silence(u);
}

void upstream_introduce(struct upstream *u)
{
    u->is_known = false;
    u->hello_at = 0;
}

bool upstream_is_here(const struct upstream *u)
{
    return u->is_here;
}

int64_t upstream_silence_ms(const struct upstream *u)
{
    return u->g->awake - u->heartbeat_at;
}

uint64_t upstream_gaps(const struct upstream *u)
{
    return u->gaps;
}

uint32_t upstream_connections(const struct upstream *u)
{
    return u->connections;
}
