/* A subscription at random, against a naive model of what its program must get. */
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
#include "tests/unit/consumer/lib/subscription_fixture.h"

static const char *const patterns[] = {"*", "A*", "A", "AB", "B*", "B/C", "X"};

static bool is_followed[LENGTH(patterns)];

static bool is_wanted(int symbol)
{
    for (size_t i = 0; i < LENGTH(patterns); i++)
        if (is_followed[i] && quote_pattern_matches(span_of(patterns[i]), span_of(names[symbol])))
            return true;
    return false;
}

static void toggle(struct fixture *b)
{
    unsigned i = dice(LENGTH(patterns));

    is_followed[i] = !is_followed[i];
    if (is_followed[i])
        follow(b, patterns[i]);
    else
        assert_int_equal(subscription_remove(b->d, span_of(patterns[i])), OK);
    for (int s = 0; s < SYMBOLS; s++) {
        if (!is_wanted(s))
            b->passed[s] = (struct passed){0};
        b->passed[s].is_loose |= b->passed[s].is_inherited && !is_followed[i];
    }
}

/* Everything of a followed symbol up to the position was delivered, or reported as lost. */
static void check_position(struct fixture *b)
{
    uint64_t position = subscription_position(b->d);

    if (b->settings.mode == SUBSCRIPTION_NEWEST || receiver_epoch(b->k.f) != b->k.epoch)
        return;
    for (int s = 0; s < SYMBOLS; s++)
        for (uint64_t seq = b->passed[s].last + 1;
             b->passed[s].is_begun && !b->passed[s].is_loose && seq <= position; seq++)
            if (at(&b->k, seq)->symbol == s && !b->holes[seq])
                fail_msg("position %llu, but %s %llu was not told", (unsigned long long)position,
                         names[s], (unsigned long long)seq);
}

/* Another process continues from the position; later records may be delivered again. */
static void replace(struct fixture *b)
{
    uint64_t position = subscription_position(b->d);

    if (!position || receiver_epoch(b->k.f) != b->k.epoch || position > b->k.head)
        return;
    for (int s = 0; s < SYMBOLS; s++)
        if (is_wanted(s) && !b->passed[s].is_begun)
            return; /* the position covers only patterns that are synced */
    subscription_free(b->d);
    start(b, position);
    for (int s = 0; s < SYMBOLS; s++) {
        if (b->passed[s].is_begun && b->passed[s].last > position)
            b->passed[s].last = position;
        b->passed[s].is_begun = b->passed[s].is_inherited = is_wanted(s);
        if (is_wanted(s) && b->passed[s].last < position && !b->passed[s].last)
            b->passed[s].last = position;
    }
    if (b->told_loss > position)
        b->told_loss = position;
    for (size_t i = 0; i < LENGTH(patterns); i++)
        if (is_followed[i])
            follow(b, patterns[i]);
    tick(b);
}

static void act(struct fixture *b)
{
    int s;

    switch (dice(40)) {
    case 0:
        toggle(b);
        break;
    case 1:
        b->k.is_dropping = dice(2);
        break;
    case 2:
        reconnect(&b->k);
        break;
    case 3:
        b->k.asked_count = 0; /* the answers are lost */
        b->k.now += 500;
        break;
    case 4:
        if (b->k.head && b->settings.mode == SUBSCRIPTION_ALL)
            at(&b->k, b->k.head)->is_hole = true;
        break;
    case 5:
        if (b->k.first < b->k.head && dice(4) == 0)
            b->k.first += dice((unsigned)(b->k.head - b->k.first) + 1);
        break;
    case 6:
        if (dice(8) == 0)
            begin_new_log(&b->k);
        break;
    case 7:
        b->stop_after = 1 + dice(5);
        break;
    case 8:
        if (dice(3) == 0)
            replace(b);
        break;
    case 9:
        publish(&b->k, -1, WIRE_LOST);
        break;
    case 10:
    case 11:
        s = (int)dice(SYMBOLS);
        if (b->k.last_quote[s])
            publish(&b->k, s, WIRE_STATE);
        break;
    case 12:
    case 13:
    case 14:
        heartbeat(&b->k);
        b->k.now += 100;
        break;
    case 15:
    case 16:
    case 17:
    case 18:
        if (!receiver_is_paused(b->k.f))
            answer(&b->k);
        break;
    case 19:
    case 20:
    case 21:
    case 22:
    case 23:
        deliver(&b->k, dice(10));
        break;
    case 24:
    case 25:
    case 26:
    case 27:
        tick(b);
        b->k.now += 20;
        break;
    default:
        publish(&b->k, (int)dice(SYMBOLS), WIRE_QUOTE);
    }
    check_position(b);
}

static void check_end(struct fixture *b)
{
    bool is_following = false;

    for (size_t i = 0; i < LENGTH(patterns); i++)
        is_following |= is_followed[i];
    for (int s = 0; s < SYMBOLS; s++) {
        const struct passed *t = &b->passed[s];

        if (!is_wanted(s) || !b->k.last_quote[s])
            continue;
        if (b->settings.mode == SUBSCRIPTION_NEWEST) {
            assert_int_equal(t->quote, b->k.last_quote[s]);
            assert_int_equal(t->is_stale, b->k.is_stale[s]);
        } else if (!is_excused(b, s, t->last, b->k.last[s] + 1)) {
            fail_msg("%s: told up to %llu, not %llu", names[s], (unsigned long long)t->last,
                     (unsigned long long)b->k.last[s]);
        }
    }
    if (is_following)
        assert_int_equal(subscription_position(b->d), b->k.head);
}

static void play(enum subscription_mode mode)
{
    for (int game = 0; game < 150; game++) {
        struct fixture *b = fixture_new(mode);

        b->k.page = 1 + dice(5);
        memset(is_followed, 0, sizeof is_followed);
        toggle(b);
        for (int i = 0; i < 1500; i++)
            act(b);
        settle(b);
        check_end(b);
        fixture_free(b);
    }
}

static void at_random_every_record_is_told_once_or_named_as_lost(void **state)
{
    (void)state;
    dice_seed();
    play(SUBSCRIPTION_ALL);
}

static void at_random_the_newest_values_are_told(void **state)
{
    (void)state;
    dice_seed();
    play(SUBSCRIPTION_NEWEST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(at_random_every_record_is_told_once_or_named_as_lost),
        cmocka_unit_test(at_random_the_newest_values_are_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
