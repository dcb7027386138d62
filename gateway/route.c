#include "gateway/route.h"

#include <stdio.h>
#include <string.h>

#include "gateway/cors.h"
#include "gateway/diagnosis.h"
#include "gateway/handshake.h"
#include "gateway/www.h"
#include "shared/quote.h"

#define PAGE_DEFAULT 1000 /* entries in one answer, unless ?limit= */
#define PAGE_MOST 1000
#define STREAM "/ws/cotizaciones"
#define QUOTES "/cotizaciones/quotes"
#define HISTORY "/history"

typedef void handler(struct service *s, struct request *r, struct reply *p);

static handler get_page, get_style, get_script, get_health, get_ready, get_live,
    get_status, get_check, get_locks, get_quotes, get_quote, get_history;

static const struct route {
    const char *path;
    handler *get; /* NULL: the stream */
    const char
        *suffix;  /* the path goes on after a slash, and ends so; NULL: it does not */
    bool is_open; /* every page may read it, whatever CORS_ORIGINS says */
} routes[] = {
    {"/", get_page, NULL, false},
    {"/board.css", get_style, NULL, false},
    {"/board.js", get_script, NULL, false},
    {"/cotizaciones/health", get_health, NULL, false},
    {"/cotizaciones/ready", get_ready, NULL, false},
    {"/cotizaciones/live", get_live, NULL, false},
    {"/cotizaciones/websocket_status", get_status, NULL, false},
    {"/cotizaciones/websocket_check", get_check, NULL, true},
    {"/cotizaciones/telegram_locks_status", get_locks, NULL, false},
    {QUOTES, get_quotes, NULL, false},
    /* No symbol ends in "/history": they have no lower case. */
    {QUOTES, get_history, HISTORY, false},
    {QUOTES, get_history, HISTORY "/", false},
    {QUOTES, get_quote, "", false},
    {STREAM, NULL, NULL, false},
};

/* A slash at the end makes no difference. */
static bool matches(const struct route *t, const char *path)
{
    size_t len = strlen(t->path);
    const char *rest = path + len;

    if (strncmp(path, t->path, len) != 0)
        return false;
    if (t->suffix) {
        size_t all = strlen(rest), end = strlen(t->suffix);

        return *rest == '/' && all > 1 && all > end &&
               strcmp(rest + all - end, t->suffix) == 0;
    }
    return !*rest || strcmp(rest, "/") == 0;
}

static const struct route *find(const char *path)
{
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
        if (matches(&routes[i], path))
            return &routes[i];
    return NULL;
}

static struct handshake_path look_up(const char *path)
{
    const struct route *t = find(path);

    return (struct handshake_path){.is_stream = t && !t->get, .is_http = t && t->get};
}

static void bad_parameter(struct reply *p, const struct request *r, const char *name,
                          const char *allowed)
{
    char message[80];

    snprintf(message, sizeof message, "The parameter '%s' is not what it should be.",
             name);
    reply_error(p, r, 400, "bad_request", message, allowed);
}

static void unavailable(struct reply *p, const struct request *r, const char *code,
                        const char *message, const char *hint, int retry_after)
{
    reply_error(p, r, 503, code, message, hint);
    buf_printf(&p->headers, "Retry-After: %d\r\n", retry_after);
}

static void say_draining(struct reply *p, const struct request *r)
{
    unavailable(p, r, "draining", "This gateway is stopping.",
                "Ask another gateway, or this one once it has restarted.", 2);
}

/* False: the loop had no answer, and the reply says so. */
static bool ask_loop(struct service *s, struct request *r, struct ask *q,
                     struct reply *p)
{
    switch (ask_post(s->desk, q)) {
    case ASK_ANSWERED:
        reply_json(p, q->status);
        buf_free(&p->body);
        p->body = q->body;
        return true;
    case ASK_BUSY:
        unavailable(p, r, "busy", "Too many requests are waiting for an answer.",
                    "Ask less often, or raise HTTP_THREADS.", 1);
        return false;
    case ASK_TIMED_OUT:
        unavailable(p, r, "loop_stalled", "The gateway did not answer itself in time.",
                    "If this lasts, the machine is overloaded or the process is stuck.",
                    2);
        return false;
    case ASK_CANCELLED:
        say_draining(p, r);
        return false;
    }
    return false;
}

static bool page_of(struct request *r, struct ask *q, struct reply *p)
{
    q->limit = PAGE_DEFAULT;
    if (!request_number(r, "limit", PAGE_MOST, &q->limit)) {
        bad_parameter(p, r, "limit", "A whole number from 0 to 1000.");
        return false;
    }
    if (!request_number(r, "offset", UINT32_MAX, &q->offset)) {
        bad_parameter(p, r, "offset", "A whole number from 0 to 4294967295.");
        return false;
    }
    return true;
}

static void get_file(enum www_name name, struct request *r, struct reply *p)
{
    struct www_file f = www_file(name);

    p->status = 200;
    p->type = f.type;
    p->cache = "no-cache";
    if (www_is_fresh(&f, request_header(r, "If-None-Match")))
        p->status = 304;
    else
        buf_add(&p->body, f.content.at, f.content.len);
    buf_printf(&p->headers, "ETag: %s\r\n", f.tag);
}

static void get_page(struct service *s, struct request *r, struct reply *p)
{
    (void)s;
    get_file(WWW_PAGE, r, p);
    buf_adds(&p->headers, www_headers);
}

static void get_style(struct service *s, struct request *r, struct reply *p)
{
    (void)s;
    get_file(WWW_STYLE, r, p);
}

static void get_script(struct service *s, struct request *r, struct reply *p)
{
    (void)s;
    get_file(WWW_SCRIPT, r, p);
}

static void get_health(struct service *s, struct request *r, struct reply *p)
{
    struct ask q = {.kind = ASK_HEALTH};

    ask_loop(s, r, &q, p);
}

static void get_ready(struct service *s, struct request *r, struct reply *p)
{
    if (gate_is_leaving(s->gate)) {
        say_draining(p, r);
    } else if (!gate_is_started(s->gate)) {
        unavailable(
            p, r, "starting", "This gateway has not reached its broker yet.",
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
    struct ask q = {.kind = ASK_LIVE};

    if (ask_loop(s, r, &q, p) && p->body.len == 0)
        buf_adds(&p->body, "{\"status\":\"live\"}");
}

static void get_status(struct service *s, struct request *r, struct reply *p)
{
    const char *wanted = r->policy->status_token;
    struct ask q = {.kind = ASK_WEBSOCKET_STATUS};

    q.privileged = !wanted[0] || admission_is_token(request_bearer(r), wanted);
    if (page_of(r, &q, p))
        ask_loop(s, r, &q, p);
}

static void get_check(struct service *s, struct request *r, struct reply *p)
{
    diagnosis_answer(s, r, look_up, p);
}

static void get_locks(struct service *s, struct request *r, struct reply *p)
{
    struct ask q = {.kind = ASK_LOCKS_STATUS};

    ask_loop(s, r, &q, p);
}

static bool is_pattern(const char *text)
{
    for (const char *c = text; *c; c++)
        if (*c != '*' && *c != ',' && !quote_is_symbol((struct span){c, 1}))
            return false;
    return true;
}

static void get_quotes(struct service *s, struct request *r, struct reply *p)
{
    struct ask q = {.kind = ASK_QUOTES};
    bool given;

    if (!request_param(r, "symbols", q.text, sizeof q.text, &given) ||
        !is_pattern(q.text))
        bad_parameter(
            p, r, "symbols",
            "Symbols or patterns like EUR/USD,BTC*, at most 255 characters of A-Z "
            "0-9 . _ : / = ^ - and *.");
    else if (page_of(r, &q, p))
        ask_loop(s, r, &q, p);
}

static bool set_symbol(struct request *r, struct ask *q, struct span symbol,
                       struct reply *p)
{
    if (!quote_is_symbol(symbol)) {
        reply_error(p, r, 400, "bad_symbol", "This cannot be a symbol.",
                    "A symbol is 1 to 32 of A-Z 0-9 . _ : / = ^ -");
        return false;
    }
    span_copy(q->text, sizeof q->text, symbol);
    return true;
}

static void unknown_symbol(struct reply *p, const struct request *r)
{
    reply_error(p, r, 404, "unknown_symbol", "No quote of this symbol has come yet.",
                "GET " QUOTES " lists those that have.");
}

static void get_quote(struct service *s, struct request *r, struct reply *p)
{
    struct ask q = {.kind = ASK_QUOTE};

    if (!set_symbol(r, &q, span_of(r->path + sizeof QUOTES), p) ||
        !ask_loop(s, r, &q, p) || p->body.len)
        return;
    if (q.status == 404)
        unknown_symbol(p, r);
    else
        unavailable(p, r, "broker_away",
                    "The broker is away and this symbol is not known here.",
                    "Is pregon-broker running?", 2);
}

#define BOUND                                                               \
    "A position (EPOCH:SEQ, or a whole number below 1000000000) or a time " \
    "(2026-11-25T12:00:00Z, or @ and Unix seconds); positions of one epoch only."

/* False: the reply says what is wrong. */
static bool timeline_of(struct request *r, struct ask *q, struct reply *p)
{
    static const char *const bounds[] = {"since", "until"};
    char text[64];
    bool given;

    if (!request_param(r, "order", text, sizeof text, &given) ||
        (given && strcmp(text, "newest") != 0 && strcmp(text, "oldest") != 0)) {
        bad_parameter(p, r, "order", "newest (the default) or oldest.");
        return false;
    }
    q->timeline.is_oldest_first = given && text[0] == 'o';
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++)
        if (!request_param(r, bounds[i], text, sizeof text, &given) ||
            (given && !timeline_set(&q->timeline, i ? TIMELINE_UNTIL : TIMELINE_SINCE,
                                    span_of(text)))) {
            bad_parameter(p, r, bounds[i], BOUND);
            return false;
        }
    if (!request_param(r, "next", text, sizeof text, &given) ||
        (given && !timeline_set_next(&q->timeline, span_of(text)))) {
        bad_parameter(p, r, "next",
                      "What the answer before had as next, with its other parameters.");
        return false;
    }
    q->limit = PAGE_DEFAULT;
    if (!request_number(r, "limit", PAGE_MOST, &q->limit) || !q->limit) {
        bad_parameter(p, r, "limit", "A whole number from 1 to 1000.");
        return false;
    }
    return true;
}

static void get_history(struct service *s, struct request *r, struct reply *p)
{
    const char *symbol = r->path + sizeof QUOTES;
    size_t len = strlen(symbol);
    struct ask q = {.kind = ASK_HISTORY};

    len -= len && symbol[len - 1] == '/';
    len = len < sizeof HISTORY ? 0 : len - (sizeof HISTORY - 1);
    if (!set_symbol(r, &q, (struct span){symbol, len}, p) || !timeline_of(r, &q, p) ||
        !ask_loop(s, r, &q, p) || p->body.len)
        return;
    switch (q.status) {
    case 404:
        unknown_symbol(p, r);
        break;
    case 410:
        reply_error(p, r, 410, "log_replaced",
                    "This position is of another log than the broker's.",
                    "Ask without it, or by time. Its epoch is in every answer.");
        break;
    case 429:
        unavailable(p, r, "busy", "Too many questions to the store are waiting.",
                    "Ask again, and less often.", 1);
        break;
    case 500:
        unavailable(p, r, "store_failed", "The broker could not read its store.",
                    "Its log, and this gateway's, say why.", 5);
        break;
    default:
        unavailable(p, r, "broker_away",
                    "The broker is away, or did not answer in time.",
                    "Is pregon-broker running?", 2);
    }
}

static bool answer_preflight(const struct cors_decision *d, struct reply *p)
{
    if (!d->is_preflight)
        return false;
    p->status = d->status;
    p->type = "text/plain; charset=utf-8";
    buf_adds(&p->body, d->body);
    return true;
}

static struct cors_decision add_cors(struct request *r, const struct route *t,
                                     struct reply *p)
{
    const struct cors_request q = {
        .method = r->info->request_method,
        .origin = request_header(r, "Origin"),
        .request_method = request_header(r, "Access-Control-Request-Method"),
        .request_headers =
            request_headers(r, "Access-Control-Request-Headers", &r->joined[2]),
        .own_origin = r->client.own_origin,
    };

    return cors_decide(t && t->is_open ? r->policy->open_cors : r->policy->cors, &q,
                       &p->headers);
}

static bool is_get(const struct request *r)
{
    return r->is_head || strcmp(r->info->request_method, "GET") == 0;
}

/* False: nothing to send, civetweb is to perform the handshake. */
static bool fill(struct service *s, struct request *r, struct reply *p)
{
    const struct route *t = r->has_path ? find(r->path) : NULL;
    struct cors_decision cors = add_cors(r, t, p);

    if (answer_preflight(&cors, p))
        return true;
    if (!r->has_path) {
        reply_error(p, r, 400, "bad_request", "The path is malformed or too long.",
                    "Percent-encode it; at most 1000 characters.");
    } else if (r->is_upgrade || (t && !t->get && is_get(r))) {
        return !handshake_admit(s, r,
                                (struct handshake_path){t && !t->get, t && t->get}, p);
    } else if (!t) {
        reply_error(p, r, 404, "no_such_path", "There is nothing at this path.",
                    "If a proxy puts a prefix in front, set ROOT_PATH to it.");
    } else if (!is_get(r)) {
        reply_error(p, r, 405, "method_not_allowed", "This path is only for reading.",
                    "Use GET.");
        buf_adds(&p->headers, t->get ? "Allow: GET, HEAD\r\n" : "Allow: GET\r\n");
    } else {
        t->get(s, r, p);
    }
    return true;
}

int route_answer(struct service *s, struct request *r)
{
    struct reply p = {0};
    int status = fill(s, r, &p) ? reply_send(&p, r) : 0;

    reply_fini(&p);
    return status;
}
