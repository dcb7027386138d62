#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/dice.h"
#include "shared/wire/patterns.h"

static enum err parse(const char *text, struct patterns *out)
{
    return patterns_parse(span_of(text), out);
}

static void a_list_matches_what_its_patterns_match_one_by_one(void **state)
{
    static const char letters[] = "AB/";

    (void)state;
    dice_seed();
    for (int round = 0; round < 3000; round++) {
        struct buf text = {0};
        struct patterns p;
        char symbol[8];

        for (unsigned n = dice(12); n > 0; n--) {
            for (unsigned len = 1 + dice(4); len > 0; len--)
                buf_addc(&text, letters[dice(3)]);
            if (dice(2))
                buf_addc(&text, '*');
            for (unsigned commas = 1 + (dice(10) == 0); commas > 0; commas--)
                buf_addc(&text, ',');
        }
        if (dice(20) == 0)
            buf_addc(&text, '*');
        assert_int_equal(patterns_parse(buf_span(&text), &p), OK);
        for (int i = 0; i < 50; i++) {
            size_t len = 1 + dice(5);

            for (size_t k = 0; k < len; k++)
                symbol[k] = letters[dice(3)];
            assert_int_equal(patterns_match(&p, (struct span){symbol, len}),
                             quote_patterns_match(buf_span(&text), (struct span){symbol, len}));
        }
        buf_free(&text);
    }
}

static void patterns_that_another_one_covers_are_dropped(void **state)
{
    struct patterns p;

    (void)state;
    assert_int_equal(parse("B,AB*,A*,ABC,A,A*,B,A/", &p), OK);
    assert_int_equal(p.count, 2);
    assert_true(p.list[0].is_prefix && p.list[0].len == 1 && p.list[0].text[0] == 'A');
    assert_true(!p.list[1].is_prefix && p.list[1].len == 1);
    assert_false(patterns_match_all(&p));
    assert_int_equal(parse("A,B*,*", &p), OK);
    assert_int_equal(p.count, 1);
    assert_true(patterns_match_all(&p));
    assert_int_equal(parse("", &p), OK);
    assert_int_equal(p.count, 0);
    assert_false(patterns_match_all(&p) || patterns_match(&p, SPAN("A")));
}

static void the_number_of_patterns_is_bounded(void **state)
{
    struct buf text = {0};
    struct patterns p = {.count = 77};
    char *large;

    (void)state;
    for (int i = 0; i < PATTERNS_MAX; i++)
        buf_printf(&text, "S%031d*,", i); /* the longest that there are */
    assert_int_equal(text.len, PATTERNS_TEXT_MAX);
    assert_int_equal(patterns_parse(buf_span(&text), &p), OK);
    assert_int_equal(p.count, PATTERNS_MAX);
    buf_clear(&text);
    for (int i = 0; i <= PATTERNS_MAX; i++)
        buf_adds(&text, "A,");
    assert_int_equal(patterns_parse(buf_span(&text), &p), ERR_TOO_MANY_PATTERNS);
    assert_int_equal(p.count, PATTERNS_MAX);
    assert_non_null(strstr(patterns_error_text(ERR_TOO_MANY_PATTERNS), "128"));
    buf_free(&text);
    large = malloc(1 << 20);
    assert_non_null(large);
    memset(large, ',', 1 << 20);
    assert_int_equal(patterns_parse((struct span){large, 1 << 20}, &p), ERR_TOO_MANY_PATTERNS);
    memset(large, 'A', 1 << 20);
    assert_int_equal(patterns_parse((struct span){large, 1 << 20}, &p), ERR_BAD_PATTERN);
    /* A first pattern of the longest kind, or one that is a byte too long. */
    large[PATTERN_MAX] = ',';
    assert_int_equal(patterns_parse((struct span){large, 1 << 20}, &p), ERR_TOO_MANY_PATTERNS);
    large[PATTERN_MAX] = 'A';
    large[PATTERN_MAX + 1] = ',';
    assert_int_equal(patterns_parse((struct span){large, 1 << 20}, &p), ERR_BAD_PATTERN);
    free(large);
}

static void what_can_match_no_symbol_is_refused(void **state)
{
    static const char *const bad[] = {"a",
                                      "A B",
                                      "A**",
                                      "A*B",
                                      "*A",
                                      "A,b*",
                                      "\x80",
                                      "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456",
                                      "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456*"};
    struct patterns p;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(parse(bad[i], &p), ERR_BAD_PATTERN);
    assert_int_equal(parse("ABCDEFGHIJKLMNOPQRSTUVWXYZ012345*", &p), OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_matches_what_its_patterns_match_one_by_one),
        cmocka_unit_test(patterns_that_another_one_covers_are_dropped),
        cmocka_unit_test(the_number_of_patterns_is_bounded),
        cmocka_unit_test(what_can_match_no_symbol_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
