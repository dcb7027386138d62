#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "shared/base/percent.h"

/* All of a text, each character that was no escape's marked by a '!' before it. */
static void check(const char *text, const char *wanted)
{
    struct span rest = span_of(text);
    struct buf got = {0};

    while (rest.len) {
        char c;

        if (!percent_take(&rest, &c))
            buf_addc(&got, '!');
        buf_addc(&got, c);
    }
    assert_string_equal(buf_text(&got), wanted);
    buf_free(&got);
}

static void escapes_are_decoded_once_and_broken_ones_stand_as_they_are(void **state)
{
    (void)state;
    check("a%20b+c", "a b+c");
    check("%41%6A%6a", "Ajj");
    check("%09|%0a|%7F|%fF|%Fa", "\t|\n|\x7F|\xFF|\xFA");
    check("%2525", "%25");
    check("100%", "100!%");
    check("%4", "!%4");
    check("%g1%1g", "!%g1!%1g");
    check("%%41", "!%A");
}

static void nothing_is_read_behind_the_end(void **state)
{
    struct span text = {"%41", 2};
    char c;

    (void)state;
    assert_false(percent_take(&text, &c));
    assert_int_equal(c, '%');
    assert_int_equal(text.len, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(escapes_are_decoded_once_and_broken_ones_stand_as_they_are),
        cmocka_unit_test(nothing_is_read_behind_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
