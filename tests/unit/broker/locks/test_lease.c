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

/* Run all due events; returns their number, and in *l the last event of this kind. */
static size_t happen(enum lease_event_kind kind, struct lease_event *last)
{
    struct lease_event e;
    size_t count = 0;

    while (lease_next(table, now, awake, &e))
        if (e.kind == kind) {
            count++;
            if (last)
                *last = e;
        }
    return count;
}

static enum err acquire(const char *name, const char *owner, uint64_t wait_ms,
                        struct lease_answer *a)
{
    struct lease_request q = request_of(name, owner, 1000);

    q.wait_ms = wait_ms;
    return lease_acquire(table, &q, now, awake, a);
}

static struct lease *granted(const char *name, const char *owner)
{
    struct lease_answer a;

    assert_int_equal(acquire(name, owner, 0, &a), OK);
    return a.lease;
}

static void a_grant_never_ends_before_its_holder_counts(void **state)
{
    struct lease *l = granted("a", "x");

    (void)state;
    /* The clock is rounded down: `now` may be almost a millisecond before the request. */
    pass(1000);
    assert_int_equal(happen(LEASE_EVENT_EXPIRED, NULL), 0);
    assert_int_equal(l->state, LEASE_HELD);
    assert_int_equal(lease_expires_ms(l, now), 0);
    pass(1);
    assert_int_equal(happen(LEASE_EVENT_EXPIRED, NULL), 1);
    assert_int_equal(l->state, LEASE_FREE);
}

static void every_grant_has_a_token_above_all_before_whatever_the_lock(void **state)
{
    struct lease *a = granted("a", "x"), *b = granted("b", "x");
    uint64_t first = a->token, second = b->token;

    (void)state;
    assert_true(first > FLOOR && second > first);
    assert_int_equal(lease_release(table, a, SPAN("x"), first, now), OK);
    assert_true(granted("a", "x")->token > second);
    assert_int_equal(lease_last_token(table), a->token);
}

static void a_longer_time_of_the_same_grant_must_be_stored_and_a_renewal_not(void **state)
{
    struct lease_request q = request_of("a", "x", 1000);
    struct lease_answer a;
    bool has_value;
    struct lease *l = granted("a", "x");
    uint64_t change = l->change;

    (void)state;
    assert_int_equal(change, lease_last_change(table));
    assert_ptr_equal(lease_take_unstored(table, &has_value), l);
    assert_int_equal(lease_acquire(table, &q, now, awake, &a), OK);
    assert_int_equal(lease_renew(table, l, SPAN("x"), l->token, 0, now), OK);
    assert_int_equal(l->change, change);
    assert_null(lease_take_unstored(table, &has_value));
    q.ttl_ms = 2000;
    assert_int_equal(lease_acquire(table, &q, now, awake, &a), OK);
    assert_false(a.is_new);
    assert_true(l->change > change);
    assert_ptr_equal(lease_take_unstored(table, &has_value), l);
}

static void an_end_by_timeout_is_stored_and_no_answer_waits_for_it(void **state)
{
    bool has_value;
    struct lease *l = granted("a", "x");
    uint64_t change = l->change;

    (void)state;
    lease_take_unstored(table, &has_value);
    pass(1001);
    happen(LEASE_EVENT_EXPIRED, NULL);
    assert_int_equal(l->change, change);
    assert_ptr_equal(lease_take_unstored(table, &has_value), l);
    assert_false(has_value);
}

static void a_release_and_a_break_are_stored(void **state)
{
    bool has_value;
    struct lease *l = granted("a", "x");
    uint64_t change = l->change;

    (void)state;
    lease_take_unstored(table, &has_value);
    assert_int_equal(lease_break(table, l, l->token, now), OK);
    assert_true(l->change > change);
    assert_ptr_equal(lease_take_unstored(table, &has_value), l);
    l = granted("b", "x");
    change = l->change;
    lease_take_unstored(table, &has_value);
    assert_int_equal(lease_release(table, l, SPAN("x"), l->token, now), OK);
    assert_true(l->change > change);
    assert_ptr_equal(lease_take_unstored(table, &has_value), l);
}

static void a_new_value_is_stored_once(void **state)
{
    bool has_value;
    struct lease *l = granted("a", "x");

    (void)state;
    assert_int_equal(lease_put(table, l, SPAN("x"), l->token, SPAN("v")), OK);
    assert_ptr_equal(lease_take_unstored(table, &has_value), l);
    assert_true(has_value);
    assert_int_equal(lease_release(table, l, SPAN("x"), l->token, now), OK);
    assert_ptr_equal(lease_take_unstored(table, &has_value), l);
    assert_false(has_value);
    assert_null(lease_take_unstored(table, &has_value));
}

static void all_values_together_are_bounded(void **state)
{
    size_t count = LEASE_VALUES_MAX / LOCK_VALUE_MAX;
    char *value = calloc(1, LOCK_VALUE_MAX), name[16];
    struct span whole = {value, LOCK_VALUE_MAX};
    struct lease *l = NULL;

    (void)state;
    lease_table_free(table);
    make_table(count + 1);
    for (size_t i = 0; i < count; i++) {
        snprintf(name, sizeof name, "n%zu", i);
        l = granted(name, "x");
        assert_int_equal(lease_put(table, l, SPAN("x"), l->token, whole), OK);
    }
    assert_int_equal(lease_put(table, l, SPAN("x"), l->token, whole), OK);
    l = granted("one-more", "x");
    assert_int_equal(lease_put(table, l, SPAN("x"), l->token, SPAN("1")), ERR_FULL);
    whole.len--;
    l = lease_find(table, SPAN("n0"));
    assert_int_equal(lease_put(table, l, SPAN("x"), l->token, whole), OK);
    l = lease_find(table, SPAN("one-more"));
    assert_int_equal(lease_put(table, l, SPAN("x"), l->token, SPAN("1")), OK);
    free(value);
}

static void names_are_bounded_and_idle_ones_make_room(void **state)
{
    struct lease_answer a;
    struct lease_event e;
    bool has_value;
    struct lease *l;

    (void)state;
    lease_table_free(table);
    make_table(2);
    granted("a", "x");
    l = granted("b", "x");
    assert_int_equal(acquire("c", "x", 0, &a), ERR_FULL);
    assert_non_null(strstr(a.why, "LOCK_COUNT_MAX"));
    assert_int_equal(lease_release(table, l, SPAN("x"), l->token, now), OK);
    /* Not before the change is stored: its row is removed afterwards. */
    assert_int_equal(happen(LEASE_EVENT_FORGOTTEN, NULL), 0);
    while (lease_take_unstored(table, &has_value))
        ;
    assert_int_equal(lease_wait(table, now, awake), 0);
    assert_int_equal(happen(LEASE_EVENT_FORGOTTEN, &e), 1);
    assert_string_equal(e.name, "b");
    assert_int_equal(lease_count(table), 1);
    assert_int_equal(acquire("c", "x", 0, &a), OK);
}

static void a_renewal_lends_no_longer_time_than_is_stored(void **state)
{
    struct lease *l = granted("a", "x");
    struct lease_request longer = request_of("a", "x", 60000), shorter = request_of("a", "x", 5000);
    struct lease_answer a;

    (void)state;
    lease_set_stored(table, lease_last_change(table));
    assert_int_equal(lease_acquire(table, &longer, now, awake, &a), OK);
    assert_int_equal(lease_put(table, l, SPAN("x"), l->token, SPAN("v")), OK);
    assert_int_equal(lease_renew(table, l, SPAN("x"), l->token, 0, now), OK);
    assert_in_range(lease_expires_ms(l, now), 1000, 1001);
    assert_int_equal(lease_renew(table, l, SPAN("x"), l->token, 60000, now), OK);
    assert_in_range(lease_expires_ms(l, now), 1000, 1001);
    lease_set_stored(table, lease_last_change(table));
    assert_int_equal(lease_renew(table, l, SPAN("x"), l->token, 0, now), OK);
    assert_in_range(lease_expires_ms(l, now), 60000, 60001);
    /* Shorter, and then longer again: the file may have any of these times. */
    assert_int_equal(lease_acquire(table, &shorter, now, awake, &a), OK);
    assert_int_equal(lease_acquire(table, &longer, now, awake, &a), OK);
    assert_int_equal(lease_renew(table, l, SPAN("x"), l->token, 0, now), OK);
    assert_in_range(lease_expires_ms(l, now), 5000, 5001);
}

static void a_free_lock_is_forgotten_after_a_while_unless_it_has_a_value(void **state)
{
    struct lease *a = granted("a", "x"), *b = granted("b", "x");
    struct lease_event e;
    bool has_value;

    (void)state;
    assert_int_equal(lease_put(table, a, SPAN("x"), a->token, SPAN("")), OK);
    assert_int_equal(lease_release(table, a, SPAN("x"), a->token, now), OK);
    assert_int_equal(lease_release(table, b, SPAN("x"), b->token, now), OK);
    while (lease_take_unstored(table, &has_value))
        ;
    pass(LEASE_FORGET_MS - 1);
    assert_int_equal(happen(LEASE_EVENT_FORGOTTEN, NULL), 0);
    pass(1);
    assert_int_equal(happen(LEASE_EVENT_FORGOTTEN, &e), 1);
    assert_string_equal(e.name, "b");
    assert_null(lease_find(table, SPAN("b")));
    assert_non_null(lease_find(table, SPAN("a")));
}

static void a_line_is_bounded(void **state)
{
    struct lease_answer a;
    char owner[16];

    (void)state;
    granted("a", "x");
    for (size_t i = 0; i < LEASE_LINE_MAX; i++) {
        snprintf(owner, sizeof owner, "w%zu", i);
        assert_int_equal(acquire("a", owner, 100, &a), ERR_HELD);
        assert_int_equal(a.place, i + 1);
    }
    assert_int_equal(acquire("a", "one-more", 100, &a), ERR_FULL);
    assert_int_equal(acquire("a", "w7", 100, &a), ERR_HELD);
    assert_int_equal(a.place, 8);
    assert_int_equal(lease_count_places(table), LEASE_LINE_MAX);
}

static void a_place_outlives_a_pause_of_ours(void **state)
{
    struct lease_answer a;
    struct lease_event e;

    (void)state;
    granted("a", "x");
    assert_int_equal(acquire("a", "y", 10000, &a), ERR_HELD);
    now += 60000; /* stopped; the lease ran out, the place did not */
    assert_int_equal(happen(LEASE_EVENT_EXPIRED, NULL), 1);
    assert_int_equal(lease_waiters(lease_find(table, SPAN("a"))), 1);
    assert_int_equal(acquire("a", "y", 10000, &a), OK);
    assert_true(a.is_new);
    assert_int_equal(acquire("a", "z", 10000, &a), ERR_HELD);
    awake += LEASE_PLACE_MS;
    lease_allow_grants(table, false);
    assert_int_equal(happen(LEASE_EVENT_DROPPED, &e), 1);
    assert_string_equal(e.owner, "z");
}

static void where_nothing_may_be_granted_what_is_held_goes_on(void **state)
{
    struct lease_request longer = request_of("a", "x", 5000);
    struct lease_answer a;
    struct lease *l = granted("a", "x");

    (void)state;
    lease_allow_grants(table, false);
    assert_int_equal(acquire("b", "x", 0, &a), ERR_AGAIN);
    assert_null(a.lease);
    assert_int_equal(acquire("a", "x", 0, &a), OK);
    assert_int_equal(lease_acquire(table, &longer, now, awake, &a), ERR_AGAIN);
    assert_int_equal(lease_renew(table, l, SPAN("x"), l->token, 0, now), OK);
    assert_int_equal(acquire("a", "y", 5000, &a), ERR_HELD);
    assert_int_equal(lease_release(table, l, SPAN("x"), l->token, now), OK);
    assert_int_equal(happen(LEASE_EVENT_GRANTED, NULL), 0);
    assert_int_equal(acquire("a", "y", 0, &a), ERR_AGAIN);
    assert_int_equal(acquire("a", "y", 5000, &a), ERR_HELD);
    lease_allow_grants(table, true);
    assert_int_equal(lease_wait(table, now, awake), 0);
    assert_int_equal(happen(LEASE_EVENT_GRANTED, NULL), 1);
    assert_string_equal(l->owner, "y");
}

static void what_was_stored_runs_its_whole_time_anew_and_then_its_delay(void **state)
{
    struct lease_stored held = {.name = SPAN("a"),
                                .owner = SPAN("x"),
                                .host = SPAN("h"),
                                .pid = 7,
                                .token = 5000,
                                .state = LEASE_HELD,
                                .ttl_ms = 3000,
                                .delay_ms = 2000,
                                .held_ms = 60000,
                                .value = SPAN("v"),
                                .value_token = 4000,
                                .version = 3};
    struct lease_stored closed = {.name = SPAN("b"),
                                  .owner = SPAN("x"),
                                  .token = 6000,
                                  .state = LEASE_CLOSED,
                                  .ended = LEASE_EXPIRED,
                                  .ttl_ms = 3000,
                                  .delay_ms = 1500,
                                  .lost_owner = SPAN("x"),
                                  .lost_token = 6000,
                                  .lost_reason = LEASE_EXPIRED,
                                  .lost_ago_ms = 100};
    struct lease *a, *b;
    bool has_value;

    (void)state;
    assert_int_equal(lease_restore(table, &held, now), OK);
    assert_int_equal(lease_restore(table, &closed, now), OK);
    assert_int_equal(lease_restore(table, &closed, now), ERR_INVALID);
    assert_null(lease_take_unstored(table, &has_value));
    a = lease_find(table, SPAN("a"));
    b = lease_find(table, SPAN("b"));
    assert_int_equal(lease_expires_ms(a, now), 3000);
    assert_int_equal(lease_closed_ms(b, now), 1500);
    assert_int_equal(now - a->granted_at, 60000);
    assert_int_equal(now - b->lost.at, 100);
    assert_int_equal(a->version, 3);
    assert_int_equal(lease_renew(table, a, SPAN("x"), 5000, 0, now), OK);
    assert_int_equal(lease_ended(b, 6000), LEASE_EXPIRED);
    assert_true(granted("c", "y")->token > 6000);
    pass(3001);
    happen(LEASE_EVENT_EXPIRED, NULL);
    assert_int_equal(a->state, LEASE_CLOSED);
    assert_int_equal(b->state, LEASE_FREE);
    pass(2000);
    happen(LEASE_EVENT_OPENED, NULL);
    assert_int_equal(a->state, LEASE_FREE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        T(a_grant_never_ends_before_its_holder_counts),
        T(every_grant_has_a_token_above_all_before_whatever_the_lock),
        T(a_longer_time_of_the_same_grant_must_be_stored_and_a_renewal_not),
        T(an_end_by_timeout_is_stored_and_no_answer_waits_for_it),
        T(a_release_and_a_break_are_stored),
        T(a_new_value_is_stored_once),
        T(all_values_together_are_bounded),
        T(names_are_bounded_and_idle_ones_make_room),
        T(a_renewal_lends_no_longer_time_than_is_stored),
        T(a_free_lock_is_forgotten_after_a_while_unless_it_has_a_value),
        T(a_line_is_bounded),
        T(a_place_outlives_a_pause_of_ours),
        T(where_nothing_may_be_granted_what_is_held_goes_on),
        T(what_was_stored_runs_its_whole_time_anew_and_then_its_delay),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
