#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/broker/core/core_fixture.h"

/* Is a quote accepted whose timestamp is this many seconds from the clock of the test? */
static bool is_accepted(uint64_t number, int seconds)
{
    char body[80];
    uint64_t before = core.accepted;

    snprintf(body, sizeof body, "{'last':'1','timestamp':%d.5}",
             (int)(WALL_US / 1000000) + seconds);
    line_of_kind(WIRE_QUOTE, FIRST_FEED_EPOCH, number, "A ", body);
    return core.accepted > before;
}

static void a_clock_that_is_set_back_refuses_no_quote_as_future(void **state)
{
    int64_t hour_us = INT64_C(3600000000);

    (void)state;
    grant();
    core_clock_begin(&core, 5000, WALL_US);
    assert_true(is_accepted(1, 0));
    core_clock_look(&core, 5100, WALL_US + 100000 - hour_us);
    core.time.wall_us -= hour_us;
    assert_true(is_accepted(2, 1));
    assert_false(is_accepted(3, 3600)); /* this would be the future before, too */
    core_clock_look(&core, 5100 + CORE_CLOCK_PATIENCE_MS,
                    WALL_US + 100000 - hour_us + CORE_CLOCK_PATIENCE_MS * INT64_C(1000));
    assert_false(is_accepted(4, 1)); /* now it is believed */
    assert_int_equal(core.clock.jumps, 1);
}

static void a_clock_that_is_set_ahead_takes_what_peers_stamp_then(void **state)
{
    int64_t hour_us = INT64_C(3600000000);

    (void)state;
    grant();
    core_clock_begin(&core, 5000, WALL_US);
    core_clock_look(&core, 5100, WALL_US + 100000 + hour_us);
    core.time.wall_us += hour_us;
    assert_true(is_accepted(1, 3600));
}

static void quotes_get_dense_positions_and_exact_chains(void **state)
{
    (void)state;
    grant();
    line(FIRST_FEED_EPOCH, 1, "A ", "1.50");
    line(FIRST_FEED_EPOCH, 2, "B ", "7");
    line(FIRST_FEED_EPOCH, 3, "A ", "1.60");
    line(FIRST_FEED_EPOCH, 4, "A ", "1.70");
    line(FIRST_FEED_EPOCH, 5, "B ", "8");
    assert_int_equal(published_count, 5);
    assert_string_equal(published_text(0), quote_text("A", 1, 0, "1.50"));
    assert_string_equal(published_text(1), quote_text("B", 2, 0, "7"));
    assert_string_equal(published_text(2), quote_text("A", 3, 1, "1.60"));
    assert_string_equal(published_text(3), quote_text("A", 4, 3, "1.70"));
    assert_string_equal(published_text(4), quote_text("B", 5, 2, "8"));
    assert_int_equal(published_record(3).sent_us, 104);
    assert_int_equal(published_record(3).accepted_us, WALL_US);
    assert_int_equal(core.accepted, 5);
}

static void a_line_of_another_layout_is_published_in_ours(void **state)
{
    struct buf message = {0};
    bool stampable = false;
    struct wire_record r;

    (void)state;
    grant();
    /* Short integers, and two elements more than this version has. */
    unhex(&message, "99 01 cf0005d479f7f96001 01 00 64 00"
                    "82 a46c617374 a3312e35 a974696d657374616d70 ce61cf9980 c3 a3616263");
    assert_false(ingest(SPAN("A "), buf_span(&message)));
    buf_free(&message);
    line(FIRST_FEED_EPOCH, 2, "A ", "2");
    assert_int_equal(published_count, 2);
    assert_int_equal(wire_read(buf_span(&published[0].message), &r, &stampable), OK);
    assert_true(stampable);
    assert_int_equal(r.sent_us, 100);
    assert_string_equal(published_text(0), "A quote 1<0 {'last':'1.5','timestamp':1640995200}");
    assert_string_equal(published_text(1), quote_text("A", 2, 1, "2"));
}

static void a_repeated_line_is_dropped(void **state)
{
    (void)state;
    grant();
    line(FIRST_FEED_EPOCH, 1, "A ", "1");
    line(FIRST_FEED_EPOCH, 1, "A ", "1");
    line(FIRST_FEED_EPOCH, 0, "A ", "1");
    assert_int_equal(published_count, 1);
    assert_int_equal(feed_table_at(core.feeds, 0)->duplicates, 2);
}

static void the_name_of_a_feed_is_kept_from_the_first_line_that_counts(void **state)
{
    (void)state;
    grant();
    line(FIRST_FEED_EPOCH, 2, "A ", "2"); /* 1 is missing */
    assert_string_equal(journal_feed(core.log.journal, 0)->name, "");
    line(FIRST_FEED_EPOCH, 1, "A ", "1");
    assert_string_equal(journal_feed(core.log.journal, 0)->name, "sim");
    (void)heard("peer");
}

static void a_missing_line_is_asked_for_and_what_follows_waits(void **state)
{
    (void)state;
    grant();
    line(FIRST_FEED_EPOCH, 1, "A ", "1");
    line(FIRST_FEED_EPOCH, 3, "A ", "3");
    line(FIRST_FEED_EPOCH, 4, "A ", "4");
    assert_string_equal(heard("peer"), "{'op':'resend','epoch':" FEED_EPOCH ",'from':2}");
    pass_time(FEED_RESEND_MS);
    line(FIRST_FEED_EPOCH, 5, "A ", "5"); /* the request may have got lost */
    assert_string_equal(heard("peer"), "{'op':'resend','epoch':" FEED_EPOCH ",'from':2}");
    assert_int_equal(published_count, 1);
    for (uint64_t n = 2; n <= 5; n++)
        line(FIRST_FEED_EPOCH, n, "A ", "42");
    assert_int_equal(published_count, 5);
    assert_string_equal(published_text(4), quote_text("A", 5, 4, "42"));
    assert_int_equal(reply_count, 0);
}

static void what_was_received_is_acknowledged_once(void **state)
{
    (void)state;
    grant();
    core_acknowledge(&core);
    assert_int_equal(reply_count, 0);
    for (uint64_t n = 1; n <= 20; n++)
        line(FIRST_FEED_EPOCH, n, "A ", "1");
    assert_true(core_tick(&core) <= FEED_ACK_MS);
    pass_time(FEED_ACK_MS);
    core_acknowledge(&core);
    assert_string_equal(heard("peer"), "{'op':'received','epoch':" FEED_EPOCH ",'line':20}");
    pass_time(FEED_ACK_MS);
    core_acknowledge(&core);
    assert_int_equal(reply_count, 0);
    for (uint64_t n = 21; n <= 20 + FEED_ACK_LINES; n++)
        line(FIRST_FEED_EPOCH, n, "A ", "1");
    core_acknowledge(&core); /* the most that one message reports */
    assert_non_null(strstr(heard("peer"), ",'line':1044}"));
}

static void what_is_no_record_is_dropped(void **state)
{
    (void)state;
    grant();
    assert_false(ingest(SPAN("A "), SPAN("")));
    assert_false(ingest(SPAN("A "), SPAN("hello")));
    assert_false(ingest(SPAN(""), SPAN("\x97\x01\x02\x03\x04\x05\x06\xC1")));
    assert_int_equal(core.unknown_lines, 3);
    assert_int_equal(published_count + reply_count, 0);
}

static void a_refused_quote_is_counted_by_reason_and_not_published(void **state)
{
    static const struct {
        enum wire_kind kind;
        const char *topic, *body;
        enum quote_refusal why;
    } table[] = {
        {WIRE_QUOTE, "A ", "{'last':'x','timestamp':1640995200}", QUOTE_BAD_PRICE},
        {WIRE_QUOTE, "A ", "{'last':'1','timestamp':1640995300}", QUOTE_FUTURE},
        {WIRE_QUOTE, "A ", "{'timestamp':1640995200}", QUOTE_NO_PRICE},
        {WIRE_QUOTE, "A ", "{'last':'1','timestamp':'now'}", QUOTE_BAD_TIME},
        {WIRE_QUOTE, "A ", "{'bid':'2','ask':'1','timestamp':1640995200}", QUOTE_CROSSED},
        {WIRE_QUOTE, "A ", "[1]", QUOTE_MALFORMED},
        {WIRE_QUOTE, "A ", NULL, QUOTE_MALFORMED},
        {WIRE_QUOTE, "a ", "{'last':'1','timestamp':1640995200}", QUOTE_BAD_SYMBOL},
        {WIRE_QUOTE, "A", "{'last':'1','timestamp':1640995200}", QUOTE_BAD_SYMBOL},
        {WIRE_QUOTE, "", "{'last':'1','timestamp':1640995200}", QUOTE_BAD_SYMBOL},
        {WIRE_QUOTE, WIRE_TOPIC_LOST, "{'last':'1','timestamp':1640995200}", QUOTE_BAD_SYMBOL},
        {WIRE_STATE, "A ", "{'state':'live','feed':'sim'}", QUOTE_MALFORMED},
        {WIRE_LOST, "!lost ", "{'feed':'sim'}", QUOTE_MALFORMED},
        {WIRE_MARK, "A ", "{'last':'1','timestamp':1640995200}", QUOTE_MALFORMED},
    };
    struct feed *f;

    (void)state;
    grant();
    f = feed_table_at(core.feeds, 0);
    for (size_t i = 0; i < LENGTH(table); i++) {
        uint64_t before = f->refused[table[i].why];

        line_of_kind(table[i].kind, FIRST_FEED_EPOCH, i + 1, table[i].topic, table[i].body);
        assert_int_equal(f->refused[table[i].why], before + 1);
        assert_int_equal(f->received, i + 1); /* it was here: no gap */
    }
    assert_int_equal(published_count, 0);
    assert_int_equal(core.refused, LENGTH(table));
    assert_int_equal(book_count(core.log.book), 0);
    assert_int_equal(journal_head(core.log.journal), 0);
}

static void a_line_without_a_timestamp_gets_the_time_of_the_broker(void **state)
{
    (void)state;
    grant();
    line_of_kind(WIRE_QUOTE, FIRST_FEED_EPOCH, 1, "A ", "{'last':'1'}");
    line(FIRST_FEED_EPOCH, 2, "A ", "2");
    assert_int_equal(published_count, 2);
    assert_string_equal(published_text(0), quote_text("A", 1, 0, "1"));
    assert_int_equal(published_record(0).sent_us, 101);
    assert_string_equal(published_text(1), quote_text("A", 2, 1, "2"));
    assert_int_equal(core.accepted, 2);
}

static void a_feeder_is_sent_which_lines_were_refused_and_why(void **state)
{
    (void)state;
    grant();
    line_of_kind(WIRE_QUOTE, FIRST_FEED_EPOCH, 1, "A ", "{'last':'x'}");
    line(FIRST_FEED_EPOCH, 2, "A ", "2");
    line_of_kind(WIRE_QUOTE, FIRST_FEED_EPOCH, 3, "A ", "{'bid':'2','ask':'1'}");
    pass_time(FEED_ACK_MS);
    core_acknowledge(&core);
    assert_string_equal(heard("peer"),
                        "{'op':'received','epoch':" FEED_EPOCH ",'line':3,'refused':2,"
                        "'refusals':[[1,'bad_price'],[3,'crossed']]}");
    line(FIRST_FEED_EPOCH, 4, "A ", "4");
    for (uint64_t n = 5; n < 5 + FEED_REFUSALS_MAX + 2; n++)
        line_of_kind(WIRE_QUOTE, FIRST_FEED_EPOCH, n, "A ", "{'last':'x'}");
    pass_time(FEED_ACK_MS);
    core_acknowledge(&core);
    assert_non_null(strstr(heard("peer"), ",'refused':36,'refusals':[[5,'bad_price'],"));
    assert_null(strstr(buf_text(&text), "[37,"));
    line(FIRST_FEED_EPOCH, 5 + FEED_REFUSALS_MAX + 2, "A ", "5");
    pass_time(FEED_ACK_MS);
    core_acknowledge(&core);
    assert_null(strstr(heard("peer"), "refus"));
}

static void a_feed_that_may_cross_does(void **state)
{
    (void)state;
    answer_to("peer", "{'op':'hello','id':1,'role':'feeder','name':'sim','owner':'one','oldest':1,"
                      "'newest':1,'allow_crossed':true}");
    line_of_kind(WIRE_QUOTE, FIRST_FEED_EPOCH, 1, "A ",
                 "{'bid':'2','ask':'1','timestamp':1640995200}");
    assert_int_equal(published_count, 1);
}

static void a_full_book_refuses_new_symbols_only(void **state)
{
    (void)state;
    core_fini(&core);
    config.max_symbols_total = 2;
    core_init(&core, LOG_EPOCH);
    grant();
    line(FIRST_FEED_EPOCH, 1, "A ", "1");
    line(FIRST_FEED_EPOCH, 2, "B ", "1");
    line(FIRST_FEED_EPOCH, 3, "C ", "1");
    line(FIRST_FEED_EPOCH, 4, "B ", "2");
    assert_int_equal(published_count, 3);
    assert_string_equal(published_text(2), quote_text("B", 3, 2, "2"));
    assert_int_equal(feed_table_at(core.feeds, 0)->refused[QUOTE_BOOK_FULL], 1);
}

static void lines_that_cannot_come_again_are_logged_as_lost(void **state)
{
    (void)state;
    grant();
    line(FIRST_FEED_EPOCH, 1, "A ", "1");
    assert_string_equal(answer_to("peer", "{'op':'lost','id':4,'epoch':" FEED_EPOCH
                                          ",'first':2,'last':5,'reason':'ring_overflow'}"),
                        "{'re':'lost','id':4,'received':5}");
    assert_int_equal(feed_table_at(core.feeds, 0)->last_seq, 2); /* to be stored before it goes */
    line(FIRST_FEED_EPOCH, 6, "A ", "6");
    assert_string_equal(
        answer_to("peer", "{'op':'lost','id':5,'epoch':" FEED_EPOCH ",'first':7,'last':7}"),
        "{'re':'lost','id':5,'received':7}");
    assert_int_equal(published_count, 4);
    assert_string_equal(published_text(1),
                        "!lost lost 2<0 {'feed':'sim','first':2,'last':5,'count':4,"
                        "'reason':'ring_overflow'}");
    assert_string_equal(published_text(2), quote_text("A", 3, 1, "6"));
    assert_string_equal(published_text(3), "!lost lost 4<2 {'feed':'sim','first':7,'last':7,"
                                           "'count':1,'reason':''}");
}

static void a_loss_that_is_refused_changes_nothing(void **state)
{
    static const char *const bad[] = {
        "{'op':'lost','id':1,'epoch':" FEED_EPOCH ",'first':1,'last':5}",
        "{'op':'lost','id':1,'epoch':" FEED_EPOCH ",'first':3,'last':5}",
        "{'op':'lost','id':1,'epoch':" FEED_EPOCH ",'first':2,'last':1}",
        "{'op':'lost','id':1,'epoch':" FEED_EPOCH "}",
        "{'op':'lost','id':1,'epoch':" FEED_EPOCH ",'first':2,'last':5,'reason':"
        "'12345678901234567890123456789012345678901234567890123456789012345'}",
    };

    (void)state;
    grant();
    line(FIRST_FEED_EPOCH, 1, "A ", "1");
    for (size_t i = 0; i < LENGTH(bad); i++) {
        assert_non_null(strstr(answer_to("peer", bad[i]), "'error':'invalid'"));
        assert_int_equal(feed_table_at(core.feeds, 0)->received, 1);
        assert_int_equal(feed_table_at(core.feeds, 0)->lost, 0);
    }
    assert_non_null(strstr(answer_to("peer", "{'op':'lost','id':1,'epoch':1,'first':2,'last':5}"),
                           "'error':'unknown_peer'"));
    assert_int_equal(published_count, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_clock_that_is_set_back_refuses_no_quote_as_future),
        TEST(a_clock_that_is_set_ahead_takes_what_peers_stamp_then),
        TEST(quotes_get_dense_positions_and_exact_chains),
        TEST(a_line_of_another_layout_is_published_in_ours),
        TEST(a_repeated_line_is_dropped),
        TEST(the_name_of_a_feed_is_kept_from_the_first_line_that_counts),
        TEST(a_missing_line_is_asked_for_and_what_follows_waits),
        TEST(what_was_received_is_acknowledged_once),
        TEST(what_is_no_record_is_dropped),
        TEST(a_refused_quote_is_counted_by_reason_and_not_published),
        TEST(a_line_without_a_timestamp_gets_the_time_of_the_broker),
        TEST(a_feeder_is_sent_which_lines_were_refused_and_why),
        TEST(a_feed_that_may_cross_does),
        TEST(a_full_book_refuses_new_symbols_only),
        TEST(lines_that_cannot_come_again_are_logged_as_lost),
        TEST(a_loss_that_is_refused_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
