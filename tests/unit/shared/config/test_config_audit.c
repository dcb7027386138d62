#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/config/config_audit.h"

/* clang-format off */
#define AUDIT_SETTINGS(X)                                                    \
    X(text, AUDIT_HOST, audit_host, "127.0.0.1", 1, 20, NULL, "An address.") \
    X(int, AUDIT_PORT, audit_port, "8000", 1, 65535, NULL, "A port.")        \
    X(seconds, AUDIT_WAIT, audit_wait, "30", 1, 60, NULL, "A time.")
/* clang-format on */

struct audit_config {
    AUDIT_SETTINGS(CONFIG_FIELD)
};

#define CONFIG_STRUCT audit_config
static const struct config_option options[] = {AUDIT_SETTINGS(CONFIG_ROW){0}};
static const struct config_program program = {.name = "pregon-test", .options = options};

static struct config_fact facts[8];
static size_t count;
static struct config_file file;
static struct audit_config config;
static char error[CONFIG_FILE_ERROR_MAX];
static char path[64];

static void note(void *ctx, const struct config_program *p, const struct config_fact *f)
{
    assert_ptr_equal(ctx, &config);
    assert_ptr_equal(p, &program);
    assert_true(count < sizeof facts / sizeof facts[0]);
    facts[count++] = *f;
}

/* True: the file was read to its end. */
static bool audit(const char *text)
{
    bool is_read;
    FILE *f = fopen(path, "we");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    config_file_free(&file);
    config_free(&program, &config);
    config = (struct audit_config){0};
    count = 0;
    is_read = config_file_read(path, false, &file, error);
    config_audit(&program, &file, note, &config, &config);
    assert_int_equal(count, 3);
    return is_read;
}

static int set_up(void **state)
{
    int fd;

    (void)state;
    snprintf(path, sizeof path, "/tmp/pregon-audit-XXXXXX");
    fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int tear_down(void **state)
{
    (void)state;
    unsetenv("AUDIT_PORT");
    config_file_free(&file);
    config_free(&program, &config);
    return unlink(path);
}

static void without_a_line_the_default_counts(void **state)
{
    (void)state;
    assert_true(audit("# nothing\nOTHERS=1\n"));
    assert_int_equal(facts[1].place, CONFIG_DEFAULT);
    assert_null(facts[1].line);
    assert_int_equal(config.audit_port, 8000);
    assert_string_equal(config.audit_host, "127.0.0.1");
}

static void the_last_line_of_a_name_counts_and_has_its_number(void **state)
{
    (void)state;
    assert_true(audit("AUDIT_PORT=1\n\nexport AUDIT_PORT='2'\n"));
    assert_int_equal(facts[1].place, CONFIG_FILE);
    assert_int_equal(facts[1].line->number, 3);
    assert_int_equal(config.audit_port, 2);
}

static void the_environment_beats_the_file_which_is_shown_all_the_same(void **state)
{
    (void)state;
    setenv("AUDIT_PORT", "3", 1);
    assert_true(audit("AUDIT_PORT=1\n"));
    assert_int_equal(facts[1].place, CONFIG_ENVIRONMENT);
    assert_string_equal(facts[1].line->value, "1");
    assert_int_equal(config.audit_port, 3);
}

static void what_is_wrong_is_reported_and_the_default_goes_on(void **state)
{
    (void)state;
    assert_true(audit("AUDIT_PORT=70000\nAUDIT_WAIT=0.5\nAUDIT_HOST=\n"));
    for (int i = 0; i < 3; i++)
        assert_true(facts[i].is_wrong);
    assert_string_equal(facts[1].value, "70000");
    assert_int_equal(config.audit_port, 8000);
    assert_int_equal(config.audit_wait, 30000);
    assert_string_equal(config.audit_host, "127.0.0.1");
}

static void lines_before_one_that_is_malformed_are_read(void **state)
{
    (void)state;
    assert_false(audit("AUDIT_PORT=5\nno line\nAUDIT_PORT=6\n"));
    assert_non_null(strstr(error, ":2: "));
    assert_int_equal(config.audit_port, 5);
}

static void a_file_that_is_not_there_is_wrong_unless_it_need_not_be(void **state)
{
    struct config_file none;

    (void)state;
    assert_false(config_file_read("/nowhere/.env", false, &none, error));
    assert_non_null(strstr(error, "/nowhere/.env"));
    assert_true(config_file_read("/nowhere/.env", true, &none, error));
    assert_int_equal(none.count, 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(without_a_line_the_default_counts),
        TEST(the_last_line_of_a_name_counts_and_has_its_number),
        TEST(the_environment_beats_the_file_which_is_shown_all_the_same),
        TEST(what_is_wrong_is_reported_and_the_default_goes_on),
        TEST(lines_before_one_that_is_malformed_are_read),
        TEST(a_file_that_is_not_there_is_wrong_unless_it_need_not_be),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
