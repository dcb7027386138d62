#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "consumer/lib/pregon.h"
#include "shared/base/version.h"

static void a_position_is_a_log_in_hexadecimal_and_a_number(void **state)
{
    static const struct {
        const char *text;
        struct pregon_position is;
    } right[] = {
        {"0efc6f433b8d1fa2:990", {0x0efc6f433b8d1fa2, 990}},
        {"7:0", {7, 0}},
        {"FFFFFFFFFFFFFFFF:18446744073709551615", {UINT64_MAX, UINT64_MAX}},
        {"aB:09", {0xab, 9}},
    };
    static const char *const wrong[] = {
        "",
        ":1",
        "7",
        "7:",
        "7-1",
        "0:5",
        "0000000000000000:5",
        "00000000000000007:5",
        "7:1x",
        "7: 1",
        "7:1:2",
        "7:-1",
        "g:1",
        " 7:1",
        "7:18446744073709551616",
    };
    struct pregon_position p;

    (void)state;
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
        assert_int_equal(pregon_position_parse(right[i].text, &p), PREGON_OK);
        assert_true(p.epoch == right[i].is.epoch && p.seq == right[i].is.seq);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        p = (struct pregon_position){1, 2};
        assert_int_equal(pregon_position_parse(wrong[i], &p), PREGON_ERROR_INVALID);
        assert_true(p.epoch == 1 && p.seq == 2);
    }
}

static void every_error_has_a_name_and_a_sentence(void **state)
{
    static const char *const names[] = {
        "ok",         "invalid",   "system", "away",    "stale",  "too_large",
        "not_stored", "not_found", "full",   "refused", "closed",
    };

    (void)state;
    for (int e = PREGON_OK; e <= PREGON_ERROR_CLOSED; e++) {
        const char *text = pregon_error_text((enum pregon_error)e);

        assert_string_equal(pregon_error_name((enum pregon_error)e), names[e]);
        assert_int_equal(text[strlen(text) - 1], '.');
        assert_string_not_equal(text, "An unknown error.");
    }
    assert_string_equal(pregon_error_name((enum pregon_error)(PREGON_ERROR_CLOSED + 1)), "unknown");
    assert_string_equal(pregon_error_text((enum pregon_error)(PREGON_ERROR_CLOSED + 1)),
                        "An unknown error.");
    assert_string_equal(pregon_version(), PREGON_VERSION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_position_is_a_log_in_hexadecimal_and_a_number),
        cmocka_unit_test(every_error_has_a_name_and_a_sentence),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
