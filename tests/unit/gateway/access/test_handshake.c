#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/access/handshake.h"
#include "shared/base/json.h"

static void every_reason_for_a_close_frame_is_json_and_fits(void **state)
{
    struct json *j = json_new();

    (void)state;
    for (int i = ADMISSION_ADMITTED + 1; i < ADMISSION_RULE_END; i++) {
        const struct json_value *root;
        char reason[124];

        handshake_reason((enum admission_rule)i, reason);
        assert_true(strlen(reason) <= 123);
        assert_int_equal(json_parse(j, span_of(reason), &root), OK);
        assert_true(
            span_eq(json_member(root, "code")->text, admission_code((enum admission_rule)i)));
        assert_non_null(json_member(root, "message"));
    }
    json_free(j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_reason_for_a_close_frame_is_json_and_fits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
