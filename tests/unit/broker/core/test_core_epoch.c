/* Proofs that the log has lost positions, and what bounds false ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <poll.h>

#include <cmocka.h>

#include "shared/base/clock.h"
#include "broker/core/core_private.h"
#include "tests/unit/broker/core/core_fixture.h"
#include "tests/unit/folder.h"

#define WAIT_MS 20000

static char folder[64], store_setting[128];
static uint64_t feed_epoch;
static unsigned renewals;

static void attach(void)
{
    char error[LOG_WRITER_ERROR_MAX];

    assert_int_equal(log_writer_start(core.log.log_writer, error), OK);
    core.log.journal = log_writer_journal(core.log.log_writer);
}

static void renew(void *ctx, const char *reason, uint64_t above)
{
    char error[LOG_WRITER_ERROR_MAX];

    (void)ctx;
    renewals++;
    assert_true(log_writer_close(core.log.log_writer, clock_mono_ms() + WAIT_MS));
    assert_int_equal(
        log_writer_open_anew(&config, WALL_US, reason, above, &core.log.log_writer, error), OK);
    attach();
}

static void open_core(void)
{
    char error[LOG_WRITER_ERROR_MAX];

    core = (struct core){
        .config = &config,
        .out = {.ctx = &core, .publish = on_publish, .send = on_reply, .renew = renew},
        .time = {5000, 5000, WALL_US}};
    assert_int_equal(log_writer_open(&config, WALL_US, &core.log.log_writer, error), OK);
    core.log.journal = log_writer_journal(core.log.log_writer);
    core_init(&core, 0);
    assert_int_equal(core_restore(&core, error), OK);
    attach();
    renewals = 0;
}

static void close_core(void)
{
    assert_true(log_writer_close(core.log.log_writer, clock_mono_ms() + WAIT_MS));
    core_fini(&core);
}

static void say_hello(void)
{
    answer_to("peer", HELLO_AS("sim", "one"));
    feed_epoch = pack_find_u(last_answer(), "epoch", 0);
}

/* A log that continues: three lines of the feed, after a restart. */
static int set_up_store(void **state)
{
    (void)state;
    log_init("test", "critical", "text");
    strcpy(folder, "/tmp/test-epoch-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(store_setting, sizeof store_setting, "sqlite:%s/log.db", folder);
    config = (struct broker_config){.store = store_setting,
                                    .journal_bytes = (int64_t)JOURNAL_BYTES_MIN,
                                    .max_symbols_total = 1000,
                                    .max_future = 60000,
                                    .lock_count_max = 10};
    open_core();
    assert_true(log_writer_is_new_epoch(core.log.log_writer));
    say_hello();
    for (uint64_t n = 1; n <= 3; n++)
        line(feed_epoch, n, "A ", "1");
    close_core();
    open_core();
    assert_false(log_writer_is_new_epoch(core.log.log_writer));
    return 0;
}

static int tear_down_store(void **state)
{
    (void)state;
    close_core();
    forget_sent(published, &published_count);
    forget_sent(replies, &reply_count);
    free(published);
    free(replies);
    published = replies = NULL;
    published_cap = reply_cap = 0;
    buf_free(&text);
    return folder_remove(folder);
}

static void hello_known(const char *role, uint64_t epoch, uint64_t seq, uint64_t record,
                        uint64_t accepted)
{
    char json[300];

    snprintf(json, sizeof json,
             "{'op':'hello','id':1,'role':'%s','name':'gw','oldest':1,'newest':1,"
             "'known_epoch':%llu,'known_seq':%llu,'known_record':%llu,"
             "'known_accepted':%llu}",
             role, (unsigned long long)epoch, (unsigned long long)seq, (unsigned long long)record,
             (unsigned long long)accepted);
    answer_to("gw", json);
}

static void check_renewed(uint64_t old, uint64_t head)
{
    assert_int_equal(renewals, 1);
    assert_true(core.log.epoch != old);
    assert_string_equal(log_writer_epoch_reason(core.log.log_writer), "rolled_back");
    assert_int_equal(journal_head(core.log.journal), head);
    assert_string_equal(journal_feed(core.log.journal, 0)->name, "sim");
    assert_int_equal(log_writer_stored_line(core.log.log_writer, 0),
                     feed_table_at(core.feeds, 0)->received);
}

static void a_position_beyond_the_head_begins_one_above_it(void **state)
{
    uint64_t old = core.log.epoch;

    (void)state;
    hello_known("gateway", old, 10, 0, 0);
    check_renewed(old, 10);
    assert_int_equal(pack_find_u(last_answer(), "epoch", 0), core.log.epoch);
    assert_int_equal(pack_find_u(last_answer(), "seq", 0), 10);
    line(feed_epoch, 4, "A ", "2"); /* the feed continues as before */
    assert_int_equal(published_record(published_count - 1).epoch, core.log.epoch);
    assert_int_equal(published_record(published_count - 1).seq, 11);
    assert_true(core_tick(&core) >= 0);
}

/* As the core of a test that has a store and no program around it. */
static void a_core_that_cannot_renew_its_log_begins_no_epoch(void **state)
{
    uint64_t old = core.log.epoch;

    (void)state;
    core.out.renew = NULL;
    hello_known("gateway", old, 10, 0, 0);
    assert_int_equal(core.log.epoch, old);
    assert_int_equal(pack_find_u(last_answer(), "epoch", 0), old);
    core.out.renew = renew;
}

static void another_record_at_a_position_proves_it_too(void **state)
{
    uint64_t old = core.log.epoch;

    (void)state;
    hello_known("consumer", old, 3, 3, WALL_US); /* the same one */
    assert_int_equal(renewals, 0);
    hello_known("consumer", old, 3, 3, WALL_US + 1);
    check_renewed(old, 3);
}

static void a_feeder_that_was_acknowledged_more_lines_proves_it(void **state)
{
    uint64_t old = core.log.epoch;

    (void)state;
    answer_to("peer", "{'op':'hello','id':1,'role':'feeder','name':'sim','owner':'one',"
                      "'oldest':1,'newest':1,'acked':3}");
    answer_to("peer2",
              "{'op':'hello','id':1,'role':'feeder','name':'other','owner':'two',"
              "'oldest':1,'newest':1,'acked':50}"); /* the log does not have this position */
    assert_int_equal(renewals, 0);
    answer_to("peer", "{'op':'hello','id':1,'role':'feeder','name':'sim','owner':'one',"
                      "'oldest':1,'newest':1,'acked':5}");
    check_renewed(old, 3);
    assert_int_equal(pack_find_u(last_answer(), "received", 0), 3);
}

static void a_feeder_that_has_lost_acknowledged_lines_proves_it_before_the_loss(void **state)
{
    uint64_t old = core.log.epoch;
    char json[200];

    (void)state;
    snprintf(json, sizeof json,
             "{'op':'lost','id':2,'epoch':%llu,'first':4,'last':9,'reason':"
             "'log_replaced'}",
             (unsigned long long)feed_epoch);
    answer_to("peer", json);
    assert_int_equal(renewals, 1);
    assert_true(core.log.epoch != old);
    assert_int_equal(published_record(published_count - 1).kind, WIRE_LOST);
    assert_int_equal(published_record(published_count - 1).epoch, core.log.epoch);
    assert_int_equal(pack_find_u(last_answer(), "received", 0), 9);
}

static void a_start_begins_one_epoch_at_most(void **state)
{
    uint64_t epoch;

    (void)state;
    hello_known("gateway", core.log.epoch, 10, 0, 0);
    epoch = core.log.epoch;
    for (uint64_t n = 1; n < 100; n++) {
        hello_known("gateway", epoch, 10 + n, 0, 0);
        hello_known("consumer", epoch, 10, 10, n);
    }
    answer_to("peer", "{'op':'hello','id':1,'role':'feeder','name':'sim','owner':'one',"
                      "'oldest':1,'newest':1,'acked':500}");
    assert_int_equal(renewals, 1);
    assert_int_equal(core.log.epoch, epoch);
    assert_int_equal(journal_head(core.log.journal), 10);
}

static void a_position_as_far_ahead_as_can_be_proves_it(void **state)
{
    (void)state;
    hello_known("gateway", core.log.epoch, 3 + CORE_CLAIM_MAX, 0, 0);
    assert_int_equal(renewals, 1);
}

static void what_cannot_be_or_is_of_another_log_proves_nothing(void **state)
{
    uint64_t epoch = core.log.epoch;

    (void)state;
    hello_known("gateway", epoch ^ 1, 1000, 0, 0);
    hello_known("gateway", 0, 1000, 0, 0);
    hello_known("gateway", epoch, 3, 0, 0);
    hello_known("gateway", epoch, 2, 2, WALL_US);
    hello_known("gateway", epoch, UINT64_MAX, UINT64_MAX, 1);
    hello_known("gateway", epoch, 3 + CORE_CLAIM_MAX + 1, 0, 0);
    answer_to("gw", "{'op':'hello','id':1,'role':'gateway','name':'gw','oldest':1,'newest':1,"
                    "'known_epoch':'x','known_seq':[1]}");
    assert_int_equal(renewals, 0);
    assert_int_equal(journal_head(core.log.journal), 3);
}

static void a_hello_that_is_refused_changes_nothing(void **state)
{
    char json[200];

    (void)state;
    snprintf(json, sizeof json,
             "{'op':'hello','id':1,'role':'gateway','name':'','oldest':1,'newest':1,"
             "'known_epoch':%llu,'known_seq':10}",
             (unsigned long long)core.log.epoch);
    answer_to("gw", json);
    assert_true(pack_find_text(last_answer(), "error").len > 0);
    assert_int_equal(renewals, 0);
    assert_int_equal(journal_head(core.log.journal), 3);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_store, tear_down_store)
    const struct CMUnitTest tests[] = {
        TEST(a_position_beyond_the_head_begins_one_above_it),
        TEST(a_core_that_cannot_renew_its_log_begins_no_epoch),
        TEST(another_record_at_a_position_proves_it_too),
        TEST(a_feeder_that_was_acknowledged_more_lines_proves_it),
        TEST(a_feeder_that_has_lost_acknowledged_lines_proves_it_before_the_loss),
        TEST(a_start_begins_one_epoch_at_most),
        TEST(a_hello_that_is_refused_changes_nothing),
        TEST(a_position_as_far_ahead_as_can_be_proves_it),
        TEST(what_cannot_be_or_is_of_another_log_proves_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
