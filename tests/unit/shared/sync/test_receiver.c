#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/dice.h"
#include "tests/unit/shared/sync/receiver_bench.h"

static void a_subscription_begins_with_snapshots_and_goes_on_with_records(void **state)
{
    struct bench *b = bench_new(RECEIVER_ALL);

    (void)state;
    quote(b, "A"), quote(b, "B"), quote(b, "A");
    follow(b, "A");
    turn(b);
    turn(b);
    assert_int_equal(b->snapshots, 1);
    assert_int_equal(b->told[0].last, 3);
    assert_int_equal(b->synced, 1);
    assert_int_equal(receiver_position(b->f), 3);
    quote(b, "A"), quote(b, "B"), quote(b, "A");
    turn(b);
    assert_int_equal(b->quotes, 2);
    assert_int_equal(b->told[0].last, 6);
    assert_false(b->told[3].is_begun);
    bench_free(b);
}

static void what_comes_before_the_snapshot_is_told_after_it(void **state)
{
    struct bench *b = bench_new(RECEIVER_ALL);

    (void)state;
    quote(b, "A");
    follow(b, "*");
    tick(b);
    deliver(b, ~0u); /* the mark: the snapshot is asked for */
    quote(b, "A"), quote(b, "B");
    deliver(b, ~0u);
    assert_int_equal(b->quotes, 0);
    answer(b); /* it has both */
    assert_int_equal(b->snapshots, 2);
    quote(b, "A");
    turn(b);
    assert_int_equal(b->quotes, 1);
    bench_free(b);
}

static void the_position_is_vouched_for_by_heartbeats_or_by_being_the_next(void **state)
{
    struct bench *b = bench_new(RECEIVER_ALL);

    (void)state;
    follow(b, "A");
    turn(b), turn(b);
    quote(b, "A");
    turn(b);
    assert_int_equal(receiver_position(b->f), 1);
    quote(b, "B"), quote(b, "A");
    turn(b);
    assert_int_equal(receiver_position(b->f), 1); /* 2 may have been ours */
    heartbeat(b);
    turn(b);
    assert_int_equal(receiver_position(b->f), 3);
    bench_free(b);
}

static struct bench *following_everything(void)
{
    struct bench *b = bench_new(RECEIVER_ALL);

    follow(b, "*");
    turn(b), turn(b);
    quote(b, "A");
    turn(b);
    assert_int_equal(b->quotes, 1);
    return b;
}

static void a_record_that_never_came_is_told_before_the_one_that_shows_it(void **state)
{
    struct bench *b = following_everything();

    (void)state;
    b->strict_order = true;
    b->is_dropping = true;
    quote(b, "A"), quote(b, "B"), publish(b, 0, WIRE_STATE);
    b->is_dropping = false;
    quote(b, "A");
    for (int i = 0; i < 4; i++)
        turn(b);
    assert_int_equal(b->quotes, 4);
    assert_int_equal(b->states, 1);
    bench_free(b);
}

static void the_last_record_is_missed_with_the_next_heartbeat(void **state)
{
    struct bench *b = following_everything();

    (void)state;
    b->is_dropping = true;
    quote(b, "B");
    b->is_dropping = false;
    turn(b);
    assert_int_equal(b->quotes, 1);
    heartbeat(b);
    for (int i = 0; i < 4; i++)
        turn(b);
    assert_int_equal(b->quotes, 2);
    bench_free(b);
}

static void a_new_connection_makes_good_what_was_under_way(void **state)
{
    struct bench *b = following_everything();

    (void)state;
    quote(b, "A"), quote(b, "B"), quote(b, "X");
    reconnect(b);
    quote(b, "A");
    for (int i = 0; i < 4; i++)
        turn(b);
    assert_int_equal(b->quotes, 5);
    assert_int_equal(b->snapshots, 0);
    bench_free(b);
}

static void a_new_log_is_a_reset_and_snapshots(void **state)
{
    struct bench *b = following_everything();

    (void)state;
    begin_new_log(b);
    quote(b, "A");
    for (int i = 0; i < 4; i++)
        turn(b);
    assert_int_equal(b->resets, 1);
    assert_string_equal(b->reason, "log_replaced");
    assert_int_equal(b->snapshots, 1);
    assert_int_equal(receiver_position(b->f), 1);
    bench_free(b);
}

static void since_begins_with_what_followed_it(void **state)
{
    struct bench *b = bench_new(RECEIVER_ALL);

    (void)state;
    for (int i = 0; i < 10; i++)
        quote(b, i % 2 ? "A" : "B");
    receiver_free(b->f);
    start(b, 4);
    b->told[0] = (struct told){.is_begun = true, .last = 4};
    b->told[3] = (struct told){.is_begun = true, .last = 3};
    follow(b, "*");
    for (int i = 0; i < 4; i++)
        turn(b);
    assert_int_equal(b->quotes, 6);
    assert_int_equal(b->snapshots, 0);
    assert_int_equal(b->synced, 1);
    bench_free(b);
}

static void since_of_another_log_or_beyond_the_head_is_a_reset(void **state)
{
    static const struct {
        uint64_t epoch, seq;
        const char *reason;
    } cases[] = {{5, 1, "other_log"}, {77, 9, "beyond_head"}};

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct bench *b = bench_new(RECEIVER_ALL);

        quote(b, "A");
        receiver_free(b->f);
        start(b, cases[i].seq);
        receiver_free(b->f);
        b->epoch = cases[i].epoch;
        start(b, cases[i].seq);
        b->epoch = 77;
        follow(b, "*");
        turn(b), turn(b);
        assert_string_equal(b->reason, cases[i].reason);
        assert_int_equal(b->snapshots, 1);
        bench_free(b);
    }
}

static void what_the_log_does_not_have_any_more_is_named_and_made_up_for(void **state)
{
    struct bench *b = following_everything();

    (void)state;
    b->is_dropping = true;
    quote(b, "B"), quote(b, "X"), quote(b, "A"), quote(b, "A");
    b->first = 4; /* 2 and 3 are pruned */
    b->is_dropping = false;
    heartbeat(b);
    for (int i = 0; i < 6; i++)
        turn(b);
    assert_int_equal(b->losses, 1);
    assert_true(b->holes[2] && b->holes[3]);
    assert_int_equal(b->quotes, 3);    /* A twice more */
    assert_int_equal(b->snapshots, 2); /* B and X */
    assert_int_equal(receiver_position(b->f), 5);
    bench_free(b);
}

static void a_pattern_that_is_added_is_told_once_whatever_else_matches(void **state)
{
    struct bench *b = following_everything();

    (void)state;
    quote(b, "AB");
    turn(b);
    follow(b, "A*");
    for (int i = 0; i < 4; i++)
        turn(b);
    assert_int_equal(b->snapshots, 0);
    assert_int_equal(b->synced, 2);
    assert_int_equal(receiver_remove(b->f, SPAN("*")), OK);
    assert_int_equal(receiver_remove(b->f, SPAN("*")), ERR_NOT_FOUND);
    quote(b, "B"), quote(b, "AB");
    turn(b);
    assert_int_equal(b->quotes, 3);
    bench_free(b);
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
    struct bench *b = bench_new(RECEIVER_ALL);

    (void)state;
    for (int i = 0; i < 30; i++)
        quote(b, "A");
    b->page = 100;
    receiver_free(b->f);
    start(b, 1);
    b->told[0] = (struct told){.is_begun = true, .last = 1};
    follow(b, "*");
    b->stop_after = 7;
    turn(b);
    assert_int_equal(b->quotes, 7);
    receiver_stop(b->f); /* the turn's second half went on */
    for (int i = 0; i < 4; i++)
        turn(b);
    assert_int_equal(b->quotes, 29);
    bench_free(b);
}

static void the_broker_is_away_after_three_seconds_without_a_heartbeat(void **state)
{
    struct bench *b = bench_new(RECEIVER_ALL);

    (void)state;
    follow(b, "*");
    turn(b);
    assert_int_equal(b->ups, 0);
    b->now += RECEIVER_SILENCE_MS;
    turn(b), turn(b);
    assert_int_equal(b->downs, 1);
    heartbeat(b);
    turn(b);
    assert_int_equal(b->ups, 1);
    assert_true(receiver_is_up(b->f));
    /* We were paused: what waits to be read is no silence. */
    b->now += 10 * RECEIVER_SILENCE_MS;
    heartbeat(b);
    tick(b);
    deliver(b, ~0u);
    tick(b);
    assert_int_equal(b->downs, 1);
    bench_free(b);
}

static void nonsense_from_the_socket_is_passed_over(void **state)
{
    struct bench *b = following_everything();

    (void)state;
    receiver_on_record(b->f, SPAN("A "), SPAN("\xc1"), b->now);
    receiver_on_record(b->f, SPAN(""), SPAN(""), b->now);
    receiver_on_answer(b->f, SPAN("\x80"), b->now);
    quote(b, "A");
    turn(b);
    assert_int_equal(b->quotes, 2);
    bench_free(b);
}

static void newest_tells_the_last_of_several(void **state)
{
    struct bench *b = bench_new(RECEIVER_NEWEST);

    (void)state;
    follow(b, "*");
    turn(b), turn(b);
    assert_int_equal(b->synced, 1);
    quote(b, "A"), quote(b, "B"), quote(b, "A"), quote(b, "A");
    turn(b);
    assert_int_equal(b->quotes, 2);
    assert_int_equal(b->told[0].last, 4);
    assert_int_equal(b->told[3].last, 2);
    publish(b, 0, WIRE_STATE);
    turn(b);
    assert_int_equal(b->states, 1);
    assert_true(b->told[0].is_stale);
    bench_free(b);
}

static void a_stop_before_a_reset_leaves_the_rest_and_the_reset_for_later(void **state)
{
    struct bench *b = bench_new(RECEIVER_NEWEST);

    (void)state;
    follow(b, "*");
    turn(b), turn(b);
    quote(b, "A"), quote(b, "B"), quote(b, "X");
    deliver(b, ~0u);
    begin_new_log(b);
    quote(b, "A");
    b->stop_after = 2;
    deliver(b, ~0u);
    assert_int_equal(b->quotes, 2);
    assert_int_equal(b->resets, 0);
    tick(b);
    assert_int_equal(b->quotes, 3);
    heartbeat(b);
    b->stop_after = 1; /* in on_reset */
    deliver(b, ~0u);
    assert_int_equal(b->resets, 1);
    for (int i = 0; i < 4; i++)
        turn(b);
    assert_int_equal(b->snapshots, 1);
    assert_int_equal(b->told[0].last, 1);
    bench_free(b);
}

/* --- everything at once, at random --------------------------------------------------------- */

static const char *const patterns[] = {"*", "A*", "A", "AB", "B*", "B/C", "X"};

static bool is_followed[LENGTH(patterns)];

static bool is_wanted(int symbol)
{
    for (size_t i = 0; i < LENGTH(patterns); i++)
        if (is_followed[i] &&
            quote_pattern_matches(span_of(patterns[i]), span_of(names[symbol])))
            return true;
    return false;
}

static void toggle(struct bench *b)
{
    unsigned i = dice(LENGTH(patterns));

    is_followed[i] = !is_followed[i];
    if (is_followed[i])
        follow(b, patterns[i]);
    else
        assert_int_equal(receiver_remove(b->f, span_of(patterns[i])), OK);
    for (int s = 0; s < SYMBOLS; s++) {
        if (!is_wanted(s))
            b->told[s] = (struct told){0};
        b->told[s].is_loose |= b->told[s].is_inherited && !is_followed[i];
    }
}

/* All of a followed symbol up to the position has been told, or named as lost. */
static void check_position(struct bench *b)
{
    uint64_t position = receiver_position(b->f);

    if (b->settings.mode == RECEIVER_NEWEST || receiver_epoch(b->f) != b->epoch)
        return;
    for (int s = 0; s < SYMBOLS; s++)
        for (uint64_t seq = b->told[s].last + 1;
             b->told[s].is_begun && !b->told[s].is_loose && seq <= position; seq++)
            if (at(b, seq)->symbol == s && !b->holes[seq])
                fail_msg("position %llu, but %s %llu was not told",
                         (unsigned long long)position, names[s],
                         (unsigned long long)seq);
}

/* Another process goes on from the position; what came after it may come again. */
static void replace(struct bench *b)
{
    uint64_t position = receiver_position(b->f);

    if (!position || receiver_epoch(b->f) != b->epoch || position > b->head)
        return;
    for (int s = 0; s < SYMBOLS; s++)
        if (is_wanted(s) && !b->told[s].is_begun)
            return; /* it vouches for what is synced only */
    receiver_free(b->f);
    start(b, position);
    for (int s = 0; s < SYMBOLS; s++) {
        if (b->told[s].is_begun && b->told[s].last > position)
            b->told[s].last = position;
        b->told[s].is_begun = b->told[s].is_inherited = is_wanted(s);
        if (is_wanted(s) && b->told[s].last < position && !b->told[s].last)
            b->told[s].last = position;
    }
    if (b->told_loss > position)
        b->told_loss = position;
    for (size_t i = 0; i < LENGTH(patterns); i++)
        if (is_followed[i])
            follow(b, patterns[i]);
    tick(b);
}

static void act(struct bench *b)
{
    int s;

    switch (dice(40)) {
    case 0:
        toggle(b);
        break;
    case 1:
        b->is_dropping = dice(2);
        break;
    case 2:
        reconnect(b);
        break;
    case 3:
        b->is_asked = false; /* the answer is lost */
        b->now += 500;
        break;
    case 4:
        if (b->head && b->settings.mode == RECEIVER_ALL)
            at(b, b->head)->is_hole = true;
        break;
    case 5:
        if (b->first < b->head && dice(4) == 0)
            b->first += dice((unsigned)(b->head - b->first) + 1);
        break;
    case 6:
        if (dice(8) == 0)
            begin_new_log(b);
        break;
    case 7:
        b->stop_after = 1 + dice(5);
        break;
    case 8:
        if (dice(3) == 0)
            replace(b);
        break;
    case 9:
        publish(b, -1, WIRE_LOST);
        break;
    case 10:
    case 11:
        s = (int)dice(SYMBOLS);
        if (b->last_quote[s])
            publish(b, s, WIRE_STATE);
        break;
    case 12:
    case 13:
    case 14:
        heartbeat(b);
        b->now += 100;
        break;
    case 15:
    case 16:
    case 17:
    case 18:
        if (!receiver_is_stopped(b->f))
            answer(b);
        break;
    case 19:
    case 20:
    case 21:
    case 22:
    case 23:
        deliver(b, dice(10));
        break;
    case 24:
    case 25:
    case 26:
    case 27:
        tick(b);
        b->now += 20;
        break;
    default:
        publish(b, (int)dice(SYMBOLS), WIRE_QUOTE);
    }
    check_position(b);
}

static void check_end(struct bench *b)
{
    bool is_following = false;

    for (size_t i = 0; i < LENGTH(patterns); i++)
        is_following |= is_followed[i];
    for (int s = 0; s < SYMBOLS; s++) {
        const struct told *t = &b->told[s];

        if (!is_wanted(s) || !b->last_quote[s])
            continue;
        if (b->settings.mode == RECEIVER_NEWEST) {
            assert_int_equal(t->quote, b->last_quote[s]);
            assert_int_equal(t->is_stale, b->is_stale[s]);
        } else if (!is_excused(b, s, t->last, b->last[s] + 1)) {
            fail_msg("%s: told up to %llu, not %llu", names[s],
                     (unsigned long long)t->last, (unsigned long long)b->last[s]);
        }
    }
    if (is_following)
        assert_int_equal(receiver_position(b->f), b->head);
}

static void play(enum receiver_mode mode)
{
    for (int game = 0; game < 150; game++) {
        struct bench *b = bench_new(mode);

        b->page = 1 + dice(5);
        memset(is_followed, 0, sizeof is_followed);
        toggle(b);
        for (int i = 0; i < 1500; i++)
            act(b);
        settle(b);
        check_end(b);
        bench_free(b);
    }
}

static void at_random_every_record_is_told_once_or_named_as_lost(void **state)
{
    (void)state;
    dice_seed();
    play(RECEIVER_ALL);
}

static void at_random_the_newest_values_are_told(void **state)
{
    (void)state;
    dice_seed();
    play(RECEIVER_NEWEST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_subscription_begins_with_snapshots_and_goes_on_with_records),
        cmocka_unit_test(what_comes_before_the_snapshot_is_told_after_it),
        cmocka_unit_test(
            the_position_is_vouched_for_by_heartbeats_or_by_being_the_next),
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
        cmocka_unit_test(at_random_every_record_is_told_once_or_named_as_lost),
        cmocka_unit_test(at_random_the_newest_values_are_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
