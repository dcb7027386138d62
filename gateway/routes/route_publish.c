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
#include "gateway/http/reply_text.h"
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

/* Why a part has no positions. */
struct part_fault {
    int status, retry_after; /* 0: no Retry-After */
    const char *code, *hint;
    char message[240];
};

static void set_fault(struct part_fault *f, int status, const char *code, const char *hint,
                      const char *message)
{
    *f = (struct part_fault){.status = status, .code = code, .hint = hint};
    span_copy(f->message, sizeof f->message, span_of(message));
}

/* The broker refuses the whole part. */
static void explain(struct span answer, struct part_fault *f)
{
    struct span error = pack_find_text(answer, "error"), text = pack_find_text(answer, "message");
    uint64_t retry_ms = pack_find_u(answer, "retry_ms", 0);
    char message[200];

    snprintf(message, sizeof message, "The broker refuses: %.*s.",
             text.len < 150 ? (int)text.len : 150, text.at);
    if (span_eq(error, "held"))
        set_fault(f, 409, "held",
                  "Publish to another feed (header X-Feed), or end that feeder if it runs.",
                  message);
    else if (span_eq(error, "stale"))
        set_fault(f, 422, "key_reused",
                  "Repeat the same body with it, or choose a new key for new quotes.",
                  "This Idempotency-Key came with another body before.");
    else if (span_eq(error, "invalid"))
        set_fault(f, 400, "bad_request", "X-Feed: 1 to 64 of A-Z a-z 0-9 . _ -", message);
    else if (span_eq(error, "too_large"))
        set_fault(f, 413, "too_large", "Send fewer quotes at once.", message);
    else if (span_eq(error, "full"))
        set_fault(f, 429, "too_many_requests",
                  "Ask again later, or raise PUBLISH_KEYS at the broker.", message);
    else if (span_eq(error, "not_found"))
        set_fault(f, 503, "bad_answer", "Check that gateway and broker have the same version.",
                  "The broker does not know this request.");
    else
        set_fault(f, 503, "bad_answer", "Check that both have the same version.",
                  "The gateway does not understand the broker's answer.");
    f->retry_after = f->status == 503                    ? 5
                     : f->status == 429 || retry_ms != 0 ? (int)((retry_ms + 999) / 1000)
                                                         : 0;
    if (f->status == 429 && !retry_ms)
        f->retry_after = 1;
}

/* There is no answer: is it certain that nothing was published? */
static void explain_silence(bool is_sent, struct part_fault *f)
{
    if (!is_sent)
        set_fault(f, 503, "broker_away", "Ask again.",
                  "The broker is away: nothing was published.");
    else
        set_fault(f, 503, "no_answer",
                  "Repeat the request with the same Idempotency-Key: with one, each quote is "
                  "published once.",
                  "The broker did not answer: the quotes may be published or not.");
    f->retry_after = 1;
}

/* One part.  False: *f says why there are no positions. */
static bool send_part(struct service *s, const struct quotes_request *head,
                      const struct quotes_body *quotes, size_t number, struct publish_reply *out,
                      struct part_fault *f)
{
    struct loop_request q = {.kind = LOOP_REQUEST_BROKER, .op = "publish"};
    enum loop_request_outcome outcome;
    bool ok = false;

    q.members = quotes_body_pack(quotes, number, head, &q.arguments);
    outcome = loop_request_post(s->core, &q);
    buf_free(&q.arguments);
    if (outcome == LOOP_REQUEST_BUSY) {
        set_fault(f, 503, "busy", "Ask less often, or raise HTTP_THREADS.",
                  "Too many requests are waiting for an answer.");
        f->retry_after = 1;
    } else if (outcome == LOOP_REQUEST_CANCELLED && !q.serial) {
        set_fault(f, 503, "draining", "Ask another gateway, or this one once it has restarted.",
                  "This gateway is stopping.");
        f->retry_after = 2;
    } else if (outcome != LOOP_REQUEST_ANSWERED || q.status != 200) {
        explain_silence(outcome == LOOP_REQUEST_ANSWERED ? q.is_sent : q.serial != 0, f);
    } else if (!pack_find_text(buf_span(&q.body), "error").len &&
               publish_reply_add(out, buf_span(&q.body))) {
        ok = true;
    } else {
        explain(buf_span(&q.body), f);
    }
    if (outcome == LOOP_REQUEST_ANSWERED)
        buf_free(&q.body);
    return ok;
}

/* The error, and which quotes of the request are published nevertheless. */
static void reply_fault(const struct request *r, const struct part_fault *f,
                        const struct publish_reply *out, const struct quotes_request *head,
                        struct reply *p)
{
    struct buf members = {0}, message = {0}, hint = {0};

    buf_adds(&message, f->message);
    buf_adds(&hint, f->hint);
    if (out->count) {
        buf_printf(&message,
                   "  The first %u quotes of this request are answered in `quotes`: %u of them "
                   "are published.",
                   out->count, out->accepted);
        if (head->key.len)
            buf_adds(&hint, "  A repetition of the whole request with the same Idempotency-Key is "
                            "safe: these quotes keep their answers, the others are published.");
        else
            buf_printf(&hint,
                       "  Do not send these again, only those from index %u on; with an "
                       "Idempotency-Key the whole request could be repeated.",
                       out->count);
        publish_reply_members(out, head->feed, &members);
    }
    reply_error(p, r, f->status, f->code, buf_text(&message), buf_text(&hint));
    if (f->retry_after)
        buf_printf(&p->headers, "Retry-After: %d\r\n", f->retry_after);
    if (members.len)
        reply_error_add(p, buf_span(&members));
    buf_free(&members);
    buf_free(&message);
    buf_free(&hint);
}

static void reply_all(const struct request *r, const struct publish_reply *out,
                      const struct quotes_request *head, struct reply *p)
{
    struct buf members = {0};

    publish_reply_members(out, head->feed, &members);
    if (out->count && !out->accepted) {
        reply_error(p, r, 422, "quotes_refused", "No quote was accepted.",
                    "The member quotes says of each why: its code and field.");
        reply_error_add(p, buf_span(&members));
    } else {
        reply_json(p, 200);
        (void)reply_language(p, r);
        buf_addc(&p->body, '{');
        buf_add(&p->body, members.data + 1, members.len - 1); /* without the first comma */
        buf_addc(&p->body, '}');
    }
    buf_free(&members);
}

static void send_all(struct service *s, struct request *r, const struct quotes_request *head,
                     const struct quotes_body *quotes, struct reply *p)
{
    struct publish_reply out = {.language = reply_text_language(r)};
    struct part_fault fault;
    bool ok = true;

    for (size_t i = 0; i < quotes->part_count && ok; i++)
        ok = send_part(s, head, quotes, i, &out, &fault);
    if (ok)
        reply_all(r, &out, head, p);
    else
        reply_fault(r, &fault, &out, head, p);
    publish_reply_free(&out);
}

/* The handler may run twice: body.h.  A place is taken before the body is read. */
void route_post_quotes(struct service *s, struct request *r, struct reply *p)
{
    struct quotes_body quotes = {0};
    struct quotes_request head;

    if (atomic_fetch_add(&s->publishing, 1) >= s->publishing_max) {
        refuse(s, r, GATE_REQUEST_publish_busy,
               "This gateway passes on as many requests to publish as it may.",
               "Ask again, send more quotes in a request, or raise HTTP_THREADS.", p);
        buf_adds(&p->headers, "Retry-After: 1\r\n");
    } else if (read_head(r, &head, p) && read_quotes(r, &quotes, p)) {
        send_all(s, r, &head, &quotes, p);
    }
    atomic_fetch_sub(&s->publishing, 1);
    quotes_body_free(&quotes);
}
