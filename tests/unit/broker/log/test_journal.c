#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/log/journal.h"
#include "tests/unit/broker/log/journal_fixture.h"

static void append_of(struct journal *j, uint32_t feed, uint64_t line)
{
    journal_append(j, feed, line, SPAN("A "), SPAN("x"));
}

static void an_empty_journal_begins_at_the_position_it_is_given(void **state)
{
    struct journal *j = opened_with(NULL, JOURNAL_BYTES_MIN);
    const struct journal_identity *id = journal_identity(j);
    struct journal_entry e = {.line = 5};

    (void)state;
    assert_true(id->is_new && id->is_clean && id->is_same_boot && !id->is_damaged);
    assert_int_equal(id->epoch, 0);
    assert_int_equal(id->next, 1);
    assert_int_equal(journal_head(j), 0);
    journal_begin(j, EPOCH, STORE, 12);
    assert_int_equal(id->epoch, EPOCH);
    assert_int_equal(id->store_id, STORE);
    assert_int_equal(id->stored, 11);
    assert_int_equal(id->next, 12);
    assert_int_equal(journal_head(j), 11);
    assert_int_equal(journal_first(j), 12);
    assert_int_equal(journal_stored(j), 11);
    assert_int_equal(journal_bytes(j), 0);
    assert_int_equal(journal_size(j), JOURNAL_BYTES_MIN);
    for (uint64_t seq = 10; seq < 14; seq++)
        assert_int_equal(journal_read(j, seq, &e), ERR_NOT_FOUND);
    assert_int_equal(e.line, 5);
    append(j, "A ", "first");
    check_read(j, 12, "A ", "first");
    journal_close(j, true);
    journal_close(NULL, true);
    assert_int_equal(journal_open(NULL, JOURNAL_BYTES_MIN - 1, &j, error), ERR_INVALID);
    assert_non_null(strstr(error, "least"));
}

static void a_record_is_found_by_its_position_only(void **state)
{
    struct journal *j = begun_with(NULL, JOURNAL_BYTES_MIN);
    struct journal_entry e;

    (void)state;
    append(j, "A ", "first");
    append(j, "B ", "");
    journal_append(j, JOURNAL_FEEDS - 1, 99, SPAN("C "), SPAN("third"));
    assert_int_equal(journal_head(j), 3);
    assert_int_equal(journal_first(j), 1);
    assert_int_equal(journal_bytes(j), 3 * 40);
    check_read(j, 1, "A ", "first");
    check_read(j, 2, "B ", "");
    check_read(j, 3, "C ", "third");
    assert_int_equal(journal_read(j, 2, &e), OK);
    assert_int_equal(e.feed, JOURNAL_NO_FEED);
    assert_int_equal(e.line, 0);
    assert_int_equal(journal_read(j, 3, &e), OK);
    assert_int_equal(e.feed, JOURNAL_FEEDS - 1);
    assert_int_equal(e.line, 99);
    assert_int_equal(journal_read(j, 0, &e), ERR_NOT_FOUND);
    assert_int_equal(journal_read(j, 4, &e), ERR_NOT_FOUND);
    assert_int_equal(journal_read(j, UINT64_MAX, &e), ERR_NOT_FOUND);
    journal_close(j, false);
}

static void a_full_journal_loses_its_oldest(void **state)
{
    struct journal *j = begun_with(NULL, 32000);
    struct journal_entry e;
    struct span record = {filler, 8000 - 32 - 2};

    (void)state;
    for (int i = 0; i < 4; i++) /* fills it exactly */
        journal_append(j, JOURNAL_NO_FEED, 0, SPAN("A "), record);
    assert_int_equal(journal_first(j), 1);
    assert_int_equal(journal_bytes(j), 32000);
    append(j, "B ", "1");
    assert_int_equal(journal_first(j), 2);
    assert_int_equal(journal_read(j, 1, &e), ERR_NOT_FOUND);
    check_read(j, 5, "B ", "1");
    for (int i = 0; i < 3; i++)
        journal_append(j, JOURNAL_NO_FEED, 0, SPAN("A "), record);
    assert_int_equal(journal_first(j), 5);
    journal_append(j, JOURNAL_NO_FEED, 0, SPAN("A "), record);
    /* It does not fit behind the others: it wraps to the start, over B and the next one. */
    assert_int_equal(journal_first(j), 7);
    journal_close(j, false);
}

static void a_line_counts_as_received_once_its_entry_is_in(void **state)
{
    struct journal *j = begun();
    struct journal_feed sim = {.name = "sim", .owner = "one", .epoch = 5};

    (void)state;
    journal_set_feed(j, 7, &sim);
    append_of(j, 7, 1);
    append_of(j, 7, 2);
    append_of(j, 8, 3);
    journal_feed(j, 7)->received = 1;
    journal_close(j, false);
    j = opened();
    assert_string_equal(journal_feed(j, 7)->name, "sim");
    assert_string_equal(journal_feed(j, 7)->owner, "one");
    assert_int_equal(journal_feed(j, 7)->epoch, 5);
    assert_int_equal(journal_feed(j, 7)->received, 2);
    assert_int_equal(journal_feed(j, 8)->received, 3);
    assert_string_equal(journal_feed(j, 9)->name, "");
    journal_feed(j, 7)->received = 20; /* refused lines have no entry */
    journal_close(j, true);
    j = opened();
    assert_int_equal(journal_feed(j, 7)->received, 20);
    journal_close(j, true);
}

static void lines_of_an_earlier_owner_do_not_count(void **state)
{
    struct journal *j = begun();
    struct journal_feed sim = {.name = "sim", .owner = "one", .epoch = 5};

    (void)state;
    journal_set_feed(j, 0, &sim);
    append_of(j, 0, 1000);
    strcpy(sim.owner, "two");
    journal_set_feed(j, 0, &sim);
    journal_close(j, false);
    j = opened();
    assert_int_equal(journal_feed(j, 0)->received, 0);
    append_of(j, 0, 1);
    journal_close(j, false);
    j = opened();
    assert_int_equal(journal_feed(j, 0)->received, 1);
    journal_close(j, false);
}

static void a_new_log_knows_nothing_of_the_old(void **state)
{
    struct journal *j = begun();
    struct journal_feed sim = {.name = "sim", .owner = "one", .epoch = 5};

    (void)state;
    journal_set_feed(j, 0, &sim);
    append_of(j, 0, 3);
    journal_begin(j, EPOCH + 1, STORE + 1, 500);
    assert_int_equal(journal_first(j), 500);
    append(j, "B ", "new");
    journal_close(j, false);
    j = opened();
    assert_int_equal(journal_identity(j)->epoch, EPOCH + 1);
    assert_int_equal(journal_identity(j)->store_id, STORE + 1);
    assert_int_equal(journal_identity(j)->stored, 499);
    assert_int_equal(journal_first(j), 500);
    assert_int_equal(journal_head(j), 500);
    check_read(j, 500, "B ", "new");
    assert_string_equal(journal_feed(j, 0)->name, "");
    assert_int_equal(journal_feed(j, 0)->received, 0);
    journal_close(j, true);
    poke_number(AT(is_begun), 0); /* killed within journal_begin */
    j = opened();
    assert_true(journal_identity(j)->is_new);
    assert_int_equal(journal_head(j), 0);
    journal_begin(j, EPOCH + 2, STORE, 600);
    assert_int_equal(journal_head(j), 599);
    journal_close(j, true);
}

static void stored_goes_up_only(void **state)
{
    struct journal *j = begun();

    (void)state;
    for (int i = 0; i < 5; i++)
        append(j, "A ", "1");
    journal_set_stored(j, 4);
    journal_set_stored(j, 2);
    assert_int_equal(journal_stored(j), 4);
    journal_close(j, false);
    j = opened();
    assert_int_equal(journal_stored(j), 4);
    assert_int_equal(journal_identity(j)->stored, 4);
    assert_int_equal(journal_identity(j)->next, 6);
    journal_close(j, false);
}

static void resize_keeps_identity_and_feeds(void **state)
{
    struct journal *j = begun();
    struct journal_feed sim = {.name = "sim", .owner = "one", .epoch = 5};
    struct journal_entry e;

    (void)state;
    journal_set_feed(j, 3, &sim);
    append_of(j, 3, 1);
    append_of(j, 3, 2);
    journal_feed(j, 3)->received = 2;
    journal_set_stored(j, 1);
    assert_int_equal(journal_resize(j, 50001, error), ERR_INVALID);
    assert_non_null(strstr(error, "not stored"));
    journal_set_stored(j, 2);
    assert_int_equal(journal_resize(j, 100, error), ERR_INVALID);
    assert_int_equal(journal_resize(j, SIZE_MAX / 4, error), ERR_FULL);
    assert_non_null(strstr(error, path));
    check_read(j, 2, "A ", "x");
    assert_int_equal(journal_resize(j, 50001, error), OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(journal_size(j), 50001);
        assert_int_equal(journal_bytes(j), 0);
        assert_int_equal(journal_head(j), 2);
        assert_int_equal(journal_first(j), 3);
        assert_int_equal(journal_stored(j), 2);
        assert_int_equal(journal_identity(j)->epoch, EPOCH);
        assert_int_equal(journal_identity(j)->store_id, STORE);
        assert_int_equal(journal_read(j, 2, &e), ERR_NOT_FOUND);
        assert_string_equal(journal_feed(j, 3)->name, "sim");
        assert_int_equal(journal_feed(j, 3)->received, 2);
        journal_close(j, true);
        j = opened();
        assert_true(journal_identity(j)->is_clean);
    }
    append_of(j, 3, 3);
    journal_close(j, false);
    j = opened();
    check_read(j, 3, "A ", "x");
    assert_int_equal(journal_feed(j, 3)->received, 3);
    journal_close(j, false);
}

static void resize_in_memory_and_through_a_link(void **state)
{
    struct journal *j = begun_with(NULL, JOURNAL_BYTES_MIN);
    struct stat status;
    char link_path[120];

    (void)state;
    assert_int_equal(journal_resize(j, 50000, error), OK);
    append(j, "A ", "x");
    check_read(j, 1, "A ", "x");
    journal_close(j, false);
    journal_close(begun(), true);
    snprintf(link_path, sizeof link_path, "%s/link", folder);
    assert_int_equal(symlink("journal", link_path), 0);
    j = opened_with(link_path, 1 << 20);
    assert_int_equal(journal_size(j), JOURNAL_BYTES_MIN);
    assert_int_equal(journal_resize(j, 1 << 20, error), OK);
    journal_close(j, true);
    assert_int_equal(lstat(link_path, &status), 0);
    assert_true(S_ISLNK(status.st_mode));
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_size, AT(ring) + (1 << 20));
    unlink(link_path);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_empty_journal_begins_at_the_position_it_is_given),
        TEST(a_record_is_found_by_its_position_only),
        TEST(a_full_journal_loses_its_oldest),
        TEST(a_line_counts_as_received_once_its_entry_is_in),
        TEST(lines_of_an_earlier_owner_do_not_count),
        TEST(a_new_log_knows_nothing_of_the_old),
        TEST(stored_goes_up_only),
        TEST(resize_keeps_identity_and_feeds),
        TEST(resize_in_memory_and_through_a_link),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
