/* The active instance of the bot, in conversations with a broker and a Telegram of paper. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/consumer/telegram/active_fixture.h"

static void it_asks_telegram_for_its_name_and_then_the_broker_for_the_lock(void **state)
{
    struct pregon_lock_wait w = {.reason = "held", .holder = "x", .message = "m"};

    (void)state;
    assert_string_equal(active.link->subscribed, "+*");
    assert_int_equal(active.link->options.mode, PREGON_NEWEST);
    turn();
    assert_int_equal(under_way(CALL_GET_ME)->timeout_ms, 10000);
    assert_null(lock);
    turn();
    assert_int_equal(api->count, 1); /* one request at a time */
    ok(CALL_GET_ME, NAMED);
    assert_int_equal(active.phase, ACTIVE_STANDBY);
    assert_string_equal(lock->name, "telegram:42");
    assert_int_equal(lock->options.ttl_ms, TTL);
    assert_int_equal(lock->options.delay_ms, POLL_S * 1000 + MARGIN_MS);
    assert_int_equal(active_wait(&active), 0);
    turn();
    assert_int_equal(active_wait(&active), 900);
    assert_false(is_ready);
    w.reason = "away";
    lock->options.on_waiting(lock->options.ctx, lock, &w);
    turn();
    assert_false(is_ready);
    w.reason = "held";
    lock->options.on_waiting(lock->options.ctx, lock, &w);
    turn();
    turn();
    assert_true(is_ready);
    assert_string_equal(ready_text, "lock=telegram:42");
    assert_int_equal(api->count, 1); /* a standby instance sends nothing to Telegram */
}

static void ends_after(int code)
{
    unsigned polls;

    turn();
    refused(CALL_GET_ME, code, "refused");
    assert_int_equal(active.phase, ACTIVE_GONE);
    assert_int_equal(active.code, 1);
    polls = api->count;
    now += 60000;
    turn();
    assert_int_equal(api->count, polls); /* nothing is done any more */
}

static void a_token_that_telegram_refuses_ends_it(void **state)
{
    (void)state;
    ends_after(401);
}

static void a_token_that_telegram_does_not_know_ends_it(void **state)
{
    (void)state;
    ends_after(404);
}

static void a_telegram_that_does_not_answer_is_asked_again_later(void **state)
{
    int64_t wait;

    (void)state;
    turn();
    telegram_answers(CALL_GET_ME, "", 0);
    assert_int_equal(active.phase, ACTIVE_GREETING);
    assert_null(under_way(CALL_GET_ME));
    wait = active_wait(&active);
    assert_in_range(wait, 250, 500);
    now += wait;
    turn();
    ok(CALL_GET_ME, NAMED);
    assert_int_equal(active.phase, ACTIVE_STANDBY);
}

static void with_the_lock_it_reads_the_ledger_then_prices_and_then_polls(void **state)
{
    (void)state;
    greeted();
    lock_is_held(5);
    assert_int_equal(active.phase, ACTIVE_LOADING);
    assert_true(is_ready);
    assert_null(active.tape);
    value_is_read();
    assert_int_equal(active.phase, ACTIVE_ON);
    assert_non_null(active.tape);
    assert_int_equal(active.tape->options.mode, PREGON_ALL);
    assert_null(under_way(CALL_POLL)); /* without prices no command can be answered */
    prices_are_there();
    assert_int_equal(under_way(CALL_POLL)->offset, 0);
    assert_int_equal(under_way(CALL_POLL)->limit, 20);
    assert_int_equal(under_way(CALL_POLL)->wait_s, POLL_S);
    assert_int_equal(under_way(CALL_POLL)->timeout_ms, POLL_S * 1000 + MARGIN_MS);
    assert_int_equal(value.puts, 1); /* under the new token */
    value_is_put(PREGON_OK);
    turn();
    assert_int_equal(value.puts, 1);
    assert_int_equal(active_wait(&active), 700); /* the sooner of two connections */
}

static void a_ledger_that_nobody_can_read_ends_it(void **state)
{
    (void)state;
    greeted();
    buf_adds(&value.kept, "nonsense");
    lock_is_held(5);
    value_is_read();
    assert_int_equal(active.phase, ACTIVE_GONE);
    assert_int_equal(active.code, 1);
    assert_int_equal(value.puts, 0); /* the ledger is unchanged */
}

static void an_update_is_stored_before_it_is_answered_and_confirmed(void **state)
{
    struct call *send;

    (void)state;
    on_air();
    writes(700, 7, "/help");
    assert_null(under_way(CALL_SEND));
    assert_null(under_way(CALL_POLL));
    assert_int_equal(value.puts, 1);
    value_is_put(PREGON_OK);
    send = under_way(CALL_SEND);
    assert_non_null(send);
    assert_int_equal(send->chat, 7);
    assert_int_equal(send->timeout_ms, SEND_MS);
    assert_int_equal(under_way(CALL_POLL)->offset, 701);
    ok(CALL_SEND, "{}");
    assert_int_equal(value.puts, 2); /* the record that it was sent */
    value_is_put(PREGON_OK);
    assert_int_equal(bot_ledger(active.bot)->answer_count, 0);
    turn();
    assert_int_equal(value.puts, 2);
}

static void what_could_not_be_stored_is_tried_again_and_nothing_is_sent_before(void **state)
{
    int64_t wait;

    (void)state;
    on_air();
    writes(700, 7, "/help");
    value_is_put(PREGON_ERROR_NOT_STORED);
    assert_null(under_way(CALL_SEND));
    assert_null(under_way(CALL_POLL));
    assert_int_equal(value.puts, 1);
    wait = active_wait(&active);
    assert_in_range(wait, 250, 500);
    now += wait;
    turn();
    assert_int_equal(value.puts, 2);
    value_is_put(PREGON_OK);
    assert_non_null(under_way(CALL_SEND));
}

static void a_lease_too_short_for_a_send_begins_none(void **state)
{
    (void)state;
    on_air();
    writes(700, 7, "/help");
    now = lease_until - SEND_MS;
    value_is_put(PREGON_OK);
    assert_null(under_way(CALL_SEND));
    assert_int_equal(active_send_wait(&active), -1);
    lease_until += 1; /* renewed */
    turn();
    assert_non_null(under_way(CALL_SEND));
}

static void a_lost_lock_cuts_everything_off_and_the_same_token_goes_on(void **state)
{
    struct call *send, *poll;

    (void)state;
    on_air();
    writes(700, 7, "/help");
    value_is_put(PREGON_OK);
    send = under_way(CALL_SEND);
    poll = under_way(CALL_POLL);
    lock->options.on_lost(lock->options.ctx, lock, PREGON_LOST_UNANSWERED);
    lease_until = 0;
    assert_true(send->is_aborted && poll->is_aborted);
    assert_int_equal(active.phase, ACTIVE_STANDBY);
    turn();
    assert_null(active.tape);
    assert_null(under_way(CALL_POLL));
    lock_is_held(5); /* no other instance was active in between: it need not read the value again */
    assert_int_equal(active.phase, ACTIVE_ON);
    assert_null(value.get);
    lock->options.on_lost(lock->options.ctx, lock, PREGON_LOST_TAKEN);
    lock_is_held(9); /* somebody was */
    assert_int_equal(active.phase, ACTIVE_LOADING);
    assert_non_null(value.get);
}

/* As after a pause of the process: libpregon has not called on_lost yet. */
static void a_lease_that_is_over_by_the_clock_ends_it_at_once(void **state)
{
    struct call *poll;

    (void)state;
    on_air();
    poll = under_way(CALL_POLL);
    now = lease_until;
    turn();
    assert_true(poll->is_aborted);
    assert_int_equal(active.phase, ACTIVE_STANDBY);
    lease_until = now + 1000; /* renewed after all */
    turn();
    assert_int_equal(active.phase, ACTIVE_ON);
}

static void a_read_for_an_older_grant_counts_for_nothing(void **state)
{
    (void)state;
    greeted();
    lock_is_held(5);
    lock->options.on_lost(lock->options.ctx, lock, PREGON_LOST_TAKEN);
    lock_is_held(9);
    value_is_read(); /* it was requested under token 5 */
    assert_int_equal(active.phase, ACTIVE_LOADING);
    value_is_read();
    assert_int_equal(active.phase, ACTIVE_ON);
    assert_int_equal(active.token, 9);
}

static void stopping_ends_sends_stores_them_and_then_goes(void **state)
{
    struct call *poll;

    (void)state;
    on_air();
    writes(700, 7, "/help");
    value_is_put(PREGON_OK);
    poll = under_way(CALL_POLL);
    active_leave(&active);
    assert_int_equal(active.phase, ACTIVE_LEAVING);
    assert_true(poll->is_aborted);
    turn();
    assert_int_equal(active.phase, ACTIVE_LEAVING);
    ok(CALL_SEND, "{}");
    assert_int_equal(active.phase, ACTIVE_LEAVING); /* the record that it was sent is not stored */
    value_is_put(PREGON_OK);
    assert_int_equal(active.phase, ACTIVE_GONE);
    assert_int_equal(active.code, 0);
    active_leave(&active); /* a second signal changes nothing */
    assert_int_equal(active.phase, ACTIVE_GONE);
}

static void stopping_takes_no_longer_than_it_may(void **state)
{
    (void)state;
    on_air();
    writes(700, 7, "/help");
    value_is_put(PREGON_OK);
    active_leave(&active);
    now += LEAVE_MS - 1;
    turn();
    assert_int_equal(active.phase, ACTIVE_LEAVING);
    now++;
    turn();
    assert_int_equal(active.phase, ACTIVE_GONE);
    assert_int_equal(active.code, 0);
}

static void a_standby_that_is_stopped_goes_at_once(void **state)
{
    (void)state;
    greeted();
    active_leave(&active);
    assert_int_equal(active.phase, ACTIVE_GONE);
    assert_int_equal(active.code, 0);
}

static void a_409_is_an_alarm_while_it_lasts(void **state)
{
    const int64_t quiet_ms = POLL_S * 1000 + MARGIN_MS + 3000;

    (void)state;
    on_air();
    refused(CALL_POLL, 409, "Conflict: terminated by other getUpdates request");
    assert_non_null(alarm_lock);
    assert_string_equal(alarm_lock->name, "telegram:42:conflict");
    assert_false(active.is_conflict_told);
    assert_int_equal(value.puts, 1); /* does the broker confirm that the lock is ours? */
    value_is_put(PREGON_OK);
    assert_true(active.is_conflict_told);
    assert_null(under_way(CALL_POLL));
    lease_until += 1000000;
    now += 3000;
    turn();
    assert_non_null(under_way(CALL_POLL));
    ok(CALL_POLL, "[]");
    assert_non_null(alarm_lock);
    now += quiet_ms - 3000 - 1;
    turn();
    assert_non_null(alarm_lock);
    now++;
    turn();
    assert_null(alarm_lock);
    assert_int_equal(active.conflict, ACTIVE_NO_CONFLICT);
}

static void a_webhook_is_an_alarm_of_its_own(void **state)
{
    (void)state;
    on_air();
    refused(CALL_POLL, 409, "Conflict: can't use getUpdates while webhook is active");
    assert_string_equal(alarm_lock->name, "telegram:42:webhook");
    assert_int_equal(active.conflict, ACTIVE_WEBHOOK);
}

/* Two updates, of which one is nested so deep that it cannot be read. */
static void an_update_that_cannot_be_read_is_found_and_skipped(void **state)
{
    static const char deep[] = "{\"ok\":true,\"result\":[{\"update_id\":800,\"x\":"
                               "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
                               "[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]"
                               "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}]}";

    (void)state;
    on_air();
    telegram_answers(CALL_POLL, deep, 200);
    assert_true(active.is_careful);
    lease_until += 100000;
    now += BACKOFF_MAX_MS;
    turn();
    assert_int_equal(under_way(CALL_POLL)->limit, 1); /* find out which update it is */
    telegram_answers(CALL_POLL, deep, 200);
    assert_false(active.is_careful);
    assert_int_equal(bot_ledger(active.bot)->next_update, 801);
    value_is_put(PREGON_OK);
    assert_int_equal(under_way(CALL_POLL)->offset, 801);
    assert_int_equal(under_way(CALL_POLL)->limit, 20);
}

static void a_send_without_an_answer_waits_until_telegram_answers_again(void **state)
{
    (void)state;
    on_air();
    writes(700, 7, "/help");
    value_is_put(PREGON_OK);
    telegram_answers(CALL_SEND, "", 0); /* no contact: it did not arrive */
    assert_false(active.is_api_well);
    assert_null(under_way(CALL_SEND));
    now += 1000;
    turn();
    assert_non_null(under_way(CALL_GET_ME));
    ok(CALL_GET_ME, NAMED);
    assert_true(active.is_api_well);
    if (value.put)
        value_is_put(PREGON_OK);
    if (value.put)
        value_is_put(PREGON_OK);
    assert_non_null(under_way(CALL_SEND));
    assert_null(strstr(under_way(CALL_SEND)->text, "repeated"));
}

static void alerts_are_followed_on_the_tape_and_no_other_symbol(void **state)
{
    struct pregon_quote q = {.symbol = "BTC", .epoch = 77, .seq = 10};

    (void)state;
    on_air();
    writes(700, 7, "/alert BTC > 50");
    assert_string_equal(active.tape->subscribed, "+BTC");
    value_is_put(PREGON_OK);
    ok(CALL_SEND, "{}");
    value_is_put(PREGON_OK);
    active.tape->position = (struct pregon_position){77, 9};
    q.body = (struct pregon_span){"40", 2};
    active.tape->options.on_quote(active.tape->options.ctx, &q);
    q.seq = 11;
    q.body = (struct pregon_span){"51", 2};
    active.tape->options.on_quote(active.tape->options.ctx, &q);
    now += 5000;
    turn();
    value_is_put(PREGON_OK); /* the intent, before the message */
    assert_non_null(strstr(under_way(CALL_SEND)->text, "51"));
    ok(CALL_SEND, "{}");
    value_is_put(PREGON_OK);
    writes(701, 7, "/delete 1");
    assert_string_equal(active.tape->subscribed, "+BTC-BTC");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
        T(it_asks_telegram_for_its_name_and_then_the_broker_for_the_lock),
        T(a_token_that_telegram_refuses_ends_it),
        T(a_token_that_telegram_does_not_know_ends_it),
        T(a_telegram_that_does_not_answer_is_asked_again_later),
        T(with_the_lock_it_reads_the_ledger_then_prices_and_then_polls),
        T(a_ledger_that_nobody_can_read_ends_it),
        T(an_update_is_stored_before_it_is_answered_and_confirmed),
        T(what_could_not_be_stored_is_tried_again_and_nothing_is_sent_before),
        T(a_lease_too_short_for_a_send_begins_none),
        T(a_lost_lock_cuts_everything_off_and_the_same_token_goes_on),
        T(a_lease_that_is_over_by_the_clock_ends_it_at_once),
        T(a_read_for_an_older_grant_counts_for_nothing),
        T(stopping_ends_sends_stores_them_and_then_goes),
        T(stopping_takes_no_longer_than_it_may),
        T(a_standby_that_is_stopped_goes_at_once),
        T(a_409_is_an_alarm_while_it_lasts),
        T(a_webhook_is_an_alarm_of_its_own),
        T(an_update_that_cannot_be_read_is_found_and_skipped),
        T(a_send_without_an_answer_waits_until_telegram_answers_again),
        T(alerts_are_followed_on_the_tape_and_no_other_symbol),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
