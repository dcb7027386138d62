/* The core's symbols and feeds after a restart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/core/core_private.h"
#include "tests/unit/broker/core/core_store_fixture.h"

#define HELLO(name, owner)                                                                   \
    "{'op':'hello','id':1,'role':'feeder','name':'" name "','owner':'" owner "','oldest':1," \
    "'newest':1,'acked':0,'host':'h','pid':9}"

/* A feed of that name sends hello; returns its epoch. */
static uint64_t joins(const char *hello)
{
    uint64_t epoch;

    answer_to("peer", hello);
    epoch = pack_find_u(last_answer(), "epoch", 0);
    assert_true(epoch != 0);
    forget_sent(replies, &reply_count);
    return epoch;
}

static void leaves(uint64_t epoch)
{
    char goodbye[100];

    snprintf(goodbye, sizeof goodbye, "{'op':'goodbye','id':2,'epoch':%llu}",
             (unsigned long long)epoch);
    answer_to("peer", goodbye);
    forget_sent(replies, &reply_count);
}

static void restart(void)
{
    keep_all();
    close_core();
    open_core();
}

static const struct book_entry *entry(const char *symbol)
{
    const struct book_entry *e = book_find(core.log.book, span_of(symbol));

    assert_non_null(e);
    return e;
}

static const struct feed *feed(const char *name)
{
    for (size_t i = 0; i < feed_table_count(core.feeds); i++)
        if (strcmp(feed_table_at(core.feeds, i)->name, name) == 0)
            return feed_table_at(core.feeds, i);
    return NULL;
}

static void last_values_are_there_again_with_their_feed_and_state(void **state)
{
    uint64_t csv = joins(HELLO("csv", "two"));
    struct buf before = {0};

    (void)state;
    line(feed_epoch, 1, "A ", "1.5");
    line(csv, 1, "B ", "2.5");
    line(feed_epoch, 2, "C ", "3.5");
    leaves(csv); /* B is stale */
    assert_true(entry("B")->is_stale);
    buf_add(&before, entry("A")->record.data, entry("A")->record.len);
    restart();
    assert_int_equal(book_count(core.log.book), 3);
    assert_int_equal(entry("A")->seq, 1);
    assert_int_equal(entry("B")->seq, 4); /* of the state */
    assert_int_equal(entry("C")->seq, 3);
    assert_false(entry("A")->is_stale);
    assert_true(entry("B")->is_stale);
    assert_int_equal(entry("A")->record.len, before.len);
    assert_memory_equal(entry("A")->record.data, before.data, before.len);
    assert_int_equal(entry("A")->feed, feed("sim")->index);
    assert_int_equal(entry("B")->feed, feed("csv")->index);
    buf_free(&before);
}

static void feeds_are_there_again_and_go_on_where_they_were(void **state)
{
    uint64_t csv = joins(HELLO("csv", "two"));

    (void)state;
    line(feed_epoch, 1, "A ", "1");
    line(csv, 1, "B ", "1");
    line(csv, 2, "B ", "2");
    leaves(csv);
    restart();
    assert_int_equal(feed_table_count(core.feeds), 2);
    assert_string_equal(feed("sim")->owner, "one");
    assert_int_equal(feed("sim")->epoch, feed_epoch);
    assert_int_equal(feed("sim")->received, 1);
    assert_true(feed("sim")->is_held);
    assert_false(feed("sim")->has_left);
    assert_int_equal(feed("sim")->last_seq, journal_head(core.log.journal));
    assert_int_equal(feed("csv")->received, 2);
    assert_false(feed("csv")->is_held);
    assert_true(feed("csv")->has_left);
    line(feed_epoch, 2, "A ", "2"); /* without another hello */
    assert_int_equal(entry("A")->seq, journal_head(core.log.journal));
    assert_int_equal(feed("sim")->received, 2);
}

static void in_a_new_epoch_all_symbols_are_stale_and_feeds_come_from_the_store(void **state)
{
    char ring[200];
    uint64_t csv = joins(HELLO("csv", "two"));

    (void)state;
    line(feed_epoch, 1, "A ", "1");
    line(csv, 1, "B ", "1");
    keep_all();
    close_core();
    snprintf(ring, sizeof ring, "%s/log.db-ring", folder);
    assert_int_equal(unlink(ring), 0);
    open_core();
    assert_true(log_writer_is_new_epoch(core.log.log_writer));
    assert_true(entry("A")->is_stale);
    assert_true(entry("B")->is_stale);
    assert_int_equal(feed_table_count(core.feeds), 2);
    assert_int_equal(feed("csv")->received, 1);
    assert_int_equal(feed("csv")->epoch, csv);
    assert_string_equal(feed("csv")->owner, "two");
    assert_false(feed("csv")->is_held);
    /* The new ring has them too. */
    assert_string_equal(journal_feed(core.log.journal, feed("csv")->index)->name, "csv");
    assert_string_equal(journal_feed(core.log.journal, feed("sim")->index)->name, "sim");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_store, tear_down_store)
        TEST(last_values_are_there_again_with_their_feed_and_state),
        TEST(feeds_are_there_again_and_go_on_where_they_were),
        TEST(in_a_new_epoch_all_symbols_are_stale_and_feeds_come_from_the_store),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
