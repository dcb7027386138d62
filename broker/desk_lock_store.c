/* desk_lock_store: brings changes of locks into their file, and back at start. */
#include <assert.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/desk_lock_private.h"
#include "shared/clock.h"
#include "shared/log.h"
#include "shared/mem.h"
#include "shared/pack.h"

#define SLOW_MS 2000 /* a disk that does not answer for so long counts as failing */

static_assert(DESK_LOCK_BACK_MAX < LEASE_STORE_RESERVE / 2,
              "a token must be reserved before it can be given");

/* --- start ------------------------------------------------------------------------------ */

static bool restore(void *ctx, const struct lease_stored *l)
{
    struct desk *d = ctx;

    return !lease_restore(d->locks->table, l, d->time.now);
}

enum err desk_lock_open(struct desk *d, const char *path, char error[STORE_ERROR_MAX])
{
    struct desk_locks *k = d->locks;
    uint64_t wall_us = (uint64_t)d->time.wall_us;
    enum err e = lease_keeper_open(path, wall_us, &k->keeper, &k->token_floor, error);

    if (e)
        return e;
    lease_set_floor(k->table, k->token_floor);
    k->token_floor += LEASE_STORE_RESERVE;
    e = lease_store_each(lease_keeper_store(k->keeper), wall_us, restore, d, error);
    if (!e)
        e = lease_keeper_start(k->keeper, error);
    if (e)
        return e;
    k->stored = 0;
    k->filling = lease_batch_new();
    if (lease_count(k->table))
        log_info("The file of locks has %zu, %zu of them held: each runs for its whole "
                 "time anew",
                 lease_count(k->table), lease_count_held(k->table));
    return OK;
}

int desk_lock_fd(const struct desk *d)
{
    return lease_keeper_fd(d->locks->keeper);
}

/* --- running ------------------------------------------------------------------------------- */

bool desk_lock_is_durable(const struct desk *d)
{
    return d->locks->keeper && !d->locks->reason[0];
}

const char *desk_lock_reason(const struct desk *d)
{
    return d->locks->keeper ? d->locks->reason
                            : "STORE is memory: locks end with the broker";
}

static void fail(struct desk *d, const char *text)
{
    struct desk_locks *k = d->locks;

    if (!k->reason[0])
        log_error("Locks are not stored: %s; renewals go on, nothing new is granted",
                  text);
    snprintf(k->reason, sizeof k->reason, "%s", text);
    desk_lock_judge(d);
    desk_lock_tell_failed(d);
}

static void on_written(struct desk *d, struct lease_batch *b)
{
    struct desk_locks *k = d->locks;

    k->stored = b->change;
    lease_batch_clear(b);
    k->spare = b;
    if (k->reason[0])
        log_info("Locks are stored again");
    k->reason[0] = '\0';
    desk_lock_tell_stored(d);
    desk_lock_judge(d);
}

static void take_results(struct desk *d)
{
    struct desk_locks *k = d->locks;
    struct lease_keeper_result r;

    while (lease_keeper_take(k->keeper, &r)) {
        if (r.event == LEASE_KEEPER_WRITTEN)
            on_written(d, r.batch);
        else
            fail(d, r.text);
    }
}

static bool is_writing(const struct desk_locks *k)
{
    return !lease_keeper_can_write(k->keeper);
}

/* ms until a write under way counts as failing; -1: none is, or it does already. */
static int64_t judge_slowness(struct desk *d)
{
    struct desk_locks *k = d->locks;
    int64_t left = k->handed_at + SLOW_MS - d->time.awake;

    if (!is_writing(k) || k->reason[0])
        return -1;
    if (left > 0)
        return left;
    fail(d, "the disk has not answered for 2 s");
    return -1;
}

static void hand_over(struct desk *d)
{
    struct desk_locks *k = d->locks;
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
    lease_keeper_write(k->keeper, b);
}

void desk_lock_forget(struct desk *d, const char *name)
{
    if (d->locks->keeper)
        lease_batch_forget(d->locks->filling, name);
}

void desk_lock_take_results(struct desk *d)
{
    if (d->locks->keeper)
        take_results(d);
}

int64_t desk_lock_store(struct desk *d)
{
    struct desk_locks *k = d->locks;
    bool has_new_value;

    if (!k->keeper) {
        while (lease_take_unstored(k->table, &has_new_value))
            ;
        return -1;
    }
    if (!is_writing(k))
        hand_over(d);
    return judge_slowness(d);
}

void desk_lock_pack_status(struct desk *d, struct msgpack_packer *pk)
{
    const struct desk_locks *k = d->locks;
    bool is_behind = k->keeper && is_writing(k);

    pack_key(pk, "locks");
    msgpack_pack_map(pk, k->keeper ? 7 : 6);
    pack_kv_text(pk, "kind", k->keeper ? SPAN("sqlite") : SPAN("memory"));
    pack_kv_bool(pk, "durable", desk_lock_is_durable(d));
    pack_kv_text(pk, "reason", span_of(desk_lock_reason(d)));
    pack_kv_u(pk, "count", lease_count(k->table));
    pack_kv_u(pk, "held", lease_count_held(k->table));
    pack_kv_u(pk, "waiting", lease_count_places(k->table));
    if (k->keeper)
        pack_kv_u(pk, "behind_us",
                  is_behind ? (uint64_t)(d->time.awake - k->handed_at) * 1000 : 0);
}

/* --- end --------------------------------------------------------------------------------------- */

bool desk_lock_close(struct desk *d, int64_t deadline_ms)
{
    struct desk_locks *k = d->locks;
    struct pollfd p;
    bool is_stored;

    if (!k->keeper || k->is_closed)
        return true;
    k->is_closed = true;
    p = (struct pollfd){.fd = lease_keeper_fd(k->keeper), .events = POLLIN};
    desk_lock_stop(d);
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
    lease_keeper_stop(k->keeper, deadline_ms);
    if (!is_stored)
        log_warning("Not all changes of locks are stored: what was not answered may "
                    "not have happened");
    return is_stored;
}

void desk_lock_free_store(struct desk_locks *k)
{
    lease_keeper_free(k->keeper);
    lease_batch_free(k->filling);
    lease_batch_free(k->spare);
}
