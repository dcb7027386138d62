#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/fanout/frame.h"
#include "tests/unit/dice.h"
#include "tests/unit/packed.h"

#define LENGTH(array) (sizeof(array) / sizeof(array)[0])

/* RFC 6455 §5.2: 7 bits, 7+16 or 7+64, the shortest that fits; never masked by a
 * server. */
static void the_header_has_the_shortest_length_that_fits(void **state)
{
    static const struct {
        size_t len;
        const char *header;
    } table[] = {
        {0, "81 00"},
        {1, "81 01"},
        {125, "81 7d"},
        {126, "81 7e 007e"},
        {127, "81 7e 007f"},
        {256, "81 7e 0100"},
        {65535, "81 7e ffff"},
        {65536, "81 7f 0000000000010000"},
        {1000000, "81 7f 00000000000f4240"},
    };

    (void)state;
    for (size_t i = 0; i < LENGTH(table); i++) {
        struct buf payload = {0}, want = {0}, appended = {0};
        struct frame *f;

        for (size_t k = 0; k < table[i].len; k++)
            buf_addc(&payload, (char)k);
        unhex(&want, table[i].header);
        buf_add(&want, payload.data, payload.len);
        f = frame_new(OPCODE_TEXT, buf_span(&payload));
        assert_int_equal(f->len, want.len);
        assert_memory_equal(f->bytes, want.data, want.len);
        buf_adds(&appended, "before");
        frame_append(&appended, OPCODE_TEXT, buf_span(&payload));
        assert_int_equal(appended.len, want.len + 6);
        assert_memory_equal(appended.data + 6, want.data, want.len);
        frame_release(&f);
        buf_free(&payload);
        buf_free(&want);
        buf_free(&appended);
    }
}

static void every_frame_is_final_and_says_its_opcode(void **state)
{
    static const struct {
        enum opcode opcode;
        unsigned char first;
    } table[] = {
        {OPCODE_TEXT, 0x81}, {OPCODE_BINARY, 0x82}, {OPCODE_CLOSE, 0x88}, {OPCODE_PING, 0x89}};

    (void)state;
    for (size_t i = 0; i < LENGTH(table); i++) {
        struct frame *f = frame_new(table[i].opcode, SPAN("x"));

        assert_int_equal((unsigned char)f->bytes[0], table[i].first);
        frame_release(&f);
    }
}

static void a_close_frame_has_code_and_reason(void **state)
{
    struct buf out = {0}, want = {0};

    (void)state;
    frame_append_close(&out, 1012, SPAN("{\"code\":\"restart\"}"));
    unhex(&want, "88 14 03f4");
    buf_adds(&want, "{\"code\":\"restart\"}");
    assert_int_equal(out.len, want.len);
    assert_memory_equal(out.data, want.data, want.len);
    buf_clear(&out);
    frame_append_close(&out, 4013, SPAN(""));
    assert_int_equal(out.len, 4);
    assert_memory_equal(out.data, "\x88\x02\x0f\xad", 4);
    buf_free(&out);
    buf_free(&want);
}

static void a_close_frame_never_exceeds_what_a_control_frame_may_carry(void **state)
{
    struct buf out = {0};
    char reason[300];

    (void)state;
    memset(reason, 'r', sizeof reason);
    for (size_t len = 120; len <= sizeof reason; len++) {
        size_t kept = len < 123 ? len : 123;

        buf_clear(&out);
        frame_append_close(&out, 4001, (struct span){reason, len});
        assert_int_equal(out.len, 2 + 2 + kept);
        assert_int_equal(out.data[1], 2 + kept);
    }
    buf_free(&out);
}

static void a_frame_lives_as_long_as_somebody_holds_it(void **state)
{
    struct frame *f = frame_new(OPCODE_TEXT, SPAN("shared")), *other = frame_retain(f),
                 *none = NULL;

    (void)state;
    assert_ptr_equal(f, other);
    assert_int_equal(f->references, 2);
    frame_release(&f);
    assert_null(f);
    assert_int_equal(other->references, 1);
    assert_memory_equal(other->bytes + 2, "shared", 6);
    frame_release(&other);
    assert_null(other);
    frame_release(&none);
}

/* A client's frame: masked, of `len` payload bytes. */
static void a_time_is_put_in_before_a_frame_is_sent_and_again_before_the_next(void **state)
{
    struct frame *text = frame_new(OPCODE_TEXT, SPAN("[               0]")),
                 *binary = frame_new(OPCODE_BINARY, SPAN("\xcf\0\0\0\0\0\0\0\0")),
                 *plain = frame_new(OPCODE_TEXT, SPAN("[               0]"));

    (void)state;
    text->stamp_at = binary->stamp_at = 3;
    frame_stamp(text, 1795382037418981);
    assert_memory_equal(text->bytes + 2, "[1795382037418981]", 18);
    frame_stamp(text, 12); /* a clock that was never set */
    assert_memory_equal(text->bytes + 2, "[              12]", 18);
    frame_stamp(text, 0);
    assert_memory_equal(text->bytes + 2, "[               0]", 18);
    frame_stamp(binary, 0x0123456789abcdef);
    assert_memory_equal(binary->bytes + 2, "\xcf\x01\x23\x45\x67\x89\xab\xcd\xef", 9);
    frame_stamp(plain, 1795382037418981);
    assert_memory_equal(plain->bytes + 2, "[               0]", 18);
    frame_release(&text);
    frame_release(&binary);
    frame_release(&plain);
}

static void put_client_frame(struct buf *out, unsigned first, uint64_t len, bool is_masked)
{
    unsigned mask = is_masked ? 0x80 : 0;
    size_t width = len < 126 ? 0 : len < 65536 ? 2 : 8;

    buf_addc(out, (char)first);
    buf_addc(out, (char)(mask | (width == 0 ? (unsigned)len : width == 2 ? 126 : 127)));
    for (size_t i = 0; i < width; i++)
        buf_addc(out, (char)(len >> 8 * (width - 1 - i)));
    for (int i = 0; mask && i < 4; i++)
        buf_addc(out, (char)random());
}

static void a_meter_knows_what_a_frame_declares_before_its_payload_comes(void **state)
{
    struct buf in = {0};
    struct frame_meter m = {0};

    (void)state;
    put_client_frame(&in, 0x81, UINT64_MAX, true);
    for (size_t i = 0; i + 1 < in.len; i++)
        assert_int_equal(frame_meter_feed(&m, (uint8_t *)in.data + i, 1), 0);
    assert_true(frame_meter_feed(&m, (uint8_t *)in.data + in.len - 1, 1) == UINT64_MAX);
    assert_false(frame_meter_is_idle(&m));
    buf_free(&in);
}

static void a_meter_follows_random_frames_however_they_are_cut(void **state)
{
    (void)state;
    dice_seed();
    for (int round = 0; round < 500; round++) {
        struct buf in = {0};
        struct frame_meter m = {0};
        uint64_t largest = 0, seen = 0;
        bool is_in_message = false;

        assert_true(frame_meter_is_idle(&m));
        for (unsigned n = 1 + dice(20); n; n--) {
            static const unsigned sizes[] = {0, 1, 60, 125, 126, 127, 300, 65535, 65536};
            uint64_t len = sizes[dice(dice(10) ? 7 : LENGTH(sizes))];
            bool is_control = !dice(4), is_final = dice(2);

            if (is_control) {
                len = dice(126);
                put_client_frame(&in, dice(2) ? 0x89 : 0x8A, len, dice(10));
            } else {
                put_client_frame(&in, (is_final ? 0x80u : 0u) | (is_in_message ? 0 : 1 + dice(2)),
                                 len, dice(10));
                is_in_message = !is_final;
            }
            for (uint64_t i = 0; i < len; i++)
                buf_addc(&in, (char)random());
            largest = len > largest ? len : largest;
        }
        for (size_t at = 0; at < in.len;) {
            size_t step = 1 + dice(dice(3) ? 20 : 5000);
            uint64_t total;

            if (step > in.len - at)
                step = in.len - at;
            total = frame_meter_feed(&m, (uint8_t *)in.data + at, step);
            seen = total > seen ? total : seen;
            at += step;
        }
        assert_int_equal(seen, largest);
        assert_true(frame_meter_is_idle(&m) == !is_in_message);
        buf_free(&in);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_header_has_the_shortest_length_that_fits),
        cmocka_unit_test(every_frame_is_final_and_says_its_opcode),
        cmocka_unit_test(a_close_frame_has_code_and_reason),
        cmocka_unit_test(a_close_frame_never_exceeds_what_a_control_frame_may_carry),
        cmocka_unit_test(a_frame_lives_as_long_as_somebody_holds_it),
        cmocka_unit_test(a_time_is_put_in_before_a_frame_is_sent_and_again_before_the_next),
        cmocka_unit_test(a_meter_knows_what_a_frame_declares_before_its_payload_comes),
        cmocka_unit_test(a_meter_follows_random_frames_however_they_are_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
