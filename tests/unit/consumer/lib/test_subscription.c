#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/consumer/lib/subscription_fixture.h"

static void a_subscription_begins_with_snapshots_and_goes_on_with_records(void **state)
{
    struct fixture *b = fixture_new(SUBSCRIPTION_ALL);

    (void)state;
    quote(&b->k, "A"), quote(&b->k, "B"), quote(&b->k, "A");
    follow(b, "A");
    turn(b);
    turn(b);
    assert_int_equal(b->snapshots, 1);
    assert_int_equal(b->passed[0].last, 3);
    assert_int_equal(b->synced, 1);
    assert_int_equal(subscription_position(b->d), 3);
    quote(&b->k, "A"), quote(&b->k, "B"), quote(&b->k, "A");
    turn(b);
    assert_int_equal(b->quotes, 2);
    assert_int_equal(b->passed[0].last, 6);
    assert_false(b->passed[3].is_begun);
    fixture_free(b);
}

static void what_comes_before_the_snapshot_is_told_after_it(void **state)
{
    struct fixture *b = fixture_new(SUBSCRIPTION_ALL);

    (void)state;
    quote(&b->k, "A");
    follow(b, "*");
    tick(b);
    deliver(&b->k, ~0u); /* the mark arrives: the snapshot is requested */
    quote(&b->k, "A"), quote(&b->k, "B");
    deliver(&b->k, ~0u);
    assert_int_equal(b->quotes, 0);
    answer(&b->k); /* it has both */
    assert_int_equal(b->snapshots, 2);
    quote(&b->k, "A");
    turn(b);
    assert_int_equal(b->quotes, 1);
    fixture_free(b);
}

static void the_position_is_vouched_for_by_heartbeats_or_by_being_the_next(void **state)
{
    struct fixture *b = fixture_new(SUBSCRIPTION_ALL);

    (void)state;
    follow(b, "A");
    turn(b), turn(b);
    quote(&b->k, "A");
    turn(b);
    assert_int_equal(subscription_position(b->d), 1);
    quote(&b->k, "B"), quote(&b->k, "A");
    turn(b);
    assert_int_equal(subscription_position(b->d), 1); /* record 2 may match our pattern */
    heartbeat(&b->k);
    turn(b);
    assert_int_equal(subscription_position(b->d), 3);
    fixture_free(b);
}

static struct fixture *following_everything(void)
{
    struct fixture *b = fixture_new(SUBSCRIPTION_ALL);

    follow(b, "*");
    turn(b), turn(b);
    quote(&b->k, "A");
    turn(b);
    assert_int_equal(b->quotes, 1);
    return b;
}

static void a_record_that_never_came_is_told_before_the_one_that_shows_it(void **state)
{
    struct fixture *b = following_everything();

    (void)state;
    b->strict_order = true;
    b->k.is_dropping = true;
    quote(&b->k, "A"), quote(&b->k, "B"), publish(&b->k, 0, WIRE_STATE);
    b->k.is_dropping = false;
    quote(&b->k, "A");
    for (int i = 0; i < 4; i++)
        turn(b);
    assert_int_equal(b->quotes, 4);
    assert_int_equal(b->states, 1);
    fixture_free(b);
}

static void the_last_record_is_missed_with_the_next_heartbeat(void **state)
{
    struct fixture *b = following_everything();

    (void)state;
    b->k.is_dropping = true;
    quote(&b->k, "B");
    b->k.is_dropping = false;
    turn(b);
    assert_int_equal(b->quotes, 1);
    heartbeat(&b->k);
    for (int i = 0; i < 4; i++)
        turn(b);
    assert_int_equal(b->quotes, 2);
    fixture_free(b);
}

static void a_new_connection_makes_good_what_was_under_way(void **state)
{
    struct fixture *b = following_everything();

    (void)state;
    quote(&b->k, "A"), quote(&b->k, "B"), quote(&b->k, "X");
    reconnect(&b->k);
    quote(&b->k, "A");
    for (int i = 0; i < 4; i++)
        turn(b);
    assert_int_equal(b->quotes, 5);
    assert_int_equal(b->snapshots, 0);
    fixture_free(b);
}

static void a_new_log_is_a_reset_and_snapshots(void **state)
{
    struct fixture *b = following_everything();

    (void)state;
    begin_new_log(&b->k);
    quote(&b->k, "A");
    for (int i = 0; i < 4; i++)
        turn(b);
    assert_int_equal(b->resets, 1);
    assert_string_equal(b->reason, "log_replaced");
    assert_int_equal(b->snapshots, 1);
    assert_int_equal(subscription_position(b->d), 1);
    fixture_free(b);
}

static void since_begins_with_what_followed_it(void **state)
{
    struct fixture *b = fixture_new(SUBSCRIPTION_ALL);

    (void)state;
    for (int i = 0; i < 10; i++)
        quote(&b->k, i % 2 ? "A" : "B");
    subscription_free(b->d);
    start(b, 4);
    b->passed[0] = (struct passed){.is_begun = true, .last = 4};
    b->passed[3] = (struct passed){.is_begun = true, .last = 3};
    follow(b, "*");
    for (int i = 0; i < 4; i++)
        turn(b);
    assert_int_equal(b->quotes, 6);
    assert_int_equal(b->snapshots, 0);
    assert_int_equal(b->synced, 1);
    fixture_free(b);
}

static void since_of_another_log_or_beyond_the_head_is_a_reset(void **state)
{
    static const struct {
        uint64_t epoch, seq;
        const char *reason;
    } cases[] = {{5, 1, "other_log"}, {77, 9, "beyond_head"}};

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct fixture *b = fixture_new(SUBSCRIPTION_ALL);

        quote(&b->k, "A");
        subscription_free(b->d);
        start(b, cases[i].seq);
        subscription_free(b->d);
        b->k.epoch = cases[i].epoch;
        start(b, cases[i].seq);
        b->k.epoch = 77;
        follow(b, "*");
        turn(b), turn(b);
        assert_string_equal(b->reason, cases[i].reason);
        assert_int_equal(b->snapshots, 1);
        fixture_free(b);
    }
}

static void what_the_log_does_not_have_any_more_is_named_and_made_up_for(void **state)
{
    struct fixture *b = following_everything();

    (void)state;
    b->k.is_dropping = true;
    quote(&b->k, "B"), quote(&b->k, "X"), quote(&b->k, "A"), quote(&b->k, "A");
    b->k.first = 4; /* 2 and 3 are pruned */
    b->k.is_dropping = false;
    heartbeat(&b->k);
    for (int i = 0; i < 6; i++)
        turn(b);
    assert_int_equal(b->losses, 1);
    assert_true(b->holes[2] && b->holes[3]);
    assert_int_equal(b->quotes, 3);    /* A twice more */
    assert_int_equal(b->snapshots, 2); /* B and X */
    assert_int_equal(subscription_position(b->d), 5);
    fixture_free(b);
}

static void a_pattern_that_is_added_is_told_once_whatever_else_matches(void **state)
{
    struct fixture *b = following_everything();

    (void)state;
    quote(&b->k, "AB");
    turn(b);
    follow(b, "A*");
    for (int i = 0; i < 4; i++)
        turn(b);
    assert_int_equal(b->snapshots, 0);
    assert_int_equal(b->synced, 2);
    assert_int_equal(subscription_remove(b->d, SPAN("*")), OK);
    assert_int_equal(subscription_remove(b->d, SPAN("*")), ERR_NOT_FOUND);
    quote(&b->k, "B"), quote(&b->k, "AB");
    turn(b);
    assert_int_equal(b->quotes, 3);
    fixture_free(b);
}

static void patterns_are_symbols_or_beginnings(void **state)
{
    static const char *const right[] = {"A", "EUR/USD", "*", "BTC*", "=*"};
    static const char *const wrong[] = {
        "", "a", "A B", "**", "A**", "*A", "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG"};

    (void)state;
    for (size_t i = 0; i < LENGTH(right); i++)
        assert_true(receiver_is_pattern(span_of(right[i])));
    for (size_t i = 0; i < LENGTH(wrong); i++)
        assert_false(receiver_is_pattern(span_of(wrong[i])));
}

static void after_a_stop_nothing_is_told_and_the_position_is_what_was(void **state)
{
    struct fixture *b = fixture_new(SUBSCRIPTION_ALL);

    (void)state;
    for (int i = 0; i < 30; i++)
        quote(&b->k, "A");
    b->k.page = 100;
    subscription_free(b->d);
    start(b, 1);
    b->passed[0] = (struct passed){.is_begun = true, .last = 1};
    follow(b, "*");
    b->stop_after = 7;
    turn(b);
    assert_int_equal(b->quotes, 7);
    receiver_pause(b->k.f); /* the turn's second half went on */
    for (int i = 0; i < 4; i++)
        turn(b);
    assert_int_equal(b->quotes, 29);
    fixture_free(b);
}

static void the_broker_is_away_after_three_seconds_without_a_heartbeat(void **state)
{
    struct fixture *b = fixture_new(SUBSCRIPTION_ALL);

    (void)state;
    follow(b, "*");
    turn(b);
    assert_int_equal(b->ups, 0);
    b->k.now += RECEIVER_SILENCE_MS;
    turn(b), turn(b);
    assert_int_equal(b->downs, 1);
    heartbeat(&b->k);
    turn(b);
    assert_int_equal(b->ups, 1);
    assert_true(receiver_is_up(b->k.f));
    /* The process was paused: unread messages show that the broker was not silent. */
    b->k.now += 10 * RECEIVER_SILENCE_MS;
    heartbeat(&b->k);
    tick(b);
    deliver(&b->k, ~0u);
    tick(b);
    assert_int_equal(b->downs, 1);
    fixture_free(b);
}

static void nonsense_from_the_socket_is_passed_over(void **state)
{
    struct fixture *b = following_everything();

    (void)state;
    hand_in(&b->k, SPAN("A "), SPAN("\xc1"));
    hand_in(&b->k, SPAN(""), SPAN(""));
    receiver_on_answer(b->k.f, 1, SPAN("\x80"), b->k.now);
    quote(&b->k, "A");
    turn(b);
    assert_int_equal(b->quotes, 2);
    fixture_free(b);
}

static void newest_tells_the_last_of_several(void **state)
{
    struct fixture *b = fixture_new(SUBSCRIPTION_NEWEST);

    (void)state;
    follow(b, "*");
    turn(b), turn(b);
    assert_int_equal(b->synced, 1);
    quote(&b->k, "A"), quote(&b->k, "B"), quote(&b->k, "A"), quote(&b->k, "A");
    turn(b);
    assert_int_equal(b->quotes, 2);
    assert_int_equal(b->passed[0].last, 4);
    assert_int_equal(b->passed[3].last, 2);
    publish(&b->k, 0, WIRE_STATE);
    turn(b);
    assert_int_equal(b->states, 1);
    assert_true(b->passed[0].is_stale);
    fixture_free(b);
}

static void a_stop_before_a_reset_leaves_the_rest_and_the_reset_for_later(void **state)
{
    struct fixture *b = fixture_new(SUBSCRIPTION_NEWEST);

    (void)state;
    follow(b, "*");
    turn(b), turn(b);
    quote(&b->k, "A"), quote(&b->k, "B"), quote(&b->k, "X");
    deliver(&b->k, ~0u);
    begin_new_log(&b->k);
    quote(&b->k, "A");
    b->stop_after = 2;
    deliver(&b->k, ~0u);
    assert_int_equal(b->quotes, 2);
    assert_int_equal(b->resets, 0);
    tick(b);
    assert_int_equal(b->quotes, 3);
    heartbeat(&b->k);
    b->stop_after = 1; /* in on_reset */
    deliver(&b->k, ~0u);
    assert_int_equal(b->resets, 1);
    for (int i = 0; i < 4; i++)
        turn(b);
    assert_int_equal(b->snapshots, 1);
    assert_int_equal(b->passed[0].last, 1);
    fixture_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_subscription_begins_with_snapshots_and_goes_on_with_records),
        cmocka_unit_test(what_comes_before_the_snapshot_is_told_after_it),
        cmocka_unit_test(the_position_is_vouched_for_by_heartbeats_or_by_being_the_next),
        cmocka_unit_test(a_record_that_never_came_is_told_before_the_one_that_shows_it),
        cmocka_unit_test(the_last_record_is_missed_with_the_next_heartbeat),
        cmocka_unit_test(a_new_connection_makes_good_what_was_under_way),
        cmocka_unit_test(a_new_log_is_a_reset_and_snapshots),
        cmocka_unit_test(since_begins_with_what_followed_it),
        cmocka_unit_test(since_of_another_log_or_beyond_the_head_is_a_reset),
        cmocka_unit_test(what_the_log_does_not_have_any_more_is_named_and_made_up_for),
        cmocka_unit_test(a_pattern_that_is_added_is_told_once_whatever_else_matches),
        cmocka_unit_test(patterns_are_symbols_or_beginnings),
        cmocka_unit_test(after_a_stop_nothing_is_told_and_the_position_is_what_was),
        cmocka_unit_test(the_broker_is_away_after_three_seconds_without_a_heartbeat),
        cmocka_unit_test(nonsense_from_the_socket_is_passed_over),
        cmocka_unit_test(newest_tells_the_last_of_several),
        cmocka_unit_test(a_stop_before_a_reset_leaves_the_rest_and_the_reset_for_later),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
