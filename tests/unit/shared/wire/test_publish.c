#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "shared/wire/publish.h"
#include "tests/unit/packed.h"

static void a_key_is_visible_ascii(void **state)
{
    char longest[PUBLISH_KEY_MAX + 2];

    (void)state;
    memset(longest, '~', sizeof longest);
    assert_true(publish_is_key(SPAN("5f0c3f5e-6f1b-4f0e-9a55-2f4be3b0d9b1")));
    assert_true(publish_is_key((struct span){longest, PUBLISH_KEY_MAX}));
    assert_false(publish_is_key((struct span){longest, PUBLISH_KEY_MAX + 1}));
    assert_false(publish_is_key(SPAN("")));
    assert_false(publish_is_key(SPAN("a b")));
    assert_false(publish_is_key(SPAN("\x7f")));
    assert_false(publish_is_key(SPAN("\xc3\xb1")));
}

static bool take(struct buf *packed_row, const char *row, struct publish_refusal *out)
{
    struct span c;

    buf_clear(packed_row);
    packed(packed_row, row);
    c = buf_span(packed_row);
    return publish_take_refusal(&c, out);
}

static void a_row_of_a_refused_quote_has_index_reason_and_field(void **state)
{
    struct publish_refusal r = {.index = 9};
    struct buf bytes = {0};
    static const char *const odd[] = {
        "7",
        "[]",
        "[1,'bad_price']",
        "[1,'bad_price','bid',2]",
        "[-1,'bad_price','bid']",
        "['1','bad_price','bid']",
        "[1,2,'bid']",
        "[1,'bad_price',null]",
    };

    (void)state;
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
        if (take(&bytes, odd[i], &r))
            fail_msg("taken: %s", odd[i]);
    assert_int_equal(r.index, 9);
    assert_true(take(&bytes, "[1,'bad_price','bid']", &r));
    assert_int_equal(r.index, 1);
    assert_true(span_eq(r.reason, "bad_price"));
    assert_true(span_eq(r.field, "bid"));
    buf_free(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_is_visible_ascii),
        cmocka_unit_test(a_row_of_a_refused_quote_has_index_reason_and_field),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
