/* lock_core_send: what is said of locks, and when. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "broker/locks/lock_core_private.h"
#include "shared/base/mem.h"
#include "shared/wire/pack.h"

#define ENTRY_LINE 10      /* owners in line that an entry names */
#define RETRY_MS 3000      /* who stands in line asks again at least so often, */
#define RETRY_KEPT_MS 1000 /* or a free lock is kept for somebody else */
#define RETRY_LEAST_MS 50

/* --- words that wait -------------------------------------------------------------------- */

static void free_word(struct lock_core *k, struct lock_core_word *w)
{
    DL_DELETE(k->back, w);
    k->back_count--;
    k->back_bytes -= w->text.len;
    buf_free(&w->to);
    buf_free(&w->op);
    buf_free(&w->text);
    free(w);
}

static void hold_back(struct lock_core *k, uint64_t change, bool is_answer,
                      struct span to, struct span op, uint64_t id, struct span text)
{
    struct lock_core_word *w = mem_zalloc(sizeof *w);

    w->change = change;
    w->is_answer = is_answer;
    w->id = id;
    buf_add(&w->to, to.at, to.len);
    buf_add(&w->op, op.at, op.len);
    buf_add(&w->text, text.at, text.len);
    DL_APPEND(k->back, w);
    k->back_count++;
    k->back_bytes += text.len;
}

bool lock_core_is_behind(const struct lock_core *k)
{
    return k->back_count >= CORE_LOCK_BACK_MAX || k->back_bytes >= CORE_LOCK_BACK_BYTES;
}

static void publish(struct core *d, struct span name, struct span entry)
{
    struct lock_core *k = d->locks;
    struct lease *l = lease_find(k->table, name);
    struct wire_record r = {
        .kind = WIRE_LOCK,
        .epoch = d->epoch,
        .seq = ++k->watch_seq,
        .prev = l ? l->told : 0,
        .accepted_us = (uint64_t)d->time.wall_us,
        .body = entry,
    };
    struct buf topic = {0}, frame = {0};

    if (l)
        l->told = r.seq;
    buf_adds(&topic, WIRE_TOPIC_LOCK);
    buf_add(&topic, name.at, name.len);
    buf_addc(&topic, ' ');
    wire_put(&frame, &r);
    d->out.publish(d->out.ctx, buf_span(&topic), buf_span(&frame));
    buf_free(&topic);
    buf_free(&frame);
}

void lock_core_send_stored(struct core *d)
{
    struct lock_core *k = d->locks;
    struct lock_core_word *w, *next;

    DL_FOREACH_SAFE(k->back, w, next)
    {
        if (w->change > lease_stored(k->table))
            continue;
        if (w->is_answer)
            d->out.say(d->out.ctx, buf_span(&w->to), buf_span(&w->text));
        else
            publish(d, buf_span(&w->to), buf_span(&w->text));
        free_word(k, w);
    }
}

static void say_not_stored(struct lock_core_question *q)
{
    char text[STORE_ERROR_MAX + 100];

    snprintf(text, sizeof text,
             "%s; it may still take effect: ask again with the same owner",
             q->k->reason);
    answer_error(&q->on, ERR_NOT_STORED, text);
}

void lock_core_send_failed(struct core *d)
{
    struct lock_core *k = d->locks;
    struct lock_core_word *w, *next;

    DL_FOREACH_SAFE(k->back, w, next)
    {
        struct lock_core_question q = {.on = {.d = d,
                                              .peer = buf_span(&w->to),
                                              .op = buf_span(&w->op),
                                              .id = w->id},
                                       .k = k};

        if (!w->is_answer)
            continue; /* watchers are told when it is stored after all */
        say_not_stored(&q);
        free_word(k, w);
    }
}

void lock_core_drop_words(struct lock_core *k)
{
    while (k->back)
        free_word(k, k->back);
}

/* --- answers ------------------------------------------------------------------------------ */

void lock_core_send(struct lock_core_question *q, uint64_t change)
{
    struct core *d = q->on.d;

    if (change <= lease_stored(q->k->table))
        d->out.say(d->out.ctx, q->on.peer, buf_span(&d->answer));
    else if (q->k->reason[0])
        say_not_stored(q);
    else if (lock_core_is_behind(q->k))
        answer_error(&q->on, ERR_AGAIN,
                     "the file of locks is behind; it may still take effect: ask "
                     "again with the same owner");
    else
        hold_back(q->k, change, true, q->on.peer, q->on.op, q->on.id,
                  buf_span(&d->answer));
}

void lock_core_send_closed(struct lock_core_question *q)
{
    if (q->k->reason[0])
        answer_error(&q->on, ERR_NOT_STORED, q->k->reason);
    else if (q->k->is_stopping)
        answer_error(&q->on, ERR_AGAIN, "the broker is stopping");
    else
        answer_error(&q->on, ERR_AGAIN, "the file of locks is behind: ask again");
}

void lock_core_send_granted(struct lock_core_question *q, bool is_new,
                            int64_t waited_ms)
{
    const struct lease *l = q->lease;

    answer_begin(&q->on, 9);
    pack_kv_text(&q->on.pk, "name", span_of(l->name));
    pack_kv_text(&q->on.pk, "owner", span_of(l->owner));
    pack_kv_u(&q->on.pk, "token", l->token);
    pack_kv_u(&q->on.pk, "ttl_ms", (uint64_t)l->ttl_ms);
    pack_kv_u(&q->on.pk, "delay_ms", (uint64_t)l->delay_ms);
    pack_kv_u(&q->on.pk, "expires_ms",
              (uint64_t)lease_expires_ms(l, q->on.d->time.now));
    pack_kv_u(&q->on.pk, "waited_ms", (uint64_t)waited_ms);
    pack_kv_bool(&q->on.pk, "is_new", is_new);
    pack_kv_bool(&q->on.pk, "durable", lock_core_is_durable(q->on.d));
    lock_core_send(q, l->change);
}

/* When it may be worth asking again. */
static uint64_t retry_ms(const struct lease *l, int64_t now)
{
    int64_t left = l->state == LEASE_HELD     ? lease_expires_ms(l, now)
                   : l->state == LEASE_CLOSED ? lease_closed_ms(l, now)
                                              : RETRY_KEPT_MS;

    return (uint64_t)(left > RETRY_MS         ? RETRY_MS
                      : left < RETRY_LEAST_MS ? RETRY_LEAST_MS
                                              : left);
}

const char *lock_core_who(const struct lease *l, char out[CORE_LOCK_WHO_MAX])
{
    int len = snprintf(out, CORE_LOCK_WHO_MAX, "%s", l->owner);
    size_t left = CORE_LOCK_WHO_MAX - (size_t)len;

    if (l->pid && l->host[0])
        snprintf(out + len, left, " (pid %llu on %s)", (unsigned long long)l->pid,
                 l->host);
    else if (l->pid)
        snprintf(out + len, left, " (pid %llu)", (unsigned long long)l->pid);
    else if (l->host[0])
        snprintf(out + len, left, " (on %s)", l->host);
    return out;
}

static void describe(const struct lease *l, int64_t now, char *text, size_t size)
{
    char who[CORE_LOCK_WHO_MAX];

    if (l->state == LEASE_HELD)
        snprintf(text, size, "lock %s is held by %s", l->name, lock_core_who(l, who));
    else if (l->state == LEASE_CLOSED)
        snprintf(text, size, "lock %s stays closed for %lld ms more: its last grant %s",
                 l->name, (long long)lease_closed_ms(l, now),
                 l->ended == LEASE_BROKEN ? "was broken" : "ran out");
    else
        snprintf(text, size, "lock %s is free and kept for the first in line", l->name);
}

void lock_core_send_held(struct lock_core_question *q, size_t place)
{
    const struct lease *l = q->lease;
    int64_t now = q->on.d->time.now;
    char text[512];

    describe(l, now, text, sizeof text);
    answer_begin(&q->on, 10);
    pack_kv_text(&q->on.pk, "error", span_of(err_name(ERR_HELD)));
    pack_kv_text(&q->on.pk, "message", span_of(text));
    pack_kv_text(&q->on.pk, "name", span_of(l->name));
    pack_kv_text(&q->on.pk, "owner",
                 l->state == LEASE_HELD ? span_of(l->owner) : SPAN(""));
    pack_kv_u(&q->on.pk, "token", l->token);
    pack_kv_u(&q->on.pk, "expires_ms", (uint64_t)lease_expires_ms(l, now));
    pack_kv_u(&q->on.pk, "closed_ms", (uint64_t)lease_closed_ms(l, now));
    pack_kv_u(&q->on.pk, "place", place);
    pack_kv_u(&q->on.pk, "waiters", lease_waiters(l));
    pack_kv_u(&q->on.pk, "retry_ms", retry_ms(l, now));
    lock_core_send(q, l->change);
}

/* --- entries ---------------------------------------------------------------------------------- */

static void pack_line(msgpack_packer *pk, const struct lease *l)
{
    const char *owners[ENTRY_LINE];
    size_t count = lease_waiting(l, owners, ENTRY_LINE);

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

void lock_core_watch(struct core *d, struct lease *l)
{
    struct lock_core *k = d->locks;
    struct span name = span_of(l->name);
    msgpack_packer pk;

    if (l->change > lease_stored(k->table) && lock_core_is_behind(k))
        return; /* watchers look for themselves now and then */
    buf_clear(&k->entry);
    msgpack_packer_init(&pk, &k->entry, buf_pack_write);
    lock_core_pack_entry(&pk, l, d->time.now);
    if (l->change <= lease_stored(k->table))
        publish(d, name, buf_span(&k->entry));
    else
        hold_back(k, l->change, false, name, SPAN(""), 0, buf_span(&k->entry));
}
