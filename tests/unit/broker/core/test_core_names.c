#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/broker/core/core_fixture.h"

static void a_feeder_gets_its_name_and_the_line_after_which_it_goes_on(void **state)
{
    (void)state;
    grant();
    line(FIRST_FEED_EPOCH, 1, "A ", "1");
    line(FIRST_FEED_EPOCH, 2, "A ", "2");
    assert_string_equal(answer_to("peer", HELLO_AS("sim", "one")),
                        "{'re':'hello','id':1,'version':1,'epoch':" FEED_EPOCH
                        ",'received':2,'lease_ms':900}");
}

static void a_second_feeder_of_a_name_is_refused_with_the_holder(void **state)
{
    (void)state;
    grant();
    assert_string_equal(answer_to("other", HELLO_AS("sim", "two")),
                        "{'re':'hello','id':1,'error':'held',"
                        "'message':'feed sim is held by pid 9 on h','retry_ms':900}");
}

static void a_hello_that_cannot_be_granted_is_answered_with_the_reason(void **state)
{
    static const struct {
        const char *hello, *begins;
    } table[] = {
        {"{'op':'hello','id':5,'role':'feeder','name':'sim','owner':'o','oldest':2,'"
         "newest':3}",
         "{'re':'hello','id':5,'error':'version',"},
        {"{'op':'hello','id':5,'role':'feeder','name':'sim','owner':'o','oldest':0,'"
         "newest':0}",
         "{'re':'hello','id':5,'error':'version',"},
        {"{'op':'hello','id':5,'role':'gateway','name':'gw'}",
         "{'re':'hello','id':5,'error':'version',"},
        {"{'op':'hello','id':5,'role':'consumer','oldest':2,'newest':9}",
         "{'re':'hello','id':5,'error':'version',"},
        {"{'op':'hello','id':5,'role':'feeder','name':'','owner':'o','oldest':1,'"
         "newest':1}",
         "{'re':'hello','id':5,'error':'invalid',"},
        {"{'op':'hello','id':5,'role':'feeder','name':'a "
         "b','owner':'o','oldest':1,'newest':1}",
         "{'re':'hello','id':5,'error':'invalid',"},
        {"{'op':'hello','id':5,'role':'feeder','name':'a','oldest':1,'newest':1}",
         "{'re':'hello','id':5,'error':'invalid',"},
        {"{'op':'hello','id':5,'role':'gateway','oldest':1,'newest':1}",
         "{'re':'hello','id':5,'error':'invalid',"},
        {"{'op':'hello','id':5,'role':'king','name':'a','owner':'o','oldest':1,'newest'"
         ":1}",
         "{'re':'hello','id':5,'error':'invalid',"},
        {"{'op':'hello','id':5,'name':'a','owner':'o','oldest':1,'newest':1}",
         "{'re':'hello','id':5,'error':'invalid',"},
    };

    (void)state;
    for (size_t i = 0; i < LENGTH(table); i++) {
        const char *answer = answer_to("peer", table[i].hello);

        if (strncmp(answer, table[i].begins, strlen(table[i].begins)) != 0 ||
            !strstr(answer, ",'message':'"))
            fail_msg("%s: %s", table[i].hello, answer);
    }
    assert_int_equal(feed_table_count(core.feeds), 0);
    assert_int_equal(registry_gateways(core.registry), 0);
}

static void newer_peers_that_still_speak_our_version_are_welcome(void **state)
{
    (void)state;
    assert_non_null(strstr(answer_to("p", "{'op':'hello','id':3,'role':'consumer','oldest':1,"
                                          "'newest':7,'colour':'blue'}"),
                           "'version':1,'epoch':7777,'seq':0"));
}

static void lines_of_an_ended_grant_are_dropped(void **state)
{
    (void)state;
    grant();
    line(FIRST_FEED_EPOCH, 1, "A ", "1");
    assert_string_equal(answer_to("peer", "{'op':'goodbye','id':2,'epoch':" FEED_EPOCH "}"),
                        "{'re':'goodbye','id':2}");
    forget_sent(published, &published_count);
    line(FIRST_FEED_EPOCH, 2, "A ", "2"); /* still on its way */
    assert_non_null(strstr(answer_to("new", HELLO_AS("sim", "two")), "'epoch':1640995200000002,"));
    line(FIRST_FEED_EPOCH, 3, "A ", "3");
    line_of_kind(WIRE_HEARTBEAT, FIRST_FEED_EPOCH, 3, WIRE_TOPIC_HEARTBEAT, NULL);
    assert_int_equal(published_count, 0);
    assert_int_equal(core.unknown_lines, 3);
    line(FIRST_FEED_EPOCH + 1, 1, "A ", "43");
    assert_string_equal(published_text(0), quote_text("A", 3, 2, "43"));
}

static void a_standby_feeder_learns_when_the_name_may_be_free_and_then_its_predecessor(void **state)
{
    (void)state;
    grant();
    line(FIRST_FEED_EPOCH, 1, "A ", "1");
    live_on(300);
    assert_non_null(strstr(answer_to("other", HELLO_AS("sim", "two")), "'retry_ms':600}"));
    live_on(599);
    assert_non_null(strstr(answer_to("other", HELLO_AS("sim", "two")), "'retry_ms':10}"));
    live_on(1);
    assert_string_equal(answer_to("other", HELLO_AS("sim", "two")),
                        "{'re':'hello','id':1,'version':1,'epoch':1640995200000002,"
                        "'received':0,'lease_ms':900,'after':{'host':'h','pid':9,"
                        "'line':1,'ago_ms':900,'left':false}}");
    /* A repeated request after a lost answer gets the same grant. */
    assert_non_null(strstr(answer_to("other", HELLO_AS("sim", "two")), "'line':1,'ago_ms':900"));
    answer_to("other", "{'op':'goodbye','id':2,'epoch':1640995200000002}");
    assert_non_null(
        strstr(answer_to("third", HELLO_AS("sim", "three")), "'line':0,'ago_ms':0,'left':true}"));
    /* A feeder that gets its own name back has no predecessor. */
    answer_to("third", "{'op':'goodbye','id':2,'epoch':1640995200000003}");
    assert_null(strstr(answer_to("third", HELLO_AS("sim", "three")), "after"));
}

static void a_feed_that_reconnects_makes_its_symbols_live_again(void **state)
{
    (void)state;
    grant();
    line(FIRST_FEED_EPOCH, 1, "A ", "1");
    answer_to("peer", "{'op':'goodbye','id':2,'epoch':" FEED_EPOCH "}");
    assert_string_equal(published_text(1),
                        "A state 2<1 {'state':'stale','feed':'sim','reason':'ended'}");
    answer_to("peer", HELLO_AS("sim", "one"));
    assert_string_equal(published_text(2), "A state 3<2 {'state':'live','feed':'sim'}");
    assert_int_equal(published_count, 3);
}

static uint64_t let_in(const char *name)
{
    char hello[200];

    snprintf(hello, sizeof hello,
             "{'op':'hello','id':1,'role':'feeder','name':'%s','owner':'%s','oldest':1,"
             "'newest':1,'acked':0,'host':'h','pid':9}",
             name, name);
    answer_to("peer", hello);
    assert_int_equal(pack_find_text(last_answer(), "error").len, 0);
    return pack_find_u(last_answer(), "epoch", 0);
}

static void leave(uint64_t epoch)
{
    char goodbye[100];

    snprintf(goodbye, sizeof goodbye, "{'op':'goodbye','id':2,'epoch':%llu}",
             (unsigned long long)epoch);
    answer_to("peer", goodbye);
}

static void invent_feeds(int begin, int end)
{
    char name[32];

    for (int i = begin; i < end; i++) {
        uint64_t epoch;

        snprintf(name, sizeof name, "invented-%d", i);
        epoch = let_in(name);
        line(epoch, 1, "S ", "1");
        leave(epoch);
        forget_sent(replies, &reply_count);
        forget_sent(published, &published_count);
        pass_time(1);
    }
}

static uint64_t received_of(const char *name)
{
    for (size_t i = 0; i < feed_table_count(core.feeds); i++)
        if (strcmp(feed_table_at(core.feeds, i)->name, name) == 0)
            return feed_table_at(core.feeds, i)->received;
    return 0;
}

static void feeds_that_published_little_make_room_for_new_ones(void **state)
{
    uint64_t epoch;

    (void)state;
    epoch = let_in("used");
    line(epoch, 1, "A ", "1");
    line(epoch, 2, "B ", "1");
    leave(epoch);
    epoch = let_in("live");
    line(epoch, 1, "C ", "1");
    invent_feeds(0, FEED_COUNT_MAX - 2);
    assert_int_equal(feed_table_count(core.feeds), FEED_COUNT_MAX);
    assert_int_equal(received_of("invented-0"), 1);
    line(let_in("real"), 1, "A ", "2"); /* of the feed that is away */
    assert_int_equal(received_of("real"), 1);
    assert_int_equal(received_of("invented-0"), 0);
    assert_int_equal(received_of("invented-1"), 1);
    invent_feeds(FEED_COUNT_MAX, 3 * FEED_COUNT_MAX);
    assert_int_equal(feed_table_count(core.feeds), FEED_COUNT_MAX);
    assert_int_equal(received_of("used"), 2);
    assert_int_equal(received_of("live"), 1);
    assert_int_equal(received_of("real"), 1);
    line(epoch, 2, "C ", "2");
    assert_int_equal(received_of("live"), 2);
}

static void the_symbols_of_a_forgotten_feed_have_no_feed(void **state)
{
    char name[32], topic[32];

    (void)state;
    for (int i = 0; i < FEED_COUNT_MAX; i++) {
        uint64_t epoch;

        snprintf(name, sizeof name, "feed-%d", i);
        snprintf(topic, sizeof topic, "S%d ", i ? i : FEED_COUNT_MAX); /* two of the first feed */
        epoch = let_in(name);
        line(epoch, 1, topic, "1");
        if (i == 1)
            line(epoch, 2, "T ", "1");
        leave(epoch);
        forget_sent(replies, &reply_count);
        forget_sent(published, &published_count);
        pass_time(1);
    }
    line(let_in("new-1"), 1, "N1 ", "1");
    line(let_in("new-2"), 1, "N2 ", "1");
    assert_int_equal(book_find(core.log.book, SPAN("S1024"))->feed, BOOK_NO_FEED);
    assert_int_equal(book_find(core.log.book, SPAN("S2"))->feed, BOOK_NO_FEED);
    assert_int_equal(book_find(core.log.book, SPAN("S1"))->feed, 1);
    assert_int_equal(book_find(core.log.book, SPAN("T"))->feed, 1);
}

static void the_first_symbol_counts_for_its_feed_like_any_other(void **state)
{
    uint64_t epoch = let_in("used");

    (void)state;
    line(epoch, 1, "A ", "1");
    leave(epoch);
    invent_feeds(0, FEED_COUNT_MAX - 1); /* one of them has a symbol */
    line(let_in("new"), 1, "B ", "1");
    assert_int_equal(received_of("used"), 1);
    assert_int_equal(received_of("new"), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_feeder_gets_its_name_and_the_line_after_which_it_goes_on),
        TEST(a_second_feeder_of_a_name_is_refused_with_the_holder),
        TEST(a_hello_that_cannot_be_granted_is_answered_with_the_reason),
        TEST(newer_peers_that_still_speak_our_version_are_welcome),
        TEST(lines_of_an_ended_grant_are_dropped),
        TEST(a_standby_feeder_learns_when_the_name_may_be_free_and_then_its_predecessor),
        TEST(a_feed_that_reconnects_makes_its_symbols_live_again),
        TEST(feeds_that_published_little_make_room_for_new_ones),
        TEST(the_first_symbol_counts_for_its_feed_like_any_other),
        TEST(the_symbols_of_a_forgotten_feed_have_no_feed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
