/* route_locks: locks over HTTP.  The broker keeps them; this checks and writes. */
#include <msgpack.h>
#include <stdio.h>
#include <string.h>

#include "gateway/http/body.h"
#include "gateway/routes/lock_body.h"
#include "gateway/routes/lock_json.h"
#include "gateway/routes/member.h"
#include "gateway/routes/route_private.h"
#include "shared/base/clock.h"
#include "shared/wire/pack.h"

#define TELEGRAM "telegram"
#define REASON_MAX 200
/* Whoever comes back by then keeps the place, which the broker drops after 10 s. */
#define RETRY_MOST_S 8

#define ASK_AGAIN                                                                     \
    "It may still take effect: ask again with the same owner, which changes nothing " \
    "more."

/* --- who may --------------------------------------------------------------------------- */

/* Change a lock, or see a value, which may be anything. */
bool route_may_change(const struct request *r, struct reply *p)
{
    const char *wanted = r->policy->locks_token;

    if (!wanted[0]) {
        reply_error(p, r, 403, "locks_read_only",
                    "Over HTTP locks cannot be changed here, nor their values seen.",
                    "Set LOCKS_TOKEN, and send it as 'Authorization: Bearer TOKEN'.");
        return false;
    }
    if (admission_is_token(request_bearer(r), wanted))
        return true;
    reply_error(p, r, 401, "unauthorized",
                request_bearer(r) ? "The token is wrong." : "A token is needed.",
                "Send 'Authorization: Bearer TOKEN' with the value of LOCKS_TOKEN.");
    buf_adds(&p->headers, "WWW-Authenticate: Bearer\r\n");
    return false;
}

static bool shows_owners(const struct request *r)
{
    const struct policy *policy = r->policy;
    const char *shown = request_bearer(r);

    return !policy->status_token[0] ||
           admission_is_token(shown, policy->status_token) ||
           (policy->locks_token[0] && admission_is_token(shown, policy->locks_token));
}

/* --- what is asked ----------------------------------------------------------------------- */

/* The NAME of ROUTE_LOCKS/NAME, or of ROUTE_LOCKS/NAME/value. */
static bool read_name(const struct request *r, const char *tail, char *name,
                      struct reply *p)
{
    struct span rest = span_of(r->path + sizeof ROUTE_LOCKS);

    rest.len -= rest.len && rest.at[rest.len - 1] == '/';
    rest.len -= strlen(tail);
    if (!lock_is_name(rest)) {
        reply_error(p, r, 400, "bad_name", "This cannot be the name of a lock.",
                    LOCK_NAME_ALLOWED);
        return false;
    }
    span_copy(name, LOCK_NAME_MAX + 1, rest);
    return true;
}

/* ?owner=&token=, as every change of a grant needs them. */
struct claim {
    char owner[LOCK_OWNER_MAX + 1];
    uint64_t token;
};

static bool read_token(const struct request *r, uint64_t *token, struct reply *p)
{
    char text[24];
    bool given;

    if (request_param(r, "token", text, sizeof text, &given) &&
        lock_body_token(span_of(text), token))
        return true;
    route_bad_parameter(p, r, "token", LOCK_TOKEN_ALLOWED);
    return false;
}

static bool read_claim(const struct request *r, struct claim *c, struct reply *p)
{
    bool given;

    if (request_param(r, "owner", c->owner, sizeof c->owner, &given) &&
        lock_is_owner(span_of(c->owner)))
        return read_token(r, &c->token, p);
    route_bad_parameter(p, r, "owner", LOCK_OWNER_ALLOWED);
    return false;
}

/* A question to the broker, put together member by member. */
struct order {
    struct loop_request ask;
    msgpack_packer pk;
};

static void order_init(struct order *o, const char *op)
{
    *o = (struct order){.ask = {.kind = LOOP_REQUEST_BROKER, .op = op}};
    msgpack_packer_init(&o->pk, &o->ask.arguments, buf_pack_write);
}

static void add_text(struct order *o, const char *key, const char *text)
{
    pack_kv_text(&o->pk, key, span_of(text));
    o->ask.members++;
}

static void add_u(struct order *o, const char *key, uint64_t n)
{
    pack_kv_u(&o->pk, key, n);
    o->ask.members++;
}

static void add_bin(struct order *o, const char *key, struct span bytes)
{
    pack_key(&o->pk, key);
    msgpack_pack_bin(&o->pk, bytes.len);
    msgpack_pack_bin_body(&o->pk, bytes.at, bytes.len);
    o->ask.members++;
}

static void add_claim(struct order *o, const char *name, const char *owner,
                      uint64_t token)
{
    add_text(o, "name", name);
    add_text(o, "owner", owner);
    add_u(o, "token", token);
}

/* --- what is answered -------------------------------------------------------------------- */

/* The broker's refusals by name; what stands for them in HTTP. */
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
    {"not_stored", "not_stored", "The broker's disk does not take it.", ASK_AGAIN, 503},
};

static void refuse(struct reply *p, const struct request *r, struct span answer,
                   struct span error)
{
    static const struct refusal odd = {
        .code = "bad_answer",
        .message = "The broker's answer makes no sense here.",
        .hint = "Are broker and gateway of versions that fit?",
        .status = 503};
    struct span said = pack_find_text(answer, "message");
    const struct refusal *t = &odd;
    char message[400];
    uint64_t wait_s;

    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
        if (span_eq(error, refusals[i].error))
            t = &refusals[i];
    span_copy(message, sizeof message, said.len ? said : span_of(t->message));
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

/*
 * Put it to the broker, and let go of the question.  True: *answer is its answer, which
 * has `must` as a member; the caller frees it.  Else the reply says what is wrong.
 */
static bool put_to_broker(struct service *s, struct request *r, struct order *o,
                          const char *must, struct buf *answer, struct reply *p)
{
    struct span error;
    struct pack_value v;
    bool was_asked = route_ask(s, r, &o->ask, p);

    buf_free(&o->ask.arguments);
    if (!was_asked)
        return false;
    *answer = p->body;
    p->body = (struct buf){0};
    if (o->ask.status == 503) {
        bool changes = strcmp(r->head->method, "GET") != 0 && !r->is_head;

        route_unavailable(p, r, "broker_away", "The broker is away, or did not answer.",
                          changes ? ASK_AGAIN : "Is pregon-broker running?", 2);
        buf_free(answer);
        return false;
    }
    error = pack_find_text(buf_span(answer), "error");
    if (!error.len && pack_find(buf_span(answer), must, &v, NULL))
        return true;
    refuse(p, r, buf_span(answer), error);
    buf_free(answer);
    return false;
}

/* What follows the list of `shown` locks; `total` is the name of the member. */
static void put_end(struct buf *b, struct span answer, const char *total, int shown)
{
    struct span reason = pack_find_text(answer, "reason");
    struct pack_value next;
    bool has_next = pack_find(answer, "next", &next, NULL) && next.type == PACK_UINT;

    buf_printf(b, ",\"%s\":%llu", total,
               (unsigned long long)pack_find_u(answer, "total", (uint64_t)shown));
    if (has_next && shown) /* a page of none leads nowhere */
        buf_printf(b, ",\"next\":%llu", (unsigned long long)next.u);
    buf_printf(b, ",\"truncated\":%s,\"durable\":%s", has_next ? "true" : "false",
               pack_find_bool(answer, "durable", false) ? "true" : "false");
    if (reason.len) {
        buf_adds(b, ",\"reason\":");
        buf_json(b, reason);
    }
    buf_adds(b, ",\"timestamp\":");
    buf_json_time(b, clock_wall_us());
    buf_addc(b, '}');
}

/* --- shown ------------------------------------------------------------------------------- */

void route_get_telegram_locks(struct service *s, struct request *r, struct reply *p)
{
    struct buf answer, *b = &p->body;
    struct order o;
    int count = -1;

    order_init(&o, "locks");
    add_text(&o, "prefix", TELEGRAM);
    add_u(&o, "limit", ROUTE_PAGE_MOST);
    if (!route_ask(s, r, &o.ask, p)) {
        buf_free(&o.ask.arguments);
        return;
    }
    buf_free(&o.ask.arguments);
    answer = *b;
    *b = (struct buf){0};
    buf_adds(b, "{\"status\":\"ok\",\"locks\":");
    if (o.ask.status == 200 && !pack_find_text(buf_span(&answer), "error").len)
        count = lock_json_list(b, buf_span(&answer), shows_owners(r));
    if (count < 0) {
        reply_json(p, 503);
        buf_clear(b);
        buf_adds(b,
                 "{\"status\":\"unknown\",\"reason\":\"the broker is away, or does not "
                 "say: whether a lock is held cannot be told\",\"locks\":null,"
                 "\"timestamp\":");
        buf_json_time(b, clock_wall_us());
        buf_addc(b, '}');
    } else {
        put_end(b, buf_span(&answer), "count", count);
    }
    buf_free(&answer);
}

void route_get_locks(struct service *s, struct request *r, struct reply *p)
{
    struct buf answer, *b = &p->body;
    char prefix[LOCK_NAME_MAX + 1];
    struct order o;
    bool given;
    int count;

    order_init(&o, "locks");
    if (!request_param(r, "prefix", prefix, sizeof prefix, &given) ||
        (prefix[0] && !lock_is_name(span_of(prefix)))) {
        route_bad_parameter(p, r, "prefix", "How the names begin. " LOCK_NAME_ALLOWED);
        return;
    }
    if (!route_page(r, &o.ask, 0, p))
        return;
    add_text(&o, "prefix", prefix);
    add_u(&o, "offset", o.ask.offset);
    add_u(&o, "limit", o.ask.limit);
    if (!put_to_broker(s, r, &o, "locks", &answer, p))
        return;
    buf_adds(b, "{\"locks\":");
    count = lock_json_list(b, buf_span(&answer), shows_owners(r));
    if (count < 0)
        refuse(p, r, SPAN(""), SPAN(""));
    else
        put_end(b, buf_span(&answer), "total", count);
    buf_free(&answer);
}

void route_get_lock(struct service *s, struct request *r, struct reply *p)
{
    char name[LOCK_NAME_MAX + 1];
    struct buf answer;
    struct span entry;
    struct order o;

    if (!read_name(r, "", name, p))
        return;
    order_init(&o, "locks");
    add_text(&o, "name", name);
    if (!put_to_broker(s, r, &o, "locks", &answer, p))
        return;
    if (lock_json_find(buf_span(&answer), span_of(name), &entry))
        lock_json_entry(&p->body, entry, shows_owners(r));
    else
        refuse(p, r, SPAN(""), SPAN("not_found"));
    buf_free(&answer);
}

void route_get_lock_value(struct service *s, struct request *r, struct reply *p)
{
    char name[LOCK_NAME_MAX + 1];
    struct pack_value value = {0};
    struct buf answer;
    uint64_t version;
    struct order o;

    if (!route_may_change(r, p) || !read_name(r, ROUTE_LOCK_VALUE, name, p))
        return;
    order_init(&o, "value_get");
    add_text(&o, "name", name);
    if (!put_to_broker(s, r, &o, "version", &answer, p))
        return;
    version = pack_find_u(buf_span(&answer), "version", 0);
    if (!version || !pack_find(buf_span(&answer), "value", &value, NULL) ||
        (value.type != PACK_BIN && value.type != PACK_STR)) {
        reply_error(p, r, 404, "no_value", "Nobody has put a value here yet.",
                    "PUT it with ?owner=&token= of the current grant.");
    } else {
        p->type = "application/octet-stream";
        buf_add(&p->body, value.text.at, value.text.len);
        buf_printf(&p->headers, "X-Lock-Version: %llu\r\nX-Lock-Token: %llu\r\n",
                   (unsigned long long)version,
                   (unsigned long long)pack_find_u(buf_span(&answer), "token", 0));
    }
    buf_free(&answer);
}

/* --- changed ------------------------------------------------------------------------------- */

static bool read_put(struct request *r, struct lock_body *out, struct reply *p)
{
    struct lock_body_error error;
    struct buf body = {0};
    struct json *j;
    char text[LOCK_BODY_ERROR_MAX + 40];
    bool ok;

    if (!body_read(r, LOCK_BODY_MAX, &body, p)) {
        buf_free(&body);
        return false;
    }
    j = json_new();
    ok = lock_body_read(j, buf_span(&body), out, &error);
    json_free(j);
    buf_free(&body);
    if (ok)
        return true;
    snprintf(text, sizeof text, "%s (At byte %zu.)", error.message, error.at);
    reply_error(p, r, 400, "bad_request", text, error.hint);
    snprintf(text, sizeof text, ",\"at\":%zu", error.at);
    reply_error_add(p, span_of(text));
    return false;
}

static void take_lock(struct service *s, struct request *r, const char *name,
                      const struct lock_body *b, struct reply *p)
{
    struct buf answer;
    struct order o;

    order_init(&o, "lock");
    add_text(&o, "name", name);
    add_text(&o, "owner", b->owner);
    add_u(&o, "ttl_ms", (uint64_t)b->ttl_ms);
    add_u(&o, "delay_ms", (uint64_t)b->delay_ms);
    add_text(&o, "host", b->host[0] ? b->host : r->client.host);
    add_u(&o, "pid", b->pid);
    /* No request waits for a lock, because workers are few: the place is kept instead. */
    pack_kv_bool(&o.pk, "keep", true);
    o.ask.members++;
    if (!put_to_broker(s, r, &o, "token", &answer, p))
        return;
    lock_json_grant(&p->body, buf_span(&answer));
    buf_free(&answer);
}

static void renew_lock(struct service *s, struct request *r, const char *name,
                       const struct lock_body *b, struct reply *p)
{
    struct buf answer;
    struct order o;

    order_init(&o, "renew");
    add_claim(&o, name, b->owner, b->token);
    if (b->ttl_ms)
        add_u(&o, "ttl_ms", (uint64_t)b->ttl_ms);
    if (!put_to_broker(s, r, &o, "token", &answer, p))
        return;
    lock_json_renewal(&p->body, buf_span(&answer), span_of(b->owner));
    buf_free(&answer);
}

void route_put_lock(struct service *s, struct request *r, struct reply *p)
{
    char name[LOCK_NAME_MAX + 1];
    struct lock_body b;

    if (!read_name(r, "", name, p) || !read_put(r, &b, p))
        return;
    if (b.token)
        renew_lock(s, r, name, &b, p);
    else
        take_lock(s, r, name, &b, p);
}

static void release_lock(struct service *s, struct request *r, const char *name,
                         struct reply *p)
{
    struct claim claim = {0};
    struct buf answer;
    struct order o;

    if (!read_claim(r, &claim, p))
        return;
    order_init(&o, "release");
    add_claim(&o, name, claim.owner, claim.token);
    if (!put_to_broker(s, r, &o, "token", &answer, p))
        return;
    buf_printf(&p->body, "{\"name\":\"%s\",\"token\":%llu,\"released\":true}", name,
               (unsigned long long)claim.token);
    buf_free(&answer);
}

static void break_lock(struct service *s, struct request *r, const char *name,
                       struct reply *p)
{
    char reason[REASON_MAX + 1];
    uint64_t token;
    struct buf answer;
    struct order o;
    bool given;

    if (!request_param(r, "reason", reason, sizeof reason, &given)) {
        route_bad_parameter(p, r, "reason", "Text of at most 200 bytes, for the log.");
        return;
    }
    if (!read_token(r, &token, p))
        return;
    order_init(&o, "lock_break");
    add_text(&o, "name", name);
    add_u(&o, "token", token);
    add_text(&o, "by", r->client_name);
    add_text(&o, "reason", reason);
    if (!put_to_broker(s, r, &o, "token", &answer, p))
        return;
    buf_printf(&p->body, "{\"name\":\"%s\",\"token\":%llu,\"broken\":true", name,
               (unsigned long long)token);
    member_seconds(&p->body, "closed_for",
                   pack_find_u(buf_span(&answer), "closed_ms", 0));
    buf_addc(&p->body, '}');
    buf_free(&answer);
}

void route_delete_lock(struct service *s, struct request *r, struct reply *p)
{
    char name[LOCK_NAME_MAX + 1];
    uint64_t breaks = 0;

    if (!read_name(r, "", name, p))
        return;
    if (!request_number(r, "break", 1, &breaks))
        route_bad_parameter(p, r, "break", "0 or 1.");
    else if (breaks)
        break_lock(s, r, name, p);
    else
        release_lock(s, r, name, p);
}

void route_put_lock_value(struct service *s, struct request *r, struct reply *p)
{
    char name[LOCK_NAME_MAX + 1];
    struct claim claim = {0};
    struct buf answer, value = {0};
    struct order o;

    if (!read_name(r, ROUTE_LOCK_VALUE, name, p) || !read_claim(r, &claim, p))
        return;
    if (!body_read(r, LOCK_VALUE_MAX, &value, p)) {
        buf_free(&value);
        return;
    }
    order_init(&o, "value_put");
    add_claim(&o, name, claim.owner, claim.token);
    add_bin(&o, "value", buf_span(&value));
    buf_free(&value);
    if (!put_to_broker(s, r, &o, "version", &answer, p))
        return;
    buf_printf(&p->body, "{\"name\":\"%s\",\"token\":%llu,\"version\":%llu}", name,
               (unsigned long long)claim.token,
               (unsigned long long)pack_find_u(buf_span(&answer), "version", 0));
    buf_free(&answer);
}
