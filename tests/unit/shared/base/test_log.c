#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/base/json.h"
#include "shared/base/log.h"

#define LENGTH(array) (sizeof(array) / sizeof(array)[0])

/* What is written to a descriptor between capture() and captured(). */
static struct {
    int fd, real, out;
    char text[8192];
} tap;

static void capture(int fd)
{
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    tap.fd = fd;
    tap.real = dup(fd);
    tap.out = ends[0];
    assert_int_equal(dup2(ends[1], fd), fd);
    close(ends[1]);
}

static const char *captured(void)
{
    ssize_t n;
    size_t len = 0;

    assert_int_equal(dup2(tap.real, tap.fd), tap.fd);
    close(tap.real);
    while ((n = read(tap.out, tap.text + len, sizeof tap.text - 1 - len)) > 0)
        len += (size_t)n;
    tap.text[len] = '\0';
    close(tap.out);
    return tap.text;
}

static void before_log_init_lines_are_text_from_info_up(void **state)
{
    (void)state;
    capture(STDERR_FILENO);
    log_debug("not told");
    log_info("told");
    assert_string_equal(captured(), "INFO:     told\n");
    assert_false(log_is_on(LOG_DEBUG));
    assert_true(log_is_on(LOG_INFO));
}

static void a_line_is_the_level_in_ten_columns_and_the_message(void **state)
{
    (void)state;
    log_init("pregon-test", "trace", "text");
    capture(STDERR_FILENO);
    log_trace("%d", 1);
    log_debug("%d", 2);
    log_info("%d", 3);
    log_warning("%d", 4);
    log_error("%d", 5);
    log_critical("%d", 6);
    log_info("%s", "");
    assert_string_equal(captured(), "TRACE:    1\n"
                                    "DEBUG:    2\n"
                                    "INFO:     3\n"
                                    "WARNING:  4\n"
                                    "ERROR:    5\n"
                                    "CRITICAL: 6\n"
                                    "INFO:     \n");
}

static void what_is_below_the_level_is_not_told(void **state)
{
    (void)state;
    log_init("pregon-test", "error", "text");
    capture(STDERR_FILENO);
    log_warning("no");
    log_error("yes");
    assert_string_equal(captured(), "ERROR:    yes\n");
    capture(STDOUT_FILENO);
    log_access("127.0.0.1:1", "GET", "/", "1.1", 200, "OK");
    assert_string_equal(captured(), "");
}

static void no_value_can_forge_a_line_or_steer_a_terminal(void **state)
{
    static const struct {
        const char *text, *logged;
    } hostile[] = {
        {"plain, \"quoted\" and \\n", "plain, \"quoted\" and \\n"},
        {"a\nINFO:     forged", "a\\nINFO:     forged"},
        {"\r\t", "\\r\\t"},
        {"\x1B[31mred", "\\x1b[31mred"},
        {"\x01\x1F\x7F", "\\x01\\x1f\\x7f"},
        {"Preg\xC3\xB3n \xE2\x82\xAC \xF0\x9F\x98\x80",
         "Preg\xC3\xB3n \xE2\x82\xAC \xF0\x9F\x98\x80"},
        {"\xC2\x9B"
         "31m \xC2\xA0",
         "\\xc2\\x9b31m \xC2\xA0"},
        {"\xFF\xC3(", "\\xff\\xc3("},
        {"\xC0\x8A", "\\xc0\\x8a"},
        {"\xED\xA0\x80", "\\xed\\xa0\\x80"},
        {"cut \xE2\x82", "cut \\xe2\\x82"},
    };

    (void)state;
    log_init("pregon-test", "info", "text");
    for (size_t i = 0; i < LENGTH(hostile); i++) {
        char want[200];

        snprintf(want, sizeof want, "INFO:     <%s>\n", hostile[i].logged);
        capture(STDERR_FILENO);
        log_info("<%s>", hostile[i].text);
        assert_string_equal(captured(), want);
    }
}

static void a_long_message_is_logged_whole(void **state)
{
    char text[5000];

    (void)state;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    log_init("pregon-test", "info", "text");
    capture(STDERR_FILENO);
    log_info("%s", text);
    assert_int_equal(strlen(captured()), 10 + sizeof text);
}

static void json_lines_are_json_with_the_time_as_unix_seconds(void **state)
{
    const struct json_value *root;
    struct json *j = json_new();
    const char *line;

    (void)state;
    log_init("pregon-test", "info", "json");
    capture(STDERR_FILENO);
    log_warning("say \"%s\"", "a\nb\xFF");
    line = captured();
    assert_non_null(strchr(line, '\n'));
    assert_string_equal(strchr(line, '\n'), "\n");
    assert_int_equal(json_parse(j, span_of(line), &root), OK);
    assert_int_equal(root->size, 4);
    assert_true(strtod(json_member(root, "time")->text.at, NULL) > 1.6e9);
    assert_true(json_member(root, "time")->text.len <= 14);
    assert_true(span_eq(json_member(root, "level")->text, "warning"));
    assert_true(span_eq(json_member(root, "program")->text, "pregon-test"));
    assert_true(span_eq(json_member(root, "message")->text, "say \"a\nb\xEF\xBF\xBD\""));
    json_free(j);
}

static void access_lines_go_to_standard_output(void **state)
{
    const struct json_value *root;
    struct json *j = json_new();

    (void)state;
    log_init("pregon-test", "info", "text");
    capture(STDOUT_FILENO);
    log_access("127.0.0.1:48386", "GET", "/cotizaciones/health", "1.1", 200, "OK");
    log_access("::1", "GET", "/\" 200 OK\n", "1.0", 404, "Not Found");
    assert_string_equal(captured(),
                        "INFO:     127.0.0.1:48386 - \"GET /cotizaciones/health HTTP/1.1\" 200 OK\n"
                        "INFO:     ::1 - \"GET /\\\" 200 OK\\n HTTP/1.0\" 404 Not Found\n");

    log_init("pregon-test", "info", "json");
    capture(STDOUT_FILENO);
    log_access("127.0.0.1:48386", "GET", "/a\"b", "1.1", 404, "Not Found");
    assert_int_equal(json_parse(j, span_of(captured()), &root), OK);
    assert_true(span_eq(json_member(root, "client")->text, "127.0.0.1:48386"));
    assert_true(span_eq(json_member(root, "method")->text, "GET"));
    assert_true(span_eq(json_member(root, "path")->text, "/a\"b"));
    assert_true(span_eq(json_member(root, "version")->text, "1.1"));
    assert_true(span_eq(json_member(root, "status")->text, "404"));
    json_free(j);
}

static void what_a_peer_provokes_is_logged_in_bursts_with_the_rest_counted(void **state)
{
    struct log_limit limit = {.burst = 2, .interval_ms = 1000};

    (void)state;
    log_init("pregon-test", "info", "text");
    capture(STDERR_FILENO);
    for (int64_t now = 5000; now < 5500; now += 100)
        log_limited(&limit, now, LOG_WARNING, "bad %lld", (long long)now);
    log_limited(&limit, 5999, LOG_WARNING, "bad 5999");
    log_limited(&limit, 6000, LOG_WARNING, "bad 6000");
    log_limited(&limit, 6001, LOG_WARNING, "bad 6001");
    log_limited(&limit, 6002, LOG_WARNING, "bad 6002");
    log_limited(&limit, 90000, LOG_DEBUG, "below the level: uses nothing up");
    log_limited(&limit, 90000, LOG_WARNING, "bad 90000");
    assert_string_equal(captured(), "WARNING:  bad 5000\n"
                                    "WARNING:  bad 5100\n"
                                    "WARNING:  bad 6000 (4 similar lines suppressed)\n"
                                    "WARNING:  bad 6001\n"
                                    "WARNING:  bad 90000 (1 similar lines suppressed)\n");
}

static void a_limit_may_be_asked_alone(void **state)
{
    struct log_limit limit = {.burst = 1, .interval_ms = 10};

    (void)state;
    assert_int_equal(log_limit_pass(&limit, 3), 0);
    assert_int_equal(log_limit_pass(&limit, 4), -1);
    assert_int_equal(log_limit_pass(&limit, 12), -1);
    assert_int_equal(log_limit_pass(&limit, 13), 2);
    assert_int_equal(log_limit_pass(&limit, 23), 0);
}

static bool is_something_there(void)
{
    struct pollfd p = {.fd = tap.out, .events = POLLIN};

    return poll(&p, 1, 0) == 1;
}

static void log_lines_that_are_held_back_are_written_together_but_an_error_at_once(void **state)
{
    char long_text[3001];

    (void)state;
    log_init("pregon-test", "info", "text");
    capture(STDERR_FILENO);
    log_collect();
    log_info("one");
    log_info("two");
    assert_false(is_something_there());
    log_error("three");
    assert_true(is_something_there());
    log_info("four");
    log_flush();
    log_info("five");
    assert_string_equal(captured(), "INFO:     one\nINFO:     two\nERROR:    three\n"
                                    "INFO:     four\nINFO:     five\n");
    /* More than is held is logged as it comes, in order. */
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    capture(STDERR_FILENO);
    log_collect();
    log_info("first %s", long_text);
    log_info("second %s", long_text);
    assert_true(is_something_there());
    log_flush();
    assert_int_equal(strlen(captured()),
                     2 * 3000 + strlen("INFO:     first \n") + strlen("INFO:     second \n"));
    assert_ptr_equal(strstr(tap.text, "first"), tap.text + 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(before_log_init_lines_are_text_from_info_up),
        cmocka_unit_test(a_line_is_the_level_in_ten_columns_and_the_message),
        cmocka_unit_test(what_is_below_the_level_is_not_told),
        cmocka_unit_test(no_value_can_forge_a_line_or_steer_a_terminal),
        cmocka_unit_test(a_long_message_is_logged_whole),
        cmocka_unit_test(json_lines_are_json_with_the_time_as_unix_seconds),
        cmocka_unit_test(access_lines_go_to_standard_output),
        cmocka_unit_test(what_a_peer_provokes_is_logged_in_bursts_with_the_rest_counted),
        cmocka_unit_test(a_limit_may_be_asked_alone),
        cmocka_unit_test(log_lines_that_are_held_back_are_written_together_but_an_error_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
