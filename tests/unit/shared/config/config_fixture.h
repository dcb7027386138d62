/*
 * config_fixture: a program with one setting of each kind, for tests.  Include it after <cmocka.h>.
 */
#ifndef TESTS_UNIT_SHARED_CONFIG_CONFIG_FIXTURE_H
#define TESTS_UNIT_SHARED_CONFIG_CONFIG_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/config/config.h"

#define LENGTH(array) (sizeof(array) / sizeof(array)[0])
#define ARGS(...) ((const char *const[]){"pregon-test", __VA_ARGS__ __VA_OPT__(, ) NULL})

/* clang-format off */
#define TEST_SETTINGS(X)                                                                 \
    X(text, HOST, host, "127.0.0.1", 1, 20, NULL, "Address to listen on.")               \
    X(int, PORT, port, "8000", -5, 65535, NULL, "Port to listen on.")                    \
    X(seconds, WEBSOCKET_TIMEOUT, websocket_timeout, "30", 0, 60, NULL,                  \
      "Seconds of silence before a client is dropped; this sentence is here to be long " \
      "enough that it must be folded, and is folded between two words.")                 \
    X(flag, ACCESS_LOG, access_log, "1", 0, 1, NULL, "One line | per request.")          \
    X(list, ORIGINS, origins, "http://a,http://b", 0, 60, NULL, "Origins.")              \
    X(text, STATUS_TOKEN, status_token, "", 0, 8, NULL, "Secret.")                       \
    X(secret, BOT_KEY, bot_key, "", 0, 8, NULL, "Never a flag.")

struct test_config {
    CONFIG_COMMON(CONFIG_FIELD)
    TEST_SETTINGS(CONFIG_FIELD)
};

#define CONFIG_STRUCT test_config
static const struct config_option options[] = {
    CONFIG_COMMON(CONFIG_ROW) TEST_SETTINGS(CONFIG_ROW){0},
};

/* clang-format on */

static struct config_program program = {
    .name = "pregon-test",
    .about = "Stands in for a program.",
    .examples = "  pregon-test --port 1\n",
    .options = options,
};

static struct test_config config;
static char printed[16384]; /* on standard error, or on standard output */

/* Run config_load with its output to a descriptor caught in `printed`. */
static inline enum config_outcome load_catching(int fd, const char *const *argv)
{
    FILE *file = tmpfile();
    int real = dup(fd);
    enum config_outcome outcome;
    size_t n;

    assert_non_null(file);
    fflush(stdout);
    dup2(fileno(file), fd);
    config_free(&program, &config);
    memset(&config, 0, sizeof config);
    outcome = config_load(&program, (char *const *)argv, &config);
    dup2(real, fd);
    close(real);
    rewind(file);
    n = fread(printed, 1, sizeof printed - 1, file);
    printed[n] = '\0';
    fclose(file);
    return outcome;
}

static inline enum config_outcome load(const char *const *argv)
{
    return load_catching(STDERR_FILENO, argv);
}

/* Every test begins in an empty folder with an environment without settings. */
static inline int begin(void **state)
{
    (void)state;
    for (const struct config_option *o = options; o->name; o++)
        unsetenv(o->name);
    unlink(".env");
    unlink("mine.env");
    unlink("other.env");
    return 0;
}

static inline int enter_folder(void **state)
{
    static char folder[] = "/tmp/test_config.XXXXXX";

    *state = folder;
    return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static inline int leave_folder(void **state)
{
    begin(state);
    config_free(&program, &config);
    config_free(&program, &config);
    return rmdir(*state);
}

#endif
