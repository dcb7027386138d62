/*
 * pregon_lock: sends the requests that lock_client decides on, and calls the program's callbacks.
 */
#include <msgpack.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "consumer/lib/pregon_private.h"
#include "shared/base/clock.h"
#include "shared/base/hash.h"
#include "shared/wire/lock_name.h"
#include "shared/base/mem.h"
#include "shared/wire/pack.h"
#include "shared/base/random.h"

#define TTL_USUAL_MS 30000

_Static_assert(PREGON_LOCK_NAME_MAX == LOCK_NAME_MAX && PREGON_LOCK_OWNER_MAX == LOCK_OWNER_MAX &&
                   PREGON_VALUE_MAX == LOCK_VALUE_MAX,
               "pregon.h and lock_name.h have the same limits");

/* --- opening, closing ------------------------------------------------------------------- */

static bool is_allowed(const struct pregon_lock_options *o)
{
    return (!o->ttl_ms || (o->ttl_ms >= LOCK_TTL_MIN_MS && o->ttl_ms <= LOCK_TTL_MAX_MS)) &&
           o->delay_ms >= 0 && o->delay_ms <= LOCK_TTL_MAX_MS &&
           (!o->owner || lock_is_owner(span_of(o->owner)));
}

enum pregon_error pregon_lock_open(struct pregon *p, const char *name,
                                   const struct pregon_lock_options *options,
                                   struct pregon_lock **out)
{
    struct pregon_lock_options o = {0};
    struct pregon_lock *l;

    if (!name || !lock_is_name(span_of(name)) || !options || !options->size)
        return PREGON_ERROR_INVALID;
    memcpy(&o, options, options->size < sizeof o ? options->size : sizeof o);
    if (!is_allowed(&o))
        return PREGON_ERROR_INVALID;
    if (p->is_closing)
        return PREGON_ERROR_CLOSED;
    l = mem_zalloc(sizeof *l);
    l->p = p;
    l->options = o;
    snprintf(l->name, sizeof l->name, "%s", name);
    if (o.owner)
        snprintf(l->owner, sizeof l->owner, "%s", o.owner);
    else
        snprintf(l->owner, sizeof l->owner, "%016llx%016llx", (unsigned long long)random_u64(),
                 (unsigned long long)random_u64());
    l->options.owner = NULL;
    lock_client_init(&l->client, o.ttl_ms ? o.ttl_ms : TTL_USUAL_MS, clock_boot_ms());
    l->next = p->locks;
    p->locks = l;
    pregon_wake(p);
    *out = l;
    return PREGON_OK;
}

static void leave(struct pregon_lock *l)
{
    if (l->client.phase != LOCK_CLIENT_LEAVING && l->client.phase != LOCK_CLIENT_GONE)
        lock_client_leave(&l->client, clock_boot_ms());
}

void pregon_lock_close(struct pregon_lock **l)
{
    if (!*l)
        return;
    leave(*l);
    pregon_wake((*l)->p);
    *l = NULL;
}

static void lock_free(struct pregon *p, struct pregon_lock *l)
{
    for (struct request *r = p->requests; r; r = r->hh.next)
        if (r->lock == l)
            r->lock = NULL;
    free(l);
}

void pregon_locks_leave(struct pregon *p)
{
    for (struct pregon_lock *l = p->locks; l; l = l->next)
        leave(l);
}

bool pregon_locks_are_leaving(const struct pregon *p)
{
    for (const struct pregon_lock *l = p->locks; l; l = l->next)
        if (lock_client_is_leaving(&l->client))
            return true;
    return false;
}

static void sweep(struct pregon *p, bool is_all)
{
    struct pregon_lock **at = &p->locks;

    while (*at) {
        struct pregon_lock *l = *at;

        if (!is_all && l->client.phase != LOCK_CLIENT_GONE) {
            at = &l->next;
            continue;
        }
        *at = l->next;
        lock_free(p, l);
    }
}

void pregon_locks_free(struct pregon *p)
{
    sweep(p, true);
}

/* --- callbacks -------------------------------------------------------------------------------- */

static void report_lost(struct pregon_lock *l)
{
    static const enum pregon_lost_reason reasons[] = {
        [LOCK_CLIENT_UNANSWERED] = PREGON_LOST_UNANSWERED,
        [LOCK_CLIENT_EXPIRED] = PREGON_LOST_EXPIRED,
        [LOCK_CLIENT_TAKEN] = PREGON_LOST_TAKEN,
        [LOCK_CLIENT_BROKEN] = PREGON_LOST_BROKEN,
        [LOCK_CLIENT_RELEASED] = PREGON_LOST_RELEASED,
    };

    l->reported = 0;
    if (l->options.on_lost)
        l->options.on_lost(l->options.ctx, l, reasons[l->client.reason]);
}

static void report_waiting(struct pregon_lock *l, const struct pregon_lock_wait *w)
{
    char text[256];
    uint32_t news;

    snprintf(text, sizeof text, "%s %s %llu %u", w->reason, w->holder, (unsigned long long)w->token,
             w->place);
    news = hash_name(span_of(text));
    if (news == l->reported)
        return;
    l->reported = news;
    if (l->options.on_waiting)
        l->options.on_waiting(l->options.ctx, l, w);
}

static void report_refusal(struct pregon_lock *l, struct span answer)
{
    char error[32], message[256], holder[PREGON_LOCK_OWNER_MAX + 1];
    struct pregon_lock_wait w = {
        .reason = error,
        .message = message,
        .holder = holder,
        .token = pack_find_u(answer, "token", 0),
        .place = (uint32_t)pack_find_u(answer, "place", 0),
        .waiters = (uint32_t)pack_find_u(answer, "waiters", 0),
        .expires_ms = (int64_t)pack_find_u(answer, "expires_ms", 0),
        .closed_ms = (int64_t)pack_find_u(answer, "closed_ms", 0),
    };

    span_copy(error, sizeof error, pack_find_text(answer, "error"));
    span_copy(message, sizeof message, pack_find_text(answer, "message"));
    span_copy(holder, sizeof holder, pack_find_text(answer, "owner"));
    if (strcmp(error, "held") == 0 && !holder[0])
        w.reason = w.closed_ms ? "closed" : "kept";
    report_waiting(l, &w);
}

static void report_away(struct pregon_lock *l)
{
    struct pregon_lock_wait w = {
        .reason = "away", .message = "The broker does not answer.", .holder = ""};

    report_waiting(l, &w);
}

void pregon_locks_check(struct pregon *p)
{
    for (struct pregon_lock *l = p->locks; l && !receiver_is_paused(p->receiver); l = l->next)
        if (lock_client_check(&l->client, clock_boot_ms()) == LOCK_CLIENT_NOW_LOST)
            report_lost(l);
}

/*
 * --- requests ----------------------------------------------------------------------------------
 */

/* l is NULL for a lock that was closed. */
static struct request *begin(struct pregon *p, struct pregon_lock *l,
                             enum lock_client_request request, struct span name, struct span owner,
                             struct buf *b, msgpack_packer *pk)
{
    static const struct {
        const char *op;
        uint32_t members;
    } ops[] = {
        [LOCK_CLIENT_REQUEST_LOCK] = {"lock", 8},
        [LOCK_CLIENT_REQUEST_RENEW] = {"renew", 3},
        [LOCK_CLIENT_REQUEST_RELEASE] = {"release", 3},
        [LOCK_CLIENT_REQUEST_CANCEL] = {"lock_cancel", 2},
    };
    struct request *r =
        pregon_request_begin(p, REQUEST_LOCK, ops[request].op, ops[request].members, b, pk);

    r->lock = l;
    r->request = request;
    pack_kv_text(pk, "name", name);
    pack_kv_text(pk, "owner", owner);
    return r;
}

static void send_request(struct pregon_lock *l, enum lock_client_request request)
{
    struct buf b = {0};
    msgpack_packer pk;
    struct request *r = begin(l->p, l, request, span_of(l->name), span_of(l->owner), &b, &pk);

    if (request == LOCK_CLIENT_REQUEST_LOCK) {
        pack_kv_u(&pk, "ttl_ms", (uint64_t)l->client.ttl_ms);
        pack_kv_u(&pk, "delay_ms", (uint64_t)l->options.delay_ms);
        pack_kv_u(&pk, "wait_ms", (uint64_t)l->client.wait_ms);
        pack_kv_bool(&pk, "keep", true);
        pack_kv_text(&pk, "host", span_of(l->p->host));
        pack_kv_u(&pk, "pid", (uint64_t)getpid());
    } else if (request != LOCK_CLIENT_REQUEST_CANCEL) {
        r->token = l->client.token;
        pack_kv_u(&pk, "token", r->token);
    }
    lock_client_sent(&l->client, request, r->sent_at);
    pregon_request_send(l->p, &b);
}

void pregon_locks_request(struct pregon *p)
{
    for (struct pregon_lock *l = p->locks; l && !receiver_is_paused(p->receiver); l = l->next) {
        enum lock_client_request request;

        if (lock_client_is_newly_unanswered(&l->client, p->now))
            report_away(l);
        request = lock_client_request(&l->client, p->now);
        if (request != LOCK_CLIENT_REQUEST_NONE)
            send_request(l, request);
    }
    sweep(p, false);
}

int64_t pregon_locks_deadline(const struct pregon *p)
{
    int64_t due = INT64_MAX;

    for (const struct pregon_lock *l = p->locks; l; l = l->next) {
        int64_t d = lock_client_deadline(&l->client);

        due = d < due ? d : due;
    }
    return due;
}

/*
 * A time before which the lease surely had not begun: the broker may have held the answer back for
 * wait_ms.
 */
static int64_t begun_at(const struct request *r, struct span answer)
{
    uint64_t waited = pack_find_u(answer, "waited_ms", 0);
    int64_t now = clock_boot_ms();

    return waited < (uint64_t)(now - r->sent_at) ? r->sent_at + (int64_t)waited : now;
}

/* A lock that waits will send its request again and get the same grant; a closing lock will not. */
static bool is_wanted(const struct pregon *p, struct span name, struct span owner)
{
    for (const struct pregon_lock *l = p->locks; l; l = l->next)
        if ((l->client.phase == LOCK_CLIENT_WAITING || l->client.phase == LOCK_CLIENT_HELD) &&
            span_eq(name, l->name) && span_eq(owner, l->owner))
            return true;
    return false;
}

/*
 * A request to a broker that is away waits in the socket for longer than this library waits for its
 * answer. The returning broker grants it, perhaps to a program that has closed the lock since.
 */
void pregon_lock_answered_late(struct pregon *p, struct span answer)
{
    struct span name = pack_find_text(answer, "name"), owner = pack_find_text(answer, "owner");
    uint64_t token = pack_find_u(answer, "token", 0);
    struct buf b = {0};
    msgpack_packer pk;

    if (!span_eq(pack_find_text(answer, "re"), "lock") || pack_find_text(answer, "error").len ||
        !token || is_wanted(p, name, owner))
        return;
    begin(p, NULL, LOCK_CLIENT_REQUEST_RELEASE, name, owner, &b, &pk);
    pack_kv_u(&pk, "token", token);
    pregon_request_send(p, &b);
}

void pregon_lock_answered(struct pregon *p, struct request *r, struct span answer)
{
    struct pregon_lock *l = r->lock;
    struct lock_client_answer a = {
        .to = r->request,
        .sent_at = begun_at(r, answer),
        .request_token = r->token,
        .error = pack_find_text(answer, "error"),
        .reason = pack_find_text(answer, "reason"),
        .token = pack_find_u(answer, "token", 0),
        .ttl_ms = l ? (int64_t)pack_find_u(answer, "ttl_ms", (uint64_t)l->client.ttl_ms) : 0,
    };

    if (!l) {
        pregon_lock_answered_late(p, answer);
        return;
    }
    switch (lock_client_on_answer(&l->client, &a, clock_boot_ms())) {
    case LOCK_CLIENT_NO_NEWS:
        break;
    case LOCK_CLIENT_NOW_HELD:
        l->reported = 0;
        if (l->options.on_held)
            l->options.on_held(l->options.ctx, l, l->client.token);
        break;
    case LOCK_CLIENT_NOW_LOST:
        report_lost(l);
        break;
    case LOCK_CLIENT_STILL_WAITING:
        report_refusal(l, answer);
        break;
    }
}

/*
 * --- queries -------------------------------------------------------------------------------------
 */

uint64_t pregon_lock_token(const struct pregon_lock *l)
{
    return pregon_lock_remaining_ms(l) ? l->client.token : 0;
}

int64_t pregon_lock_remaining_ms(const struct pregon_lock *l)
{
    return lock_client_remaining_ms(&l->client, clock_boot_ms());
}

const char *pregon_lock_name(const struct pregon_lock *l)
{
    return l->name;
}

const char *pregon_lock_owner(const struct pregon_lock *l)
{
    return l->owner;
}

const char *pregon_lost_reason_name(enum pregon_lost_reason r)
{
    static const char *const names[] = {
        [PREGON_LOST_UNANSWERED] = "unanswered", [PREGON_LOST_EXPIRED] = "expired",
        [PREGON_LOST_TAKEN] = "taken",           [PREGON_LOST_BROKEN] = "broken",
        [PREGON_LOST_RELEASED] = "released",
    };

    return (size_t)r < sizeof names / sizeof names[0] ? names[r] : "unknown";
}
