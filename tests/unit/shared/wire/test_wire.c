#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shared/wire/wire.h"
#include "tests/unit/dice.h"
#include "tests/unit/packed.h"

#define LENGTH(array) (sizeof(array) / sizeof(array)[0])

/* What crosses the sockets, written down independently of the code that writes it. */
static const struct golden {
    const char *name;
    struct wire_record r;
    const char *body; /* as JSON, NULL: none */
    const char *header, *bytes;
} golden[] = {
    {"a line from a feeder",
     {.kind = WIRE_QUOTE,
      .epoch = 0x0102030405060708,
      .seq = 7,
      .sent_us = 1640995200100000},
     "{'bid':'1.0842','ask':'1.0843','timestamp':1640995200.125}",
     "97 01 cf0102030405060708 cf0000000000000007 cf0000000000000000"
     " cf0005d479f7fae6a0 cf0000000000000000",
     "83a3626964a6312e30383432a361736ba6312e30383433a974696d657374616d70"
     "cb41d873e660080000"},
    {"the same as the broker publishes it",
     {.kind = WIRE_QUOTE,
      .epoch = 0xFEDCBA9876543210,
      .seq = 991,
      .prev = 981,
      .sent_us = 1640995200100000,
      .accepted_us = 1640995200100250},
     "{'bid':'1.0842','ask':'1.0843','timestamp':1640995200.125}",
     "97 01 cffedcba9876543210 cf00000000000003df cf00000000000003d5"
     " cf0005d479f7fae6a0 cf0005d479f7fae79a",
     "83a3626964a6312e30383432a361736ba6312e30383433a974696d657374616d70"
     "cb41d873e660080000"},
    {"a state",
     {.kind = WIRE_STATE,
      .epoch = 0xFEDCBA9876543210,
      .seq = 995,
      .prev = 991,
      .accepted_us = 1640995203000000},
     "{'state':'stale','feed':'sim'}",
     "97 02 cffedcba9876543210 cf00000000000003e3 cf00000000000003df"
     " cf0000000000000000 cf0005d479f82726c0",
     "82a57374617465a57374616c65a466656564a373696d"},
    {"a loss",
     {.kind = WIRE_LOST,
      .epoch = 0xFEDCBA9876543210,
      .seq = 996,
      .prev = 3,
      .accepted_us = 1640995203000001},
     "{'feed':'sim','first':500,'last':600,'count':101,'reason':'ring_overflow'}",
     "97 03 cffedcba9876543210 cf00000000000003e4 cf0000000000000003"
     " cf0000000000000000 cf0005d479f82726c1",
     "85a466656564a373696da56669727374cd01f4a46c617374cd0258a5636f756e7465a6726561736f"
     "6ead72696e675f6f766572666c6f77"},
    {"a feeder's heartbeat",
     {.kind = WIRE_HEARTBEAT,
      .epoch = 0x0102030405060708,
      .seq = 600,
      .sent_us = 1640995203500000},
     NULL,
     "97 04 cf0102030405060708 cf0000000000000258 cf0000000000000000"
     " cf0005d479f82ec7e0 cf0000000000000000",
     "c0"},
    {"the broker's heartbeat",
     {.kind = WIRE_HEARTBEAT,
      .epoch = 0xFEDCBA9876543210,
      .seq = 996,
      .prev = 12,
      .accepted_us = 1640995204000000},
     "{'complete':true,'changed':[['EUR/USD',995],['BTC',990]]}",
     "97 04 cffedcba9876543210 cf00000000000003e4 cf000000000000000c"
     " cf0000000000000000 cf0005d479f8366900",
     "82a8636f6d706c657465c3a76368616e6765649292a74555522f555344cd03e392a3425443cd03d"
     "e"},
    {"a mark",
     {.kind = WIRE_MARK,
      .epoch = 0xFEDCBA9876543210,
      .seq = 996,
      .accepted_us = 1640995204000001},
     NULL,
     "97 05 cffedcba9876543210 cf00000000000003e4 cf0000000000000000"
     " cf0000000000000000 cf0005d479f8366901",
     "c0"},
    {"a change of a lock",
     {.kind = WIRE_LOCK,
      .epoch = 0xFEDCBA9876543210,
      .seq = 17,
      .prev = 12,
      .accepted_us = 1640995204000002},
     "{'name':'telegram:bot','state':'held','token':7}",
     "97 06 cffedcba9876543210 cf0000000000000011 cf000000000000000c"
     " cf0000000000000000 cf0005d479f8366902",
     "83a46e616d65ac74656c656772616d3a626f74a57374617465a468656c64a5746f6b656e07"},
};

static void golden_bytes(const struct golden *g, struct buf *out)
{
    unhex(out, g->header);
    unhex(out, g->bytes);
}

static void check_same(const struct wire_record *a, const struct wire_record *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->epoch, b->epoch);
    assert_int_equal(a->seq, b->seq);
    assert_int_equal(a->prev, b->prev);
    assert_int_equal(a->sent_us, b->sent_us);
    assert_int_equal(a->accepted_us, b->accepted_us);
    assert_int_equal(a->received_us, b->received_us);
}

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
        assert_true(r.kind == n[0] && r.epoch == n[1] && r.seq == n[2] &&
                    r.prev == n[3] && r.sent_us == n[4] && r.accepted_us == n[5]);
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
        "97 07 01 02 03 04 05 c0",
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
            assert_true(r.body.at >= exact.at &&
                        r.body.at + r.body.len <= exact.at + exact.len);
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
        is_good =
            wire_read(exact, &read, &is_stampable) == OK && pack_check(read.body) == OK;
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

static void a_topic_is_the_symbol_and_a_space(void **state)
{
    static const struct {
        const char *topic, *symbol;
    } table[] = {
        {"EUR/USD ", "EUR/USD"},
        {"A ", "A"},
        {"^GSPC ", "^GSPC"},
        {"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345 ", "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"},
        {"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456 ", ""},
        {"", ""},
        {" ", ""},
        {"EUR/USD", ""},
        {"EUR/USD  ", ""},
        {"EUR USD ", ""},
        {"eur/usd ", ""},
        {"BTC*", ""},
        {"BTC* ", ""},
        {WIRE_TOPIC_HEARTBEAT, ""},
        {WIRE_TOPIC_LOST, ""},
        {WIRE_TOPIC_MARK "1234 ", ""},
    };
    char topic[WIRE_TOPIC_MAX];

    (void)state;
    for (size_t i = 0; i < LENGTH(table); i++) {
        struct span symbol = wire_topic_symbol(span_of(table[i].topic));

        assert_int_equal(symbol.len, strlen(table[i].symbol));
        assert_memory_equal(symbol.at, table[i].symbol, symbol.len);
        if (!symbol.len)
            continue;
        assert_int_equal(wire_topic(topic, symbol), symbol.len + 1);
        assert_memory_equal(topic, table[i].topic, symbol.len + 1);
    }
    assert_int_equal(wire_topic_symbol((struct span){NULL, 0}).len, 0);
}

static void no_topic_is_longer_than_its_room(void **state)
{
    char longest[200], topic[WIRE_TOPIC_MAX];

    (void)state;
    memset(longest, 'A', sizeof longest);
    for (size_t len = 0; len <= sizeof longest; len++)
        assert_true(wire_topic(topic, (struct span){longest, len}) <= WIRE_TOPIC_MAX);
}

static void our_own_topics_stand_apart_from_every_symbol(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        char first = (char)c;

        if (!quote_is_symbol((struct span){&first, 1}))
            continue;
        assert_true(c > WIRE_TOPIC_HEARTBEAT[0] && c > WIRE_TOPIC_LOST[0]);
        assert_true(c < WIRE_TOPIC_MARK[0]); /* a mark is subscribed to last */
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
        cmocka_unit_test(what_is_no_record_is_refused_and_changes_nothing),
        cmocka_unit_test(a_record_cut_short_anywhere_is_refused),
        cmocka_unit_test(only_a_heartbeat_may_be_larger_than_a_record),
        cmocka_unit_test(hostile_bytes_are_never_read_outside),
        cmocka_unit_test(opened_or_read_a_checked_record_is_the_same),
        cmocka_unit_test(a_topic_is_the_symbol_and_a_space),
        cmocka_unit_test(no_topic_is_longer_than_its_room),
        cmocka_unit_test(our_own_topics_stand_apart_from_every_symbol),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
