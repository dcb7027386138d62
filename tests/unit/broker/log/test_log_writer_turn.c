/* When records are passed on, the members of the status, and the reasons of a new epoch. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/log/journal_ring.h"
#include "tests/unit/broker/log/log_writer_fixture.h"

#define EAGER_MS 200

static struct log_writer_status status(void)
{
    struct log_writer_status s;

    log_writer_status(log_writer, WALL_US, &s);
    return s;
}

static int64_t turn(void)
{
    return log_writer_turn(log_writer, now, WALL_US);
}

/* Wait until the thread has a result. */
static void wait_for_result(void)
{
    struct pollfd p = {.fd = log_writer_fd(log_writer), .events = POLLIN};

    assert_int_equal(poll(&p, 1, WAIT_MS), 1);
    take();
}

static void a_few_records_wait_for_more_a_little_while(void **state)
{
    (void)state;
    assert_int_equal(turn(), -1);
    append(1, WALL_US);
    assert_int_equal(turn(), EAGER_MS);
    now += EAGER_MS - 1;
    append(2, WALL_US);
    assert_int_equal(turn(), 1); /* counted from the first */
    assert_int_equal(status().stored, 0);
    now++;
    assert_int_equal(turn(), -1);
    append(3, WALL_US);
    assert_int_equal(turn(), -1); /* one batch at a time */
    wait_for_result();
    assert_int_equal(status().stored, 2);
    assert_int_equal(turn(), EAGER_MS);
    now += EAGER_MS;
    assert_int_equal(turn(), -1);
    wait_for_result();
    assert_int_equal(status().stored, 3);
    assert_int_equal(status().first, 1);
}

#define LARGE 4000

/* A quote of some more than LARGE bytes. */
static void append_large(void)
{
    static char body[LARGE + 3] = "\xc5\x0f\xa0";
    struct buf frame = {0};
    struct wire_record r = {.kind = WIRE_QUOTE,
                            .epoch = log_writer_epoch(log_writer),
                            .seq = journal_head(journal) + 1,
                            .prev = journal_head(journal),
                            .accepted_us = WALL_US,
                            .body = {body, sizeof body}};

    wire_put(&frame, &r);
    journal_append(journal, 0, 0, SPAN("X "), buf_span(&frame));
    buf_free(&frame);
}

static void many_records_are_handed_over_at_once(void **state)
{
    const uint64_t few = (1 << 20) / (LARGE + 200), enough = (1 << 20) / LARGE;

    (void)state;
    stop();
    config.journal_bytes = 8 << 20; /* an eighth of it is enough */
    start();
    while (journal_head(journal) < few)
        append_large();
    assert_int_equal(turn(), EAGER_MS);
    while (journal_head(journal) < enough)
        append_large();
    assert_int_equal(turn(), -1);
    wait_for_result();
    assert_int_equal(status().stored, enough);
    while (journal_head(journal) < enough + 700) /* only two megabytes are copied in one turn */
        append_large();
    assert_int_equal(turn(), 0);
    wait_for_result();
    assert_in_range(status().stored, enough + 1, enough + 699);
    store_all();
    assert_int_equal(status().stored, enough + 700);
}

static void what_the_ring_could_not_keep_is_counted_as_a_gap(void **state)
{
    uint64_t first;

    (void)state;
    append(1, WALL_US);
    store_all();
    while (journal_first(journal) < 10)
        append(2, WALL_US);
    first = journal_first(journal);
    store_all();
    assert_int_equal(status().gaps, first - 2);
    assert_int_equal(status().stored, journal_head(journal));
    assert_true(status().is_durable);
    assert_string_equal(status().reason, "");
    assert_int_equal(status().damaged, 0);
    assert_string_equal(status().damage, "");
}

static void what_the_ring_has_lost_to_damage_is_counted_and_named(void **state)
{
    struct journal_entry e;

    (void)state;
    for (uint64_t line = 1; line <= 5; line++)
        append(line, WALL_US);
    for (uint64_t seq = 2; seq <= 3; seq++) {
        assert_int_equal(journal_read(journal, seq, &e), OK);
        ((char *)e.record.at)[e.record.len - 1] ^= 1;
    }
    store_all();
    assert_int_equal(status().stored, 5);
    assert_int_equal(status().gaps, 2);
    assert_int_equal(status().damaged, 2);
    assert_non_null(strstr(status().damage, "-ring"));
    assert_non_null(strstr(status().damage, "2"));
}

static void the_longest_delay_is_remembered(void **state)
{
    (void)state;
    append(1, WALL_US - 500);
    (void)turn();
    append(2, WALL_US - 20);
    store_all();
    assert_int_equal(status().behind_us, 0);
    assert_int_equal(status().behind_max_us, 500);
    append(3, WALL_US - 100);
    store_all();
    assert_int_equal(status().behind_max_us, 500);
    append(4, WALL_US + 100); /* the clock went back: it is no delay */
    (void)turn();
    assert_int_equal(status().behind_us, 0);
}

static void the_stored_line_of_a_feed_can_be_set_and_forgotten(void **state)
{
    (void)state;
    log_writer_set_line(log_writer, 3, 77);
    log_writer_set_line(log_writer, JOURNAL_FEEDS, 1); /* there is no such feed */
    assert_int_equal(log_writer_stored_line(log_writer, 3), 77);
    assert_int_equal(log_writer_stored_line(log_writer, 2), 0);
    assert_int_equal(log_writer_stored_line(log_writer, JOURNAL_FEEDS), 0);
    log_writer_forget_feed(log_writer, 3);
    log_writer_forget_feed(log_writer, JOURNAL_FEEDS);
    assert_int_equal(log_writer_stored_line(log_writer, 3), 0);
}

/* --- a new log ---------------------------------------------------------------------------- */

static void begins_because(const char *reason, uint64_t first)
{
    assert_true(log_writer_is_new_epoch(log_writer));
    assert_string_equal(log_writer_epoch_reason(log_writer), reason);
    assert_int_equal(journal_head(journal) + 1, first);
}

static void remove_file(const char *suffix)
{
    char file[160];

    snprintf(file, sizeof file, "%s%s", path, suffix);
    assert_int_equal(unlink(file), 0);
}

static void a_log_begins_anew_if_store_and_ring_do_not_belong_together(void **state)
{
    char other[160], ring[160];
    uint64_t epoch;

    (void)state;
    begins_because("new", 1);
    epoch = log_writer_epoch(log_writer);
    append(1, WALL_US);
    append(2, WALL_US);
    store_all();
    stop();
    start();
    assert_false(log_writer_is_new_epoch(log_writer));
    assert_int_equal(log_writer_epoch(log_writer), epoch);
    stop();
    remove_file("-ring");
    start();
    begins_because("journal_deleted", 3);
    assert_true(log_writer_epoch(log_writer) != epoch);
    append(3, WALL_US);
    store_all();
    stop();
    remove_file("");
    start();
    begins_because("store_deleted", 4); /* above all that the ring had */
    append(4, WALL_US);
    store_all();
    stop();
    snprintf(ring, sizeof ring, "%s-ring", path);
    snprintf(other, sizeof other, "%s-other", path);
    assert_int_equal(rename(ring, other), 0);
    start();
    begins_because("journal_deleted", 5);
    stop();
    assert_int_equal(rename(other, ring), 0);
    start();
    begins_because("journal_of_another_store", 5);
}

static void a_log_that_is_begun_on_purpose_is_above_what_was_asked_and_what_there_is(void **state)
{
    static const struct {
        uint64_t above, first;
    } rows[] = {{0, 3}, {1, 3}, {2, 3}, {3, 4}, {100, 101}};

    (void)state;
    append(1, WALL_US);
    append(2, WALL_US);
    store_all();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        stop();
        assert_int_equal(
            log_writer_open_anew(&config, WALL_US, "on purpose", rows[i].above, &log_writer, error),
            OK);
        journal = log_writer_journal(log_writer);
        begins_because("on purpose", rows[i].first);
        assert_int_equal(log_writer_start(log_writer, error), OK);
    }
}

static void a_log_that_cannot_be_opened_says_why(void **state)
{
    struct log_writer *second = NULL;

    (void)state;
    assert_true(log_writer_open(&config, WALL_US, &second, error) != OK);
    assert_null(second);
    assert_non_null(strstr(error, path));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_few_records_wait_for_more_a_little_while),
        TEST(many_records_are_handed_over_at_once),
        TEST(what_the_ring_could_not_keep_is_counted_as_a_gap),
        TEST(what_the_ring_has_lost_to_damage_is_counted_and_named),
        TEST(the_longest_delay_is_remembered),
        TEST(the_stored_line_of_a_feed_can_be_set_and_forgotten),
        TEST(a_log_begins_anew_if_store_and_ring_do_not_belong_together),
        TEST(a_log_that_is_begun_on_purpose_is_above_what_was_asked_and_what_there_is),
        TEST(a_log_that_cannot_be_opened_says_why),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
