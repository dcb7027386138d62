/* Both sides of each bound of leases, and all that an event carries. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/locks/lease.h"
#include "tests/unit/broker/locks/lease_fixture.h"

static void pass(int64_t ms)
{
    now += ms;
    awake += ms;
}

static enum err acquire(struct lease_request q, struct lease_answer *a)
{
    return lease_acquire(table, &q, now, awake, a);
}

static struct lease *granted(const char *name, const char *owner, uint64_t ttl_ms)
{
    struct lease_answer a;

    assert_int_equal(acquire(request_of(name, owner, ttl_ms), &a), OK);
    assert_true(a.is_new);
    return a.lease;
}

/* An owner waits for a lock that is held; its place. */
static size_t waits(const char *name, const char *owner, uint64_t wait_ms)
{
    struct lease_request q = request_of(name, owner, 1000);
    struct lease_answer a;

    q.wait_ms = wait_ms;
    assert_int_equal(acquire(q, &a), ERR_HELD);
    assert_true(a.is_waiting);
    return a.place;
}

static void stored(void)
{
    bool has_value;

    while (lease_take_unstored(table, &has_value))
        ;
    lease_set_stored(table, lease_last_change(table));
}

static void released(struct lease *l, const char *owner)
{
    assert_int_equal(lease_release(table, l, span_of(owner), l->token, now), OK);
}

/* The next event, which must be of that kind. */
static struct lease_event next(enum lease_event_kind kind)
{
    struct lease_event e;

    assert_true(lease_next(table, now, awake, &e));
    assert_int_equal(e.kind, kind);
    return e;
}

static void nothing_happens(void)
{
    struct lease_event e;

    assert_false(lease_next(table, now, awake, &e));
}

static int64_t wait_now(void)
{
    return lease_wait(table, now, awake);
}

/* --- requests ----------------------------------------------------------------------------- */

static void a_grant_has_all_that_was_requested(void **state)
{
    struct lease_request q = request_of("a", "x", 600000);
    struct lease_answer a;

    (void)state;
    q.host = SPAN("web1");
    q.pid = 4711;
    q.delay_ms = 600000;
    assert_int_equal(acquire(q, &a), OK);
    assert_int_equal(a.lease->token, FLOOR + 1);
    assert_string_equal(a.lease->name, "a");
    assert_string_equal(a.lease->owner, "x");
    assert_string_equal(a.lease->host, "web1");
    assert_int_equal(a.lease->pid, 4711);
    assert_int_equal(a.lease->ttl_ms, 600000);
    assert_int_equal(a.lease->delay_ms, 600000);
    assert_int_equal(a.lease->granted_at, now);
    assert_int_equal(a.lease->ended, LEASE_RUNS);
    assert_int_equal(lease_expires_ms(a.lease, now), 600000);
    assert_int_equal(lease_closed_ms(a.lease, now), 0);
    assert_int_equal(lease_count_held(table), 1);
    lease_set_floor(table, 9000);
    assert_int_equal(lease_last_token(table), 9000);
    assert_int_equal(granted("b", "x", 1000)->token, 9001);
}

static void a_request_is_refused_beyond_each_bound_with_the_reason(void **state)
{
    static const char peer[LEASE_PEER_MAX + 1] = "p";
    const struct {
        struct lease_request request;
        const char *why;
    } rows[] = {
        {{.name = SPAN("a b"), .owner = SPAN("x"), .ttl_ms = 1000}, "name must"},
        {{.name = SPAN("a"), .owner = SPAN("x y"), .ttl_ms = 1000}, "owner must"},
        {{.name = SPAN("a"), .owner = SPAN("x"), .ttl_ms = 999}, "ttl_ms must"},
        {{.name = SPAN("a"), .owner = SPAN("x"), .ttl_ms = 600001}, "ttl_ms must"},
        {{.name = SPAN("a"), .owner = SPAN("x"), .ttl_ms = 1000, .delay_ms = 600001},
         "delay_ms must"},
        {{.name = SPAN("a"),
          .owner = SPAN("x"),
          .ttl_ms = 1000,
          .peer = {peer, LEASE_PEER_MAX + 1}},
         "peer identity"},
    };
    struct lease_request q = request_of("a", "x", 1000);
    struct lease_answer a;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(acquire(rows[i].request, &a), ERR_INVALID);
        assert_ptr_equal(strstr(a.why, rows[i].why), a.why);
    }
    assert_int_equal(lease_count(table), 0);
    q.peer = (struct span){peer, LEASE_PEER_MAX};
    assert_int_equal(acquire(q, &a), OK);
    assert_null(a.why);
}

static void a_renewal_is_as_long_as_it_asks_for_up_to_the_grant(void **state)
{
    static const uint64_t rows[][2] = {
        {0, 5000}, {1000, 1000}, {4999, 4999}, {5000, 5000}, {5001, 5000}};
    struct lease *l = granted("a", "x", 5000);

    (void)state;
    stored();
    assert_int_equal(lease_renew(table, l, SPAN("x"), l->token, 999, now), ERR_INVALID);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        pass(10);
        assert_int_equal(lease_renew(table, l, SPAN("x"), l->token, rows[i][0], now), OK);
        assert_int_equal(lease_expires_ms(l, now), rows[i][1]);
    }
    assert_int_equal(lease_renew(table, l, SPAN("y"), l->token, 0, now), ERR_STALE);
    assert_int_equal(lease_renew(table, l, SPAN("x"), l->token + 1, 0, now), ERR_STALE);
    released(l, "x");
    assert_int_equal(lease_renew(table, l, SPAN("x"), l->token, 0, now), ERR_STALE);
}

static void what_is_surely_stored_stays_so_while_a_value_is_being_stored(void **state)
{
    struct lease *l = granted("a", "x", 1000);
    struct lease_request longer = request_of("a", "x", 60000);
    struct lease_answer a;

    (void)state;
    stored();
    assert_int_equal(acquire(longer, &a), OK);
    stored();
    assert_int_equal(lease_put(table, l, SPAN("x"), l->token, SPAN("v")), OK);
    assert_int_equal(lease_renew(table, l, SPAN("x"), l->token, 0, now), OK);
    assert_int_equal(lease_expires_ms(l, now), 60000);
}

static void a_value_is_put_with_the_current_grant_up_to_its_size(void **state)
{
    struct lease *l = granted("a", "x", 5000);
    struct span most = {calloc(1, LOCK_VALUE_MAX + 1), LOCK_VALUE_MAX};
    struct span beyond = {most.at, LOCK_VALUE_MAX + 1};

    (void)state;
    assert_int_equal(lease_put(table, l, SPAN("y"), l->token, SPAN("v")), ERR_STALE);
    assert_int_equal(lease_put(table, l, SPAN("x"), l->token - 1, SPAN("v")), ERR_STALE);
    assert_int_equal(lease_put(table, l, SPAN("x"), l->token, beyond), ERR_TOO_LARGE);
    assert_int_equal(l->version, 0);
    assert_int_equal(lease_put(table, l, SPAN("x"), l->token, most), OK);
    assert_int_equal(l->value.len, LOCK_VALUE_MAX);
    assert_int_equal(lease_put(table, l, SPAN("x"), l->token, SPAN("")), OK);
    assert_int_equal(l->value.len, 0);
    assert_int_equal(l->version, 2);
    assert_int_equal(l->value_token, l->token);
    free((char *)most.at);
}

static void a_break_needs_the_token_of_a_grant_that_runs(void **state)
{
    struct lease_request q = request_of("a", "x", 5000);
    struct lease_answer a;
    uint64_t change;

    (void)state;
    q.delay_ms = 100;
    assert_int_equal(acquire(q, &a), OK);
    assert_int_equal(lease_break(table, a.lease, a.lease->token + 1, now), ERR_STALE);
    pass(10);
    assert_int_equal(lease_break(table, a.lease, a.lease->token, now), OK);
    change = a.lease->change;
    assert_int_equal(a.lease->state, LEASE_CLOSED);
    assert_int_equal(lease_count_held(table), 0);
    assert_int_equal(lease_closed_ms(a.lease, now), 100);
    assert_int_equal(lease_expires_ms(a.lease, now), 0);
    assert_string_equal(a.lease->lost.owner, "x");
    assert_int_equal(a.lease->lost.token, a.lease->token);
    assert_int_equal(a.lease->lost.at, now);
    assert_int_equal(a.lease->lost.reason, LEASE_BROKEN);
    pass(99);
    assert_int_equal(lease_closed_ms(a.lease, now), 1);
    nothing_happens();
    assert_int_equal(lease_break(table, a.lease, a.lease->token, now), OK);
    assert_int_equal(a.lease->change, change); /* the same request again changes nothing */
    pass(1);
    assert_int_equal(lease_closed_ms(a.lease, now), 0);
    next(LEASE_EVENT_OPENED);
    assert_int_equal(lease_break(table, a.lease, a.lease->token, now), OK);
    assert_int_equal(lease_release(table, a.lease, SPAN("x"), a.lease->token, now), ERR_STALE);
    q = request_of("b", "x", 5000);
    assert_int_equal(acquire(q, &a), OK);
    released(a.lease, "x");
    assert_int_equal(lease_release(table, a.lease, SPAN("y"), a.lease->token, now), ERR_STALE);
    assert_int_equal(lease_break(table, a.lease, a.lease->token, now), ERR_STALE);
    assert_int_equal(lease_ended(a.lease, a.lease->token), LEASE_RELEASED);
    assert_int_equal(lease_ended(a.lease, a.lease->token - 1), LEASE_TAKEN);
}

/* --- lines -------------------------------------------------------------------------------- */

static void a_grant_to_the_first_in_line_says_all_of_its_request(void **state)
{
    struct lease *l = granted("a", "x", 5000);
    struct lease_request q = request_of("a", "y", 2000);
    struct lease_answer a;
    struct lease_event e;

    (void)state;
    q.host = SPAN("web2");
    q.pid = 12;
    q.delay_ms = 300;
    q.wait_ms = 5000;
    q.id = 99;
    assert_int_equal(acquire(q, &a), ERR_HELD);
    assert_false(a.is_new);
    pass(700);
    released(l, "x");
    assert_int_equal(wait_now(), 0);
    e = next(LEASE_EVENT_GRANTED);
    assert_ptr_equal(e.lease, l);
    assert_int_equal(e.place, 1);
    assert_int_equal(e.waited_ms, 700);
    assert_string_equal(e.owner, "y");
    assert_int_equal(e.reply_to.id, 99);
    assert_int_equal(e.reply_to.peer_len, 4);
    assert_memory_equal(e.reply_to.peer, "peer", 4);
    assert_string_equal(l->owner, "y");
    assert_string_equal(l->host, "web2");
    assert_int_equal(l->pid, 12);
    assert_int_equal(l->ttl_ms, 2000);
    assert_int_equal(l->delay_ms, 300);
    assert_int_equal(lease_waiters(l), 0);
    assert_int_equal(lease_count_places(table), 0);
    nothing_happens();
}

static void a_wait_ends_on_time_and_the_place_stays_until_its_own(void **state)
{
    struct lease *l = granted("a", "x", 600000);
    struct lease_event e;

    (void)state;
    assert_int_equal(waits("a", "y", 2000), 1);
    assert_int_equal(waits("a", "z", LEASE_PLACE_MS + 5000), 2); /* counts as LEASE_PLACE_MS */
    assert_int_equal(wait_now(), 2000);
    pass(1999);
    assert_int_equal(wait_now(), 1);
    nothing_happens();
    pass(1);
    e = next(LEASE_EVENT_WAIT_OVER);
    assert_string_equal(e.owner, "y");
    assert_int_equal(e.reply_to.peer_len, 4);
    assert_int_equal(e.place, 1);
    assert_int_equal(e.waited_ms, 2000);
    nothing_happens();
    pass(LEASE_PLACE_MS - 2000);
    e = next(LEASE_EVENT_WAIT_OVER);
    assert_string_equal(e.owner, "z");
    assert_int_equal(e.place, 2);
    e = next(LEASE_EVENT_DROPPED);
    assert_string_equal(e.owner, "y");
    assert_int_equal(e.reply_to.peer_len, 0); /* its request has been answered */
    assert_int_equal(e.place, 1);
    assert_ptr_equal(e.lease, l);
    e = next(LEASE_EVENT_DROPPED);
    assert_string_equal(e.owner, "z");
    nothing_happens();
    assert_int_equal(lease_count_places(table), 0);
}

static void a_place_is_known_by_its_owner_and_given_up_once(void **state)
{
    const char *owners[3] = {NULL};
    struct lease *l = granted("a", "x", 600000);
    struct lease_request q = request_of("a", "w", 1000);
    struct lease_answer a;

    (void)state;
    assert_int_equal(acquire(q, &a), ERR_HELD); /* neither waiting nor keeping a place */
    assert_int_equal(a.place, 1);
    assert_false(a.is_waiting);
    assert_int_equal(lease_waiters(l), 0);
    waits("a", "y", 2000);
    waits("a", "z", 2000);
    waits("a", "w", 2000);
    assert_int_equal(lease_waiting(l, owners, 2), 2);
    assert_string_equal(owners[0], "y");
    assert_string_equal(owners[1], "z");
    assert_null(owners[2]);
    assert_false(lease_cancel(table, l, SPAN("x"), now));
    assert_true(lease_cancel(table, l, SPAN("y"), now));
    assert_false(lease_cancel(table, l, SPAN("y"), now));
    assert_int_equal(lease_waiting(l, owners, 3), 2);
    assert_string_equal(owners[0], "z");
    assert_int_equal(lease_count_places(table), 2);
}

static void the_lines_of_all_locks_are_bounded(void **state)
{
    struct lease_request q;
    struct lease_answer a;
    char name[16], owner[16];
    size_t locks = LEASE_PLACES_MAX / LEASE_LINE_MAX;

    (void)state;
    lease_table_free(table);
    make_table(locks + 1);
    for (size_t i = 0; i < locks; i++) {
        snprintf(name, sizeof name, "n%zu", i);
        granted(name, "x", 600000);
        for (size_t k = 0; k < LEASE_LINE_MAX; k++) {
            snprintf(owner, sizeof owner, "w%zu", k);
            waits(name, owner, 1000);
        }
    }
    granted("more", "x", 600000);
    q = request_of("more", "y", 1000);
    q.is_to_keep = true;
    assert_int_equal(acquire(q, &a), ERR_FULL);
    assert_string_equal(a.why, "the lines of all locks are full");
    assert_true(lease_cancel(table, lease_find(table, SPAN("n0")), SPAN("w5"), now));
    assert_int_equal(acquire(q, &a), ERR_HELD);
    assert_int_equal(acquire(q, &a), ERR_HELD); /* it has its place already */
    q = request_of("n1", "one-more", 1000);
    q.is_to_keep = true;
    assert_int_equal(acquire(q, &a), ERR_FULL);
    assert_string_equal(a.why, "the line of this lock is full");
}

/* --- names and times ---------------------------------------------------------------------- */

static void a_table_says_when_something_is_due(void **state)
{
    struct lease *l;

    (void)state;
    assert_int_equal(wait_now(), -1);
    l = granted("a", "x", 1000);
    assert_int_equal(wait_now(), 1001);
    pass(1001);
    assert_int_equal(wait_now(), 0);
    pass(500); /* the process was late */
    assert_int_equal(wait_now(), 0);
    next(LEASE_EVENT_EXPIRED);
    assert_int_equal(l->lost.at, now - 500);
    assert_int_equal(l->state, LEASE_FREE); /* without a delay */
    assert_int_equal(wait_now(), -1);       /* it is to be stored first */
    stored();
    assert_int_equal(wait_now(), LEASE_FORGET_MS);
    pass(LEASE_FORGET_MS - 1);
    assert_int_equal(wait_now(), 1);
    nothing_happens();
    pass(1);
    assert_int_equal(wait_now(), 0);
    assert_string_equal(next(LEASE_EVENT_FORGOTTEN).name, "a");
    assert_int_equal(wait_now(), -1);
    granted("b", "x", 600000);
    waits("b", "y", LEASE_PLACE_MS);
    pass(10);
    assert_int_equal(wait_now(), LEASE_PLACE_MS - 10);
    now += LEASE_PLACE_MS; /* the process was stopped: the wait is over, the place is not */
    next(LEASE_EVENT_WAIT_OVER);
    nothing_happens();
    assert_int_equal(wait_now(), LEASE_PLACE_MS - 10);
}

static void a_lock_that_is_used_again_is_not_forgotten(void **state)
{
    struct lease *l = granted("a", "x", 1000);

    (void)state;
    released(l, "x");
    stored();
    pass(LEASE_FORGET_MS - 1);
    granted("a", "y", 1000);
    released(l, "y");
    stored();
    pass(LEASE_FORGET_MS - 1);
    nothing_happens();
    pass(1);
    next(LEASE_EVENT_FORGOTTEN);
}

static void the_names_stay_in_order_when_one_is_forgotten(void **state)
{
    static const char *const names[] = {"d", "b", "a", "c", "bb"};
    size_t first;

    (void)state;
    for (size_t i = 0; i < 5; i++)
        granted(names[i], "x", 600000);
    released(lease_find(table, SPAN("b")), "x");
    stored();
    pass(LEASE_FORGET_MS);
    while (lease_find(table, SPAN("b"))) {
        struct lease_event e;

        assert_true(lease_next(table, now, awake, &e));
    }
    assert_int_equal(lease_count(table), 4);
    assert_int_equal(lease_range(table, SPAN(""), &first), 4);
    assert_int_equal(first, 0);
    assert_string_equal(lease_at(table, 0)->name, "a");
    assert_string_equal(lease_at(table, 1)->name, "bb");
    assert_string_equal(lease_at(table, 2)->name, "c");
    assert_string_equal(lease_at(table, 3)->name, "d");
    assert_int_equal(lease_range(table, SPAN("b"), &first), 1);
    assert_int_equal(first, 1);
    assert_int_equal(lease_range(table, SPAN("bbb"), &first), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        T(a_grant_has_all_that_was_requested),
        T(a_request_is_refused_beyond_each_bound_with_the_reason),
        T(a_renewal_is_as_long_as_it_asks_for_up_to_the_grant),
        T(what_is_surely_stored_stays_so_while_a_value_is_being_stored),
        T(a_value_is_put_with_the_current_grant_up_to_its_size),
        T(a_break_needs_the_token_of_a_grant_that_runs),
        T(a_grant_to_the_first_in_line_says_all_of_its_request),
        T(a_wait_ends_on_time_and_the_place_stays_until_its_own),
        T(a_place_is_known_by_its_owner_and_given_up_once),
        T(the_lines_of_all_locks_are_bounded),
        T(a_table_says_when_something_is_due),
        T(a_lock_that_is_used_again_is_not_forgotten),
        T(the_names_stay_in_order_when_one_is_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
