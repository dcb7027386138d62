#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "consumer/telegram/bottoken.h"

static void a_token_is_a_number_a_colon_and_a_secret(void **state)
{
    static const char *const right[] = {"1:a", "4242:AAsecret_-0123456789",
                                        "12345678901234567890:Z"},
                             *const wrong[] = {
                                 "",      ":",    "1",          "1:",
                                 ":a",    "a:a",  "1a:a",       "1:a b",
                                 "1:a\n", "-1:a", "1:a:b",      "1::a",
                                 " 1:a",  "1:a/", "1:\xC3\xA1", "123456789012345678901:Z"};

    (void)state;
    for (size_t i = 0; i < sizeof right / sizeof *right; i++)
        assert_true(bottoken_is_right(right[i]));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (bottoken_is_right(wrong[i]))
            fail_msg("'%s' was taken for a token", wrong[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_is_a_number_a_colon_and_a_secret),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
