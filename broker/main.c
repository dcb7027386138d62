/* The broker's sockets and loop; core.c and core_control.c handle the messages. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/core/core.h"
#include "broker/locks/lock_core.h"
#include "broker/net/peers.h"
#include "broker/net/publisher.h"
#include "broker/backup/store_command.h"
#include "broker/sqlite/store_file.h"
#include "shared/wire/bus.h"
#include "shared/base/check.h"
#include "shared/base/clock.h"
#include "shared/wire/readiness.h"
#include "shared/base/log.h"
#include "shared/base/loop.h"
#include "shared/base/random.h"
#include "shared/base/version.h"

#define BURST 256
#define INGEST_HIGH_WATER 4096   /* lines of one feeder that the broker has not read yet */
#define SUBSCRIPTIONS_BURST 1024 /* libzmq has applied these subscriptions already */
#define CONTROL_HIGH_WATER 256   /* answers that a peer has not read, pages among them */
#define CONTROL_BURST 64
#define RENEW_MS 5000  /* time to store what is left before a new epoch */
#define STORE_MS 10000 /* time to store what is left when we stop */
#define LOOK_MS 500    /* between two readings of the clock */
#define FLUSH_MS 500   /* time to send what is queued to peers when we stop */

struct broker {
    struct broker_config config;
    struct loop *loop;
    struct check *check;
    const char *state; /* for --check */
    void *context, *ingest, *publish, *control;
    struct publisher publisher;                      /* of publish */
    struct readiness lines, subscriptions, requests; /* of these sockets */
    struct loop_watch store_watch, lock_watch;
    struct peers *peers;
    struct core core;
    int64_t look_at, seen_wall_us; /* at the clock: monotonic ms; of the turn before */
};

static void on_wake(struct loop_watch *w, uint32_t events)
{
    (void)w;
    (void)events; /* every turn reads all sockets, so the events do not matter */
}

static void publish(void *ctx, struct span topic, struct span record)
{
    struct broker *b = ctx;

    publisher_send(&b->publisher, topic, record);
    readiness_touch(&b->subscriptions);
}

static void send_message(void *ctx, struct span peer, struct span message)
{
    struct broker *b = ctx;
    struct span frames[] = {peer, message};

    if (!peers_is_there(b->peers, peer))
        return;
    if (bus_send(b->control, frames, 2))
        peers_drop(b->peers, peer);
    else
        peers_give(b->peers, peer, bus_wire_bytes(message.len));
    readiness_touch(&b->requests);
}

static void pack_peers(void *ctx, msgpack_packer *pk)
{
    peers_pack_status(((const struct broker *)ctx)->peers, pk);
}

static bool may_ask(void *ctx, struct span peer)
{
    struct broker *b = ctx;

    return peers_may_ask(b->peers, peer);
}

static bool is_behind(void *ctx, struct span peer)
{
    struct broker *b = ctx;

    return peers_is_behind(b->peers, peer);
}

static void refused(void *ctx, struct span peer)
{
    struct broker *b = ctx;

    peers_refuse(b->peers, peer);
}

/*
 * Receive one message of a socket and note its sender.  `identity`: the first frame is the
 * identity. ERR_AGAIN: there is no message.
 */
static enum err take(struct broker *b, enum peers_door door, struct readiness *in,
                     struct bus_message *m)
{
    enum err e = readiness_recv(in, m);

    if (e == ERR_AGAIN) {
        peers_drained(b->peers, door);
    } else if (peers_asks_for(b->peers, door)) {
        bool has_identity = !e && door == PEERS_CONTROL;
        struct span identity = has_identity ? bus_frame(m, 0) : SPAN("");
        uint64_t own = has_identity ? bus_wire_bytes(identity.len) : 0;

        peers_hear(b->peers, door, bus_source(m), bus_bytes(m) - own, identity);
        if (!e && door == PEERS_PUBLISH)
            peers_subscribe(b->peers, bus_source(m), bus_frame(m, 0));
    }
    return e;
}

static void drain_control(struct broker *b)
{
    struct bus_message m;
    enum err e;

    core_begin_turn(&b->core);
    for (int i = 0; i < CONTROL_BURST && core_may_take(&b->core); i++) {
        e = take(b, PEERS_CONTROL, &b->requests, &m);
        if (e == ERR_AGAIN)
            return;
        if (e)
            continue;
        /*
         * Use the current time, not the turn's start: else a lease could start before its
         * request came.
         */
        b->core.time.now = clock_mono_ms();
        if (m.count == 2)
            core_control(&b->core, bus_frame(&m, 0), bus_frame(&m, 1));
        bus_message_close(&m);
    }
}

static void drain_subscriptions(struct broker *b)
{
    struct bus_message m;
    enum err e;

    for (int i = 0; i < SUBSCRIPTIONS_BURST; i++) {
        e = take(b, PEERS_PUBLISH, &b->subscriptions, &m);
        if (e == ERR_AGAIN)
            return;
        if (e)
            continue;
        core_subscription(&b->core, bus_frame(&m, 0));
        bus_message_close(&m);
    }
}

static void forward(struct broker *b, struct bus_message *m)
{
    publisher_forward(&b->publisher, m);
    readiness_touch(&b->subscriptions);
}

static void drain_ingest(struct broker *b)
{
    struct bus_message m;
    enum err e;

    for (int i = 0; i < BURST; i++) {
        e = take(b, PEERS_INGEST, &b->lines, &m);
        if (e == ERR_AGAIN)
            return;
        if (e)
            continue;
        if (m.count == 2 && core_ingest(&b->core, bus_frame(&m, 0), bus_frame(&m, 1)))
            forward(b, &m);
        bus_message_close(&m);
    }
}

/* Twice a second, and at once when the time of day is not what may be expected. */
static void begin_clock(struct broker *b)
{
    int64_t boot_ms, wall_us;

    clock_pair(&boot_ms, &wall_us);
    core_clock_begin(&b->core, boot_ms, wall_us);
    journal_file_boot(b->core.clock.boot);
    b->seen_wall_us = wall_us;
}

static void look_at_clock(struct broker *b)
{
    int64_t boot_ms, wall_us = loop_wall_us(b->loop), since = wall_us - b->seen_wall_us;

    b->seen_wall_us = wall_us;
    if (since >= 0 && since < STEADY_JUMP_US / 2 && loop_now(b->loop) < b->look_at)
        return;
    b->look_at = loop_now(b->loop) + LOOK_MS;
    clock_pair(&boot_ms, &wall_us);
    core_clock_look(&b->core, boot_ms, wall_us);
}

/*
 * Signals, control, subscriptions, quotes, a slice of the requests that take longer, deadlines.
 * Each has a bound per turn, so that none starves another.  Returns ms until another turn is
 * wanted, or -1.
 */
static int64_t turn(struct broker *b, int64_t wait)
{
    int64_t wanted = -1;
    bool has_work;

    loop_turn(b->loop, wait);
    b->core.time =
        (struct turn_time){loop_now(b->loop), loop_awake(b->loop), loop_wall_us(b->loop)};
    look_at_clock(b);
    drain_control(b);
    drain_subscriptions(b);
    drain_ingest(b);
    core_acknowledge(&b->core);
    has_work = core_work(&b->core);
    if (b->core.log.log_writer) {
        core_take_answers(&b->core);
        wanted = log_writer_turn(b->core.log.log_writer, b->core.time.now,
                                 (uint64_t)b->core.time.wall_us);
    }
    return has_work ? 0 : wanted;
}

/* Input of a burst that was cut short, or that came while we sent: no descriptor shows it. */
static bool has_input(struct broker *b)
{
    return readiness_has_more(&b->requests) || readiness_has_more(&b->subscriptions) ||
           readiness_has_more(&b->lines);
}

static bool has_lines(struct broker *b)
{
    readiness_touch(&b->lines);
    return readiness_has_more(&b->lines);
}

/* ERR_INVALID: an address is taken or cannot be had; logged. */
static enum err bind_sockets(struct broker *b)
{
    const struct broker_config *c = &b->config;

    b->ingest = bus_bind(b->context, ZMQ_XSUB, c->broker_ingest, INGEST_HIGH_WATER,
                         WIRE_LINE_FRAME_MAX, "BROKER_INGEST");
    if (b->ingest)
        b->publish = bus_bind(b->context, ZMQ_XPUB, c->broker_publish, (int)c->publish_queue,
                              WIRE_SUBSCRIPTION_FRAME_MAX, "BROKER_PUBLISH");
    if (b->publish)
        b->control = bus_bind(b->context, ZMQ_ROUTER, c->broker_control, CONTROL_HIGH_WATER,
                              WIRE_REQUEST_FRAME_MAX, "BROKER_CONTROL");
    return b->control ? OK : ERR_INVALID;
}

static void watch_peers(struct broker *b)
{
    int one = 1;

    /* A ROUTER then reports a dropped answer, and an XPUB passes on every subscription. */
    zmq_setsockopt(b->control, ZMQ_ROUTER_MANDATORY, &one, sizeof one);
    zmq_setsockopt(b->publish, ZMQ_XPUB_VERBOSER, &one, sizeof one);
    peers_watch(b->peers, PEERS_INGEST, b->ingest, WIRE_LINE_FRAME_MAX);
    peers_watch(b->peers, PEERS_PUBLISH, b->publish, WIRE_SUBSCRIPTION_FRAME_MAX);
    peers_watch(b->peers, PEERS_CONTROL, b->control, WIRE_REQUEST_FRAME_MAX);
}

static enum err open_sockets(struct broker *b)
{
    char ingest[BUS_ENDPOINT_MAX], published[BUS_ENDPOINT_MAX], control[BUS_ENDPOINT_MAX];
    struct span everything = SPAN("\x01");
    enum err e;

    b->context = bus_context();
    e = bind_sockets(b);
    if (e)
        return e;
    bus_set_welcome(b->publish, SPAN(WIRE_TOPIC_WELCOME));
    publisher_init(&b->publisher, b->publish);
    watch_peers(b);
    if (bus_send(b->ingest, &everything, 1) || readiness_open(&b->lines, b->loop, b->ingest) ||
        readiness_open(&b->subscriptions, b->loop, b->publish) ||
        readiness_open(&b->requests, b->loop, b->control))
        return ERR_SYS;
    bus_endpoint(b->ingest, ingest);
    bus_endpoint(b->publish, published);
    bus_endpoint(b->control, control);
    log_info("Ingest on %s, publish on %s, control on %s", ingest, published, control);
    loop_ready("ingest=%s publish=%s control=%s", ingest, published, control);
    return OK;
}

static void close_sockets(struct broker *b)
{
    bus_set_linger(b->publish, FLUSH_MS);
    bus_set_linger(b->control, FLUSH_MS);
    bus_close(b->ingest);
    bus_close(b->publish);
    bus_close(b->control);
    zmq_ctx_term(b->context);
}

static enum err open_locks(struct broker *b, char error[STORE_ERROR_MAX])
{
    const char *given = broker_config_store(&b->config);
    char *file = store_file_plain_path(given), *path = store_file_beside(file, "-locks");
    enum err e = store_file_check_beside(given, "-locks", error);

    /* Leases restart from this moment, not from before the repair of the log. */
    b->core.time.now = clock_mono_ms();
    if (!e)
        e = lock_core_open(b->core.locks, path, &b->core.time, error);
    free(file);
    free(path);
    return e;
}

/* Open the store, if one is set, and load its content. */
static enum err open_store(struct broker *b)
{
    char error[LOG_WRITER_ERROR_MAX] = "";
    enum err e =
        log_writer_open(&b->config, (uint64_t)b->core.time.wall_us, &b->core.log.log_writer, error);

    if (!e) {
        b->core.log.journal = log_writer_journal(b->core.log.log_writer);
        core_init(&b->core, 0);
        e = core_restore(&b->core, error);
    }
    if (!e)
        e = log_writer_start(b->core.log.log_writer, error);
    if (!e)
        e = open_locks(b, error);
    if (e) {
        log_critical("%s", error);
        return e;
    }
    b->store_watch.fd = log_writer_fd(b->core.log.log_writer);
    b->store_watch.on_ready = on_wake;
    b->lock_watch.fd = lock_core_fd(b->core.locks);
    b->lock_watch.on_ready = on_wake;
    e = loop_watch(b->loop, &b->store_watch, EPOLLIN);
    if (!e)
        e = loop_watch(b->loop, &b->lock_watch, EPOLLIN);
    if (e) {
        log_critical("the loop takes no more descriptors");
        (void)lock_core_close(b->core.locks, 0);
    }
    return e;
}

/* Like a restart, but feeds, gateways and locks stay. */
static void renew(void *ctx, const char *reason, uint64_t above)
{
    struct broker *b = ctx;
    char error[LOG_WRITER_ERROR_MAX] = "";
    enum err e;

    loop_unwatch(b->loop, &b->store_watch);
    loop_leave(b->loop);
    (void)log_writer_close(b->core.log.log_writer, clock_mono_ms() + RENEW_MS);
    b->core.log.log_writer = NULL;
    b->core.log.journal = NULL;
    e = log_writer_open_anew(&b->config, (uint64_t)b->core.time.wall_us, reason, above,
                             &b->core.log.log_writer, error);
    loop_enter(b->loop);
    if (!e)
        e = log_writer_start(b->core.log.log_writer, error);
    if (!e) {
        b->core.log.journal = log_writer_journal(b->core.log.log_writer);
        b->store_watch.fd = log_writer_fd(b->core.log.log_writer);
        e = loop_watch(b->loop, &b->store_watch, EPOLLIN);
    }
    if (e) { /* without a log the broker cannot continue: end, and let a restart try again */
        log_critical("%s", error[0] ? error : "the loop takes no more descriptors");
        exit(1);
    }
}

static const char *state(const void *ctx)
{
    return ((const struct broker *)ctx)->state;
}

static int run(struct broker *b)
{
    int64_t wait = 0, deadline = 0;

    b->state = "ready";
    while (!loop_stops(b->loop)) {
        int64_t wanted = turn(b, wait), peers_wait;

        wait = core_tick(&b->core);
        peers_wait = peers_turn(b->peers, b->core.time.now, journal_head(b->core.log.journal));
        if (peers_wait < wait)
            wait = peers_wait;
        if (wanted >= 0 && wanted < wait)
            wait = wanted;
        if (has_input(b))
            wait = 0;
        if (loop_take_reload(b->loop))
            log_info("SIGHUP: the broker has no setting that can change while it runs");
    }
    b->state = "stopping";
    log_info("Shutting down");
    lock_core_stop(b->core.locks);
    /* Send what is queued; feeders keep the lines that we have not acknowledged. */
    deadline = loop_now(b->loop) + b->config.timeout_graceful_shutdown;
    while (loop_stops(b->loop) < 2 && loop_now(b->loop) < deadline && has_lines(b))
        turn(b, 0);
    loop_leave(b->loop);
    return loop_stops(b->loop) < 2 ? 0 : 1;
}

int main(int argc, char **argv)
{
    static struct broker b;
    bool is_stored = true;
    enum err e = OK;
    int64_t deadline = 0;
    int status = 1;

    (void)argc;
    config_start(&broker_program, argv, &b.config);
    if (!broker_config_check(&b.config))
        return 2;
    if (b.config.backup[0] || b.config.restore[0]) {
        status = b.config.backup[0] ? store_command_back_up(&b.config)
                                    : store_command_restore(&b.config);
        config_free(&broker_program, &b.config);
        return status;
    }
    log_init("pregon-broker", b.config.log_level, b.config.log_format);
    b.loop = loop_new();
    b.state = "starting";
    b.check = check_open(b.loop, broker_program.name, state, &b);
    b.core.config = &b.config;
    b.core.out = (struct core_out){.ctx = &b,
                                   .publish = publish,
                                   .send = send_message,
                                   .renew = renew,
                                   .may_ask = may_ask,
                                   .is_behind = is_behind,
                                   .refused = refused,
                                   .pack_peers = pack_peers};
    b.peers = peers_new(&(struct peers_limits){
        .connections = (uint64_t)b.config.peer_connections,
        .answer_bytes = (uint64_t)b.config.peer_bytes,
        .timeout_ms = b.config.peer_timeout,
    });
    b.core.time = (struct turn_time){loop_now(b.loop), loop_awake(b.loop), loop_wall_us(b.loop)};
    begin_clock(&b);
    if (broker_config_store(&b.config)) {
        loop_leave(b.loop);
        e = open_store(&b);
        loop_enter(b.loop);
    } else {
        core_init(&b.core, random_u64());
    }
    if (e == ERR_HELD) {
        status = 2; /* by another broker: settings name a store of our own */
    } else if (!e) {
        log_info("Started pregon-broker " PREGON_VERSION " [%d], log epoch %016llx", getpid(),
                 (unsigned long long)b.core.log.epoch);
        e = open_sockets(&b);
        status = !e ? run(&b) : e == ERR_INVALID ? 2 : 1;
        deadline = clock_mono_ms() + (loop_stops(b.loop) < 2 ? STORE_MS : 0);
        is_stored = lock_core_close(b.core.locks, deadline);
        close_sockets(&b);
    }
    if (b.core.log.log_writer && !log_writer_close(b.core.log.log_writer, deadline))
        is_stored = false;
    if (!is_stored && !status)
        status = 1;
    if (b.core.feeds)
        core_fini(&b.core);
    peers_free(b.peers);
    check_close(b.check);
    loop_free(b.loop);
    config_free(&broker_program, &b.config);
    log_info("Finished pregon-broker [%d]", getpid());
    return status;
}
