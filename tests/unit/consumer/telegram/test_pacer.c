#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "consumer/telegram/pacer.h"
#include "tests/unit/dice.h"

static struct pacer *pacer;

static int set_up(void **state)
{
    (void)state;
    pacer = pacer_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    pacer_free(pacer);
    pacer_free(NULL);
    return 0;
}

static bool goes(int64_t chat, int64_t now)
{
    if (pacer_wait(pacer, chat, now))
        return false;
    pacer_take(pacer, chat, now);
    return true;
}

static void a_chat_gets_a_burst_of_three_and_then_one_a_second(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        assert_true(goes(7, 1000));
    assert_int_equal(pacer_wait(pacer, 7, 1000), 1000);
    assert_int_equal(pacer_wait(pacer, 8, 1000), 0);
    assert_int_equal(pacer_wait(pacer, 7, 1999), 1);
    assert_true(goes(7, 2000));
    assert_false(goes(7, 2000));
}

/* Several chats, so that each is found among others. */
static void every_chat_has_a_pace_of_its_own(void **state)
{
    (void)state;
    for (int64_t chat = 1; chat <= 3; chat++) {
        int64_t now = 1000 + 250 * (chat - 1); /* all chats together have a pace, too */

        for (int i = 0; i < 3; i++)
            assert_true(goes(chat, now));
        assert_int_equal(pacer_wait(pacer, chat, now), 1000);
    }
    pacer_refused(pacer, 2, 5000, 1600);
    assert_int_equal(pacer_wait(pacer, 1, 1600), 400);
    assert_int_equal(pacer_wait(pacer, 2, 1600), 5000);
    assert_int_equal(pacer_wait(pacer, 3, 1600), 900);
}

#define LOG_MAX 20000
static int64_t sent[LOG_MAX];

/* The most in any window that long. */
static int densest(int count, int64_t window)
{
    int most = 0;

    for (int i = 0, from = 0; i < count; i++) {
        while (sent[i] - sent[from] >= window)
            from++;
        if (i - from + 1 > most)
            most = i - from + 1;
    }
    return most;
}

static void a_group_gets_a_burst_of_five_and_then_one_each_four_seconds(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++)
        assert_true(goes(-7, 1000));
    assert_int_equal(pacer_wait(pacer, -7, 1000), 4000);
    assert_true(goes(-7, 5000));
    assert_int_equal(pacer_wait(pacer, -7, 5000), 4000);
}

static void no_minute_of_a_group_holds_more_than_twenty(void **state)
{
    int count = 0;

    (void)state;
    for (int64_t now = 0; now < 600000; now += 50)
        if (goes(-7, now))
            sent[count++] = now;
    assert_in_range(densest(count, 60000), 15, 20);
}

static void no_second_holds_more_than_thirty_in_all(void **state)
{
    int count = 0;

    (void)state;
    dice_seed();
    for (int64_t now = 0; now < 60000; now += dice(20))
        for (int64_t chat = 1; chat <= 200; chat++)
            if (goes(chat, now))
                sent[count++] = now;
    assert_in_range(densest(count, 1000), 20, 25);
    assert_true(count > 60 * 15);
}

static void the_wait_it_tells_is_enough_and_not_a_millisecond_too_long(void **state)
{
    int64_t now = 0;

    (void)state;
    dice_seed();
    for (int i = 0; i < 5000; i++) {
        int64_t chat = (int64_t)dice(6) - 3, wait = pacer_wait(pacer, chat, now);

        if (wait) {
            assert_true(pacer_wait(pacer, chat, now + wait - 1) > 0);
            now += wait;
        }
        assert_true(goes(chat, now));
        now += dice(100);
    }
}

static void retry_after_holds_over_everything(void **state)
{
    (void)state;
    pacer_refused(pacer, 7, 5000, 1000);
    assert_int_equal(pacer_wait(pacer, 7, 1000), 5000);
    assert_int_equal(pacer_wait(pacer, 8, 1000), 0);
    assert_false(goes(7, 5999));
    assert_true(goes(7, 6000));
}

static void two_chats_refused_at_once_hold_all_back(void **state)
{
    (void)state;
    pacer_refused(pacer, 7, 5000, 1000);
    pacer_refused(pacer, 7, 5000, 1000);
    assert_int_equal(pacer_wait(pacer, 9, 1000), 0);
    pacer_refused(pacer, 8, 3000, 2000);
    assert_int_equal(pacer_wait(pacer, 9, 2000), 3000);
    assert_true(goes(9, 5000));
}

static void chats_that_are_quiet_are_forgotten(void **state)
{
    (void)state;
    for (int64_t i = 0; i < 10000; i++) {
        assert_int_equal(pacer_wait(pacer, i + 1, i * 50), 0);
        pacer_take(pacer, i + 1, i * 50);
    }
    assert_in_range(pacer_count(pacer), 1, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
        T(a_chat_gets_a_burst_of_three_and_then_one_a_second),
        T(every_chat_has_a_pace_of_its_own),
        T(a_group_gets_a_burst_of_five_and_then_one_each_four_seconds),
        T(no_minute_of_a_group_holds_more_than_twenty),
        T(no_second_holds_more_than_thirty_in_all),
        T(the_wait_it_tells_is_enough_and_not_a_millisecond_too_long),
        T(retry_after_holds_over_everything),
        T(two_chats_refused_at_once_hold_all_back),
        T(chats_that_are_quiet_are_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
