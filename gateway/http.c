#include "gateway/http.h"

#include <arpa/inet.h>
#include <civetweb.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>

#include "gateway/handshake.h"
#include "gateway/policy.h"
#include "gateway/reply.h"
#include "gateway/request.h"
#include "gateway/route.h"
#include "gateway/service.h"
#include "shared/clock.h"
#include "shared/condition.h"
#include "shared/log.h"
#include "shared/mem.h"
#include "shared/redact.h"

#define REQUEST_TIMEOUT_S 10  /* of reading a request, and of writing an answer */
#define LISTEN_BACKLOG "4096" /* civetweb's default of 200 loses SYNs in a burst */
#define STOP_WAIT_MS 1000     /* for answers under way; civetweb's stop cuts them off */

struct http {
    struct service service;
    struct mg_context *context;
    int port;
    uint32_t id_prefix;
    uint32_t id_count; /* atomic */
    pthread_rwlock_t policy_lock;
    struct policy *policy;
    pthread_mutex_t lock; /* guards answering */
    pthread_cond_t answered;
    int answering;
};

/* One per civetweb worker; its thread pointer. */
struct worker {
    struct request request;
    bool is_busy; /* the request is filled in */
};

/* What civetweb says while it starts, on the thread that starts it. */
static _Thread_local char *start_complaint;

static void new_id(struct http *h, char id[REQUEST_ID_MAX])
{
    snprintf(id, REQUEST_ID_MAX, "%08x%08x", h->id_prefix,
             __atomic_add_fetch(&h->id_count, 1, __ATOMIC_RELAXED));
}

static struct policy *current_policy(struct http *h)
{
    struct policy *p;

    pthread_rwlock_rdlock(&h->policy_lock);
    p = policy_hold(h->policy);
    pthread_rwlock_unlock(&h->policy_lock);
    return p;
}

static struct http *http_of(const struct mg_connection *conn)
{
    return mg_get_user_data(mg_get_context(conn));
}

static void *on_thread(const struct mg_context *context, int type)
{
    const struct sched_param none = {0};

    (void)context;
    if (type != 1)
        return NULL;
    /* Who is woken may not interrupt the loop: docs/adr/0012. */
    (void)pthread_setschedparam(pthread_self(), SCHED_BATCH, &none);
    return mem_zalloc(sizeof(struct worker));
}

static void on_thread_end(const struct mg_context *context, int type, void *worker)
{
    (void)context;
    (void)type;
    free(worker);
}

static int on_request(struct mg_connection *conn)
{
    struct http *h = http_of(conn);
    struct worker *w = mg_get_thread_pointer(conn);
    char id[REQUEST_ID_MAX];

    pthread_mutex_lock(&h->lock);
    h->answering++;
    pthread_mutex_unlock(&h->lock);
    new_id(h, id);
    request_init(&w->request, conn, current_policy(h), id);
    w->is_busy = true;
    return route_answer(&h->service, &w->request);
}

static void on_close(const struct mg_connection *conn)
{
    struct http *h = http_of(conn);
    struct worker *w = mg_get_thread_pointer(conn);

    if (!w || !w->is_busy)
        return;
    handshake_abandon(&h->service, &w->request);
    request_fini(&w->request);
    w->is_busy = false;
    pthread_mutex_lock(&h->lock);
    h->answering--;
    pthread_cond_signal(&h->answered);
    pthread_mutex_unlock(&h->lock);
}

static int on_error(struct mg_connection *conn, int status, const char *message)
{
    struct http *h = http_of(conn);
    const struct mg_request_info *info = mg_get_request_info(conn);
    struct buf said = {0}; /* it may quote the request */
    char id[REQUEST_ID_MAX];

    new_id(h, id);
    redact_address(span_of(message), &said);
    if (info)
        log_limited(&h->service.invalid, clock_mono_ms(), LOG_WARNING,
                    "%s:%d - Invalid HTTP request received: %d %.100s",
                    info->remote_addr, info->remote_port, status, buf_text(&said));
    buf_free(&said);
    reply_send_bare(conn, status, id);
    return 0;
}

static int on_message(const struct mg_connection *conn, const char *message)
{
    struct buf said = {0}; /* it may quote a request */
    struct worker *w;

    if (start_complaint) {
        if (!start_complaint[0])
            snprintf(start_complaint, HTTP_ERROR_MAX, "%s", message);
        return 1;
    }
    w = mg_get_thread_pointer(conn);
    /* Of a socket we have taken, it can only be unhappy about frames that came too
     * early. */
    if (w && w->is_busy)
        handshake_early(&w->request);
    redact_address(span_of(message), &said);
    log_debug("civetweb: %.200s", buf_text(&said));
    buf_free(&said);
    return 1;
}

static void on_websocket_ready(struct mg_connection *conn, void *h)
{
    struct worker *w = mg_get_thread_pointer(conn);

    handshake_ready(&((struct http *)h)->service, &w->request);
}

static int on_websocket_data(struct mg_connection *conn, int bits, char *data,
                             size_t len, void *h)
{
    struct worker *w = mg_get_thread_pointer(conn);

    (void)bits;
    (void)data;
    (void)len;
    (void)h;
    handshake_early(&w->request);
    return 0;
}

static void on_websocket_close(const struct mg_connection *conn, void *h)
{
    struct worker *w = mg_get_thread_pointer(conn);

    handshake_closed(&((struct http *)h)->service, &w->request);
}

static struct mg_context *start_civetweb(struct http *h, const struct gateway_config *c,
                                         char complaint[HTTP_ERROR_MAX])
{
    const struct mg_callbacks callbacks = {
        .begin_request = on_request,
        .connection_close = on_close,
        .http_error = on_error,
        .log_message = on_message,
        .init_thread = on_thread,
        .exit_thread = on_thread_end,
    };
    char address[96], threads[16], queue[16], timeout[16];
    /* The access_control ones: by default civetweb answers preflights itself, with "*".
     */
    const char *options[] = {"listening_ports",
                             address,
                             "num_threads",
                             threads,
                             "connection_queue",
                             queue,
                             "listen_backlog",
                             LISTEN_BACKLOG,
                             "request_timeout_ms",
                             timeout,
                             "tcp_nodelay",
                             "1",
                             "enable_keep_alive",
                             "no",
                             "decode_url",
                             "no",
                             "enable_directory_listing",
                             "no",
                             "enable_auth_domain_check",
                             "no",
                             "access_control_allow_origin",
                             "",
                             "access_control_allow_methods",
                             "",
                             "access_control_allow_headers",
                             "",
                             NULL};
    struct mg_context *context;

    snprintf(address, sizeof address, "%s:%d", c->host, (int)c->port);
    snprintf(threads, sizeof threads, "%d", (int)c->http_threads);
    snprintf(queue, sizeof queue, "%d", h->service.handover.budget.queue);
    snprintf(timeout, sizeof timeout, "%d", REQUEST_TIMEOUT_S * 1000);
    complaint[0] = '\0';
    start_complaint = complaint;
    context = mg_start(&callbacks, h, options);
    start_complaint = NULL;
    return context;
}

static void serve_websockets(struct http *h)
{
    static const char *names[] = {ADMISSION_SUBPROTOCOL_JSON,
                                  ADMISSION_SUBPROTOCOL_MSGPACK};
    static struct mg_websocket_subprotocols subprotocols = {2, names};

    /* Any path: on_request has let through only the stream's, in all its spellings. */
    mg_set_websocket_handler_with_subprotocols(h->context, "**", &subprotocols, NULL,
                                               on_websocket_ready, on_websocket_data,
                                               on_websocket_close, h);
}

static void apply(struct http *h, const struct gateway_config *c,
                  const struct policy *p)
{
    int fit = h->service.handover.budget.capacity;

    log_info("Pages of these origins may connect: %s", c->cors_origins);
    gate_set_limit(h->service.gate, p->max_connections, fit);
    if (p->max_connections > fit)
        log_warning(
            "WEBSOCKET_MAX_CONNECTIONS is %d, but of this process's %d descriptors "
            "only %d are left for WebSockets: that is the limit.  Raise it with "
            "ulimit -n or LimitNOFILE",
            p->max_connections, h->service.handover.budget.limit, fit);
}

static struct http *http_new(struct gate *gate, struct ask_desk *desk,
                             struct arrival_queue *arrivals)
{
    const struct log_limit limit = {.burst = 20, .interval_ms = 10000};
    struct http *h = mem_zalloc(sizeof *h);

    h->service = (struct service){
        .gate = gate,
        .desk = desk,
        .arrivals = arrivals,
        .handover = {.dead = -1},
        .untaken = limit,
        .invalid = limit,
    };
    if (getrandom(&h->id_prefix, sizeof h->id_prefix, 0) < 0)
        h->id_prefix = (uint32_t)clock_wall_us();
    pthread_rwlock_init(&h->policy_lock, NULL);
    pthread_mutex_init(&h->lock, NULL);
    condition_init(&h->answered);
    return h;
}

static void http_free(struct http *h)
{
    policy_drop(h->policy);
    handover_close(&h->service.handover);
    pthread_cond_destroy(&h->answered);
    pthread_mutex_destroy(&h->lock);
    pthread_rwlock_destroy(&h->policy_lock);
    free(h);
}

/* What civetweb said, "cannot bind to ADDRESS: 98 (Address already in use)", as a sentence. */
static enum err say_cannot_listen(const struct gateway_config *c, const char *complaint,
                                  char error[HTTP_ERROR_MAX])
{
    bool is_address = strncmp(complaint, "cannot bind", 11) == 0;
    const char *reason = is_address ? strstr(complaint, " (") : NULL;

    if (reason && strstr(reason, strerror(EADDRINUSE))) {
        snprintf(error, HTTP_ERROR_MAX,
                 "another program listens on %s:%d: end it, or set PORT", c->host,
                 (int)c->port);
        return ERR_INVALID;
    }
    snprintf(error, HTTP_ERROR_MAX, "HOST, PORT: cannot listen on %s:%d: %.*s", c->host,
             (int)c->port, reason ? (int)strcspn(reason + 2, ")") : 300,
             reason ? reason + 2 : complaint);
    return is_address ? ERR_INVALID : ERR_SYS;
}

/* civetweb does not tell; -1: not found. */
static int find_listener(const struct http *h)
{
    for (int fd = 3; fd < h->service.handover.budget.floor; fd++) {
        struct sockaddr_in a;
        int is_listener = 0;
        socklen_t len = sizeof is_listener, a_len = sizeof a;

        if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listener, &len) ||
            !is_listener || getsockname(fd, (struct sockaddr *)&a, &a_len))
            continue;
        if (a.sin_family == AF_INET && ntohs(a.sin_port) == h->port)
            return fd;
    }
    return -1;
}

/*
 * Who connects and says nothing waits in the kernel and holds no thread: for some 15 s (the kernel
 * reckons in repetitions of its answer), and as many of them as the backlog holds.
 */
static void defer_accept(const struct http *h)
{
    int fd = find_listener(h), seconds = REQUEST_TIMEOUT_S;

    if (fd < 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof seconds))
        log_debug("TCP_DEFER_ACCEPT could not be set: silent clients hold threads");
}

static enum err start(struct http *h, const struct gateway_config *c,
                      char error[HTTP_ERROR_MAX])
{
    char complaint[HTTP_ERROR_MAX];
    struct mg_server_port port;
    enum err e;

    h->policy = policy_new(c, error);
    if (!h->policy)
        return ERR_INVALID;
    e = handover_open(&h->service.handover, (int)c->http_threads,
                      (int)c->websocket_max_connections);
    if (e) {
        snprintf(
            error, HTTP_ERROR_MAX,
            "too few descriptors for HTTP_THREADS %d and any WebSocket (%s): raise "
            "ulimit -n or LimitNOFILE",
            (int)c->http_threads, err_text(e));
        return ERR_SYS;
    }
    apply(h, c, h->policy);
    mg_init_library(0);
    h->context = start_civetweb(h, c, complaint);
    if (!h->context) {
        mg_exit_library();
        return say_cannot_listen(c, complaint, error);
    }
    serve_websockets(h);
    if (mg_get_server_ports(h->context, 1, &port) == 1)
        h->port = port.port;
    defer_accept(h);
    return OK;
}

enum err http_start(const struct gateway_config *config, struct gate *gate,
                    struct ask_desk *desk, struct arrival_queue *arrivals,
                    struct http **out, char error[HTTP_ERROR_MAX])
{
    struct http *h = http_new(gate, desk, arrivals);
    enum err e = start(h, config, error);

    if (e)
        http_free(h);
    else
        *out = h;
    return e;
}

int http_port(const struct http *h)
{
    return h->port;
}

enum err http_set_policy(struct http *h, const struct gateway_config *config,
                         char error[HTTP_ERROR_MAX])
{
    struct policy *fresh = policy_new(config, error), *old;

    if (!fresh)
        return ERR_INVALID;
    pthread_rwlock_wrlock(&h->policy_lock);
    old = h->policy;
    h->policy = fresh;
    pthread_rwlock_unlock(&h->policy_lock);
    apply(h, config, fresh);
    policy_drop(old);
    return OK;
}

int http_max_waiting(const struct gateway_config *config)
{
    return (int)config->http_threads / 2;
}

/* civetweb writes nothing more once it stops, so let those finish that have an answer.
 */
static void wait_for_answers(struct http *h)
{
    int64_t until = clock_mono_ms() + STOP_WAIT_MS;

    pthread_mutex_lock(&h->lock);
    while (h->answering && condition_wait(&h->answered, &h->lock, until))
        ;
    pthread_mutex_unlock(&h->lock);
}

/*
 * civetweb's master looks for its stop flag every two seconds only; a listener that is
 * shut down wakes it at once.  (Till the flag is set it spins, a moment later.)
 */
static void wake_master(const struct http *h)
{
    int fd = find_listener(h);

    if (fd >= 0)
        shutdown(fd, SHUT_RDWR);
}

void http_stop(struct http *h)
{
    if (!h)
        return;
    wait_for_answers(h);
    wake_master(h);
    mg_stop(h->context);
    mg_exit_library();
    http_free(h);
}
