#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "shared/wire/pack.h"
#include "shared/wire/quote.h"
#include "tests/unit/packed.h"

static void a_line_may_leave_its_timestamp_out(void **state)
{
    const struct quote_rules rules = {.now_us = 1640995200000000};
    struct buf body = {0}, timed = {0}, out = {0};
    bool has_time = true;

    (void)state;
    packed(&body, "{'last':'1','note':[1]}");
    assert_int_equal(quote_check(buf_span(&body), &rules), QUOTE_BAD_TIME);
    assert_int_equal(quote_check_line(buf_span(&body), &rules, &has_time), QUOTE_ACCEPTED);
    assert_false(has_time);
    quote_add_time(buf_span(&body), rules.now_us, &timed);
    assert_string_equal(unpacked(&out, buf_span(&timed)),
                        "{'last':'1','note':[1],'timestamp':1640995200.0}");
    assert_int_equal(quote_check_line(buf_span(&timed), &rules, &has_time), QUOTE_ACCEPTED);
    assert_true(has_time);
    buf_free(&body);
    buf_free(&timed);
    buf_free(&out);
}

/* A body of so many fields, with `last` and a text of so many bytes. */
static void pack_without_time(struct buf *body, uint32_t fields, size_t bytes)
{
    struct buf filler = {0};
    msgpack_packer pk;
    char name[16];

    buf_clear(body);
    memset(buf_room(&filler, bytes), 'x', bytes);
    msgpack_packer_init(&pk, body, buf_pack_write);
    msgpack_pack_map(&pk, fields);
    pack_kv_text(&pk, "last", SPAN("1"));
    pack_kv_text(&pk, "note", buf_span(&filler));
    for (uint32_t i = 2; i < fields; i++) {
        snprintf(name, sizeof name, "f%u", i);
        pack_kv_u(&pk, name, i);
    }
    buf_free(&filler);
}

static void a_line_without_a_timestamp_has_room_for_one_or_is_refused(void **state)
{
    const struct quote_rules rules = {.now_us = 1640995200000000};
    struct buf body = {0}, timed = {0};
    size_t accepted = 0;
    bool has_time;

    (void)state;
    pack_without_time(&body, PACK_KEYS_MAX, 1);
    assert_int_equal(quote_check_line(buf_span(&body), &rules, &has_time), QUOTE_MALFORMED);
    for (uint32_t fields = 2; fields < PACK_KEYS_MAX; fields += 13)
        for (size_t bytes = QUOTE_BYTES_MAX - 600; bytes < QUOTE_BYTES_MAX; bytes++) {
            pack_without_time(&body, fields, bytes);
            if (quote_check_line(buf_span(&body), &rules, &has_time))
                continue;
            buf_clear(&timed);
            quote_add_time(buf_span(&body), rules.now_us, &timed);
            assert_int_equal(quote_check(buf_span(&timed), &rules), QUOTE_ACCEPTED);
            accepted++;
        }
    assert_true(accepted > 500);
    buf_free(&body);
    buf_free(&timed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_may_leave_its_timestamp_out),
        cmocka_unit_test(a_line_without_a_timestamp_has_room_for_one_or_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
