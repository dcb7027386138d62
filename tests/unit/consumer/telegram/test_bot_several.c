/* A bot with alerts and answers of several chats: each is found, and none is taken for another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/consumer/telegram/bot_fixture.h"

/* Three chats with an alert each, whose answers are sent. */
static void three_alerts(void)
{
    writes(7, "/alerta A > 1"), writes(8, "/alerta B > 1"), writes(9, "/alerta C > 1");
    for (int i = 0; i < 3; i++)
        assert_true(holds(next_text(), "Alerta 1"));
    assert_string_equal(next_text(), "");
    far += 100000;
}

static void alerts_of_several_chats_are_sent_in_turns(void **state)
{
    (void)state;
    three_alerts();
    quoted("A", "2"), quoted("C", "2");
    assert_int_equal(unsent(), 2);
    assert_int_equal(bot_wait(bot, far), 0);
    assert_true(bot_next(bot, far, &sending));
    assert_true(sending.is_alert && sending.chat == 7 && sending.number == 1);
    bot_sent(bot, &sending, DELIVERY_SENT, 0, far);
    quoted("A", "0.5"), quoted("A", "2"); /* due again, but the other chats come first */
    quoted("B", "2");
    assert_true(bot_next(bot, far + 2000, &sending));
    assert_int_equal(sending.chat, 8);
    bot_sent(bot, &sending, DELIVERY_SENT, 0, far + 2000);
    assert_true(bot_next(bot, far + 2000, &sending));
    assert_int_equal(sending.chat, 9);
    bot_sent(bot, &sending, DELIVERY_SENT, 0, far + 2000);
    assert_true(bot_next(bot, far + 2000, &sending));
    assert_int_equal(sending.chat, 7);
    bot_sent(bot, &sending, DELIVERY_SENT, 0, far + 2000);
    assert_false(bot_next(bot, far + 9000, &sending));
    assert_int_equal(unsent(), 0);
    assert_int_equal(bot_counts(bot)->alerted, 4);
    assert_int_equal(bot_counts(bot)->answered, 3);
}

static void the_wait_is_that_of_the_message_which_may_be_sent_first(void **state)
{
    (void)state;
    three_alerts();
    assert_int_equal(bot_wait(bot, far), -1);
    quoted("B", "2"), quoted("C", "2");
    assert_int_equal(bot_wait(bot, far), 0);
    assert_true(bot_next(bot, far, &sending));
    assert_int_equal(sending.chat, 8);
    assert_int_equal(bot_wait(bot, far), 0); /* C's; B's is being sent */
    assert_true(bot_next(bot, far, &sending));
    assert_int_equal(sending.chat, 9);
    assert_int_equal(bot_wait(bot, far), -1);
    bot_sent(bot, &sending, DELIVERY_NOT_SENT, 4000, far);
    assert_int_equal(bot_wait(bot, far), 4000);
    assert_int_equal(bot_wait(bot, far + 3999), 1);
    assert_int_equal(bot_wait(bot, far + 4000), 0);
    writes(7, "/ayuda");
    assert_true(bot_next(bot, far + 4000, &sending)); /* answers come first */
    assert_false(sending.is_alert);
}

static void a_chat_gets_nothing_else_while_its_second_alert_is_being_sent(void **state)
{
    (void)state;
    three_alerts();
    quoted("B", "2");
    assert_true(bot_next(bot, far, &sending));
    assert_true(sending.is_alert && sending.chat == 8);
    writes(8, "/ayuda");
    assert_int_equal(bot_wait(bot, far), -1);
    assert_false(bot_next(bot, far + 9000, &sending));
    bot_sent(bot, &sending, DELIVERY_SENT, 0, far);
    assert_true(bot_next(bot, far + 9000, &sending));
}

static void a_message_that_may_go_now_waits_for_no_other_chat(void **state)
{
    (void)state;
    for (int refused = 7; refused < 9; refused++) {
        three_alerts();
        quoted("A", "2"), quoted("B", "2");
        while (bot_next(bot, far, &sending))
            bot_sent(bot, &sending, sending.chat == refused ? DELIVERY_NOT_SENT : DELIVERY_SENT,
                     sending.chat == refused ? 9000 : 0, far);
        assert_int_equal(bot_wait(bot, far), 9000);
        quoted("A", "0.5"), quoted("B", "0.5"), quoted("A", "2"), quoted("B", "2");
        assert_int_equal(bot_wait(bot, far + 5000), 0);
        begin(BOT_AUTO);
    }
}

static void a_price_is_judged_for_each_alert_on_its_symbol(void **state)
{
    (void)state;
    writes(7, "/alerta A > 1"), writes(8, "/alerta A > 1"), writes(9, "/alerta A > 1");
    while (bot_next(bot, far += 100000, &sending))
        bot_sent(bot, &sending, DELIVERY_SENT, 0, far);
    quoted("A", "2");
    assert_int_equal(unsent(), 3);
}

static void each_answer_of_several_chats_is_looked_at(void **state)
{
    (void)state;
    writes(7, "/ayuda"), writes(8, "/ayuda"), writes(9, "/ayuda");
    for (int chat = 7; chat < 10; chat++) {
        assert_int_equal(bot_wait(bot, far), 0);
        assert_true(bot_next(bot, far, &sending));
        assert_int_equal(sending.chat, chat);
    }
    assert_int_equal(bot_wait(bot, far), -1);
    bot_sent(bot, &sending, DELIVERY_NOT_SENT, 0, far);
    assert_int_equal(unsent(), 3);
    assert_true(bot_next(bot, far + 5000, &sending));
    assert_int_equal(sending.chat, 9);
}

/* A chat gets a message a second: two at once are one too many for a while. */
static void each_message_counts_for_the_pace_of_its_chat(void **state)
{
    int64_t wait;
    int sent = 0;

    (void)state;
    for (int i = 0; i < BOT_ANSWERS_PER_CHAT; i++)
        writes(7, "/ayuda");
    while (bot_next(bot, far, &sending)) {
        bot_sent(bot, &sending, DELIVERY_SENT, 0, far);
        sent++;
    }
    assert_in_range(sent, 1, BOT_ANSWERS_PER_CHAT - 1);
    wait = bot_wait(bot, far);
    assert_in_range(wait, 1, 60000);
    assert_false(bot_next(bot, far + wait - 1, &sending));
    assert_true(bot_next(bot, far + wait, &sending));
}

static void write_in_thread(int64_t chat, int64_t thread, const char *text)
{
    struct buf b = {0};

    buf_printf(&b,
               "{\"update_id\":%llu,\"message\":{\"chat\":{\"id\":%lld,\"type\":\"private\"},"
               "\"is_topic_message\":true,\"message_thread_id\":%lld,\"text\":",
               (unsigned long long)update++, (long long)chat, (long long)thread);
    buf_jsons(&b, text);
    buf_adds(&b, "}}");
    assert_true(take(buf_text(&b)));
    buf_free(&b);
}

static void answers_and_alerts_go_to_the_thread_that_asked_until_it_is_gone(void **state)
{
    (void)state;
    write_in_thread(7, 5, "/alerta A > 1");
    assert_true(bot_next(bot, far += 100000, &sending));
    assert_int_equal(sending.thread, 5);
    bot_sent(bot, &sending, DELIVERY_SENT, 0, far);
    quoted("A", "2");
    assert_true(bot_next(bot, far += 100000, &sending));
    assert_true(sending.is_alert && sending.thread == 5);
    bot_sent(bot, &sending, DELIVERY_NOT_SENT, 0, far);
    bot_forget_thread(bot, 7, 5);
    assert_true(bot_next(bot, far += 100000, &sending));
    assert_true(sending.is_alert && sending.thread == 0 && sending.chat == 7);
}

static void a_chat_that_moved_gets_its_messages_under_its_new_number(void **state)
{
    (void)state;
    three_alerts();
    quoted("B", "2");
    writes(8, "/ayuda");
    bot_move_chat(bot, 8, -88);
    assert_true(bot_next(bot, far, &sending));
    assert_true(sending.chat == -88 && !sending.is_alert);
    bot_sent(bot, &sending, DELIVERY_SENT, 0, far);
    assert_true(bot_next(bot, far += 100000, &sending));
    assert_true(sending.chat == -88 && sending.is_alert);
}

static void a_paused_chat_is_not_waited_for(void **state)
{
    (void)state;
    three_alerts();
    quoted("A", "2"), quoted("B", "2");
    assert_int_equal(unsent(), 2);
    assert_true(bot_pause_chat(bot, 7));
    assert_int_equal(unsent(), 1);
    assert_false(bot_pause_chat(bot, 7));
    assert_true(bot_next(bot, far, &sending));
    assert_int_equal(sending.chat, 8);
}

/* Positions that an alert has seen in the old log do not count in the new one. */
static void a_reset_forgets_the_positions_of_all_alerts(void **state)
{
    uint64_t before;

    (void)state;
    three_alerts();
    seq = 100;
    quoted("A", "0.5"), quoted("B", "0.5"), quoted("C", "0.5");
    bot_take_position(bot, EPOCH, 103);
    assert_int_equal(bot_ledger(bot)->seq, 103);
    bot_take_position(bot, EPOCH + 1, 200); /* of another log */
    assert_int_equal(bot_ledger(bot)->seq, 103);
    before = bot_ledger(bot)->revision;
    bot_take_reset(bot, EPOCH + 1);
    assert_int_equal(bot_ledger(bot)->revision, before + 1);
    assert_int_equal(bot_ledger(bot)->epoch, EPOCH + 1);
    assert_int_equal(bot_ledger(bot)->seq, 0);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(bot_ledger(bot)->alerts[i].seen, 0);
}

/* All that the previous holder was sending may have arrived. */
static void a_successor_takes_every_send_that_was_under_way_for_unknown(void **state)
{
    (void)state;
    three_alerts();
    quoted("A", "2"), quoted("B", "2"), quoted("C", "2");
    for (int i = 0; i < 3; i++)
        assert_true(bot_next(bot, far, &sending));
    takes_over();
    assert_int_equal(unsent(), 3);
    assert_int_equal(bot_counts(bot)->given_up, 0);
    for (int i = 0; i < 3; i++)
        assert_true(holds(next_text(), "(posiblemente repetido) Alerta 1"));
    assert_string_equal(next_text(), "");
    assert_int_equal(bot_counts(bot)->repeated, 3);
    for (int i = 7; i < 10; i++)
        writes(i, "/ayuda");
    far += 100000;
    for (int i = 0; i < 3; i++)
        assert_true(bot_next(bot, far, &sending));
    takes_over();
    for (int i = 0; i < 3; i++)
        assert_true(bot_next(bot, far + 100000, &sending));
    takes_over(); /* sent twice, both times without an answer */
    assert_int_equal(bot_counts(bot)->given_up, 3);
    assert_int_equal(unsent(), 0);
}

static void commands_are_counted_and_change_the_ledger(void **state)
{
    uint64_t before = bot_ledger(bot)->revision;

    (void)state;
    for (unsigned i = 0; i < BOT_ANSWERS_PER_CHAT + 3; i++)
        writes(7, "/ayuda");
    assert_int_equal(bot_counts(bot)->dropped, 3);
    assert_int_equal(unsent(), BOT_ANSWERS_PER_CHAT);
    assert_int_equal(bot_ledger(bot)->next_update, update);
    assert_true(bot_ledger(bot)->revision >= before + BOT_ANSWERS_PER_CHAT + 3);
    before = bot_ledger(bot)->revision;
    writes(7, "hello?");
    assert_true(bot_ledger(bot)->revision > before); /* the update is stored as taken */
    bot_skip_update(bot, update);
    bot_skip_update(bot, update);
    assert_int_equal(bot_counts(bot)->unreadable, 1);
    assert_int_equal(bot_ledger(bot)->next_update, update + 1);
}

static void a_message_without_a_thread_is_answered_in_the_chat(void **state)
{
    (void)state;
    writes(7, "/ayuda");
    assert_true(bot_next(bot, far, &sending));
    assert_int_equal(sending.thread, 0);
    assert_int_equal(sending.update, 1000);
}

static void two_letters_name_a_language(void **state)
{
    (void)state;
    writes_in("es", 7, "/help"), writes_in("e", 8, "/help"), writes_in("ES-ar", 9, "/help");
    assert_true(bot_ledger(bot)->answers[0].is_spanish);
    assert_false(bot_ledger(bot)->answers[1].is_spanish);
    assert_true(bot_ledger(bot)->answers[2].is_spanish);
}

static void a_list_of_chats_is_looked_through_to_its_end(void **state)
{
    static const int64_t chats[] = {7, 8};
    const struct bot_settings settings = {.alerts_per_chat = 3, .chats = chats, .chat_count = 2};

    (void)state;
    bot_free(bot);
    bot = bot_new(&settings);
    writes(7, "/ayuda"), writes(8, "/ayuda"), writes(9, "/ayuda");
    assert_int_equal(unsent(), 2);
    assert_int_equal(bot_counts(bot)->not_allowed, 1);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(alerts_of_several_chats_are_sent_in_turns),
        CASE(the_wait_is_that_of_the_message_which_may_be_sent_first),
        CASE(a_chat_gets_nothing_else_while_its_second_alert_is_being_sent),
        CASE(a_message_that_may_go_now_waits_for_no_other_chat),
        CASE(a_price_is_judged_for_each_alert_on_its_symbol),
        CASE(each_answer_of_several_chats_is_looked_at),
        CASE(each_message_counts_for_the_pace_of_its_chat),
        CASE(answers_and_alerts_go_to_the_thread_that_asked_until_it_is_gone),
        CASE(a_chat_that_moved_gets_its_messages_under_its_new_number),
        CASE(a_paused_chat_is_not_waited_for),
        CASE(a_reset_forgets_the_positions_of_all_alerts),
        CASE(a_successor_takes_every_send_that_was_under_way_for_unknown),
        CASE(commands_are_counted_and_change_the_ledger),
        CASE(a_message_without_a_thread_is_answered_in_the_chat),
        CASE(two_letters_name_a_language),
        CASE(a_list_of_chats_is_looked_through_to_its_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
