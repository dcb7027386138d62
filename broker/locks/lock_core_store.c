/* lock_core_store: brings changes of locks into their file, and back at start. */
#include <assert.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/locks/lock_core_private.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/base/mem.h"
#include "shared/wire/pack.h"

#define SLOW_MS 2000 /* a disk that does not answer for so long counts as failing */

static_assert(CORE_LOCK_BACK_MAX < LEASE_STORE_RESERVE / 2,
              "a token must be reserved before it can be given");

/* --- start ------------------------------------------------------------------------------ */

static bool restore(void *ctx, const struct lease_stored *l)
{
    struct core *d = ctx;

    return !lease_restore(d->locks->table, l, d->time.now);
}

enum err lock_core_open(struct core *d, const char *path, char error[STORE_ERROR_MAX])
{
    struct lock_core *k = d->locks;
    uint64_t wall_us = (uint64_t)d->time.wall_us;
    enum err e =
        lock_writer_open(path, wall_us, &k->log_writer, &k->token_floor, error);

    if (e)
        return e;
    lease_set_floor(k->table, k->token_floor);
    k->token_floor += LEASE_STORE_RESERVE;
    e = lease_store_each(lock_writer_store(k->log_writer), wall_us, restore, d, error);
    if (!e)
        e = lock_writer_start(k->log_writer, error);
    if (e)
        return e;
    lease_set_stored(k->table, 0);
    k->filling = lease_batch_new();
    if (lease_count(k->table))
        log_info("The file of locks has %zu, %zu of them held: each runs for its whole "
                 "time anew",
                 lease_count(k->table), lease_count_held(k->table));
    return OK;
}

int lock_core_fd(const struct core *d)
{
    return lock_writer_fd(d->locks->log_writer);
}

/* --- running ------------------------------------------------------------------------------- */

bool lock_core_is_durable(const struct core *d)
{
    return d->locks->log_writer && !d->locks->reason[0];
}

const char *lock_core_reason(const struct core *d)
{
    return d->locks->log_writer ? d->locks->reason
                                : "STORE is memory: locks end with the broker";
}

static void fail(struct core *d, const char *text)
{
    struct lock_core *k = d->locks;

    if (!k->reason[0])
        log_error("Locks are not stored: %s; renewals go on, nothing new is granted",
                  text);
    snprintf(k->reason, sizeof k->reason, "%s", text);
    lock_core_judge(d);
    lock_core_send_failed(d);
}

static void on_written(struct core *d, struct lease_batch *b)
{
    struct lock_core *k = d->locks;

    lease_set_stored(k->table, b->change);
    lease_batch_clear(b);
    k->spare = b;
    if (k->reason[0])
        log_info("Locks are stored again");
    k->reason[0] = '\0';
    lock_core_send_stored(d);
    lock_core_judge(d);
}

static void take_results(struct core *d)
{
    struct lock_core *k = d->locks;
    struct lock_writer_result r;

    while (lock_writer_take(k->log_writer, &r)) {
        if (r.event == LOCK_WRITER_WRITTEN)
            on_written(d, r.batch);
        else
            fail(d, r.text);
    }
}

static bool is_writing(const struct lock_core *k)
{
    return !lock_writer_can_write(k->log_writer);
}

/* ms until a write under way counts as failing; -1: none is, or it does already. */
static int64_t judge_slowness(struct core *d)
{
    struct lock_core *k = d->locks;
    int64_t left = k->handed_at + SLOW_MS - d->time.awake;

    if (!is_writing(k) || k->reason[0])
        return -1;
    if (left > 0)
        return left;
    fail(d, "the disk has not answered for 2 s");
    return -1;
}

static void hand_over(struct core *d)
{
    struct lock_core *k = d->locks;
    struct lease_batch *b = k->filling;
    uint64_t token = lease_last_token(k->table);
    struct lease *l;
    bool has_new_value;

    while ((l = lease_take_unstored(k->table, &has_new_value)))
        lease_batch_add(b, l, has_new_value, d->time.now, (uint64_t)d->time.wall_us);
    if (lease_batch_is_empty(b))
        return;
    if (token + LEASE_STORE_RESERVE / 2 > k->token_floor)
        b->token_floor = k->token_floor = token + LEASE_STORE_RESERVE;
    b->change = lease_last_change(k->table);
    k->filling = k->spare ? k->spare : lease_batch_new();
    k->spare = NULL;
    k->handed_at = d->time.awake;
    lock_writer_write(k->log_writer, b);
}

void lock_core_forget(struct core *d, const char *name)
{
    if (d->locks->log_writer)
        lease_batch_forget(d->locks->filling, name);
}

void lock_core_take_results(struct core *d)
{
    if (d->locks->log_writer)
        take_results(d);
}

int64_t lock_core_store(struct core *d)
{
    struct lock_core *k = d->locks;
    bool has_new_value;

    if (!k->log_writer) {
        while (lease_take_unstored(k->table, &has_new_value))
            ;
        return -1;
    }
    if (!is_writing(k))
        hand_over(d);
    return judge_slowness(d);
}

void lock_core_pack_status(struct core *d, struct msgpack_packer *pk)
{
    const struct lock_core *k = d->locks;
    bool is_behind = k->log_writer && is_writing(k);

    pack_key(pk, "locks");
    msgpack_pack_map(pk, k->log_writer ? 7 : 6);
    pack_kv_text(pk, "kind", k->log_writer ? SPAN("sqlite") : SPAN("memory"));
    pack_kv_bool(pk, "durable", lock_core_is_durable(d));
    pack_kv_text(pk, "reason", span_of(lock_core_reason(d)));
    pack_kv_u(pk, "count", lease_count(k->table));
    pack_kv_u(pk, "held", lease_count_held(k->table));
    pack_kv_u(pk, "waiting", lease_count_places(k->table));
    if (k->log_writer)
        pack_kv_u(pk, "behind_us",
                  is_behind ? (uint64_t)(d->time.awake - k->handed_at) * 1000 : 0);
}

/* --- end --------------------------------------------------------------------------------------- */

bool lock_core_close(struct core *d, int64_t deadline_ms)
{
    struct lock_core *k = d->locks;
    struct pollfd p;
    bool is_stored;

    if (!k->log_writer || k->is_closed)
        return true;
    k->is_closed = true;
    p = (struct pollfd){.fd = lock_writer_fd(k->log_writer), .events = POLLIN};
    lock_core_stop(d);
    for (;;) {
        int64_t now = clock_mono_ms();

        take_results(d);
        if (!is_writing(k))
            hand_over(d);
        if (now >= deadline_ms || !is_writing(k))
            break;
        poll(&p, 1, (int)(deadline_ms - now));
    }
    is_stored = !is_writing(k);
    lock_writer_stop(k->log_writer, deadline_ms);
    if (!is_stored)
        log_warning("Not all changes of locks are stored: what was not answered may "
                    "not have happened");
    return is_stored;
}

void lock_core_free_store(struct lock_core *k)
{
    lock_writer_free(k->log_writer);
    lease_batch_free(k->filling);
    lease_batch_free(k->spare);
}
