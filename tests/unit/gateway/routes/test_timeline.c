#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/routes/timeline.h"

#define LENGTH(array) (sizeof(array) / sizeof(array)[0])
#define EPOCH "0efc6f433b8d1fa2"

static const char *bounds(const struct timeline *t)
{
    static char text[200];

    snprintf(text, sizeof text, "after %llu before %llu since %llu until %llu",
             (unsigned long long)t->after, (unsigned long long)t->before,
             (unsigned long long)t->since_us, (unsigned long long)t->until_us);
    return text;
}

static void a_bound_is_a_position_or_a_time_and_never_taken_for_the_other(void **state)
{
    static const struct {
        const char *text, *as_since, *as_until; /* NULL: refused */
    } table[] = {
        {"0", "after 0 before 0 since 0 until 0", "after 0 before 1 since 0 until 0"},
        {"12345", "after 12345 before 0 since 0 until 0", "after 0 before 12346 since 0 until 0"},
        {"999999999", "after 999999999 before 0 since 0 until 0",
         "after 0 before 1000000000 since 0 until 0"},
        {EPOCH ":1795382037", "after 1795382037 before 0 since 0 until 0",
         "after 0 before 1795382038 since 0 until 0"},
        {EPOCH ":18446744073709551615", "after 18446744073709551615 before 0 since 0 until 0",
         "after 0 before 18446744073709551615 since 0 until 0"},
        {"@1640995200.25", "after 0 before 0 since 1640995200250000 until 0",
         "after 0 before 0 since 0 until 1640995200250000"},
        {"@0", "after 0 before 0 since 0 until 0", "after 0 before 0 since 0 until 1"},
        {"2022-01-01T00:00:00Z", "after 0 before 0 since 1640995200000000 until 0",
         "after 0 before 0 since 0 until 1640995200000000"},
        {"2022-01-01T01:00:00.5+01:00", "after 0 before 0 since 1640995200500000 until 0",
         "after 0 before 0 since 0 until 1640995200500000"},
        {"2022-01-01", "after 0 before 0 since 1640995200000000 until 0",
         "after 0 before 0 since 0 until 1640995200000000"},
        {"1000000000", NULL, NULL}, /* could be a Unix time */
        {"1640995200", NULL, NULL},
        {"1640995200.25", NULL, NULL},
        {"1640995200123", NULL, NULL},
        {"", NULL, NULL},
        {"-1", NULL, NULL},
        {"+1", NULL, NULL},
        {"1 ", NULL, NULL},
        {"1e3", NULL, NULL},
        {"0x10", NULL, NULL},
        {"@", NULL, NULL},
        {"@-5", NULL, NULL},
        {"@2022-01-01", NULL, NULL},
        {"soon", NULL, NULL},
        {"2022-02-30T00:00:00Z", NULL, NULL},
        {"2022-01-01T00:00:00 somewhere", NULL, NULL},
        {EPOCH, NULL, NULL},
        {EPOCH ":", NULL, NULL},
        {EPOCH ":x", NULL, NULL},
        {EPOCH ":18446744073709551616", NULL, NULL},
        {"0EFC6F433B8D1FA2:1", NULL, NULL},
        {"efc6f433b8d1fa2:1", NULL, NULL},
        {":1", NULL, NULL},
    };

    (void)state;
    for (size_t i = 0; i < LENGTH(table); i++)
        for (int which = 0; which < 2; which++) {
            struct timeline t = {0};
            const char *want = which ? table[i].as_until : table[i].as_since;
            bool is_set =
                timeline_set(&t, which ? TIMELINE_UNTIL : TIMELINE_SINCE, span_of(table[i].text));

            if (is_set != (want != NULL) || (want && strcmp(bounds(&t), want) != 0))
                fail_msg("%s: %d, %s", table[i].text, is_set, bounds(&t));
        }
}

static void a_cursor_goes_on_within_the_bounds_that_were_set(void **state)
{
    struct timeline t = {0};
    struct buf cursor = {0};

    (void)state;
    assert_true(timeline_set(&t, TIMELINE_SINCE, SPAN("10")));
    assert_true(timeline_set(&t, TIMELINE_UNTIL, SPAN("20")));
    timeline_put_next(&cursor, 0x0efc6f433b8d1fa2, 15);
    assert_string_equal(buf_text(&cursor), EPOCH ":15");
    assert_true(timeline_set_next(&t, buf_span(&cursor)));
    assert_string_equal(bounds(&t), "after 10 before 15 since 0 until 0");
    assert_true(timeline_set_next(&t, SPAN(EPOCH ":30")));
    assert_string_equal(bounds(&t), "after 10 before 15 since 0 until 0");
    t.is_oldest_first = true;
    assert_true(timeline_set_next(&t, SPAN(EPOCH ":12")));
    assert_true(timeline_set_next(&t, SPAN(EPOCH ":5")));
    assert_string_equal(bounds(&t), "after 12 before 15 since 0 until 0");
    assert_true(t.has_epoch && t.epoch == 0x0efc6f433b8d1fa2);
    assert_false(timeline_set_next(&t, SPAN("12")));
    assert_false(timeline_set_next(&t, SPAN(EPOCH ":0")));
    assert_false(timeline_set_next(&t, SPAN("")));
    buf_free(&cursor);
}

static void positions_of_two_logs_are_not_compared(void **state)
{
    struct timeline t = {0};

    (void)state;
    assert_true(timeline_set(&t, TIMELINE_SINCE, SPAN(EPOCH ":10")));
    assert_false(timeline_set(&t, TIMELINE_UNTIL, SPAN("ffffffffffffffff:20")));
    assert_false(timeline_set_next(&t, SPAN("ffffffffffffffff:20")));
    assert_string_equal(bounds(&t), "after 10 before 0 since 0 until 0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bound_is_a_position_or_a_time_and_never_taken_for_the_other),
        cmocka_unit_test(a_cursor_goes_on_within_the_bounds_that_were_set),
        cmocka_unit_test(positions_of_two_logs_are_not_compared),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
