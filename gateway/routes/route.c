#include "gateway/routes/route.h"

#include <stdio.h>
#include <string.h>

#include "gateway/http/body.h"
#include "gateway/policy/cors.h"
#include "gateway/routes/diagnosis.h"
#include "gateway/routes/exposition.h"
#include "gateway/access/handshake.h"
#include "gateway/http/query.h"
#include "gateway/http/reply_text.h"
#include "gateway/routes/route_private.h"
#include "gateway/routes/www.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"

#define STREAM "/ws/cotizaciones"
#define EVENTS "/cotizaciones/events"
#define PAGE "limit,offset"

static route_handler get_file, get_health, get_ready, get_live, get_status, get_check, get_metrics;

static const struct route {
    const char *path;
    route_handler *get;              /* HEAD too; NULL: the stream, or its events */
    route_handler *post, *put, *del; /* NULL: not a method here */
    const char *tail;                /* required end of the path after the slash */
    /* the parameters that it accepts; NULL: none */
    const char *query, *del_query, *put_query, *post_query;
    bool has_more;    /* the path continues after a slash */
    bool is_query;    /* HTTP_QUERY_RATE counts it, if it is a GET */
    bool is_removal;  /* its DELETE needs ADMIN_TOKEN; those of other paths LOCKS_TOKEN */
    bool is_events;   /* the stream, for a GET without Upgrade */
    bool is_open;     /* pages of every origin may read it, regardless of CORS_ORIGINS */
    bool is_any_host; /* probes request it by address, regardless of ALLOWED_HOSTS */
} routes[] = {
    {.path = "/metrics", .get = get_metrics, .is_any_host = true},
    {.path = "/cotizaciones/health", .get = get_health, .is_any_host = true},
    {.path = "/cotizaciones/ready", .get = get_ready, .is_any_host = true},
    {.path = "/cotizaciones/live", .get = get_live, .is_any_host = true},
    {.path = "/cotizaciones/websocket_status", .get = get_status, .query = PAGE},
    {.path = "/cotizaciones/websocket_check",
     .get = get_check,
     .query = DIAGNOSIS_QUERY,
     .is_open = true},
    {.path = "/cotizaciones/telegram_locks_status", .get = route_get_telegram_locks},
    {.path = ROUTE_LOCKS, .get = route_get_locks, .query = "prefix," PAGE},
    {.path = ROUTE_LOCKS,
     .has_more = true,
     .tail = ROUTE_LOCK_VALUE,
     .get = route_get_lock_value,
     .put = route_put_lock_value,
     .put_query = "owner,token"},
    {.path = ROUTE_LOCKS,
     .has_more = true,
     .get = route_get_lock,
     .put = route_put_lock,
     .del = route_delete_lock,
     .del_query = "owner,token,break,reason"},
    {.path = ROUTE_QUOTES,
     .get = route_get_quotes,
     .query = "symbols," PAGE,
     .is_query = true,
     .post = route_post_quotes,
     .post_query = "stored,ended"},
    /* No symbol ends in "/history": they have no lower case. */
    {.path = ROUTE_QUOTES,
     .has_more = true,
     .tail = ROUTE_HISTORY,
     .get = route_get_history,
     .is_query = true,
     .query = "order,since,until,limit,next,format"},
    {.path = ROUTE_QUOTES,
     .has_more = true,
     .get = route_get_quote,
     .is_query = true,
     .del = route_delete_quote,
     .is_removal = true},
    {.path = ROUTE_FEEDS,
     .has_more = true,
     .get = route_get_feed,
     .del = route_delete_feed,
     .is_removal = true},
    {.path = STREAM, .query = HANDSHAKE_QUERY},
    {.path = EVENTS, .query = HANDSHAKE_QUERY, .is_events = true},
};

/* Each path that www.c lists. */
static const struct route file_route = {.get = get_file};

/* A slash at the end makes no difference. */
static bool ends_with(const char *path, const char *tail)
{
    size_t len = strlen(path), tail_len = strlen(tail);

    len -= len && path[len - 1] == '/';
    return len > tail_len && memcmp(path + len - tail_len, tail, tail_len) == 0;
}

static bool matches(const struct route *t, const char *path)
{
    size_t len = strlen(t->path);

    if (strncmp(path, t->path, len) != 0)
        return false;
    if (t->has_more)
        return path[len] == '/' && path[len + 1] &&
               (!t->tail || ends_with(path + len + 1, t->tail));
    return !path[len] || strcmp(path + len, "/") == 0;
}

static const struct route *find(const char *path)
{
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
        if (matches(&routes[i], path))
            return &routes[i];
    return www_find(path, &(struct www_file){0}) ? &file_route : NULL;
}

static struct handshake_path stream_path(const struct route *t)
{
    struct handshake_path path = {
        .is_stream = t && !t->get, .is_http = t && t->get, .is_events = t && t->is_events};

    snprintf(path.methods, sizeof path.methods, "GET%s%s%s%s",
             !t || t->get || t->is_events ? ", HEAD" : "", t && t->post ? ", POST" : "",
             t && t->put ? ", PUT" : "", t && t->del ? ", DELETE" : "");
    return path;
}

/* What a request without Upgrade, or a WebSocket's handshake, finds there. */
static struct handshake_path look_up(const char *path)
{
    return stream_path(find(path));
}

/*
 * A page's links are relative, so that it works under any prefix.  The browser must therefore
 * request the page with a final slash if its path is "/", and without one otherwise.
 */
static bool redirect_page(const struct www_file *f, const struct request *r, struct reply *p)
{
    const char *path = r->head->path, *last = strrchr(path, '/') + 1;
    size_t len = strlen(path);

    if (!f->path[1] && *last)
        buf_printf(&p->headers, "Location: ./%s/", last);
    else if (f->path[1] && !*last && len > 1)
        buf_printf(&p->headers, "Location: ..%s", f->path);
    else
        return false;
    buf_printf(&p->headers, "%s%s\r\n", r->query[0] ? "?" : "", r->query);
    p->status = 308;
    return true;
}

static void get_file(struct service *s, struct request *r, struct reply *p)
{
    struct www_file f;
    struct www_tag tag;
    struct span content;
    bool is_packed = www_takes_gzip(request_header(r, "Accept-Encoding"));

    (void)s;
    if (!www_find(r->path, &f) || (f.is_page && redirect_page(&f, r, p)))
        return;
    content = is_packed ? f.packed : f.plain;
    tag = www_tag(content);
    p->status = 200;
    p->type = f.type;
    p->is_exact = true;
    p->cache = "no-cache";
    if (www_is_fresh(tag, request_header(r, "If-None-Match")))
        p->status = 304;
    else
        buf_add(&p->body, content.at, content.len);
    buf_printf(&p->headers, "ETag: %s\r\nVary: Accept-Encoding\r\n%s%s", tag.text,
               is_packed ? "Content-Encoding: gzip\r\n" : "", f.is_page ? www_headers : "");
}

static void get_health(struct service *s, struct request *r, struct reply *p)
{
    struct loop_request q = {.kind = LOOP_REQUEST_HEALTH};

    route_request(s, r, &q, p);
}

static void get_ready(struct service *s, struct request *r, struct reply *p)
{
    if (gate_is_leaving(s->gate)) {
        route_draining(p, r);
    } else if (!gate_is_started(s->gate)) {
        route_unavailable(p, r, "starting", "This gateway has not reached its broker yet.",
                          "Is the broker running, and are BROKER_PUBLISH and BROKER_CONTROL its "
                          "addresses?",
                          1);
    } else {
        reply_json(p, 200);
        buf_adds(&p->body, "{\"status\":\"ready\"}");
    }
}

static void get_live(struct service *s, struct request *r, struct reply *p)
{
    struct loop_request q = {.kind = LOOP_REQUEST_LIVE};

    if (route_request(s, r, &q, p) && p->body.len == 0)
        buf_adds(&p->body, "{\"status\":\"live\"}");
}

static void get_status(struct service *s, struct request *r, struct reply *p)
{
    const char *wanted = r->policy->status_token;
    struct loop_request q = {.kind = LOOP_REQUEST_WEBSOCKET_STATUS};

    q.privileged = !wanted[0] || admission_is_token(request_bearer(r), wanted);
    if (route_page(r, &q, 0, p))
        route_request(s, r, &q, p);
}

static void get_metrics(struct service *s, struct request *r, struct reply *p)
{
    struct loop_request q = {.kind = LOOP_REQUEST_METRICS};

    process_read(&q.process); /* here, because the loop is not to wait for the kernel */
    if (route_request(s, r, &q, p))
        p->type = EXPOSITION_TYPE;
}

static void get_check(struct service *s, struct request *r, struct reply *p)
{
    diagnosis_answer(s->gate, r, look_up, p);
}

/* Count and log a refused preflight; the code of the page cannot read the answer. */
static void refuse_preflight(struct service *s, const struct request *r,
                             const struct cors_decision *d, struct reply *p)
{
    const struct gate_request_refusal refusal = {
        .kind = diagnosis_cors_code(d->fault),
        .client = r->client_name,
        .method = r->head->method,
        .path = r->has_path ? r->path : "?",
        .origin = request_header(r, "Origin"),
        .message = d->message,
        .hint = d->hint,
    };
    enum language l = reply_language(p, r);

    gate_refuse_request(s->gate, &refusal, clock_mono_ms(), clock_wall_us());
    buf_printf(&p->headers, "X-Reject-Reason: %s\r\n", gate_request_code(refusal.kind));
    buf_addc(&p->body, '\n');
    reply_text_add(&p->body, l, d->message);
    buf_addc(&p->body, ' ');
    reply_text_add(&p->body, l, d->hint);
    buf_addc(&p->body, '\n');
}

static bool answer_preflight(struct service *s, const struct request *r,
                             const struct cors_decision *d, struct reply *p)
{
    if (!d->is_preflight)
        return false;
    p->status = d->status;
    p->type = "text/plain; charset=utf-8";
    buf_adds(&p->body, d->body);
    if (d->fault)
        refuse_preflight(s, r, d, p);
    return true;
}

static struct cors_decision add_cors(struct request *r, const struct route *t, struct reply *p)
{
    const struct handshake_path path = stream_path(t);
    const struct cors_request q = {
        .method = r->head->method,
        .origin = request_header(r, "Origin"),
        .request_method = request_header(r, "Access-Control-Request-Method"),
        .request_headers = request_headers(r, "Access-Control-Request-Headers", &r->joined[2]),
        .route_methods = path.methods,
        .own_origin = r->client.own_origin,
    };

    return cors_decide(t && t->is_open ? r->policy->open_cors : r->policy->cors, &q, &p->headers);
}

static bool is_get(const struct request *r)
{
    return r->is_head || strcmp(r->head->method, "GET") == 0;
}

static route_handler *find_handler(const struct route *t, const struct request *r)
{
    const char *method = r->head->method;

    return is_get(r)                       ? t->get
           : strcmp(method, "POST") == 0   ? t->post
           : strcmp(method, "PUT") == 0    ? t->put
           : strcmp(method, "DELETE") == 0 ? t->del
                                           : NULL;
}

static void refuse_method(const struct route *t, struct request *r, struct reply *p)
{
    bool is_read_only = !t->post && !t->put && !t->del;

    reply_error(p, r, 405, "method_not_allowed",
                is_read_only ? "This path is only for reading."
                             : "This path does not know that method.",
                is_read_only ? "Use GET." : "The header Allow names those it knows.");
    buf_printf(&p->headers, "Allow: %s\r\n", stream_path(t).methods);
}

/* Pages read their parameters themselves, and websocket_check checks those of a stream itself. */
static bool check_query(const struct route *t, const struct request *r, struct reply *p)
{
    const char *method = r->head->method;
    const char *known = is_get(r)                     ? t->query
                        : strcmp(method, "POST") == 0 ? t->post_query
                        : strcmp(method, "PUT") == 0  ? t->put_query
                                                      : t->del_query;
    struct query_fault fault;

    if (t == &file_route || t->get == get_check ||
        query_check(r->query, known ? known : "", &fault))
        return true;
    reply_error(p, r, 400, "bad_request", fault.message, fault.hint);
    return false;
}

/* False: beyond HTTP_QUERY_RATE, or that of all, and the reply states it. */
static bool check_rate(struct service *s, const struct request *r, struct reply *p)
{
    static struct log_limit limit = {.burst = 1, .interval_ms = 60000};
    const struct rate_limits limits = {.per_address = r->policy->query_rate,
                                       .all = r->policy->query_rate_total};
    int64_t wait_ms = 0, now = clock_mono_ms();
    enum rate_verdict verdict = rate_take(s->queries, &limits, r->client.host, now, &wait_ms);
    bool is_own = verdict == RATE_OF_ADDRESS;
    const char *setting = is_own ? "HTTP_QUERY_RATE" : "HTTP_QUERY_RATE_TOTAL";
    char message[160];

    if (verdict == RATE_TAKEN)
        return true;
    log_limited(&limit, now, LOG_WARNING,
                "queries beyond %s=%u a second are answered 429, the last one of %s", setting,
                is_own ? limits.per_address : limits.all, r->client.host);
    snprintf(message, sizeof message, "More than %u queries a second come from %s.",
             is_own ? limits.per_address : limits.all,
             is_own ? "this address" : "all clients together");
    reply_error(p, r, 429, "too_many_requests", message,
                is_own ? "Ask less often, follow the stream instead, or raise "
                         "HTTP_QUERY_RATE."
                       : "Ask again later, follow the stream instead, or raise "
                         "HTTP_QUERY_RATE_TOTAL.");
    buf_printf(&p->headers, "Retry-After: %d\r\n", (int)((wait_ms + 999) / 1000));
    return false;
}

static bool check_host(const struct route *t, const struct request *r, struct reply *p)
{
    const struct admission_request facts = {
        .host = r->head->host,
        .authority = r->client.authority,
        .is_proxied = r->client.is_proxied,
        .is_page = true,
        .origin = request_header(r, "Origin"),
        .own_origin = r->client.own_origin,
    };
    const struct admission_live live = {0};
    struct admission_verdict v;

    if ((t && (t->is_any_host || t->is_open)) ||
        admission_judge(ADMISSION_host_not_allowed, &r->policy->admission, &facts, &live, &v))
        return true;
    reply_error(p, r, v.status, admission_code(v.rule), v.message, v.hint);
    return false;
}

/* Reading needs no token.  False: the reply states why not. */
static bool may_come(struct service *s, const struct route *t, struct request *r, struct reply *p)
{
    if (is_get(r))
        return true;
    if (strcmp(r->head->method, "POST") == 0)
        return route_may_publish(s, r, p);
    return t->is_removal ? route_may_remove(r, p) : route_may_change(r, p);
}

/* False: nothing to send, the handshake is admitted. */
static bool shake_hands(struct service *s, struct request *r, const struct route *t,
                        struct reply *p)
{
    struct handshake_path path = stream_path(t);

    if (r->is_upgrade && path.is_events) /* no WebSocket */
        path = (struct handshake_path){.is_http = true};
    return !handshake_admit(&s->handshakes, r, path, p);
}

/* The same. */
static bool fill(struct service *s, struct request *r, struct reply *p)
{
    const struct route *t = r->has_path ? find(r->path) : NULL;
    struct cors_decision cors = add_cors(r, t, p);

    if (answer_preflight(s, r, &cors, p))
        return true;
    if (!r->has_path) {
        reply_error(p, r, 400, "bad_request", "The path is malformed or too long.",
                    "Percent-encode it; at most 1000 characters.");
    } else if (r->is_upgrade || (t && !t->get && is_get(r))) {
        return shake_hands(s, r, t, p);
    } else if (!check_host(t, r, p)) {
        return true;
    } else if (!t) {
        reply_error(p, r, 404, "no_such_path", "There is nothing at this path.",
                    "If a proxy puts a prefix in front, set ROOT_PATH to it.");
    } else if (!find_handler(t, r)) {
        refuse_method(t, r, p);
    } else if (may_come(s, t, r, p) && check_query(t, r, p) &&
               (!t->is_query || !is_get(r) || check_rate(s, r, p))) {
        find_handler(t, r)(s, r, p);
    }
    return true;
}

bool route_answer(struct service *s, struct request *r, struct buf *out)
{
    struct reply p = {0};
    bool is_answer = fill(s, r, &p) && !r->wanted_body;

    if (is_answer || p.is_stream)
        reply_write(&p, r, out);
    reply_fini(&p);
    return is_answer;
}
