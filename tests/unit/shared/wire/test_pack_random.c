#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shared/wire/pack.h"
#include "tests/unit/dice.h"
#include "tests/unit/packed.h"

/* A random value in a random one of its encodings, and the JSON it must become. */
struct writer {
    struct buf bytes, json;
};

static void put_head(struct buf *b, int head, uint64_t n, unsigned width)
{
    buf_addc(b, (char)head);
    while (width--)
        buf_addc(b, (char)(n >> 8 * width));
}

static void write_int(struct writer *w)
{
    unsigned width = 1u << dice(4), log2 = (unsigned)__builtin_ctz(width);
    uint64_t n = (uint64_t)random() << 40 ^ (uint64_t)random() << 20 ^ (uint64_t)random();

    if (width < 8)
        n &= ((uint64_t)1 << 8 * width) - 1;
    if (dice(2)) {
        put_head(&w->bytes, (int)(0xCC + log2), n, width);
        buf_printf(&w->json, "%llu", (unsigned long long)n);
    } else {
        unsigned shift = 64 - 8 * width;

        put_head(&w->bytes, (int)(0xD0 + log2), n, width);
        buf_printf(&w->json, "%lld", (long long)(int64_t)(n << shift) >> shift);
    }
}

static void write_text(struct writer *w, unsigned len, bool may_be_bin)
{
    int form = (int)dice(may_be_bin ? 6 : 4);
    char text[64];

    for (unsigned i = 0; i < len; i++)
        text[i] = (char)('a' + dice(26));
    if (form == 0 && len < 32)
        put_head(&w->bytes, (int)(0xA0 + len), 0, 0);
    else if (form <= 1)
        put_head(&w->bytes, 0xD9, len, 1);
    else if (form <= 3)
        put_head(&w->bytes, form == 2 ? 0xDA : 0xDB, len, form == 2 ? 2 : 4);
    else
        put_head(&w->bytes, form == 4 ? 0xC4 : 0xC5, len, form == 4 ? 1 : 2);
    buf_add(&w->bytes, text, len);
    buf_json(&w->json, (struct span){text, len});
}

static void write_container_head(struct writer *w, bool is_map, unsigned count)
{
    unsigned form = dice(3);

    if (form == 0 && count < 16)
        put_head(&w->bytes, (int)((is_map ? 0x80 : 0x90) + count), 0, 0);
    else if (form < 2)
        put_head(&w->bytes, is_map ? 0xDE : 0xDC, count, 2);
    else
        put_head(&w->bytes, is_map ? 0xDF : 0xDD, count, 4);
}

static void write_value(struct writer *w, int depth)
{
    unsigned kind = dice(depth < PACK_DEPTH_MAX ? 9 : 5), count = dice(5);
    bool is_map = kind >= 7;

    if (kind < 2) {
        write_int(w);
    } else if (kind == 2) {
        write_text(w, dice(40), true);
    } else if (kind == 3) {
        static const char *const words[] = {"null", "false", "true"};
        unsigned word = dice(3);

        buf_addc(&w->bytes, (char)(word ? 0xC1 + word : 0xC0));
        buf_adds(&w->json, words[word]);
    } else if (kind == 4) {
        int small = (int)dice(160) - 32;

        buf_addc(&w->bytes, (char)small);
        buf_printf(&w->json, "%d", small);
    } else {
        write_container_head(w, is_map, count);
        buf_addc(&w->json, is_map ? '{' : '[');
        for (unsigned i = 0; i < count; i++) {
            if (i)
                buf_addc(&w->json, ',');
            if (is_map) {
                write_text(w, 10 + i, false); /* of different lengths: no key twice */
                buf_addc(&w->json, ':');
            }
            write_value(w, depth + 1);
        }
        buf_addc(&w->json, is_map ? '}' : ']');
    }
}

/* Whatever the bytes are: if they pass, they can be walked to the end; else nothing
 * breaks. */
static void walk(struct span bytes)
{
    struct span exact = exact_copy(bytes), c = exact, raw = {0};
    enum err e = pack_check(exact);
    struct pack_value v;
    struct buf json = {0};

    if (pack_skip(&c))
        assert_true(c.at >= exact.at && c.at + c.len == exact.at + exact.len);
    else
        assert_int_not_equal(e, OK);
    if (pack_find(exact, "a", &v, &raw))
        assert_true(raw.at >= exact.at && raw.at + raw.len <= exact.at + exact.len);
    if (!e) {
        c = exact;
        pack_to_json(&c, &json);
        assert_int_equal(c.len, 0);
        assert_true(json.len > 0);
    }
    buf_free(&json);
    free((char *)(uintptr_t)exact.at);
}

static void random_values_are_read_as_written_and_bent_ones_never_outside(void **state)
{
    (void)state;
    dice_seed();
    for (int round = 0; round < 20000; round++) {
        struct writer w = {0};
        struct span c;
        struct buf json = {0};

        write_value(&w, 0);
        assert_int_equal(pack_check(buf_span(&w.bytes)), OK);
        c = buf_span(&w.bytes);
        pack_to_json(&c, &json);
        assert_int_equal(c.len, 0);
        assert_string_equal(buf_text(&json), buf_text(&w.json));
        walk(buf_span(&w.bytes));
        for (int bend = 0; bend < 3; bend++) {
            w.bytes.data[dice((unsigned)w.bytes.len)] = (char)random();
            walk(buf_span(&w.bytes));
        }
        w.bytes.len = dice((unsigned)w.bytes.len + 1);
        walk(buf_span(&w.bytes));
        buf_free(&w.bytes);
        buf_free(&w.json);
        buf_free(&json);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_values_are_read_as_written_and_bent_ones_never_outside),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
