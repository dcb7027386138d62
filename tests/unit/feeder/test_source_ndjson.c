#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "feeder/reader.h"
#include "feeder/source.h"
#include "shared/base/log.h"

#define NOW_US ((int64_t)1640995200 * 1000000)

/* Standard input is a pipe we write into. */
static struct source *source;
static int to_source = -1;

static int open_pipe(void **state)
{
    struct source_settings set = {0};
    int ends[2];

    (void)state;
    if (pipe(ends))
        return -1;
    dup2(ends[0], STDIN_FILENO);
    close(ends[0]);
    to_source = ends[1];
    fcntl(to_source, F_SETPIPE_SZ, 1 << 20);
    return source_open("-", &set, "test", &source) ? -1 : 0;
}

static void end_input(void)
{
    if (to_source >= 0)
        close(to_source);
    to_source = -1;
}

static int close_pipe(void **state)
{
    (void)state;
    end_input();
    source_free(source);
    source = NULL;
    return 0;
}

static void put(const char *text)
{
    size_t len = strlen(text);

    assert_int_equal(write(to_source, text, len), len);
}

/* The next quote as text; "later", "waiting" (for input) or "ended". */
static const char *next(void)
{
    static struct buf text;
    struct source_now now = {.ms = 5, .wall_us = NOW_US};
    char symbol[QUOTE_SYMBOL_MAX + 1];
    struct buf body = {0};

    buf_clear(&text);
    switch (source_next(source, &now, symbol, &body)) {
    case SOURCE_QUOTE:
        buf_adds(&text, symbol);
        quote_to_json(buf_span(&body), &text);
        break;
    case SOURCE_LATER:
        buf_adds(&text, source->due_ms == SOURCE_NEVER ? "waiting" : "later");
        break;
    case SOURCE_ENDED:
        buf_adds(&text, "ended");
        break;
    }
    buf_free(&body);
    return buf_text(&text);
}

static void each_line_is_a_quote(void **state)
{
    (void)state;
    put("{\"symbol\":\"A\",\"bid\":1.50,\"ask\":\"2\",\"timestamp\":1600000000.5}\n"
        "{\"symbol\":\"B\",\"last\":\"1e5\",\"x\":1}\r\n");
    assert_string_equal(next(), "A,\"bid\":\"1.50\",\"ask\":\"2\","
                                "\"timestamp\":1600000000.5,\"source\":\"test\"");
    assert_string_equal(next(), "waiting");
    assert_int_equal(source->refused[QUOTE_BAD_PRICE], 1); /* text is taken as it is */
}

static void a_byte_order_mark_is_no_part_of_the_first_line(void **state)
{
    (void)state;
    put("\xEF\xBB\xBF{\"symbol\":\"A\",\"last\":-37.63}\n"
        "\xEF\xBB\xBF\n"
        "\xEF\xBB\xBF{\"symbol\":\"B\",\"last\":-1e-3}\n");
    assert_non_null(strstr(next(), "\"last\":\"-37.63\""));
    assert_non_null(strstr(next(), "\"last\":\"-0.001\""));
    assert_string_equal(next(), "waiting");
    assert_int_equal(source_refused(source), 0);
}

static void a_field_that_says_it_is_not_there_is_none(void **state)
{
    (void)state;
    put("{\"symbol\":\"NH\",\"last\":1.5,\"high\":null,\"bid\":1.4,\"low\":\"NaN\","
        "\"volume\":\"\",\"currency\":null,\"timestamp\":null,\"source\":null,\"x\":"
        "null}\n"
        "{\"symbol\":\"NH\",\"last\":\"n/a\",\"bid\":null}\n");
    assert_string_equal(next(), "NH,\"last\":\"1.5\",\"bid\":\"1.4\",\"x\":null,"
                                "\"timestamp\":1640995200.0,\"source\":\"test\"");
    assert_string_equal(next(), "waiting");
    assert_int_equal(source->refused[QUOTE_NO_PRICE], 1);
    put("{\"symbol\":\"NH\",\"last\":\"7\",\"bid\":\"#N/A N/A\",\"ask\":\"-NaN\","
        "\"open\":\".\"}\n"
        "{\"symbol\":\"NH\",\"last\":\"nothing\"}\n"
        "{\"symbol\":\"NH\",\"last\":\"1.#INF\"}\n");
    assert_non_null(strstr(next(), "NH,\"last\":\"7\",\"timestamp\""));
    assert_string_equal(next(), "waiting");
    assert_int_equal(source->refused[QUOTE_BAD_PRICE], 2);
}

static void half_a_line_waits_for_the_other_half(void **state)
{
    (void)state;
    assert_string_equal(next(), "waiting");
    put("{\"symbol\":\"A\",");
    assert_string_equal(next(), "waiting");
    put("\"last\":1}\n{");
    assert_non_null(strstr(next(), "\"last\":\"1\""));
    assert_string_equal(next(), "waiting");
}

static void the_last_line_counts_without_a_newline(void **state)
{
    (void)state;
    put("{\"symbol\":\"A\",\"last\":1}");
    assert_string_equal(next(), "waiting");
    end_input();
    assert_non_null(strstr(next(), "\"last\":\"1\""));
    assert_string_equal(next(), "ended");
    assert_string_equal(next(), "ended");
}

static void bad_lines_are_refused_by_reason_and_the_rest_goes_on(void **state)
{
    (void)state;
    put("nonsense\n"
        "\n  \t\n"
        "[1]\n"
        "{\"symbol\":\"A\",\"last\":1}{}\n"
        "{\"symbol\":\"A\",\"last\":1,\"last\":2}\n"
        "{\"symbol\":\"a\",\"last\":1}\n"
        "{\"symbol\":\"A\",\"bid\":2,\"ask\":1}\n"
        "{\"symbol\":\"A\",\"last\":1,\"timestamp\":9999999999}\n"
        "{\"symbol\":\"A\",\"last\":7}\n");
    assert_non_null(strstr(next(), "\"last\":\"7\""));
    assert_int_equal(source->refused[QUOTE_MALFORMED], 4);
    assert_int_equal(source->refused[QUOTE_BAD_SYMBOL], 1);
    assert_int_equal(source->refused[QUOTE_CROSSED], 1);
    assert_int_equal(source->refused[QUOTE_FUTURE], 1);
}

static void an_overlong_line_is_refused_once_and_skipped_to_its_newline(void **state)
{
    static char flood[200001];

    (void)state;
    memset(flood, 'x', sizeof flood - 1);
    put(flood);
    assert_string_equal(next(), "waiting");
    put(flood);
    assert_string_equal(next(), "waiting");
    put("\n{\"symbol\":\"A\",\"last\":7}\n");
    assert_non_null(strstr(next(), "\"last\":\"7\""));
    assert_int_equal(source->refused[QUOTE_OVERSIZED], 1);
    put(flood);
    end_input();
    assert_string_equal(next(), "ended");
    assert_int_equal(source->refused[QUOTE_OVERSIZED], 2);
}

static void a_quote_larger_than_allowed_is_oversized(void **state)
{
    static char big[QUOTE_BYTES_MAX + 1];

    (void)state;
    memset(big, 'x', sizeof big - 1);
    put("{\"symbol\":\"A\",\"last\":1,\"note\":\"");
    put(big);
    put("\"}\n");
    assert_string_equal(next(), "waiting");
    assert_int_equal(source->refused[QUOTE_OVERSIZED], 1);
}

static void many_bad_lines_do_not_hold_up_the_loop(void **state)
{
    (void)state;
    for (int i = 0; i < 1000; i++)
        put("x\n");
    assert_string_equal(next(), "later");
    assert_int_equal(source->due_ms, 5);
    assert_in_range(source->refused[QUOTE_MALFORMED], 1, 999);
}

static void a_line_of_exactly_the_limit_is_taken(void **state)
{
    struct reader r;
    char *line;
    size_t len;
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "1234\n12345\n1234", 15), 15);
    close(ends[1]);
    reader_init(&r, ends[0], 4);
    assert_int_equal(reader_next(&r, &line, &len), READER_LINE);
    assert_int_equal(len, 4);
    assert_int_equal(reader_next(&r, &line, &len), READER_TOO_LONG);
    assert_int_equal(reader_next(&r, &line, &len), READER_LINE);
    assert_int_equal(r.number, 3);
    assert_int_equal(reader_next(&r, &line, &len), READER_END);
    reader_fini(&r);
}

/* The model: the same bytes cut at newlines, whatever the pieces they arrive in. */
static void lines_do_not_depend_on_how_they_arrive(void **state)
{
    const char *given = getenv("TEST_SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)getpid();
    static char bytes[300000];
    size_t at = 0, written = 0;
    struct reader r;
    int ends[2];

    (void)state;
    print_message("seed %u\n", seed);
    srand(seed);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(rand() % (rand() % 4 ? 400 : 5) ? 'a' + rand() % 26 : '\n');
    assert_int_equal(pipe(ends), 0);
    reader_init(&r, ends[0], 300);
    for (;;) {
        char *line = NULL, *from = bytes + (at < sizeof bytes ? at : sizeof bytes);
        char *past = bytes + sizeof bytes, *end = memchr(from, '\n', (size_t)(past - from));
        size_t len = 0, want = (size_t)((end ? end : past) - from);

        switch (reader_next(&r, &line, &len)) {
        case READER_LINE:
            assert_int_equal(len, want);
            assert_memory_equal(line, from, len);
            at += want + 1;
            break;
        case READER_TOO_LONG:
            assert_true(want > 300);
            at += want + 1;
            break;
        case READER_SKIPPING:
            break;
        case READER_AGAIN: {
            size_t piece = 1 + (size_t)(rand() % 2000);

            if (written == sizeof bytes) {
                close(ends[1]);
                break;
            }
            piece = piece > sizeof bytes - written ? sizeof bytes - written : piece;
            assert_int_equal(write(ends[1], bytes + written, piece), piece);
            written += piece;
            break;
        }
        case READER_END:
            assert_true(at >= sizeof bytes);
            reader_fini(&r);
            return;
        case READER_FAILED:
            fail();
        }
    }
}

static int set_up(void **state)
{
    (void)state;
    log_init("test", "critical", "text");
    return 0;
}

#define PIPED(f) cmocka_unit_test_setup_teardown(f, open_pipe, close_pipe)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PIPED(each_line_is_a_quote),
        PIPED(a_byte_order_mark_is_no_part_of_the_first_line),
        PIPED(a_field_that_says_it_is_not_there_is_none),
        PIPED(half_a_line_waits_for_the_other_half),
        PIPED(the_last_line_counts_without_a_newline),
        PIPED(bad_lines_are_refused_by_reason_and_the_rest_goes_on),
        PIPED(an_overlong_line_is_refused_once_and_skipped_to_its_newline),
        PIPED(a_quote_larger_than_allowed_is_oversized),
        PIPED(many_bad_lines_do_not_hold_up_the_loop),
        cmocka_unit_test(a_line_of_exactly_the_limit_is_taken),
        cmocka_unit_test(lines_do_not_depend_on_how_they_arrive),
    };

    return cmocka_run_group_tests_name("source_ndjson", tests, set_up, NULL);
}
