#include "gateway/policy/admission.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "gateway/policy/list.h"
#include "shared/base/buf.h"

static const struct {
    const char *code;
    int status, close;
    const char *setting, *text;
} rules[] = {[ADMISSION_ADMITTED] = {"admitted", 101, 1000, "", "welcome"},
#define X(code, status, close, setting, text) \
    [ADMISSION_##code] = {#code, status, close, setting, text},
             ADMISSION_RULES(X)
#undef X
};

const char *admission_code(enum admission_rule rule)
{
    return rules[rule].code;
}

int admission_status(enum admission_rule rule)
{
    return rules[rule].status;
}

int admission_close(enum admission_rule rule)
{
    return rules[rule].close;
}

const char *admission_setting(enum admission_rule rule)
{
    return rules[rule].setting;
}

const char *admission_text(enum admission_rule rule)
{
    return rules[rule].text;
}

/*
 * A faulty handshake cannot be accepted, and a foreign origin must not be accepted even to explain
 * the refusal.
 */
bool admission_is_explainable(enum admission_rule rule)
{
    return rule >= ADMISSION_unauthorized && rule < ADMISSION_RULE_END;
}

bool admission_is_token(const char *shown, const char *wanted)
{
    size_t len = strlen(wanted), shown_len = shown ? strlen(shown) : 0;
    unsigned differ = shown_len != len;

    for (size_t i = 0; i < len; i++)
        differ |= (unsigned)(unsigned char)wanted[i] ^
                  (unsigned)(unsigned char)(i < shown_len ? shown[i] : 0);
    return differ == 0;
}

/* The first subprotocol in the client's list that the gateway supports. */
const char *admission_subprotocol(const char *offered)
{
    static const char *const known[] = {ADMISSION_SUBPROTOCOL_JSON, ADMISSION_SUBPROTOCOL_MSGPACK};

    while (*offered) {
        struct span name;

        offered += strspn(offered, " \t,");
        name = (struct span){offered, strcspn(offered, ",")};
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            if (span_eq(name, known[i]))
                return known[i];
        offered += name.len;
    }
    return NULL;
}

/* 16 bytes of base64: 22 characters and two signs of equality. */
static bool is_key(const char *key)
{
    if (strlen(key) != 24 || strcmp(key + 22, "==") != 0)
        return false;
    for (int i = 0; i < 22; i++)
        if (!isalnum((unsigned char)key[i]) && key[i] != '+' && key[i] != '/')
            return false;
    return true;
}

static void put(char *to, size_t size, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));
static void put(char *to, size_t size, const char *format, va_list args)
{
    vsnprintf(to, size, format, args);
}

static void message(struct admission_verdict *v, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void hint(struct admission_verdict *v, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void message(struct admission_verdict *v, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    put(v->message, sizeof v->message, format, args);
    va_end(args);
}

static void hint(struct admission_verdict *v, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    put(v->hint, sizeof v->hint, format, args);
    va_end(args);
}

static bool judge_path(const struct admission_request *r, struct admission_verdict *v)
{
    if (r->is_stream)
        return true;
    if (r->is_http) {
        message(v, "The path %.100s answers plain HTTP only, not a WebSocket.", r->path);
        hint(v, "Open the WebSocket at /ws/cotizaciones.");
    } else {
        message(v, "There is no WebSocket at %.100s.", r->path);
        hint(v, "The stream is at /ws/cotizaciones.  If a proxy puts a prefix in "
                "front, set "
                "ROOT_PATH to it.");
    }
    return false;
}

static bool judge_upgrade(const struct admission_request *r, struct admission_verdict *v)
{
    bool names_it = r->upgrade && list_has(r->upgrade, "websocket");

    if (names_it && r->connection && list_has(r->connection, "upgrade"))
        return true;
    if (r->upgrade && !names_it && strcasestr(r->upgrade, "websocket"))
        return true; /* judge_form reports the fault */
    if (!r->upgrade)
        message(v, "This path is a WebSocket, and the request has no Upgrade header.");
    else if (!names_it)
        message(v, "This path is a WebSocket, and the request's Upgrade header says '%.60s'.",
                r->upgrade);
    else
        message(v, "The request has 'Upgrade: websocket', but its Connection header does not "
                   "say 'Upgrade'.");
    hint(v, "Is your proxy forwarding Upgrade and Connection?  nginx: "
            "proxy_http_version 1.1; "
            "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "
            "\"upgrade\";");
    return false;
}

static bool judge_version(const struct admission_request *r, struct admission_verdict *v)
{
    if (r->version && strcmp(r->version, "13") == 0)
        return true;
    if (r->version)
        message(v, "Sec-WebSocket-Version is '%.20s'; only 13 is spoken here.", r->version);
    else
        message(v, "The Sec-WebSocket-Version header is missing; only 13 is spoken here.");
    hint(v, "Use a client that speaks RFC 6455.");
    return false;
}

static bool judge_form(const struct admission_request *r, struct admission_verdict *v)
{
    if (r->query_fault) {
        message(v, "%s", r->query_fault);
        hint(v, "%s", r->query_hint);
        return false;
    }
    if (r->is_events && !r->has_body)
        return true;
    if (r->is_events)
        message(v, "A request for events has no body.");
    else if (!r->upgrade || !list_has(r->upgrade, "websocket"))
        message(v, "The Upgrade header says '%.60s', which is not 'websocket'.",
                r->upgrade ? r->upgrade : "");
    else if (strcmp(r->method, "GET") != 0)
        message(v, "A WebSocket handshake is a GET, not a %.20s.", r->method);
    else if (r->http_version && strcmp(r->http_version, "1.1") != 0)
        message(v, "A WebSocket handshake is HTTP/1.1, not HTTP/%.10s.", r->http_version);
    else if (!r->key)
        message(v, "The Sec-WebSocket-Key header is missing.");
    else if (!is_key(r->key))
        message(v, "Sec-WebSocket-Key is not the base64 of 16 bytes.");
    else if (r->has_body)
        message(v, "A WebSocket handshake has no body.");
    else
        return true;
    hint(v, r->is_events ? "Send a GET without a body." : "Use a client that speaks RFC 6455.");
    return false;
}

static bool judge_subprotocol(const struct admission_request *r, struct admission_verdict *v)
{
    if (!r->subprotocols || admission_subprotocol(r->subprotocols))
        return true;
    message(v, "Of the offered subprotocols (%.120s) none is spoken here.", r->subprotocols);
    hint(v, "Offer " ADMISSION_SUBPROTOCOL_JSON " or " ADMISSION_SUBPROTOCOL_MSGPACK ", or none.");
    return false;
}

static bool is_own_origin(const struct admission_request *r)
{
    struct origin origin = {0}, own = {0};

    return r->own_origin && r->origin && origin_parse(r->origin, &origin) &&
           origin_parse(r->own_origin, &own) && origin_equals(&origin, &own);
}

/* The rule for Host on loopback by default. */
static bool is_local_or_no_page(const struct admission_policy *p, const struct admission_request *r)
{
    struct host host;

    if (r->origin && origin_list_allows(p->origins, r->origin))
        return true;
    if (r->is_proxied && !r->is_page)
        return true; /* no page can add X-Forwarded-For to a handshake, but to a GET it can */
    if (!r->is_page && !is_own_origin(r))
        return true; /* no browser, or judge_origin's */
    if (!r->host || !r->host[0])
        return true;
    return host_parse(r->host, &host) &&
           (!host_is_public(host.name) || origin_list_names(p->origins, host.name));
}

static bool is_listed(const struct admission_policy *p, const char *authority)
{
    struct host host;

    return host_parse(authority, &host) &&
           (host_is_loopback(host.name) || host_list_allows(p->hosts, &host));
}

static bool judge_host(const struct admission_policy *p, const struct admission_request *r,
                       struct admission_verdict *v)
{
    const char *host = r->host ? r->host : "";

    if (p->host_rule == ADMISSION_HOSTS_ANY)
        return true;
    if (p->host_rule == ADMISSION_HOSTS_LOCAL && is_local_or_no_page(p, r))
        return true;
    if (p->host_rule == ADMISSION_HOSTS_LISTED && is_listed(p, host)) {
        if (!r->authority || is_listed(p, r->authority))
            return true;
        host = r->authority;
    }
    message(v, "'%.120s' is not a name of this gateway.", host);
    hint(v,
         "If it is one, add %.120s to ALLOWED_HOSTS, also if a proxy stands in front "
         "of this gateway.",
         host[0] ? host : "it");
    return false;
}

/*
 * A browser sends no Origin with what a page of another site loads without CORS, as an image or
 * with a link.  The page cannot read it, but it would take a place.
 */
static bool is_of_foreign_site(const struct admission_policy *p, const struct admission_request *r)
{
    return !r->origin && r->is_page && r->fetch_site && !origin_list_is_any(p->origins) &&
           (strcmp(r->fetch_site, "cross-site") == 0 || strcmp(r->fetch_site, "same-site") == 0);
}

static bool judge_origin(const struct admission_policy *p, const struct admission_request *r,
                         struct admission_verdict *v)
{
    struct origin origin = {0};

    if (is_of_foreign_site(p, r)) {
        message(v, "A page of another site requests events without an Origin header.");
        hint(v, "Use EventSource, or fetch with CORS, in a page whose origin is in CORS_ORIGINS.");
        return false;
    }
    if (!r->origin || origin_list_allows(p->origins, r->origin) || is_own_origin(r))
        return true;
    if (strcmp(r->origin, "null") != 0 && !origin_parse(r->origin, &origin)) {
        message(v, "'%.120s' is no origin of a page.", r->origin);
        hint(v, "An origin is a scheme, a host and perhaps a port, as in "
                "https://my.page or http://localhost:3000.");
        return false;
    }
    message(v, "Pages of the origin %.120s may not connect.", r->origin);
    if (strcmp(r->origin, "null") == 0)
        hint(v, "The page is sandboxed or a local file.  Serve it over HTTP, or add "
                "null to "
                "CORS_ORIGINS.");
    else
        hint(v,
             "Add %.120s to CORS_ORIGINS.  If it is this server's own address, the "
             "proxy "
             "must pass Host and be listed in FORWARDED_ALLOW_IPS.",
             r->origin);
    return false;
}

static bool judge_token(const struct admission_policy *p, const struct admission_request *r,
                        struct admission_verdict *v)
{
    if (!p->token[0] || admission_is_token(r->token, p->token) ||
        (r->token_plain && admission_is_token(r->token_plain, p->token)))
        return true;
    message(v, r->token && r->token[0] ? "The token is wrong." : "A token is needed.");
    hint(v, "Send 'Authorization: Bearer TOKEN' or ?token=TOKEN with the value of "
            "WEBSOCKET_TOKEN.");
    return false;
}

static bool judge_room(const struct admission_live *l, struct admission_verdict *v)
{
    if (l->active < l->limit)
        return true;
    if (l->limit > 0)
        message(v, "%d of %d places are taken.", l->active, l->limit);
    else
        message(v, "The limit of connections is 0: nobody is let in.");
    if (l->configured > l->limit)
        hint(v,
             "WEBSOCKET_MAX_CONNECTIONS is %d, but descriptors are the limit: raise it "
             "(ulimit -n, LimitNOFILE), or start another gateway.",
             l->configured);
    else
        hint(v, "Raise WEBSOCKET_MAX_CONNECTIONS, or start another gateway.");
    v->retry_after = 5;
    return false;
}

/* True, or the retry time and the texts. */
static bool judge_state(bool passes, int retry_after, const char *text, const char *advice,
                        struct admission_verdict *v)
{
    if (passes)
        return true;
    message(v, "%s", text);
    hint(v, "%s", advice);
    v->retry_after = retry_after;
    return false;
}

static bool passes(enum admission_rule rule, const struct admission_policy *p,
                   const struct admission_request *r, const struct admission_live *l,
                   struct admission_verdict *v)
{
    switch (rule) {
    case ADMISSION_no_such_path:
        return judge_path(r, v);
    case ADMISSION_upgrade_required:
        return r->is_events || judge_upgrade(r, v);
    case ADMISSION_bad_version:
        return r->is_events || judge_version(r, v);
    case ADMISSION_malformed:
        return judge_form(r, v);
    case ADMISSION_no_common_subprotocol:
        return r->is_events || judge_subprotocol(r, v);
    case ADMISSION_host_not_allowed:
        return judge_host(p, r, v);
    case ADMISSION_origin_not_allowed:
        return judge_origin(p, r, v);
    case ADMISSION_unauthorized:
        return judge_token(p, r, v);
    case ADMISSION_websocket_disabled:
        return judge_state(p->is_enabled, 60, "WebSockets are turned off here.",
                           "Set WEBSOCKET_ENABLED=1.", v);
    case ADMISSION_draining:
        return judge_state(!l->is_draining, 2, "This gateway is stopping.",
                           "Connect again: another gateway, or this one restarted, "
                           "will take you.",
                           v);
    case ADMISSION_starting:
        return judge_state(l->is_started, 1,
                           "This gateway has not reached its broker since it started.",
                           "Is the broker running, and are BROKER_PUBLISH and "
                           "BROKER_CONTROL its addresses?",
                           v);
    case ADMISSION_max_connections:
        return judge_room(l, v);
    case ADMISSION_ADMITTED:
    case ADMISSION_RULE_END:
        break;
    }
    return true;
}

bool admission_judge(enum admission_rule rule, const struct admission_policy *policy,
                     const struct admission_request *request, const struct admission_live *live,
                     struct admission_verdict *out)
{
    memset(out, 0, sizeof *out);
    out->status = request->is_events ? 200 : rules[ADMISSION_ADMITTED].status;
    if (passes(rule, policy, request, live, out))
        return true;
    out->rule = rule;
    out->status = rules[rule].status;
    return false;
}

void admission_check(const struct admission_policy *policy, const struct admission_request *request,
                     const struct admission_live *live, struct admission_verdict *out)
{
    for (int rule = ADMISSION_ADMITTED + 1; rule < ADMISSION_RULE_END; rule++)
        if (!admission_judge((enum admission_rule)rule, policy, request, live, out))
            return;
}
