#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shared/base/version.h"
#include "tests/unit/shared/config/config_fixture.h"

static void help_tells_everything_in_lines_that_fit(void **state)
{
    static const char *const parts[] = {
        "usage: pregon-test ",
        "Stands in for a program.\n",
        ("  --port N\n      Port to listen on.\n"
         "      PORT, default 8000; a whole number from -5 to 65535\n"),
        "  --access-log, --no-access-log\n",
        "STATUS_TOKEN, default empty; text of at most 8 bytes\n",
        "one of critical, error, warning, info, debug, trace\n",
        "--env-file PATH",
        "examples:\n  pregon-test --port 1\n",
    };

    (void)state;
    setenv("PORT", "wrong", 1);
    assert_int_equal(load_catching(STDOUT_FILENO, ARGS("--nonsense", "--help")), CONFIG_DONE);
    for (size_t i = 0; i < LENGTH(parts); i++)
        if (!strstr(printed, parts[i]))
            fail_msg("not in the help: %s\n%s", parts[i], printed);
    for (const char *line = printed; *line; line += strcspn(line, "\n") + 1)
        assert_true(strcspn(line, "\n") <= 88);
    assert_int_equal(load_catching(STDOUT_FILENO, ARGS("-h")), CONFIG_DONE);

    assert_int_equal(load_catching(STDOUT_FILENO, ARGS("--version")), CONFIG_DONE);
    assert_string_equal(printed, "pregon-test " PREGON_VERSION "\n");
}

static void the_settings_page_is_a_table(void **state)
{
    (void)state;
    assert_int_equal(load_catching(STDOUT_FILENO, ARGS("--settings-doc")), CONFIG_DONE);
    assert_memory_equal(printed, "## pregon-test\n\n| flag | variable | default |", 40);
    assert_non_null(strstr(printed, "\n| `--port` | `PORT` | `8000` | a whole number from -5 to "
                                    "65535 | Port to listen on. |\n"));
    assert_non_null(strstr(printed, "| `--status-token` | `STATUS_TOKEN` | empty | "));
    assert_non_null(strstr(printed, "One line \\| per request."));
}

static void a_list_that_may_stand_alone_is_named_as_words(void **state)
{
    (void)state;
    program.words = "ORIGINS";
    program.word_name = "ORIGIN";
    assert_int_equal(load_catching(STDOUT_FILENO, ARGS("--settings-doc")), CONFIG_DONE);
    assert_non_null(strstr(printed, "\n| `--origins`, `ORIGIN...` | `ORIGINS` | "));
    program.words = program.word_name = NULL;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, begin)
    const struct CMUnitTest tests[] = {
        TEST(help_tells_everything_in_lines_that_fit),
        TEST(the_settings_page_is_a_table),
        TEST(a_list_that_may_stand_alone_is_named_as_words),
    };

    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
