#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

#include "gateway/http/inflate.h"
#include "tests/unit/dice.h"

static void pack(struct buf *out, struct span plain)
{
    z_stream z = {.next_in = (Bytef *)(uintptr_t)plain.at, .avail_in = (uInt)plain.len};
    size_t room = plain.len + 1000;
    char *at = buf_room(out, room);

    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 16 + MAX_WBITS, 9, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_out = (Bytef *)at;
    z.avail_out = (uInt)room;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    out->len -= z.avail_out;
    deflateEnd(&z);
}

static void what_was_packed_comes_out(void **state)
{
    struct buf plain = {0}, packed = {0}, out = {0};

    (void)state;
    for (size_t size = 0; size < 100000; size = size * 3 + 1) {
        buf_clear(&plain);
        buf_clear(&packed);
        buf_clear(&out);
        while (plain.len < size)
            buf_addc(&plain, (char)dice(256));
        pack(&packed, buf_span(&plain));
        buf_adds(&out, "before");
        assert_int_equal(inflate_gzip(buf_span(&packed), size, &out), OK);
        assert_int_equal(out.len, size + 6);
        assert_memory_equal(out.data + 6, size ? plain.data : "", size);
        if (size) {
            buf_clear(&out);
            assert_int_equal(inflate_gzip(buf_span(&packed), size - 1, &out), ERR_TOO_LARGE);
        }
    }
    buf_free(&plain);
    buf_free(&packed);
    buf_free(&out);
}

static void several_members_are_one_body(void **state)
{
    struct buf packed = {0}, out = {0};

    (void)state;
    pack(&packed, SPAN("one"));
    pack(&packed, SPAN("two"));
    assert_int_equal(inflate_gzip(buf_span(&packed), 6, &out), OK);
    assert_true(span_eq(buf_span(&out), "onetwo"));
    buf_clear(&out);
    assert_int_equal(inflate_gzip(buf_span(&packed), 5, &out), ERR_TOO_LARGE);
    buf_free(&packed);
    buf_free(&out);
}

static void a_small_body_that_stands_for_a_large_one_is_cut_short(void **state)
{
    struct buf plain = {0}, packed = {0}, out = {0};

    (void)state;
    memset(buf_room(&plain, 64 << 20), ' ', 64 << 20);
    pack(&packed, buf_span(&plain));
    assert_true(packed.len < 100000);
    assert_int_equal(inflate_gzip(buf_span(&packed), 1 << 20, &out), ERR_TOO_LARGE);
    assert_true(out.cap <= 2 << 20);
    buf_free(&plain);
    buf_free(&packed);
    buf_free(&out);
}

static void what_is_damaged_or_cut_off_is_malformed(void **state)
{
    struct buf packed = {0}, out = {0};

    (void)state;
    dice_seed();
    pack(&packed, SPAN("{\"symbol\":\"EUR/USD\",\"bid\":\"1.0842\",\"ask\":\"1.0843\"}"));
    for (size_t len = 0; len < packed.len; len++) {
        buf_clear(&out);
        assert_int_equal(inflate_gzip((struct span){packed.data, len}, 1000, &out), ERR_MALFORMED);
    }
    packed.data[packed.len - 5] = (char)(packed.data[packed.len - 5] + 1); /* the checksum */
    assert_int_equal(inflate_gzip(buf_span(&packed), 1000, &out), ERR_MALFORMED);
    assert_int_equal(inflate_gzip(SPAN("{\"symbol\":\"A\",\"last\":1}"), 1000, &out),
                     ERR_MALFORMED);
    buf_free(&packed);
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_packed_comes_out),
        cmocka_unit_test(several_members_are_one_body),
        cmocka_unit_test(a_small_body_that_stands_for_a_large_one_is_cut_short),
        cmocka_unit_test(what_is_damaged_or_cut_off_is_malformed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
