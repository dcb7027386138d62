/* The output of the commands BACKUP and RESTORE, and their exit codes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>

#include "broker/backup/store_command.h"
#include "tests/unit/broker/backup/backup_fixture.h"

static char printed[2000];

/* Run the command; `printed` gets what it prints on both outputs. */
static int run(int (*command)(const struct broker_config *config))
{
    char file[160];
    int fd, out, err, code;
    ssize_t len;

    snprintf(file, sizeof file, "%s/printed", folder);
    fflush(stdout);
    out = dup(STDOUT_FILENO);
    err = dup(STDERR_FILENO);
    fd = open(file, O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0 && dup2(fd, STDOUT_FILENO) >= 0 && dup2(fd, STDERR_FILENO) >= 0);
    code = command(&config);
    fflush(stdout);
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    len = pread(fd, printed, sizeof printed - 1, 0);
    assert_true(len >= 0);
    printed[len] = '\0';
    close(out);
    close(err);
    close(fd);
    return code;
}

__attribute__((format(printf, 1, 2))) static void prints(const char *format, ...)
{
    char want[1000];
    va_list args;

    va_start(args, format);
    vsnprintf(want, sizeof want, format, args);
    va_end(args);
    assert_string_equal(printed, want);
}

static int set_up_commands(void **state)
{
    set_up_backup(state);
    config.backup = config.restore = target;
    return 0;
}

static void a_backup_and_its_way_back_are_one_sentence_each(void **state)
{
    char new_path[100];

    (void)state;
    assert_int_equal(run(store_command_back_up), 0);
    prints("%s is a copy of %s and its locks; --restore %s puts it back\n", target, path, target);
    assert_int_equal(run(store_command_restore), 0);
    prints("%s has the log of %s up to position 5, and 1 locks; what was there ends in .old-1\n",
           path, target);
    snprintf(new_path, sizeof new_path, "%s/new", folder);
    snprintf(setting, sizeof setting, "sqlite:%s", new_path);
    change(target, "DROP TABLE backup_version");
    assert_int_equal(run(store_command_restore), 0);
    prints("%s has the log of %s up to position 5; that has no locks, which stay as they were\n",
           new_path, target);
}

static void a_store_in_memory_has_no_backup(void **state)
{
    (void)state;
    snprintf(setting, sizeof setting, "memory");
    assert_int_equal(run(store_command_back_up), 2);
    assert_non_null(strstr(printed, "BACKUP: STORE is memory"));
    assert_int_equal(run(store_command_restore), 2);
    assert_non_null(strstr(printed, "RESTORE: STORE is memory"));
}

static void a_failure_is_one_and_a_store_in_use_is_two(void **state)
{
    (void)state;
    assert_int_equal(run(store_command_restore), 1);
    assert_ptr_equal(strstr(printed, "RESTORE: store "), printed);
    assert_int_equal(run(store_command_back_up), 0);
    assert_int_equal(run(store_command_back_up), 1);
    assert_ptr_equal(strstr(printed, "BACKUP: store "), printed);
    start();
    assert_int_equal(run(store_command_restore), 2);
    assert_ptr_equal(strstr(printed, "RESTORE: store "), printed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_commands, tear_down)
        TEST(a_backup_and_its_way_back_are_one_sentence_each),
        TEST(a_store_in_memory_has_no_backup),
        TEST(a_failure_is_one_and_a_store_in_use_is_two),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
