#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shared/base/buf.h"
#include "shared/config/config.h"
#include "tests/unit/shared/config/config_fixture.h"

static void a_list_flag_given_again_adds_to_it(void **state)
{
    (void)state;
    setenv("ORIGINS", "http://env", 1);
    assert_int_equal(load(ARGS("--origins", "http://a , http://b", "--origins", "http://c")),
                     CONFIG_RUN);
    assert_string_equal(config.origins, "http://a,http://b,http://c");
    assert_int_equal(load(ARGS("--origins", "a", "--origins", "[\"b\",\"c\"]")), CONFIG_RUN);
    assert_string_equal(config.origins, "a,b,c");
    assert_int_equal(load(ARGS("--origins", "a", "--origins", "[\"b\"")), CONFIG_WRONG);
}

static void gather(void *ctx, const char *entry)
{
    buf_printf(ctx, "<%s>", entry);
}

static void a_list_is_comma_or_json(void **state)
{
    static const struct {
        const char *list, *entries;
        enum err e;
    } cases[] = {
        {"", "", OK},
        {" , ,", "", OK},
        {"a", "<a>", OK},
        {" a , b c,", "<a><b c>", OK},
        {"[]", "", OK},
        {" [ \"a\", \" b,c \", \"\" ] ", "<a><b,c>", OK},
        {"[\"a\"", "", ERR_MALFORMED},
        {"[\"a\"],b", "", ERR_MALFORMED},
        {"[\"a\",1]", "", ERR_MALFORMED},
        {"[\"a\",[]]", "", ERR_MALFORMED},
        {"[[\"a\"]]", "", ERR_MALFORMED},
        {"[\"a\\u0000b\"]", "", ERR_MALFORMED},
        {"[[[[[[[[[[]", "", ERR_MALFORMED},
        {"{\"a\":1}", "<{\"a\":1}>", OK},
    };
    struct buf got = {0};

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++) {
        buf_clear(&got);
        assert_int_equal(config_list_each(cases[i].list, gather, &got), cases[i].e);
        assert_string_equal(buf_text(&got), cases[i].entries);
    }
    buf_free(&got);
}

static void words_without_a_flag_go_into_the_list_that_takes_them(void **state)
{
    (void)state;
    program.words = "ORIGINS";
    program.word_name = "ORIGIN";
    assert_int_equal(load(ARGS("a", "--port", "3", "b=c", "--origins=d")), CONFIG_RUN);
    assert_string_equal(config.origins, "a,b=c,d");
    assert_int_equal(config.port, 3);
    /* A flag without a value takes none of them, unless it is one. */
    assert_int_equal(load(ARGS("--access-log", "a", "--no-access-log", "b")), CONFIG_RUN);
    assert_string_equal(config.origins, "a,b");
    assert_int_equal(load(ARGS("--access-log", "0", "a")), CONFIG_RUN);
    assert_false(config.access_log);
    assert_string_equal(config.origins, "a");
    assert_int_equal(load(ARGS("--port", "3", "--", "--help", "-x")), CONFIG_RUN);
    assert_string_equal(config.origins, "--help,-x");
    assert_int_equal(load(ARGS("--")), CONFIG_RUN);
    assert_string_equal(config.origins, "http://a,http://b");
    assert_int_equal(load(ARGS("-x")), CONFIG_WRONG);
    assert_int_equal(load_catching(STDOUT_FILENO, ARGS("--help")), CONFIG_DONE);
    assert_non_null(strstr(printed, "usage: pregon-test [--NAME VALUE]... [ORIGIN]...\n"));
    assert_non_null(strstr(printed, "--origins LIST, ORIGIN...\n"));
    program.words = NULL;
    assert_int_equal(load(ARGS("a")), CONFIG_WRONG);
    assert_int_equal(load(ARGS("--")), CONFIG_WRONG);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, begin)
    const struct CMUnitTest tests[] = {
        TEST(a_list_flag_given_again_adds_to_it),
        TEST(a_list_is_comma_or_json),
        TEST(words_without_a_flag_go_into_the_list_that_takes_them),
    };

    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
