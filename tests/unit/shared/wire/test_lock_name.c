#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "shared/wire/lock_name.h"

static void what_can_be_a_name_or_an_owner(void **state)
{
    static const struct {
        const char *text;
        bool is_name, is_owner;
    } cases[] = {
        {"", false, false},    {"a", true, true},       {"A.b_c:d-9", true, true},
        {"a b", false, false}, {"a/b", false, true},    {"\xc3\xb1", false, false},
        {"a\n", false, false}, {"a\x7f", false, false}, {"~!\"'", false, true},
        {"a*", false, true},   {"../a", false, true},   {"telegram:1", true, true},
    };
    char text[130];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(lock_is_name(span_of(cases[i].text)), cases[i].is_name);
        assert_int_equal(lock_is_owner(span_of(cases[i].text)), cases[i].is_owner);
    }
    assert_false(lock_is_name((struct span){"a\0b", 3}));
    assert_false(lock_is_owner((struct span){"a\0b", 3}));
    memset(text, 'a', sizeof text);
    assert_true(lock_is_name((struct span){text, 64}));
    assert_false(lock_is_name((struct span){text, 65}));
    assert_true(lock_is_owner((struct span){text, 128}));
    assert_false(lock_is_owner((struct span){text, 129}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_can_be_a_name_or_an_owner),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
