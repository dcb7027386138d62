/*
 * route_publish: quotes that a producer posts.
 *
 * The worker makes rows of the body (quotes_body.h) and sends them to the broker, a part at a time;
 * the broker publishes each part as a whole.  At most a quarter of the workers do so at once.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "gateway/http/body.h"
#include "gateway/http/inflate.h"
#include "gateway/routes/publish_reply.h"
#include "gateway/routes/route_private.h"
#include "gateway/upstream/quotes_body.h"
#include "shared/base/clock.h"
#include "shared/wire/pack.h"
#include "shared/wire/publish.h"

/* Count, log and answer a refusal. */
static void refuse(struct service *s, struct request *r, enum gate_request kind,
                   const char *message, const char *hint, struct reply *p)
{
    const struct gate_request_refusal refusal = {
        .kind = kind,
        .client = r->client_name,
        .method = r->head->method,
        .path = r->path,
        .origin = request_header(r, "Origin"),
        .message = message,
        .hint = hint,
    };

    gate_refuse_request(s->gate, &refusal, clock_mono_ms(), clock_wall_us());
    reply_error(p, r, gate_request_status(kind), gate_request_code(kind), message, hint);
}

struct route_publish_verdict route_judge_publish(const struct request *r)
{
    const char *wanted = r->policy->publish_token, *shown = request_bearer(r);

    if (!wanted[0])
        return (struct route_publish_verdict){
            GATE_REQUEST_publish_disabled, "Quotes cannot be published here.",
            "Set PUBLISH_TOKEN, and send it as 'Authorization: Bearer TOKEN'."};
    if (!admission_is_token(shown, wanted))
        return (struct route_publish_verdict){
            GATE_REQUEST_publish_unauthorized, shown ? "The token is wrong." : "A token is needed.",
            "Send 'Authorization: Bearer TOKEN' with the value of PUBLISH_TOKEN."};
    return (struct route_publish_verdict){GATE_REQUEST_END, "", ""};
}

bool route_may_publish(struct service *s, struct request *r, struct reply *p)
{
    struct route_publish_verdict v = route_judge_publish(r);

    if (v.refusal == GATE_REQUEST_END)
        return true;
    refuse(s, r, v.refusal, v.message, v.hint, p);
    if (v.refusal == GATE_REQUEST_publish_unauthorized)
        buf_adds(&p->headers, "WWW-Authenticate: Bearer\r\n");
    return false;
}

/* All but the body. */
static bool read_head(struct request *r, struct quotes_request *q, struct reply *p)
{
    const char *feed = request_header(r, "X-Feed"), *key = request_header(r, "Idempotency-Key");
    uint64_t stored = 0, ended = 0;

    if (key && !publish_is_key(span_of(key))) {
        reply_error(p, r, 400, "bad_request",
                    "The header Idempotency-Key is not what it should be.",
                    "1 to 128 visible ASCII characters without spaces, like a UUID.");
        return false;
    }
    if (!request_number(r, "stored", 1, &stored)) {
        route_bad_parameter(p, r, "stored", "0 or 1.");
        return false;
    }
    if (!request_number(r, "ended", 1, &ended)) {
        route_bad_parameter(p, r, "ended", "0 or 1.");
        return false;
    }
    *q = (struct quotes_request){
        .feed = span_of(feed ? feed : r->policy->publish_feed),
        .key = span_of(key ? key : ""),
        .sent_us = clock_wall_us(),
        .wants_stored = stored,
        .is_ended = ended,
    };
    return true;
}

static bool is_lines(const struct request *r)
{
    const char *type = request_header(r, "Content-Type");

    return type && (strstr(type, "ndjson") || strstr(type, "jsonl") || strstr(type, "json-lines"));
}

/* The body in *out, unpacked. */
static bool read_plain(struct request *r, struct buf *out, struct reply *p)
{
    const char *coding = request_header(r, "Content-Encoding");
    struct buf packed = {0};
    enum err e;

    if (!coding || strcasecmp(coding, "identity") == 0)
        return body_read(r, QUOTES_BODY_BYTES, out, p);
    if (strcasecmp(coding, "gzip") != 0) {
        reply_error(p, r, 415, "unsupported_encoding", "Only gzip can be unpacked here.",
                    "Send 'Content-Encoding: gzip', or the plain body without this header.");
        return false;
    }
    if (!body_read(r, QUOTES_BODY_BYTES, &packed, p)) {
        buf_free(&packed);
        return false;
    }
    e = inflate_gzip(buf_span(&packed), QUOTES_BODY_BYTES, out);
    buf_free(&packed);
    if (e == ERR_TOO_LARGE)
        reply_error(p, r, 413, "too_large", "Unpacked, the body is too large.", "At most 1048576.");
    else if (e)
        reply_error(p, r, 400, "bad_request", "The body is not the gzip that it is said to be.",
                    "Send all of what gzip wrote, or the plain body without Content-Encoding.");
    return !e;
}

static bool read_quotes(struct request *r, struct quotes_body *quotes, struct reply *p)
{
    struct quotes_body_error error;
    struct buf body = {0};
    char text[240];
    struct json *j;
    bool ok;

    if (!read_plain(r, &body, p)) {
        buf_free(&body);
        return false;
    }
    j = json_new();
    ok = quotes_body_read(j, buf_span(&body), is_lines(r), quotes, &error);
    json_free(j);
    buf_free(&body);
    if (ok)
        return true;
    snprintf(text, sizeof text, "%s (At byte %zu.)", error.message, error.at);
    if (error.is_too_large) {
        reply_error(p, r, 413, "too_large", error.message, error.hint);
        return false;
    }
    reply_error(p, r, 400, "bad_request", text, error.hint);
    snprintf(text, sizeof text, ",\"at\":%zu", error.at);
    reply_error_add(p, span_of(text));
    return false;
}

static void retry_after(struct span answer, struct reply *p)
{
    uint64_t ms = pack_find_u(answer, "retry_ms", 1000);

    buf_printf(&p->headers, "Retry-After: %llu\r\n", (unsigned long long)(ms + 999) / 1000);
}

/* The broker refuses the whole part. */
static void explain(const struct request *r, struct span answer, struct reply *p)
{
    struct span error = pack_find_text(answer, "error"), text = pack_find_text(answer, "message");
    char message[200];

    snprintf(message, sizeof message, "The broker refuses: %.*s.",
             text.len < 150 ? (int)text.len : 150, text.at);
    if (span_eq(error, "held")) {
        reply_error(p, r, 409, "held", message,
                    "Publish to another feed (header X-Feed), or end that feeder.");
        retry_after(answer, p);
    } else if (span_eq(error, "stale")) {
        reply_error(p, r, 422, "key_reused", "This Idempotency-Key came with another body before.",
                    "Repeat the same body with it, or choose a new key for new quotes.");
    } else if (span_eq(error, "invalid")) {
        reply_error(p, r, 400, "bad_request", message, "X-Feed: 1 to 64 of A-Z a-z 0-9 . _ -");
    } else if (span_eq(error, "too_large")) {
        reply_error(p, r, 413, "too_large", message, "Send fewer quotes at once.");
    } else if (span_eq(error, "full")) {
        reply_error(p, r, 429, "too_many_requests", message,
                    "Ask again later, or raise PUBLISH_KEYS at the broker.");
        retry_after(answer, p);
    } else if (span_eq(error, "not_found")) {
        route_unavailable(p, r, "bad_answer", "The broker does not know this request.",
                          "Check that gateway and broker have the same version.", 5);
    } else {
        route_unavailable(p, r, "bad_answer",
                          "The gateway does not understand the broker's answer.",
                          "Check that both have the same version.", 5);
    }
}

/* There is no answer: is it certain that nothing was published? */
static void explain_silence(const struct request *r, bool is_sent, struct reply *p)
{
    if (!is_sent)
        route_unavailable(p, r, "broker_away", "The broker is away: nothing was published.",
                          "Ask again.", 1);
    else
        route_unavailable(p, r, "no_answer",
                          "The broker did not answer: the quotes may be published or not.",
                          "Repeat the request with the same Idempotency-Key: with one, each quote "
                          "is published once.",
                          1);
}

/* One part.  False: the reply says why there is no answer to it. */
static bool send_part(struct service *s, struct request *r, const struct quotes_request *head,
                      const struct quotes_body *quotes, size_t number, struct publish_reply *out,
                      struct reply *p)
{
    struct loop_request q = {.kind = LOOP_REQUEST_BROKER, .op = "publish"};
    struct buf answer = {0};
    bool ok = false, is_answered;

    q.members = quotes_body_pack(quotes, number, head, &q.arguments);
    is_answered = route_request(s, r, &q, p);
    buf_free(&q.arguments);
    if (!is_answered)
        return false;
    answer = p->body;
    p->body = (struct buf){0};
    if (q.status != 200)
        explain_silence(r, q.is_sent || number, p);
    else if (pack_find_text(buf_span(&answer), "error").len)
        explain(r, buf_span(&answer), p);
    else if (publish_reply_add(out, buf_span(&answer)))
        ok = true;
    else
        explain(r, SPAN("\x80"), p); /* an empty map */
    buf_free(&answer);
    return ok;
}

static void send_all(struct service *s, struct request *r, const struct quotes_request *head,
                     const struct quotes_body *quotes, struct reply *p)
{
    struct publish_reply out = {0};
    struct buf members = {0};
    bool ok = true;

    for (size_t i = 0; i < quotes->part_count && ok; i++)
        ok = send_part(s, r, head, quotes, i, &out, p);
    if (ok)
        publish_reply_members(&out, head->feed, &members);
    if (ok && out.count && !out.accepted) {
        reply_error(p, r, 422, "quotes_refused", "No quote was accepted.",
                    "The member quotes says of each why: its code and field.");
        reply_error_add(p, buf_span(&members));
    } else if (ok) {
        reply_json(p, 200);
        buf_addc(&p->body, '{');
        buf_add(&p->body, members.data + 1, members.len - 1); /* without the first comma */
        buf_addc(&p->body, '}');
    }
    buf_free(&members);
    publish_reply_free(&out);
}

void route_post_quotes(struct service *s, struct request *r, struct reply *p)
{
    struct quotes_body quotes = {0};
    struct quotes_request head;

    if (read_head(r, &head, p) && read_quotes(r, &quotes, p)) {
        if (atomic_fetch_add(&s->publishing, 1) < s->publishing_max) {
            send_all(s, r, &head, &quotes, p);
        } else {
            refuse(s, r, GATE_REQUEST_publish_busy,
                   "This gateway passes on as many requests to publish as it may.",
                   "Ask again, send more quotes in a request, or raise HTTP_THREADS.", p);
            buf_adds(&p->headers, "Retry-After: 1\r\n");
        }
        atomic_fetch_sub(&s->publishing, 1);
    }
    quotes_body_free(&quotes);
}
