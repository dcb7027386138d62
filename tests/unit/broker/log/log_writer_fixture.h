/*
 * log_writer_fixture: a log writer with its store in a new folder, for tests.
 * Include it after <cmocka.h>.
 */
#ifndef TESTS_UNIT_BROKER_LOG_LOG_WRITER_FIXTURE_H
#define TESTS_UNIT_BROKER_LOG_LOG_WRITER_FIXTURE_H

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/log_writer.h"
#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/wire/wire.h"
#include "tests/unit/folder.h"

#define WAIT_MS 20000
#define WALL_US 1640995200000000u

static char folder[64], path[128], setting[160], error[LOG_WRITER_ERROR_MAX];
static struct broker_config config;
static struct log_writer *log_writer;
static struct journal *journal;
static int64_t now;

static inline void start(void)
{
    if (log_writer_open(&config, WALL_US, &log_writer, error) ||
        log_writer_start(log_writer, error))
        fail_msg("%s", error);
    journal = log_writer_journal(log_writer);
}

static inline void stop(void)
{
    assert_true(log_writer_close(log_writer, clock_mono_ms() + WAIT_MS));
    log_writer = NULL;
}

static inline int set_up(void **state)
{
    (void)state;
    log_init("test", "critical", "text");
    strcpy(folder, "/tmp/test-log_writer-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/log.db", folder);
    snprintf(setting, sizeof setting, "sqlite:%s", path);
    config = (struct broker_config){.store = setting, .journal_bytes = (int64_t)JOURNAL_BYTES_MIN};
    now = 1000;
    start();
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    if (log_writer)
        (void)log_writer_close(log_writer, clock_mono_ms() + WAIT_MS);
    return folder_remove(folder);
}

/* A quote of this line of the feed 0, accepted then. */
static inline void append(uint64_t line, uint64_t accepted_us)
{
    struct buf frame = {0};
    struct wire_record r = {.kind = WIRE_QUOTE,
                            .epoch = log_writer_epoch(log_writer),
                            .seq = journal_head(journal) + 1,
                            .prev = journal_head(journal),
                            .accepted_us = accepted_us,
                            .body = SPAN("\x81\xa4last\xa1"
                                         "1")};

    wire_put(&frame, &r);
    journal_append(journal, 0, line, SPAN("X "), buf_span(&frame));
    journal_feed(journal, 0)->received = line;
    buf_free(&frame);
}

static inline void take(void)
{
    struct archive_result r;

    while (log_writer_take_answer(log_writer, &r))
        archive_result_clear(&r);
}

static inline void store_all(void)
{
    struct pollfd p = {.fd = log_writer_fd(log_writer), .events = POLLIN};

    while (journal_stored(journal) < journal_head(journal)) {
        now += 100;
        if (log_writer_turn(log_writer, now, WALL_US) < 0)
            assert_true(poll(&p, 1, WAIT_MS) > 0);
        take();
    }
}

#endif
