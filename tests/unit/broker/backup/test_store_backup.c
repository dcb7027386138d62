#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/file.h>

#include "tests/unit/broker/backup/backup_fixture.h"

static uint64_t last_done, last_total;
static bool must_end;

static bool progress(void *ctx, uint64_t done, uint64_t total)
{
    assert_ptr_equal(ctx, &last_done);
    assert_true(done <= total);
    last_done = done;
    last_total = total;
    return !must_end;
}

/* Check that no file of a copy is left. */
static void nothing_is_left(void)
{
    static const char *const suffixes[] = {"", ".part", ".part-wal", ".part-shm", ".part-journal"};

    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
        assert_false(exists(target, suffixes[i]));
}

static void a_backup_is_one_file_with_the_log_and_the_locks(void **state)
{
    (void)state;
    back_up();
    assert_false(exists(target, ".part"));
    assert_false(exists(target, "-wal"));
    assert_int_equal(number_in(target, "SELECT max(seq) FROM log"), 5);
    assert_int_equal(number_in(target, "SELECT value FROM meta WHERE name = 'is_copy'"), 1);
    assert_int_equal(number_in(target, "SELECT value FROM backup_version"), 1);
    assert_int_equal(number_in(target, "SELECT count(*) FROM backup_meta"), 1);
    assert_int_equal(number_in(target, "SELECT count(*) FROM backup_locks WHERE owner = 'x'"), 1);
    assert_int_equal(number_in(target, "SELECT count(*) FROM backup_lock_values"), 1);
    /* The store itself is no copy. */
    assert_int_equal(number_in(path, "SELECT value FROM meta WHERE name = 'is_copy'"), 0);
}

static void a_store_without_locks_has_a_backup_without_them(void **state)
{
    static const char tables[] = "SELECT count(*) FROM sqlite_master WHERE name LIKE 'backup%'";

    (void)state;
    assert_int_equal(truncate(locks_path, 0), 0); /* a broker has locked it, and nothing more */
    back_up();
    assert_int_equal(number_in(target, tables), 0);
    assert_int_equal(unlink(target), 0);
    assert_int_equal(unlink(locks_path), 0);
    back_up();
    assert_int_equal(number_in(target, tables), 0);
}

static void a_broker_may_be_writing_meanwhile(void **state)
{
    (void)state;
    start();
    append(6, WALL_US);
    store_all();
    back_up();
    assert_int_equal(number_in(target, "SELECT max(seq) FROM log"), 6);
    append(7, WALL_US);
    store_all();
}

static void a_copy_can_be_watched_and_given_up(void **state)
{
    (void)state;
    change(path, "CREATE TABLE large (x); INSERT INTO large VALUES (zeroblob(9000000))");
    must_end = false;
    assert_int_equal(store_backup(path, target, progress, &last_done, error), OK);
    assert_true(last_total > 9000000);
    assert_true(last_done > 0 && last_done < last_total); /* the last pages end it */
    assert_int_equal(last_total % 4096, 0);
    assert_int_equal(unlink(target), 0);
    must_end = true;
    assert_int_equal(store_backup(path, target, progress, &last_done, error), ERR_AGAIN);
    error_has(target);
    error_has("given up");
    nothing_is_left();
}

static void no_file_is_overwritten(void **state)
{
    struct stat before, after;
    char part[180];
    int fd;

    (void)state;
    assert_int_equal(stat(path, &before), 0);
    assert_int_equal(store_backup(path, path, NULL, NULL, error), ERR_HELD);
    error_has("already there; choose another name");
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(after.st_size, before.st_size);
    snprintf(part, sizeof part, "%s.part", target);
    fd = open(part, O_RDWR | O_CREAT, 0600);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_int_equal(store_backup(path, target, NULL, NULL, error), ERR_HELD);
    error_has("another backup is writing it");
    assert_true(exists(part, ""));
    assert_int_equal(write(fd, "what a killed backup left", 25), 25);
    close(fd);
    back_up(); /* no broker writes it any more */
    assert_int_equal(number_in(target, "SELECT max(seq) FROM log"), 5);
}

static void what_cannot_be_copied_is_said(void **state)
{
    char nowhere[200];

    (void)state;
    snprintf(nowhere, sizeof nowhere, "%s/none/copy", folder);
    assert_true(store_backup(path, nowhere, NULL, NULL, error) != OK);
    error_has(nowhere);
    snprintf(nowhere, sizeof nowhere, "%s/none", folder);
    assert_true(store_backup(nowhere, target, NULL, NULL, error) != OK);
    error_has(nowhere);
    nothing_is_left();
    change(locks_path, "PRAGMA application_id = 77");
    assert_int_equal(store_backup(path, target, NULL, NULL, error), ERR_MALFORMED);
    error_has("SQLite file of another program");
    nothing_is_left();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_backup, tear_down)
        TEST(a_backup_is_one_file_with_the_log_and_the_locks),
        TEST(a_store_without_locks_has_a_backup_without_them),
        TEST(a_broker_may_be_writing_meanwhile),
        TEST(a_copy_can_be_watched_and_given_up),
        TEST(no_file_is_overwritten),
        TEST(what_cannot_be_copied_is_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
