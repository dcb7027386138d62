/* lock_core_send: answers about locks, and when they are sent. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "broker/locks/lock_core_private.h"
#include "shared/base/mem.h"
#include "shared/wire/pack.h"

#define ENTRY_WAITERS 10   /* waiting owners that an entry names */
#define RETRY_MS 3000      /* a waiting owner repeats its request at least this often */
#define RETRY_KEPT_MS 1000 /* or so often while a free lock is kept for another one */
#define RETRY_LEAST_MS 50

/* --- messages that wait ------------------------------------------------------------- */

static void free_unsent(struct lock_core *k, struct lock_core_unsent *w)
{
    DL_DELETE(k->unsent, w);
    k->unsent_count--;
    k->unsent_bytes -= w->text.len;
    buf_free(&w->to);
    buf_free(&w->op);
    buf_free(&w->text);
    free(w);
}

static void send_later(struct lock_core *k, uint64_t change, bool is_answer, struct span to,
                       struct span op, uint64_t id, struct span text)
{
    struct lock_core_unsent *w = mem_zalloc(sizeof *w);

    w->change = change;
    w->is_answer = is_answer;
    w->id = id;
    buf_add(&w->to, to.at, to.len);
    buf_add(&w->op, op.at, op.len);
    buf_add(&w->text, text.at, text.len);
    DL_APPEND(k->unsent, w);
    k->unsent_count++;
    k->unsent_bytes += text.len;
}

bool lock_core_is_durable(const struct lock_core *k)
{
    return k->writer && !k->reason[0];
}

bool lock_core_is_behind(const struct lock_core *k)
{
    return k->unsent_count >= LOCK_CORE_UNSENT_MAX || k->unsent_bytes >= LOCK_CORE_UNSENT_BYTES;
}

void lock_core_judge(struct lock_core *k)
{
    lease_allow_grants(k->table, !k->is_stopping && !k->reason[0] && !lock_core_is_behind(k));
}

static void publish(struct lock_core *k, struct span name, struct span entry)
{
    struct lease *l = lease_find(k->table, name);
    struct wire_record r = {
        .kind = WIRE_LOCK, .seq = ++k->watch_seq, .prev = l ? l->watch_seq : 0, .body = entry};
    struct buf topic = {0};

    if (l)
        l->watch_seq = r.seq;
    buf_adds(&topic, WIRE_TOPIC_LOCK);
    buf_add(&topic, name.at, name.len);
    buf_addc(&topic, ' ');
    k->out.publish(k->out.ctx, buf_span(&topic), &r);
    buf_free(&topic);
}

void lock_core_send_stored(struct lock_core *k)
{
    struct lock_core_unsent *w, *next;

    DL_FOREACH_SAFE(k->unsent, w, next)
    {
        if (w->change > lease_stored(k->table))
            continue;
        if (w->is_answer)
            answer_send_to(k->out.answers, buf_span(&w->to), buf_span(&w->text));
        else
            publish(k, buf_span(&w->to), buf_span(&w->text));
        free_unsent(k, w);
    }
}

static void send_not_stored(struct lock_core_request *q)
{
    char text[STORE_ERROR_MAX + 100];

    snprintf(text, sizeof text, "%s; it may still take effect: ask again with the same owner",
             q->k->reason);
    answer_error(&q->on, ERR_NOT_STORED, text);
}

void lock_core_send_failed(struct lock_core *k)
{
    struct lock_core_unsent *w, *next;

    DL_FOREACH_SAFE(k->unsent, w, next)
    {
        struct lock_core_request q = {.on = {.answers = k->out.answers,
                                             .peer = buf_span(&w->to),
                                             .op = buf_span(&w->op),
                                             .id = w->id},
                                      .k = k};

        if (!w->is_answer)
            continue; /* watchers get it when it is stored after all */
        send_not_stored(&q);
        free_unsent(k, w);
    }
}

void lock_core_drop_unsent(struct lock_core *k)
{
    while (k->unsent)
        free_unsent(k, k->unsent);
}

/* --- answers ------------------------------------------------------------------------ */

void lock_core_send(struct lock_core_request *q, uint64_t change)
{
    if (change <= lease_stored(q->k->table))
        answer_send(&q->on);
    else if (q->k->reason[0])
        send_not_stored(q);
    else if (lock_core_is_behind(q->k))
        answer_error(&q->on, ERR_AGAIN,
                     "the file of locks is behind; it may still take effect: ask "
                     "again with the same owner");
    else
        send_later(q->k, change, true, q->on.peer, q->on.op, q->on.id, answer_message(&q->on));
}

void lock_core_send_closed(struct lock_core_request *q)
{
    if (q->k->reason[0])
        answer_error(&q->on, ERR_NOT_STORED, q->k->reason);
    else if (q->k->is_stopping)
        answer_error(&q->on, ERR_AGAIN, "the broker is stopping");
    else
        answer_error(&q->on, ERR_AGAIN, "the file of locks is behind: ask again");
}

void lock_core_send_granted(struct lock_core_request *q, bool is_new, int64_t waited_ms)
{
    const struct lease *l = q->lease;

    answer_begin(&q->on, 9);
    pack_kv_text(&q->on.pk, "name", span_of(l->name));
    pack_kv_text(&q->on.pk, "owner", span_of(l->owner));
    pack_kv_u(&q->on.pk, "token", l->token);
    pack_kv_u(&q->on.pk, "ttl_ms", (uint64_t)l->ttl_ms);
    pack_kv_u(&q->on.pk, "delay_ms", (uint64_t)l->delay_ms);
    pack_kv_u(&q->on.pk, "expires_ms", (uint64_t)lease_expires_ms(l, q->k->time.now));
    pack_kv_u(&q->on.pk, "waited_ms", (uint64_t)waited_ms);
    pack_kv_bool(&q->on.pk, "is_new", is_new);
    pack_kv_bool(&q->on.pk, "durable", lock_core_is_durable(q->k));
    lock_core_send(q, l->change);
}

/* ms after which the owner should repeat its request. */
static uint64_t retry_ms(const struct lease *l, int64_t now)
{
    int64_t left = l->state == LEASE_HELD     ? lease_expires_ms(l, now)
                   : l->state == LEASE_CLOSED ? lease_closed_ms(l, now)
                                              : RETRY_KEPT_MS;

    return (uint64_t)(left > RETRY_MS ? RETRY_MS : left < RETRY_LEAST_MS ? RETRY_LEAST_MS : left);
}

const char *lock_core_owner(const struct lease *l, char out[LOCK_CORE_OWNER_MAX])
{
    int len = snprintf(out, LOCK_CORE_OWNER_MAX, "%s", l->owner);
    size_t left = LOCK_CORE_OWNER_MAX - (size_t)len;

    if (l->pid && l->host[0])
        snprintf(out + len, left, " (pid %llu on %s)", (unsigned long long)l->pid, l->host);
    else if (l->pid)
        snprintf(out + len, left, " (pid %llu)", (unsigned long long)l->pid);
    else if (l->host[0])
        snprintf(out + len, left, " (on %s)", l->host);
    return out;
}

static void describe(const struct lease *l, int64_t now, char *text, size_t size)
{
    char owner[LOCK_CORE_OWNER_MAX];

    if (l->state == LEASE_HELD)
        snprintf(text, size, "lock %s is held by %s", l->name, lock_core_owner(l, owner));
    else if (l->state == LEASE_CLOSED)
        snprintf(text, size, "lock %s stays closed for %lld ms more: its last grant %s", l->name,
                 (long long)lease_closed_ms(l, now),
                 l->ended == LEASE_BROKEN ? "was broken" : "ran out");
    else
        snprintf(text, size, "lock %s is free and kept for the first in line", l->name);
}

void lock_core_send_held(struct lock_core_request *q, size_t place)
{
    const struct lease *l = q->lease;
    int64_t now = q->k->time.now;
    char text[512];

    describe(l, now, text, sizeof text);
    answer_begin(&q->on, 10);
    pack_kv_text(&q->on.pk, "error", span_of(err_name(ERR_HELD)));
    pack_kv_text(&q->on.pk, "message", span_of(text));
    pack_kv_text(&q->on.pk, "name", span_of(l->name));
    pack_kv_text(&q->on.pk, "owner", l->state == LEASE_HELD ? span_of(l->owner) : SPAN(""));
    pack_kv_u(&q->on.pk, "token", l->token);
    pack_kv_u(&q->on.pk, "expires_ms", (uint64_t)lease_expires_ms(l, now));
    pack_kv_u(&q->on.pk, "closed_ms", (uint64_t)lease_closed_ms(l, now));
    pack_kv_u(&q->on.pk, "place", place);
    pack_kv_u(&q->on.pk, "waiters", lease_waiters(l));
    pack_kv_u(&q->on.pk, "retry_ms", retry_ms(l, now));
    lock_core_send(q, l->change);
}

/* --- entries ------------------------------------------------------------------------ */

static void pack_line(msgpack_packer *pk, const struct lease *l)
{
    const char *owners[ENTRY_WAITERS];
    size_t count = lease_waiting(l, owners, ENTRY_WAITERS);

    pack_key(pk, "line");
    msgpack_pack_array(pk, count);
    for (size_t i = 0; i < count; i++)
        pack_text(pk, span_of(owners[i]));
}

static void pack_lost(msgpack_packer *pk, const struct lease *l, int64_t now)
{
    pack_key(pk, "last_lost");
    if (!l->lost.token) {
        msgpack_pack_nil(pk);
        return;
    }
    msgpack_pack_map(pk, 4);
    pack_kv_text(pk, "owner", span_of(l->lost.owner));
    pack_kv_u(pk, "token", l->lost.token);
    pack_kv_u(pk, "ago_ms", (uint64_t)(now > l->lost.at ? now - l->lost.at : 0));
    pack_kv_text(pk, "reason", span_of(lease_end_name(l->lost.reason)));
}

void lock_core_pack_entry(msgpack_packer *pk, const struct lease *l, int64_t now)
{
    static const char *const states[] = {"free", "held", "closed"};
    bool is_held = l->state == LEASE_HELD;

    msgpack_pack_map(pk, 16);
    pack_kv_text(pk, "name", span_of(l->name));
    pack_kv_text(pk, "state", span_of(states[l->state]));
    pack_kv_text(pk, "owner", span_of(l->owner));
    pack_kv_text(pk, "host", is_held ? span_of(l->host) : SPAN(""));
    pack_kv_u(pk, "pid", is_held ? l->pid : 0);
    pack_kv_u(pk, "token", l->token);
    pack_kv_u(pk, "held_ms", is_held ? (uint64_t)(now - l->granted_at) : 0);
    pack_kv_u(pk, "expires_ms", (uint64_t)lease_expires_ms(l, now));
    pack_kv_u(pk, "ttl_ms", (uint64_t)l->ttl_ms);
    pack_kv_u(pk, "delay_ms", (uint64_t)l->delay_ms);
    pack_kv_u(pk, "closed_ms", (uint64_t)lease_closed_ms(l, now));
    pack_kv_u(pk, "waiters", lease_waiters(l));
    pack_line(pk, l);
    pack_kv_u(pk, "value_bytes", l->value.len);
    pack_kv_u(pk, "version", l->version);
    pack_lost(pk, l, now);
}

void lock_core_watch(struct lock_core *k, struct lease *l)
{
    struct span name = span_of(l->name);
    msgpack_packer pk;

    if (l->change > lease_stored(k->table) && lock_core_is_behind(k))
        return; /* watchers look for themselves now and then */
    buf_clear(&k->entry);
    msgpack_packer_init(&pk, &k->entry, buf_pack_write);
    lock_core_pack_entry(&pk, l, k->time.now);
    if (l->change <= lease_stored(k->table))
        publish(k, name, buf_span(&k->entry));
    else
        send_later(k, l->change, false, name, SPAN(""), 0, buf_span(&k->entry));
}
