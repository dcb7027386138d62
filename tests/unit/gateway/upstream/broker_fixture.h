/*
 * broker_fixture: a gateway's link to a broker that is two sockets of this process, so that tests
 * read like conversations: receives() checks the gateway's next request, answers() and publishes()
 * are the broker's.  Messages are written as JSON (packed.h).
 *
 * Time passes only in pass().  Include it after <cmocka.h>, in one file of a program.
 */
#ifndef TESTS_UNIT_GATEWAY_UPSTREAM_BROKER_FIXTURE_H
#define TESTS_UNIT_GATEWAY_UPSTREAM_BROKER_FIXTURE_H

#include <stdio.h>

#include "gateway/upstream/upstream_private.h"
#include "shared/base/log.h"
#include "shared/base/mem.h"
#include "tests/unit/fake_clock.h"
#include "tests/unit/packed.h"

#define EPOCH 0xabc
#define EPOCH_TEXT "0000000000000abc"

#define CLIENT(number)                                                                        \
    &(struct report_client)                                                                   \
    {                                                                                         \
        .id = (number), .host = "192.0.2.7", .port = 40000, .since_us = 5, .protocol = "json" \
    }

/* What the gateway's main.c has. */
static struct {
    struct loop *loop;
    struct hub *hub;
    struct counters counters;
    struct upstream *upstream;
    size_t tracers;
    uint64_t client_count;
    unsigned started, reported; /* how often `out` was called */
    char lost[100], reset[100]; /* what it was called with */
} g;

/* The broker's ends; the frame before a request leads back to its sender. */
static struct {
    void *control, *records;
    uint64_t head; /* of the log, as a mark states it */
    struct buf sender, text, subscriptions, seen;
} broker;

static inline struct upstream_self describe_self(void *ctx)
{
    (void)ctx;
    return (struct upstream_self){
        .name = "g1", .http = "http://127.0.0.1:8000", .limit = 100, .count = g.client_count};
}

static inline void note_started(void *ctx)
{
    (void)ctx;
    g.started++;
}

static inline void note_report_all(void *ctx)
{
    (void)ctx;
    g.reported++;
    for (uint64_t id = 1; id <= g.client_count; id++)
        upstream_report_open(g.upstream, CLIENT(id));
}

static inline void note_lost(void *ctx, uint64_t seq, struct span body)
{
    struct buf text = {0};

    (void)ctx;
    snprintf(g.lost, sizeof g.lost, "%llu %s", (unsigned long long)seq, unpacked(&text, body));
    buf_free(&text);
}

static inline void note_reset(void *ctx, const char *reason)
{
    (void)ctx;
    snprintf(g.reset, sizeof g.reset, "%s", reason);
}

/* --- time ------------------------------------------------------------------------------ */

/* A turn of the gateway's loop. */
static inline void turn(void)
{
    loop_turn(g.loop, 0);
    upstream_drain(g.upstream);
    upstream_tick(g.upstream);
}

/* With a turn at least every 100 ms: a longer one would count as a pause of the gateway. */
static inline void pass(int64_t ms)
{
    while (ms > 0) {
        int64_t step = ms < 100 ? ms : 100;

        fake_clock_ms += step;
        ms -= step;
        turn();
    }
}

/* --- control --------------------------------------------------------------------------- */

/* The gateway's next request, or "". */
static inline const char *next_request(void)
{
    struct bus_message m;

    buf_clear(&broker.text);
    if (bus_recv(broker.control, &m))
        return buf_text(&broker.text);
    assert_int_equal(m.count, 2);
    buf_clear(&broker.sender);
    buf_add(&broker.sender, bus_frame(&m, 0).at, bus_frame(&m, 0).len);
    unpacked(&broker.text, bus_frame(&m, 1));
    bus_message_close(&m);
    return buf_text(&broker.text);
}

static inline void receives(const char *request)
{
    assert_string_equal(next_request(), request);
}

/* Pings and reports without news come as time passes. */
static inline const char *next_news(void)
{
    const char *text;

    do
        text = next_request();
    while (strstr(text, "'op':'ping'") || strstr(text, "'op':'report'"));
    return text;
}

static inline void receives_nothing(void)
{
    receives("");
}

/* The broker sends this to the peer of the last request, and the gateway reads it. */
static inline void answers(const char *answer)
{
    struct buf b = {0};

    packed(&b, answer);
    assert_int_equal(
        bus_send(broker.control, (struct span[]){buf_span(&broker.sender), buf_span(&b)}, 2), OK);
    buf_free(&b);
    turn();
}

/* --- records --------------------------------------------------------------------------- */

/* The broker sends a record only by subscriptions that it has read. */
static inline void read_subscriptions(void)
{
    struct bus_message m;

    while (bus_recv(broker.records, &m) == OK) {
        struct span s = bus_frame(&m, 0);

        buf_addc(&broker.subscriptions, s.at[0] ? '+' : '-');
        buf_add(&broker.subscriptions, s.at + 1, s.len - 1);
        buf_addc(&broker.subscriptions, ' ');
        bus_message_close(&m);
    }
}

/* What was subscribed and unsubscribed since the last look: "+A  -A  ". */
static inline const char *subscriptions(void)
{
    read_subscriptions();
    buf_free(&broker.seen);
    broker.seen = broker.subscriptions;
    broker.subscriptions = (struct buf){0};
    return buf_text(&broker.seen);
}

static inline void publishes(const char *topic, const struct wire_record *r)
{
    struct buf b = {0};

    read_subscriptions();
    wire_put(&b, r);
    assert_int_equal(bus_send(broker.records, (struct span[]){span_of(topic), buf_span(&b)}, 2),
                     OK);
    buf_free(&b);
    turn();
}

/* The broker sends back the mark that was subscribed to last. */
static inline void returns_mark(void)
{
    const char *mark = "", *next = subscriptions();
    char topic[WIRE_TOPIC_MAX + 1] = "";

    while ((next = strstr(next, "+" WIRE_TOPIC_MARK)))
        mark = ++next;
    assert_true(mark[0]);
    snprintf(topic, strcspn(mark, " ") + 2, "%s", mark);
    publishes(topic,
              &(struct wire_record){
                  .kind = WIRE_MARK, .epoch = EPOCH, .seq = broker.head, .body = SPAN("\xc0")});
}

static inline void heartbeat(uint64_t number)
{
    publishes(WIRE_TOPIC_HEARTBEAT, &(struct wire_record){.kind = WIRE_HEARTBEAT,
                                                          .epoch = EPOCH,
                                                          .seq = 1,
                                                          .prev = number,
                                                          .body = SPAN("\xc0")});
}

/* The topic, once the mark for it came back: its snapshot is requested. */
static inline struct hub_topic *follow(const char *pattern)
{
    struct hub_topic *t = hub_topic_retain(g.hub, span_of(pattern));

    turn();
    returns_mark();
    return t;
}

static inline void publishes_quote(const char *symbol, uint64_t seq, uint64_t prev)
{
    struct wire_record r = {.kind = WIRE_QUOTE,
                            .epoch = EPOCH,
                            .seq = seq,
                            .prev = prev,
                            .sent_us = 4,
                            .accepted_us = 5};
    struct buf body = {0};
    char topic[WIRE_TOPIC_MAX + 1] = "";

    packed(&body, "{'last':'1.5'}");
    r.body = buf_span(&body);
    wire_topic(topic, span_of(symbol));
    publishes(topic, &r);
    buf_free(&body);
}

/* --- life ------------------------------------------------------------------------------ */

static inline void open_broker(void)
{
    const struct upstream_out out = {NULL,      describe_self, note_started, note_report_all,
                                     note_lost, note_reset};
    struct upstream *u = mem_zalloc(sizeof *u);

    log_init("test", "critical", "text");
    memset(&g, 0, sizeof g);
    g.loop = loop_new();
    g.hub = hub_new(1 << 20);
    counters_init(&g.counters);
    g.upstream = u;
    /* As upstream_new makes it, but in a context that the broker's sockets share. */
    u->settings = (struct upstream_settings){
        .loop = g.loop, .hub = g.hub, .counters = &g.counters, .tracers = &g.tracers};
    u->out = out;
    u->context = bus_context();
    u->publish = mem_strdup("inproc://publish");
    u->control_endpoint = mem_strdup("inproc://control");
    broker.control = bus_bind(u->context, ZMQ_ROUTER, u->control_endpoint, 0, 1 << 20, "CONTROL");
    broker.records = bus_bind(u->context, ZMQ_XPUB, u->publish, 0, 1 << 20, "PUBLISH");
    zmq_setsockopt(broker.records, ZMQ_XPUB_VERBOSE, &(int){1}, sizeof(int));
    assert_true(upstream_link_open(u));
    upstream_connect_hub(u, 1, loop_awake(g.loop));
}

static inline void close_broker(void)
{
    bus_close(broker.control);
    bus_close(broker.records);
    upstream_free(g.upstream);
    hub_free(g.hub);
    loop_free(g.loop);
    buf_free(&broker.sender);
    buf_free(&broker.text);
    buf_free(&broker.subscriptions);
    buf_free(&broker.seen);
    memset(&broker, 0, sizeof broker);
}

/* The gateway sends hello, and the broker answers. */
static inline void meet(void)
{
    turn();
    assert_non_null(strstr(next_request(), "'op':'hello'"));
    answers("{'id':1,'epoch':2748}");
    assert_true(upstream_is_here(g.upstream));
    assert_non_null(strstr(next_request(), "'op':'report'"));
    returns_mark();
}

#endif
