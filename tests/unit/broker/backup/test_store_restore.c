#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>

#include "tests/unit/broker/backup/backup_fixture.h"

static struct store_restored restored;

static int set_up_restore(void **state)
{
    set_up_backup(state);
    back_up();
    return 0;
}

/* The store has one record and one lock more than its backup. */
static void go_on(void)
{
    start();
    append(6, WALL_US);
    store_all();
    stop();
    change(locks_path, "UPDATE locks SET owner = 'y'");
}

static void restores(const char *to)
{
    if (store_restore(target, to, &restored, error))
        fail_msg("%s", error);
}

/* The restore fails with these words, and the store is unchanged. */
static void refuses(enum err want, const char *words)
{
    static const char *const suffixes[] = {".restore", ".restore-wal", "-locks.restore", ".old-1",
                                           "-locks.old-1"};

    assert_int_equal(store_restore(target, path, &restored, error), want);
    error_has(words);
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
        assert_false(exists(path, suffixes[i]));
    assert_int_equal(number_in(path, "SELECT max(seq) FROM log"), 6);
    assert_int_equal(number_in(locks_path, "SELECT count(*) FROM locks WHERE owner = 'y'"), 1);
}

static void a_backup_takes_the_place_of_the_store_and_its_locks(void **state)
{
    char old[200];

    (void)state;
    go_on();
    restores(path);
    assert_int_equal(restored.head, 5);
    assert_int_equal(restored.locks, 1);
    assert_true(restored.has_locks && restored.was_there);
    assert_int_equal(restored.old, 1);
    assert_int_equal(number_in(path, "SELECT max(seq) FROM log"), 5);
    assert_int_equal(number_in(path, "SELECT value FROM meta WHERE name = 'is_copy'"), 1);
    assert_int_equal(
        number_in(path, "SELECT count(*) FROM sqlite_master WHERE name LIKE 'backup%'"), 0);
    assert_int_equal(number_in(locks_path, "SELECT count(*) FROM locks WHERE owner = 'x'"), 1);
    assert_int_equal(number_in(locks_path, "SELECT count(*) FROM lock_values"), 1);
    assert_int_equal(number_in(locks_path, "SELECT value FROM meta"),
                     number_in(target, "SELECT value FROM backup_meta"));
    snprintf(old, sizeof old, "%s.old-1", path);
    assert_int_equal(number_in(old, "SELECT max(seq) FROM log"), 6);
    snprintf(old, sizeof old, "%s.old-1", locks_path);
    assert_int_equal(number_in(old, "SELECT count(*) FROM locks WHERE owner = 'y'"), 1);
    assert_false(exists(path, ".restore") || exists(locks_path, ".restore"));
    restores(path); /* the next number */
    assert_int_equal(restored.old, 2);
    assert_true(exists(path, ".old-2") && exists(locks_path, ".old-2"));
    start();
    assert_string_equal(log_writer_epoch_reason(log_writer), "restored");
    assert_int_equal(journal_head(journal), 6); /* that position was given */
}

static void a_number_that_either_file_has_is_not_taken(void **state)
{
    char old[200];

    (void)state;
    snprintf(old, sizeof old, "%s.old-1", locks_path);
    close(open(old, O_CREAT | O_WRONLY, 0600));
    restores(path);
    assert_int_equal(restored.old, 2);
    snprintf(old, sizeof old, "%s.old-3", path);
    close(open(old, O_CREAT | O_WRONLY, 0600));
    restores(path);
    assert_int_equal(restored.old, 4);
}

static void a_backup_can_become_a_new_store(void **state)
{
    char new_path[160];

    (void)state;
    snprintf(new_path, sizeof new_path, "%s/new", folder);
    restores(new_path);
    assert_false(restored.was_there);
    assert_int_equal(restored.head, 5);
    assert_int_equal(number_in(new_path, "SELECT max(seq) FROM log"), 5);
    assert_true(exists(new_path, "-locks"));
    assert_false(exists(new_path, ".old-1"));
}

static void a_backup_without_locks_leaves_those_that_are_there(void **state)
{
    (void)state;
    go_on();
    change(target, "DROP TABLE backup_version");
    restores(path);
    assert_false(restored.has_locks);
    assert_int_equal(number_in(path, "SELECT max(seq) FROM log"), 5);
    assert_int_equal(number_in(locks_path, "SELECT count(*) FROM locks WHERE owner = 'y'"), 1);
    assert_true(exists(path, ".old-1"));
    assert_false(exists(locks_path, ".old-1"));
}

static void what_is_no_whole_backup_is_refused(void **state)
{
    char wal[200], right[160];
    int fd;

    (void)state;
    go_on();
    snprintf(wal, sizeof wal, "%s-wal", target);
    fd = open(wal, O_CREAT | O_WRONLY, 0600);
    assert_int_equal(write(fd, "x", 1), 1);
    refuses(ERR_INVALID, "part of it is in its -wal");
    assert_int_equal(ftruncate(fd, 0), 0);
    close(fd);
    change(target, "UPDATE backup_version SET value = 2");
    refuses(ERR_VERSION, "its locks are of version 2 and this program knows up to 1");
    change(target, "UPDATE backup_version SET value = 0");
    refuses(ERR_VERSION, "its locks are of version 0");
    change(target, "UPDATE backup_version SET value = 1; DROP TABLE backup_locks");
    assert_true(store_restore(target, path, &restored, error) != OK);
    error_has(target);
    snprintf(right, sizeof right, "%s", target);
    snprintf(target, sizeof target, "%s", path);
    refuses(ERR_INVALID, "it is the store itself");
    snprintf(target, sizeof target, "%s/none", folder);
    refuses(ERR_NOT_FOUND, "none");
    fd = open(target, O_CREAT | O_WRONLY, 0600);
    assert_int_equal(write(fd, "no database at all", 18), 18);
    close(fd);
    assert_true(store_restore(target, path, &restored, error) != OK);
    error_has(target);
    assert_int_equal(number_in(path, "SELECT max(seq) FROM log"), 6);
}

static void a_store_that_a_broker_uses_is_not_replaced(void **state)
{
    (void)state;
    go_on();
    start();
    assert_int_equal(store_restore(target, path, &restored, error), ERR_HELD);
    error_has(path);
    assert_false(exists(path, ".old-1"));
    assert_false(exists(path, ".restore"));
}

static void a_store_that_was_not_there_is_not_there_after_a_refusal(void **state)
{
    char new_path[160];

    (void)state;
    snprintf(new_path, sizeof new_path, "%s/new", folder);
    snprintf(target, sizeof target, "%s/none", folder);
    assert_true(store_restore(target, new_path, &restored, error) != OK);
    assert_false(exists(new_path, ""));
    assert_false(exists(new_path, "-locks"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_restore, tear_down)
        TEST(a_backup_takes_the_place_of_the_store_and_its_locks),
        TEST(a_number_that_either_file_has_is_not_taken),
        TEST(a_backup_can_become_a_new_store),
        TEST(a_backup_without_locks_leaves_those_that_are_there),
        TEST(what_is_no_whole_backup_is_refused),
        TEST(a_store_that_a_broker_uses_is_not_replaced),
        TEST(a_store_that_was_not_there_is_not_there_after_a_refusal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
