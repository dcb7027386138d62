/*
 * core_store_fixture: a broker's core with a store in a new folder, for tests.  * One feed quotes
 * everything.  Include it after <cmocka.h>, in place of core_fixture.h.
 */
#ifndef TESTS_UNIT_BROKER_CORE_CORE_STORE_FIXTURE_H
#define TESTS_UNIT_BROKER_CORE_CORE_STORE_FIXTURE_H

#include <poll.h>

#include "shared/base/clock.h"
#include "tests/unit/broker/core/core_fixture.h"
#include "tests/unit/folder.h"

#define WAIT_MS 20000

static char folder[64], store_setting[128];
static uint64_t feed_epoch, lines; /* of the feed that quotes everything */

static inline void open_core(void)
{
    char error[LOG_WRITER_ERROR_MAX];

    core = (struct core){.config = &config,
                         .out = {.ctx = &core, .publish = on_publish, .send = on_reply},
                         .time = {5000, 5000, WALL_US}};
    assert_int_equal(log_writer_open(&config, WALL_US, &core.log.log_writer, error), OK);
    core.log.journal = log_writer_journal(core.log.log_writer);
    core_init(&core, 0);
    assert_int_equal(core_restore(&core, error), OK);
    assert_int_equal(log_writer_start(core.log.log_writer, error), OK);
}

static inline void say_hello(void)
{
    answer_to("peer", HELLO_AS("sim", "one"));
    feed_epoch = pack_find_u(last_answer(), "epoch", 0);
    forget_sent(replies, &reply_count);
}

static inline void close_core(void)
{
    assert_true(log_writer_close(core.log.log_writer, clock_mono_ms() + WAIT_MS));
    core_fini(&core);
}

static inline int set_up_store(void **state)
{
    (void)state;
    log_init("test", "critical", "text");
    strcpy(folder, "/tmp/test-history-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(store_setting, sizeof store_setting, "sqlite:%s/log.db", folder);
    config = (struct broker_config){.store = store_setting,
                                    .journal_bytes = (int64_t)JOURNAL_BYTES_MIN,
                                    .max_symbols_total = 1000,
                                    .max_future = 60000};
    open_core();
    lines = 0;
    say_hello();
    return 0;
}

static inline int tear_down_store(void **state)
{
    (void)log_writer_close(core.log.log_writer, clock_mono_ms() + WAIT_MS);
    tear_down(state);
    return folder_remove(folder);
}

static inline int64_t keep(void)
{
    return log_writer_turn(core.log.log_writer, core.time.now, (uint64_t)core.time.wall_us);
}

/* Turn until everything is stored; answers are sent meanwhile. */
static inline void keep_all(void)
{
    struct pollfd p = {.fd = log_writer_fd(core.log.log_writer), .events = POLLIN};

    while (journal_stored(core.log.journal) < journal_head(core.log.journal)) {
        pass_time(100);
        if (keep() < 0)
            assert_true(poll(&p, 1, WAIT_MS) > 0);
        core_take_answers(&core);
    }
}

static inline void wait_for_answer(void)
{
    struct pollfd p = {.fd = -1, .events = POLLIN};

    while (!reply_count) {
        assert_non_null(core.log.log_writer);
        p.fd = log_writer_fd(core.log.log_writer);
        assert_true(poll(&p, 1, WAIT_MS) > 0);
        core_take_answers(&core);
        work();
    }
    assert_int_equal(reply_count, 1);
}

/* Without a store, and with the smallest ring. */
static inline int set_up_memory(void **state)
{
    set_up(state);
    config.journal_bytes = (int64_t)JOURNAL_BYTES_MIN;
    core_fini(&core);
    core_init(&core, LOG_EPOCH);
    lines = 0;
    say_hello();
    return 0;
}

#endif
