#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/shared/config/config_fixture.h"

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void flag_beats_environment_beats_file_beats_default(void **state)
{
    (void)state;
    assert_int_equal(load(ARGS()), CONFIG_RUN);
    assert_int_equal(config.port, 8000);
    write_file(".env", "PORT=1\nUNKNOWN_HERE=x\n");
    assert_int_equal(load(ARGS()), CONFIG_RUN);
    assert_int_equal(config.port, 1);
    setenv("PORT", "2", 1);
    assert_int_equal(load(ARGS()), CONFIG_RUN);
    assert_int_equal(config.port, 2);
    assert_int_equal(load(ARGS("--port", "3")), CONFIG_RUN);
    assert_int_equal(config.port, 3);
    assert_int_equal(load(ARGS("--port=4", "--port=5")), CONFIG_RUN);
    assert_int_equal(config.port, 5);
    assert_string_equal(printed, "");
}

static void a_secret_has_no_flag_and_is_never_shown(void **state)
{
    (void)state;
    setenv("BOT_KEY", "1:abc", 1);
    assert_int_equal(load(ARGS()), CONFIG_RUN);
    assert_string_equal(config.bot_key, "1:abc");
    assert_int_equal(load(ARGS("--bot-key=2:xyz")), CONFIG_WRONG);
    assert_non_null(strstr(printed, "--bot-key is refused"));
    assert_non_null(strstr(printed, "environment variable BOT_KEY"));
    assert_null(strstr(printed, "xyz"));
    assert_int_equal(load(ARGS("--bot-key", "2:xyz")), CONFIG_WRONG);
    assert_null(strstr(printed, "xyz"));
    setenv("BOT_KEY", "far too long", 1);
    assert_int_equal(load(ARGS()), CONFIG_WRONG);
    assert_non_null(strstr(printed, "BOT_KEY (environment): must be text of"));
    assert_null(strstr(printed, "far too long"));
    unsetenv("BOT_KEY");
    assert_int_equal(load_catching(STDOUT_FILENO, ARGS("--help")), CONFIG_DONE);
    assert_null(strstr(printed, "--bot-key"));
    assert_non_null(strstr(printed, "BOT_KEY in the environment; no flag"));
    assert_int_equal(load_catching(STDOUT_FILENO, ARGS("--settings-doc")), CONFIG_DONE);
    assert_non_null(strstr(printed, "| none | `BOT_KEY` |"));
}

/* Only what counts is judged: a flag can mend what the environment has wrong. */
static void what_is_overridden_is_not_judged(void **state)
{
    (void)state;
    setenv("PORT", "abc", 1);
    assert_int_equal(load(ARGS("--port", "3")), CONFIG_RUN);
    assert_int_equal(load(ARGS()), CONFIG_WRONG);
}

static void every_kind_is_read(void **state)
{
    (void)state;
    assert_int_equal(
        load(ARGS("--host=::1", "--port", "-5", "--websocket-timeout", "0.5", "--log-level",
                  "WARNING", "--status-token", "", "--origins", " [\"x\" ]")),
        CONFIG_RUN);
    assert_string_equal(config.host, "::1");
    assert_int_equal(config.port, -5);
    assert_int_equal(config.websocket_timeout, 500);
    assert_string_equal(config.log_level, "warning");
    assert_string_equal(config.log_format, "text");
    assert_string_equal(config.status_token, "");
    assert_string_equal(config.origins, " [\"x\" ]");
}

static void a_bool_is_set_by_its_flag_a_word_or_its_negation(void **state)
{
    static const struct {
        const char *word;
        bool value;
    } words[] = {
        {"1", true},   {"0", false},  {"true", true}, {"False", false},
        {"YES", true}, {"no", false}, {"On", true},   {"off", false},
    };

    (void)state;
    for (size_t i = 0; i < LENGTH(words); i++) {
        setenv("ACCESS_LOG", words[i].word, 1);
        assert_int_equal(load(ARGS()), CONFIG_RUN);
        assert_int_equal(config.access_log, words[i].value);
        assert_int_equal(load(ARGS("--access-log", words[i].word)), CONFIG_RUN);
        assert_int_equal(config.access_log, words[i].value);
    }
    setenv("ACCESS_LOG", "0", 1);
    assert_int_equal(load(ARGS("--access-log")), CONFIG_RUN);
    assert_true(config.access_log);
    assert_int_equal(load(ARGS("--access-log", "--port", "1")), CONFIG_RUN);
    assert_true(config.access_log);
    assert_int_equal(load(ARGS("--access-log", "--no-access-log")), CONFIG_RUN);
    assert_false(config.access_log);
}

static void seconds_are_held_as_milliseconds(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {
        {"0", 0}, {"30", 30000}, {"0.3", 300}, {"1.25", 1250}, {"0.001", 1}, {"60.000", 60000},
    };
    static const char *const bad[] = {
        "",
        "-1",
        "60.001",
        "61",
        "1.",
        ".5",
        "1.2345",
        "1e3",
        "1s",
        "0x1",
        " 1",
        "1 ",
        "99999999999999999999",
        "1.5.5",
    };

    (void)state;
    for (size_t i = 0; i < LENGTH(good); i++) {
        assert_int_equal(load(ARGS("--websocket-timeout", good[i].text)), CONFIG_RUN);
        assert_int_equal(config.websocket_timeout, good[i].ms);
    }
    for (size_t i = 0; i < LENGTH(bad); i++)
        assert_int_equal(load(ARGS("--websocket-timeout", bad[i])), CONFIG_WRONG);
}

static void a_wrong_value_is_reported_with_name_origin_and_what_is_allowed(void **state)
{
    static const struct {
        const char *flag, *value, *printed;
    } cases[] = {
        {"--port", "65536",
         "PORT=\"65536\" (flag --port): must be a whole number from -5 to 65535"},
        {"--port", "-6", "PORT=\"-6\" (flag"},
        {"--port", "", "PORT=\"\" (flag"},
        {"--port", "80x", "PORT=\"80x\" (flag"},
        {"--port", " 80", "PORT=\" 80\" (flag"},
        {"--port", "99999999999999999999", "PORT=\"9999"},
        {"--port", "1\n2", "PORT=\"1\\n2\" (flag"},
        {"--host", "", "HOST=\"\" (flag --host): must be text of 1 to 20 bytes"},
        {"--host", "123456789012345678901", "must be text of 1 to 20 bytes"},
        {"--websocket-timeout", "soon", "must be seconds from 0 to 60, with up to 3 decimals"},
        {"--access-log", "maybe",
         "ACCESS_LOG=\"maybe\" (flag --access-log): must be 1/0, true/false, yes/no or "
         "on/off"},
        {"--log-level", "loud", "must be one of critical, error, warning, info, debug, trace"},
        {"--log-level", "inf", "LOG_LEVEL=\"inf\""},
        {"--log-level", "", "LOG_LEVEL=\"\""},
        {"--log-level", "text|json", "LOG_LEVEL=\"text|json\""},
        {"--origins", "[\"a\"",
         "ORIGINS=\"[\\\"a\\\"\" (flag --origins): must be a comma list "
         "or JSON list of at most 60 bytes"},
        {"--origins", "[1]", "ORIGINS="},
    };

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        assert_int_equal(load(ARGS(cases[i].flag, cases[i].value)), CONFIG_WRONG);
        assert_memory_equal(printed, "CRITICAL: ", 10);
        if (!strstr(printed, cases[i].printed))
            fail_msg("%s", printed);
    }
    setenv("PORT", "x", 1);
    assert_int_equal(load(ARGS()), CONFIG_WRONG);
    assert_non_null(strstr(printed, "PORT=\"x\" (environment): must be"));
    unsetenv("PORT");
    write_file("other.env", "# first\nPORT=y\n");
    assert_int_equal(load(ARGS("--env-file", "other.env")), CONFIG_WRONG);
    assert_non_null(strstr(printed, "PORT=\"y\" (other.env:2): must be"));
}

static void every_mistake_is_reported_at_once_and_nothing_is_filled(void **state)
{
    (void)state;
    assert_int_equal(load(ARGS("--port", "x", "--hots", "y", "--websocket-timeout=z")),
                     CONFIG_WRONG);
    assert_non_null(strstr(printed, "PORT="));
    assert_non_null(strstr(printed, "--hots"));
    assert_non_null(strstr(printed, "WEBSOCKET_TIMEOUT="));
    assert_null(config.host);
    assert_int_equal(config.port, 0);
}

static void a_secret_is_never_shown(void **state)
{
    (void)state;
    assert_int_equal(load(ARGS("--status-token", "hunter2hunter2")), CONFIG_WRONG);
    assert_non_null(
        strstr(printed, "STATUS_TOKEN (flag --status-token): must be text of at most 8 bytes"));
    assert_null(strstr(printed, "hunter2"));
    assert_int_equal(load(ARGS("--status-tokn=hunter2")), CONFIG_WRONG);
    assert_non_null(strstr(printed, "did you mean --status-token?"));
    assert_null(strstr(printed, "hunter2"));
    assert_int_equal(load(ARGS("--status-tokn", "hunter2")), CONFIG_WRONG);
    assert_null(strstr(printed, "hunter2"));
}

static void flags_of_a_list_add_up_and_a_malformed_one_is_reported(void **state)
{
    (void)state;
    assert_int_equal(load(ARGS("--origins=http://a", "--origins", "[\"http://b\"]")), CONFIG_RUN);
    assert_string_equal(config.origins, "http://a,http://b");
    assert_int_equal(load(ARGS("--origins=[", "--origins=http://b")), CONFIG_WRONG);
    assert_non_null(strstr(printed, "=\"[\""));
    assert_int_equal(load(ARGS("--origins=http://a", "--origins=[")), CONFIG_WRONG);
    assert_non_null(strstr(printed, "=\"[\""));
}

static void an_unknown_flag_is_reported_with_the_nearest_known_one(void **state)
{
    static const struct {
        const char *flag, *printed;
    } cases[] = {
        {"--prot", "unknown flag --prot: did you mean --port?"},
        {"--websocket-time", "did you mean --websocket-timeout?"},
        {"--websocket_timeout", "did you mean --websocket-timeout?"},
        {"--PORT", "unknown flag --PORT"},
        {"--no-acces-log", "did you mean --no-access-log?"},
        {"--no-port", "unknown flag --no-port"},
        {"--hepl", "did you mean --help?"},
        {"--envfile", "did you mean --env-file?"},
        {"--entirely-else", "unknown flag --entirely-else: see --help"},
        {"--", "unknown flag --: see --help"},
        {"-p", "\"-p\" is not a flag: settings are given as --name value"},
        {"8000", "\"8000\" is not a flag"},
        {"", "\"\" is not a flag"},
        {"--port", "flag --port needs a value"},
        {"--env-file", "flag --env-file needs a value"},
        {"--no-access-log=1", "flag --no-access-log takes no value"},
    };

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        assert_int_equal(load(ARGS(cases[i].flag)), CONFIG_WRONG);
        if (!strstr(printed, cases[i].printed))
            fail_msg("%s: %s", cases[i].flag, printed);
    }
    assert_int_equal(load(ARGS("--host", "--port", "1")), CONFIG_WRONG);
    assert_non_null(strstr(printed, "flag --host needs a value"));
    assert_int_equal(load(ARGS("--host=--port")), CONFIG_RUN);
}

static void the_env_file_is_named_or_there_by_chance(void **state)
{
    (void)state;
    write_file("mine.env", "\xEF\xBB\xBF"
                           "export HOST='10.0.0.1' # ours\r\nPORT=\"7\"\r\n");
    assert_int_equal(load(ARGS("--env-file=mine.env")), CONFIG_RUN);
    assert_string_equal(config.host, "10.0.0.1");
    assert_int_equal(config.port, 7);

    assert_int_equal(load(ARGS("--env-file", "not-there.env")), CONFIG_WRONG);
    assert_non_null(strstr(printed, "not-there.env: cannot be read: No such file"));
    assert_int_equal(load(ARGS("--env-file", ".")), CONFIG_WRONG);
    assert_non_null(strstr(printed, ".: cannot be read"));

    assert_int_equal(load(ARGS("--env-file", "/proc/self/environ")), CONFIG_WRONG);
    assert_non_null(strstr(printed, "/proc/self/environ: not a file of NAME=VALUE lines"));

    write_file(".env", "PORT=1\nnonsense\n");
    assert_int_equal(load(ARGS()), CONFIG_WRONG);
    assert_non_null(strstr(printed, ".env:2: expected NAME=VALUE"));
    assert_int_equal(load(ARGS("--env-file", "/dev/null")), CONFIG_RUN);
    assert_int_equal(config.port, 8000);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, begin)
    const struct CMUnitTest tests[] = {
        TEST(flag_beats_environment_beats_file_beats_default),
        TEST(a_secret_has_no_flag_and_is_never_shown),
        TEST(what_is_overridden_is_not_judged),
        TEST(every_kind_is_read),
        TEST(a_bool_is_set_by_its_flag_a_word_or_its_negation),
        TEST(seconds_are_held_as_milliseconds),
        TEST(a_wrong_value_is_reported_with_name_origin_and_what_is_allowed),
        TEST(every_mistake_is_reported_at_once_and_nothing_is_filled),
        TEST(a_secret_is_never_shown),
        TEST(flags_of_a_list_add_up_and_a_malformed_one_is_reported),
        TEST(an_unknown_flag_is_reported_with_the_nearest_known_one),
        TEST(the_env_file_is_named_or_there_by_chance),
    };

    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
