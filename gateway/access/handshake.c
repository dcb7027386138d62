#include "gateway/access/handshake.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "gateway/fanout/framing.h"
#include "gateway/http/query.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/base/mem.h"
#include "shared/base/redact.h"
#include "shared/base/sha1.h"

bool handshake_take_token(struct request *r, struct admission_request *out)
{
    if (query_get(r->query, "token", QUERY_PLUS_IS_SPACE, &r->token[0]) != QUERY_GIVEN ||
        query_get(r->query, "token", QUERY_PLUS_IS_PLUS, &r->token[1]) != QUERY_GIVEN)
        return false;
    out->token = buf_text(&r->token[0]);
    out->token_plain = buf_text(&r->token[1]);
    return true;
}

/* Copy from the request the facts that admission checks. */
static void take_facts(struct request *r, struct handshake_path path, struct query_fault *fault,
                       struct admission_request *out)
{
    *out = (struct admission_request){
        .path = r->path,
        .is_stream = path.is_stream,
        .is_http = path.is_http,
        .is_events = path.is_events,
        .is_page = path.is_events,
        .query_fault = query_check(r->query, HANDSHAKE_QUERY, fault) ? NULL : fault->message,
        .query_hint = fault->hint,
        .method = r->head->method,
        .http_version = r->head->version,
        .has_body = r->head->length || r->head->is_chunked,
        .upgrade = request_headers(r, "Upgrade", &r->joined[3]),
        .connection = request_headers(r, "Connection", &r->joined[4]),
        .version = request_header(r, "Sec-WebSocket-Version"),
        .key = request_header(r, "Sec-WebSocket-Key"),
        .subprotocols = request_headers(r, "Sec-WebSocket-Protocol", &r->joined[1]),
        .origin = request_header(r, "Origin"),
        .fetch_site = request_header(r, "Sec-Fetch-Site"),
        .host = r->head->host,
        .authority = r->client.authority,
        .is_proxied = r->client.is_proxied,
        .own_origin = r->client.own_origin,
        .token = request_bearer(r),
    };
    if (!out->token)
        handshake_take_token(r, out);
}

void handshake_reason(enum admission_rule rule, char out[124])
{
    const char *setting = admission_setting(rule);
    int len = snprintf(out, 124, "{\"code\":\"%s\",\"message\":\"%s\"%s%s%s}", admission_code(rule),
                       admission_text(rule), setting[0] ? ",\"setting\":\"" : "", setting,
                       setting[0] ? "\"" : "");

    if (len >= 124)
        snprintf(out, 124, "{\"code\":\"%s\"}", admission_code(rule));
}

static void refuse(struct handshake_service *s, struct request *r,
                   const struct admission_request *q, const struct admission_verdict *v)
{
    struct buf path = {0};
    struct gate_refusal refusal = {
        .verdict = v,
        .client = r->client_name,
        .origin = q->origin,
        .is_explained = r->explain_close,
        .wanted = framing_connection(q->is_events ? ENCODING_EVENTS : ENCODING_JSON),
    };

    redact_address(span_of(r->head->path), &path);
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

static void begin_events(struct reply *reply)
{
    reply->status = 200;
    reply->type = "text/event-stream";
    reply->is_stream = true;
    buf_adds(&reply->headers, "X-Accel-Buffering: no\r\n"); /* nginx would hold events back */
}

/*
 * EventSource reconnects after a lost connection, but gives up for ever after a 503.  One that was
 * connected before is therefore accepted, and sent when to come again.
 */
static bool comes_back(const struct request *r, const struct admission_verdict *v)
{
    return v->retry_after && request_header(r, "Last-Event-ID");
}

#define RETRY_LATE_MS 60000 /* time alone does not change the verdict */

static void explain(struct request *r, const struct admission_verdict *v)
{
    r->explain_close = admission_close(v->rule);
    r->explain_retry_ms = v->retry_after ? v->retry_after * 1000 : RETRY_LATE_MS;
    handshake_reason(v->rule, r->explain_reason);
}

bool handshake_admit(struct handshake_service *s, struct request *r, struct handshake_path path,
                     struct reply *reply)
{
    struct admission_request q;
    struct admission_verdict v;
    struct admission_live live;
    struct query_fault fault;

    take_facts(r, path, &fault, &q);
    live = gate_live(s->gate);
    admission_check(&r->policy->admission, &q, &live, &v);
    if (v.rule == ADMISSION_ADMITTED && r->is_head && path.is_events) {
        begin_events(reply);
        return false;
    }
    if (v.rule == ADMISSION_ADMITTED && gate_reserve(s->gate)) {
        if (path.is_events)
            begin_events(reply);
        r->has_place = true;
        return true;
    }
    if (v.rule == ADMISSION_ADMITTED) {
        /* Another client took the last place in the meantime. */
        live.active = live.limit;
        admission_check(&r->policy->admission, &q, &live, &v);
    }
    if (!r->is_head && admission_is_explainable(v.rule) &&
        (r->policy->is_explaining || (path.is_events && comes_back(r, &v))))
        explain(r, &v);
    refuse(s, r, &q, &v);
    if (!r->explain_close) {
        fill_refusal(r, &v, reply);
        return false;
    }
    if (path.is_events) {
        begin_events(reply);
        buf_printf(&reply->headers, "X-Reject-Reason: %s\r\n", admission_code(v.rule));
    }
    return true;
}

/*
 * Unsent bytes that the kernel may hold per client: a small value, so that a quote is not outdated
 * before it leaves.
 */
#define NOTSENT_LOWAT (16 * 1024)

/* MSG_MORE: the loop's first messages leave in the same packet. */
static bool send_head(const struct request *r, const struct buf *head)
{
    const int unsent = NOTSENT_LOWAT;

    /* A failure here is no reason to refuse a client. */
    (void)setsockopt(r->conn->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent);
    return send(r->conn->fd, head->data, head->len, MSG_NOSIGNAL | MSG_DONTWAIT | MSG_MORE) ==
           (ssize_t)head->len;
}

static bool send_101(const struct request *r, const char *chosen)
{
    struct buf b = {0};
    char accept[29];
    bool is_sent;
    const char *key = request_header(r, "Sec-WebSocket-Key");

    sha1_accept(key, strlen(key), accept);
    buf_printf(&b,
               "HTTP/1.1 101 Switching Protocols\r\n"
               "Upgrade: websocket\r\n"
               "Connection: Upgrade\r\n"
               "Sec-WebSocket-Accept: %s\r\n",
               accept);
    if (chosen)
        buf_printf(&b, "Sec-WebSocket-Protocol: %s\r\n", chosen);
    buf_adds(&b, "\r\n");
    is_sent = send_head(r, &b);
    buf_free(&b);
    return is_sent;
}

bool handshake_finish(struct handshake_service *s, struct front *f, struct request *r,
                      const struct buf *head)
{
    const char *last_event_id = request_header(r, "Last-Event-ID");
    const char *offered = request_headers(r, "Sec-WebSocket-Protocol", &r->joined[5]);
    const char *chosen = offered ? admission_subprotocol(offered) : NULL;
    struct accepted *a;

    if (head->len ? !send_head(r, head) : !send_101(r, chosen)) {
        log_limited(&s->gone, clock_mono_ms(), LOG_INFO, "%s - gone before its stream began",
                    r->client_name);
        return false;
    }
    a = mem_zalloc(sizeof *a);
    a->port = r->client.port;
    snprintf(a->host, sizeof a->host, "%s", r->client.host);
    snprintf(a->request_id, sizeof a->request_id, "%s", r->id);
    a->path = mem_strdup(r->head->path);
    a->query = mem_strdup(r->query);
    a->encoding = head->len                                                      ? ENCODING_EVENTS
                  : chosen && strcmp(chosen, ADMISSION_SUBPROTOCOL_MSGPACK) == 0 ? ENCODING_MSGPACK
                                                                                 : ENCODING_JSON;
    a->is_early = !head->len && r->conn->body.len > 0;
    if (head->len && last_event_id && last_event_id[0])
        a->last_event_id = mem_strdup(last_event_id);
    a->explain_close = r->explain_close;
    a->explain_retry_ms = r->explain_retry_ms;
    memcpy(a->explain_reason, r->explain_reason, sizeof a->explain_reason);
    a->fd = front_release(f, r->conn);
    r->has_place = false; /* it goes along */
    accept_queue_put(s->accepted, a);
    return true;
}

void handshake_abandon(struct handshake_service *s, struct request *r)
{
    if (r->has_place)
        gate_release(s->gate);
    r->has_place = false;
}
