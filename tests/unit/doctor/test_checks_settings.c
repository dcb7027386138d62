/* What stands in .env and in the environment, and what is found in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "doctor/checks.h"
#include "tests/unit/doctor/probe_fixture.h"

static char folder[] = "/tmp/test_checks.XXXXXX", file[64];
static struct checks checks;
static char none[] = "";

static void forget(void)
{
    checks_free(&checks);
    checks = (struct checks){0};
}

static mode_t mode = 0600; /* of the file */

static void examine(const char *text)
{
    FILE *f = fopen(file, "w");

    forget();
    checks.config.gateway_url = none;
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    chmod(file, mode);
    checks_settings(&checks, file, false);
}

static void each_mistake_is_found_and_nothing_else(void **state)
{
    static const struct {
        const char *lines, *found, *change;
    } rows[] = {
        {"", "", ""},
        {"PORT=8001\nHOST=127.0.0.1\n", "", ""},
        {"IMAGE_TAG=latest\nPUBLISH=8000\n", "", ""}, /* docker compose's */
        {"SOMETHING_ELSE=1\n", "", ""},
        {"WEBSOCKT_TIMEOUT=60\n", " setting_misspelt", "WEBSOCKET_TIMEOUT=…"},
        {"no line\n", " env_file_unreadable", ""},
        {"PORT=8001\nPORT=8002\n", " setting_twice", ""},
        {"PORT=http\n", " setting_impossible", "PORT=8000"},
        {"STORE=mysql:x\n", " setting_impossible", "STORE=sqlite:pregon.db"},
        {"CORS_ORIGINS=page.example\n", " origin_malformed", "CORS_ORIGINS=https://your.page"},
        {"CORS_ORIGINS=*\n", " origin_star", "CORS_ORIGINS=https://your.page"},
        {"CORS_ORIGINS=*\nCORS_ALLOW_CREDENTIALS=1\n", " origin_star_with_credentials",
         "CORS_ORIGINS=https://your.page"},
        {"CORS_ALLOW_CREDENTIALS=1\nCORS_ORIGINS=https://a.example\n", "", ""},
        {"FORWARDED_ALLOW_IPS=10.1.2\n", " setting_impossible", "FORWARDED_ALLOW_IPS=127.0.0.1"},
        {"WEBSOCKET_ENABLED=0\n", " websocket_disabled", "WEBSOCKET_ENABLED=1"},
        {"WEBSOCKET_MAX_CONNECTIONS=0\n", " max_connections", "WEBSOCKET_MAX_CONNECTIONS=100"},
        {"WS_PING_INTERVAL=30\nWEBSOCKET_TIMEOUT=30\n", " ping_after_timeout",
         "WS_PING_INTERVAL=10"},
        {"WS_PING_INTERVAL=29\nWEBSOCKET_TIMEOUT=30\n", "", ""},
        {"FORWARDED_ALLOW_IPS=*\nHOST=0.0.0.0\n", " trusts_everybody",
         "FORWARDED_ALLOW_IPS=127.0.0.1"},
        {"FORWARDED_ALLOW_IPS=*\nHOST=127.0.0.1\n", "", ""},
        {"FORWARDED_ALLOW_IPS=*\nHOST=0.0.0.0\nPROXY_HEADERS=0\n", "", ""},
        {"FORWARDED_ALLOW_IPS=10.0.0.0/8,*\nHOST=0.0.0.0\n", " trusts_everybody",
         "FORWARDED_ALLOW_IPS=127.0.0.1"},
        {"PORT=5557\n", " ports_collide", "PORT=8000"},
        {"BROKER_PUBLISH=tcp://127.0.0.1:5555\n", " ports_collide",
         "BROKER_PUBLISH=tcp://127.0.0.1:5556"},
        {"BROKER_CONTROL=tcp://127.0.0.1:5556\n", " ports_collide",
         "BROKER_CONTROL=tcp://127.0.0.1:5557"},
        {"BROKER_CONTROL=tcp://192.0.2.1:8000\n", "", ""}, /* of another machine */
        {"BROKER_CONTROL=ipc:///tmp/a\nBROKER_PUBLISH=ipc:///tmp/b\n", "", ""},
        {"SOURCE=csv:/no/such/file.csv?speed=60\n", " source_missing", ""},
        {"SOURCE=sim:EUR/USD\n", "", ""},
        {"SOURCE=csv:/no/such.csv\nBROKER_CONTROL=tcp://192.0.2.1:5557\n", "", ""},
        {"TELEGRAM_TOKEN=abc\n", " telegram_token_malformed", "TELEGRAM_TOKEN=NUMBER:SECRET"},
        {"TELEGRAM_TOKEN=42:AAsecret-of-a-unit-test_0123456789abc\n", "", ""},
        {"TELEGRAM_TOKEN_FILE=/no/such/file\n", " telegram_token_malformed", ""},
        {"TELEGRAM_TOKEN_FILE=/dev/null\n", "", ""},
        {"TELEGRAM_TOKEN_FILE=/dev/null\n"
         "TELEGRAM_TOKEN=42:AAsecret-of-a-unit-test_0123456789abc\n",
         " telegram_token_malformed", ""},
        {"PORT=http\nWEBSOCKT_TIMEOUT=60\nSTORE=x\n",
         " setting_misspelt setting_impossible setting_impossible", "WEBSOCKET_TIMEOUT=…"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        examine(rows[i].lines);
        if (strcmp(found(&checks), rows[i].found) != 0)
            fail_msg("%s:%s, not%s", rows[i].lines, found(&checks), rows[i].found);
        if (checks.found.count && strcmp(checks.found.items[0].change, rows[i].change))
            fail_msg("%s: change to %s, not %s", rows[i].lines, checks.found.items[0].change,
                     rows[i].change);
        if (rows[i].change[0] && !strstr(rows[i].found, "misspelt")) {
            char name[60]; /* of the setting, where it stands */

            snprintf(name, sizeof name, "(%.*s)", (int)strcspn(rows[i].change, "="),
                     rows[i].change);
            if (!strstr(checks.found.items[0].where, name))
                fail_msg("%s: at %s", rows[i].lines, checks.found.items[0].where);
        }
    }
}

static void a_finding_says_what_is_wrong_with_which_value(void **state)
{
    static const char *const rows[][2] = {
        {"PORT=5557\n", "BROKER_CONTROL and PORT both name port 5557."},
        {"BROKER_CONTROL=tcp://127.0.0.1:5556\n",
         "BROKER_PUBLISH and BROKER_CONTROL both name port 5556."},
        {"BROKER_PUBLISH=tcp://127.0.0.1:5555\n",
         "BROKER_INGEST and BROKER_PUBLISH both name port 5555."},
        {"SOURCE=csv:/no/such/file.csv?speed=60\n",
         "/no/such/file.csv cannot be read: No such file or directory."},
        {"TELEGRAM_TOKEN=abc\n", "The token is not NUMBER:SECRET."},
        {"TELEGRAM_TOKEN_FILE=/no/such/file\n",
         "/no/such/file cannot be read: No such file or directory."},
        {"TELEGRAM_TOKEN_FILE=/dev/null\n"
         "TELEGRAM_TOKEN=42:AAsecret-of-a-unit-test_0123456789abc\n",
         "TELEGRAM_TOKEN and TELEGRAM_TOKEN_FILE are both set."},
        {"STORE=mysql:x\n",
         "STORE=mysql:x: must be sqlite:FILE or memory; pregon-broker does not start."},
        {"WS_PING_INTERVAL=30\nWEBSOCKET_TIMEOUT=30\n",
         "WS_PING_INTERVAL is 30.000 s and WEBSOCKET_TIMEOUT 30.000 s: a browser that only listens "
         "is closed with 4001 before it gets a ping."},
        {"FORWARDED_ALLOW_IPS=*\nHOST=0.0.0.0\n",
         "The gateway trusts X-Forwarded headers of every peer, and HOST is 0.0.0.0: a peer that "
         "connects directly can claim any client address."},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        examine(rows[i][0]);
        assert_int_equal(checks.found.count, 1);
        assert_string_equal(checks.found.items[0].seen, rows[i][1]);
    }
}

static void a_named_gateway_needs_no_port_of_ours(void **state)
{
    static char url[] = "http://gateway.example";
    FILE *f = fopen(file, "w");

    (void)state;
    forget();
    checks.config.gateway_url = url;
    fputs("PORT=5557\n", f);
    fclose(f);
    checks_settings(&checks, file, false);
    assert_string_equal(found(&checks), "");
    forget();
    checks.config.gateway_url = url;
    f = fopen(file, "w");
    fputs("BROKER_INGEST=tcp://127.0.0.1:1\n", f);
    fclose(f);
    checks_settings(&checks, file, false);
    assert_string_equal(found(&checks), "");
    examine("HOST=127.0.0.9\nPORT=5557\n"); /* whichever address of this machine it is */
    assert_string_equal(found(&checks), " ports_collide");
    examine("BROKER_CONTROL=ipc:///tmp/x\nPORT=0\n"); /* no ports are no collision */
    assert_string_equal(found(&checks), "");
}

static void a_secret_that_every_user_may_read_is_found_if_there_is_one(void **state)
{
    (void)state;
    mode = 0644;
    examine("WEBSOCKET_TOKEN=\n");
    assert_string_equal(found(&checks), "");
    examine("HOST=127.0.0.1\n");
    assert_string_equal(found(&checks), "");
    examine("WEBSOCKET_TOKEN=x\n");
    assert_string_equal(found(&checks), " secrets_readable");
    assert_string_equal(checks.found.items[0].where, file);
    assert_string_equal(checks.found.items[0].seen,
                        "It has WEBSOCKET_TOKEN, and every user of this machine may read it.");
    mode = 0640;
    examine("WEBSOCKET_TOKEN=x\n");
    assert_string_equal(found(&checks), "");
    mode = 0600;
}

static void the_nearest_setting_is_proposed_for_a_name_that_is_none(void **state)
{
    static const char *const rows[][2] = {
        {"WEBSOCKT_TIMEOUT=1\n", "WEBSOCKT_TIMEOUT is no setting: did you mean WEBSOCKET_TIMEOUT?"},
        {"BROKER_INGES=1\n", "BROKER_INGES is no setting: did you mean BROKER_INGEST?"},
        {"TELEGRAM_TOKN=1\n", "TELEGRAM_TOKN is no setting: did you mean TELEGRAM_TOKEN?"},
        {"JOURNAL_BYTE=1\n", "JOURNAL_BYTE is no setting: did you mean JOURNAL_BYTES?"},
        {"SOURC=1\n", "SOURC is no setting: did you mean SOURCE?"},
        {"PUBLIC_URLS=1\n", "PUBLIC_URLS is no setting: did you mean PUBLIC_URL?"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        examine(rows[i][0]);
        assert_string_equal(found(&checks), " setting_misspelt");
        assert_string_equal(checks.found.items[0].seen, rows[i][1]);
        assert_non_null(strstr(checks.found.items[0].where, ":1"));
    }
}

static void a_finding_names_the_line_where_the_setting_stands(void **state)
{
    char where[CHECKS_WHERE_MAX], want[CHECKS_WHERE_MAX];

    (void)state;
    examine("# a comment\nHOST=127.0.0.1\nPORT=http\n");
    snprintf(want, sizeof want, "%s:3 (PORT)", file);
    assert_string_equal(checks.found.items[0].where, want);
    assert_non_null(strstr(checks.found.items[0].seen, "PORT=http"));
    snprintf(want, sizeof want, "%s:2 (HOST)", file);
    assert_string_equal(checks_where(&checks, "HOST", where), want);
    assert_string_equal(checks_where(&checks, "WEBSOCKET_TIMEOUT", where),
                        "the default (WEBSOCKET_TIMEOUT)");
    examine("PORT=1\nPORT=8002\nHOST=127.0.0.1\nPORT=8003\n");
    assert_string_equal(found(&checks), " setting_twice setting_twice");
    assert_non_null(strstr(checks.found.items[0].where, ":1"));
    assert_non_null(strstr(checks.found.items[1].where, ":2"));
    assert_non_null(strstr(checks.found.items[1].seen, "line 4"));
}

static void what_the_environment_overrides_is_found_and_no_secret_is_shown(void **state)
{
    (void)state;
    setenv("PORT", "8005", 1);
    setenv("WEBSOCKET_TOKEN", "other-secret", 1);
    mode = 0644;
    examine("PORT=8001\nWEBSOCKET_TOKEN=the-secret\n");
    mode = 0600;
    chmod(file, mode);
    assert_string_equal(found(&checks), " secrets_readable setting_overridden "
                                        "setting_overridden");
    for (size_t i = 0; i < checks.found.count; i++) {
        assert_null(strstr(checks.found.items[i].seen, "secret"));
        assert_string_equal(checks.found.items[i].change, "");
    }
    forget();
    checks.config.gateway_url = none;
    checks_settings(&checks, file, false); /* now only its owner may read it */
    assert_string_equal(found(&checks), " setting_overridden setting_overridden");
    assert_non_null(strstr(checks.found.items[0].seen, "PORT=8005"));
    setenv("PORT", "http", 1);
    examine("");
    assert_string_equal(found(&checks), " setting_impossible");
    assert_non_null(strstr(checks.found.items[0].todo, "unset it"));
    assert_string_equal(checks.found.items[0].change, "");
    unsetenv("PORT");
    unsetenv("WEBSOCKET_TOKEN");
}

static void a_file_that_is_not_there_is_a_mistake_only_if_it_was_named(void **state)
{
    (void)state;
    forget();
    checks.config.gateway_url = none;
    checks_settings(&checks, "/no/such/.env", true);
    assert_string_equal(found(&checks), "");
    forget();
    checks.config.gateway_url = none;
    checks_settings(&checks, "/no/such/.env", false);
    assert_string_equal(found(&checks), " env_file_unreadable");
}

static void addresses_are_taken_apart(void **state)
{
    char host[256];
    int port = 0;

    (void)state;
    assert_true(checks_endpoint("tcp://127.0.0.1:5555", host, &port));
    assert_string_equal(host, "127.0.0.1");
    assert_int_equal(port, 5555);
    assert_true(checks_endpoint("tcp://[::1]:80", host, &port));
    assert_int_equal(port, 80);
    assert_false(checks_endpoint("ipc:///tmp/x", host, &port));
    assert_true(checks_is_local("127.0.0.1"));
    assert_true(checks_is_local("localhost"));
    assert_false(checks_is_local("192.0.2.1"));
}

static int set_up(void **state)
{
    (void)state;
    /* No setting of whoever runs the tests may count. */
    clearenv();
    if (!mkdtemp(folder))
        return -1;
    snprintf(file, sizeof file, "%s/.env", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    forget();
    unlink(file);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_mistake_is_found_and_nothing_else),
        cmocka_unit_test(a_named_gateway_needs_no_port_of_ours),
        cmocka_unit_test(a_secret_that_every_user_may_read_is_found_if_there_is_one),
        cmocka_unit_test(the_nearest_setting_is_proposed_for_a_name_that_is_none),
        cmocka_unit_test(a_finding_says_what_is_wrong_with_which_value),
        cmocka_unit_test(a_finding_names_the_line_where_the_setting_stands),
        cmocka_unit_test(what_the_environment_overrides_is_found_and_no_secret_is_shown),
        cmocka_unit_test(a_file_that_is_not_there_is_a_mistake_only_if_it_was_named),
        cmocka_unit_test(addresses_are_taken_apart),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
