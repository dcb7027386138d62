#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "shared/config/dotenv.h"

#define LENGTH(array) (sizeof(array) / sizeof(array)[0])

/* All entries as "LINE NAME=VALUE;", what is wrong as "LINE what". */
static const char *read_all(struct buf *out, const char *text)
{
    struct dotenv d = {text, 1};
    struct dotenv_entry entry;
    struct buf value = {0};
    enum err e;

    buf_clear(out);
    while (!(e = dotenv_next(&d, &entry, &value)) && entry.name.len)
        buf_printf(out, "%u %.*s=%s;", entry.line, (int)entry.name.len, entry.name.at,
                   buf_text(&value));
    if (e)
        buf_printf(out, "%u %s", entry.line, entry.wrong);
    buf_free(&value);
    return buf_text(out);
}

static void the_forms_people_write_are_understood(void **state)
{
    static const struct {
        const char *text, *entries;
    } cases[] = {
        {"", ""},
        {"\n# only a comment", ""},
        {"A=1", "1 A=1;"},
        {"A=1\n\n  B_2 = two words  \n", "1 A=1;3 B_2=two words;"},
        {"A=1\r\nB=\r\n", "1 A=1;2 B=;"},
        {"export A=1\nexport\tB=2\nexport=3\nexported=4", "1 A=1;2 B=2;3 export=3;4 exported=4;"},
        {"A=1 # why\nB= # empty\nC=#no\nD=a#b", "1 A=1;2 B=;3 C=#no;4 D=a#b;"},
        {"A=a=b", "1 A=a=b;"},
        {"A='it is # $A \\n' # so\nB=\"\"", "1 A=it is # $A \\n;2 B=;"},
        {"A=\"a\\tb\\\"\\\\ \\d\"\r\n", "1 A=a\tb\"\\ \\d;"},
        {"A=\"one\ntwo\"\nB=3", "1 A=one\ntwo;3 B=3;"},
        {"A=[\"x\",\"y\"]\nB=it's", "1 A=[\"x\",\"y\"];2 B=it's;"},
    };
    struct buf got = {0};

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++)
        assert_string_equal(read_all(&got, cases[i].text), cases[i].entries);
    buf_free(&got);
}

static void what_is_wrong_is_reported_with_its_line(void **state)
{
    static const struct {
        const char *text, *entries;
    } cases[] = {
        {"A=1\nB", "1 A=1;2 expected NAME=VALUE"},
        {"=1", "1 expected NAME=VALUE"},
        {"A B=1", "1 expected NAME=VALUE"},
        {"export ", "1 expected NAME=VALUE"},
        {"A=1\nB='x\n\n", "1 A=1;2 the closing quote is missing"},
        {"A=\"x\\\"", "1 the closing quote is missing"},
        {"A=\"x\\", "1 the closing quote is missing"},
        {"A='x'y", "1 there is something after the closing quote"},
    };
    struct buf got = {0};

    (void)state;
    for (size_t i = 0; i < LENGTH(cases); i++)
        assert_string_equal(read_all(&got, cases[i].text), cases[i].entries);
    buf_free(&got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_forms_people_write_are_understood),
        cmocka_unit_test(what_is_wrong_is_reported_with_its_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
