/* The active instance of the bot with quotes, silences, a new log, and no answer of the broker. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/consumer/telegram/active_fixture.h"

static void a_silent_feed_is_said_to_the_chat(void **state)
{
    const struct pregon_quote q = {.symbol = "A", .epoch = 77, .seq = 1, .body = {"2", 1}};
    const struct pregon_state_change s = {
        .symbol = "A", .epoch = 77, .seq = 2, .state = PREGON_STALE};

    (void)state;
    on_air();
    active.link->options.on_quote(active.link->options.ctx, &q);
    active.link->options.on_state(active.link->options.ctx, &s);
    writes(700, 7, "/price A");
    value_is_put(PREGON_OK);
    assert_non_null(strstr(under_way(CALL_SEND)->text, "A 2. No news"));
}

static void after_a_new_log_alerts_are_judged_by_its_positions(void **state)
{
    struct pregon_quote q = {.symbol = "BTC", .epoch = 77, .seq = 10, .body = {"40", 2}};
    const struct pregon_loss lost = {.feed = "", .first = 1, .last = 2, .reason = "retention"};
    const struct pregon_reset reset = {.epoch = 78, .old_epoch = 77, .reason = "log_replaced"};
    void *ctx;

    (void)state;
    on_air();
    writes(700, 7, "/alert BTC > 50");
    value_is_put(PREGON_OK);
    ok(CALL_SEND, "{}");
    value_is_put(PREGON_OK);
    ctx = active.tape->options.ctx;
    active.tape->options.on_quote(ctx, &q);
    active.tape->options.on_lost(ctx, &lost);
    active.tape->options.on_reset(ctx, &reset);
    q.epoch = 78;
    q.seq = 1;
    q.body = (struct pregon_span){"51", 2};
    active.tape->options.on_quote(ctx, &q);
    now += 5000;
    turn();
    value_is_put(PREGON_OK);
    assert_non_null(strstr(under_way(CALL_SEND)->text, "51"));
    assert_int_equal(bot_ledger(active.bot)->epoch, 78);
}

static void a_ledger_that_cannot_be_read_now_is_asked_for_again(void **state)
{
    pregon_value_fn *fn;
    void *ctx;

    (void)state;
    greeted();
    lock_is_held(5);
    fn = value.get;
    ctx = value.get_ctx;
    value.get = NULL;
    fn(ctx, PREGON_ERROR_AWAY, "away", &(struct pregon_value){0});
    turn();
    assert_int_equal(active.phase, ACTIVE_LOADING);
    assert_null(value.get);
    now += BACKOFF_MAX_MS;
    lease_until += BACKOFF_MAX_MS;
    turn();
    value_is_read();
    prices_are_there();
    assert_int_equal(active.phase, ACTIVE_ON);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
        T(a_silent_feed_is_said_to_the_chat),
        T(after_a_new_log_alerts_are_judged_by_its_positions),
        T(a_ledger_that_cannot_be_read_now_is_asked_for_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
