#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "broker/log/journal_file.h"
#include "tests/unit/broker/log/log_writer_fixture.h"

static void hold_name(void)
{
    struct journal_feed f = {.name = "sim", .owner = "one", .epoch = 7};

    journal_set_feed(journal, 0, &f);
}

static uint64_t behind_us(uint64_t wall_us)
{
    struct log_writer_status s;

    log_writer_status(log_writer, wall_us, &s);
    return s.behind_us;
}

static void what_is_stored_of_a_feed_is_known_again_after_a_restart(void **state)
{
    (void)state;
    hold_name();
    for (uint64_t line = 1; line <= 5; line++)
        append(line, WALL_US);
    store_all();
    assert_int_equal(log_writer_stored_line(log_writer, 0), 5);
    journal_feed(journal, 0)->received = 8; /* and three that were refused */
    stop();
    start();
    assert_int_equal(log_writer_stored_line(log_writer, 0), 8);
    append(9, WALL_US);
    assert_int_equal(log_writer_stored_line(log_writer, 0), 8);
    store_all();
    assert_int_equal(log_writer_stored_line(log_writer, 0), 9);
}

static void what_a_killed_broker_left_counts_as_stored_once_it_is(void **state)
{
    (void)state;
    hold_name();
    for (uint64_t line = 1; line <= 5; line++)
        append(line, WALL_US);
    assert_false(log_writer_close(log_writer, 0)); /* nothing of it was handed over */
    start();
    assert_int_equal(log_writer_stored_line(log_writer, 0), 5);
}

static void it_is_as_far_behind_as_the_oldest_record_even_if_the_ring_has_it_no_longer(void **state)
{
    sqlite3 *other;

    (void)state;
    assert_int_equal(behind_us(WALL_US + 50), 0);
    append(0, WALL_US);
    store_all();
    assert_int_equal(behind_us(WALL_US + 50), 0);

    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    append(0, WALL_US + 100);
    assert_int_equal(behind_us(WALL_US + 150), 50); /* in the ring only */
    now += 100;
    (void)log_writer_turn(log_writer, now, WALL_US);
    assert_int_equal(behind_us(WALL_US + 150), 50); /* copied */
    now += 100;
    (void)log_writer_turn(log_writer, now, WALL_US); /* and handed over */
    for (int i = 0; i < 1000; i++) {
        append(0, WALL_US + 1000000);
        if (i % 100 == 0)
            (void)log_writer_turn(log_writer, now, WALL_US);
    }
    assert_true(journal_first(journal) > 2);
    assert_int_equal(behind_us(WALL_US + 2000100), 2000000);

    assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
    store_all();
    assert_int_equal(behind_us(WALL_US + 3000000), 0);
}

static void it_is_no_further_behind_when_the_clock_jumps(void **state)
{
    int64_t three_days = INT64_C(259200000000);
    sqlite3 *other;

    (void)state;
    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    append(0, WALL_US); /* in the ring only */
    log_writer_jump(log_writer, three_days);
    assert_int_equal(behind_us(WALL_US + (uint64_t)three_days + 70), 70);
    now += 100;
    (void)log_writer_turn(log_writer, now, WALL_US + (uint64_t)three_days + 70); /* copied */
    assert_int_equal(behind_us(WALL_US + (uint64_t)three_days + 80), 80);
    append(0, WALL_US + (uint64_t)three_days + 90);
    log_writer_jump(log_writer, -three_days);
    assert_int_equal(behind_us(WALL_US + 100), 100);
    assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
    store_all();
    append(0, WALL_US + 1000);
    assert_int_equal(behind_us(WALL_US + 1010), 10);
}

/* --- what is logged ----------------------------------------------------------------- */

static int standard_error;

static void begin_listening(void)
{
    char file[128];
    int fd;

    snprintf(file, sizeof file, "%s/said", folder);
    fd = open(file, O_RDWR | O_CREAT | O_TRUNC, 0600);
    standard_error = dup(STDERR_FILENO);
    assert_true(fd >= 0 && standard_error >= 0);
    assert_true(dup2(fd, STDERR_FILENO) >= 0);
    close(fd);
    log_init("test", "info", "text");
}

/* What was logged since begin_listening. */
static const char *log_text(void)
{
    static char words[8192];
    ssize_t len = pread(STDERR_FILENO, words, sizeof words - 1, 0);

    assert_true(len >= 0);
    words[len] = '\0';
    log_init("test", "critical", "text");
    assert_true(dup2(standard_error, STDERR_FILENO) >= 0);
    close(standard_error);
    return words;
}

static void assert_said(const char *words, const char *part)
{
    if (!strstr(words, part))
        fail_msg("\"%s\" lacks \"%s\"", words, part);
}

static void records_that_are_stored_at_the_start_are_counted_without_the_gap(void **state)
{
    char part[100];
    uint64_t first, head;
    const char *words;

    (void)state;
    for (int i = 0; i < 5000; i++) /* the ring keeps some of them */
        append(0, WALL_US);
    first = journal_first(journal);
    head = journal_head(journal);
    assert_true(first > 2 && first < head);
    begin_listening();
    assert_false(log_writer_close(log_writer, 0));
    words = log_text();
    snprintf(part, sizeof part, "Positions 1 to %llu are lost", (unsigned long long)first - 1);
    assert_said(words, part);
    snprintf(part, sizeof part, " %llu records are not stored yet",
             (unsigned long long)(head - first + 1));
    assert_said(words, part);

    begin_listening();
    start();
    words = log_text();
    snprintf(part, sizeof part, "Positions 1 to %llu could not be stored",
             (unsigned long long)first - 1);
    assert_said(words, part);
    snprintf(part, sizeof part, " %llu records that an earlier broker left in the ring are",
             (unsigned long long)(head - first + 1));
    assert_said(words, part);
}

static void move_to_another_boot(void)
{
    static const char other[] = "00000000-0000-0000-0000-000000000000";
    char boot[JOURNAL_FILE_BOOT_MAX] = "", file[140];
    struct journal_layout head;
    int fd;

    snprintf(file, sizeof file, "%s-ring", path);
    fd = open(file, O_RDWR);
    assert_int_equal(pread(fd, &head, sizeof head, 0), sizeof head);
    journal_file_boot(boot);
    assert_memory_equal(head.boot, boot, sizeof boot);
    assert_int_equal(pwrite(fd, other, sizeof other, (off_t)offsetof(struct journal_layout, boot)),
                     sizeof other);
    close(fd);
}

static void what_was_not_stored_at_the_end_is_stored_after_a_reboot(void **state)
{
    uint64_t epoch = log_writer_epoch(log_writer);
    struct log_writer_status s;

    (void)state;
    for (int i = 0; i < 5; i++)
        append(0, WALL_US);
    assert_false(log_writer_close(log_writer, 0));
    move_to_another_boot();
    start();
    assert_false(log_writer_is_new_epoch(log_writer));
    assert_int_equal(log_writer_epoch(log_writer), epoch);
    log_writer_status(log_writer, WALL_US, &s);
    assert_int_equal(s.stored, 5);
}

static void what_a_new_log_does_not_take_over_is_named(void **state)
{
    (void)state;
    append(0, WALL_US);
    store_all();
    append(0, WALL_US);
    append(0, WALL_US);
    assert_false(log_writer_close(log_writer, 0));
    assert_int_equal(remove(path), 0);
    begin_listening();
    start();
    assert_said(log_text(), "Positions 2 to 3 were in the ring only and are dropped: the log is "
                            "another one (store_deleted)");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_is_stored_of_a_feed_is_known_again_after_a_restart),
        TEST(what_a_killed_broker_left_counts_as_stored_once_it_is),
        TEST(it_is_as_far_behind_as_the_oldest_record_even_if_the_ring_has_it_no_longer),
        TEST(it_is_no_further_behind_when_the_clock_jumps),
        TEST(records_that_are_stored_at_the_start_are_counted_without_the_gap),
        TEST(what_was_not_stored_at_the_end_is_stored_after_a_reboot),
        TEST(what_a_new_log_does_not_take_over_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
