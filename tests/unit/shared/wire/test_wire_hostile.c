#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shared/wire/wire.h"
#include "tests/unit/dice.h"
#include "tests/unit/shared/wire/wire_fixture.h"

static void what_is_no_record_is_refused_and_changes_nothing(void **state)
{
    static const char *const bad[] = {
        "",
        "c0",
        "80",
        "01",
        "a797010203040506",
        "90",
        "96 01 02 03 04 05 06",    /* six elements */
        "97 00 01 02 03 04 05 c0", /* a kind we do not know */
        "97 09 01 02 03 04 05 c0",
        "97 cd0101 01 02 03 04 05 c0",
        "97 cf0000000100000001 01 02 03 04 05 c0",
        "97 a131 01 02 03 04 05 c0", /* text, negative, float, nil, map for a number */
        "97 01 ff 02 03 04 05 c0",
        "97 01 01 d0ff 03 04 05 c0",
        "97 01 01 02 cb3ff0000000000000 04 05 c0",
        "97 01 01 02 03 c0 05 c0",
        "97 01 01 02 03 04 80 c0",
        "97 01 01 02 03 04 05 c1", /* a body that is none */
        "97 01 01 02 03 04 05 c7010000",
        "97 01 01 02 03 04 05 d40100",
        "97 01 01 02 03 04 05 93 0102",
        "97 01 01 02 03 04 05 dfffffffff",
        "97 01 01 02 03 04 05 c0 c0", /* something after it */
        "98 01 01 02 03 04 05 c0",    /* an eighth promised, not there */
        "ddffffffff 01 01 02 03 04 05 c0",
    };
    static const struct wire_record untouched = {WIRE_LOST, 1, 2, 3, 4, 5, {"x", 1}, 6};

    (void)state;
    for (size_t i = 0; i < LENGTH(bad); i++) {
        struct wire_record r = untouched;
        struct buf b = {0};
        struct span exact;
        bool stampable = true;

        unhex(&b, bad[i]);
        exact = exact_copy(buf_span(&b));
        if (wire_read(exact, &r, &stampable) != ERR_MALFORMED)
            fail_msg("%s was not refused", bad[i]);
        check_same(&r, &untouched);
        assert_ptr_equal(r.body.at, untouched.body.at);
        assert_true(stampable);
        free((char *)(uintptr_t)exact.at);
        buf_free(&b);
    }
}

static void a_record_cut_short_anywhere_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(golden); i++) {
        struct buf b = {0};
        struct wire_record r;

        golden_bytes(&golden[i], &b);
        for (size_t len = 0; len < b.len; len++) {
            struct span cut = exact_copy((struct span){b.data, len});

            assert_int_equal(wire_read(cut, &r, NULL), ERR_MALFORMED);
            free((char *)(uintptr_t)cut.at);
        }
        buf_free(&b);
    }
}

/* A record whose message has `len` bytes: the body is one long bin. */
static void long_record(enum wire_kind kind, size_t len, struct buf *out)
{
    struct wire_record r = {.kind = kind, .epoch = 1, .seq = 1};
    struct buf body = {0};
    size_t body_len = len - WIRE_HEADER_SIZE;

    unhex(&body, "c6");
    for (int shift = 24; shift >= 0; shift -= 8)
        buf_addc(&body, (char)((body_len - 5) >> shift));
    memset(buf_room(&body, body_len - 5), 'x', body_len - 5);
    r.body = buf_span(&body);
    wire_put(out, &r);
    assert_int_equal(out->len, len);
    buf_free(&body);
}

static void only_a_heartbeat_may_be_larger_than_a_record(void **state)
{
    (void)state;
    for (enum wire_kind kind = WIRE_QUOTE; kind <= WIRE_MARK; kind++) {
        struct buf b = {0};
        struct wire_record r;

        long_record(kind, WIRE_RECORD_MAX, &b);
        assert_int_equal(wire_read(buf_span(&b), &r, NULL), OK);
        buf_free(&b);
        long_record(kind, WIRE_RECORD_MAX + 1, &b);
        assert_int_equal(wire_read(buf_span(&b), &r, NULL),
                         kind == WIRE_HEARTBEAT ? OK : ERR_TOO_LARGE);
        buf_free(&b);
    }
}

static void hostile_bytes_are_never_read_outside(void **state)
{
    (void)state;
    dice_seed();
    for (int round = 0; round < 50000; round++) {
        struct buf b = {0};
        struct wire_record r;
        struct span exact;
        bool stampable;

        golden_bytes(&golden[dice(LENGTH(golden))], &b);
        for (unsigned n = 1 + dice(4); n; n--)
            b.data[dice((unsigned)b.len)] = (char)random();
        b.len -= dice(3) ? 0 : dice((unsigned)b.len);
        exact = exact_copy(buf_span(&b));
        if (!wire_read(exact, &r, &stampable)) {
            assert_true(r.body.len > 0);
            assert_true(r.body.at >= exact.at && r.body.at + r.body.len <= exact.at + exact.len);
            assert_true(!stampable || r.body.at + r.body.len == exact.at + exact.len);
        }
        free((char *)(uintptr_t)exact.at);
        buf_free(&b);
    }
}

/* Both ways into a record end in the same once the body is looked at. */
static void opened_or_read_a_checked_record_is_the_same(void **state)
{
    unsigned same = 0;

    (void)state;
    dice_seed();
    for (int round = 0; round < 50000; round++) {
        struct buf b = {0};
        struct wire_record read = {0}, opened = {0};
        bool is_stampable = false, is_stampable_too = false, is_good;
        struct span exact;

        golden_bytes(&golden[dice(LENGTH(golden))], &b);
        for (unsigned n = dice(4); n; n--)
            b.data[dice((unsigned)b.len)] = (char)random();
        if (!dice(4))
            unhex(&b, "c0");
        exact = exact_copy(buf_span(&b));
        is_good = wire_read(exact, &read, &is_stampable) == OK && pack_check(read.body) == OK;
        assert_true(is_good == (wire_open(exact, &opened, &is_stampable_too) == OK &&
                                pack_check(opened.body) == OK));
        if (is_good) {
            same++;
            check_same(&read, &opened);
            assert_ptr_equal(read.body.at, opened.body.at);
            assert_int_equal(read.body.len, opened.body.len);
            assert_int_equal(is_stampable, is_stampable_too);
        }
        free((char *)(uintptr_t)exact.at);
        buf_free(&b);
    }
    assert_in_range(same, 1000, 49000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_record_is_refused_and_changes_nothing),
        cmocka_unit_test(a_record_cut_short_anywhere_is_refused),
        cmocka_unit_test(only_a_heartbeat_may_be_larger_than_a_record),
        cmocka_unit_test(hostile_bytes_are_never_read_outside),
        cmocka_unit_test(opened_or_read_a_checked_record_is_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
