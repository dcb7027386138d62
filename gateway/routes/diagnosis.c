#include "gateway/routes/diagnosis.h"

#include <stdio.h>
#include <string.h>

#include "gateway/http/query.h"
#include "gateway/http/reply_text.h"
#include "gateway/routes/route_private.h"

#define PATH_MAX_BYTES 4096

struct subject {
    char method[32], headers[1000]; /* of a preflight */
    bool has_preflight, has_path;
    char origin[300], path[PATH_MAX_BYTES]; /* the path may have a query */
    struct query_fault fault;               /* of the path's query */
    const char *origin_source;
    struct admission_request facts;
};

static void add_member(struct buf *b, const char *name, const char *text)
{
    buf_printf(b, ",\"%s\":", name);
    if (text)
        buf_jsons(b, text);
    else
        buf_adds(b, "null");
}

/* A sentence for a person. */
static void add_text(const struct request *r, struct buf *b, const char *name, const char *text)
{
    buf_printf(b, ",\"%s\":", name);
    reply_text_json(b, reply_text_language(r), text);
}

/* The handshake this page would send: a browser gets the form right, so only the rest
 * counts. */
static bool imagine(struct request *r, diagnosis_lookup *lookup, struct subject *a,
                    const char **wrong)
{
    struct handshake_path path;
    bool given_origin, given_path, given_method, given_headers;
    char *query;
    const char *header = request_header(r, "Origin");

    if (!request_param(r, "origin", a->origin, sizeof a->origin, &given_origin))
        *wrong = "origin";
    else if (!request_param(r, "path", a->path, sizeof a->path, &given_path))
        *wrong = "path";
    if (!*wrong && !request_param(r, "method", a->method, sizeof a->method, &given_method))
        *wrong = "method";
    if (!*wrong && !request_param(r, "headers", a->headers, sizeof a->headers, &given_headers))
        *wrong = "headers";
    if (*wrong)
        return false;
    a->has_preflight = given_method || given_headers;
    a->has_path = given_path;
    a->origin_source = given_origin ? "parameter" : header ? "header" : "none";
    if (!given_path)
        strcpy(a->path, "/ws/cotizaciones");
    query = strchr(a->path, '?');
    if (query)
        *query++ = '\0';
    request_strip_root(a->path, r->policy->root_path);
    path = lookup(a->path);
    a->facts = (struct admission_request){
        .path = a->path,
        .is_stream = path.is_stream,
        .is_http = path.is_http,
        .is_events = path.is_events,
        .is_page = path.is_events,
        .query_fault = query_check(r->query, DIAGNOSIS_QUERY, &a->fault) &&
                               (!query || query_check(query, HANDSHAKE_QUERY, &a->fault))
                           ? NULL
                           : a->fault.message,
        .query_hint = a->fault.hint,
        .method = "GET",
        .upgrade = "websocket",
        .connection = "Upgrade",
        .version = "13",
        .key = "dGhlIHNhbXBsZSBub25jZQ==",
        .origin = given_origin && a->origin[0] ? a->origin
                  : given_origin               ? NULL
                                               : header,
        .host = r->head->host,
        .authority = r->client.authority,
        .is_proxied = r->client.is_proxied,
        .own_origin = r->client.own_origin,
    };
    if (!handshake_take_token(r, &a->facts))
        a->facts.token = request_bearer(r);
    return true;
}

static void add_rules(const struct request *r, const struct subject *a,
                      const struct admission_live *live, struct buf *b)
{
    struct admission_verdict v;

    buf_adds(b, ",\"rules\":[");
    for (int i = ADMISSION_ADMITTED + 1; i < ADMISSION_RULE_END; i++) {
        enum admission_rule rule = (enum admission_rule)i;
        bool pass = admission_judge(rule, &r->policy->admission, &a->facts, live, &v);

        buf_printf(b, "%s{\"rule\":\"%s\",\"pass\":%s", i > 1 ? "," : "", admission_code(rule),
                   pass ? "true" : "false");
        add_text(r, b, "message", pass ? "" : v.message);
        buf_addc(b, '}');
    }
    buf_addc(b, ']');
}

static void add_note(const struct request *r, struct buf *b, bool *any, const char *note)
{
    if (*any)
        buf_addc(b, ',');
    *any = true;
    reply_text_json(b, reply_text_language(r), note);
}

/* The port of the page's origin, if the proxy dropped it from Host; "" if not. */
static const char *dropped_port(const char *origin, const char *authority)
{
    const char *at = origin ? strstr(origin, "://") : NULL;
    size_t len = strlen(authority);

    if (!at || !len || strncasecmp(at + 3, authority, len) != 0 || at[3 + len] != ':')
        return "";
    return at + 3 + len + 1;
}

static void add_notes(const struct request *r, const struct subject *a, struct buf *b)
{
    const char *x_for = request_header(r, "X-Forwarded-For");
    const char *x_proto = request_header(r, "X-Forwarded-Proto");
    const char *x_host = request_header(r, "X-Forwarded-Host");
    const char *port = dropped_port(a->facts.origin, r->client.authority);
    bool any = false;
    char note[300];

    buf_adds(b, ",\"notes\":[");
    if (*port) {
        snprintf(note, sizeof note,
                 "The page's origin has the port %.5s, and the Host that came, %.100s, has "
                 "none: nginx's 'proxy_set_header Host $host' drops it. Write "
                 "'proxy_set_header Host $http_host'.",
                 port, r->client.authority);
        add_note(r, b, &any, note);
    }
    if ((x_for || x_proto || x_host) && !r->client.peer_is_trusted) {
        snprintf(note, sizeof note,
                 "X-Forwarded headers came from %.45s and were ignored: it is not in "
                 "FORWARDED_ALLOW_IPS.",
                 r->conn->peer);
        add_note(r, b, &any, note);
    }
    if (x_for && !x_proto && r->client.peer_is_trusted)
        add_note(r, b, &any,
                 "The proxy sends X-Forwarded-For but not X-Forwarded-Proto: a page served "
                 "over https from here is then taken for a foreign origin.");
    if (a->facts.origin && strncmp(a->facts.origin, "https://", 8) == 0 &&
        r->client.own_origin[0] && strcmp(a->facts.origin + 8, r->client.authority) == 0 &&
        strcmp(r->client.scheme, "http") == 0)
        add_note(r, b, &any,
                 "The page's https origin differs from ours only in the scheme: the proxy "
                 "that ends TLS must send X-Forwarded-Proto: https and be trusted.");
    if (!r->client.authority[0])
        add_note(r, b, &any, "The request has no Host header.");
    if (x_for || x_proto || x_host || request_header(r, "Via"))
        add_note(r, b, &any,
                 "A proxy stands in between.  This check cannot see whether it forwards "
                 "Upgrade; if handshakes get 426, it does not.");
    buf_addc(b, ']');
}

static void add_proxy(const struct request *r, const struct subject *a, struct buf *b)
{
    buf_adds(b, ",\"proxy\":{\"peer\":");
    buf_jsons(b, r->conn->peer);
    buf_printf(b, ",\"peer_is_trusted\":%s", r->client.peer_is_trusted ? "true" : "false");
    add_member(b, "x_forwarded_for", request_header(r, "X-Forwarded-For"));
    add_member(b, "x_forwarded_proto", request_header(r, "X-Forwarded-Proto"));
    add_member(b, "x_forwarded_host", request_header(r, "X-Forwarded-Host"));
    add_member(b, "host", r->head->host);
    add_member(b, "own_origin", r->client.own_origin);
    add_notes(r, a, b);
    buf_addc(b, '}');
}

/* May the bearer post quotes? */
static void add_publish(const struct request *r, struct buf *b)
{
    struct route_publish_verdict v = route_judge_publish(r);
    bool allowed = v.refusal == GATE_REQUEST_END;

    buf_printf(b, ",\"publish\":{\"allowed\":%s", allowed ? "true" : "false");
    add_member(b, "code", allowed ? "" : gate_request_code(v.refusal));
    add_text(r, b, "message", v.message);
    add_text(r, b, "hint", v.hint);
    add_member(b, "setting", allowed ? "" : gate_request_setting(v.refusal));
    buf_addc(b, '}');
}

enum gate_request diagnosis_cors_code(enum cors_fault fault)
{
    return fault == CORS_FAULT_ORIGIN   ? GATE_REQUEST_cors_origin_not_allowed
           : fault == CORS_FAULT_METHOD ? GATE_REQUEST_cors_method_not_allowed
                                        : GATE_REQUEST_cors_header_not_allowed;
}

/* The preflight that a browser would send before a request with this method and these headers. */
static void add_preflight(struct request *r, diagnosis_lookup *lookup, const struct subject *a,
                          struct buf *b)
{
    const struct handshake_path path = lookup(a->has_path ? a->path : "/cotizaciones/quotes");
    struct cors_request q = {
        .method = "OPTIONS",
        .origin = a->facts.origin,
        .request_method = a->method[0] ? a->method : "GET",
        .request_headers = a->headers[0] ? a->headers : NULL,
        .route_methods = path.methods,
        .own_origin = r->client.own_origin,
    };
    struct cors_decision d;
    struct buf headers = {0};

    if (!a->has_preflight || !q.origin)
        return;
    d = cors_decide(r->policy->cors, &q, &headers);
    buf_free(&headers);
    buf_printf(b, ",\"preflight\":{\"allowed\":%s", d.fault ? "false" : "true");
    add_member(b, "code", d.fault ? gate_request_code(diagnosis_cors_code(d.fault)) : "");
    add_text(r, b, "message", d.message);
    add_text(r, b, "hint", d.hint);
    add_member(b, "setting", d.fault ? gate_request_setting(diagnosis_cors_code(d.fault)) : "");
    add_member(b, "method", q.request_method);
    add_member(b, "headers", a->headers);
    buf_addc(b, '}');
}

void diagnosis_answer(struct gate *gate, struct request *r, diagnosis_lookup *lookup,
                      struct reply *reply)
{
    struct admission_live live = gate_live(gate);
    struct admission_verdict v;
    struct buf *b = &reply->body;
    const char *wrong = NULL;
    char message[80];
    struct subject a;
    bool allowed;

    if (!imagine(r, lookup, &a, &wrong)) {
        snprintf(message, sizeof message, "The parameter '%s' is malformed or too long.", wrong);
        reply_error(reply, r, 400, "bad_request", message,
                    "An origin has at most 299 bytes, a path with its query 4095.");
        return;
    }
    admission_check(&r->policy->admission, &a.facts, &live, &v);
    allowed = v.rule == ADMISSION_ADMITTED;
    reply_json(reply, 200);
    (void)reply_language(reply, r);
    buf_printf(b, "{\"allowed\":%s,\"code\":\"%s\",\"status\":%d", allowed ? "true" : "false",
               admission_code(v.rule), v.status);
    add_text(r, b, "message",
             allowed ? a.facts.is_events ? "Events for this page would be accepted."
                                         : "A WebSocket from this page would be accepted."
                     : v.message);
    add_text(r, b, "hint", v.hint);
    add_member(b, "setting", admission_setting(v.rule));
    add_member(b, "origin", a.facts.origin);
    add_member(b, "origin_source", a.origin_source);
    add_member(b, "path", a.path);
    add_member(b, "client", r->client_name);
    add_rules(r, &a, &live, b);
    add_proxy(r, &a, b);
    add_publish(r, b);
    add_preflight(r, lookup, &a, b);
    buf_printf(b, ",\"request_id\":\"%s\"}", r->id);
}
