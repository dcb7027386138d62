/* The gateway's loop. The HTTP side runs on its own threads. */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "gateway/fanout/framing.h"
#include "gateway/routes/handlers.h"
#include "gateway/routes/http.h"
#include "gateway/session/client.h"
#include "gateway/session/sessions.h"
#include "gateway/upstream/upstream.h"
#include "shared/base/check.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/base/version.h"
#include "shared/wire/pack.h"

#define DEFER_MS 5
#define READY_MS 2000     /* the ready line waits so long for a broker to be there */
#define HTTP_STOP_MS 1000 /* HTTP may take so long beyond the deadline */
#define SPARE_MS 1        /* pause of the loop between slices of work that is not urgent */
#define TAKERS_MS 500     /* a stopping gateway waits so long to hear how many others there are */
#define TIDY_SLICE 16     /* topics removed in a turn */
#define FLUSH_BYTES 1048576
#define FLUSH_SLICE 4096 /* clients flushed between looks at the sockets */

/* Data of the loop.  The HTTP side uses only requests, accepted and gate. */
struct gateway {
    struct gateway_config config;
    char name[65];
    char http_address[96]; /* http://HOST:PORT */
    struct loop *loop;
    struct hub *hub;
    struct upstream *upstream;
    struct gate *gate;
    struct loop_request_queue *requests;
    struct accept_queue *accepted;
    int64_t now;      /* of this turn: monotonic, ms */
    bool is_tidy_due; /* the hub has more to forget */
    struct sessions *sessions;
    struct handlers handlers;
    struct counters counters;
    uint64_t takers; /* other gateways that have places, as far as known, when this one stops */
    bool is_asking_takers;
};

static void on_wake(struct loop_watch *w, uint32_t events)
{
    (void)w;
    (void)events; /* every turn reads all sources, so the events do not matter */
}

static void take_accepted(struct gateway *g)
{
    struct accepted *a;

    log_collect();
    while ((a = accept_queue_take(g->accepted))) {
        if (!client_accept(g->sessions, a) && !a->explain_close)
            gate_release(g->gate);
        accept_free(a);
    }
    log_flush();
}

static void read_clock(struct gateway *g)
{
    g->now = loop_now(g->loop);
    sessions_set_time(g->sessions, g->now, loop_awake(g->loop), loop_wall_us(g->loop));
}

/*
 * Signals, requests, quotes, deadlines.  Each has a bound per turn, so that none starves another.
 */
static bool turn(struct gateway *g, int64_t wait, int64_t *sweep_at)
{
    bool is_sweep_due, has_pages;

    loop_turn(g->loop, wait);
    read_clock(g);
    is_sweep_due = g->now >= *sweep_at;
    sessions_unthrottle(g->sessions);
    take_accepted(g);
    handlers_answer(&g->handlers);
    /* before new quotes are applied: a heartbeat states up to where everything was sent */
    if (is_sweep_due) {
        sessions_sweep(g->sessions);
        *sweep_at = g->now + SESSIONS_SWEEP_MS;
    }
    upstream_drain(g->upstream);
    upstream_tick(g->upstream);
    has_pages = handlers_work(&g->handlers);
    hub_fan_out(g->hub);
    if (g->sessions->waiting) /* quotes must not wait for the requests of other clients */
        sessions_flush_due(g->sessions, FLUSH_SLICE, FLUSH_BYTES, true);
    sessions_settle(g->sessions);
    sessions_flush_deferred(g->sessions);
    sessions_flush_due(g->sessions, FLUSH_SLICE, FLUSH_BYTES, false);
    if (is_sweep_due)
        sessions_measure(g->sessions);
    if (g->counters.pending && !hub_has_due(g->hub))
        counters_served(&g->counters, clock_wall_us());
    sessions_reap(g->sessions);
    g->is_tidy_due = hub_tidy(g->hub, TIDY_SLICE);
    return has_pages || hub_has_due(g->hub) || upstream_has_input(g->upstream) ||
           sessions_have_more(g->sessions);
}

static int64_t next_wait(const struct gateway *g, bool more, int64_t sweep_at)
{
    int64_t wait = sweep_at - g->now;

    if (more)
        return 0;
    if (g->sessions->deferred_count && wait > DEFER_MS)
        wait = DEFER_MS;
    if ((g->is_tidy_due || g->sessions->has_spare_work || g->sessions->throttled) &&
        wait > SPARE_MS)
        wait = SPARE_MS;
    return wait > 0 ? wait : 0;
}

static void reload(struct gateway *g, struct http *http, char *const *argv)
{
    struct gateway_config fresh = {0};
    char error[HTTP_ERROR_MAX] = "";

    if (config_load(&gateway_program, argv, &fresh) != CONFIG_RUN) {
        log_error("SIGHUP: the settings are wrong, the old ones stay");
        return;
    }
    if (http_set_policy(http, &fresh, error)) {
        log_error("SIGHUP: %s; the old settings stay", error);
        config_free(&gateway_program, &fresh);
        return;
    }
    log_init("pregon-gateway", fresh.log_level, fresh.log_format);
    config_free(&gateway_program, &g->config);
    g->config = fresh;
    hub_set_queue_limit(g->hub, (size_t)fresh.client_queue);
    upstream_introduce(g->upstream);
    log_info("SIGHUP: settings reloaded (addresses and threads need a restart)");
}

struct stopper {
    pthread_t thread;
    struct http *http;
    atomic_bool is_done;
    struct loop_watch watch; /* an eventfd */
};

static void *stop_http(void *arg)
{
    struct stopper *s = arg;
    uint64_t one = 1;

    http_stop(s->http);
    atomic_store(&s->is_done, true);
    if (write(s->watch.fd, &one, sizeof one) < 0)
        return NULL; /* the loop looks at is_done anyway */
    return NULL;
}

static void send_away(struct gateway *g)
{
    sessions_send_away(g->sessions, g->takers);
}

/* Count the other gateways that have places. */
static void on_gateways(void *ctx, struct span answer)
{
    struct gateway *g = ctx;
    struct span list;
    uint32_t count = pack_find_list(answer, "gateways", &list);

    g->is_asking_takers = false;
    while (count--) {
        struct span other = pack_next_raw(&list);

        g->takers += !span_eq(pack_find_text(other, "name"), g->name) &&
                     pack_find_u(other, "connections", 0) < pack_find_u(other, "limit", 0);
    }
}

/* Without an answer in TAKERS_MS they count as one. */
static void ask_takers(struct gateway *g, int64_t *sweep_at)
{
    int64_t until = g->now + TAKERS_MS;

    if (!g->sessions->count)
        return;
    g->is_asking_takers = true;
    upstream_request(g->upstream, "status", 0, SPAN(""), g, on_gateways);
    while (g->is_asking_takers && loop_stops(g->loop) < 2 && g->now < until)
        turn(g, next_wait(g, hub_has_due(g->hub), *sweep_at), sweep_at);
}

/* Close the clients first: until they are gone, HTTP continues to answer 503 draining. */
static void see_clients_off(struct gateway *g, int64_t deadline, int64_t *sweep_at)
{
    if (g->sessions->count)
        log_info("Waiting for connections to close. (CTRL+C to force quit)");
    send_away(g);
    while (loop_stops(g->loop) < 2 && g->now < deadline && g->sessions->count) {
        turn(g, next_wait(g, hub_has_due(g->hub), *sweep_at), sweep_at);
        send_away(g); /* also clients that were accepted late */
    }
}

/* Report "not ready" and continue to serve, until a balancer has noticed. */
static void linger(struct gateway *g, int64_t *sweep_at)
{
    int64_t until = g->now + g->config.drain_delay;
    bool more = false;

    gate_set_leaving(g->gate);
    if (g->now < until)
        log_info("Not ready any more; handshakes are served for %.1f s (DRAIN_DELAY)",
                 (double)g->config.drain_delay / 1000);
    while (loop_stops(g->loop) < 2 && g->now < until)
        more = turn(g, next_wait(g, more, *sweep_at), sweep_at);
}

static int drain(struct gateway *g, struct http *http, int64_t *sweep_at)
{
    struct stopper s = {.http = http};
    int64_t deadline;

    log_info("Shutting down");
    linger(g, sweep_at);
    ask_takers(g, sweep_at);
    gate_set_draining(g->gate);
    deadline = g->now + g->config.timeout_graceful_shutdown;
    see_clients_off(g, deadline, sweep_at);
    loop_request_cancel_all(g->requests);
    s.watch.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    s.watch.on_ready = on_wake;
    if (s.watch.fd < 0 || loop_watch(g->loop, &s.watch, EPOLLIN) ||
        pthread_create(&s.thread, NULL, stop_http, &s))
        return 1;
    while (loop_stops(g->loop) < 2 && g->now < deadline + HTTP_STOP_MS &&
           !atomic_load(&s.is_done)) {
        send_away(g);
        turn(g, next_wait(g, false, *sweep_at), sweep_at);
    }
    if (!atomic_load(&s.is_done)) {
        log_warning("Stopped with requests under way");
        _exit(loop_stops(g->loop) >= 2 ? 1 : 0); /* a worker may be stuck in a send */
    }
    pthread_join(s.thread, NULL);
    loop_unwatch(g->loop, &s.watch);
    close(s.watch.fd);
    if (g->sessions->count)
        log_warning("Stopped with %zu connections open", g->sessions->count);
    sessions_drop_all(g->sessions, "gateway stopped");
    return loop_stops(g->loop) < 2 ? 0 : 1;
}

static int run(struct gateway *g, char *const *argv)
{
    struct loop_watch requests = {.fd = loop_request_queue_fd(g->requests), .on_ready = on_wake};
    struct loop_watch accepted = {.fd = accept_queue_fd(g->accepted), .on_ready = on_wake};
    char error[HTTP_ERROR_MAX] = "";
    int64_t sweep_at = 0, ready_by = g->now + READY_MS;
    bool more = true, is_ready = false;
    struct http *http = NULL;
    enum err e = http_start(&g->config, g->gate, g->requests, g->accepted, &http, error);

    if (e) {
        log_critical("%s", error);
        return e == ERR_INVALID ? 2 : 1;
    }
    if (loop_watch(g->loop, &requests, EPOLLIN) || loop_watch(g->loop, &accepted, EPOLLIN)) {
        log_critical("epoll: %s", strerror(errno));
        return 1;
    }
    snprintf(g->http_address, sizeof g->http_address, "http://%s:%d", g->config.host,
             http_port(http));
    log_info("Pregón running on %s (Press CTRL+C to quit)", g->http_address);
    while (!loop_stops(g->loop)) {
        more = turn(g, next_wait(g, more, sweep_at), &sweep_at);
        if (!is_ready && (gate_is_started(g->gate) || g->now >= ready_by)) {
            is_ready = true;
            loop_ready("http=%s", g->http_address);
        }
        if (loop_take_reload(g->loop))
            reload(g, http, argv);
    }
    return drain(g, http, &sweep_at);
}

/* --- what sessions need --------------------------------------------------------------------- */

static void on_opened(void *ctx, const struct session *s)
{
    struct gateway *g = ctx;
    struct report_client row = {.id = s->id,
                                .host = s->host,
                                .port = s->port,
                                .since_us = s->since_us,
                                .protocol = framing_protocol(s->sub.encoding)};

    upstream_report_open(g->upstream, &row);
}

static void on_closed(void *ctx, const struct session *s)
{
    struct gateway *g = ctx;

    gate_release(g->gate);
    upstream_report_close(g->upstream, s->id);
}

static bool is_broker_here(void *ctx)
{
    struct gateway *g = ctx;

    return upstream_is_here(g->upstream);
}

static void request(void *ctx, const char *op, uint32_t members, struct span body, void *answer_ctx,
                    session_answer *on_answer)
{
    struct gateway *g = ctx;

    upstream_request(g->upstream, op, members, body, answer_ctx, on_answer);
}

static void open_sessions(struct gateway *g)
{
    const struct session_out out = {g, on_opened, on_closed, is_broker_here, request};

    g->sessions = sessions_new(&g->config, g->name, g->hub, &g->counters, &out);
    g->sessions->io = client_io(g->loop);
    read_clock(g);
}

/* --- what the link to the broker wants of the gateway ---------------------------------------- */

static struct upstream_self describe_self(void *ctx)
{
    const struct gateway *g = ctx;

    return (struct upstream_self){.name = g->name,
                                  .http = g->http_address,
                                  .limit = (uint64_t)gate_limit(g->gate),
                                  .count = g->sessions->place_count};
}

static void on_started(void *ctx)
{
    struct gateway *g = ctx;

    gate_set_started(g->gate);
}

static void report_all(void *ctx)
{
    struct gateway *g = ctx;

    for (size_t i = 0; i < g->sessions->count; i++)
        if (g->sessions->list[i]->has_place)
            on_opened(g, g->sessions->list[i]);
}

static void on_lost(void *ctx, uint64_t seq, struct span body)
{
    struct gateway *g = ctx;

    sessions_report_loss(g->sessions, seq, body);
}

static void on_reset(void *ctx, const char *reason)
{
    struct gateway *g = ctx;

    sessions_reset(g->sessions, reason);
}

static struct upstream *open_upstream(struct gateway *g)
{
    const struct upstream_settings settings = {
        .loop = g->loop,
        .hub = g->hub,
        .counters = &g->counters,
        .tracers = &g->sessions->traced_count,
        .publish = g->config.broker_publish,
        .control = g->config.broker_control,
    };
    const struct upstream_out out = {
        g, describe_self, on_started, report_all, on_lost, on_reset,
    };

    return upstream_new(&settings, &out);
}

/* --- life ------------------------------------------------------------------------------------- */

static void name_gateway(struct gateway *g)
{
    char host[49] = "gateway";

    gethostname(host, sizeof host - 1);
    if (g->config.gateway_name[0])
        snprintf(g->name, sizeof g->name, "%s", g->config.gateway_name);
    else
        snprintf(g->name, sizeof g->name, "%s-%d", host, getpid());
}

/* For --check: the answer of /cotizaciones/ready. */
static const char *state(const void *ctx)
{
    const struct gate *gate = ctx;

    return gate_is_leaving(gate) ? "draining" : gate_is_started(gate) ? "ready" : "starting";
}

int main(int argc, char **argv)
{
    static struct gateway g;
    struct check *check;
    int status = 1;

    (void)argc;
    mallopt(M_ARENA_MAX, 2); /* not one arena per HTTP thread: docs/adr/0010 */
    config_start(&gateway_program, argv, &g.config);
    log_init("pregon-gateway", g.config.log_level, g.config.log_format);
    g.loop = loop_new();
    name_gateway(&g);
    log_info("Started pregon-gateway " PREGON_VERSION " [%d]", getpid());
    counters_init(&g.counters);
    g.hub = hub_new((size_t)g.config.client_queue);
    hub_set_window(g.hub, (size_t)g.config.resume_window);
    open_sessions(&g);
    g.gate = gate_new();
    check = check_open(g.loop, gateway_program.name, state, g.gate);
    g.requests = loop_request_queue_new(http_max_waiting(&g.config));
    g.accepted = accept_queue_new();
    g.upstream = open_upstream(&g);
    g.handlers = (struct handlers){
        .config = &g.config,
        .name = g.name,
        .http_address = g.http_address,
        .started_us = g.sessions->wall_us,
        .hub = g.hub,
        .gate = g.gate,
        .upstream = g.upstream,
        .sessions = g.sessions,
        .requests = g.requests,
    };
    if (g.upstream)
        status = run(&g, argv);
    loop_leave(g.loop);
    upstream_free(g.upstream);
    handlers_fini(&g.handlers);
    sessions_free(g.sessions);
    accept_queue_free(g.accepted);
    loop_request_queue_free(g.requests);
    check_close(check);
    gate_free(g.gate);
    hub_free(g.hub);
    loop_free(g.loop);
    config_free(&gateway_program, &g.config);
    log_info("Finished pregon-gateway [%d]", getpid());
    return status;
}
