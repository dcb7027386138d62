#include "broker/locks/lock_core.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/locks/lock_core_private.h"
#include "shared/base/log.h"
#include "shared/base/mem.h"
#include "shared/wire/pack.h"
#include "shared/base/wait.h"

#define PAGE_LOCKS 1000
#define PAGE_BYTES (256 * 1024)
#define BY_MAX 128 /* bytes of "by" and "reason" of a lock_break, in the log */

struct lock_core *lock_core_new(const struct lease_limits *limits, const struct lock_core_out *out,
                                const struct turn_time *time)
{
    struct lock_core *k = mem_zalloc(sizeof *k);

    k->out = *out;
    /* Tokens must be greater than those of earlier runs; the wall clock ensures it. */
    k->table = lease_table_new(limits, (uint64_t)time->wall_us);
    return k;
}

void lock_core_free(struct lock_core *k)
{
    if (!k)
        return;
    lock_core_drop_unsent(k);
    lock_core_free_store(k);
    lease_table_free(k->table);
    buf_free(&k->entry);
    free(k);
}

/* --- what happens without a request ------------------------------------------------- */

static void answer_peer(struct lock_core *k, const struct lease_event *e)
{
    struct lock_core_request q = {
        .on = {.answers = k->out.answers,
               .op = SPAN("lock"),
               .peer = {e->reply_to.peer, e->reply_to.peer_len},
               .id = e->reply_to.id},
        .k = k,
        .lease = e->lease,
    };

    if (e->kind == LEASE_EVENT_GRANTED)
        lock_core_send_granted(&q, true, e->waited_ms);
    else if (e->lease->state == LEASE_FREE && e->place == 1)
        lock_core_send_closed(&q); /* it is the first, and nothing is granted now */
    else
        lock_core_send_held(&q, e->place);
}

static void log_event(struct lock_core *k, const struct lease_event *e)
{
    static struct log_limit limit = {.burst = 5, .interval_ms = 10000};
    const struct lease *l = e->lease;
    char owner[LOCK_CORE_OWNER_MAX];

    if (e->kind == LEASE_EVENT_GRANTED)
        log_debug("lock %s granted to %s after %lld ms in the queue, token %llu", l->name, l->owner,
                  (long long)e->waited_ms, (unsigned long long)l->token);
    else if (e->kind == LEASE_EVENT_EXPIRED)
        log_limited(&limit, k->time.now, LOG_INFO,
                    "lock %s: the grant of %s, token %llu, ran out; closed for %lld ms", l->name,
                    lock_core_owner(l, owner), (unsigned long long)l->token,
                    (long long)lease_closed_ms(l, k->time.now));
}

/* Until the table is as of now. */
static void let_happen(struct lock_core *k)
{
    struct lease_event e;

    lock_core_judge(k);
    while (lease_next(k->table, k->time.now, k->time.awake, &e)) {
        if (e.kind == LEASE_EVENT_FORGOTTEN) {
            lock_core_forget(k, e.name);
            continue;
        }
        if (e.reply_to.peer_len)
            answer_peer(k, &e);
        log_event(k, &e);
        if (e.kind != LEASE_EVENT_WAIT_OVER)
            lock_core_watch(k, e.lease);
        lock_core_judge(k);
    }
}

int64_t lock_core_tick(struct lock_core *k, const struct turn_time *time)
{
    int64_t store_wait;

    k->time = *time;
    lock_core_take_results(k);
    let_happen(k);
    store_wait = lock_core_store(k);
    return wait_sooner(store_wait, lease_wait(k->table, k->time.now, k->time.awake));
}

/* --- requests ----------------------------------------------------------------------- */

static void on_lock(struct lock_core_request *q)
{
    struct lock_core *k = q->k;
    struct lease_request request = {
        .name = q->name,
        .owner = q->owner,
        .host = pack_find_text(q->on.map, "host"),
        .peer = q->on.peer,
        .pid = pack_find_u(q->on.map, "pid", 0),
        .id = q->on.id,
        .ttl_ms = pack_find_u(q->on.map, "ttl_ms", 0),
        .delay_ms = pack_find_u(q->on.map, "delay_ms", 0),
        .wait_ms = pack_find_u(q->on.map, "wait_ms", 0),
        .is_to_keep = pack_find_bool(q->on.map, "keep", false),
    };
    size_t before = q->lease ? lease_waiters(q->lease) : 0;
    struct lease_answer a;
    enum err e = lease_acquire(q->k->table, &request, k->time.now, k->time.awake, &a);

    q->lease = a.lease;
    if (e == OK)
        lock_core_send_granted(q, a.is_new, 0);
    else if (e == ERR_HELD && !a.is_waiting)
        lock_core_send_held(q, a.place);
    else if (e == ERR_AGAIN)
        lock_core_send_closed(q);
    else if (e != ERR_HELD)
        answer_error(&q->on, e, a.why);
    if (e == OK && a.is_new)
        log_debug("lock %s granted to %s, token %llu", a.lease->name, a.lease->owner,
                  (unsigned long long)a.lease->token);
    if (a.lease && (a.is_new || lease_waiters(a.lease) != before))
        lock_core_watch(k, a.lease);
}

static void on_cancel(struct lock_core_request *q)
{
    if (q->lease && lease_cancel(q->k->table, q->lease, q->owner, q->k->time.now))
        lock_core_watch(q->k, q->lease);
    answer_begin(&q->on, 0);
    answer_send(&q->on);
}

/* The lock, or the answer is not_found. */
static bool is_known(struct lock_core_request *q)
{
    if (!q->lease)
        answer_error(&q->on, ERR_NOT_FOUND, "no such lock");
    return q->lease;
}

static void send_stale(struct lock_core_request *q)
{
    const struct lease *l = q->lease;
    enum lease_end ended = lease_ended(l, q->token);
    char text[512];

    /* The token in the request is current, but another owner has it. */
    if (ended == LEASE_RUNS)
        ended = LEASE_TAKEN;
    snprintf(text, sizeof text, "token %llu no longer holds lock %s: %s",
             (unsigned long long)q->token, l->name,
             ended == LEASE_EXPIRED    ? "its time ran out"
             : ended == LEASE_RELEASED ? "it was released"
             : ended == LEASE_BROKEN   ? "it was broken by an operator"
                                       : "it is another one's");
    answer_begin(&q->on, 6);
    pack_kv_text(&q->on.pk, "error", span_of(err_name(ERR_STALE)));
    pack_kv_text(&q->on.pk, "message", span_of(text));
    pack_kv_text(&q->on.pk, "name", span_of(l->name));
    pack_kv_text(&q->on.pk, "owner", span_of(l->owner));
    pack_kv_u(&q->on.pk, "token", l->token);
    pack_kv_text(&q->on.pk, "reason", span_of(lease_end_name(ended)));
    lock_core_send(q, l->change);
}

static void send_failed(struct lock_core_request *q, enum err e, const char *message)
{
    if (e == ERR_STALE)
        send_stale(q);
    else
        answer_error(&q->on, e, message);
}

static void on_renew(struct lock_core_request *q)
{
    const struct lease *l = q->lease;
    enum err e;

    if (!is_known(q))
        return;
    e = lease_renew(q->k->table, q->lease, q->owner, q->token, pack_find_u(q->on.map, "ttl_ms", 0),
                    q->k->time.now);
    if (e) {
        send_failed(q, e, "ttl_ms must be at least 1000");
        return;
    }
    answer_begin(&q->on, 3);
    pack_kv_text(&q->on.pk, "name", span_of(l->name));
    pack_kv_u(&q->on.pk, "token", l->token);
    pack_kv_u(&q->on.pk, "expires_ms", (uint64_t)lease_expires_ms(l, q->k->time.now));
    answer_send(&q->on);
}

static void on_release(struct lock_core_request *q)
{
    struct lease *l = q->lease;
    uint64_t change;
    enum err e;

    if (!is_known(q))
        return;
    change = l->change;
    e = lease_release(q->k->table, l, q->owner, q->token, q->k->time.now);
    if (e) {
        send_failed(q, e, "");
        return;
    }
    answer_begin(&q->on, 2);
    pack_kv_text(&q->on.pk, "name", span_of(l->name));
    pack_kv_u(&q->on.pk, "token", l->token);
    lock_core_send(q, l->change);
    if (l->change != change)
        lock_core_watch(q->k, l);
}

static void on_break(struct lock_core_request *q)
{
    static struct log_limit limit = {.burst = 20, .interval_ms = 10000};
    struct span by = pack_find_text(q->on.map, "by"), reason = pack_find_text(q->on.map, "reason");
    struct lease *l = q->lease;
    uint64_t change;
    enum err e;
    char owner[LOCK_CORE_OWNER_MAX];

    if (!is_known(q))
        return;
    change = l->change;
    e = lease_break(q->k->table, l, q->token, q->k->time.now);
    if (e) {
        send_failed(q, e, "");
        return;
    }
    if (l->change != change)
        log_limited(&limit, q->k->time.now, LOG_WARNING,
                    "lock %s: the grant of %s, token %llu, is broken by %.*s: %.*s; closed for "
                    "%lld ms",
                    l->name, lock_core_owner(l, owner), (unsigned long long)l->token,
                    (int)(by.len < BY_MAX ? by.len : BY_MAX), by.at,
                    (int)(reason.len < BY_MAX ? reason.len : BY_MAX), reason.at,
                    (long long)lease_closed_ms(l, q->k->time.now));
    answer_begin(&q->on, 3);
    pack_kv_text(&q->on.pk, "name", span_of(l->name));
    pack_kv_u(&q->on.pk, "token", l->token);
    pack_kv_u(&q->on.pk, "closed_ms", (uint64_t)lease_closed_ms(l, q->k->time.now));
    lock_core_send(q, l->change);
    if (l->change != change)
        lock_core_watch(q->k, l);
}

static void on_put(struct lock_core_request *q)
{
    struct pack_value v;
    enum err e;

    if (!is_known(q))
        return;
    if (q->k->reason[0] || lock_core_is_behind(q->k)) {
        lock_core_send_closed(q);
        return;
    }
    if (!pack_find(q->on.map, "value", &v, NULL) || (v.type != PACK_BIN && v.type != PACK_STR)) {
        answer_error(&q->on, ERR_INVALID, "value must be bytes or text");
        return;
    }
    e = lease_put(q->k->table, q->lease, q->owner, q->token, v.text);
    if (e) {
        send_failed(q, e,
                    e == ERR_TOO_LARGE ? "a value is at most 65536 bytes"
                                       : "all values together are at most 64 MiB");
        return;
    }
    answer_begin(&q->on, 3);
    pack_kv_text(&q->on.pk, "name", span_of(q->lease->name));
    pack_kv_u(&q->on.pk, "token", q->lease->value_token);
    pack_kv_u(&q->on.pk, "version", q->lease->version);
    lock_core_send(q, q->lease->change);
    lock_core_watch(q->k, q->lease);
}

static void on_get(struct lock_core_request *q)
{
    const struct lease *l = q->lease;

    if (!is_known(q))
        return;
    answer_begin(&q->on, 4);
    pack_kv_text(&q->on.pk, "name", span_of(l->name));
    pack_key(&q->on.pk, "value");
    msgpack_pack_bin_with_body(&q->on.pk, l->value.len ? l->value.data : "", l->value.len);
    pack_kv_u(&q->on.pk, "token", l->value_token);
    pack_kv_u(&q->on.pk, "version", l->version);
    lock_core_send(q, l->change);
}

/* --- the list ----------------------------------------------------------------------- */

static void on_locks(struct lock_core_request *q)
{
    struct lock_core *k = q->k;
    uint64_t offset = pack_find_u(q->on.map, "offset", 0),
             limit = pack_find_u(q->on.map, "limit", PAGE_LOCKS);
    size_t first, total, count = 0;
    struct buf list = {0};
    msgpack_packer pk;

    if (limit > PAGE_LOCKS)
        limit = PAGE_LOCKS;
    total = lease_range(k->table, pack_find_text(q->on.map, "prefix"), &first);
    if (q->name.len) {
        /* A lock with exactly this name is the first of the names that have it as prefix. */
        total = lease_range(k->table, q->name, &first) && q->lease ? 1 : 0;
    }
    if (offset > total)
        offset = total;
    msgpack_packer_init(&pk, &list, buf_pack_write);
    for (; offset + count < total && count < limit && list.len < PAGE_BYTES; count++)
        lock_core_pack_entry(&pk, lease_at(k->table, (size_t)(first + offset + count)),
                             q->k->time.now);
    answer_begin(&q->on, offset + count < total ? 5 : 4);
    pack_kv_u(&q->on.pk, "total", total);
    if (offset + count < total)
        pack_kv_u(&q->on.pk, "next", offset + count);
    pack_kv_bool(&q->on.pk, "durable", lock_core_is_durable(q->k));
    pack_kv_text(&q->on.pk, "reason", span_of(lock_core_reason(q->k)));
    pack_key(&q->on.pk, "locks");
    msgpack_pack_array(&q->on.pk, count);
    answer_add(&q->on, buf_span(&list));
    buf_free(&list);
    /* While the file fails, the broker still sends the list: the list states the failure. */
    lock_core_send(q, k->reason[0] ? 0 : lease_last_change(k->table));
}

static const struct {
    const char *op;
    void (*answer)(struct lock_core_request *q);
} ops[] = {
    {"renew", on_renew},        {"lock", on_lock},        {"release", on_release},
    {"lock_cancel", on_cancel}, {"lock_break", on_break}, {"value_put", on_put},
    {"value_get", on_get},      {"locks", on_locks},
};

bool lock_core_control(struct lock_core *k, const struct control_request *request,
                       const struct turn_time *time)
{
    struct lock_core_request q = {.on = *request, .k = k};
    size_t i = 0;

    while (i < sizeof ops / sizeof ops[0] && !span_eq(q.on.op, ops[i].op))
        i++;
    if (i == sizeof ops / sizeof ops[0])
        return false;
    k->time = *time;
    let_happen(k);
    q.name = pack_find_text(q.on.map, "name");
    q.owner = pack_find_text(q.on.map, "owner");
    q.token = pack_find_u(q.on.map, "token", 0);
    q.lease = lease_find(k->table, q.name);
    ops[i].answer(&q);
    return true;
}
