/* The gateway's loop: what it owns is in gateway.h, the HTTP side runs on threads of its own. */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "gateway/session/client.h"
#include "gateway/routes/http.h"
#include "gateway/routes/handlers.h"
#include "gateway/fanout/slot.h"
#include "gateway/session/stream.h"
#include "gateway/upstream/upstream.h"
#include "shared/base/check.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/base/version.h"

#define DEFER_MS 5
#define READY_MS 2000     /* the ready line waits so long for a broker to be there */
#define HTTP_STOP_MS 1000 /* HTTP may take so long beyond the deadline */
#define COME_BACK_MS 500  /* before it nobody is asked to */
#define SPARE_MS 1    /* the loop rests so long between slices of what is not urgent */
#define TIDY_SLICE 16 /* topics removed in a turn */
#define FLUSH_BYTES 1048576
#define FLUSH_SLICE 4096 /* clients flushed between looks at the sockets */

static void on_wake(struct loop_watch *w, uint32_t events)
{
    (void)w;
    (void)events; /* every turn takes what has come */
}

static void tell_and_close(struct client *c, const struct accepted *a)
{
    client_close(c, (uint16_t)a->explain_close, span_of(a->explain_reason), "refused");
    client_flush(c);
}

static void take_arrivals(struct gateway *g)
{
    struct accepted *a;

    log_hold();
    while ((a = accept_queue_take(g->accepted))) {
        struct client *c = client_new(g, a);

        if (c && a->is_early) /* what it said before the 101 is lost, so it must go */
            client_close(c, CLOSE_PROTOCOL, SPAN("{\"code\":\"too_early\"}"),
                         "frames before the handshake's answer");
        else if (c && a->explain_close)
            tell_and_close(c, a);
        else if (c)
            stream_welcome(c, a->query);
        accept_free(a);
    }
    log_release();
}

/* `only_free`: clients that have no request at work. */
static void flush_due(struct gateway *g, bool only_free)
{
    struct hub_subscriber *s;
    size_t most =
        hub_due_count(g->hub); /* one that is not done comes again, in the next turn */
    uint64_t upto = g->figures.bytes_out + FLUSH_BYTES;

    if (most > FLUSH_SLICE)
        most = FLUSH_SLICE;
    while (most-- && g->figures.bytes_out < upto && (s = hub_take_due(g->hub))) {
        struct client *c = (struct client *)((char *)s - offsetof(struct client, sub));

        if (only_free && c->requests)
            hub_set_due(g->hub, s);
        else
            client_flush(c);
    }
}

/* Signals, requests, quotes, deadlines: each bounded, so that none starves another. */
static bool turn(struct gateway *g, int64_t wait, int64_t *sweep_at)
{
    bool is_sweep_due, has_pages;

    loop_turn(g->loop, wait);
    g->now = loop_now(g->loop);
    g->awake = loop_awake(g->loop);
    g->wall_us = loop_wall_us(g->loop);
    is_sweep_due = g->now >= *sweep_at;
    client_wake(g);
    take_arrivals(g);
    handlers_answer(g);
    if (is_sweep_due) { /* before there is something new to send: a heartbeat tells how far all was */
        client_sweep(g);
        *sweep_at = g->now + CLIENT_SWEEP_MS;
    }
    upstream_drain(g->upstream);
    upstream_tick(g->upstream);
    has_pages = handlers_work(g);
    hub_fan_out(g->hub);
    g->has_spare_work = false;
    if (g->waiting) { /* after the fan-out: who joins now gets snapshots of all that */
        flush_due(g, true); /* quotes do not wait for what others ask for */
        stream_settle(g);
    }
    client_flush_deferred(g);
    flush_due(g, false);
    if (is_sweep_due)
        client_measure(g);
    if (g->figures.pending && !hub_has_due(g->hub))
        counters_served(&g->figures, clock_wall_us());
    client_reap(g);
    if (hub_tidy(g->hub, TIDY_SLICE))
        g->has_spare_work = true;
    return has_pages || hub_has_due(g->hub) || upstream_has_input(g->upstream) ||
           stream_has_more(g);
}

static int64_t next_wait(const struct gateway *g, bool more, int64_t sweep_at)
{
    int64_t wait = sweep_at - g->now;

    if (more)
        return 0;
    if (g->deferred_count && wait > DEFER_MS)
        wait = DEFER_MS;
    if ((g->has_spare_work || g->resting) && wait > SPARE_MS)
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

/* Everyone gets a slot of their own for coming back, late accepted too. */
static void say_goodbye(struct gateway *g)
{
    int64_t window_ms = g->config.timeout_graceful_shutdown;

    for (size_t i = g->client_count; i-- > 0;) {
        struct client *c = g->clients[i];

        if (c->is_closing)
            continue;
        stream_going_away(c, COME_BACK_MS + slot_at(g->goodbyes++, window_ms));
        client_close(c, CLOSE_RESTART, SPAN("{\"code\":\"restart\"}"),
                     "gateway restarts");
    }
}

/* Clients first: until they are gone HTTP goes on saying 503 draining to whoever comes. */
static void see_clients_off(struct gateway *g, int64_t deadline, int64_t *sweep_at)
{
    if (g->client_count)
        log_info("Waiting for connections to close. (CTRL+C to force quit)");
    say_goodbye(g);
    while (loop_stops(g->loop) < 2 && g->now < deadline && g->client_count) {
        turn(g, next_wait(g, hub_has_due(g->hub), *sweep_at), sweep_at);
        say_goodbye(g); /* late accepted */
    }
}

/* Not ready, but everything else goes on: until a balancer has noticed. */
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
    gate_set_draining(g->gate);
    deadline = g->now + g->config.timeout_graceful_shutdown;
    see_clients_off(g, deadline, sweep_at);
    loop_request_cancel_all(g->asks);
    s.watch.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    s.watch.on_ready = on_wake;
    if (s.watch.fd < 0 || loop_watch(g->loop, &s.watch, EPOLLIN) ||
        pthread_create(&s.thread, NULL, stop_http, &s))
        return 1;
    while (loop_stops(g->loop) < 2 && g->now < deadline + HTTP_STOP_MS &&
           !atomic_load(&s.is_done)) {
        say_goodbye(g);
        turn(g, next_wait(g, false, *sweep_at), sweep_at);
    }
    if (!atomic_load(&s.is_done)) {
        log_warning("Stopped with requests under way");
        _exit(loop_stops(g->loop) >= 2 ? 1 : 0); /* a worker may be stuck in a send */
    }
    pthread_join(s.thread, NULL);
    loop_unwatch(g->loop, &s.watch);
    close(s.watch.fd);
    if (g->client_count)
        log_warning("Stopped with %zu connections open", g->client_count);
    while (g->client_count)
        client_drop(g->clients[0], "gateway stopped");
    client_reap(g);
    return loop_stops(g->loop) < 2 ? 0 : 1;
}

static int run(struct gateway *g, char *const *argv)
{
    struct loop_watch asks = {.fd = loop_request_queue_fd(g->asks),
                              .on_ready = on_wake};
    struct loop_watch accepted = {.fd = accept_queue_fd(g->accepted),
                                  .on_ready = on_wake};
    char error[HTTP_ERROR_MAX] = "";
    int64_t sweep_at = 0, ready_by = g->now + READY_MS;
    bool more = true, is_ready = false;
    struct http *http = NULL;
    enum err e = http_start(&g->config, g->gate, g->asks, g->accepted, &http, error);

    if (e) {
        log_critical("%s", error);
        return e == ERR_INVALID ? 2 : 1;
    }
    if (loop_watch(g->loop, &asks, EPOLLIN) ||
        loop_watch(g->loop, &accepted, EPOLLIN)) {
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

static void name_gateway(struct gateway *g)
{
    char host[49] = "gateway";

    gethostname(host, sizeof host - 1);
    if (g->config.gateway_name[0])
        snprintf(g->name, sizeof g->name, "%s", g->config.gateway_name);
    else
        snprintf(g->name, sizeof g->name, "%s-%d", host, getpid());
}

/* For --check: what /cotizaciones/ready says. */
static const char *state(const void *ctx)
{
    const struct gate *gate = ctx;

    return gate_is_leaving(gate)   ? "draining"
           : gate_is_started(gate) ? "ready"
                                   : "starting";
}

int main(int argc, char **argv)
{
    static struct gateway g;
    struct check *check;
    int status = 1;

    (void)argc;
    mallopt(M_ARENA_MAX, 2); /* not one for each HTTP thread: docs/adr/0010 */
    switch (config_load(&gateway_program, argv, &g.config)) {
    case CONFIG_DONE:
        return 0;
    case CONFIG_WRONG:
        return 2;
    case CONFIG_RUN:
        break;
    }
    log_init("pregon-gateway", g.config.log_level, g.config.log_format);
    g.loop = loop_new();
    g.now = loop_now(g.loop);
    g.awake = loop_awake(g.loop);
    g.wall_us = g.started_us = loop_wall_us(g.loop);
    name_gateway(&g);
    log_info("Started pregon-gateway " PREGON_VERSION " [%d]", getpid());
    counters_init(&g.figures);
    g.json = json_new();
    g.hub = hub_new((size_t)g.config.client_queue);
    hub_set_window(g.hub, (size_t)g.config.resume_window);
    g.gate = gate_new();
    check = check_open(g.loop, gateway_program.name, state, g.gate);
    g.asks = loop_request_queue_new(http_max_waiting(&g.config));
    g.accepted = accept_queue_new();
    g.upstream = upstream_new(&g);
    if (g.upstream)
        status = run(&g, argv);
    upstream_free(g.upstream);
    stream_fini(&g);
    handlers_fini(&g);
    accept_queue_free(g.accepted);
    loop_request_queue_free(g.asks);
    check_close(check);
    gate_free(g.gate);
    hub_free(g.hub);
    json_free(g.json);
    free(g.clients);
    free(g.deferred);
    loop_free(g.loop);
    config_free(&gateway_program, &g.config);
    log_info("Finished pregon-gateway [%d]", getpid());
    return status;
}
