/* The receiver where two things meet, as a hole and the mark, or a pause and a new pattern. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <msgpack.h>
#include <stdio.h>
#include <string.h>

#include "shared/sync/receiver.h"
#include "shared/wire/pack.h"

#define EPOCH 7

/* A program that follows the symbol X, and the broker that it hears. */
static struct {
    struct receiver *receiver;
    char mark[WIRE_TOPIC_MAX];
    char patterns[600]; /* of the newest request of the log */
    uint64_t request, last, lost_first, lost_last, complete;
    unsigned falls;
    bool must_pause;
    int64_t now;
} t;

static void on_listen(void *ctx, struct span topic, bool is_on)
{
    (void)ctx;
    if (is_on && topic.len > 5 && memcmp(topic.at, "~mark", 5) == 0)
        span_copy(t.mark, sizeof t.mark, topic);
}

static void on_request_snapshot(void *ctx, uint64_t request, struct span pattern, uint64_t from)
{
    (void)ctx, (void)pattern, (void)from;
    t.request = request;
}

static void on_request_replay(void *ctx, uint64_t request, struct span patterns, uint64_t after,
                              uint64_t until)
{
    (void)ctx, (void)after, (void)until;
    span_copy(t.patterns, sizeof t.patterns, patterns);
    t.request = request;
}

static bool wants_all(void *ctx, struct span pattern)
{
    (void)ctx, (void)pattern;
    return true;
}

static struct receiver_symbol find(void *ctx, struct span name, bool may_add)
{
    (void)ctx, (void)name, (void)may_add;
    return (struct receiver_symbol){&t, t.last};
}

static struct receiver_coverage cover(void *ctx, struct span name, const struct receiver_symbol *s)
{
    (void)ctx, (void)name, (void)s;
    return (struct receiver_coverage){true, true};
}

static void on_record(void *ctx, const struct receiver_symbol *s, const struct wire_record *r,
                      enum receiver_origin origin)
{
    (void)ctx, (void)s, (void)origin;
    if (r->seq > t.last)
        t.last = r->seq;
    if (t.must_pause)
        receiver_pause(t.receiver);
}

static void on_snapshot(void *ctx, const struct receiver_symbol *s, const struct wire_entry *e)
{
    (void)ctx, (void)s, (void)e;
}

static void on_lost(void *ctx, const struct wire_record *r)
{
    (void)ctx;
    t.lost_first = pack_find_u(r->body, "first", 0);
    t.lost_last = pack_find_u(r->body, "last", 0);
}

static void on_nothing(void *ctx)
{
    (void)ctx;
}

static void on_reset(void *ctx, uint64_t epoch, uint64_t old_epoch, const char *reason)
{
    (void)ctx, (void)epoch, (void)old_epoch, (void)reason;
}

static void on_link(void *ctx, bool is_up)
{
    (void)ctx, (void)is_up;
}

static void on_live(void *ctx, struct span pattern, uint64_t seq)
{
    (void)ctx, (void)pattern, (void)seq;
}

static void on_position(void *ctx, uint64_t seq)
{
    (void)ctx, (void)seq;
}

static void on_complete(void *ctx, uint64_t seq)
{
    (void)ctx;
    t.complete = seq;
}

static void on_fell_back(void *ctx)
{
    (void)ctx;
    t.falls++;
}

static void on_note(void *ctx, bool is_error, const char *text)
{
    (void)ctx, (void)is_error, (void)text;
}

static void record_with(struct span body, const char *topic, enum wire_kind kind, uint64_t seq,
                        uint64_t prev)
{
    struct wire_record r = {.kind = kind, .epoch = EPOCH, .seq = seq, .prev = prev, .body = body};
    struct wire_record read;
    struct buf b = {0};

    wire_put(&b, &r);
    assert_int_equal(wire_read(buf_span(&b), &read, NULL), OK);
    receiver_on_record(t.receiver, span_of(topic), buf_span(&b), &read, ++t.now);
    receiver_tick(t.receiver, true, t.now);
    buf_free(&b);
}

static void record(const char *topic, enum wire_kind kind, uint64_t seq, uint64_t prev)
{
    record_with(SPAN("\x80"), topic, kind, seq, prev);
}

/* Records of 8 KiB from `seq` on, until more than RECEIVER_HELD_MAX of them have come. */
static void too_many_records(uint64_t seq)
{
    struct buf body = {0};

    buf_add(&body, "\xC5\x1F\x40", 3);
    memset(buf_room(&body, 8000), 'x', 8000);
    for (size_t bytes = 0; bytes <= RECEIVER_HELD_MAX; bytes += body.len, seq++)
        record_with(buf_span(&body), "X ", WIRE_QUOTE, seq, seq - 1);
    buf_free(&body);
}

static void answer(struct buf *b)
{
    receiver_on_answer(t.receiver, t.request, buf_span(b), ++t.now);
    receiver_tick(t.receiver, true, t.now);
    buf_free(b);
}

/* A page of the log up to `upto` without a record, and the hole from `first` to `last` in it. */
static void page(uint64_t upto, uint64_t first, uint64_t last)
{
    struct buf b = {0};
    msgpack_packer pk;

    msgpack_packer_init(&pk, &b, buf_pack_write);
    msgpack_pack_map(&pk, 5);
    pack_kv_u(&pk, "epoch", EPOCH);
    pack_kv_u(&pk, "first", 1);
    pack_kv_u(&pk, "upto", upto);
    pack_key(&pk, "gaps");
    msgpack_pack_array(&pk, 1);
    msgpack_pack_array(&pk, 3);
    msgpack_pack_uint64(&pk, first);
    msgpack_pack_uint64(&pk, last);
    pack_text(&pk, SPAN("not_stored"));
    pack_key(&pk, "records");
    msgpack_pack_array(&pk, 0);
    answer(&b);
}

static void snapshot(uint64_t seq)
{
    struct wire_record r = {.kind = WIRE_QUOTE, .epoch = EPOCH, .seq = seq, .body = SPAN("\x80")};
    struct buf b = {0}, record = {0};
    msgpack_packer pk;

    wire_put(&record, &r);
    msgpack_packer_init(&pk, &b, buf_pack_write);
    msgpack_pack_map(&pk, 3);
    pack_kv_u(&pk, "epoch", EPOCH);
    pack_kv_u(&pk, "seq", seq);
    pack_key(&pk, "quotes");
    msgpack_pack_array(&pk, seq ? 1 : 0);
    if (seq) {
        msgpack_pack_array(&pk, 4);
        pack_text(&pk, SPAN("X"));
        msgpack_pack_uint64(&pk, seq);
        pack_text(&pk, SPAN("live"));
        msgpack_pack_bin_with_body(&pk, record.data, record.len);
    }
    buf_free(&record);
    answer(&b);
}

/* X is followed up to 101; then records come over a new connection. */
static void begin(bool no_snapshot)
{
    struct receiver_out out = {{NULL, on_listen, on_request_snapshot, on_request_replay, on_note},
                               NULL,
                               wants_all,
                               find,
                               cover,
                               on_record,
                               on_snapshot,
                               on_lost,
                               on_nothing,
                               on_reset,
                               on_link,
                               on_nothing,
                               on_live,
                               on_nothing,
                               on_position,
                               on_complete,
                               on_nothing,
                               on_fell_back};
    struct receiver_settings settings = {
        .name = 1, .holds_for_snapshots = true, .trusts_log = true, .no_snapshot = no_snapshot};

    memset(&t, 0, sizeof t);
    t.receiver = receiver_new(&settings, &out, 0);
    assert_int_equal(receiver_add(t.receiver, SPAN("X")), OK);
    receiver_tick(t.receiver, true, ++t.now);
    record(t.mark, WIRE_MARK, 100, 0);
    if (!no_snapshot)
        snapshot(0);
    record("X ", WIRE_QUOTE, 101, 0);
    assert_int_equal(t.last, 101);
    receiver_on_welcome(t.receiver);
    receiver_on_welcome(t.receiver);
    receiver_tick(t.receiver, true, ++t.now);
    assert_false(receiver_is_verified(t.receiver));
}

static void a_hole_that_ends_beyond_the_mark_is_reported_up_to_the_mark(void **state)
{
    (void)state;
    begin(true);
    record(t.mark, WIRE_MARK, 200, 0);
    page(260, 102, 260);
    assert_true(receiver_is_verified(t.receiver));
    assert_int_equal(receiver_verified_seq(t.receiver), 200);
    assert_true(t.lost_first == 102 && t.lost_last == 200);
    receiver_free(t.receiver);
}

static void a_record_after_a_reported_hole_needs_no_other_resync(void **state)
{
    (void)state;
    begin(true);
    record(t.mark, WIRE_MARK, 200, 0);
    page(200, 102, 200);
    record("X ", WIRE_QUOTE, 205, 150);
    assert_true(receiver_is_verified(t.receiver));
    assert_int_equal(t.last, 205);
    record("X ", WIRE_QUOTE, 220, 210); /* what is behind the hole is not reported */
    assert_false(receiver_is_verified(t.receiver));
    assert_int_equal(t.last, 205);
    receiver_free(t.receiver);
}

static void a_hole_up_to_the_mark_is_reported_whole(void **state)
{
    (void)state;
    begin(true);
    record(t.mark, WIRE_MARK, 200, 0);
    page(200, 102, 200);
    assert_true(receiver_is_verified(t.receiver));
    assert_true(t.lost_first == 102 && t.lost_last == 200);
    receiver_free(t.receiver);
}

static void a_pattern_that_is_added_while_held_records_wait_makes_none_of_them_missing(void **state)
{
    (void)state;
    begin(false);
    record(t.mark, WIRE_MARK, 102, 0);
    record("X ", WIRE_QUOTE, 103, 101);
    record("X ", WIRE_QUOTE, 104, 103);
    record("X ", WIRE_QUOTE, 105, 104);
    t.must_pause = true; /* after each record */
    page(102, 102, 102);
    receiver_resume(t.receiver);
    assert_int_equal(receiver_add(t.receiver, SPAN("X*")), OK);
    receiver_tick(t.receiver, true, ++t.now);
    for (int i = 0; i < 4; i++) {
        receiver_resume(t.receiver);
        receiver_tick(t.receiver, true, ++t.now);
    }
    receiver_resume(t.receiver);
    record(t.mark, WIRE_MARK, 105, 0);
    receiver_resume(t.receiver);
    snapshot(105);
    assert_true(receiver_is_verified(t.receiver));
    assert_int_equal(receiver_gaps(t.receiver), 0);
    assert_int_equal(t.last, 105);
    receiver_free(t.receiver);
}

static void a_heartbeat_below_what_is_known_says_that_the_broker_fell_back(void **state)
{
    (void)state;
    begin(true);
    record(WIRE_TOPIC_HEARTBEAT, WIRE_HEARTBEAT, 101, 1);
    assert_int_equal(t.falls, 0);
    record(WIRE_TOPIC_HEARTBEAT, WIRE_HEARTBEAT, 100, 2);
    assert_int_equal(t.falls, 1);
    receiver_free(t.receiver);
}

static void a_heartbeat_whose_list_cannot_be_read_proves_nothing(void **state)
{
    (void)state;
    begin(true);
    record(t.mark, WIRE_MARK, 101, 0);
    assert_true(receiver_is_verified(t.receiver));
    record_with(SPAN("\x81\xa7"
                     "changed\x91\x07"),
                WIRE_TOPIC_HEARTBEAT, WIRE_HEARTBEAT, 101, 1);
    assert_int_equal(t.complete, 0);
    record_with(SPAN("\x81\xa7"
                     "changed\x90"),
                WIRE_TOPIC_HEARTBEAT, WIRE_HEARTBEAT, 101, 2);
    assert_int_equal(t.complete, 101);
    receiver_free(t.receiver);
}

static void a_page_without_news_is_requested_again_later(void **state)
{
    (void)state;
    begin(true);
    record(t.mark, WIRE_MARK, 200, 0);
    page(101, 1, 1);
    t.request = 0;
    receiver_tick(t.receiver, true, ++t.now);
    assert_int_equal(t.request, 0);
    t.now = receiver_deadline(t.receiver);
    receiver_tick(t.receiver, true, t.now);
    assert_int_not_equal(t.request, 0);
    receiver_free(t.receiver);
}

static void of_very_many_patterns_the_log_is_requested_whole(void **state)
{
    char pattern[16];

    (void)state;
    begin(true);
    record(t.mark, WIRE_MARK, 200, 0);
    assert_string_equal(t.patterns, "X");
    for (int i = 0; i < 64; i++) {
        snprintf(pattern, sizeof pattern, "A%d", i);
        assert_int_equal(receiver_add(t.receiver, span_of(pattern)), OK);
    }
    page(150, 102, 150);
    assert_string_equal(t.patterns, "*");
    assert_false(receiver_match(t.receiver, SPAN("0123456789012345678901234567890123")).is_wanted);
    receiver_free(t.receiver);
}

static void more_records_than_may_wait_for_the_log_begin_another_resync(void **state)
{
    char first[sizeof t.mark];

    (void)state;
    begin(true);
    memcpy(first, t.mark, sizeof first);
    record(t.mark, WIRE_MARK, 200, 0);
    too_many_records(201);
    assert_string_not_equal(t.mark, first);
    assert_false(receiver_is_verified(t.receiver));
    receiver_free(t.receiver);
}

static void more_records_than_may_wait_for_snapshots_begin_another_resync_after_them(void **state)
{
    char first[sizeof t.mark];

    (void)state;
    begin(false);
    assert_int_equal(receiver_add(t.receiver, SPAN("X*")), OK);
    receiver_tick(t.receiver, true, t.now += 5000); /* a mark for both patterns */
    memcpy(first, t.mark, sizeof first);
    record(t.mark, WIRE_MARK, 101, 0);
    too_many_records(102);
    assert_string_equal(t.mark, first);
    snapshot(101);
    assert_string_not_equal(t.mark, first);
    receiver_free(t.receiver);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hole_that_ends_beyond_the_mark_is_reported_up_to_the_mark),
        cmocka_unit_test(a_hole_up_to_the_mark_is_reported_whole),
        cmocka_unit_test(a_record_after_a_reported_hole_needs_no_other_resync),
        cmocka_unit_test(
            a_pattern_that_is_added_while_held_records_wait_makes_none_of_them_missing),
        cmocka_unit_test(a_heartbeat_below_what_is_known_says_that_the_broker_fell_back),
        cmocka_unit_test(a_heartbeat_whose_list_cannot_be_read_proves_nothing),
        cmocka_unit_test(a_page_without_news_is_requested_again_later),
        cmocka_unit_test(of_very_many_patterns_the_log_is_requested_whole),
        cmocka_unit_test(more_records_than_may_wait_for_the_log_begin_another_resync),
        cmocka_unit_test(more_records_than_may_wait_for_snapshots_begin_another_resync_after_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
