/* How the end of a sendMessage is taken: what is sent again, what is dropped, what stops. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/consumer/telegram/active_fixture.h"

/* A message of chat 7 is being answered, and the answer is under way. */
static void send_to_seven(void)
{
    on_air();
    writes(700, 7, "/help");
    value_is_put(PREGON_OK);
    assert_int_equal(under_way(CALL_SEND)->chat, 7);
}

static size_t waiting(void)
{
    return bot_ledger(active.bot)->answer_count;
}

static void what_telegram_took_is_done(void **state)
{
    (void)state;
    send_to_seven();
    assert_false(active_send_is_idle(&active));
    ok(CALL_SEND, "{}");
    assert_int_equal(waiting(), 0);
    assert_true(active_send_is_idle(&active));
    assert_int_equal(bot_counts(active.bot)->answered, 1);
}

static void a_refused_message_is_dropped_and_the_rest_goes_on(void **state)
{
    static const int codes[] = {400, 402, 403, 405};

    (void)state;
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        send_to_seven();
        refused(CALL_SEND, codes[i], "message is too long");
        assert_int_equal(waiting(), 0);
        assert_int_equal(active.phase, ACTIVE_ON);
        assert_int_equal(bot_counts(active.bot)->refused, 1);
        tear_down(state);
        set_up(state);
    }
}

static void after_a_429_the_message_is_sent_again_when_telegram_says(void **state)
{
    (void)state;
    send_to_seven();
    telegram_answers(CALL_SEND,
                     "{\"ok\":false,\"error_code\":429,\"parameters\":{\"retry_after\":5}}", 429);
    assert_int_equal(waiting(), 1);
    assert_int_equal(active.phase, ACTIVE_ON);
    assert_int_equal(active_send_wait(&active), 5000);
    assert_int_equal(bot_counts(active.bot)->refused, 0);
}

static void a_token_that_is_refused_stops_it_and_keeps_the_message(void **state)
{
    static const int codes[] = {401, 404};

    (void)state;
    for (int i = 0; i < 2; i++) {
        send_to_seven();
        refused(CALL_SEND, codes[i], "Unauthorized");
        assert_int_equal(waiting(), 1);
        assert_true(active.phase == ACTIVE_GONE || active.phase == ACTIVE_LEAVING);
        assert_int_equal(active.code, 1);
        tear_down(state);
        set_up(state);
    }
}

static void a_group_that_became_a_supergroup_gets_the_message_there(void **state)
{
    (void)state;
    send_to_seven();
    telegram_answers(CALL_SEND,
                     "{\"ok\":false,\"error_code\":400,\"description\":\"upgraded to a "
                     "supergroup\",\"parameters\":{\"migrate_to_chat_id\":-77}}",
                     400);
    assert_int_equal(waiting(), 1);
    assert_int_equal(bot_ledger(active.bot)->answers[0].chat, -77);
    assert_int_equal(bot_counts(active.bot)->refused, 0);
}

/* A chat that moved to itself would move for ever. */
static void a_move_to_the_same_chat_is_a_refusal(void **state)
{
    (void)state;
    send_to_seven();
    telegram_answers(CALL_SEND,
                     "{\"ok\":false,\"error_code\":400,\"description\":\"x\","
                     "\"parameters\":{\"migrate_to_chat_id\":7}}",
                     400);
    assert_int_equal(waiting(), 0);
    assert_int_equal(bot_counts(active.bot)->refused, 1);
}

static void a_thread_that_is_gone_is_left_out(void **state)
{
    (void)state;
    on_air();
    writes(700, 7, "/help");
    bot_ledger(active.bot)->answers[0].thread = 5;
    active.sends[0].what.thread = 5;
    value_is_put(PREGON_OK);
    assert_int_equal(under_way(CALL_SEND)->thread, 5);
    refused(CALL_SEND, 400, "message thread not found");
    assert_int_equal(waiting(), 1);
    assert_int_equal(bot_ledger(active.bot)->answers[0].thread, 0);
    assert_int_equal(bot_counts(active.bot)->refused, 0);
    tear_down(state);
    set_up(state);
    send_to_seven(); /* outside of a thread the same text is a refusal */
    refused(CALL_SEND, 400, "message thread not found");
    assert_int_equal(waiting(), 0);
}

static void a_closed_chat_has_its_alerts_paused(void **state)
{
    struct alert a = {.chat = 7, .symbol = "A", .threshold = "1"}, *added;

    (void)state;
    send_to_seven();
    assert_int_equal(ledger_add_alert(bot_ledger(active.bot), &a, &added), OK);
    refused(CALL_SEND, 403, "bot was blocked by the user");
    assert_int_equal(waiting(), 0);
    assert_true(bot_ledger(active.bot)->alerts[0].is_paused);
    tear_down(state);
    set_up(state);
    send_to_seven();
    assert_int_equal(ledger_add_alert(bot_ledger(active.bot), &a, &added), OK);
    refused(CALL_SEND, 400, "message is too long");
    assert_false(bot_ledger(active.bot)->alerts[0].is_paused);
}

/* Without contact the message did not arrive; without an answer it may have. */
static void without_an_answer_telegram_must_answer_before_the_next_send(void **state)
{
    static const char *const bodies[] = {"", "timeout"};

    (void)state;
    for (int i = 0; i < 2; i++) {
        send_to_seven();
        telegram_answers(CALL_SEND, bodies[i], 0);
        assert_int_equal(waiting(), 1);
        assert_false(active.is_api_well);
        assert_int_equal(bot_ledger(active.bot)->answers[0].delivery.is_sending, false);
        assert_int_equal(delivery_is_repeat(&bot_ledger(active.bot)->answers[0].delivery), i == 1);
        assert_int_equal(active_send_wait(&active), -1);
        assert_in_range(backoff_wait(&active.api_backoff, now), 1, 60000);
        tear_down(state);
        set_up(state);
    }
}

static void an_answer_to_another_call_is_none_of_its_own(void **state)
{
    struct botapi_answer a = {.ticket = 9999, .verdict = BOTAPI_OK};

    (void)state;
    send_to_seven();
    assert_false(active_send_answer(&active, &a));
    assert_int_equal(waiting(), 1);
}

static void a_stop_withdraws_intents_and_with_all_aborts_sends(void **state)
{
    (void)state;
    on_air();
    writes(700, 7, "/help");
    value_is_put(PREGON_OK);
    active_send_stop(&active, false);
    assert_false(active_send_is_idle(&active)); /* it has begun */
    active_send_stop(&active, true);
    assert_true(active_send_is_idle(&active));
    assert_null(under_way(CALL_SEND));
    assert_int_equal(waiting(), 1);
    assert_true(delivery_is_repeat(&bot_ledger(active.bot)->answers[0].delivery));
    tear_down(state);
    set_up(state);
    on_air();
    writes(700, 7, "/help");
    assert_false(active_send_is_idle(&active)); /* an intent that is not stored yet */
    active_send_stop(&active, false);
    assert_true(active_send_is_idle(&active));
    assert_false(delivery_is_repeat(&bot_ledger(active.bot)->answers[0].delivery));
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(what_telegram_took_is_done),
        CASE(a_refused_message_is_dropped_and_the_rest_goes_on),
        CASE(after_a_429_the_message_is_sent_again_when_telegram_says),
        CASE(a_token_that_is_refused_stops_it_and_keeps_the_message),
        CASE(a_group_that_became_a_supergroup_gets_the_message_there),
        CASE(a_move_to_the_same_chat_is_a_refusal),
        CASE(a_thread_that_is_gone_is_left_out),
        CASE(a_closed_chat_has_its_alerts_paused),
        CASE(without_an_answer_telegram_must_answer_before_the_next_send),
        CASE(an_answer_to_another_call_is_none_of_its_own),
        CASE(a_stop_withdraws_intents_and_with_all_aborts_sends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
