#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/broker/log/journal_fixture.h"

#define NOBODY 65534

static void check_nothing_was_made(void)
{
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(access(being_made, F_OK), -1);
}

static void where_no_journal_can_be_made_the_error_says_why(void **state)
{
    struct rlimit limit, low;
    struct journal *j;
    char whole[sizeof path];

    (void)state;
    strcpy(whole, path);
    snprintf(path, sizeof path, "%s/no/journal", folder);
    check_refused(ERR_NOT_FOUND, "folder does not exist");
    snprintf(path, sizeof path, "%s", folder);
    check_refused(ERR_SYS, "is a folder");
    snprintf(path, sizeof path, "/dev/null");
    check_refused(ERR_MALFORMED, "not a regular file");
    strcpy(path, whole);

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    low = limit;
    low.rlim_cur = 1000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    check_refused(ERR_FULL, "ulimit -f");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    check_nothing_was_made();
    assert_int_equal(journal_open(path, SIZE_MAX / 4, &j, error), ERR_FULL);
    assert_int_equal(journal_open(path, SIZE_MAX, &j, error), ERR_INVALID);
    check_nothing_was_made();

    chmod(folder, 0555);
    if (geteuid() == 0)
        assert_int_equal(seteuid(NOBODY), 0);
    check_refused(ERR_SYS, "permission denied");
    if (getuid() == 0)
        assert_int_equal(seteuid(0), 0);
    chmod(folder, 0755);
    check_nothing_was_made();
}

static void on_a_full_disk_the_error_says_so(void **state)
{
    static const char full[] = "/dev/shm/pregon-journal-of-a-test";
    struct statvfs space;
    struct statfs kind;
    struct journal *j;

    (void)state;
    /* tmpfs refuses a size that is larger than its free space. */
    if (statfs("/dev/shm", &kind) || kind.f_type != 0x01021994 || statvfs("/dev/shm", &space) ||
        !space.f_blocks)
        skip();
    assert_int_equal(journal_open(full, (size_t)((space.f_blocks + 1) * space.f_frsize), &j, error),
                     ERR_FULL);
    assert_non_null(strstr(error, full));
    assert_non_null(strstr(error, "no space"));
    assert_int_equal(access(full, F_OK), -1);
}

static void a_file_that_a_killed_process_left_unfinished_is_replaced(void **state)
{
    int fd = open(being_made, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
    struct stat status;

    (void)state;
    assert_int_equal(write(fd, filler, 1000), 1000);
    close(fd);
    journal_close(begun(), true);
    assert_int_equal(access(being_made, F_OK), -1);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0137, 0);
    assert_int_equal(status.st_size, AT(ring) + JOURNAL_BYTES_MIN);
    assert_true((size_t)status.st_blocks * 512 >= JOURNAL_BYTES_MIN);
}

static void an_error_shows_the_end_of_a_long_path(void **state)
{
    char longer[300];
    struct journal *j;

    (void)state;
    memset(longer, 'x', sizeof longer);
    snprintf(longer + 200, 100, "/no/such/folder/journal");
    longer[0] = '/';
    assert_int_equal(journal_open(longer, JOURNAL_BYTES_MIN, &j, error), ERR_NOT_FOUND);
    assert_int_equal(strncmp(error, "…x", 4), 0);
    assert_non_null(strstr(error, "/no/such/folder/journal: its folder does not exist"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(where_no_journal_can_be_made_the_error_says_why),
        TEST(on_a_full_disk_the_error_says_so),
        TEST(a_file_that_a_killed_process_left_unfinished_is_replaced),
        TEST(an_error_shows_the_end_of_a_long_path),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
