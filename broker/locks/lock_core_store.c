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

static_assert(LOCK_CORE_UNSENT_MAX < LEASE_STORE_RESERVE / 2,
              "a token must be reserved before it can be given");

/* --- start -------------------------------------------------------------------------- */

static bool restore(void *ctx, const struct lease_stored *l)
{
    struct lock_core *k = ctx;

    return !lease_restore(k->table, l, k->time.now);
}

enum err lock_core_open(struct lock_core *k, const char *path, const struct turn_time *time,
                        char error[STORE_ERROR_MAX])
{
    uint64_t wall_us = (uint64_t)time->wall_us;
    enum err e = lock_writer_open(path, wall_us, &k->writer, &k->token_floor, error);

    k->time = *time;
    if (e)
        return e;
    lease_set_floor(k->table, k->token_floor);
    k->token_floor += LEASE_STORE_RESERVE;
    e = lease_store_each(lock_writer_store(k->writer), wall_us, restore, k, error);
    if (!e)
        e = lock_writer_start(k->writer, error);
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

int lock_core_fd(const struct lock_core *k)
{
    return lock_writer_fd(k->writer);
}

/* --- running ------------------------------------------------------------------------ */

const char *lock_core_reason(const struct lock_core *k)
{
    return k->writer ? k->reason : "STORE is memory: locks end with the broker";
}

static void fail(struct lock_core *k, const char *text)
{

    if (!k->reason[0])
        log_error("Locks are not stored: %s; renewals go on, nothing new is granted", text);
    snprintf(k->reason, sizeof k->reason, "%s", text);
    lock_core_judge(k);
    lock_core_send_failed(k);
}

static void on_written(struct lock_core *k, struct lease_batch *b)
{

    lease_set_stored(k->table, b->change);
    lease_batch_clear(b);
    k->spare = b;
    if (k->reason[0])
        log_info("Locks are stored again");
    k->reason[0] = '\0';
    lock_core_send_stored(k);
    lock_core_judge(k);
}

static void take_results(struct lock_core *k)
{
    struct lock_writer_result r;

    while (lock_writer_take(k->writer, &r)) {
        if (r.event == LOCK_WRITER_WRITTEN)
            on_written(k, r.batch);
        else
            fail(k, r.text);
    }
}

static bool is_writing(const struct lock_core *k)
{
    return !lock_writer_can_write(k->writer);
}

/*
 * ms until the write in progress counts as failing; -1: no write, or it already counts as failing.
 */
static int64_t judge_slowness(struct lock_core *k)
{
    int64_t left = k->handed_at + SLOW_MS - k->time.awake;

    if (!is_writing(k) || k->reason[0])
        return -1;
    if (left > 0)
        return left;
    fail(k, "the disk has not answered for 2 s");
    return -1;
}

static void hand_over(struct lock_core *k)
{
    struct lease_batch *b = k->filling;
    uint64_t token = lease_last_token(k->table);
    struct lease *l;
    bool has_new_value;

    while ((l = lease_take_unstored(k->table, &has_new_value)))
        lease_batch_add(b, l, has_new_value, k->time.now, (uint64_t)k->time.wall_us);
    if (lease_batch_is_empty(b))
        return;
    if (token + LEASE_STORE_RESERVE / 2 > k->token_floor)
        b->token_floor = k->token_floor = token + LEASE_STORE_RESERVE;
    b->change = lease_last_change(k->table);
    k->filling = k->spare ? k->spare : lease_batch_new();
    k->spare = NULL;
    k->handed_at = k->time.awake;
    lock_writer_write(k->writer, b);
}

void lock_core_forget(struct lock_core *k, const char *name)
{
    if (k->writer)
        lease_batch_forget(k->filling, name);
}

void lock_core_take_results(struct lock_core *k)
{
    if (k->writer)
        take_results(k);
}

int64_t lock_core_store(struct lock_core *k)
{
    bool has_new_value;

    if (!k->writer) {
        while (lease_take_unstored(k->table, &has_new_value))
            ;
        return -1;
    }
    if (!is_writing(k))
        hand_over(k);
    return judge_slowness(k);
}

void lock_core_pack_status(const struct lock_core *k, const struct turn_time *time,
                           msgpack_packer *pk)
{
    bool is_behind = k->writer && is_writing(k);

    pack_key(pk, "locks");
    msgpack_pack_map(pk, k->writer ? 7 : 6);
    pack_kv_text(pk, "kind", k->writer ? SPAN("sqlite") : SPAN("memory"));
    pack_kv_bool(pk, "durable", lock_core_is_durable(k));
    pack_kv_text(pk, "reason", span_of(lock_core_reason(k)));
    pack_kv_u(pk, "count", lease_count(k->table));
    pack_kv_u(pk, "held", lease_count_held(k->table));
    pack_kv_u(pk, "waiting", lease_count_places(k->table));
    if (k->writer)
        pack_kv_u(pk, "behind_us", is_behind ? (uint64_t)(time->awake - k->handed_at) * 1000 : 0);
}

/* --- end ---------------------------------------------------------------------------- */

void lock_core_stop(struct lock_core *k)
{
    k->is_stopping = true;
    lock_core_judge(k);
}

bool lock_core_close(struct lock_core *k, int64_t deadline_ms)
{
    struct pollfd p;
    bool is_stored;

    if (!k->writer || k->is_closed)
        return true;
    k->is_closed = true;
    p = (struct pollfd){.fd = lock_writer_fd(k->writer), .events = POLLIN};
    lock_core_stop(k);
    for (;;) {
        int64_t now = clock_mono_ms();

        take_results(k);
        if (!is_writing(k))
            hand_over(k);
        if (now >= deadline_ms || !is_writing(k))
            break;
        poll(&p, 1, (int)(deadline_ms - now));
    }
    is_stored = !is_writing(k);
    lock_writer_stop(k->writer, deadline_ms);
    if (!is_stored)
        log_warning("Not all changes of locks are stored: what was not answered may "
                    "not have happened");
    return is_stored;
}

void lock_core_free_store(struct lock_core *k)
{
    lock_writer_free(k->writer);
    lease_batch_free(k->filling);
    lease_batch_free(k->spare);
}
