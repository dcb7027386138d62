#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/broker/core/core_fixture.h"

static void a_heartbeat_finds_the_lines_that_were_lost_at_the_end(void **state)
{
    (void)state;
    grant();
    line_of_kind(WIRE_HEARTBEAT, FIRST_FEED_EPOCH, 0, WIRE_TOPIC_HEARTBEAT, NULL);
    assert_string_equal(heard("peer"), "{'op':'received','epoch':" FEED_EPOCH ",'line':0}");
    line(FIRST_FEED_EPOCH, 1, "A ", "1");
    line_of_kind(WIRE_HEARTBEAT, FIRST_FEED_EPOCH, 3, WIRE_TOPIC_HEARTBEAT, NULL);
    assert_string_equal(heard("peer"), "{'op':'resend','epoch':" FEED_EPOCH ",'from':2} "
                                       "{'op':'received','epoch':" FEED_EPOCH ",'line':1}");
    assert_int_equal(published_count, 1);
}

static void a_silent_feed_makes_its_symbols_stale(void **state)
{
    (void)state;
    grant();
    line(FIRST_FEED_EPOCH, 1, "A ", "1");
    line(FIRST_FEED_EPOCH, 2, "B ", "2");
    forget_sent(published, &published_count);
    core.heartbeat_at = INT64_MAX; /* only states are of interest */
    live_on(WIRE_FEED_LEASE_MS - 1);
    assert_int_equal(published_count, 0);
    live_on(1);
    assert_int_equal(published_count, 2);
    assert_string_equal(published_text(0),
                        "A state 3<1 {'state':'stale','feed':'sim','reason':'silent'}");
    assert_string_equal(published_text(1),
                        "B state 4<2 {'state':'stale','feed':'sim','reason':'silent'}");
    core_tick(&core);
    assert_int_equal(published_count, 2); /* published once */

    /* Another feeder takes over: a quote makes its symbol live again, in the same chain. */
    answer_to("new", HELLO_AS("sim", "two"));
    assert_int_equal(published_count, 2);
    line(FIRST_FEED_EPOCH + 1, 1, "A ", "9");
    assert_string_equal(published_text(2), quote_text("A", 5, 3, "9"));
    assert_false(book_find(core.log.book, SPAN("A"))->is_stale);
    assert_true(book_find(core.log.book, SPAN("B"))->is_stale);
}

static void a_broker_that_comes_late_listens_before_it_judges(void **state)
{
    (void)state;
    grant();
    live_on(0);
    pass_time(WIRE_FEED_LEASE_MS + 500); /* too short to count as a pause of the broker */
    core_tick(&core);
    assert_true(feed_table_at(core.feeds, 0)->is_held);
    pass_time(50);
    line_of_kind(WIRE_HEARTBEAT, FIRST_FEED_EPOCH, 0, "!heartbeat ", NULL);
    live_on(WIRE_FEED_LEASE_MS - 1);
    assert_true(feed_table_at(core.feeds, 0)->is_held);
    pass_time(WIRE_FEED_LEASE_MS);
    core_tick(&core);
    live_on(99);
    assert_true(feed_table_at(core.feeds, 0)->is_held);
    live_on(1);
    assert_false(feed_table_at(core.feeds, 0)->is_held);
}

static void our_own_pause_is_not_a_feeds_silence(void **state)
{
    (void)state;
    grant();
    line(FIRST_FEED_EPOCH, 1, "A ", "1");
    core.time.now += 60000; /* and the awake clock stood still */
    core_tick(&core);
    assert_true(feed_table_at(core.feeds, 0)->is_held);
    assert_int_equal(published_record(published_count - 1).kind, WIRE_HEARTBEAT);
}

static void a_symbol_is_stale_with_the_feed_that_quoted_it_last(void **state)
{
    (void)state;
    grant();
    answer_to("other", HELLO_AS("backup", "two"));
    line(FIRST_FEED_EPOCH, 1, "A ", "1");
    line(FIRST_FEED_EPOCH, 2, "B ", "1");
    line(FIRST_FEED_EPOCH + 1, 1, "A ", "2");
    answer_to("peer", "{'op':'goodbye','id':2,'epoch':" FEED_EPOCH "}");
    assert_int_equal(published_count, 4);
    assert_string_equal(published_text(3),
                        "B state 4<2 {'state':'stale','feed':'sim','reason':'ended'}");
}

/* A heartbeat of a feeder that has sent all lines up to outbox_last. */
static void beat(uint64_t outbox_last)
{
    line_of_kind(WIRE_HEARTBEAT, FIRST_FEED_EPOCH, outbox_last, WIRE_TOPIC_HEARTBEAT, NULL);
}

static void a_heartbeat_names_what_changed_since_the_one_before(void **state)
{
    (void)state;
    grant();
    assert_int_equal(core_tick(&core), WIRE_FEED_LEASE_MS);
    assert_string_equal(published_text(0),
                        "!heartbeat heartbeat 0<1 {'complete':true,'changed':[]}");
    line(FIRST_FEED_EPOCH, 1, "A ", "1");
    line(FIRST_FEED_EPOCH, 2, "B ", "1");
    line(FIRST_FEED_EPOCH, 3, "A ", "1");
    pass_time(500);
    beat(3);
    pass_time(WIRE_HEARTBEAT_MS - 501);
    assert_int_equal(core_tick(&core), 1);
    assert_int_equal(published_count, 4);
    pass_time(1);
    assert_int_equal(core_tick(&core), WIRE_FEED_LEASE_MS - 500);
    assert_string_equal(published_text(4),
                        "!heartbeat heartbeat 3<2 {'complete':true,'changed':[['A',3],['B',2]]}");
    pass_time(WIRE_HEARTBEAT_MS);
    beat(3);
    core_tick(&core);
    assert_string_equal(published_text(5),
                        "!heartbeat heartbeat 3<3 {'complete':true,'changed':[]}");
    answer_to("peer", "{'op':'goodbye','id':2,'epoch':" FEED_EPOCH "}"); /* two states */
    pass_time(WIRE_HEARTBEAT_MS);
    core_tick(&core);
    assert_string_equal(published_text(8),
                        "!heartbeat heartbeat 5<4 {'complete':true,'changed':[['A',4],['B',5]]}");
}

static void heartbeats_missed_are_not_made_up_for(void **state)
{
    (void)state;
    core_tick(&core);
    pass_time(10 * WIRE_HEARTBEAT_MS + 300);
    assert_int_equal(core_tick(&core), WIRE_HEARTBEAT_MS);
    assert_int_equal(core_tick(&core), WIRE_HEARTBEAT_MS);
    assert_int_equal(published_count, 2);
    assert_int_equal(published_record(1).prev, 2);
}

static void a_heartbeat_cut_for_size_says_so(void **state)
{
    struct wire_record r;
    struct pack_value list;
    char topic[32];
    const uint64_t count = 25000;

    (void)state;
    grant();
    for (uint64_t n = 1; n <= count; n++) {
        snprintf(topic, sizeof topic, "S%llu ", (unsigned long long)n);
        line(FIRST_FEED_EPOCH, n, topic, "1");
    }
    core_tick(&core);
    r = published_record((size_t)count);
    assert_int_equal(r.kind, WIRE_HEARTBEAT);
    assert_int_equal(r.seq, count);
    assert_false(pack_find_bool(r.body, "complete", true));
    assert_true(pack_find(r.body, "changed", &list, NULL));
    assert_true(list.count > 0 && list.count < count);
}

static void a_mark_is_answered_with_the_head(void **state)
{
    static const char *const unmarked[] = {
        "\x01~mark/",
        "\x01~mar",
        "\x01",
        "\x01!heartbeat ",
        ("\x01"
         "EUR/USD "),
        "\x02~mark/x ",
        "~mark/x ",
        "\x01~mark/0123456789012345678901234567890123456789012345678901234567890 ",
    };

    (void)state;
    core_subscription(&core, SPAN("\x01~mark/ab-1 "));
    assert_string_equal(published_text(0), "~mark/ab-1 mark 0<0 null");
    grant();
    line(FIRST_FEED_EPOCH, 1, "A ", "1");
    core_subscription(&core, SPAN("\x01~mark/ab-2 "));
    assert_string_equal(published_text(2), "~mark/ab-2 mark 1<0 null");
    line(FIRST_FEED_EPOCH, 2, "A ", "2");
    assert_string_equal(published_text(3), quote_text("A", 2, 1, "2")); /* takes no position */
    forget_sent(published, &published_count);
    for (size_t i = 0; i < LENGTH(unmarked); i++)
        core_subscription(&core, span_of(unmarked[i]));
    core_subscription(&core, SPAN(""));
    core_subscription(&core, SPAN("\0~mark/ab-2 ")); /* gone again */
    assert_int_equal(published_count, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_heartbeat_finds_the_lines_that_were_lost_at_the_end),
        TEST(a_silent_feed_makes_its_symbols_stale),
        TEST(a_broker_that_comes_late_listens_before_it_judges),
        TEST(our_own_pause_is_not_a_feeds_silence),
        TEST(a_symbol_is_stale_with_the_feed_that_quoted_it_last),
        TEST(a_heartbeat_names_what_changed_since_the_one_before),
        TEST(heartbeats_missed_are_not_made_up_for),
        TEST(a_heartbeat_cut_for_size_says_so),
        TEST(a_mark_is_answered_with_the_head),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
