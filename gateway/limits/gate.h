/*
 * gate: counts the WebSockets, decides whether another one may connect, and keeps the last
 * refusals.
 *
 * This folder counts limited resources: places, query rates, descriptors.  gateway/http and the
 * folders above it call it.
 *
 * Shared by the HTTP threads (which reserve and refuse) and the loop (which releases, and sets when
 * it has started and when it drains).  A place is reserved before the 101 is sent and released
 * exactly once, so the limit is exact even for simultaneous handshakes. The last refusals are kept
 * for websocket_status, with the setting to change; every refusal is logged, rate-limited per code.
 *
 * Any thread may call all functions except gate_new and gate_free.
 */
#ifndef GATEWAY_LIMITS_GATE_H
#define GATEWAY_LIMITS_GATE_H

#include <stdbool.h>
#include <stdint.h>

#include "gateway/policy/admission.h"
#include "shared/base/buf.h"

#define GATE_REFUSALS_KEPT 50

struct gate;

struct gate_refusal {
    const struct admission_verdict *verdict;
    const char *client; /* host:port */
    const char *path;
    const char *origin; /* NULL: the client sent none */
    bool is_explained;  /* accepted and closed with the reason (WEBSOCKET_EXPLAIN) */
    const char *wanted; /* "WebSocket", "EventSource" */
};

/* Connections that were refused before they sent a valid request, or closed for others. */
#define GATE_HEADS(X)  \
    X(malformed)       \
    X(late)            \
    X(target_too_long) \
    X(too_large)       \
    X(pushed_out)

enum gate_head {
#define X(kind) GATE_HEAD_##kind,
    GATE_HEADS(X)
#undef X
        GATE_HEAD_END
};

/* Refused requests that are no handshakes: code, HTTP status, setting. */
#define GATE_REQUESTS(X)                                  \
    X(publish_disabled, 403, "PUBLISH_TOKEN")             \
    X(publish_unauthorized, 401, "PUBLISH_TOKEN")         \
    X(publish_busy, 429, "HTTP_THREADS")                  \
    X(cors_origin_not_allowed, 400, "CORS_ORIGINS")       \
    X(cors_method_not_allowed, 400, "CORS_ALLOW_METHODS") \
    X(cors_header_not_allowed, 400, "CORS_ALLOW_HEADERS")

enum gate_request {
#define X(code, status, setting) GATE_REQUEST_##code,
    GATE_REQUESTS(X)
#undef X
        GATE_REQUEST_END
};

struct gate_request_refusal {
    enum gate_request kind;
    const char *client; /* host:port */
    const char *method, *path;
    const char *origin; /* NULL: none sent */
    const char *message, *hint;
};

struct gate *gate_new(void); /* limit 0, not started */
void gate_free(struct gate *g);

/* WEBSOCKET_MAX_CONNECTIONS, and how many descriptors allow; the lower one holds. */
void gate_set_limit(struct gate *g, int configured, int descriptors);
void gate_set_started(struct gate *g);  /* the loop: a broker was reached */
void gate_set_leaving(struct gate *g);  /* the loop: SIGTERM came; not ready any more */
void gate_set_draining(struct gate *g); /* the loop: DRAIN_DELAY is over; refuses */

bool gate_is_started(const struct gate *g);
bool gate_is_leaving(const struct gate *g); /* draining or about to */
bool gate_is_draining(const struct gate *g);

/* Reserve a place.  false: none is free, and nothing changed. */
bool gate_reserve(struct gate *g);
void gate_release(struct gate *g);

int gate_active(const struct gate *g);
int gate_limit(const struct gate *g);
struct admission_live gate_live(const struct gate *g);

/* Count, remember and log a refusal. */
void gate_refuse(struct gate *g, const struct gate_refusal *r, int64_t now_ms, int64_t wall_us);
uint64_t gate_refused(const struct gate *g, enum admission_rule rule); /* so far */

/* The same of a request that is no handshake. */
void gate_refuse_request(struct gate *g, const struct gate_request_refusal *r, int64_t now_ms,
                         int64_t wall_us);
uint64_t gate_refused_requests(const struct gate *g, enum gate_request kind); /* so far */
const char *gate_request_code(enum gate_request kind);
const char *gate_request_setting(enum gate_request kind);
int gate_request_status(enum gate_request kind);

void gate_count_head(struct gate *g, enum gate_head kind);
uint64_t gate_heads(const struct gate *g, enum gate_head kind); /* so far */
const char *gate_head_name(enum gate_head kind);

/*
 * Append
 * {"total":3,"by_code":{"origin_not_allowed":3},"last":[{"code","status","origin",
 * "path","setting","timestamp"},…]}, the newest first.  No client addresses.
 */
void gate_refusals_json(struct gate *g, struct buf *out);

#endif
