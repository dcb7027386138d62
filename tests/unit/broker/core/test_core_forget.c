#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/broker/core/core_fixture.h"
#include "tests/unit/dice.h"

#define FORGET(what, name) "{'op':'forget','id':5,'" what "':'" name "','by':'a test'}"
#define GOODBYE "{'op':'goodbye','id':2,'epoch':" FEED_EPOCH "}"
#define REMOVED(seq, symbols) \
    "{'re':'forget','id':5,'epoch':7777,'seq':" seq ",'symbols':" symbols "}"
#define SNAPSHOT "{'op':'snapshot','id':6,'pattern':'*'}"

static const char *refusal(const char *question)
{
    static char name[40];

    answer_to("gw", question);
    span_copy(name, sizeof name, pack_find_text(last_answer(), "error"));
    return name;
}

static uint64_t symbols_in_status(void)
{
    answer_to("gw", "{'op':'status','id':7}");
    return pack_find_u(last_answer(), "symbols", 99);
}

static void a_removed_symbol_is_gone_and_its_removal_is_a_record(void **state)
{
    (void)state;
    grant();
    line(FIRST_FEED_EPOCH, 1, "A ", "1");
    line(FIRST_FEED_EPOCH, 2, "B ", "2");
    assert_string_equal(answer_to("gw", FORGET("symbol", "A")), REMOVED("3", "1"));
    assert_string_equal(published_text(2), "A state 3<1 {'state':'removed','by':'a test'}");
    assert_int_equal(symbols_in_status(), 1);
    answer_to("gw", "{'op':'snapshot','id':6,'pattern':'A'}");
    assert_string_equal(unpacked(&text, last_answer()),
                        "{'re':'snapshot','id':6,'epoch':7777,'seq':3,'symbols':1,"
                        "'removed':[['A',3]],'quotes':[]}");
    assert_string_equal(refusal(FORGET("symbol", "A")), "not_found");
}

static void the_next_quote_brings_a_removed_symbol_back_in_the_same_chain(void **state)
{
    (void)state;
    grant();
    line(FIRST_FEED_EPOCH, 1, "A ", "1");
    answer_to("gw", FORGET("symbol", "A"));
    line(FIRST_FEED_EPOCH, 2, "A ", "3");
    assert_string_equal(published_text(2), quote_text("A", 3, 2, "3"));
    assert_int_equal(symbols_in_status(), 1);
    answer_to("gw", GOODBYE);
    assert_string_equal(published_text(3),
                        "A state 4<3 {'state':'stale','feed':'sim','reason':'ended'}");
}

static void a_feed_that_is_live_is_not_removed(void **state)
{
    (void)state;
    grant();
    line(FIRST_FEED_EPOCH, 1, "A ", "1");
    assert_string_equal(refusal(FORGET("feed", "sim")), "held");
    assert_int_equal(published_count, 1);
    assert_int_equal(symbols_in_status(), 1);
}

static void a_feed_that_has_ended_goes_with_the_symbols_that_it_quoted_last(void **state)
{
    (void)state;
    grant();
    answer_to("other", HELLO_AS("second", "two"));
    line(FIRST_FEED_EPOCH, 1, "A ", "1");
    line(FIRST_FEED_EPOCH, 2, "B ", "1");
    line(FIRST_FEED_EPOCH + 1, 1, "A ", "2");
    answer_to("peer", GOODBYE);
    assert_string_equal(answer_to("gw", FORGET("feed", "sim")), REMOVED("6", "1"));
    assert_string_equal(published_text(4), "B state 5<4 {'state':'removed','by':'a test'}");
    assert_int_equal(published_count, 5); /* the feed's removal is in the log only */
    assert_int_equal(symbols_in_status(), 1);
    assert_null(feed_table_find(core.feeds, SPAN("sim")));
    assert_string_equal(journal_feed(core.log.journal, 0)->name, "");
    assert_string_equal(refusal(FORGET("feed", "sim")), "not_found");
    /* it may come back, as a new feed */
    answer_to("peer", HELLO_AS("sim", "one"));
    assert_int_equal(pack_find_u(last_answer(), "received", 9), 0);
}

static void a_replay_has_the_removal_of_a_symbol_but_not_that_of_a_feed(void **state)
{
    struct pack_value list;

    (void)state;
    grant();
    line(FIRST_FEED_EPOCH, 1, "A ", "1");
    answer_to("peer", GOODBYE);
    answer_to("gw", FORGET("feed", "sim"));
    answer_to("gw", "{'op':'replay','id':8,'pattern':'*','after':0}");
    assert_true(pack_find(last_answer(), "records", &list, NULL));
    assert_int_equal(list.count, 3); /* quote, stale, removed */
    assert_int_equal(pack_find_u(last_answer(), "upto", 0), 4);
}

static void a_request_that_names_nothing_or_nobody_changes_nothing(void **state)
{
    static const char *const wrong[] = {
        "{'op':'forget','id':5,'by':'x'}",
        "{'op':'forget','id':5,'symbol':'A'}",
        "{'op':'forget','id':5,'symbol':'A','feed':'sim','by':'x'}",
        "{'op':'forget','id':5,'symbol':7,'by':'x'}",
        "{'op':'forget','id':5,'symbol':'A','by':''}",
    };

    (void)state;
    grant();
    line(FIRST_FEED_EPOCH, 1, "A ", "1");
    for (size_t i = 0; i < LENGTH(wrong); i++)
        assert_string_equal(refusal(wrong[i]), "invalid");
    assert_string_equal(refusal(FORGET("symbol", "B")), "not_found");
    assert_string_equal(refusal(FORGET("symbol", "a b")), "not_found");
    assert_int_equal(published_count, 1);
}

static void a_full_book_gives_the_place_of_a_removed_symbol_to_a_new_one(void **state)
{
    (void)state;
    core_fini(&core);
    config.max_symbols_total = 2;
    core_init(&core, LOG_EPOCH);
    grant();
    line(FIRST_FEED_EPOCH, 1, "A ", "1");
    line(FIRST_FEED_EPOCH, 2, "B ", "1");
    answer_to("gw", FORGET("symbol", "A"));
    line(FIRST_FEED_EPOCH, 3, "C ", "1"); /* the heartbeat must still name A */
    assert_int_equal(published_count, 3);
    core_tick(&core);
    forget_sent(published, &published_count);
    line(FIRST_FEED_EPOCH, 4, "C ", "1");
    assert_string_equal(published_text(0), quote_text("C", 4, 0, "1"));
    assert_null(book_find(core.log.book, SPAN("A")));
    answer_to("gw", SNAPSHOT);
    assert_int_equal(pack_find_u(last_answer(), "symbols", 0), 2);
}

static void a_request_to_publish_gets_the_place_of_a_removed_symbol_too(void **state)
{
    static const char request[] =
        "{'op':'publish','id':3,'feed':'web','quotes':[['C',{'last':'1'}]]}";

    (void)state;
    core_fini(&core);
    config.max_symbols_total = 2;
    core_init(&core, LOG_EPOCH);
    grant();
    line(FIRST_FEED_EPOCH, 1, "A ", "1");
    line(FIRST_FEED_EPOCH, 2, "B ", "1");
    answer_to("gw", FORGET("symbol", "A"));
    answer_to("gw", request); /* the heartbeat must still name A */
    assert_int_equal(pack_find_u(last_answer(), "first", 9), 0);
    assert_null(feed_table_find(core.feeds, SPAN("web")));
    core_tick(&core);
    forget_sent(published, &published_count);
    answer_to("gw", request);
    assert_string_equal(published_text(0), quote_text("C", 4, 0, "1"));
    assert_int_equal(pack_find_u(last_answer(), "first", 9), 4);
}

/* A naive model: which symbols have a value, and the position of each one's last record. */
static void the_book_agrees_with_a_model_whatever_is_removed_and_quoted(void **state)
{
    enum { SYMBOLS = 6 };
    uint64_t last[SYMBOLS] = {0}, number = 0, head = 0;
    bool has[SYMBOLS] = {false};

    (void)state;
    grant();
    for (unsigned step = 0; step < 2000; step++) {
        unsigned s = dice(SYMBOLS), known = 0;
        char topic[] = {(char)('A' + s), ' ', '\0'}, question[80];

        forget_sent(published, &published_count);
        forget_sent(replies, &reply_count);
        if (dice(2)) {
            line(FIRST_FEED_EPOCH, ++number, topic, "1");
            assert_int_equal(published_record(0).prev, last[s]);
            last[s] = ++head;
            has[s] = true;
        } else {
            snprintf(question, sizeof question, "{'op':'forget','id':5,'symbol':'%c','by':'x'}",
                     'A' + (int)s);
            assert_string_equal(refusal(question), has[s] ? "" : "not_found");
            if (has[s]) {
                assert_int_equal(published_record(0).prev, last[s]);
                last[s] = ++head;
            }
            has[s] = false;
        }
        for (unsigned i = 0; i < SYMBOLS; i++)
            known += has[i];
        assert_int_equal(book_known(core.log.book), known);
        assert_int_equal(journal_head(core.log.journal), head);
        assert_int_equal(book_find(core.log.book, (struct span){topic, 1}) ? 1 : 0, last[s] > 0);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_removed_symbol_is_gone_and_its_removal_is_a_record),
        TEST(the_next_quote_brings_a_removed_symbol_back_in_the_same_chain),
        TEST(a_feed_that_is_live_is_not_removed),
        TEST(a_feed_that_has_ended_goes_with_the_symbols_that_it_quoted_last),
        TEST(a_replay_has_the_removal_of_a_symbol_but_not_that_of_a_feed),
        TEST(a_request_that_names_nothing_or_nobody_changes_nothing),
        TEST(a_full_book_gives_the_place_of_a_removed_symbol_to_a_new_one),
        TEST(a_request_to_publish_gets_the_place_of_a_removed_symbol_too),
        TEST(the_book_agrees_with_a_model_whatever_is_removed_and_quoted),
    };

    dice_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
