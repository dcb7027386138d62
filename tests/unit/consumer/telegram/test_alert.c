#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "consumer/telegram/alert.h"

#define MARGIN 100000 /* 0.1 % */

static uint64_t seq;

static struct alert alert(enum alert_comparison c, const char *threshold)
{
    struct alert a = {.comparison = c, .is_armed = true};

    span_copy(a.threshold, sizeof a.threshold, span_of(threshold));
    return a;
}

static enum alert_news judged(struct alert *a, const char *price)
{
    return alert_judge(a, ++seq, span_of(price), MARGIN);
}

static void it_is_due_once_and_again_only_after_the_price_went_back_by_the_margin(void **state)
{
    struct alert a = alert(ALERT_ABOVE, "50000");

    (void)state;
    assert_int_equal(judged(&a, "49999.99"), ALERT_NO_NEWS);
    assert_int_equal(judged(&a, "50000"), ALERT_NO_NEWS);
    assert_int_equal(judged(&a, "50000.00000001"), ALERT_DUE);
    assert_string_equal(a.pending, "50000.00000001");
    alert_sent(&a, DELIVERY_SENT);
    assert_int_equal(judged(&a, "50001"), ALERT_NO_NEWS);
    assert_int_equal(judged(&a, "49999"), ALERT_NO_NEWS);
    assert_int_equal(judged(&a, "50001"), ALERT_NO_NEWS);
    assert_int_equal(judged(&a, "49950.01"), ALERT_NO_NEWS);
    assert_int_equal(judged(&a, "49950"), ALERT_REARMED);
    assert_int_equal(judged(&a, "50001"), ALERT_DUE);
}

static void while_its_chat_takes_no_messages_nothing_is_owed(void **state)
{
    struct alert a = alert(ALERT_ABOVE, "10");

    (void)state;
    a.is_paused = true;
    assert_int_equal(judged(&a, "11"), ALERT_NO_NEWS);
    assert_string_equal(a.pending, "");
    assert_int_equal(judged(&a, "9"), ALERT_REARMED);
    assert_int_equal(judged(&a, "12"), ALERT_NO_NEWS);
    a.is_paused = false;
    assert_int_equal(judged(&a, "13"), ALERT_NO_NEWS); /* it crossed before */
    assert_int_equal(judged(&a, "9"), ALERT_REARMED);
    assert_int_equal(judged(&a, "14"), ALERT_DUE);
}

static void below_zero_it_is_due_again_once_the_price_went_back_too(void **state)
{
    struct alert below = alert(ALERT_BELOW, "-30"), above = alert(ALERT_ABOVE, "-30");

    (void)state;
    assert_int_equal(judged(&below, "-29.99"), ALERT_NO_NEWS);
    assert_int_equal(judged(&below, "-37.63"), ALERT_DUE);
    alert_sent(&below, DELIVERY_SENT);
    assert_int_equal(judged(&below, "-29.98"), ALERT_NO_NEWS);
    assert_int_equal(judged(&below, "-29.97"), ALERT_REARMED);
    assert_int_equal(judged(&below, "-30.01"), ALERT_DUE);
    assert_int_equal(judged(&above, "-30"), ALERT_NO_NEWS);
    assert_int_equal(judged(&above, "0.5"), ALERT_DUE);
    alert_sent(&above, DELIVERY_SENT);
    assert_int_equal(judged(&above, "-30.02"), ALERT_NO_NEWS);
    assert_int_equal(judged(&above, "-30.03"), ALERT_REARMED);
}

static void each_comparison_holds_where_it_should(void **state)
{
    static const struct {
        enum alert_comparison c;
        bool below, equal, above;
    } rows[] = {
        {ALERT_ABOVE, false, false, true},
        {ALERT_BELOW, true, false, false},
        {ALERT_AT_LEAST, false, true, true},
        {ALERT_AT_MOST, true, true, false},
    };

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct alert below = alert(rows[i].c, "1.50"), equal = below, above = below;

        assert_int_equal(judged(&below, "1.4999") == ALERT_DUE, rows[i].below);
        assert_int_equal(judged(&equal, "1.5") == ALERT_DUE, rows[i].equal);
        assert_int_equal(judged(&above, "1.5001") == ALERT_DUE, rows[i].above);
    }
}

static void downwards_the_margin_lies_above(void **state)
{
    struct alert a = alert(ALERT_AT_MOST, "100");

    (void)state;
    assert_int_equal(judged(&a, "100"), ALERT_DUE);
    alert_sent(&a, DELIVERY_SENT);
    assert_int_equal(judged(&a, "100.09"), ALERT_NO_NEWS);
    assert_int_equal(judged(&a, "100.1"), ALERT_REARMED);
    assert_int_equal(judged(&a, "99"), ALERT_DUE);
}

static void without_a_margin_it_is_armed_as_soon_as_it_does_not_hold(void **state)
{
    struct alert a = alert(ALERT_AT_LEAST, "100");

    (void)state;
    assert_int_equal(alert_judge(&a, 1, SPAN("100"), 0), ALERT_DUE);
    alert_sent(&a, DELIVERY_SENT);
    assert_int_equal(alert_judge(&a, 2, SPAN("100"), 0), ALERT_NO_NEWS);
    assert_int_equal(alert_judge(&a, 3, SPAN("99.9"), 0), ALERT_REARMED);
}

static void a_record_that_comes_again_is_not_judged_again(void **state)
{
    struct alert a = alert(ALERT_ABOVE, "10");

    (void)state;
    assert_int_equal(alert_judge(&a, 5, SPAN("11"), MARGIN), ALERT_DUE);
    alert_sent(&a, DELIVERY_SENT);
    assert_int_equal(alert_judge(&a, 6, SPAN("1"), MARGIN), ALERT_REARMED);
    assert_int_equal(alert_judge(&a, 5, SPAN("11"), MARGIN), ALERT_NO_NEWS);
    assert_int_equal(alert_judge(&a, 6, SPAN("11"), MARGIN), ALERT_NO_NEWS);
    assert_int_equal(alert_judge(&a, 7, SPAN("11"), MARGIN), ALERT_DUE);
}

static void a_newer_crossing_replaces_what_was_not_sent(void **state)
{
    struct alert a = alert(ALERT_ABOVE, "10");

    (void)state;
    assert_int_equal(judged(&a, "11"), ALERT_DUE);
    assert_int_equal(judged(&a, "1"), ALERT_REARMED);
    assert_int_equal(judged(&a, "12"), ALERT_SUPERSEDED);
    assert_string_equal(a.pending, "12");
    assert_string_equal(a.next, "");
}

static void a_crossing_while_the_one_before_is_being_sent_is_sent_after_it(void **state)
{
    struct alert a = alert(ALERT_ABOVE, "10");

    (void)state;
    judged(&a, "11");
    delivery_begin(&a.delivery);
    judged(&a, "1");
    assert_int_equal(judged(&a, "12"), ALERT_DUE);
    assert_string_equal(a.pending, "11");
    assert_int_equal(alert_sent(&a, DELIVERY_UNKNOWN), DELIVERY_AGAIN);
    assert_string_equal(a.pending, "12");
    assert_string_equal(a.next, "");
    assert_false(delivery_is_repeat(&a.delivery));
}

static void the_price_is_last_or_what_one_could_trade_at(void **state)
{
    const struct span last = SPAN("1"), bid = SPAN("2"), ask = SPAN("3"), none = {"", 0};

    (void)state;
    assert_string_equal(alert_price_of(ALERT_ABOVE, last, bid, ask).at, "1");
    assert_string_equal(alert_price_of(ALERT_AT_LEAST, none, bid, ask).at, "2");
    assert_string_equal(alert_price_of(ALERT_BELOW, none, bid, ask).at, "3");
    assert_string_equal(alert_price_of(ALERT_ABOVE, none, none, ask).at, "3");
    assert_string_equal(alert_price_of(ALERT_AT_MOST, none, bid, none).at, "2");
    assert_int_equal(alert_price_of(ALERT_AT_MOST, none, none, none).len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_due_once_and_again_only_after_the_price_went_back_by_the_margin),
        cmocka_unit_test(while_its_chat_takes_no_messages_nothing_is_owed),
        cmocka_unit_test(below_zero_it_is_due_again_once_the_price_went_back_too),
        cmocka_unit_test(each_comparison_holds_where_it_should),
        cmocka_unit_test(downwards_the_margin_lies_above),
        cmocka_unit_test(without_a_margin_it_is_armed_as_soon_as_it_does_not_hold),
        cmocka_unit_test(a_record_that_comes_again_is_not_judged_again),
        cmocka_unit_test(a_newer_crossing_replaces_what_was_not_sent),
        cmocka_unit_test(a_crossing_while_the_one_before_is_being_sent_is_sent_after_it),
        cmocka_unit_test(the_price_is_last_or_what_one_could_trade_at),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
