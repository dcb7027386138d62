#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "consumer/telegram/bot.h"
#include "tests/unit/consumer/telegram/bot_fixture.h"

static void each_command_is_answered_in_the_language_of_its_sender(void **state)
{
    (void)state;
    quoted("BTC/USD", "1034.50");
    writes_in("es", 7, "/ayuda");
    assert_true(holds(next_text(), "/alerta SÍMBOLO"));
    writes_in("en-GB", 7, "/ayuda");
    assert_true(holds(next_text(), "/alert SYMBOL"));
    writes_in("de", 7, "/start");
    assert_true(holds(next_text(), "/alert SYMBOL"));
    writes_in(NULL, 7, "/help");
    assert_true(holds(next_text(), "/alert SYMBOL"));
    writes_in(NULL, 7, "/start");
    assert_true(holds(next_text(), "/alerta SÍMBOLO"));
    writes_in("es", 7, "/precio btc/usd");
    assert_string_equal(next_text(), "BTC/USD 1034.50");
    writes_in("es", 7, "/precio ETH");
    assert_string_equal(next_text(), "De ETH no ha llegado ninguna cotización.");
    writes_in("en", 7, "/price ETH");
    assert_string_equal(next_text(), "No quote of ETH has ever come.");
    writes_in("en", 7, "/alert BTC/USD > 2000");
    assert_string_equal(next_text(), "Alert 1: BTC/USD > 2000.\nNow: BTC/USD 1034.50");
    writes_in("es", 7, "/alertas");
    assert_string_equal(next_text(), "Alertas:\n1. BTC/USD > 2000");
    writes_in("es", 7, "/borrar 1");
    assert_string_equal(next_text(), "Borrada la alerta 1: BTC/USD > 2000");
    writes_in("en", 7, "/delete 1");
    assert_true(holds(next_text(), "There is no alert 1"));
    writes_in("es", 7, "hola");
    assert_true(holds(next_text(), "/ayuda"));
    writes_in("en", 7, "/alert BTC/USD");
    assert_true(holds(next_text(), "For example: /alert BTC/USD > 50000"));
    assert_string_equal(next_text(), "");
}

static void the_language_may_be_settled_by_the_settings(void **state)
{
    (void)state;
    begin(BOT_ENGLISH);
    writes_in("es", 7, "/ayuda");
    assert_true(holds(next_text(), "/alert SYMBOL"));
    begin(BOT_SPANISH);
    writes_in("en", 7, "/help");
    assert_true(holds(next_text(), "/alerta SÍMBOLO"));
}

static void in_a_group_only_our_commands_are_answered(void **state)
{
    (void)state;
    writes(-7, "hola");
    writes(-7, "/nada");
    writes(-7, "/ayuda@other_bot");
    assert_string_equal(next_text(), "");
    writes(-7, "/ayuda@pregon_bot");
    assert_true(holds(next_text(), "/alerta"));
    assert_int_equal(bot_ledger(bot)->next_update, update);
}

static void a_crossing_is_sent_once_and_not_before_the_price_went_back(void **state)
{
    (void)state;
    writes(7, "/alerta BTC/USD > 50000");
    next_text();
    quoted("BTC/USD", "49999");
    quoted("BTC", "60000");
    assert_string_equal(next_text(), "");
    quoted("BTC/USD", "50000.01");
    quoted("BTC/USD", "50002");
    assert_string_equal(next_text(), "Alerta 1: BTC/USD > 50000. Precio: 50000.01");
    quoted("BTC/USD", "49999");
    quoted("BTC/USD", "50003");
    assert_string_equal(next_text(), "");
    writes(7, "/alertas");
    assert_string_equal(next_text(), "Alertas:\n1. BTC/USD > 50000 (avisada)");
    quoted("BTC/USD", "49000");
    quoted("BTC/USD", "50004");
    assert_string_equal(next_text(), "Alerta 1: BTC/USD > 50000. Precio: 50004");
}

static void an_alert_that_is_true_already_is_sent_at_once_and_once(void **state)
{
    struct lastprice p;

    (void)state;
    quoted("BTC", "60000");
    p = price("BTC", "60001");
    bot_take_price(bot, &p); /* the other connection has a higher position */
    writes(7, "/alerta BTC > 50000");
    assert_true(holds(next_text(), "Ahora: BTC 60001"));
    assert_true(holds(next_text(), "Precio: 60001"));
    bot_take_record(bot, &p);
    quoted("BTC", "60002");
    assert_string_equal(next_text(), "");
}

static void an_update_that_comes_again_is_answered_once(void **state)
{
    (void)state;
    writes(7, "/ayuda");
    update--;
    writes(7, "/ayuda");
    update -= 1;
    takes_over();
    writes(7, "/ayuda");
    assert_true(holds(next_text(), "/alerta"));
    assert_string_equal(next_text(), "");
}

static void a_new_numbering_of_updates_is_not_taken_for_repetition(void **state)
{
    (void)state;
    update = 900000000;
    writes(7, "/ayuda");
    next_text();
    update = 5;
    writes(7, "/ayuda");
    assert_true(holds(next_text(), "/alerta"));
    assert_int_equal(bot_ledger(bot)->next_update, 6);
}

static void a_new_numbering_gives_no_second_answer_to_an_update_whose_answer_waits(void **state)
{
    (void)state;
    update = 5;
    writes(7, "/ayuda");
    update = 900000000;
    writes(7, "/ayuda");
    update = 5;
    writes(7, "/ayuda");
    assert_int_equal(bot_ledger(bot)->answer_count, 2);
    takes_over();
    assert_int_equal(bot_ledger(bot)->answer_count, 2);
}

static void a_successor_goes_on_where_the_value_ends(void **state)
{
    (void)state;
    writes(7, "/alerta BTC > 50000");
    writes(7, "/ayuda");
    takes_over();
    assert_true(holds(next_text(), "Alerta 1: BTC > 50000."));
    takes_over();
    assert_true(holds(next_text(), "/alertas"));
    quoted("BTC", "50001");
    takes_over();
    assert_string_equal(next_text(), "Alerta 1: BTC > 50000. Precio: 50001");
    takes_over();
    quoted("BTC", "50002");
    assert_string_equal(next_text(), "");
}

static void records_that_a_successor_receives_again_are_not_judged_again(void **state)
{
    struct lastprice up, down;

    (void)state;
    writes(7, "/alerta BTC > 50000");
    next_text();
    up = price("BTC", "50001");
    down = price("BTC", "1");
    bot_take_record(bot, &up);
    bot_take_record(bot, &down);
    assert_true(holds(next_text(), "Precio"));
    takes_over();
    bot_take_record(bot, &up);
    bot_take_record(bot, &down);
    assert_string_equal(next_text(), "");
    quoted("BTC", "50002");
    assert_true(holds(next_text(), "Precio: 50002"));
}

static void commands_of_a_chat_that_floods_are_dropped_and_counted(void **state)
{
    (void)state;
    for (int i = 0; i < BOT_ANSWERS_PER_CHAT + 5; i++)
        writes(7, "/alertas");
    writes(8, "/alertas");
    assert_int_equal(bot_counts(bot)->dropped, 5);
    assert_int_equal(unsent(), BOT_ANSWERS_PER_CHAT + 1);
}

static void alerts_per_chat_are_bounded_and_the_answer_says_so(void **state)
{
    (void)state;
    writes(7, "/alerta A > 1");
    writes(7, "/alerta A > 1.0");
    writes(7, "/alerta B > 1");
    writes(7, "/alerta C > 1");
    writes(7, "/alerta D > 1");
    next_text();
    assert_true(holds(next_text(), "Ya está: alerta 1: A > 1"));
    next_text();
    next_text();
    assert_true(holds(next_text(), "tiene 3 alertas"));
    assert_int_equal(bot_ledger(bot)->alert_count, 3);
}

/* 46 KiB of alerts are all that a bot keeps. */
static void a_bot_that_is_full_says_so_and_takes_no_alert(void **state)
{
    const struct bot_settings settings = {
        .language = BOT_AUTO, .margin = 100000, .alerts_per_chat = 100000};
    size_t count;
    char command[100];

    (void)state;
    bot_free(bot);
    bot = bot_new(&settings);
    for (unsigned i = 0; !unsent() || !holds(next_text(), "está lleno"); i++) {
        count = bot_ledger(bot)->alert_count;
        assert_true(i < 5000);
        far += 100000;
        snprintf(command, sizeof command, "/alerta ABCDEFGHIJKLMNOPQRST > %u.5", i + 1);
        writes(7, command);
    }
    assert_int_equal(bot_ledger(bot)->alert_count, count);
    assert_true(count > 100);
}

static void chats_that_are_not_listed_are_not_answered(void **state)
{
    static const int64_t chats[] = {7, -8};
    const struct bot_settings settings = {.alerts_per_chat = 3, .chats = chats, .chat_count = 2};

    (void)state;
    bot_free(bot);
    bot = bot_new(&settings);
    writes(9, "/ayuda");
    assert_string_equal(next_text(), "");
    assert_int_equal(bot_counts(bot)->not_allowed, 1);
    writes(-8, "/ayuda");
    assert_true(holds(next_text(), "/alerta"));
}

static void the_first_update_may_have_the_number_zero(void **state)
{
    (void)state;
    assert_true(take("{\"update_id\":0}"));
    assert_int_equal(bot_ledger(bot)->next_update, 1);
}

static void updates_of_every_shape_are_taken_and_only_messages_answered(void **state)
{
    static const char *const rows[] = {
        "{}",
        "{\"update_id\":\"7\"}",
        "{\"update_id\":-1}",
        "{\"update_id\":2000}",
        "{\"update_id\":2001,\"message\":7}",
        "{\"update_id\":2002,\"message\":{}}",
        "{\"update_id\":2003,\"message\":{\"chat\":{},\"text\":\"/ayuda\"}}",
        "{\"update_id\":2004,\"message\":{\"chat\":{\"id\":7,\"type\":\"private\"}}}",
        "{\"update_id\":2005,\"message\":{\"chat\":{\"id\":7,\"type\":\"private\"},"
        "\"text\":7}}",
        "{\"update_id\":2006,\"edited_message\":{\"chat\":{\"id\":7,\"type\":"
        "\"private\"},"
        "\"text\":\"/ayuda\"}}",
        "{\"update_id\":2007,\"message\":{\"chat\":{\"id\":7,\"type\":\"channel\"},"
        "\"text\":\"x\"}}",
        "[]",
        "7",
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_true(take(rows[i]));
    assert_string_equal(next_text(), "");
    assert_int_equal(bot_ledger(bot)->next_update, 2008);
}

static void a_crossing_that_was_not_sent_is_replaced_by_the_next_one(void **state)
{
    (void)state;
    writes(7, "/alerta A > 1");
    next_text();
    quoted("A", "2");
    quoted("A", "0.5");
    quoted("A", "3");
    assert_int_equal(bot_counts(bot)->superseded, 1);
    assert_true(holds(next_text(), "Precio: 3"));
    assert_string_equal(next_text(), "");
}

static void a_symbol_whose_feed_is_silent_is_said_to_be(void **state)
{
    struct lastprice p = price("A", "2");

    (void)state;
    bot_take_price(bot, &p);
    bot_set_stale(bot, "A", EPOCH, ++seq, true);
    writes(7, "/precio A");
    assert_true(holds(next_text(), "A 2. Sin novedades"));
    bot_set_stale(bot, "A", EPOCH, ++seq, false);
    writes(7, "/precio A");
    assert_string_equal(next_text(), "A 2");
}

static void a_list_of_alerts_passes_over_free_numbers_and_ends_before_it_is_too_long(void **state)
{
    const struct bot_settings settings = {
        .language = BOT_AUTO, .margin = 100000, .alerts_per_chat = 1000};
    const char *list;
    char command[100];

    (void)state;
    writes(7, "/alerta A > 1");
    writes(7, "/alerta B > 1");
    writes(7, "/borrar 1");
    writes(7, "/alertas");
    next_text(), next_text(), next_text();
    assert_string_equal(next_text(), "Alertas:\n2. B > 1");
    bot_free(bot);
    bot = bot_new(&settings);
    for (int i = 0; i < 150; i++) {
        snprintf(command, sizeof command, "/alerta ABCDEFGHIJKLMNOPQRST > %d", i);
        writes(7, command);
        next_text();
    }
    writes(7, "/alertas");
    list = next_text();
    assert_true(strlen(list) <= LEDGER_TEXT_MAX);
    assert_true(holds(list, "\n…"));
}

static void a_deleted_alert_is_not_told_and_its_send_ends_nothing_else(void **state)
{
    struct bot_send old = {0};

    (void)state;
    writes(7, "/alerta A > 1");
    next_text();
    quoted("A", "2");
    assert_true(bot_next(bot, far, &old));
    writes(7, "/borrar 1");
    writes(7, "/alerta B > 1");
    next_text();
    next_text();
    quoted("B", "2");
    assert_true(bot_next(bot, far += 100000, &sending));
    bot_sent(bot, &old, DELIVERY_SENT, 0, far);
    bot_sent(bot, &sending, DELIVERY_NOT_SENT, 0, far);
    assert_true(holds(next_text(), "Alerta 1: B > 1. Precio: 2"));
    buf_free(&old.text);
}

static void a_new_log_judges_its_first_price_and_forgets_old_positions(void **state)
{
    struct lastprice p;

    (void)state;
    seq = 500;
    writes(7, "/alerta A > 1");
    next_text();
    quoted("A", "0.5");
    seq = 0;
    p = price("A", "2");
    p.epoch = EPOCH + 1;
    bot_take_record(bot, &p);
    assert_true(holds(next_text(), "Precio: 2"));
    assert_int_equal(bot_ledger(bot)->epoch, EPOCH + 1);
}

static void a_value_nobody_can_read_changes_nothing(void **state)
{
    (void)state;
    writes(7, "/alerta A > 1");
    assert_int_equal(bot_load(bot, SPAN("garbage")), ERR_MALFORMED);
    assert_int_equal(bot_ledger(bot)->alert_count, 1);
    assert_int_equal(bot_load(bot, SPAN("")), OK);
    assert_int_equal(bot_ledger(bot)->alert_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
        T(each_command_is_answered_in_the_language_of_its_sender),
        T(the_language_may_be_settled_by_the_settings),
        T(in_a_group_only_our_commands_are_answered),
        T(a_crossing_is_sent_once_and_not_before_the_price_went_back),
        T(an_alert_that_is_true_already_is_sent_at_once_and_once),
        T(an_update_that_comes_again_is_answered_once),
        T(a_new_numbering_of_updates_is_not_taken_for_repetition),
        T(a_new_numbering_gives_no_second_answer_to_an_update_whose_answer_waits),
        T(a_successor_goes_on_where_the_value_ends),
        T(records_that_a_successor_receives_again_are_not_judged_again),
        T(commands_of_a_chat_that_floods_are_dropped_and_counted),
        T(alerts_per_chat_are_bounded_and_the_answer_says_so),
        T(a_bot_that_is_full_says_so_and_takes_no_alert),
        T(chats_that_are_not_listed_are_not_answered),
        T(the_first_update_may_have_the_number_zero),
        T(updates_of_every_shape_are_taken_and_only_messages_answered),
        T(a_crossing_that_was_not_sent_is_replaced_by_the_next_one),
        T(a_symbol_whose_feed_is_silent_is_said_to_be),
        T(a_list_of_alerts_passes_over_free_numbers_and_ends_before_it_is_too_long),
        T(a_deleted_alert_is_not_told_and_its_send_ends_nothing_else),
        T(a_new_log_judges_its_first_price_and_forgets_old_positions),
        T(a_value_nobody_can_read_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
