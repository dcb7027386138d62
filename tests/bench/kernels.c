/*
 * kernels: the code on a quote's path, on one thread and without a clock, to count instructions.
 *
 *   kernels feeder                    JSON lines to records
 *   kernels broker                    messages received, checked, put in the log, forwarded
 *   kernels core                      only the core's part of that: no ZeroMQ
 *   kernels store FILE                records written to SQLite
 *   kernels gateway CLIENTS PER_TURN MODE SUBPROTOCOL
 *                                     records received and sent to all clients, PER_TURN in a turn
 *
 * tests/bench/instructions.py runs these under callgrind, which counts what each call of measure()
 * does: ROUNDS rounds of ROUND quotes, the same work every time, after WARM others.  ZeroMQ is on
 * inproc, where no other thread has a part in it; clients are socket pairs, read between two
 * rounds. Settings are the defaults, if there is no .env here.  Says how many quotes a round has,
 * or fails.
 */
#include <errno.h>
#include <msgpack.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/core/core.h"
#include "broker/net/publisher.h"
#include "broker/log/store.h"
#include "gateway/session/client.h"
#include "gateway/session/sessions.h"
#include "gateway/upstream/upstream_private.h"
#include "shared/sync/receiver_private.h"
#include "shared/wire/bus.h"
#include "shared/base/log.h"
#include "shared/base/mem.h"
#include "shared/wire/pack.h"

#define SYMBOLS 200
#define ROUND 200 /* quotes */
#define WARM 3
#define ROUNDS 5
#define WALL_US 1640995200000000
#define LINE_BYTES 120
#define EPOCH 7777

static void fail(const char *what)
{
    fprintf(stderr, "kernels: %s\n", what);
    exit(1);
}

/* --- quotes ------------------------------------------------------------------------------- */

static struct json *json;
static uint64_t made;

static void put_line(struct buf *out)
{
    size_t start = out->len;

    buf_printf(out,
               "{\"symbol\":\"S%05u\",\"bid\":\"1.08%02u\",\"ask\":1.09%02u,"
               "\"timestamp\":%u.%06u,\"source\":\"b\",\"pad\":\"",
               (unsigned)(made % SYMBOLS), (unsigned)(made % 100), (unsigned)(made % 90),
               (unsigned)(WALL_US / 1000000), (unsigned)(made % 1000000));
    memset(buf_room(out, start + LINE_BYTES - 2 - out->len), 'x',
           start + LINE_BYTES - 2 - out->len);
    buf_adds(out, "\"}");
}

/* The next quote as feeders send it, appended to `record`. */
static void put_record(struct span line, char topic[WIRE_TOPIC_MAX], size_t *topic_len,
                       struct buf *record, uint64_t epoch)
{
    struct quote_rules rules = {.now_us = WALL_US + 1000000};
    struct wire_record r = {.kind = WIRE_QUOTE, .epoch = epoch, .sent_us = WALL_US};
    const struct json_value *root;
    char symbol[QUOTE_SYMBOL_MAX + 1];
    static struct buf body;
    size_t where;

    buf_clear(&body);
    if (json_parse(json, line, &root) || quote_from_json(root, "b", &rules, symbol, &body, &where))
        fail("a line is no quote");
    r.seq = ++made;
    r.prev = made > SYMBOLS ? made - SYMBOLS : 0;
    r.body = buf_span(&body);
    wire_put(record, &r);
    *topic_len = wire_topic(topic, span_of(symbol));
}

struct message {
    char topic[WIRE_TOPIC_MAX];
    size_t topic_len;
    struct buf record;
};

static struct message messages[ROUND];

static void make_round(uint64_t epoch)
{
    struct buf line = {0};

    for (size_t i = 0; i < ROUND; i++) {
        struct message *m = &messages[i];

        buf_clear(&line);
        buf_clear(&m->record);
        put_line(&line);
        put_record(buf_span(&line), m->topic, &m->topic_len, &m->record, epoch);
    }
    buf_free(&line);
}

static struct span topic_of(const struct message *m)
{
    return (struct span){m->topic, m->topic_len};
}

/* Callgrind counts in this function and what it calls. */
#ifdef __clang__
#define NOINLINE __attribute__((noinline))
#else
#define NOINLINE __attribute__((noinline, noclone))
#endif
NOINLINE static void measure(void (*play)(void))
{
    play();
    __asm__ volatile(""); /* a real call, not a jump: callgrind must see the function end */
}

static void run(void (*prepare)(void), void (*play)(void), void (*clean)(void))
{
    for (int i = 0; i < WARM + ROUNDS; i++) {
        prepare();
        if (i < WARM)
            play();
        else
            measure(play);
        if (clean)
            clean();
    }
    printf("%d\n", ROUND);
}

/* --- feeder ------------------------------------------------------------------------------- */

static struct buf lines[ROUND];

static void prepare_lines(void)
{
    for (size_t i = 0; i < ROUND; i++) {
        buf_clear(&lines[i]);
        put_line(&lines[i]);
    }
}

static void play_feeder(void)
{
    for (size_t i = 0; i < ROUND; i++) {
        struct message *m = &messages[i];

        buf_clear(&m->record);
        put_record(buf_span(&lines[i]), m->topic, &m->topic_len, &m->record, EPOCH);
    }
}

/* --- broker ------------------------------------------------------------------------------- */

static struct broker_config broker_config;
static struct core core;
static void *publisher, *ingest, *published, *subscriber; /* on inproc, or NULL */
static struct publisher out;                              /* of published */
static uint64_t feed_epoch, forwarded;

static void on_publish(void *ctx, struct span topic, struct span record)
{
    (void)ctx, (void)topic, (void)record;
}

static void on_say(void *ctx, struct span peer, struct span message)
{
    (void)ctx, (void)peer;
    if (!feed_epoch)
        feed_epoch = pack_find_u(message, "epoch", 0);
}

static void open_core(void)
{
    char name[] = "kernels", *arguments[] = {name, NULL};
    struct buf hello = {0};
    msgpack_packer pk;

    setenv("STORE", "memory", 1);
    if (config_load(&broker_program, arguments, &broker_config) != CONFIG_RUN)
        fail("the broker's settings");
    log_init("kernels", "error", "text");
    core.config = &broker_config;
    core.out = (struct core_out){.publish = on_publish, .send = on_say};
    core.time = (struct turn_time){5000, 5000, WALL_US + 1000000};
    core_init(&core, EPOCH);
    msgpack_packer_init(&pk, &hello, buf_pack_write);
    msgpack_pack_map(&pk, 7);
    pack_kv_text(&pk, "op", SPAN("hello"));
    pack_kv_u(&pk, "id", 1);
    pack_kv_text(&pk, "role", SPAN("feeder"));
    pack_kv_text(&pk, "name", SPAN("bench"));
    pack_kv_text(&pk, "owner", SPAN("bench"));
    pack_kv_u(&pk, "oldest", WIRE_VERSION_OLDEST);
    pack_kv_u(&pk, "newest", WIRE_VERSION);
    core_control(&core, SPAN("peer"), buf_span(&hello));
    buf_free(&hello);
    if (!feed_epoch)
        fail("the feed was not granted");
}

static void prepare_core(void)
{
    make_round(feed_epoch);
}

static void play_core(void)
{
    for (size_t i = 0; i < ROUND; i++)
        forwarded += core_ingest(&core, topic_of(&messages[i]), buf_span(&messages[i].record));
    core_acknowledge(&core);
}

static void open_bus(void)
{
    void *context = bus_context();
    struct span everything = SPAN("\x01");
    struct bus_message m;

    ingest = bus_bind(context, ZMQ_XSUB, "inproc://in", 20000, WIRE_LINE_FRAME_MAX, "");
    published = bus_bind(context, ZMQ_XPUB, "inproc://out", 20000, WIRE_LINE_FRAME_MAX, "");
    publisher = bus_connect(context, ZMQ_PUB, "inproc://in", 20000, WIRE_LINE_FRAME_MAX);
    subscriber = bus_connect(context, ZMQ_SUB, "inproc://out", 20000, WIRE_LINE_FRAME_MAX);
    if (!ingest || !published || !publisher || !subscriber)
        fail("inproc");
    publisher_init(&out, published);
    if (zmq_setsockopt(subscriber, ZMQ_SUBSCRIBE, "", 0) || bus_send(ingest, &everything, 1))
        fail("subscriptions");
    if (bus_recv(published, &m)) /* the subscription; the other is read while sending */
        fail("the subscription");
    bus_message_close(&m);
}

static void prepare_bus(void)
{
    make_round(feed_epoch);
    for (size_t i = 0; i < ROUND; i++) {
        struct span frames[] = {topic_of(&messages[i]), buf_span(&messages[i].record)};

        if (bus_send(publisher, frames, 2))
            fail("send");
    }
}

/* As drain_ingest in broker/main.c. */
static void play_broker(void)
{
    struct bus_message m;

    while (!bus_recv(ingest, &m)) {
        if (m.count == 2 && core_ingest(&core, bus_frame(&m, 0), bus_frame(&m, 1))) {
            publisher_forward(&out, &m);
            forwarded++;
        }
        bus_message_close(&m);
    }
    core_acknowledge(&core);
}

static void drain_bus(void)
{
    struct bus_message m;

    while (!bus_recv(subscriber, &m))
        bus_message_close(&m);
}

static void check_broker(void)
{
    uint64_t all = (uint64_t)ROUND * (WARM + ROUNDS);

    if (core.accepted != all || forwarded != all)
        fail("not every quote was accepted and forwarded");
}

/* --- store -------------------------------------------------------------------------------- */

static struct store *store;
static struct store_batch *batch;

static void open_store(const char *path)
{
    char error[STORE_ERROR_MAX] = "no file named";

    if (!path || store_open(path, STORE_WRITE, &store, error) ||
        store_begin_epoch(store, EPOCH, 1, "new", WALL_US, error))
        fail(error);
    batch = store_batch_new();
}

static void play_store(void)
{
    char error[STORE_ERROR_MAX] = "";
    uint64_t seq = made - ROUND;

    store_batch_clear(batch);
    store_batch_feed(batch, 0, SPAN("bench"), SPAN("bench"), 1, made, false);
    for (size_t i = 0; i < ROUND; i++)
        store_batch_add(batch, ++seq, 0, topic_of(&messages[i]), buf_span(&messages[i].record));
    if (store_write(store, batch, error))
        fail(error);
}

static void prepare_records(void)
{
    make_round(EPOCH);
}

/* --- gateway ------------------------------------------------------------------------------ */

static struct gateway {
    struct gateway_config config;
    struct loop *loop;
    struct hub *hub;
    struct sessions *sessions;
    struct counters counters;
    int64_t now;
} gateway;
static struct upstream upstream; /* without sockets: the kernel passes records to it */
static int *peers;
static size_t peer_count, per_turn;
static enum encoding encoding;

static void ignore(void *ctx, const struct session *s)
{
    (void)ctx, (void)s;
}

static bool is_broker_here(void *ctx)
{
    return upstream_is_here(ctx);
}

/* The broker answers a hello, and sends the mark that is subscribed. */
static void verify_link(int64_t now)
{
    struct wire_record r = {.kind = WIRE_MARK, .epoch = EPOCH, .body = SPAN("\xc0")};
    struct buf mark = {0};

    wire_put(&mark, &r);
    receiver_on_hello(upstream.receiver, EPOCH, now);
    receiver_tick(upstream.receiver, true, now);
    upstream_on_record(&upstream, span_of(upstream.receiver->mark), buf_span(&mark), now);
    receiver_tick(upstream.receiver, true, now);
    buf_free(&mark);
}

static void open_gateway(void)
{
    const struct session_out no_broker = {&upstream, ignore, ignore, is_broker_here, NULL};
    struct gateway *g = &gateway;
    char name[] = "kernels", *arguments[] = {name, NULL};

    if (config_load(&gateway_program, arguments, &g->config) != CONFIG_RUN)
        fail("the gateway's settings");
    log_init("kernels", "error", "text");
    g->loop = loop_new();
    g->now = loop_now(g->loop);
    g->hub = hub_new((size_t)g->config.client_queue);
    hub_set_window(g->hub, (size_t)g->config.resume_window);
    g->sessions = sessions_new(&g->config, "kernels", g->hub, &g->counters, &no_broker);
    g->sessions->io = client_io(g->loop);
    sessions_set_time(g->sessions, g->now, g->now, WALL_US);
    upstream.settings = (struct upstream_settings){
        g->loop, g->hub, &g->counters, &g->sessions->traced_count, NULL, NULL};
    upstream_connect_hub(&upstream, 1, g->now);
    verify_link(g->now);
}

static void add_client(const char *query)
{
    char text[64];
    struct accepted a = {.host = "127.0.0.1", .port = 1, .query = text, .encoding = encoding};
    int pair[2];

    snprintf(text, sizeof text, "%s", query);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair))
        fail("a client");
    a.fd = pair[0];
    peers[peer_count++] = pair[1];
    if (!client_accept(gateway.sessions, &a))
        fail("a session");
}

static void flush_due(void)
{
    struct hub_subscriber *s;

    while ((s = hub_take_due(gateway.hub)))
        session_flush(session_of(s));
}

/* Upstream's work for a record, and then the gateway's turn. */
static void play_gateway(void)
{
    for (size_t i = 0; i < ROUND; i++) {
        upstream_on_record(&upstream, topic_of(&messages[i]), buf_span(&messages[i].record),
                           gateway.now);
        if ((i + 1) % per_turn)
            continue;
        hub_fan_out(gateway.hub);
        flush_due();
        sessions_reap(gateway.sessions);
    }
}

static void read_peers(void)
{
    static char data[1 << 18];

    for (size_t i = 0; i < peer_count; i++)
        while (recv(peers[i], data, sizeof data, 0) > 0)
            ;
}

static uint64_t messages_out(void)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < gateway.sessions->count; i++)
        sum += gateway.sessions->list[i]->messages_out;
    return sum;
}

static void measure_gateway(size_t clients, const char *query)
{
    uint64_t before;

    peers = mem_alloc(clients * sizeof *peers);
    open_gateway();
    for (size_t i = 0; i < clients; i++)
        add_client(query);
    sessions_settle(gateway.sessions); /* takes the patterns, */
    for (struct hub_topic *t = hub_topic_first(gateway.hub); t; t = t->next)
        hub_topic_synced(t, 0);
    sessions_settle(gateway.sessions); /* joins */
    flush_due();
    read_peers();
    before = messages_out(); /* welcome and ack */
    run(prepare_records, play_gateway, read_peers);
    if (messages_out() - before != (uint64_t)clients * ROUND * (WARM + ROUNDS))
        fail("not every quote was sent to everybody");
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    char query[64];

    json = json_new();
    if (!strcmp(what, "feeder")) {
        run(prepare_lines, play_feeder, NULL);
    } else if (!strcmp(what, "core")) {
        open_core();
        run(prepare_core, play_core, NULL);
        check_broker();
    } else if (!strcmp(what, "broker")) {
        open_core();
        open_bus();
        run(prepare_bus, play_broker, drain_bus);
        check_broker();
    } else if (!strcmp(what, "store")) {
        open_store(argv[2]);
        run(prepare_records, play_store, NULL);
    } else if (!strcmp(what, "gateway") && argc == 6 && atoi(argv[3]) > 0) {
        per_turn = (size_t)atoi(argv[3]);
        encoding = !strcmp(argv[5], "msgpack") ? ENCODING_MSGPACK
                   : !strcmp(argv[5], "sse")   ? ENCODING_EVENTS
                                               : ENCODING_JSON;
        snprintf(query, sizeof query, "symbols=*&mode=%s", argv[4]);
        measure_gateway((size_t)atoi(argv[2]), query);
    } else {
        return fprintf(stderr, "kernels: see the head of tests/bench/kernels.c\n"), 2;
    }
    return 0;
}
