#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "consumer/telegram/bot.h"
#include "tests/unit/consumer/telegram/bot_fixture.h"

static void what_was_being_sent_is_sent_once_more_with_a_mark_and_then_given_up(void **state)
{
    (void)state;
    writes(7, "/alerta BTC > 50000");
    writes_in("en", 8, "/help");
    quoted("BTC", "50001");
    /* 7's answer, 8's answer; 7's alert waits for its answer. */
    assert_true(bot_next(bot, far, &sending));
    assert_true(bot_next(bot, far, &sending));
    assert_false(bot_next(bot, far, &sending));
    takes_over();
    assert_true(holds(next_text(), "(posiblemente repetido) Alerta 1"));
    assert_true(bot_next(bot, far, &sending));
    assert_true(holds(buf_text(&sending.text), "(possibly repeated) Pregón"));
    far += 100000;
    assert_true(bot_next(bot, far, &sending));
    assert_string_equal(buf_text(&sending.text), "Alerta 1: BTC > 50000. Precio: 50001");
    takes_over();
    assert_int_equal(bot_counts(bot)->given_up, 1);
    assert_string_equal(next_text(),
                        "(posiblemente repetido) Alerta 1: BTC > 50000. Precio: 50001");
    assert_string_equal(next_text(), "");
}

static void what_was_not_sent_waits_as_long_as_telegram_says(void **state)
{
    (void)state;
    writes(7, "/ayuda");
    assert_true(bot_next(bot, 1000, &sending));
    assert_int_equal(bot_wait(bot, 1000), -1);
    bot_sent(bot, &sending, DELIVERY_NOT_SENT, 5000, 1000);
    assert_int_equal(bot_wait(bot, 1000), 5000);
    assert_string_equal(next_text_at(5999), "");
    assert_true(holds(next_text_at(6000), "Pregón"));
    assert_int_equal(bot_wait(bot, 6000), -1);
    assert_int_equal(unsent(), 0);
}

/* A message in progress delays only the messages of its own chat. */
static void an_alert_that_is_being_sent_holds_up_its_own_chat_only(void **state)
{
    (void)state;
    writes(7, "/alerta BTC > 50000");
    assert_true(holds(next_text(), "Alerta 1"));
    writes(8, "/alerta BTC > 60000");
    assert_true(holds(next_text(), "Alerta 1"));
    far += 100000;
    quoted("BTC", "50001");
    assert_true(bot_next(bot, far, &sending));
    assert_int_equal(sending.chat, 7);
    writes(7, "/ayuda");
    assert_false(bot_next(bot, far, &sending));
    writes(8, "/ayuda");
    assert_true(bot_next(bot, far, &sending));
    assert_int_equal(sending.chat, 8);
}

static void what_is_refused_for_good_is_dropped_and_counted(void **state)
{
    (void)state;
    writes(7, "/ayuda");
    assert_true(bot_next(bot, far, &sending));
    bot_sent(bot, &sending, DELIVERY_REFUSED, 0, far);
    assert_string_equal(next_text(), "");
    assert_int_equal(bot_counts(bot)->refused, 1);
}

static void one_chat_gets_its_messages_in_order_one_at_a_time(void **state)
{
    struct bot_send second = {0};

    (void)state;
    writes(7, "/alerta A > 1");
    writes(7, "/alerta B > 1");
    assert_true(bot_next(bot, far, &sending));
    assert_false(bot_next(bot, far, &second));
    bot_sent(bot, &sending, DELIVERY_SENT, 0, far);
    assert_true(bot_next(bot, far, &second));
    assert_true(holds(buf_text(&second.text), "B > 1"));
    buf_free(&second.text);
}

static void updates_wait_when_there_is_no_room_for_answers(void **state)
{
    int64_t chat = 1;

    (void)state;
    while (writes_in("es", chat, "/ayuda"))
        chat++;
    assert_true(chat > 20);
    assert_int_equal(bot_ledger(bot)->next_update, update);
    while (*next_text())
        ;
    assert_int_equal(bot_counts(bot)->answered, chat - 1);
    assert_true(writes_in("es", chat, "/ayuda"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
        T(what_was_being_sent_is_sent_once_more_with_a_mark_and_then_given_up),
        T(what_was_not_sent_waits_as_long_as_telegram_says),
        T(an_alert_that_is_being_sent_holds_up_its_own_chat_only),
        T(what_is_refused_for_good_is_dropped_and_counted),
        T(one_chat_gets_its_messages_in_order_one_at_a_time),
        T(updates_wait_when_there_is_no_room_for_answers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
