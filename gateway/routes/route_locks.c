/* route_locks: locks over HTTP.  The broker keeps them; this checks and writes. */
#include <stdio.h>
#include <string.h>

#include "gateway/http/body.h"
#include "gateway/routes/lock_body.h"
#include "gateway/routes/lock_json.h"
#include "gateway/routes/lock_request.h"
#include "gateway/routes/member.h"
#include "gateway/routes/route_private.h"
#include "shared/base/clock.h"
#include "shared/wire/pack.h"

#define TELEGRAM "telegram"
#define REASON_MAX 200

/* --- parameters --------------------------------------------------------------------------- */

static bool shows_owners(const struct request *r)
{
    const struct policy *policy = r->policy;
    const char *shown = request_bearer(r);

    return !policy->status_token[0] || admission_is_token(shown, policy->status_token) ||
           (policy->locks_token[0] && admission_is_token(shown, policy->locks_token));
}

/* The NAME of ROUTE_LOCKS/NAME, or of ROUTE_LOCKS/NAME/value. */
static bool read_name(const struct request *r, const char *tail, char *name, struct reply *p)
{
    struct span rest = span_of(r->path + sizeof ROUTE_LOCKS);

    rest.len -= rest.len && rest.at[rest.len - 1] == '/';
    rest.len -= strlen(tail);
    if (!lock_is_name(rest)) {
        reply_error(p, r, 400, "bad_name", "This cannot be the name of a lock.", LOCK_NAME_ALLOWED);
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

/* The members after the list of `shown` locks; `total` is the name of a member. */
static void put_end(struct buf *b, struct span answer, const char *total, int shown)
{
    struct span reason = pack_find_text(answer, "reason");
    struct pack_value next;
    bool has_next = pack_find(answer, "next", &next, NULL) && next.type == PACK_UINT;

    buf_printf(b, ",\"%s\":%llu", total,
               (unsigned long long)pack_find_u(answer, "total", (uint64_t)shown));
    if (has_next && shown) /* an empty page has no next page */
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
    struct lock_request q;
    int count = -1;

    lock_request_init(&q, "locks");
    lock_request_add_text(&q, "prefix", TELEGRAM);
    lock_request_add_u(&q, "limit", ROUTE_PAGE_MOST);
    if (!route_request(s, r, &q.request, p)) {
        buf_free(&q.request.arguments);
        return;
    }
    buf_free(&q.request.arguments);
    answer = *b;
    *b = (struct buf){0};
    buf_adds(b, "{\"status\":\"ok\",\"locks\":");
    if (q.request.status == 200 && !pack_find_text(buf_span(&answer), "error").len)
        count = lock_json_list(b, buf_span(&answer), shows_owners(r));
    if (count < 0) {
        reply_json(p, 503);
        buf_clear(b);
        buf_adds(b, "{\"status\":\"unknown\",\"reason\":\"the broker is away, or does not "
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
    struct lock_request q;
    bool given;
    int count;

    lock_request_init(&q, "locks");
    if (!request_param(r, "prefix", prefix, sizeof prefix, &given) ||
        (prefix[0] && !lock_is_name(span_of(prefix)))) {
        route_bad_parameter(p, r, "prefix", "How the names begin. " LOCK_NAME_ALLOWED);
        return;
    }
    if (!route_page(r, &q.request, 0, p))
        return;
    lock_request_add_text(&q, "prefix", prefix);
    lock_request_add_u(&q, "offset", q.request.offset);
    lock_request_add_u(&q, "limit", q.request.limit);
    if (!lock_request_send(&q, s, r, "locks", &answer, p))
        return;
    buf_adds(b, "{\"locks\":");
    count = lock_json_list(b, buf_span(&answer), shows_owners(r));
    if (count < 0)
        lock_request_refuse(p, r, SPAN(""), SPAN(""));
    else
        put_end(b, buf_span(&answer), "total", count);
    buf_free(&answer);
}

void route_get_lock(struct service *s, struct request *r, struct reply *p)
{
    char name[LOCK_NAME_MAX + 1];
    struct buf answer;
    struct span entry;
    struct lock_request q;

    if (!read_name(r, "", name, p))
        return;
    lock_request_init(&q, "locks");
    lock_request_add_text(&q, "name", name);
    if (!lock_request_send(&q, s, r, "locks", &answer, p))
        return;
    if (lock_json_find(buf_span(&answer), span_of(name), &entry))
        lock_json_entry(&p->body, entry, shows_owners(r));
    else
        lock_request_refuse(p, r, SPAN(""), SPAN("not_found"));
    buf_free(&answer);
}

void route_get_lock_value(struct service *s, struct request *r, struct reply *p)
{
    char name[LOCK_NAME_MAX + 1];
    struct pack_value value = {0};
    struct buf answer;
    uint64_t version;
    struct lock_request q;

    if (!route_may_change(r, p) || !read_name(r, ROUTE_LOCK_VALUE, name, p))
        return;
    lock_request_init(&q, "value_get");
    lock_request_add_text(&q, "name", name);
    if (!lock_request_send(&q, s, r, "version", &answer, p))
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
    struct lock_request q;

    lock_request_init(&q, "lock");
    lock_request_add_text(&q, "name", name);
    lock_request_add_text(&q, "owner", b->owner);
    lock_request_add_u(&q, "ttl_ms", (uint64_t)b->ttl_ms);
    lock_request_add_u(&q, "delay_ms", (uint64_t)b->delay_ms);
    lock_request_add_text(&q, "host", b->host[0] ? b->host : r->client.host);
    lock_request_add_u(&q, "pid", b->pid);
    /* No request waits for a lock, because workers are few: the place is kept instead. */
    lock_request_add_bool(&q, "keep", true);
    if (!lock_request_send(&q, s, r, "token", &answer, p))
        return;
    lock_json_grant(&p->body, buf_span(&answer));
    buf_free(&answer);
}

static void renew_lock(struct service *s, struct request *r, const char *name,
                       const struct lock_body *b, struct reply *p)
{
    struct buf answer;
    struct lock_request q;

    lock_request_init(&q, "renew");
    lock_request_add_claim(&q, name, b->owner, b->token);
    if (b->ttl_ms)
        lock_request_add_u(&q, "ttl_ms", (uint64_t)b->ttl_ms);
    if (!lock_request_send(&q, s, r, "token", &answer, p))
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

static void release_lock(struct service *s, struct request *r, const char *name, struct reply *p)
{
    struct claim claim = {0};
    struct buf answer;
    struct lock_request q;

    if (!read_claim(r, &claim, p))
        return;
    lock_request_init(&q, "release");
    lock_request_add_claim(&q, name, claim.owner, claim.token);
    if (!lock_request_send(&q, s, r, "token", &answer, p))
        return;
    buf_printf(&p->body, "{\"name\":\"%s\",\"token\":%llu,\"released\":true}", name,
               (unsigned long long)claim.token);
    buf_free(&answer);
}

static void break_lock(struct service *s, struct request *r, const char *name, struct reply *p)
{
    char reason[REASON_MAX + 1];
    uint64_t token;
    struct buf answer;
    struct lock_request q;
    bool given;

    if (!request_param(r, "reason", reason, sizeof reason, &given)) {
        route_bad_parameter(p, r, "reason", "Text of at most 200 bytes, for the log.");
        return;
    }
    if (!read_token(r, &token, p))
        return;
    lock_request_init(&q, "lock_break");
    lock_request_add_text(&q, "name", name);
    lock_request_add_u(&q, "token", token);
    lock_request_add_text(&q, "by", r->client_name);
    lock_request_add_text(&q, "reason", reason);
    if (!lock_request_send(&q, s, r, "token", &answer, p))
        return;
    buf_printf(&p->body, "{\"name\":\"%s\",\"token\":%llu,\"broken\":true", name,
               (unsigned long long)token);
    member_seconds(&p->body, "closed_for", pack_find_u(buf_span(&answer), "closed_ms", 0));
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
    struct lock_request q;

    if (!read_name(r, ROUTE_LOCK_VALUE, name, p) || !read_claim(r, &claim, p))
        return;
    if (!body_read(r, LOCK_VALUE_MAX, &value, p)) {
        buf_free(&value);
        return;
    }
    lock_request_init(&q, "value_put");
    lock_request_add_claim(&q, name, claim.owner, claim.token);
    lock_request_add_bin(&q, "value", buf_span(&value));
    buf_free(&value);
    if (!lock_request_send(&q, s, r, "version", &answer, p))
        return;
    buf_printf(&p->body, "{\"name\":\"%s\",\"token\":%llu,\"version\":%llu}", name,
               (unsigned long long)claim.token,
               (unsigned long long)pack_find_u(buf_span(&answer), "version", 0));
    buf_free(&answer);
}
