#include "gateway/routes/lock_request.h"

#include <string.h>

#include "gateway/routes/lock_json.h"
#include "shared/wire/pack.h"

/*
 * A client that repeats its request within this time keeps its place in the queue; the broker drops
 * the place after 10 s.
 */
#define RETRY_MOST_S 8

#define TRY_AGAIN                                                                     \
    "It may still take effect: ask again with the same owner, which changes nothing " \
    "more."

void lock_request_init(struct lock_request *q, const char *op)
{
    *q = (struct lock_request){.request = {.kind = LOOP_REQUEST_BROKER, .op = op}};
    msgpack_packer_init(&q->pk, &q->request.arguments, buf_pack_write);
}

void lock_request_add_text(struct lock_request *q, const char *key, const char *text)
{
    pack_kv_text(&q->pk, key, span_of(text));
    q->request.members++;
}

void lock_request_add_u(struct lock_request *q, const char *key, uint64_t n)
{
    pack_kv_u(&q->pk, key, n);
    q->request.members++;
}

void lock_request_add_bool(struct lock_request *q, const char *key, bool value)
{
    pack_kv_bool(&q->pk, key, value);
    q->request.members++;
}

void lock_request_add_bin(struct lock_request *q, const char *key, struct span bytes)
{
    pack_key(&q->pk, key);
    msgpack_pack_bin(&q->pk, bytes.len);
    msgpack_pack_bin_body(&q->pk, bytes.at, bytes.len);
    q->request.members++;
}

void lock_request_add_claim(struct lock_request *q, const char *name, const char *owner,
                            uint64_t token)
{
    lock_request_add_text(q, "name", name);
    lock_request_add_text(q, "owner", owner);
    lock_request_add_u(q, "token", token);
}

/* --- what is answered -------------------------------------------------------------------- */

/* The broker's refusals by name, and their HTTP answers. */
static const struct refusal {
    const char *error, *code, *message, *hint;
    int status;
} refusals[] = {
    {"held", "held", "The lock is not free.",
     "Ask again with the same owner after Retry-After, within 10 s: that keeps the "
     "place "
     "in line.",
     409},
    {"stale", "stale", "The grant of this token has ended.",
     "Whoever worked under it must stop, and take the lock again to go on.", 409},
    {"not_found", "unknown_lock", "There is no lock of this name.",
     "GET " ROUTE_LOCKS " lists those that there are.", 404},
    {"invalid", "bad_request", "The broker takes it for wrong.",
     "A ttl is at least 1 s; the broker's LOCK_TTL_MAX and LOCK_DELAY_MAX bound the "
     "times.",
     400},
    {"malformed", "bad_request", "The broker takes it for wrong.", "", 400},
    {"too_large", "too_large", "It is larger than the broker allows.",
     "A value has at most 65536 bytes.", 413},
    {"full", "full", "The broker keeps no more locks.",
     "Use fewer names, or raise LOCK_COUNT_MAX if there are so many.", 503},
    {"again", "busy", "The broker cannot take it now.", "Ask again.", 503},
    {"not_stored", "not_stored", "The broker's disk does not take it.", TRY_AGAIN, 503},
};

void lock_request_refuse(struct reply *p, const struct request *r, struct span answer,
                         struct span error)
{
    static const struct refusal odd = {.code = "bad_answer",
                                       .message = "The broker's answer makes no sense here.",
                                       .hint = "Are broker and gateway of versions that fit?",
                                       .status = 503};
    struct span text = pack_find_text(answer, "message");
    const struct refusal *t = &odd;
    char message[400];
    uint64_t wait_s;

    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
        if (span_eq(error, refusals[i].error))
            t = &refusals[i];
    span_copy(message, sizeof message, text.len ? text : span_of(t->message));
    reply_error(p, r, t->status, t->code, message, t->hint);
    if (t->status == 503)
        buf_adds(&p->headers, "Retry-After: 2\r\n");
    if (span_eq(error, "held")) {
        struct buf members = {0};

        lock_json_held(&members, answer);
        reply_error_add(p, buf_span(&members));
        buf_free(&members);
        wait_s = (pack_find_u(answer, "retry_ms", 0) + 999) / 1000;
        buf_printf(&p->headers, "Retry-After: %llu\r\n",
                   (unsigned long long)(wait_s < 1              ? 1
                                        : wait_s > RETRY_MOST_S ? RETRY_MOST_S
                                                                : wait_s));
    } else if (span_eq(error, "stale")) {
        struct buf members = {0};

        lock_json_stale(&members, answer);
        reply_error_add(p, buf_span(&members));
        buf_free(&members);
    }
}

bool lock_request_send(struct lock_request *q, struct service *s, struct request *r,
                       const char *must, struct buf *answer, struct reply *p)
{
    struct span error;
    struct pack_value v;
    bool is_answered = route_request(s, r, &q->request, p);

    buf_free(&q->request.arguments);
    if (!is_answered)
        return false;
    *answer = p->body;
    p->body = (struct buf){0};
    if (q->request.status == 503) {
        bool changes = strcmp(r->head->method, "GET") != 0 && !r->is_head;

        route_unavailable(p, r, "broker_away", "The broker is away, or did not answer.",
                          changes ? TRY_AGAIN : "Is pregon-broker running?", 2);
        buf_free(answer);
        return false;
    }
    error = pack_find_text(buf_span(answer), "error");
    if (!error.len && pack_find(buf_span(answer), must, &v, NULL))
        return true;
    lock_request_refuse(p, r, buf_span(answer), error);
    buf_free(answer);
    return false;
}
