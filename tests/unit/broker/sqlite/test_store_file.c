#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/sqlite/store_file.h"
#include "tests/unit/folder.h"

static char folder[64], path[128], error[STORE_ERROR_MAX];

static int set_up(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/test-store-file-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/log.db", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return folder_remove(folder);
}

static void put(const char *suffix, const char *text)
{
    char *name = store_file_beside(path, suffix);
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    free(name);
}

static void error_has(const char *words)
{
    if (!strstr(error, words))
        fail_msg("\"%s\" lacks \"%s\"", error, words);
}

static void is_plain(const char *given, const char *want)
{
    char *plain = store_file_plain_path(given);

    assert_string_equal(plain, want);
    free(plain);
}

static void links_are_followed_to_the_file_itself(void **state)
{
    char link[128], absolute[128];

    (void)state;
    is_plain(path, path); /* it need not be there */
    snprintf(link, sizeof link, "%s/relative", folder);
    assert_int_equal(symlink("log.db", link), 0);
    is_plain(link, path);
    snprintf(absolute, sizeof absolute, "%s/absolute", folder);
    assert_int_equal(symlink(link, absolute), 0);
    is_plain(absolute, path);
    put("", "x");
    is_plain(absolute, path);
    is_plain("/none/../none/x", "/none/../none/x"); /* as it was given */
    is_plain("/x", "/x");
}

static void a_path_is_never_taken_for_anything_else(void **state)
{
    char *here = realpath(".", NULL), want[5000];

    (void)state;
    snprintf(want, sizeof want, "%s/file:x", here);
    is_plain("file:x", want);
    snprintf(want, sizeof want, "%s/:memory:", here);
    is_plain(":memory:", want);
    is_plain("./:memory:", want);
    snprintf(want, sizeof want, "%s/.hidden", here);
    is_plain(".hidden", want);
    free(here);
}

static void a_file_beside_the_link_must_be_moved(void **state)
{
    char link[128], beside[140];

    (void)state;
    snprintf(link, sizeof link, "%s/link", folder);
    assert_int_equal(symlink("log.db", link), 0);
    assert_int_equal(store_file_check_beside(link, "-ring", error), OK);
    snprintf(beside, sizeof beside, "%s-ring", link);
    close(open(beside, O_CREAT | O_WRONLY, 0600));
    assert_int_equal(store_file_check_beside(link, "-ring", error), ERR_NOT_FOUND);
    error_has(link);
    error_has(path);
    put("-ring", "");
    assert_int_equal(store_file_check_beside(link, "-ring", error), OK);
}

static void a_file_that_was_not_closed_is_unclean_if_it_is_small(void **state)
{
    bool is_unclean = true;

    (void)state;
    assert_int_equal(store_file_check(path, true, &is_unclean, error), OK); /* to be made */
    put("", "x");
    assert_int_equal(store_file_check(path, true, &is_unclean, error), OK);
    assert_false(is_unclean);
    put("-wal", "");
    assert_int_equal(store_file_check(path, false, &is_unclean, error), OK);
    assert_false(is_unclean);
    put("-wal", "x");
    assert_int_equal(store_file_check(path, true, &is_unclean, error), OK);
    assert_true(is_unclean);
    assert_int_equal(truncate(path, (off_t)1 << 40), 0); /* too large to be read at a start */
    assert_int_equal(store_file_check(path, true, &is_unclean, error), OK);
    assert_false(is_unclean);
}

static void what_cannot_be_opened_is_said(void **state)
{
    char other[200];
    bool is_unclean;

    (void)state;
    assert_int_not_equal(store_file_check(path, false, &is_unclean, error), OK);
    error_has("No such file");
    assert_int_not_equal(store_file_check(folder, true, &is_unclean, error), OK);
    error_has("directory");
    put("", "x");
    snprintf(other, sizeof other, "%s/x", path);
    assert_int_not_equal(store_file_check(other, true, &is_unclean, error), OK);
    error_has("Not a directory");
    snprintf(other, sizeof other, "%s/none/x", folder);
    assert_int_not_equal(store_file_check(other, true, &is_unclean, error), OK);
    error_has("No such file");
    error_has(other);
    assert_int_not_equal(store_file_sync_folder(other, error), OK);
    assert_int_equal(store_file_sync_folder(path, error), OK);
    assert_int_equal(store_file_sync_folder("/x", error), OK);
}

static void one_program_writes_a_file_whatever_its_name(void **state)
{
    struct store_file_lock first, second = STORE_FILE_UNLOCKED;
    char hard[128], text[40] = "", want[40], *name = store_file_beside(path, "-lock");
    struct stat st;
    int fd;

    (void)state;
    first = STORE_FILE_UNLOCKED;
    assert_int_equal(store_file_lock(path, &first, error), OK);
    assert_true(first.name >= 0 && first.file >= 0);
    assert_int_equal(stat(path, &st), 0); /* it was made */
    assert_int_equal(st.st_size, 0);
    fd = open(name, O_RDONLY);
    assert_true(read(fd, text, sizeof text - 1) > 0);
    snprintf(want, sizeof want, "%d\n", getpid());
    assert_string_equal(text, want);
    close(fd);
    assert_int_equal(store_file_lock(path, &second, error), ERR_HELD);
    snprintf(want, sizeof want, "(process %d)", getpid());
    error_has(want);
    store_file_unlock(&second);
    snprintf(hard, sizeof hard, "%s/hard", folder);
    assert_int_equal(link(path, hard), 0);
    assert_int_equal(store_file_lock(hard, &second, error), ERR_HELD);
    error_has("under another name of the same file");
    store_file_unlock(&second);
    store_file_unlock(&first);
    assert_int_equal(first.name, -1);
    assert_int_equal(first.file, -1);
    put("-lock", "a longer number that was there before\n");
    assert_int_equal(store_file_lock(hard, &second, error), OK);
    store_file_unlock(&second);
    assert_int_equal(store_file_lock(path, &first, error), OK);
    assert_int_equal(stat(name, &st), 0);
    assert_int_equal(st.st_size, strlen(text));
    store_file_unlock(&first);
    free(name);
}

static void a_pipe_is_no_store(void **state)
{
    struct store_file_lock lock = STORE_FILE_UNLOCKED;

    (void)state;
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(store_file_lock(path, &lock, error), ERR_SYS);
    error_has("it is a device or a pipe, not a file");
    store_file_unlock(&lock);
}

static void a_whole_file_is_checked_and_its_damage_found(void **state)
{
    uint64_t page = 0;
    sqlite3 *db;
    int fd;

    (void)state;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db,
                                  "CREATE TABLE t (x); INSERT INTO t VALUES (1);"
                                  "CREATE TABLE u (x); INSERT INTO u VALUES (2)",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(store_file_check_all(db, &page), SQLITE_OK);
    assert_int_equal(page, 0);
    assert_false(store_file_has_moved(db));
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, "\xff\xff\xff\xff\xff\xff\xff\xff", 8, 2 * 4096), 8);
    close(fd);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(store_file_check_all(db, &page) & 0xff, SQLITE_CORRUPT);
    assert_int_equal(page, 3);
    assert_int_equal(unlink(path), 0);
    assert_true(store_file_has_moved(db));
    assert_int_equal(store_file_error_moved(path, error), ERR_NOT_FOUND);
    error_has(path);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(links_are_followed_to_the_file_itself),
        TEST(a_path_is_never_taken_for_anything_else),
        TEST(a_file_beside_the_link_must_be_moved),
        TEST(a_file_that_was_not_closed_is_unclean_if_it_is_small),
        TEST(what_cannot_be_opened_is_said),
        TEST(one_program_writes_a_file_whatever_its_name),
        TEST(a_pipe_is_no_store),
        TEST(a_whole_file_is_checked_and_its_damage_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
