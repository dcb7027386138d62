/*
 * lock_fixture: a connection_fixture whose program wants the lock `job`.  Include it after
 * <cmocka.h>, in one file of a program.
 */
#ifndef TESTS_UNIT_CONSUMER_LIB_LOCK_FIXTURE_H
#define TESTS_UNIT_CONSUMER_LIB_LOCK_FIXTURE_H

#include "tests/unit/consumer/lib/connection_fixture.h"

#define TTL 30000
#define GRANT "'token':3,'ttl_ms':30000"

static struct pregon_lock *lock;

static inline void on_held(void *ctx, struct pregon_lock *l, uint64_t token)
{
    assert_ptr_equal(ctx, &c);
    report("held %s under %llu", pregon_lock_name(l), (unsigned long long)token);
}

static inline void on_lost(void *ctx, struct pregon_lock *l, enum pregon_lost_reason reason)
{
    assert_ptr_equal(ctx, &c);
    report("lost %s: %s", pregon_lock_name(l), pregon_lost_reason_name(reason));
}

static inline void on_waiting(void *ctx, struct pregon_lock *l, const struct pregon_lock_wait *w)
{
    assert_ptr_equal(ctx, &c);
    report("waiting for %s: %s, %s; holder '%s' token %llu, place %u of %u, %lld ms, %lld ms",
           pregon_lock_name(l), w->reason, w->message, w->holder, (unsigned long long)w->token,
           w->place, w->waiters, (long long)w->expires_ms, (long long)w->closed_ms);
}

static inline struct pregon_lock_options all(void)
{
    struct pregon_lock_options o = PREGON_LOCK_OPTIONS;

    o.ctx = &c;
    o.owner = "us";
    o.on_held = on_held;
    o.on_lost = on_lost;
    o.on_waiting = on_waiting;
    return o;
}

static inline void open_job(const struct pregon_lock_options *o)
{
    struct pregon_options none = PREGON_OPTIONS;

    open_greeted(none);
    assert_int_equal(pregon_lock_open(c.p, "job", o, &lock), PREGON_OK);
}

/* The program holds `job` under the token 3; the lease began when the clock stood at the result. */
static inline int64_t hold_job(void)
{
    struct pregon_lock_options o = all();

    open_job(&o);
    answers(receives("lock"), GRANT);
    until(is_reported("held"));
    assert_reported("held job under 3\n");
    return boot_ms;
}

/* An answer: another owner holds it. */
#define HELD                                                                           \
    "'error':'held','message':'Wait.','owner':'them','token':2,'place':1,'waiters':4," \
    "'expires_ms':900"

#endif
