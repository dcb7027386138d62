/*
 * The receiver at random, against a naive model of what patterns in each mode must get.  (With one
 * mode and a program behind it: test_subscription_random.)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/dice.h"
#include "tests/unit/shared/sync/receiver_owner.h"

#define GAMES 120
#define STEPS 1200

/* How a game goes: drawn at its begin. */
static struct shape {
    bool is_leaky; /* records get lost on a connection, as no broker of ours does it */
    unsigned symbols, quotes, cuts, new_logs;
} shape;

static void toggle(void)
{
    unsigned i = dice(PATTERNS);
    bool all = dice(2);

    if (!o->patterns[i].is_held) {
        hold(texts[i], all);
    } else if (shape.is_leaky || dice(2)) {
        release(i);
    } else { /* a client with another mode came, or the only one in mode all left */
        o->patterns[i].wants_all = all;
        if (all && o->patterns[i].is_live)
            set_strict(i);
        for (int s = 0; s < SYMBOLS; s++)
            o->kept[s].is_strict &= is_wanted(s, true);
    }
}

static void act(void)
{
    struct broker *b = &o->k;
    unsigned s = dice(shape.symbols);

    for (unsigned i = dice(shape.quotes + 1); i; i--)
        publish(b, (int)dice(shape.symbols), WIRE_QUOTE);
    if (dice(6) == 0 && b->last_quote[s])
        publish(b, (int)s, WIRE_STATE);
    if (dice(30) == 0)
        publish(b, -1, WIRE_LOST);
    if (dice(20) == 0)
        toggle();
    if (dice(30) == 0)
        b->is_dropping = shape.is_leaky && dice(2);
    if (dice(100) < shape.cuts)
        reconnect(b);
    if (dice(30) == 0) {
        b->asked_count = 0; /* the answers are lost */
        b->now += 700;
    }
    if (dice(40) == 0 && b->head)
        at(b, b->head)->is_hole = true;
    if (dice(100) == 0 && b->first < b->head)
        b->first += dice((unsigned)(b->head - b->first) + 1);
    if (dice(1000) < shape.new_logs)
        begin_new_log(b);
    if (dice(150) == 0)
        b->now += RECEIVER_SILENCE_MS;
    if (dice(5) == 0)
        heartbeat(b);
    if (dice(3) == 0)
        deliver(b, dice(12));
    if (dice(3) == 0)
        answer(b);
    if (dice(2))
        receiver_tick(b->f, b->pipe_from == b->pipe_to, b->now);
    b->now += dice(40);
}

/* Nothing that is followed is missing up to the position that counts as complete. */
static void check_position(uint64_t position)
{
    if (receiver_epoch(o->k.f) != o->k.epoch)
        return;
    for (int s = 0; s < SYMBOLS; s++)
        if (o->kept[s].is_strict && !is_excused(s, position + 1))
            fail_msg("leaky %d: position %llu, but of %s only %llu came", shape.is_leaky,
                     (unsigned long long)position, names[s], (unsigned long long)o->kept[s].last);
}

static void play(void)
{
    shape = (struct shape){.is_leaky = dice(3) == 0,
                           .symbols = 1 + dice(SYMBOLS),
                           .quotes = 1 + dice(4),
                           .cuts = dice(2) ? 0 : 3,
                           .new_logs = dice(2) ? 0 : 4};
    open_owner(1 + dice(dice(2) ? 3 : 50));
    for (int i = 0; i < STEPS && o->k.head + 40 < LOG_MAX && o->k.pipe_to + 40 < LOG_MAX; i++) {
        act();
        check_position(receiver_complete_seq(o->k.f));
    }
    o->k.is_dropping = false;
    /* A page of the log may have a single record. */
    for (int i = 0; i < 30 || (i < 500 && receiver_complete_seq(o->k.f) < o->k.head); i++) {
        turns(15);
        heartbeat(&o->k);
        o->k.now += 850;
    }
    turns(15);
    check_position(o->k.head);
    for (int s = 0; s < SYMBOLS; s++)
        if (!shape.is_leaky && is_wanted(s, false) && !o->kept[s].is_strict && o->k.last_quote[s])
            assert_int_equal(o->kept[s].quote, o->k.last_quote[s]);
    assert_true(receiver_is_verified(o->k.f));
    assert_int_equal(receiver_complete_seq(o->k.f), o->k.head);
    close_owner();
}

static void at_random_each_mode_gets_what_it_is_promised(void **state)
{
    (void)state;
    dice_seed();
    for (int game = 0; game < GAMES; game++)
        play();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(at_random_each_mode_gets_what_it_is_promised),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
