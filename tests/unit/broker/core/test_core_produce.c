#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "broker/core/key_table.h"
#include "tests/unit/broker/core/core_fixture.h"

#define PUBLISH(more, rows) "{'op':'publish','id':3,'feed':'web'" more ",'quotes':[" rows "]}"
#define A1 "['A',{'last':'1'}]"
#define B2 "['B',{'last':'2','timestamp':1640995200.0}]"
#define ANSWER(count, first, repeated, refused)                                                    \
    "{'re':'publish','id':3,'epoch':7777,'count':" count ",'first':" first ",'repeated':" repeated \
    ",'refused':[" refused "],'stored':false}"

static struct feed *web(void)
{
    return feed_table_at(core.feeds, 0);
}

static void quotes_of_a_request_get_positions_one_after_the_other(void **state)
{
    (void)state;
    assert_string_equal(answer_to("gw", PUBLISH(",'sent':77", A1 "," B2 "," A1)),
                        ANSWER("3", "1", "false", ""));
    assert_int_equal(published_count, 3);
    assert_string_equal(published_text(0), quote_text("A", 1, 0, "1"));
    assert_string_equal(published_text(1), quote_text("B", 2, 0, "2"));
    assert_string_equal(published_text(2), quote_text("A", 3, 1, "1"));
    assert_int_equal(published_record(2).sent_us, 77);
    assert_int_equal(published_record(2).accepted_us, WALL_US);
    assert_int_equal(web()->accepted, 3);
    assert_int_equal(web()->received, 3);
    assert_int_equal(journal_head(core.log.journal), 3);
    assert_int_equal(journal_feed(core.log.journal, 0)->received, 3);
}

static void each_refused_quote_is_named_with_its_reason_and_field(void **state)
{
    (void)state;
    config.max_symbols_total = 2;
    core_fini(&core);
    core_init(&core, LOG_EPOCH);
    assert_string_equal(
        answer_to("gw",
                  PUBLISH("", "['A',{'last':'x'}]," A1 ",['a',{'last':'1'}],['A',{'low':'1'}],"
                              "['A',{'last':'1','timestamp':1640999999.0}],"
                              "['A',{'bid':'2','ask':'1'}],['A',7],"
                              "['GOLD','bad_time','recorded_at']," B2 ",['C',{'last':'1'}]")),
        ANSWER("10", "1", "false",
               "[0,'bad_price',''],[2,'bad_symbol','symbol'],[3,'no_price',''],"
               "[4,'future','timestamp'],[5,'crossed','bid'],[6,'malformed',''],"
               "[7,'bad_time','recorded_at'],[9,'book_full','symbol']"));
    assert_int_equal(published_count, 2);
    assert_int_equal(web()->refused[QUOTE_BAD_TIME], 1);
    assert_int_equal(web()->accepted, 2);
    assert_int_equal(feed_refused_in_row(web()), 1);
}

static void a_request_that_makes_no_sense_changes_nothing(void **state)
{
    static const char *const wrong[] = {
        "{'op':'publish','id':3,'feed':'web'}",
        "{'op':'publish','id':3,'feed':'web','quotes':{}}",
        "{'op':'publish','id':3,'quotes':[]}",
        "{'op':'publish','id':3,'feed':'a b','quotes':[]}",
        PUBLISH("", A1 ",[]"),
        PUBLISH("", A1 ",['A']"),
        PUBLISH("", A1 ",[1,{'last':'1'}]"),
        PUBLISH("", A1 ",['A','no_such_reason','']"),
        PUBLISH("", A1 ",['A','accepted','']"),
        PUBLISH("", A1 ",['A','bad_time','a field with a long name']"),
        PUBLISH("", A1 ",['A',{'last':'1'},{},{}]"),
        PUBLISH(",'key':''", A1),
        PUBLISH(",'key':'a b'", A1),
        PUBLISH(",'key':7", A1),
    };

    (void)state;
    for (size_t i = 0; i < LENGTH(wrong); i++)
        assert_non_null(strstr(answer_to("gw", wrong[i]), "'error':'invalid'"));
    assert_int_equal(published_count, 0);
    assert_int_equal(feed_table_count(core.feeds), 0);
}

static void a_request_has_a_burst_of_quotes_at_most(void **state)
{
    struct buf request = {0};

    (void)state;
    for (int count = 256; count <= 257; count++) {
        buf_clear(&request);
        buf_adds(&request, "{'op':'publish','id':3,'feed':'web','quotes':[" A1);
        for (int i = 1; i < count; i++)
            buf_adds(&request, "," A1);
        buf_adds(&request, "]}");
        core_begin_turn(&core);
        assert_non_null(strstr(answer_to("gw", buf_text(&request)),
                               count == 256 ? "'count':256,'first':1," : "'error':'invalid'"));
        assert_true(core_may_take(&core) == (count == 257));
    }
    assert_int_equal(published_count, 256);
    buf_free(&request);
}

static void a_repeated_key_gets_the_same_answer_and_publishes_nothing(void **state)
{
    const char *first = ANSWER("3", "1", "false", "[1,'bad_price','']"),
               *again = ANSWER("3", "1", "true", "[1,'bad_price','']"),
               *request = PUBLISH(",'key':'k-1'", A1 ",['A',{'last':'x'}]," B2);

    (void)state;
    assert_string_equal(answer_to("gw", request), first);
    pass_time(KEY_TABLE_MS - 1);
    assert_string_equal(answer_to("another gateway", request), again);
    assert_int_equal(published_count, 2);
    assert_int_equal(web()->refused[QUOTE_BAD_PRICE], 1);
    assert_non_null(strstr(answer_to("gw", PUBLISH(",'key':'k-1'", A1)), "'error':'stale'"));
    assert_non_null(strstr(answer_to("gw", PUBLISH(",'key':'k-1','part':1", A1)), "'first':3,"));
    assert_non_null(strstr(answer_to("gw", "{'op':'publish','id':3,'feed':'other','key':'k-1',"
                                           "'quotes':[" B2 "]}"),
                           "'first':4,"));
    pass_time(1);
    assert_non_null(strstr(answer_to("gw", request), "'repeated':false"));
}

static void no_key_is_dropped_early_for_another(void **state)
{
    char request[200];

    (void)state;
    for (int i = 0; i <= (int)config.publish_keys; i++) {
        snprintf(request, sizeof request, PUBLISH(",'key':'k-%d'", A1), i);
        assert_non_null(strstr(answer_to("gw", request), i < (int)config.publish_keys
                                                             ? "'repeated':false"
                                                             : "'error':'full'"));
        if (i == 0)
            pass_time(1000);
    }
    assert_int_equal(published_count, config.publish_keys);
    assert_non_null(strstr(unpacked(&text, last_answer()), "'retry_ms':599000}"));
    assert_non_null(strstr(answer_to("gw", PUBLISH(",'key':'k-0'", A1)), "'repeated':true"));
    assert_non_null(strstr(answer_to("gw", PUBLISH("", A1)), "'repeated':false"));
    pass_time(599000);
    assert_non_null(strstr(answer_to("gw", request), "'repeated':false"));
}

static void a_feed_of_requests_is_silent_after_publish_timeout(void **state)
{
    (void)state;
    core_tick(&core);
    answer_to("gw", PUBLISH("", A1));
    live_on(config.publish_timeout - 1);
    assert_string_equal(answer_to("gw", PUBLISH("", "")), ANSWER("0", "0", "false", ""));
    live_on(config.publish_timeout - 1);
    assert_true(web()->is_held);
    forget_sent(published, &published_count);
    live_on(1);
    assert_false(web()->is_held);
    assert_string_equal(published_text(0),
                        "A state 2<1 {'state':'stale','feed':'web','reason':'silent'}");
    forget_sent(published, &published_count);
    /* the feed is connected again; only the symbols of its new quotes are live again */
    answer_to("gw", PUBLISH("", B2));
    assert_int_equal(published_count, 1);
    assert_string_equal(published_text(0), quote_text("B", 3, 0, "2"));
    assert_true(book_find(core.log.book, SPAN("A"))->is_stale);
    answer_to("gw", PUBLISH("", A1));
    assert_false(book_find(core.log.book, SPAN("A"))->is_stale);
}

static void a_request_without_an_accepted_quote_touches_no_feed_and_no_symbol(void **state)
{
    static const char *const empty[] = {
        PUBLISH("", ""), PUBLISH(",'ended':true", ""), PUBLISH("", "['A',{'last':'x'}]"),
        PUBLISH(",'ended':true", "['a',{'last':'1'}],['','malformed','']")};

    (void)state;
    for (size_t i = 0; i < LENGTH(empty); i++)
        assert_non_null(strstr(answer_to("gw", empty[i]), "'first':0,'repeated':false"));
    assert_int_equal(feed_table_count(core.feeds), 0);
    assert_int_equal(core.refused, 3);
    core_tick(&core);
    answer_to("gw", PUBLISH("", A1));
    live_on(config.publish_timeout);
    assert_true(book_find(core.log.book, SPAN("A"))->is_stale);
    forget_sent(published, &published_count);
    for (size_t i = 0; i < LENGTH(empty); i++)
        answer_to("gw", empty[i]);
    assert_false(web()->is_held);
    assert_int_equal(published_count, 0);
    assert_int_equal(web()->refused[QUOTE_BAD_PRICE], 0);
}

static void ending_a_feed_again_changes_nothing_and_counts_as_work(void **state)
{
    (void)state;
    answer_to("gw", PUBLISH("", A1 "," B2));
    core_begin_turn(&core);
    answer_to("gw", PUBLISH(",'ended':true", ""));
    assert_int_equal(published_count, 4);
    assert_true(core.work <= CORE_TURN_WORK - 2 - 2 * 4);
    for (int i = 0; i < 100; i++)
        answer_to("gw", PUBLISH(",'ended':true", ""));
    assert_int_equal(published_count, 4);
}

static void a_producer_ends_its_feed(void **state)
{
    (void)state;
    answer_to("gw", PUBLISH(",'ended':true", A1));
    assert_int_equal(published_count, 2);
    assert_string_equal(published_text(1),
                        "A state 2<1 {'state':'stale','feed':'web','reason':'ended'}");
    assert_true(web()->has_left);
    assert_false(web()->is_held);
    assert_int_equal(journal_feed(core.log.journal, 0)->has_left, 1);
}

static void feeders_and_requests_do_not_share_a_name(void **state)
{
    (void)state;
    answer_to("peer", HELLO_AS("web", "one"));
    assert_non_null(strstr(answer_to("gw", PUBLISH("", A1)),
                           "'error':'held','message':'feed web is held "
                           "by pid 9 on h','retry_ms':900}"));
    assert_int_equal(published_count, 0);
    pass_time(900);
    core_tick(&core);
    assert_non_null(strstr(answer_to("gw", PUBLISH("", A1)), "'first':1,"));
    assert_non_null(strstr(answer_to("peer", HELLO_AS("web", "one")),
                           "'feed web is held by requests to publish','retry_ms':60000}"));
    assert_non_null(strstr(answer_to("peer", HELLO_AS("web", "~requests")), "'error':'invalid'"));
}

static void the_lines_of_a_silent_feeder_keep_their_numbers(void **state)
{
    (void)state;
    core_tick(&core);
    grant();
    for (uint64_t number = 1; number <= 3; number++)
        line(FIRST_FEED_EPOCH, number, "A ", "1");
    live_on(WIRE_FEED_LEASE_MS);
    assert_false(web()->is_held);
    forget_sent(published, &published_count);
    assert_non_null(
        strstr(answer_to("gw", "{'op':'publish','id':3,'feed':'sim','quotes':[" A1 "]}"),
               "'error':'held','message':'feed sim is that of a feeder"));
    assert_int_equal(published_count, 0);
    assert_non_null(strstr(answer_to("peer", HELLO_AS("sim", "one")), "'received':3"));
}

static void requests_push_out_no_feed_of_a_feeder(void **state)
{
    char request[200];

    (void)state;
    grant();
    line(FIRST_FEED_EPOCH, 1, "A ", "1");
    answer_to("peer", "{'op':'goodbye','id':2,'epoch':" FEED_EPOCH "}");
    for (int i = 0; i < FEED_COUNT_MAX + 10; i++) {
        snprintf(request, sizeof request,
                 "{'op':'publish','id':3,'feed':'f%d','ended':true,'quotes':[" A1 "]}", i);
        assert_non_null(strstr(answer_to("gw", request), "'count':1"));
    }
    assert_non_null(strstr(answer_to("peer", HELLO_AS("sim", "one")), "'received':1"));
}

static void a_key_belongs_to_one_request_as_a_whole(void **state)
{
    (void)state;
    answer_to("gw", PUBLISH(",'key':'k','part':0,'whole':9", A1));
    assert_non_null(
        strstr(answer_to("gw", PUBLISH(",'key':'k','part':0,'whole':8", A1)), "'stale'"));
    assert_non_null(strstr(answer_to("gw", PUBLISH(",'key':'k','part':0", A1)), "'stale'"));
    assert_non_null(
        strstr(answer_to("gw", PUBLISH(",'key':'k','part':0,'whole':9", A1)), "'repeated':true"));
    assert_int_equal(published_count, 1);
    answer_to("gw", PUBLISH(",'key':'l','part':0,'whole':1", A1));
    assert_non_null(strstr(answer_to("gw", PUBLISH(",'key':'l','part':0", A1)), "'stale'"));
}

static void a_kept_answer_names_the_epoch_of_its_positions(void **state)
{
    (void)state;
    answer_to("gw", PUBLISH(",'key':'k'", A1));
    core.log.epoch = 8888;
    assert_non_null(strstr(answer_to("gw", PUBLISH(",'key':'k'", A1)), "'epoch':7777,"));
    assert_non_null(strstr(answer_to("gw", PUBLISH(",'key':'k2'", A1)), "'epoch':8888,"));
}

static void so_many_feeds_are_held_by_requests_at_once(void **state)
{
    char request[200];

    (void)state;
    for (int i = 0; i <= FEED_PUBLISHED_MAX; i++) {
        snprintf(request, sizeof request, "{'op':'publish','id':3,'feed':'f%d','quotes':[" A1 "]}",
                 i);
        assert_non_null(strstr(answer_to("gw", request),
                               i < FEED_PUBLISHED_MAX ? "'count':1" : "'error':'full'"));
    }
    assert_non_null(strstr(answer_to("peer", HELLO_AS("sim", "one")), "'version':1"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(quotes_of_a_request_get_positions_one_after_the_other),
        TEST(each_refused_quote_is_named_with_its_reason_and_field),
        TEST(a_request_that_makes_no_sense_changes_nothing),
        TEST(a_request_has_a_burst_of_quotes_at_most),
        TEST(a_repeated_key_gets_the_same_answer_and_publishes_nothing),
        TEST(no_key_is_dropped_early_for_another),
        TEST(a_feed_of_requests_is_silent_after_publish_timeout),
        TEST(a_request_without_an_accepted_quote_touches_no_feed_and_no_symbol),
        TEST(ending_a_feed_again_changes_nothing_and_counts_as_work),
        TEST(a_producer_ends_its_feed),
        TEST(feeders_and_requests_do_not_share_a_name),
        TEST(the_lines_of_a_silent_feeder_keep_their_numbers),
        TEST(requests_push_out_no_feed_of_a_feeder),
        TEST(a_key_belongs_to_one_request_as_a_whole),
        TEST(a_kept_answer_names_the_epoch_of_its_positions),
        TEST(so_many_feeds_are_held_by_requests_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
