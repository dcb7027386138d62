/* Each change of the ledger affects only its own alerts and answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "consumer/telegram/ledger.h"

static struct ledger ledger;

static int set_up(void **state)
{
    (void)state;
    ledger_init(&ledger);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    ledger_fini(&ledger);
    assert_true(!ledger.alerts && !ledger.answers && !ledger.alert_count);
    return 0;
}

static struct alert *add(int64_t chat, int64_t thread, const char *symbol, const char *threshold)
{
    struct alert a = {.chat = chat, .thread = thread, .is_armed = true}, *out = NULL;

    span_copy(a.symbol, sizeof a.symbol, span_of(symbol));
    span_copy(a.threshold, sizeof a.threshold, span_of(threshold));
    assert_int_equal(ledger_add_alert(&ledger, &a, &out), OK);
    return out;
}

static void answer(uint64_t update, int64_t chat, int64_t thread)
{
    assert_int_equal(ledger_add_answer(&ledger, update, chat, thread, false, SPAN("text")), OK);
}

/* All as text: "SYMBOL chat.thread#number pending next …| update chat.thread …" */
static const char *all(void)
{
    static char text[1024];
    size_t len = 0;

    text[0] = '\0';
    for (size_t i = 0; i < ledger.alert_count; i++) {
        const struct alert *a = &ledger.alerts[i];

        len += (size_t)snprintf(text + len, sizeof text - len, "%s %lld.%lld#%u%s%s%s%s%s ",
                                a->symbol, (long long)a->chat, (long long)a->thread, a->number,
                                a->is_paused ? " paused" : "", a->pending[0] ? " pending " : "",
                                a->pending, a->next[0] ? " next " : "", a->next);
    }
    for (size_t i = 0; i < ledger.answer_count; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "| %llu %lld.%lld",
                                (unsigned long long)ledger.answers[i].update,
                                (long long)ledger.answers[i].chat,
                                (long long)ledger.answers[i].thread);
    return text;
}

static void fill(void)
{
    add(1, 5, "A", "1"), add(2, 5, "A", "1"), add(1, 6, "B", "1"), add(1, 5, "C", "1");
    add(2, 0, "B", "2");
    answer(10, 1, 5), answer(11, 2, 5), answer(12, 1, 6), answer(13, 1, 5);
    assert_string_equal(all(), "A 1.5#1 A 2.5#1 B 1.6#2 B 2.0#2 C 1.5#3 "
                               "| 10 1.5| 11 2.5| 12 1.6| 13 1.5");
}

static void an_alert_or_answer_is_found_wherever_it_stands(void **state)
{
    (void)state;
    fill();
    for (size_t i = 0; i < ledger.alert_count; i++)
        assert_ptr_equal(ledger_find_alert(&ledger, ledger.alerts[i].chat, ledger.alerts[i].number),
                         &ledger.alerts[i]);
    for (size_t i = 0; i < ledger.answer_count; i++)
        assert_ptr_equal(ledger_find_answer(&ledger, ledger.answers[i].update), &ledger.answers[i]);
    assert_null(ledger_find_alert(&ledger, 1, 4));
    assert_null(ledger_find_alert(&ledger, 3, 1));
    assert_null(ledger_find_answer(&ledger, 14));
    assert_int_equal(ledger_alerts_of(&ledger, 1), 3);
    assert_int_equal(ledger_alerts_of(&ledger, 2), 2);
    assert_int_equal(ledger_alerts_of(&ledger, 3), 0);
    assert_int_equal(ledger_answers_of(&ledger, 1), 3);
    assert_int_equal(ledger_answers_of(&ledger, 2), 1);
}

static void what_stands_behind_a_removed_one_moves_up(void **state)
{
    (void)state;
    fill();
    ledger_remove_alert(&ledger, &ledger.alerts[1]);
    ledger_remove_answer(&ledger, &ledger.answers[1]);
    assert_string_equal(all(), "A 1.5#1 B 1.6#2 B 2.0#2 C 1.5#3 | 10 1.5| 12 1.6| 13 1.5");
}

static void a_chat_that_moves_takes_all_that_is_its_own(void **state)
{
    uint64_t before;

    (void)state;
    fill();
    before = ledger.revision;
    ledger_move_chat(&ledger, 1, 9);
    assert_string_equal(all(), "A 9.5#1 A 2.5#1 B 9.6#2 B 2.0#2 C 9.5#3 "
                               "| 10 9.5| 11 2.5| 12 9.6| 13 9.5");
    assert_int_equal(ledger.revision, before + 1);
    /* Two of the same are one, and a number that is taken is another: the lowest free one. */
    ledger_move_chat(&ledger, 9, 2);
    assert_string_equal(all(), "A 2.5#1 B 2.6#3 B 2.0#2 C 2.5#4 | 10 2.5| 11 2.5| 12 2.6| 13 2.5");
    ledger_move_chat(&ledger, 2, 2);
    assert_string_equal(all(), "A 2.5#1 B 2.6#3 B 2.0#2 C 2.5#4 | 10 2.5| 11 2.5| 12 2.6| 13 2.5");
}

static void a_thread_is_forgotten_in_its_chat_only(void **state)
{
    uint64_t before;

    (void)state;
    fill();
    before = ledger.revision;
    ledger_forget_thread(&ledger, 1, 5);
    assert_string_equal(all(), "A 1.0#1 A 2.5#1 B 1.6#2 B 2.0#2 C 1.0#3 "
                               "| 10 1.0| 11 2.5| 12 1.6| 13 1.0");
    assert_int_equal(ledger.revision, before + 1);
}

static void a_pause_drops_what_was_to_be_sent_unless_it_is_under_way(void **state)
{
    uint64_t before;

    (void)state;
    add(1, 0, "A", "1"), add(2, 0, "A", "1"), add(1, 0, "B", "1");
    for (int i = 0; i < 3; i++) {
        strcpy(ledger.alerts[i].pending, "5");
        strcpy(ledger.alerts[i].next, "6");
    }
    ledger.alerts[2].delivery.is_sending = true;
    before = ledger.revision;
    assert_false(ledger_pause_chat(&ledger, 3, true));
    assert_false(ledger_pause_chat(&ledger, 1, false));
    assert_int_equal(ledger.revision, before);
    assert_true(ledger_pause_chat(&ledger, 1, true));
    assert_string_equal(all(), "A 1.0#1 paused A 2.0#1 pending 5 next 6 B 1.0#2 paused pending 5 ");
    assert_int_equal(ledger.revision, before + 1);
    assert_false(ledger_pause_chat(&ledger, 1, true)); /* it is unchanged */
    strcpy(ledger.alerts[0].pending, "7");
    strcpy(ledger.alerts[0].next, "8");
    assert_true(ledger_pause_chat(&ledger, 1, false));
    assert_string_equal(all(), "A 1.0#1 pending 7 next 8 A 2.0#1 pending 5 next 6 B 1.0#2 "
                               "pending 5 ");
    assert_int_equal(ledger.revision, before + 2);
}

/* An answer counts with 41 bytes more than its text. */
static void answers_are_taken_as_long_as_they_have_room(void **state)
{
    static char text[LEDGER_TEXT_MAX + 1];
    size_t left, count = 0;

    (void)state;
    memset(text, 'x', sizeof text);
    assert_int_equal(ledger_add_answer(&ledger, 1, 1, 0, false, (struct span){text, sizeof text}),
                     ERR_TOO_LARGE);
    while (ledger_has_room(&ledger))
        assert_int_equal(
            ledger_add_answer(&ledger, ++count, 1, 0, false, (struct span){text, LEDGER_TEXT_MAX}),
            OK);
    assert_int_equal(count, LEDGER_ANSWER_BYTES_MAX / (LEDGER_TEXT_MAX + 41));
    assert_int_equal(ledger.revision, count);
    left = LEDGER_ANSWER_BYTES_MAX - ledger.answer_bytes;
    assert_int_equal(ledger.answer_bytes, count * (LEDGER_TEXT_MAX + 41));
    assert_true(left >= 41 && left < LEDGER_TEXT_MAX + 41);
    assert_int_equal(ledger_add_answer(&ledger, 98, 1, 0, false, (struct span){text, left - 40}),
                     ERR_FULL);
    assert_int_equal(ledger_add_answer(&ledger, 99, 1, 0, false, (struct span){text, left - 41}),
                     OK);
    assert_int_equal(ledger.answer_bytes, LEDGER_ANSWER_BYTES_MAX);
    ledger_remove_answer(&ledger, ledger_find_answer(&ledger, 99));
    ledger_remove_answer(&ledger, ledger_find_answer(&ledger, 1));
    assert_int_equal(ledger_add_answer(&ledger, 99, 1, 0, false, (struct span){text, left - 41}),
                     OK);
    assert_true(ledger_has_room(&ledger)); /* for exactly one more of the longest */
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(an_alert_or_answer_is_found_wherever_it_stands),
        CASE(what_stands_behind_a_removed_one_moves_up),
        CASE(a_chat_that_moves_takes_all_that_is_its_own),
        CASE(a_thread_is_forgotten_in_its_chat_only),
        CASE(a_pause_drops_what_was_to_be_sent_unless_it_is_under_way),
        CASE(answers_are_taken_as_long_as_they_have_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
