#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "feeder/reader.h"

#define LINE_MAX_BYTES 5

static struct reader r;
static int to_reader;

static void open_pipe(void)
{
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    to_reader = ends[1];
    reader_init(&r, ends[0], LINE_MAX_BYTES);
}

static void put(const char *text)
{
    assert_int_equal(write(to_reader, text, strlen(text)), strlen(text));
}

static void end(void)
{
    if (to_reader >= 0)
        close(to_reader);
    to_reader = -1;
}

static void close_pipe(void)
{
    end();
    reader_fini(&r);
    assert_int_equal(r.fd, -1);
}

/* The next outcome as text: "LINE", "(again)", …, and the number of the line. */
static const char *next(void)
{
    static const char *const names[] = {
        [READER_TOO_LONG] = "(too long)", [READER_AGAIN] = "(again)",
        [READER_SKIPPING] = "(skipping)", [READER_END] = "(end)",
        [READER_FAILED] = "(failed)",
    };
    static char text[64];
    char *line = NULL;
    size_t len = 0;
    enum reader_outcome got = reader_next(&r, &line, &len);

    if (got != READER_LINE && got != READER_TOO_LONG)
        return names[got];
    if (got == READER_LINE)
        line[len] = '\0';
    snprintf(text, sizeof text, "%llu %s", (unsigned long long)r.number,
             got == READER_LINE ? line : names[got]);
    return text;
}

static void lines_come_one_by_one_as_far_as_they_are_complete(void **state)
{
    (void)state;
    open_pipe();
    assert_string_equal(next(), "(again)");
    put("ab\n\ncd\r\ne");
    assert_string_equal(next(), "1 ab");
    assert_string_equal(next(), "2 ");
    assert_string_equal(next(), "3 cd");
    assert_string_equal(next(), "(again)");
    put("f");
    assert_string_equal(next(), "(again)");
    put("\r\n\r\nx\ry\n");
    assert_string_equal(next(), "4 ef");
    assert_string_equal(next(), "5 ");
    assert_string_equal(next(), "6 x\ry");
    put("last");
    assert_string_equal(next(), "(again)");
    end();
    assert_string_equal(next(), "7 last"); /* it counts without a newline */
    assert_string_equal(next(), "(end)");
    assert_string_equal(next(), "(end)");
    close_pipe();
}

static void an_input_without_a_byte_and_one_that_ends_with_a_newline_just_end(void **state)
{
    (void)state;
    open_pipe();
    end();
    assert_string_equal(next(), "(end)");
    close_pipe();
    open_pipe();
    put("a\n");
    end();
    assert_string_equal(next(), "1 a");
    assert_string_equal(next(), "(end)");
    close_pipe();
}

static void a_line_over_the_limit_is_reported_once_and_skipped(void **state)
{
    (void)state;
    open_pipe();
    put("12345\n123456\nab\n");
    assert_string_equal(next(), "1 12345");
    assert_string_equal(next(), "2 (too long)");
    assert_string_equal(next(), "3 ab");
    put("12345"); /* may still end here */
    assert_string_equal(next(), "(again)");
    put("6");
    assert_string_equal(next(), "4 (too long)");
    put("7890");
    assert_string_equal(next(), "(again)");
    put("1\ncd\n");
    assert_string_equal(next(), "5 cd");
    put("1234567");
    assert_string_equal(next(), "6 (too long)");
    end();
    assert_string_equal(next(), "(end)");
    close_pipe();
    open_pipe();
    put("12345");
    end();
    assert_string_equal(next(), "1 12345");
    close_pipe();
    open_pipe();
    put("12345\r\n"); /* the CR counts */
    assert_string_equal(next(), "1 (too long)");
    close_pipe();
}

/* Lines of a file that is larger than the buffer, at all positions in it. */
static void a_file_larger_than_the_buffer_is_read_whole_and_again_after_a_rewind(void **state)
{
    char path[] = "/tmp/test_reader.XXXXXX", expected[32];
    int fd = mkstemp(path);
    FILE *f = fdopen(fd, "w");

    (void)state;
    for (int i = 1; i <= 50000; i++)
        fprintf(f, "%d%s", i, i % 3 && i < 10000 ? "\r\n" : "\n");
    fclose(f);
    reader_init(&r, open(path, O_RDONLY), LINE_MAX_BYTES);
    for (int turn = 0; turn < 2; turn++) {
        for (int i = 1; i <= 50000; i++) {
            if (turn == 1 && i == 25000)
                break;
            snprintf(expected, sizeof expected, "%d %d", i, i);
            if (strcmp(next(), expected) != 0)
                fail_msg("line %d", i);
        }
        if (turn == 0)
            assert_string_equal(next(), "(end)");
        assert_true(reader_rewind(&r));
        assert_int_equal(r.number, 0);
    }
    assert_string_equal(next(), "1 1");
    reader_fini(&r);
    unlink(path);
}

static void a_descriptor_that_cannot_be_read_fails_and_a_pipe_cannot_be_rewound(void **state)
{
    (void)state;
    reader_init(&r, open("/tmp", O_RDONLY | O_DIRECTORY), LINE_MAX_BYTES);
    assert_string_equal(next(), "(failed)");
    assert_int_equal(errno, EISDIR);
    reader_fini(&r);
    open_pipe();
    put("a\nb\n");
    assert_string_equal(next(), "1 a");
    assert_false(reader_rewind(&r));
    assert_string_equal(next(), "2 b");
    close_pipe();
}

/* A rewind in the middle of a line that is skipped begins with the first line. */
static void a_rewind_forgets_a_line_that_was_being_skipped(void **state)
{
    char path[] = "/tmp/test_reader.XXXXXX";
    int fd = mkstemp(path);

    (void)state;
    assert_int_equal(write(fd, "a\n1234567", 9), 9);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    reader_init(&r, fd, LINE_MAX_BYTES);
    assert_string_equal(next(), "1 a");
    assert_string_equal(next(), "2 (too long)");
    assert_true(reader_rewind(&r));
    assert_string_equal(next(), "1 a");
    assert_string_equal(next(), "2 (too long)");
    assert_string_equal(next(), "(end)");
    reader_fini(&r);
    assert_int_equal(fcntl(fd, F_GETFD), -1); /* it is closed; standard input stays open: */
    reader_init(&r, STDERR_FILENO, LINE_MAX_BYTES);
    reader_fini(&r);
    assert_int_not_equal(fcntl(STDERR_FILENO, F_GETFD), -1);
    unlink(path);
}

/* A call does not read a huge line to its end: its caller has other work. */
static void a_call_skips_a_bounded_part_of_a_line(void **state)
{
    char path[] = "/tmp/test_reader.XXXXXX";
    const off_t huge = (off_t)16 << 20;
    int fd = mkstemp(path), calls = 0;

    (void)state;
    assert_int_equal(pwrite(fd, "\nab\n", 4, huge), 4); /* zero bytes before it */
    reader_init(&r, fd, LINE_MAX_BYTES);
    assert_string_equal(next(), "1 (too long)");
    for (const char *got = next(); strcmp(got, "2 ab") != 0; got = next()) {
        assert_string_equal(got, "(skipping)");
        assert_true(lseek(fd, 0, SEEK_CUR) <= (off_t)++calls << 20);
    }
    assert_string_equal(next(), "(end)");
    reader_fini(&r);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_come_one_by_one_as_far_as_they_are_complete),
        cmocka_unit_test(an_input_without_a_byte_and_one_that_ends_with_a_newline_just_end),
        cmocka_unit_test(a_line_over_the_limit_is_reported_once_and_skipped),
        cmocka_unit_test(a_file_larger_than_the_buffer_is_read_whole_and_again_after_a_rewind),
        cmocka_unit_test(a_descriptor_that_cannot_be_read_fails_and_a_pipe_cannot_be_rewound),
        cmocka_unit_test(a_rewind_forgets_a_line_that_was_being_skipped),
        cmocka_unit_test(a_call_skips_a_bounded_part_of_a_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
