#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "shared/base/sha1.h"

/* The first is RFC 6455's own, 1.3; the others are those of Python's hashlib. */
static void a_key_is_answered_as_rfc_6455_says(void **state)
{
    static const char *const rows[][2] = {
        {"dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="},
        {"AAAAAAAAAAAAAAAAAAAAAA==", "ICX+Yqv66kxgM0FcWaLWlFLwTAI="},
        {"/////////////////////w==", "XXpj4jYzLM2yUE0C7TIgMwTQh2g="},
        {"AAECAwQFBgcICQoLDA0ODw==", "Bz3qJYTGdOe8gUSpLosEdiLKDrk="},
        {"cHJlZ29uIHByZWdvbiAxNg==", "mBEn15SlRtn+DEu5vJW5NT6EWDk="},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char accept[29];

        sha1_accept(rows[i][0], strlen(rows[i][0]), accept);
        assert_string_equal(accept, rows[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_is_answered_as_rfc_6455_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
