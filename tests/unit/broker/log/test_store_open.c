#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "broker/sqlite/store_file.h"
#include "broker/log/store_schema.h"
#include "tests/unit/broker/log/store_fixture.h"

/* Opening must fail with this error and this text. */
static void check_refused(const char *file, enum store_mode mode, enum err expected,
                          const char *words)
{
    struct store *s = NULL;

    assert_int_equal(store_open(file, mode, &s, error), expected);
    assert_null(s);
    if (!strstr(error, words) || !strstr(error, file))
        fail_msg("\"%s\" lacks \"%s\" or the path", error, words);
}

static void overwrite(const char *file, off_t at, size_t len)
{
    char noise[4096];
    int fd = open(file, O_WRONLY);

    assert_true(fd >= 0 && len <= sizeof noise);
    memset(noise, 0xA5, len);
    assert_int_equal(pwrite(fd, noise, len, at), (ssize_t)len);
    close(fd);
}

static void copy_file(const char *from, const char *to)
{
    char command[600];

    snprintf(command, sizeof command, "cp '%s' '%s'", from, to);
    assert_int_equal(system(command), 0);
}

static void older_files_are_migrated_step_by_step(void **state)
{
    static const struct schema_step steps[] = {
        {"CREATE TABLE t (a); INSERT INTO t VALUES (1)"},
        {"ALTER TABLE t ADD COLUMN b DEFAULT 5"},
        {"INSERT INTO t VALUES (2, 6); INSERT INTO missing VALUES (1)"},
    };
    int version = -1, application = 0, code = 0;
    sqlite3 *db;

    (void)state;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(schema_migrate(db, &(struct schema){7, steps, 1}, &version, &code), OK);
    assert_int_equal(version, 1);
    assert_int_equal(schema_migrate(db, &(struct schema){7, steps, 2}, &version, &code), OK);
    assert_int_equal(version, 2);
    assert_int_equal(schema_migrate(db, &(struct schema){7, steps, 2}, &version, &code), OK);
    /* A step that fails changes nothing. */
    assert_int_equal(schema_migrate(db, &(struct schema){7, steps, 3}, &version, &code), ERR_SYS);
    assert_int_equal(code, SQLITE_ERROR);
    assert_int_equal(schema_read(db, &application, &version), SQLITE_OK);
    assert_int_equal(version, 2);
    assert_int_equal(application, 7);
    assert_string_equal(sqlite_says(path, "SELECT group_concat(a || b) FROM t"), "15");
    assert_int_equal(schema_migrate(db, &(struct schema){7, steps, 1}, &version, &code),
                     ERR_VERSION);
    sqlite3_close(db);
}

static void a_newer_file_is_refused(void **state)
{
    (void)state;
    make_store(1);
    close_store();
    sqlite_says(path, "PRAGMA user_version = 99");
    check_refused(path, STORE_WRITE, ERR_VERSION, "version 99");
    check_refused(path, STORE_READ, ERR_VERSION, "newer program");
}

static void what_is_no_store_is_refused_and_left_alone(void **state)
{
    char file[200];

    (void)state;
    snprintf(file, sizeof file, "%s/none/x.db", folder);
    check_refused(file, STORE_WRITE, ERR_NOT_FOUND, "make the directory");
    check_refused(path, STORE_READ, ERR_NOT_FOUND, "No such file");
    assert_int_not_equal(access(path, F_OK), 0);
    check_refused(folder, STORE_WRITE, ERR_SYS, "name a file");
    snprintf(file, sizeof file, "%s/text", folder);
    write_file(file, "just a text\n");
    check_refused(file, STORE_WRITE, ERR_MALFORMED, "not a SQLite file");
    write_file(file, "");
    check_refused(file, STORE_READ, ERR_MALFORMED, "it is empty");
    sqlite_says(file, "CREATE TABLE mine (a); INSERT INTO mine VALUES (7)");
    check_refused(file, STORE_WRITE, ERR_MALFORMED, "another program");
    assert_string_equal(sqlite_says(file, "SELECT a FROM mine"), "7");
    assert_string_equal(sqlite_says(file, "PRAGMA journal_mode"), "delete");
}

static void a_damaged_page_is_known_at_the_start_and_a_cut_file_refused(void **state)
{
    struct store *s;
    char unclean[200], wal[220], wal_copy[220];
    struct stat st;

    (void)state;
    make_store(20000);
    assert_ok(store_checkpoint(store, 0, error));
    publish(WIRE_QUOTE, 0);
    write_batch();
    /* As after a crash: the file is small, so all of it is checked. */
    snprintf(unclean, sizeof unclean, "%s/unclean.db", folder);
    snprintf(wal, sizeof wal, "%s-wal", path);
    snprintf(wal_copy, sizeof wal_copy, "%s-wal", unclean);
    copy_file(path, unclean);
    copy_file(wal, wal_copy);
    assert_int_equal(stat(unclean, &st), 0);
    overwrite(unclean, st.st_size / 8192 / 2 * 8192, 64);
    assert_ok(store_open(unclean, STORE_WRITE, &s, error));
    assert_int_equal(store_damaged_page(s), st.st_size / 8192 / 2 + 1);
    store_close(s);
    close_store();
    assert_int_equal(truncate(path, st.st_size / 8192 / 2 * 8192), 0);
    check_refused(path, STORE_WRITE, ERR_MALFORMED, "put a backup in its place");
    overwrite(path, 0, 100);
    check_refused(path, STORE_WRITE, ERR_MALFORMED, "not a SQLite file");
}

static void one_broker_writes_and_others_are_refused_with_its_pid(void **state)
{
    struct store *other;
    char holder[60];

    (void)state;
    make_store(1);
    snprintf(holder, sizeof holder, "another broker (process %d)", getpid());
    check_refused(path, STORE_WRITE, ERR_HELD, holder);
    assert_ok(store_open(path, STORE_READ, &other, error));
    store_close(other);
    close_store();
    open_store(STORE_WRITE);
}

/* The error that another process gets, which has its own descriptors and locks. */
static enum err opened_elsewhere(const char *file)
{
    pid_t child = fork();
    int status;

    if (!child) {
        struct store *s;

        _exit((int)store_open(file, STORE_WRITE, &s, error));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return (enum err)WEXITSTATUS(status);
}

static void another_name_of_the_same_file_is_held_too(void **state)
{
    char name[100], target[300];

    (void)state;
    make_store(1);
    snprintf(name, sizeof name, "%s/hard.db", folder);
    assert_int_equal(link(path, name), 0);
    assert_int_equal(opened_elsewhere(name), ERR_HELD);
    snprintf(name, sizeof name, "%s/soft.db", folder);
    assert_int_equal(symlink(strrchr(path, '/') + 1, name), 0);
    assert_int_equal(opened_elsewhere(name), ERR_HELD);
    snprintf(name, sizeof name, "%s/folder", folder);
    assert_int_equal(symlink(folder, name), 0);
    snprintf(target, sizeof target, "%s%s", name, strrchr(path, '/'));
    assert_int_equal(opened_elsewhere(target), ERR_HELD);
    /* SQLite's own locks on the file hold all the same, and so does the store. */
    publish(WIRE_QUOTE, 1);
    write_batch();
    close_store();
    assert_int_equal(opened_elsewhere(target), OK);
}

static void the_path_of_a_link_is_that_of_its_file(void **state)
{
    char name[100], *plain;

    (void)state;
    snprintf(name, sizeof name, "%s/soft.db", folder);
    assert_int_equal(symlink("log.db", name), 0);
    plain = store_file_plain_path(name); /* the file does not exist yet */
    assert_string_equal(strrchr(plain, '/'), "/log.db");
    free(plain);
    plain = store_file_plain_path("file:x");
    assert_int_equal(plain[0], '/');
    assert_string_equal(strrchr(plain, '/'), "/file:x");
    free(plain);
    plain = store_file_plain_path("/nowhere/at/all.db");
    assert_string_equal(plain, "/nowhere/at/all.db");
    free(plain);
    snprintf(name, sizeof name, "%s/round.db", folder);
    assert_int_equal(symlink("round.db", name), 0);
    check_refused(name, STORE_WRITE, ERR_SYS, "link");
}

/* As a user without rights here; root may do everything. */
static void what_may_not_be_written_is_refused(void **state)
{
    int status;
    pid_t child;

    (void)state;
    make_store(1);
    close_store();
    assert_int_equal(chmod(folder, 0755), 0);
    assert_int_equal(chmod(path, 0444), 0);
    child = fork();
    if (!child) {
        struct store *s;

        if (!geteuid() && setuid(65534))
            _exit(1);
        if (geteuid() && !access(folder, W_OK) && chmod(folder, 0555))
            _exit(2);
        if (store_open(path, STORE_WRITE, &s, error) != ERR_SYS ||
            !strstr(error, "write permission"))
            _exit(3);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(chmod(folder, 0755), 0);
    assert_int_equal(status, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(older_files_are_migrated_step_by_step),
        TEST(a_newer_file_is_refused),
        TEST(what_is_no_store_is_refused_and_left_alone),
        TEST(a_damaged_page_is_known_at_the_start_and_a_cut_file_refused),
        TEST(one_broker_writes_and_others_are_refused_with_its_pid),
        TEST(another_name_of_the_same_file_is_held_too),
        TEST(the_path_of_a_link_is_that_of_its_file),
        TEST(what_may_not_be_written_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
