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

static void every_kind_of_record_has_its_golden_bytes(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(golden); i++) {
        const struct golden *g = &golden[i];
        struct buf want = {0}, got = {0}, body = {0};
        struct wire_record r = g->r;
        char header[WIRE_HEADER_SIZE];

        golden_bytes(g, &want);
        if (g->body)
            packed(&body, g->body);
        r.body = buf_span(&body);
        buf_adds(&got, "before"); /* wire_put appends */
        wire_put(&got, &r);
        if (got.len != want.len + 6 || memcmp(got.data + 6, want.data, want.len) != 0)
            fail_msg("%s is written otherwise", g->name);
        wire_put_header(header, &r);
        assert_memory_equal(header, want.data, WIRE_HEADER_SIZE);
        buf_free(&want);
        buf_free(&got);
        buf_free(&body);
    }
}

static void golden_bytes_are_read_as_what_was_written(void **state)
{
    (void)state;
    for (size_t i = 0; i < LENGTH(golden); i++) {
        struct buf bytes = {0}, body = {0};
        struct wire_record r;
        bool stampable = false;

        golden_bytes(&golden[i], &bytes);
        unhex(&body, golden[i].bytes);
        assert_int_equal(wire_read(buf_span(&bytes), &r, &stampable), OK);
        check_same(&r, &golden[i].r);
        assert_true(stampable);
        assert_ptr_equal(r.body.at, bytes.data + WIRE_HEADER_SIZE);
        assert_int_equal(r.body.len, body.len);
        assert_memory_equal(r.body.at, body.data, body.len);
        assert_int_equal(wire_read(buf_span(&bytes), &r, NULL), OK);
        buf_free(&bytes);
        buf_free(&body);
    }
}

static void the_header_has_one_size_whatever_its_numbers(void **state)
{
    static const uint64_t numbers[] = {0, 1, 127, 128, 65535, UINT32_MAX, UINT64_MAX};

    (void)state;
    for (size_t i = 0; i < LENGTH(numbers); i++) {
        uint64_t n = numbers[i];
        struct wire_record in = {WIRE_QUOTE, n, n, n, n, n, SPAN("\x80"), 0}, out;
        struct buf b = {0};

        wire_put(&b, &in);
        assert_int_equal(b.len, WIRE_HEADER_SIZE + 1);
        assert_int_equal(wire_read(buf_span(&b), &out, NULL), OK);
        check_same(&in, &out);
        buf_free(&b);
    }
}

/* An integer in `width` bytes of head and number; widths too small take the next. */
static void put_int(struct buf *b, uint64_t n, unsigned width)
{
    unsigned bytes = width == 0 ? 0 : 1u << (width - 1);

    while (bytes < 8 && (bytes == 0 ? n > 127 : n >> 8 * bytes)) {
        width++;
        bytes = bytes ? bytes * 2 : 1;
    }
    if (!bytes) {
        buf_addc(b, (char)n);
        return;
    }
    buf_addc(b, (char)(0xCB + width)); /* uint 8, 16, 32, 64 */
    while (bytes--)
        buf_addc(b, (char)(n >> 8 * bytes));
}

static void integers_of_any_width_are_read(void **state)
{
    (void)state;
    dice_seed();
    for (int round = 0; round < 20000; round++) {
        uint64_t n[6];
        struct buf b = {0}, again = {0};
        struct wire_record r, r2;
        bool stampable = false, has_array16 = dice(2);
        size_t head;

        n[0] = WIRE_QUOTE + dice(5);
        for (int i = 1; i < 6; i++)
            n[i] = ((uint64_t)random() << 33 ^ (uint64_t)random()) >> dice(64);
        if (has_array16)
            unhex(&b, "dc0007");
        else
            unhex(&b, "97");
        for (int i = 0; i < 6; i++)
            put_int(&b, n[i], dice(3) ? 4 : dice(5));
        head = b.len;
        unhex(&b, "81a36269640a");
        assert_int_equal(wire_read(buf_span(&b), &r, &stampable), OK);
        assert_true(r.kind == n[0] && r.epoch == n[1] && r.seq == n[2] && r.prev == n[3] &&
                    r.sent_us == n[4] && r.accepted_us == n[5]);
        assert_ptr_equal(r.body.at, b.data + head);
        assert_int_equal(r.body.len, 6);
        assert_true(stampable == (head == WIRE_HEADER_SIZE));
        if (stampable) {
            /* Whoever wrote it, stamping it in place leaves a whole record. */
            r.seq++;
            wire_put_header(b.data, &r);
            assert_int_equal(wire_read(buf_span(&b), &r2, &stampable), OK);
            check_same(&r, &r2);
            assert_true(stampable);
        }
        wire_put(&again, &r);
        assert_int_equal(again.len, WIRE_HEADER_SIZE + 6);
        buf_free(&b);
        buf_free(&again);
    }
}

static void elements_after_the_seventh_are_ignored_but_not_stamped_over(void **state)
{
    static const char *const more[] = {
        "98|c0",
        "98|07",
        "99|a3616263 93010203",
        "9c|80 81a16101 90 c3 cb3ff0000000000000",
        "dc0009|c2c0",
        "dd00000008|da0003616263",
    };

    (void)state;
    for (size_t i = 0; i < LENGTH(more); i++) {
        const char *bar = strchr(more[i], '|');
        struct buf b = {0}, head = {0};
        char first[16] = "";
        struct wire_record r;
        bool stampable = true;

        memcpy(first, more[i], (size_t)(bar - more[i]));
        unhex(&head, first);
        golden_bytes(&golden[1], &b);
        buf_add(&head, b.data + 1, b.len - 1);
        unhex(&head, bar + 1);
        assert_int_equal(wire_read(buf_span(&head), &r, &stampable), OK);
        check_same(&r, &golden[1].r);
        assert_int_equal(r.body.len, b.len - WIRE_HEADER_SIZE);
        assert_memory_equal(r.body.at, b.data + WIRE_HEADER_SIZE, r.body.len);
        assert_false(stampable);
        buf_free(&b);
        buf_free(&head);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_record_has_its_golden_bytes),
        cmocka_unit_test(golden_bytes_are_read_as_what_was_written),
        cmocka_unit_test(the_header_has_one_size_whatever_its_numbers),
        cmocka_unit_test(integers_of_any_width_are_read),
        cmocka_unit_test(elements_after_the_seventh_are_ignored_but_not_stamped_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
