/* Lines, states, heartbeats and marks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/broker/core/core_bench.h"

static void a_feeder_is_granted_its_name_and_told_where_to_go_on(void **state)
{
    (void)state;
    grant();
    line(FIRST_FEED_EPOCH, 1, "A ", "1");
    line(FIRST_FEED_EPOCH, 2, "A ", "2");
    assert_string_equal(ask("peer", HELLO_AS("sim", "one")),
                        "{'re':'hello','id':1,'version':1,'epoch':" FEED_EPOCH
                        ",'received':2,'lease_ms':900}");
}

/* Published or refused, by a timestamp so many seconds from the clock of the test. */
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
                    WALL_US + 100000 - hour_us +
                        CORE_CLOCK_PATIENCE_MS * INT64_C(1000));
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

static void a_second_feeder_of_the_name_is_told_who_holds_it(void **state)
{
    (void)state;
    grant();
    assert_string_equal(ask("other", HELLO_AS("sim", "two")),
                        "{'re':'hello','id':1,'error':'held',"
                        "'message':'feed sim is held by pid 9 on h','retry_ms':900}");
}

static void a_hello_that_cannot_be_granted_is_told_why(void **state)
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
        const char *answer = ask("peer", table[i].hello);

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
    assert_non_null(strstr(ask("p", "{'op':'hello','id':3,'role':'consumer','oldest':1,"
                                    "'newest':7,'colour':'blue'}"),
                           "'version':1,'epoch':7777,'seq':0"));
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
    /* Short integers, and two elements more than we know. */
    unhex(&message,
          "99 01 cf0005d479f7f96001 01 00 64 00"
          "82 a46c617374 a3312e35 a974696d657374616d70 ce61cf9980 c3 a3616263");
    assert_false(ingest(SPAN("A "), buf_span(&message)));
    buf_free(&message);
    line(FIRST_FEED_EPOCH, 2, "A ", "2");
    assert_int_equal(published_count, 2);
    assert_int_equal(wire_read(buf_span(&published[0].message), &r, &stampable), OK);
    assert_true(stampable);
    assert_int_equal(r.sent_us, 100);
    assert_string_equal(published_text(0),
                        "A quote 1<0 {'last':'1.5','timestamp':1640995200}");
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

static void a_missing_line_is_asked_for_and_what_follows_waits(void **state)
{
    (void)state;
    grant();
    line(FIRST_FEED_EPOCH, 1, "A ", "1");
    line(FIRST_FEED_EPOCH, 3, "A ", "3");
    line(FIRST_FEED_EPOCH, 4, "A ", "4");
    assert_string_equal(heard("peer"),
                        "{'op':'resend','epoch':" FEED_EPOCH ",'from':2}");
    pass_time(FEED_RESEND_MS);
    line(FIRST_FEED_EPOCH, 5, "A ", "5"); /* the request may have got lost */
    assert_string_equal(heard("peer"),
                        "{'op':'resend','epoch':" FEED_EPOCH ",'from':2}");
    assert_int_equal(published_count, 1);
    for (uint64_t n = 2; n <= 5; n++)
        line(FIRST_FEED_EPOCH, n, "A ", "42");
    assert_int_equal(published_count, 5);
    assert_string_equal(published_text(4), quote_text("A", 5, 4, "42"));
    assert_int_equal(said_count, 0);
}

static void a_heartbeat_finds_the_lines_that_were_lost_at_the_end(void **state)
{
    (void)state;
    grant();
    line_of_kind(WIRE_HEARTBEAT, FIRST_FEED_EPOCH, 0, WIRE_TOPIC_HEARTBEAT, NULL);
    assert_string_equal(heard("peer"),
                        "{'op':'received','epoch':" FEED_EPOCH ",'line':0}");
    line(FIRST_FEED_EPOCH, 1, "A ", "1");
    line_of_kind(WIRE_HEARTBEAT, FIRST_FEED_EPOCH, 3, WIRE_TOPIC_HEARTBEAT, NULL);
    assert_string_equal(heard("peer"),
                        "{'op':'resend','epoch':" FEED_EPOCH ",'from':2} "
                        "{'op':'received','epoch':" FEED_EPOCH ",'line':1}");
    assert_int_equal(published_count, 1);
}

static void what_was_received_is_acknowledged_once(void **state)
{
    (void)state;
    grant();
    core_acknowledge(&core);
    assert_int_equal(said_count, 0);
    for (uint64_t n = 1; n <= 20; n++)
        line(FIRST_FEED_EPOCH, n, "A ", "1");
    assert_true(core_tick(&core) <= FEED_TELL_MS);
    pass_time(FEED_TELL_MS);
    core_acknowledge(&core);
    assert_string_equal(heard("peer"),
                        "{'op':'received','epoch':" FEED_EPOCH ",'line':20}");
    pass_time(FEED_TELL_MS);
    core_acknowledge(&core);
    assert_int_equal(said_count, 0);
    for (uint64_t n = 21; n <= 20 + FEED_TELL_LINES; n++)
        line(FIRST_FEED_EPOCH, n, "A ", "1");
    core_acknowledge(&core); /* so many are told at once */
    assert_non_null(strstr(heard("peer"), ",'line':1044}"));
}

static void lines_of_an_ended_grant_are_nobodys(void **state)
{
    (void)state;
    grant();
    line(FIRST_FEED_EPOCH, 1, "A ", "1");
    assert_string_equal(ask("peer", "{'op':'goodbye','id':2,'epoch':" FEED_EPOCH "}"),
                        "{'re':'goodbye','id':2}");
    forget_sent(published, &published_count);
    line(FIRST_FEED_EPOCH, 2, "A ", "2"); /* still on its way */
    assert_non_null(
        strstr(ask("new", HELLO_AS("sim", "two")), "'epoch':1640995200000002,"));
    line(FIRST_FEED_EPOCH, 3, "A ", "3");
    line_of_kind(WIRE_HEARTBEAT, FIRST_FEED_EPOCH, 3, WIRE_TOPIC_HEARTBEAT, NULL);
    assert_int_equal(published_count, 0);
    assert_int_equal(core.unknown_lines, 3);
    line(FIRST_FEED_EPOCH + 1, 1, "A ", "43");
    assert_string_equal(published_text(0), quote_text("A", 3, 2, "43"));
}

static void what_is_no_record_is_dropped(void **state)
{
    (void)state;
    grant();
    assert_false(ingest(SPAN("A "), SPAN("")));
    assert_false(ingest(SPAN("A "), SPAN("hello")));
    assert_false(ingest(SPAN(""), SPAN("\x97\x01\x02\x03\x04\x05\x06\xC1")));
    assert_int_equal(core.unknown_lines, 3);
    assert_int_equal(published_count + said_count, 0);
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
        {WIRE_QUOTE, "A ", "{'last':'1'}", QUOTE_BAD_TIME},
        {WIRE_QUOTE, "A ", "{'bid':'2','ask':'1','timestamp':1640995200}",
         QUOTE_CROSSED},
        {WIRE_QUOTE, "A ", "[1]", QUOTE_MALFORMED},
        {WIRE_QUOTE, "A ", NULL, QUOTE_MALFORMED},
        {WIRE_QUOTE, "a ", "{'last':'1','timestamp':1640995200}", QUOTE_BAD_SYMBOL},
        {WIRE_QUOTE, "A", "{'last':'1','timestamp':1640995200}", QUOTE_BAD_SYMBOL},
        {WIRE_QUOTE, "", "{'last':'1','timestamp':1640995200}", QUOTE_BAD_SYMBOL},
        {WIRE_QUOTE, WIRE_TOPIC_LOST, "{'last':'1','timestamp':1640995200}",
         QUOTE_BAD_SYMBOL},
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

        line_of_kind(table[i].kind, FIRST_FEED_EPOCH, i + 1, table[i].topic,
                     table[i].body);
        assert_int_equal(f->refused[table[i].why], before + 1);
        assert_int_equal(f->received, i + 1); /* it was here: no gap */
    }
    assert_int_equal(published_count, 0);
    assert_int_equal(core.refused, LENGTH(table));
    assert_int_equal(book_count(core.book), 0);
    assert_int_equal(journal_head(core.journal), 0);
}

static void a_feed_that_may_cross_does(void **state)
{
    (void)state;
    ask("peer",
        "{'op':'hello','id':1,'role':'feeder','name':'sim','owner':'one','oldest':1,"
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

/* --- states and losses
 * ----------------------------------------------------------------- */

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
                        "A state 3<1 {'state':'stale','feed':'sim'}");
    assert_string_equal(published_text(1),
                        "B state 4<2 {'state':'stale','feed':'sim'}");
    core_tick(&core);
    assert_int_equal(published_count, 2); /* said once */

    /* Another takes over: a quote makes its symbol live again, in the same chain. */
    ask("new", HELLO_AS("sim", "two"));
    assert_int_equal(published_count, 2);
    line(FIRST_FEED_EPOCH + 1, 1, "A ", "9");
    assert_string_equal(published_text(2), quote_text("A", 5, 3, "9"));
    assert_false(book_find(core.book, SPAN("A"))->is_stale);
    assert_true(book_find(core.book, SPAN("B"))->is_stale);
}

static void a_broker_that_comes_late_listens_before_it_judges(void **state)
{
    (void)state;
    grant();
    live_on(0);
    pass_time(WIRE_FEED_LEASE_MS + 500); /* too short to be known as a pause of ours */
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

static void who_stands_by_is_told_when_the_name_may_be_free_and_then_whom_it_follows(
    void **state)
{
    (void)state;
    grant();
    line(FIRST_FEED_EPOCH, 1, "A ", "1");
    live_on(300);
    assert_non_null(strstr(ask("other", HELLO_AS("sim", "two")), "'retry_ms':600}"));
    live_on(599);
    assert_non_null(strstr(ask("other", HELLO_AS("sim", "two")), "'retry_ms':10}"));
    live_on(1);
    assert_string_equal(ask("other", HELLO_AS("sim", "two")),
                        "{'re':'hello','id':1,'version':1,'epoch':1640995200000002,"
                        "'received':0,'lease_ms':900,'after':{'host':'h','pid':9,"
                        "'line':1,'ago_ms':900,'left':false}}");
    /* The same grant again, should the answer be lost. */
    assert_non_null(
        strstr(ask("other", HELLO_AS("sim", "two")), "'line':1,'ago_ms':900"));
    ask("other", "{'op':'goodbye','id':2,'epoch':1640995200000002}");
    assert_non_null(strstr(ask("third", HELLO_AS("sim", "three")),
                           "'line':0,'ago_ms':0,'left':true}"));
    /* Who gets back what was its own follows nobody. */
    ask("third", "{'op':'goodbye','id':2,'epoch':1640995200000003}");
    assert_null(strstr(ask("third", HELLO_AS("sim", "three")), "after"));
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

static void a_feed_that_comes_back_vouches_for_what_it_said(void **state)
{
    (void)state;
    grant();
    line(FIRST_FEED_EPOCH, 1, "A ", "1");
    ask("peer", "{'op':'goodbye','id':2,'epoch':" FEED_EPOCH "}");
    assert_string_equal(published_text(1),
                        "A state 2<1 {'state':'stale','feed':'sim'}");
    ask("peer", HELLO_AS("sim", "one"));
    assert_string_equal(published_text(2), "A state 3<2 {'state':'live','feed':'sim'}");
    assert_int_equal(published_count, 3);
}

static void a_symbol_is_stale_with_the_feed_that_quoted_it_last(void **state)
{
    (void)state;
    grant();
    ask("other", HELLO_AS("backup", "two"));
    line(FIRST_FEED_EPOCH, 1, "A ", "1");
    line(FIRST_FEED_EPOCH, 2, "B ", "1");
    line(FIRST_FEED_EPOCH + 1, 1, "A ", "2");
    ask("peer", "{'op':'goodbye','id':2,'epoch':" FEED_EPOCH "}");
    assert_int_equal(published_count, 4);
    assert_string_equal(published_text(3),
                        "B state 4<2 {'state':'stale','feed':'sim'}");
}

static void lines_that_cannot_come_again_are_logged_as_lost(void **state)
{
    (void)state;
    grant();
    line(FIRST_FEED_EPOCH, 1, "A ", "1");
    assert_string_equal(ask("peer", "{'op':'lost','id':4,'epoch':" FEED_EPOCH
                                    ",'first':2,'last':5,'reason':'ring_overflow'}"),
                        "{'re':'lost','id':4,'received':5}");
    line(FIRST_FEED_EPOCH, 6, "A ", "6");
    assert_string_equal(
        ask("peer", "{'op':'lost','id':5,'epoch':" FEED_EPOCH ",'first':7,'last':7}"),
        "{'re':'lost','id':5,'received':7}");
    assert_int_equal(published_count, 4);
    assert_string_equal(published_text(1),
                        "!lost lost 2<0 {'feed':'sim','first':2,'last':5,'count':4,"
                        "'reason':'ring_overflow'}");
    assert_string_equal(published_text(2), quote_text("A", 3, 1, "6"));
    assert_string_equal(published_text(3),
                        "!lost lost 4<2 {'feed':'sim','first':7,'last':7,"
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
        assert_non_null(strstr(ask("peer", bad[i]), "'error':'invalid'"));
        assert_int_equal(feed_table_at(core.feeds, 0)->received, 1);
        assert_int_equal(feed_table_at(core.feeds, 0)->lost, 0);
    }
    assert_non_null(
        strstr(ask("peer", "{'op':'lost','id':1,'epoch':1,'first':2,'last':5}"),
               "'error':'unknown_peer'"));
    assert_int_equal(published_count, 1);
}

/* --- heartbeats and marks
 * ------------------------------------------------------------------ */

/* A feeder that has said everything up to a line, and is heard of. */
static void beat(uint64_t outbox_last)
{
    line_of_kind(WIRE_HEARTBEAT, FIRST_FEED_EPOCH, outbox_last, WIRE_TOPIC_HEARTBEAT,
                 NULL);
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
    assert_string_equal(
        published_text(4),
        "!heartbeat heartbeat 3<2 {'complete':true,'changed':[['A',3],['B',2]]}");
    pass_time(WIRE_HEARTBEAT_MS);
    beat(3);
    core_tick(&core);
    assert_string_equal(published_text(5),
                        "!heartbeat heartbeat 3<3 {'complete':true,'changed':[]}");
    ask("peer", "{'op':'goodbye','id':2,'epoch':" FEED_EPOCH "}"); /* two states */
    pass_time(WIRE_HEARTBEAT_MS);
    core_tick(&core);
    assert_string_equal(
        published_text(8),
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
    assert_string_equal(published_text(3),
                        quote_text("A", 2, 1, "2")); /* takes no position */
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
        TEST(a_feeder_is_granted_its_name_and_told_where_to_go_on),
        TEST(a_clock_that_is_set_back_refuses_no_quote_as_future),
        TEST(a_clock_that_is_set_ahead_takes_what_peers_stamp_then),
        TEST(a_second_feeder_of_the_name_is_told_who_holds_it),
        TEST(a_hello_that_cannot_be_granted_is_told_why),
        TEST(newer_peers_that_still_speak_our_version_are_welcome),
        TEST(quotes_get_dense_positions_and_exact_chains),
        TEST(a_line_of_another_layout_is_published_in_ours),
        TEST(a_repeated_line_is_dropped),
        TEST(a_missing_line_is_asked_for_and_what_follows_waits),
        TEST(a_heartbeat_finds_the_lines_that_were_lost_at_the_end),
        TEST(what_was_received_is_acknowledged_once),
        TEST(lines_of_an_ended_grant_are_nobodys),
        TEST(what_is_no_record_is_dropped),
        TEST(a_refused_quote_is_counted_by_reason_and_not_published),
        TEST(a_feed_that_may_cross_does),
        TEST(a_full_book_refuses_new_symbols_only),
        TEST(a_silent_feed_makes_its_symbols_stale),
        TEST(a_broker_that_comes_late_listens_before_it_judges),
        TEST(who_stands_by_is_told_when_the_name_may_be_free_and_then_whom_it_follows),
        TEST(our_own_pause_is_not_a_feeds_silence),
        TEST(a_feed_that_comes_back_vouches_for_what_it_said),
        TEST(a_symbol_is_stale_with_the_feed_that_quoted_it_last),
        TEST(lines_that_cannot_come_again_are_logged_as_lost),
        TEST(a_loss_that_is_refused_changes_nothing),
        TEST(a_heartbeat_names_what_changed_since_the_one_before),
        TEST(heartbeats_missed_are_not_made_up_for),
        TEST(a_heartbeat_cut_for_size_says_so),
        TEST(a_mark_is_answered_with_the_head),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
