#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shared/base/buf.h"
#include "tests/unit/dice.h"

#define LENGTH(array) (sizeof(array) / sizeof(array)[0])
#define REPLACED "\xEF\xBF\xBD"

static void json_text_is_escaped_where_it_must_be(void **state)
{
    static const struct {
        struct span text;
        const char *json;
    } table[] = {
        {{"", 0}, "\"\""},
        {{"EUR/USD", 7}, "\"EUR/USD\""},
        {{"\"", 1}, "\"\\\"\""},
        {{"\\", 1}, "\"\\\\\""},
        {{"a\"b\\c", 5}, "\"a\\\"b\\\\c\""},
        {{"\b\f\n\r\t", 5}, "\"\\b\\f\\n\\r\\t\""},
        {{"\0\1\x1F", 3}, "\"\\u0000\\u0001\\u001f\""},
        {{"\x7F", 1}, "\"\\u007f\""},
        {{"/", 1}, "\"/\""},
        {{"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80", 9}, "\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\""},
    };
    struct buf b = {0};

    (void)state;
    for (size_t i = 0; i < LENGTH(table); i++) {
        buf_clear(&b);
        buf_json(&b, table[i].text);
        assert_string_equal(buf_text(&b), table[i].json);
    }
    buf_clear(&b);
    buf_jsons(&b, "a\n");
    assert_string_equal(buf_text(&b), "\"a\\n\"");
    buf_free(&b);
}

static void what_is_not_utf_8_is_replaced(void **state)
{
    static const struct {
        const char *bytes, *json;
    } table[] = {
        {"\x80", REPLACED},
        {"\xFF", REPLACED},
        {"a\xC3", "a" REPLACED},
        {"\xC3(", REPLACED "("},
        {"\xC0\x80", REPLACED REPLACED}, /* overlong */
        {"\xC1\xBF", REPLACED REPLACED},
        {"\xE0\x80\x80", REPLACED REPLACED REPLACED},
        {"\xED\xA0\x80", REPLACED REPLACED REPLACED},              /* a surrogate */
        {"\xF4\x90\x80\x80", REPLACED REPLACED REPLACED REPLACED}, /* above U+10FFFF */
        {"\xF5\x80\x80\x80", REPLACED REPLACED REPLACED REPLACED},
        {"\xE2\x82", REPLACED REPLACED},
        {"\xE2\x82\xAC\xE2\x82", "\xE2\x82\xAC" REPLACED REPLACED},
        {"\xED\x9F\xBF\xEE\x80\x80\xF4\x8F\xBF\xBF", /* the neighbours of what is
                                                        refused */
         "\xED\x9F\xBF\xEE\x80\x80\xF4\x8F\xBF\xBF"},
    };
    struct buf b = {0};

    (void)state;
    for (size_t i = 0; i < LENGTH(table); i++) {
        buf_clear(&b);
        buf_jsons(&b, table[i].bytes);
        b.data[b.len - 1] = '\0';
        assert_string_equal(b.data + 1, table[i].json);
    }
    buf_free(&b);
}

static void a_character_cut_by_the_end_is_not_read_beyond_it(void **state)
{
    static const char euro[] = "\xE2\x82\xAC";
    struct buf b = {0};

    (void)state;
    for (size_t len = 1; len < 3; len++) {
        char *exact = malloc(len);

        assert_non_null(exact);
        memcpy(exact, euro, len);
        buf_json(&b, (struct span){exact, len});
        free(exact);
    }
    assert_string_equal(buf_text(&b), "\"" REPLACED "\"\"" REPLACED REPLACED "\"");
    buf_free(&b);
}

static void a_time_has_as_many_decimals_as_it_needs(void **state)
{
    static const struct {
        int64_t us;
        const char *json;
    } table[] = {
        {0, "0.0"},
        {1, "0.000001"},
        {100000, "0.1"},
        {1000000, "1.0"},
        {1640995200123000, "1640995200.123"},
        {1640995200123456, "1640995200.123456"},
        {1640995200000001, "1640995200.000001"},
        {1640995200999999, "1640995200.999999"},
        {1640995200010000, "1640995200.01"},
        {-1, "0.0"},
        {INT64_MIN, "0.0"},
        {INT64_MAX, "9223372036854.775807"},
    };
    struct buf b = {0};

    (void)state;
    for (size_t i = 0; i < LENGTH(table); i++) {
        buf_clear(&b);
        buf_json_time(&b, table[i].us);
        assert_string_equal(buf_text(&b), table[i].json);
    }
    buf_free(&b);
}

static void numbers_are_written_in_full(void **state)
{
    static const struct {
        uint64_t n;
        const char *text;
    } table[] = {
        {0, "0"},
        {9, "9"},
        {10, "10"},
        {18446744073709551615u, "18446744073709551615"},
        {10000000000000000000u, "10000000000000000000"},
    };
    struct buf b = {0};

    (void)state;
    for (size_t i = 0; i < LENGTH(table); i++) {
        buf_clear(&b);
        buf_addu(&b, table[i].n);
        assert_string_equal(buf_text(&b), table[i].text);
    }
    buf_free(&b);
}

static void text_is_compared_whole(void **state)
{
    (void)state;
    assert_true(span_eq(SPAN("abc"), "abc"));
    assert_true(span_eq(SPAN(""), ""));
    assert_false(span_eq(SPAN("ab"), "abc"));
    assert_false(span_eq(SPAN("abc"), "ab"));
    assert_false(span_eq(SPAN("abd"), "abc"));
    assert_false(span_eq(SPAN("ab\0"), "ab"));
    assert_int_equal(span_of("abc").len, 3);
}

static void an_empty_buffer_needs_no_memory_and_is_still_text(void **state)
{
    struct buf b = {0};

    (void)state;
    assert_int_equal(buf_span(&b).len, 0);
    assert_non_null(buf_span(&b).at);
    buf_add(&b, NULL, 0);
    buf_adds(&b, "");
    assert_null(b.data);
    assert_string_equal(buf_text(&b), "");
    assert_int_equal(b.len, 0);
    buf_free(&b);
    buf_free(&b);
    buf_adds(&b, "again");
    assert_string_equal(buf_text(&b), "again");
    buf_free(&b);
}

static void clearing_keeps_the_memory(void **state)
{
    struct buf b = {0};
    const char *data;

    (void)state;
    memset(buf_room(&b, 1000), 'x', 1000);
    data = b.data;
    buf_clear(&b);
    assert_int_equal(b.len, 0);
    memset(buf_room(&b, 1000), 'y', 1000);
    assert_ptr_equal(b.data, data);
    buf_free(&b);
}

static void a_buffer_holds_what_was_added_however_it_grew(void **state)
{
    enum { SIZE = 1 << 20 };
    static char model[SIZE + 8192];

    (void)state;
    dice_seed();
    for (int round = 0; round < 20; round++) {
        struct buf b = {0};
        size_t len = 0, end = dice(SIZE);

        while (len < end) {
            size_t n = 1 + dice(dice(10) ? 40 : 4000);

            for (size_t i = 0; i < n; i++)
                model[len + i] = (char)('a' + dice(26));
            switch (dice(5)) {
            case 0:
                buf_add(&b, model + len, n);
                break;
            case 1:
                memcpy(buf_room(&b, n), model + len, n);
                break;
            case 2:
                buf_printf(&b, "%.*s", (int)n, model + len);
                break;
            case 3:
                model[len + n] = '\0';
                buf_adds(&b, model + len);
                break;
            case 4:
                n = 1;
                buf_addc(&b, model[len] = 'x');
                break;
            }
            len += n;
            if (!dice(50))
                assert_int_equal(strlen(buf_text(&b)), len);
        }
        assert_int_equal(b.len, len);
        assert_true(b.len <= b.cap);
        assert_memory_equal(b.data, model, len);
        buf_free(&b);
        assert_true(!b.data && !b.len && !b.cap);
    }
}

static void an_empty_format_adds_nothing(void **state)
{
    struct buf b = {0};

    (void)state;
    buf_printf(&b, "%s", "");
    assert_true(!b.data && !b.len);
    buf_printf(&b, "%d", 7);
    buf_printf(&b, "%s", "");
    assert_string_equal(buf_text(&b), "7");
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_text_is_escaped_where_it_must_be),
        cmocka_unit_test(what_is_not_utf_8_is_replaced),
        cmocka_unit_test(a_character_cut_by_the_end_is_not_read_beyond_it),
        cmocka_unit_test(a_time_has_as_many_decimals_as_it_needs),
        cmocka_unit_test(numbers_are_written_in_full),
        cmocka_unit_test(text_is_compared_whole),
        cmocka_unit_test(an_empty_buffer_needs_no_memory_and_is_still_text),
        cmocka_unit_test(an_empty_format_adds_nothing),
        cmocka_unit_test(clearing_keeps_the_memory),
        cmocka_unit_test(a_buffer_holds_what_was_added_however_it_grew),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
