#include "gateway/handshake.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "gateway/query.h"
#include "shared/clock.h"
#include "shared/log.h"
#include "shared/mem.h"
#include "shared/redact.h"

#define CLOSE_TRY_AGAIN_LATER 1013 /* IANA's registry of close codes */

bool handshake_take_token(struct request *r, struct admission_request *out)
{
    if (query_get(r->query, "token", QUERY_PLUS_IS_SPACE, &r->token[0]) !=
            QUERY_GIVEN ||
        query_get(r->query, "token", QUERY_PLUS_IS_PLUS, &r->token[1]) != QUERY_GIVEN)
        return false;
    out->token = buf_text(&r->token[0]);
    out->token_plain = buf_text(&r->token[1]);
    return true;
}

/* What admission asks, from the request. */
static void take_facts(struct request *r, struct handshake_path path,
                       struct query_fault *fault, struct admission_request *out)
{
    *out = (struct admission_request){
        .path = r->path,
        .is_stream = path.is_stream,
        .is_http = path.is_http,
        .query_fault =
            query_check(r->query, HANDSHAKE_QUERY, fault) ? NULL : fault->message,
        .query_hint = fault->hint,
        .method = r->info->request_method,
        .http_version = r->info->http_version,
        .upgrade = request_header(r, "Upgrade"),
        .connection = request_header(r, "Connection"),
        .version = request_header(r, "Sec-WebSocket-Version"),
        .key = request_header(r, "Sec-WebSocket-Key"),
        .subprotocols = request_headers(r, "Sec-WebSocket-Protocol", &r->joined[1]),
        .origin = request_header(r, "Origin"),
        .own_origin = r->client.own_origin,
        .token = request_bearer(r),
    };
    if (!out->token)
        handshake_take_token(r, out);
}

void handshake_reason(enum admission_rule rule, char out[124])
{
    const char *setting = admission_setting(rule);
    int len =
        snprintf(out, 124, "{\"code\":\"%s\",\"message\":\"%s\"%s%s%s}",
                 admission_code(rule), admission_text(rule),
                 setting[0] ? ",\"setting\":\"" : "", setting, setting[0] ? "\"" : "");

    if (len >= 124)
        snprintf(out, 124, "{\"code\":\"%s\"}", admission_code(rule));
}

static void refuse(struct service *s, struct request *r,
                   const struct admission_request *q, const struct admission_verdict *v)
{
    struct buf path = {0};
    struct gate_refusal refusal = {
        .verdict = v,
        .client = r->client_name,
        .origin = q->origin,
        .is_explained = r->explain_close,
    };

    redact_address(span_of(r->info->local_uri_raw), &path);
    refusal.path = buf_text(&path);
    gate_refuse(s->gate, &refusal, clock_mono_ms(), clock_wall_us());
    buf_free(&path);
}

static void fill_refusal(const struct request *r, const struct admission_verdict *v,
                         struct reply *reply)
{
    reply_error(reply, r, v->status, admission_code(v->rule), v->message, v->hint);
    if (v->retry_after)
        buf_printf(&reply->headers, "Retry-After: %d\r\n", v->retry_after);
    if (v->rule == ADMISSION_bad_version)
        buf_adds(&reply->headers, "Sec-WebSocket-Version: 13\r\n");
    if (v->rule == ADMISSION_unauthorized)
        buf_adds(&reply->headers, "WWW-Authenticate: Bearer\r\n");
    reply->keeps_upgrade = v->status == 426;
}

/*
 * civetweb 1.15 sets what it chooses from an offer, and never unsets it: a handshake without an
 * offer would be answered with the choice of the one before on the same thread.
 */
static void forget_choice(struct request *r)
{
    ((struct mg_request_info *)(uintptr_t)r->info)->acceptedWebSocketSubprotocol = NULL;
}

/* What civetweb says now leaves together with what the loop says first. */
static void let_in(struct service *s, struct request *r)
{
    r->socket = service_find_socket(s, r->info);
    if (r->socket >= 0)
        handover_cork(r->socket);
}

bool handshake_admit(struct service *s, struct request *r, struct handshake_path path,
                     struct reply *reply)
{
    struct admission_request q;
    struct admission_verdict v;
    struct admission_live live;
    struct query_fault fault;

    forget_choice(r);
    take_facts(r, path, &fault, &q);
    live = gate_live(s->gate);
    admission_check(&r->policy->admission, &q, &live, &v);
    if (v.rule == ADMISSION_ADMITTED && gate_reserve(s->gate)) {
        r->has_place = true;
        let_in(s, r);
        return true;
    }
    if (v.rule == ADMISSION_ADMITTED) {
        /* The last place went to somebody else since we looked. */
        live.active = live.limit;
        admission_check(&r->policy->admission, &q, &live, &v);
    }
    if (r->policy->is_explaining && admission_is_explainable(v.rule)) {
        r->explain_close = admission_close(v.rule);
        handshake_reason(v.rule, r->explain_reason);
    }
    refuse(s, r, &q, &v);
    if (r->explain_close) {
        let_in(s, r);
        return true;
    }
    fill_refusal(r, &v, reply);
    return false;
}

/* Say so in a close frame and end it; civetweb cleans up and the place is given back.
 */
static void drop(struct service *s, struct request *r, int error)
{
    static const char payload[] = "\x03\xf5{\"code\":\"max_connections\",\"message\":"
                                  "\"out of descriptors\"}";

    _Static_assert(CLOSE_TRY_AGAIN_LATER == 0x03f5, "as in the payload");
    if (r->socket < 0) /* a reset connection has no peer any more */
        log_limited(&s->untaken, clock_mono_ms(), LOG_INFO,
                    "%s - gone before its WebSocket began", r->client_name);
    else
        log_limited(&s->untaken, clock_mono_ms(), LOG_ERROR,
                    "%s - cannot take its socket over: %s; closed with %d",
                    r->client_name, strerror(error), CLOSE_TRY_AGAIN_LATER);
    (void)mg_websocket_write(r->conn, MG_WEBSOCKET_OPCODE_CONNECTION_CLOSE, payload,
                             sizeof payload - 1);
    if (r->socket >= 0)
        shutdown(r->socket, SHUT_RDWR);
}

void handshake_ready(struct service *s, struct request *r)
{
    const char *chosen = r->info->acceptedWebSocketSubprotocol;
    struct arrival *a;
    int fd = -1;

    if (r->socket < 0 || handover_take(&s->handover, r->socket, &fd)) {
        drop(s, r, errno);
        return;
    }
    a = mem_zalloc(sizeof *a);
    a->fd = fd;
    a->port = r->client.port;
    snprintf(a->host, sizeof a->host, "%s", r->client.host);
    snprintf(a->request_id, sizeof a->request_id, "%s", r->id);
    a->path = mem_strdup(r->info->local_uri_raw);
    a->query = mem_strdup(r->query);
    a->is_msgpack = chosen && strcmp(chosen, ADMISSION_SUBPROTOCOL_MSGPACK) == 0;
    a->explain_close = r->explain_close;
    memcpy(a->explain_reason, r->explain_reason, sizeof a->explain_reason);
    r->arrival = a;
}

void handshake_early(struct request *r)
{
    if (r->arrival)
        r->arrival->is_early = true;
}

void handshake_closed(struct service *s, struct request *r)
{
    if (!r->arrival)
        return;
    r->has_place = false; /* it goes along */
    arrival_put(s->arrivals, r->arrival);
    r->arrival = NULL;
}

void handshake_abandon(struct service *s, struct request *r)
{
    handshake_closed(s, r);
    if (r->has_place)
        gate_release(s->gate);
    r->has_place = false;
}
