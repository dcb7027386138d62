#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "broker/locks/lease.h"
#include "tests/unit/broker/locks/lease_fixture.h"
#include "tests/unit/dice.h"

#define LENGTH(array) (sizeof(array) / sizeof(array)[0])

#define NAMES 4
#define OWNERS 6
#define TURNS 60000

struct model_place {
    int owner;
    int64_t requested_awake, told_at; /* told_at 0: nobody waits */
};

static struct model {
    bool is_there;
    enum lease_state state;
    enum lease_end ended;
    int owner;
    uint64_t token, version;
    int64_t ttl, delay, until;
    struct model_place line[OWNERS];
    int waiters;
} models[NAMES];
static uint64_t model_token;
static bool model_may_grant;

static const char *const names[NAMES] = {"a", "ab", "b", "B"};
static const char *const owners[OWNERS] = {"o0", "o1", "o2", "o3", "o4", "o5"};

static int index_of(const char *const *list, const char *text)
{
    int i = 0;

    while (strcmp(list[i], text) != 0)
        i++;
    return i;
}

static void model_leave(struct model *m, int at)
{
    m->waiters--;
    memmove(m->line + at, m->line + at + 1, (size_t)(m->waiters - at) * sizeof *m->line);
}

static int model_place(const struct model *m, int owner)
{
    for (int i = 0; i < m->waiters; i++)
        if (m->line[i].owner == owner)
            return i;
    return -1;
}

static void model_grant(struct model *m, int owner, const struct lease *l)
{
    m->is_there = true;
    m->state = LEASE_HELD;
    m->ended = LEASE_RUNS;
    m->owner = owner;
    assert_true(l->token > model_token);
    m->token = model_token = l->token;
    m->ttl = l->ttl_ms;
    m->delay = l->delay_ms;
    m->until = now + m->ttl + 1;
}

static void model_end(struct model *m, int64_t since, enum lease_end why)
{
    m->ended = why;
    m->until = since + m->delay;
    m->state = m->until > now ? LEASE_CLOSED : LEASE_FREE;
}

static bool model_is_ready(const struct model *m)
{
    return model_may_grant && m->state == LEASE_FREE && m->waiters && m->line[0].told_at;
}

/* Check that an event of the table was due in the model. */
static void model_take(const struct lease_event *e)
{
    struct model *m =
        &models[index_of(names, e->kind == LEASE_EVENT_FORGOTTEN ? e->name : e->lease->name)];
    int at = *e->owner ? model_place(m, index_of(owners, e->owner)) : -1;

    assert_true(m->is_there);
    switch (e->kind) {
    case LEASE_EVENT_GRANTED:
        assert_true(model_is_ready(m) && at == 0 && e->place == 1);
        assert_string_equal(e->lease->owner, e->owner);
        model_grant(m, m->line[0].owner, e->lease);
        model_leave(m, 0);
        break;
    case LEASE_EVENT_WAIT_OVER:
        assert_true(at >= 0 && e->place == (size_t)at + 1 && m->line[at].told_at &&
                    m->line[at].told_at <= now);
        m->line[at].told_at = 0;
        break;
    case LEASE_EVENT_DROPPED:
        assert_true(at >= 0 && awake - m->line[at].requested_awake >= LEASE_PLACE_MS);
        model_leave(m, at);
        break;
    case LEASE_EVENT_EXPIRED:
        assert_true(m->state == LEASE_HELD && m->until <= now);
        model_end(m, m->until, LEASE_EXPIRED);
        break;
    case LEASE_EVENT_OPENED:
        assert_true(m->state == LEASE_CLOSED && m->until <= now);
        m->state = LEASE_FREE;
        break;
    case LEASE_EVENT_FORGOTTEN:
        assert_true(m->state == LEASE_FREE && !m->waiters && !m->version);
        *m = (struct model){0};
        break;
    }
}

static void check_model(void)
{
    size_t held = 0, places = 0, count = 0;

    for (int i = 0; i < NAMES; i++) {
        struct model *m = &models[i];
        struct lease *l = lease_find(table, span_of(names[i]));
        const char *line[OWNERS];

        assert_int_equal(m->is_there, l != NULL);
        if (!l)
            continue;
        assert_int_equal(m->state, l->state);
        assert_int_equal(m->ended, l->ended);
        assert_int_equal(m->token, l->token);
        assert_int_equal(m->version, l->version);
        assert_string_equal(owners[m->owner], l->owner);
        assert_int_equal(m->waiters, lease_waiters(l));
        assert_int_equal(m->waiters, lease_waiting(l, line, OWNERS));
        for (int k = 0; k < m->waiters; k++) {
            assert_string_equal(line[k], owners[m->line[k].owner]);
            assert_true(awake - m->line[k].requested_awake < LEASE_PLACE_MS);
            assert_false(m->line[k].told_at && m->line[k].told_at <= now);
        }
        assert_false(model_is_ready(m));
        if (m->state != LEASE_FREE)
            assert_true(m->until > now);
        held += m->state == LEASE_HELD;
        places += (size_t)m->waiters;
        count++;
    }
    assert_int_equal(held, lease_count_held(table));
    assert_int_equal(places, lease_count_places(table));
    assert_int_equal(count, lease_count(table));
    for (size_t i = 1; i < count; i++)
        assert_true(strcmp(lease_at(table, i - 1)->name, lease_at(table, i)->name) < 0);
}

static void model_happen(void)
{
    struct lease_event e;

    while (lease_next(table, now, awake, &e))
        model_take(&e);
    assert_true(lease_wait(table, now, awake) != 0);
    check_model();
}

static void try_lock(struct model *m, int name, int owner)
{
    int place = model_place(m, owner);
    struct lease_request q = request_of(names[name], owners[owner], 1000 + dice(3) * 1000);
    bool is_holder = m->state == LEASE_HELD && m->owner == owner && m->is_there,
         is_next = !m->waiters || place == 0,
         could = !m->is_there || (m->state == LEASE_FREE && is_next);
    struct lease_answer a;
    enum err e;

    q.delay_ms = dice(2) * 700;
    q.wait_ms = dice(2) * dice(15000);
    q.is_to_keep = dice(2);
    e = lease_acquire(table, &q, now, awake, &a);
    if (is_holder) {
        bool is_same = m->ttl == (int64_t)q.ttl_ms && m->delay == (int64_t)q.delay_ms;

        assert_int_equal(e, is_same || model_may_grant ? OK : ERR_AGAIN);
        assert_false(a.is_new);
        if (e)
            return;
        m->ttl = (int64_t)q.ttl_ms;
        m->delay = (int64_t)q.delay_ms;
        m->until = now + m->ttl + 1;
    } else if (could && model_may_grant) {
        assert_int_equal(e, OK);
        assert_true(a.is_new);
        if (place == 0)
            model_leave(m, 0);
        model_grant(m, owner, a.lease);
    } else if (!m->is_there) {
        assert_int_equal(e, ERR_AGAIN);
    } else {
        if (place >= 0 || q.wait_ms || q.is_to_keep) {
            int64_t wait = (int64_t)(q.wait_ms < 10000 ? q.wait_ms : 10000);

            if (place < 0)
                place = m->waiters++;
            m->line[place] = (struct model_place){owner, awake, wait ? now + wait : 0};
            assert_int_equal(a.is_waiting, wait > 0);
        } else {
            place = m->waiters;
            assert_false(a.is_waiting);
        }
        assert_int_equal(a.place, place + 1);
        assert_int_equal(e, could && !a.is_waiting ? ERR_AGAIN : ERR_HELD);
    }
}

static void try_grant_op(struct model *m, struct lease *l, int owner)
{
    bool is_current = m->state == LEASE_HELD && m->owner == owner;
    uint64_t token = dice(4) ? m->token : m->token - dice(3);
    struct span name_of_owner = span_of(owners[owner]);
    uint64_t ttl = dice(2) * 1500;

    is_current &= token == m->token;
    switch (dice(4)) {
    case 0:
        assert_int_equal(lease_renew(table, l, name_of_owner, token, ttl, now),
                         is_current ? OK : ERR_STALE);
        if (is_current)
            m->until = now + (ttl && (int64_t)ttl < m->ttl ? (int64_t)ttl : m->ttl) + 1;
        break;
    case 1:
        if (m->ended == LEASE_RELEASED && m->owner == owner && token == m->token)
            is_current = true;
        assert_int_equal(lease_release(table, l, name_of_owner, token, now),
                         is_current ? OK : ERR_STALE);
        if (is_current && m->state == LEASE_HELD) {
            m->state = LEASE_FREE;
            m->ended = LEASE_RELEASED;
        }
        break;
    case 2:
        assert_int_equal(lease_put(table, l, name_of_owner, token, SPAN("value")),
                         is_current ? OK : ERR_STALE);
        m->version += is_current;
        break;
    case 3:
        is_current = token == m->token && (m->state == LEASE_HELD || m->ended == LEASE_BROKEN);
        if (dice(4))
            return; /* less often than the other actions */
        assert_int_equal(lease_break(table, l, token, now), is_current ? OK : ERR_STALE);
        if (is_current && m->state == LEASE_HELD)
            model_end(m, now, LEASE_BROKEN);
        break;
    }
}

static void try_something(void)
{
    int name = (int)dice(NAMES), owner = (int)dice(OWNERS), place;
    struct model *m = &models[name];
    struct lease *l = lease_find(table, span_of(names[name]));

    if (!l || dice(2)) {
        try_lock(m, name, owner);
    } else if (dice(8) == 0) {
        place = model_place(m, owner);
        assert_int_equal(lease_cancel(table, l, span_of(owners[owner]), now), place >= 0);
        if (place >= 0)
            model_leave(m, place);
    } else {
        try_grant_op(m, l, dice(3) ? m->owner : owner);
    }
}

static void random_operations_agree_with_a_naive_model(void **state)
{
    bool has_value;

    (void)state;
    dice_seed();
    memset(models, 0, sizeof models);
    model_token = FLOOR;
    model_may_grant = true;
    for (int i = 0; i < TURNS; i++) {
        static const unsigned steps[] = {0, 1, 50, 300, 1000, 3000, 11000};
        int64_t step = dice(steps[dice(LENGTH(steps))] + 1);

        if (dice(2000) == 0)
            step = LEASE_FORGET_MS;
        now += step;
        awake += dice(10) ? step : 0; /* a pause of the process */
        if (dice(50) == 0) {
            model_may_grant = !model_may_grant;
            lease_allow_grants(table, model_may_grant);
        }
        model_happen();
        try_something();
        if (dice(3) == 0)
            while (lease_take_unstored(table, &has_value))
                ;
    }
}

/* The heap returns deadlines in order, however they move. */
static void deadlines_come_in_order(void **state)
{
    struct due dues[200] = {0};
    struct due_heap heap = {0};

    (void)state;
    dice_seed();
    for (int i = 0; i < 20000; i++) {
        struct due *d = &dues[dice(LENGTH(dues))], *least = NULL;

        if (dice(3))
            due_set(&heap, d, dice(1000));
        else
            due_unset(&heap, d);
        for (size_t k = 0; k < LENGTH(dues); k++)
            if (dues[k].slot && (!least || dues[k].at < least->at))
                least = &dues[k];
        d = due_first(&heap);
        assert_int_equal(!d, !least);
        if (d)
            assert_int_equal(d->at, least->at);
    }
    due_free(&heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        T(random_operations_agree_with_a_naive_model),
        T(deadlines_come_in_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
