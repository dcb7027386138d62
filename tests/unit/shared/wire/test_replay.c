#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <msgpack.h>

#include "shared/wire/replay.h"
#include "shared/wire/pack.h"

struct answer {
    struct buf bytes, records, gaps;
    uint32_t record_count, gap_count;
};

static void put_record_of(struct answer *a, const char *topic, enum wire_kind kind, uint64_t seq,
                          struct span body)
{
    struct wire_record r = {.kind = kind, .epoch = 1, .seq = seq, .body = body};
    struct buf frame = {0};
    msgpack_packer pk;

    wire_put(&frame, &r);
    msgpack_packer_init(&pk, &a->records, buf_pack_write);
    msgpack_pack_array(&pk, 2);
    pack_text(&pk, span_of(topic));
    msgpack_pack_bin_with_body(&pk, frame.data, frame.len);
    a->record_count++;
    buf_free(&frame);
}

static void put_record(struct answer *a, const char *topic, enum wire_kind kind, uint64_t seq)
{
    put_record_of(a, topic, kind, seq, SPAN("\x80"));
}

static void put_gap(struct answer *a, uint64_t first, uint64_t last)
{
    msgpack_packer pk;

    msgpack_packer_init(&pk, &a->gaps, buf_pack_write);
    msgpack_pack_array(&pk, 3);
    msgpack_pack_uint64(&pk, first);
    msgpack_pack_uint64(&pk, last);
    pack_text(&pk, SPAN("not_stored"));
    a->gap_count++;
}

static struct span end(struct answer *a, uint64_t upto)
{
    msgpack_packer pk;

    msgpack_packer_init(&pk, &a->bytes, buf_pack_write);
    msgpack_pack_map(&pk, 3);
    pack_kv_u(&pk, "upto", upto);
    pack_key(&pk, "gaps");
    msgpack_pack_array(&pk, a->gap_count);
    buf_add(&a->bytes, a->gaps.data, a->gaps.len);
    pack_key(&pk, "records");
    msgpack_pack_array(&pk, a->record_count);
    buf_add(&a->bytes, a->records.data, a->records.len);
    return buf_span(&a->bytes);
}

static void note(void *ctx, struct span topic, const struct wire_record *r)
{
    struct buf *out = ctx;

    if (r->kind == WIRE_LOST && !wire_topic_symbol(topic).len && r->body.len > 1)
        buf_printf(out, "[%llu-%llu]", (unsigned long long)pack_find_u(r->body, "first", 0),
                   (unsigned long long)pack_find_u(r->body, "last", 0));
    else
        buf_printf(out, "%.*s%llu ", (int)topic.len, topic.at, (unsigned long long)r->seq);
}

static const char *replayed(struct answer *a, uint64_t after, uint64_t upto)
{
    static struct buf out;

    buf_clear(&out);
    replay_each(end(a, upto), after, note, &out);
    buf_free(&a->bytes);
    buf_free(&a->records);
    buf_free(&a->gaps);
    return buf_text(&out);
}

static void records_come_in_their_order_and_holes_in_their_place(void **state)
{
    struct answer a = {0};

    (void)state;
    put_record(&a, "X ", WIRE_QUOTE, 5);
    put_record(&a, "Y ", WIRE_STATE, 6);
    put_record(&a, "X ", WIRE_QUOTE, 20);
    put_gap(&a, 7, 12);
    put_gap(&a, 15, 15);
    put_gap(&a, 25, 30);
    assert_string_equal(replayed(&a, 4, 30), "X 5 Y 6 [7-12][15-15]X 20 [25-30]");
}

static void what_is_known_already_is_passed_over(void **state)
{
    struct answer a = {0};

    (void)state;
    put_record(&a, "X ", WIRE_QUOTE, 5);
    put_record(&a, "X ", WIRE_QUOTE, 9);
    put_gap(&a, 1, 3);
    put_gap(&a, 6, 8);
    assert_string_equal(replayed(&a, 6, 9), "[7-8]X 9 ");
}

static void a_hole_that_the_page_does_not_reach_waits_for_the_next(void **state)
{
    struct answer a = {0};

    (void)state;
    put_record(&a, "X ", WIRE_QUOTE, 5);
    put_gap(&a, 6, 100);
    assert_string_equal(replayed(&a, 0, 50), "X 5 ");
}

static void nonsense_is_passed_over(void **state)
{
    struct answer a = {0};
    struct buf out = {0};

    (void)state;
    put_record(&a, "!heartbeat ", WIRE_HEARTBEAT, 5);
    put_record(&a, "X ", WIRE_QUOTE, 6);
    assert_string_equal(replayed(&a, 0, 6), "X 6 ");
    replay_each(SPAN(""), 0, note, &out);
    replay_each(SPAN("\x81\xa7records\x01"), 0, note, &out);
    replay_each(SPAN("\x82\xa4gaps\x91\x01\xa7records\x91\x92\x01\x02"), 0, note, &out);
    assert_int_equal(out.len, 0);
}

static void a_record_whose_body_is_damaged_is_reported_as_lost(void **state)
{
    struct answer a = {0};

    (void)state;
    put_record(&a, "A ", WIRE_QUOTE, 3);
    put_gap(&a, 4, 5);
    put_record_of(&a, "A ", WIRE_QUOTE, 6, SPAN("\xc1"));
    put_record(&a, "A ", WIRE_QUOTE, 7);
    assert_string_equal(replayed(&a, 2, 7), "A 3 [4-5][6-6]A 7 ");
}

static void an_answer_that_does_not_ascend_is_handed_out_ascending(void **state)
{
    struct answer a = {0};

    (void)state;
    put_record(&a, "A ", WIRE_QUOTE, 5);
    put_record(&a, "A ", WIRE_QUOTE, 5);
    put_record(&a, "A ", WIRE_QUOTE, 3);
    put_record(&a, "A ", WIRE_QUOTE, 10);
    put_gap(&a, 4, 6);
    put_gap(&a, 8, 12);
    put_gap(&a, 11, 13);
    put_gap(&a, 20, 15); /* no range: nor is what follows it */
    assert_string_equal(replayed(&a, 0, 30), "A 5 [6-6]A 10 [11-12][13-13]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_come_in_their_order_and_holes_in_their_place),
        cmocka_unit_test(what_is_known_already_is_passed_over),
        cmocka_unit_test(a_hole_that_the_page_does_not_reach_waits_for_the_next),
        cmocka_unit_test(nonsense_is_passed_over),
        cmocka_unit_test(a_record_whose_body_is_damaged_is_reported_as_lost),
        cmocka_unit_test(an_answer_that_does_not_ascend_is_handed_out_ascending),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
