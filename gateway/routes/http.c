#include "gateway/routes/http.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "gateway/http/body.h"
#include "gateway/limits/descriptors.h"
#include "gateway/http/front.h"
#include "gateway/access/handshake.h"
#include "gateway/policy/policy.h"
#include "gateway/http/request.h"
#include "gateway/routes/route.h"
#include "gateway/routes/service.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/base/mem.h"
#include "shared/base/random.h"

#define STOP_WAIT_MS 1000 /* time for answers in progress */

struct http {
    struct service service;
    struct front *front;
    struct descriptors descriptors;
    pthread_t *workers;
    int worker_count;
    pthread_rwlock_t policy_lock;
    struct policy *policy;
};

static struct policy *current_policy(struct http *h)
{
    struct policy *p;

    pthread_rwlock_rdlock(&h->policy_lock);
    p = policy_hold(h->policy);
    pthread_rwlock_unlock(&h->policy_lock);
    return p;
}

static void serve(struct http *h, struct connection *c)
{
    struct request r;
    struct buf answer = {0};

    request_init(&r, c, current_policy(h));
    if (route_answer(&h->service, &r, &answer))
        front_answer(h->front, c, &answer, body_is_left(&r));
    else if (r.wanted_body)
        front_await_body(h->front, c, r.wanted_body);
    else if (!handshake_finish(&h->service.handshakes, h->front, &r, &answer)) {
        buf_clear(&answer);
        front_answer(h->front, c, &answer, false);
    }
    buf_free(&answer);
    handshake_abandon(&h->service.handshakes, &r);
    request_fini(&r);
}

static void *work(void *arg)
{
    const struct sched_param none = {0};
    struct http *h = arg;
    struct connection *c;

    /* A thread that wakes up may not interrupt the loop: docs/adr/0012. */
    (void)pthread_setschedparam(pthread_self(), SCHED_BATCH, &none);
    while ((c = front_take(h->front)))
        serve(h, c);
    return NULL;
}

static void apply(struct http *h, const struct gateway_config *c, const struct policy *p)
{
    int fit = h->descriptors.capacity;

    log_info("Pages of these origins may connect: %s", c->cors_origins);
    gate_set_limit(h->service.gate, p->max_connections, fit);
    if (p->max_connections > fit)
        log_warning("WEBSOCKET_MAX_CONNECTIONS is %d, but of this process's %d descriptors "
                    "only %d are left for WebSockets: that is the limit.  Raise it with "
                    "ulimit -n or LimitNOFILE",
                    p->max_connections, h->descriptors.limit, fit);
}

static struct front_limits limits_of(const struct http *h, const struct gateway_config *c)
{
    return (struct front_limits){
        .connections = h->descriptors.http,
        .per_address = (int)c->http_max_per_address,
        .head_ms = c->http_head_timeout,
    };
}

static struct http *http_new(struct gate *gate, struct loop_request_queue *core,
                             struct accept_queue *accepted)
{
    const struct log_limit limit = {.burst = 20, .interval_ms = 10000};
    struct http *h = mem_zalloc(sizeof *h);

    h->service = (struct service){
        .queries = rate_new(random_u64()),
        .gate = gate,
        .core = core,
        .handshakes = {.gate = gate, .accepted = accepted, .gone = limit},
    };
    pthread_rwlock_init(&h->policy_lock, NULL);
    return h;
}

/* Frees the server; also joins the threads that were started. */
static void http_free(struct http *h)
{
    if (h->front)
        front_stop(h->front);
    for (int i = 0; i < h->worker_count; i++)
        pthread_join(h->workers[i], NULL);
    front_free(h->front);
    free(h->workers);
    policy_drop(h->policy);
    rate_free(h->service.queries);
    pthread_rwlock_destroy(&h->policy_lock);
    free(h);
}

static enum err start_threads(struct http *h, int workers)
{
    h->workers = mem_zalloc((size_t)workers * sizeof *h->workers);
    for (; h->worker_count < workers; h->worker_count++)
        if (pthread_create(&h->workers[h->worker_count], NULL, work, h))
            return ERR_SYS;
    return front_start(h->front);
}

static enum err start(struct http *h, const struct gateway_config *c, char error[HTTP_ERROR_MAX])
{
    struct front_limits limits;
    enum err e;

    h->policy = policy_new(c, error);
    if (!h->policy)
        return ERR_INVALID;
    e = descriptors_prepare((int)c->http_max_connections, (int)c->websocket_max_connections,
                            &h->descriptors);
    if (e) {
        snprintf(error, HTTP_ERROR_MAX,
                 "too few descriptors for any WebSocket (%s): raise ulimit -n or "
                 "LimitNOFILE",
                 err_text(e));
        return ERR_SYS;
    }
    apply(h, c, h->policy);
    h->service.publishing_max = (int)c->http_threads / 4;
    limits = limits_of(h, c);
    e = front_open(c->host, (int)c->port, &limits, h->service.gate, &h->front, error);
    if (e)
        return e;
    e = start_threads(h, (int)c->http_threads);
    if (e)
        snprintf(error, HTTP_ERROR_MAX, "HTTP_THREADS=%d: the system allows no more threads",
                 (int)c->http_threads);
    return e;
}

enum err http_start(const struct gateway_config *config, struct gate *gate,
                    struct loop_request_queue *core, struct accept_queue *accepted,
                    struct http **out, char error[HTTP_ERROR_MAX])
{
    struct http *h = http_new(gate, core, accepted);
    enum err e = start(h, config, error);

    if (e)
        http_free(h);
    else
        *out = h;
    return e;
}

int http_port(const struct http *h)
{
    return front_port(h->front);
}

enum err http_set_policy(struct http *h, const struct gateway_config *config,
                         char error[HTTP_ERROR_MAX])
{
    struct policy *fresh = policy_new(config, error), *old;
    struct front_limits limits = limits_of(h, config);

    if (!fresh)
        return ERR_INVALID;
    pthread_rwlock_wrlock(&h->policy_lock);
    old = h->policy;
    h->policy = fresh;
    pthread_rwlock_unlock(&h->policy_lock);
    front_set_limits(h->front, &limits);
    apply(h, config, fresh);
    policy_drop(old);
    return OK;
}

int http_max_waiting(const struct gateway_config *config)
{
    return (int)config->http_threads / 2;
}

void http_stop(struct http *h)
{
    if (!h)
        return;
    front_wait_idle(h->front, clock_mono_ms() + STOP_WAIT_MS);
    http_free(h);
}
