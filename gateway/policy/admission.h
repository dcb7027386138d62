/*
 * admission: decides whether a WebSocket handshake, or a request for events, is accepted, and gives
 * the exact reason if not.
 *
 * One ordered list of rules, each with a code, an HTTP status, a close code for those refused after
 * accepting (WEBSOCKET_EXPLAIN), a short text and the setting to change; one function that runs it.
 * The handshake, websocket_check, the log and the counters all use it, so they cannot disagree.
 * The code of a page in a browser cannot read a failed handshake, so the gateway must explain every
 * refusal elsewhere.
 *
 * Pure: no I/O, no clock, no memory of its own.  The caller passes policy and facts, and receives
 * the result.  Any thread.
 */
#ifndef GATEWAY_POLICY_ADMISSION_H
#define GATEWAY_POLICY_ADMISSION_H

#include <stdbool.h>

#include "gateway/policy/host.h"
#include "gateway/policy/origin.h"

#define ADMISSION_SUBPROTOCOL_JSON "pregon.v1.json"
#define ADMISSION_SUBPROTOCOL_MSGPACK "pregon.v1.msgpack"

/* In the order of the checks.  code, HTTP status, close code, setting, short text */
#define ADMISSION_RULES(X)                                                        \
    X(no_such_path, 404, 4404, "ROOT_PATH", "no WebSocket here")                  \
    X(upgrade_required, 426, 4426, "", "not a WebSocket handshake")               \
    X(bad_version, 426, 4426, "", "unknown WebSocket version")                    \
    X(malformed, 400, 4400, "", "malformed handshake")                            \
    X(no_common_subprotocol, 400, 4400, "", "no subprotocol in common")           \
    X(host_not_allowed, 403, 4403, "ALLOWED_HOSTS", "not a name of this gateway") \
    X(origin_not_allowed, 403, 4403, "CORS_ORIGINS", "origin not allowed")        \
    X(unauthorized, 401, 4401, "WEBSOCKET_TOKEN", "token missing or wrong")       \
    X(websocket_disabled, 503, 4503, "WEBSOCKET_ENABLED", "WebSockets are off")   \
    X(draining, 503, 4503, "", "this gateway is stopping")                        \
    X(starting, 503, 4503, "BROKER_PUBLISH", "broker not reached yet")            \
    X(max_connections, 503, 4013, "WEBSOCKET_MAX_CONNECTIONS", "all places are taken")

enum admission_rule {
    ADMISSION_ADMITTED,
#define X(code, status, close, setting, text) ADMISSION_##code,
    ADMISSION_RULES(X)
#undef X
        ADMISSION_RULE_END
};

/* Which values of Host are permitted. */
enum admission_hosts {
    ADMISSION_HOSTS_ANY,
    ADMISSION_HOSTS_LISTED, /* a name listed, or one that only this machine has */
    /*
     * The default on loopback.  A request of a page passes if its host cannot be a foreign domain,
     * or is a host of CORS_ORIGINS.  Other requests pass: handshakes of programs, requests of
     * listed pages, and handshakes that a trusted proxy passes on.  A plain request that a trusted
     * proxy passes on does not pass: a page can add X-Forwarded headers to it, but not to a
     * handshake.
     */
    ADMISSION_HOSTS_LOCAL,
};

struct admission_policy {
    enum admission_hosts host_rule;
    const struct host_list *hosts; /* ALLOWED_HOSTS */
    const struct origin_list *origins;
    bool is_enabled;   /* WEBSOCKET_ENABLED */
    const char *token; /* WEBSOCKET_TOKEN; "" for none */
};

/* Texts as received; NULL: the header was not there. */
struct admission_request {
    const char *path;                     /* decoded, without ROOT_PATH */
    bool is_stream;                       /* the path is the stream's */
    bool is_events;                       /* it is, and takes a GET: a request of a page */
    bool is_http;                         /* the path exists, but for plain HTTP only */
    const char *query_fault, *query_hint; /* the fault of the query; NULL: none */
    const char *method;
    const char *http_version;         /* "1.1"; NULL: do not check it */
    bool has_body;                    /* a length other than 0, or chunks */
    const char *upgrade, *connection; /* lists, joined by commas */
    const char *version, *key;
    const char *subprotocols; /* all Sec-WebSocket-Protocol values, joined by commas */
    const char *host;         /* as received, of the target or of the header; NULL: neither */
    const char *authority;    /* host[:port] as the client typed it, from the proxy; or NULL */
    bool is_proxied;          /* a trusted proxy passes it on, and names the client */
    bool is_page;             /* not a handshake: a page may send it without Origin */
    const char *origin;
    const char *fetch_site;  /* Sec-Fetch-Site: how a browser sees the page beside this gateway */
    const char *own_origin;  /* of the gateway itself, as the client sees it */
    const char *token;       /* from the header Authorization, or else ?token= */
    const char *token_plain; /* ?token= with each '+' unchanged */
};

/* The state of the gateway; see gate_live(). */
struct admission_live {
    bool is_draining;
    bool is_started;   /* has once reached a broker */
    int active, limit; /* WebSockets */
    int configured;    /* WEBSOCKET_MAX_CONNECTIONS, if descriptors set a lower limit */
};

struct admission_verdict {
    enum admission_rule rule; /* ADMISSION_ADMITTED, or the rule that refused */
    int status;               /* 101, or 200 of events, or the refusal's */
    int retry_after;          /* seconds, 0: do not send the header */
    char message[320];        /* what happened, a sentence */
    char hint[320];           /* what to change, "" if nothing can be changed */
};

const char *admission_code(enum admission_rule rule); /* "max_connections" */
int admission_status(enum admission_rule rule);
int admission_close(enum admission_rule rule);           /* its 4xxx twin */
const char *admission_setting(enum admission_rule rule); /* "" if no setting helps */
const char *admission_text(enum admission_rule rule);    /* a few words */

/* May WEBSOCKET_EXPLAIN accept this refusal and close with the twin? */
bool admission_is_explainable(enum admission_rule rule);

/* Check one rule alone.  true if it passes; otherwise *out has the reason. */
bool admission_judge(enum admission_rule rule, const struct admission_policy *policy,
                     const struct admission_request *request, const struct admission_live *live,
                     struct admission_verdict *out);

/* Check all rules in order; the first that does not pass decides. */
void admission_check(const struct admission_policy *policy, const struct admission_request *request,
                     const struct admission_live *live, struct admission_verdict *out);

/* Compare secrets in constant time, so that the time does not show how much of a guess is right. */
bool admission_is_token(const char *shown, const char *wanted);

/* Which of our subprotocols would be chosen from the offer: its name, or NULL. */
const char *admission_subprotocol(const char *offered);

#endif
