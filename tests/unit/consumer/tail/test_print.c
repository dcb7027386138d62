#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "consumer/lib/pregon_private.h"
#include "consumer/tail/print.h"
#include "tests/unit/packed.h"

static struct buf out, body;
static struct pregon connection; /* only its buffer for JSON is used */
static struct print json = {.out = &out}, table = {.is_table = true, .out = &out},
                    colored = {.is_table = true, .has_color = true, .out = &out};

static void assert_printed(const char *expected)
{
    assert_string_equal(buf_text(&out), expected);
    buf_clear(&out);
}

static struct pregon_quote quote(const char *fields)
{
    struct pregon_quote q = {.symbol = "EUR/USD", .epoch = 7, .seq = 9, .prev = 8};

    buf_clear(&body);
    packed(&body, fields);
    q.body = (struct pregon_span){body.data, body.len};
    q.accepted_us = (int64_t)86399 * 1000000 + 7999; /* 23:59:59.007 */
    return q;
}

static void the_heading_is_for_the_table_only(void **state)
{
    (void)state;
    print_head(&json);
    assert_printed("");
    print_head(&table);
    assert_printed("ACCEPTED      SYMBOL                      BID            ASK           LAST\n");
    print_head(&colored);
    assert_printed("ACCEPTED      SYMBOL                      BID            ASK           LAST\n");
}

static void a_quote_is_a_row_or_the_json_of_a_browser(void **state)
{
    struct pregon_quote q = quote("{'bid':'1.08','ask':'1.0842','last':'1'}");

    (void)state;
    print_quote(&json, &connection, &q);
    assert_printed("{\"type\":\"quote\",\"symbol\":\"EUR/USD\",\"seq\":9,\"prev\":8,"
                   "\"bid\":\"1.08\",\"ask\":\"1.0842\",\"last\":\"1\"}\n");
    print_quote(&table, &connection, &q);
    assert_printed("23:59:59.007  EUR/USD                    1.08         1.0842              1\n");
    print_quote(&colored, &connection, &q);
    assert_printed("23:59:59.007  EUR/USD                    1.08         1.0842              1\n");
    q.is_snapshot = true;
    q.state = PREGON_STALE;
    print_quote(&table, &connection, &q);
    assert_printed(
        "23:59:59.007  EUR/USD                    1.08         1.0842              1  stale\n");
    print_quote(&colored, &connection, &q);
    assert_printed("\x1b[2m23:59:59.007  EUR/USD                    1.08         1.0842"
                   "              1  stale\x1b[0m\n");
}

/* A control sequence in a feed's value never reaches a terminal. */
static void only_visible_ascii_of_a_price_is_shown(void **state)
{
    struct pregon_quote q = quote("{'bid':'\\u001b[1m','ask':'a b','last':'\\u007f~!\xc3\xa9'}");

    (void)state;
    print_quote(&table, &connection, &q);
    assert_printed("23:59:59.007  EUR/USD                    ?[1m            a?b          ?~!??\n");
    q = quote("{}");
    print_quote(&table, &connection, &q);
    assert_printed("23:59:59.007  EUR/USD\n");
}

static void a_price_of_sixty_three_bytes_is_shown_whole(void **state)
{
    char fields[200], expected[200], digits[80];
    struct pregon_quote q;

    (void)state;
    memset(digits, '1', sizeof digits);
    snprintf(fields, sizeof fields, "{'last':'%.63s'}", digits);
    q = quote(fields);
    print_quote(&table, &connection, &q);
    snprintf(expected, sizeof expected, "23:59:59.007  %-16s %14s %14s %.63s\n", "EUR/USD", "", "",
             digits);
    assert_printed(expected);
}

static void a_state_is_a_yellow_row(void **state)
{
    struct pregon_state_change s = {.symbol = "A", .seq = 3, .prev = 2, .state = PREGON_STALE};
    char rows[2][128];

    (void)state;
    snprintf(rows[0], sizeof rows[0], "%14s%-62s stale\n", "", "A");
    snprintf(rows[1], sizeof rows[1], "\x1b[33m%14s%-62s live\x1b[0m\n", "", "A");
    print_state(&json, &s);
    assert_printed(
        "{\"type\":\"state\",\"symbol\":\"A\",\"seq\":3,\"prev\":2,\"state\":\"stale\"}\n");
    print_state(&table, &s);
    assert_printed(rows[0]);
    s.state = PREGON_LIVE;
    print_state(&json, &s);
    assert_printed(
        "{\"type\":\"state\",\"symbol\":\"A\",\"seq\":3,\"prev\":2,\"state\":\"live\"}\n");
    print_state(&colored, &s);
    assert_printed(rows[1]);
}

static void a_loss_names_the_lines_of_a_feed_or_positions(void **state)
{
    struct pregon_loss l = {.feed = "a\x1b"
                                    "b",
                            .seq = 9,
                            .first = 2,
                            .last = 5,
                            .count = 3,
                            .reason = "ring overflow"};

    (void)state;
    print_lost(&json, &l);
    assert_printed("{\"type\":\"lost\",\"seq\":9,\"feed\":\"a\\u001bb\",\"first\":2,\"last\":5,"
                   "\"count\":3,\"reason\":\"ring overflow\"}\n");
    print_lost(&table, &l);
    assert_printed("lost: lines 2 to 5 of feed a?b (ring?overflow)\n");
    l.feed = "";
    print_lost(&colored, &l);
    assert_printed("\x1b[31mlost: positions 2 to 5 (ring?overflow)\x1b[0m\n");
}

static void a_reset_names_the_new_log(void **state)
{
    struct pregon_reset r = {.epoch = 0xab, .old_epoch = 1, .reason = "log_replaced"};

    (void)state;
    print_reset(&json, &r);
    assert_printed("{\"type\":\"reset\",\"epoch\":\"00000000000000ab\",\"seq\":0,"
                   "\"reason\":\"log_replaced\"}\n");
    print_reset(&table, &r);
    assert_printed("reset: log 00000000000000ab is followed from now on (log_replaced)\n");
    print_reset(&colored, &r);
    assert_printed("\x1b[31mreset: log 00000000000000ab is followed from now on (log_replaced)"
                   "\x1b[0m\n");
}

static int set_up(void **state)
{
    (void)state;
    setenv("TZ", "UTC", 1);
    tzset();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    buf_free(&out);
    buf_free(&body);
    buf_free(&connection.json);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_heading_is_for_the_table_only),
        cmocka_unit_test(a_quote_is_a_row_or_the_json_of_a_browser),
        cmocka_unit_test(only_visible_ascii_of_a_price_is_shown),
        cmocka_unit_test(a_price_of_sixty_three_bytes_is_shown_whole),
        cmocka_unit_test(a_state_is_a_yellow_row),
        cmocka_unit_test(a_loss_names_the_lines_of_a_feed_or_positions),
        cmocka_unit_test(a_reset_names_the_new_log),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
