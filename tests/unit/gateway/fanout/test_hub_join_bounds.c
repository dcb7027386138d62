/* What a join in slices queues, and its bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/gateway/fanout/hub_fixture.h"
#include "tests/unit/gateway/fanout/hub_reader_fixture.h"

static void a_join_in_mode_all_stops_where_the_room_is_used_up(void **state)
{
    struct hub_subscriber s = {.encoding = ENCODING_JSON, .wants_all = true};
    struct hub_topic *t = hub_topic_retain(hub, SPAN("*"));
    size_t steps = SIZE_MAX, frame;

    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        char name[4] = {(char)('A' + i), '\0'};

        quote(name, i + 1, 0, "v");
    }
    hub_join_begin(hub, &s, &t, 1, 0, NO_LIMIT, 1);
    assert_true(hub_join_find(hub, &s, &steps));
    assert_false(hub_join_queue(hub, &s, &steps)); /* one is above the room of one byte */
    frame = s.backlog.queue_bytes;
    assert_int_equal(s.backlog.queue_count, 1);
    assert_false(hub_join_queue(hub, &s, &steps));
    assert_int_equal(s.backlog.queue_count, 1);
    assert_string_equal(take_all(&s), "snapshot A 1<0 live v");
    steps = 1; /* a snapshot costs two */
    assert_false(hub_join_queue(hub, &s, &steps));
    assert_int_equal(steps, 0);
    assert_int_equal(s.backlog.queue_count, 0);
    steps = 2;
    assert_false(hub_join_queue(hub, &s, &steps));
    assert_int_equal(steps, 0);
    assert_string_equal(take_all(&s), "snapshot B 2<0 live v");
    hub_leave_all(hub, &s);
    hub_join_begin(hub, &s, &t, 1, 0, NO_LIMIT, 2 * frame); /* exactly two */
    steps = SIZE_MAX;
    assert_true(hub_join_find(hub, &s, &steps));
    assert_false(hub_join_queue(hub, &s, &steps));
    assert_int_equal(s.backlog.queue_count, 2);
    hub_leave_all(hub, &s);
    hub_topic_release(hub, t);
}

static void a_join_goes_on_after_a_new_log_as_if_it_had_just_begun(void **state)
{
    struct hub_subscriber s = {.encoding = ENCODING_JSON, .wants_all = true};
    struct hub_topic *t = hub_topic_retain(hub, SPAN("*"));
    size_t steps = SIZE_MAX;

    (void)state;
    quote("A", 1, 0, "v");
    quote("B", 2, 0, "v");
    quote("C", 3, 0, "v");
    hub_join_begin(hub, &s, &t, 1, 0, NO_LIMIT, SIZE_MAX);
    assert_true(hub_join_find(hub, &s, &steps));
    quote("A", 4, 1, "w"); /* the snapshots of these two are made from the values before */
    quote("C", 5, 3, "w");
    hub_reset(hub, 2);
    for (unsigned i = 0; i < 3; i++)
        versions[i].changes++;
    assert_true(hub_join_queue(hub, &s, &steps));
    assert_string_equal(take_all(&s), "snapshot A 0<0 stale w | snapshot B 0<0 stale v | "
                                      "snapshot C 0<0 stale w");
    hub_leave_all(hub, &s);
    hub_topic_release(hub, t);
}

/* A record that was queued for a pattern left since is not sent: the snapshot has it. */
static void records_of_a_pattern_left_give_way_to_the_snapshots_of_a_join(void **state)
{
    static const char *const sent[] = {
        "snapshot A1 2<1 live w",                       /* it is still being found */
        "snapshot A1 2<1 live w",                       /* its snapshot is pending */
        "snapshot A1 2<1 live w | quote A1 3<2 live x", /* and made before a record */
    };

    for (int when = 0; when < 3; when++) {
        struct hub_subscriber s = {.encoding = ENCODING_JSON, .wants_all = true};
        struct hub_topic *t = hub_topic_retain(hub, SPAN("*"));
        size_t steps = SIZE_MAX;

        quote("A1", 1, 0, "v");
        join(&s, "A*", NO_LIMIT);
        assert_string_equal(take_all(&s), "snapshot A1 1<0 live v");
        quote("A1", 2, 1, "w");
        assert_int_equal(s.backlog.queue_count, 1);
        assert_true(hub_leave(hub, &s, SPAN("A*")));
        hub_join_begin(hub, &s, &t, 1, 0, NO_LIMIT, SIZE_MAX);
        if (when == 0)
            hub_verify_backlog(hub, &s, UINT32_MAX);
        assert_true(hub_join_find(hub, &s, &steps));
        if (when == 2)
            quote("A1", 3, 2, "x");
        hub_verify_backlog(hub, &s, UINT32_MAX);
        assert_true(backlog_is_empty(&s.backlog));
        assert_true(hub_join_queue(hub, &s, &steps));
        assert_string_equal(take_all(&s), sent[when]);
        hub_leave_all(hub, &s);
        hub_topic_release(hub, t);
        tear_down(state);
        set_up(state);
    }
}

static void in_merge_updates_of_a_pattern_left_give_way_to_a_join_that_goes_on(void **state)
{
    for (int has_found = 0; has_found < 2; has_found++) {
        struct hub_subscriber s = {.encoding = ENCODING_JSON};
        struct hub_topic *t = hub_topic_retain(hub, SPAN("*"));
        size_t steps = SIZE_MAX;

        quote("A1", 1, 0, "v");
        join(&s, "A*", NO_LIMIT);
        assert_string_equal(turn(&s), "snapshot A1 1<0 live v");
        quote("A1", 2, 1, "w");
        hub_fan_out(hub);
        assert_true(hub_leave(hub, &s, SPAN("A*")));
        hub_join_begin(hub, &s, &t, 1, 0, NO_LIMIT, SIZE_MAX);
        if (has_found)
            assert_true(hub_join_find(hub, &s, &steps));
        hub_verify_backlog(hub, &s, UINT32_MAX);
        assert_true(backlog_is_empty(&s.backlog));
        assert_true(hub_join_find(hub, &s, &steps));
        assert_true(hub_join_queue(hub, &s, &steps));
        assert_string_equal(turn(&s), "snapshot A1 2<1 live w");
        hub_leave_all(hub, &s);
        hub_topic_release(hub, t);
        tear_down(state);
        set_up(state);
    }
}

static void a_symbol_held_before_needs_no_snapshot_of_a_join(void **state)
{
    struct hub_subscriber s = {.encoding = ENCODING_JSON, .wants_all = true};
    struct hub_topic *t = hub_topic_retain(hub, SPAN("*"));
    size_t steps = SIZE_MAX;

    (void)state;
    quote("A1", 1, 0, "v");
    quote("B", 2, 0, "v");
    join(&s, "A1", NO_LIMIT);
    assert_string_equal(take_all(&s), "snapshot A1 1<0 live v");
    hub_join_begin(hub, &s, &t, 1, 0, NO_LIMIT, SIZE_MAX);
    quote("A1", 3, 1, "w");
    assert_true(hub_join_find(hub, &s, &steps));
    assert_true(hub_join_queue(hub, &s, &steps));
    assert_string_equal(take_all(&s), "snapshot B 2<0 live v | quote A1 3<1 live w");
    hub_leave_all(hub, &s);
    hub_topic_release(hub, t);
}

static void snapshots_made_during_a_join_are_bounded_in_bytes(void **state)
{
    (void)state;
    for (size_t more = 0; more < 2; more++) {
        struct hub_subscriber s = {.encoding = ENCODING_JSON, .wants_all = true};
        struct hub_topic *t = hub_topic_retain(hub, SPAN("*"));
        size_t steps = SIZE_MAX, frame = 2 + strlen("snapshot A 1<0 live v");

        quote("A", 1, 0, "v");
        quote("B", 2, 0, "v");
        hub_join_begin(hub, &s, &t, 1, 0, NO_LIMIT, SIZE_MAX);
        assert_true(hub_join_find(hub, &s, &steps));
        hub_set_queue_limit(hub, 2 * frame - more);
        quote("A", 3, 1, "w"); /* the record waits, too, which is shorter */
        quote("B", 4, 2, "w");
        hub_set_queue_limit(hub, 1 << 20);
        assert_true(hub_join_queue(hub, &s, &steps));
        assert_int_equal(s.backlog.has_overflowed, more > 0);
        hub_leave_all(hub, &s);
        hub_topic_release(hub, t);
        tear_down(state);
        set_up(state);
    }
}

static void in_mode_all_what_did_not_change_counts_for_no_limit(void **state)
{
    struct hub_subscriber s = {.encoding = ENCODING_JSON, .wants_all = true};
    struct hub_topic *t = hub_topic_retain(hub, SPAN("*"));

    (void)state;
    quote("A", 1, 0, "v");
    quote("B", 2, 0, "v");
    quote("C", 3, 0, "v");
    hub_join(hub, &s, &t, 1, 1, 1, NULL);
    assert_string_equal(take_all(&s), "state A 1<0 live v | snapshot B 2<0 live v");
    hub_leave_all(hub, &s);
    hub_topic_release(hub, t);
}

static void a_record_that_waited_for_a_join_makes_the_subscriber_due(void **state)
{
    struct hub_subscriber s = {.encoding = ENCODING_JSON, .wants_all = true};
    struct hub_topic *t = hub_topic_retain(hub, SPAN("*"));
    size_t steps = SIZE_MAX;

    (void)state;
    quote("A", 1, 0, "v");
    hub_join_begin(hub, &s, &t, 1, 0, 0, SIZE_MAX); /* no snapshot is wanted */
    assert_true(hub_join_find(hub, &s, &steps));
    quote("A", 2, 1, "w");
    hub_fan_out(hub);
    while (hub_take_due(hub))
        ;
    assert_true(hub_join_queue(hub, &s, &steps));
    assert_ptr_equal(hub_take_due(hub), &s);
    assert_string_equal(take_all(&s), "quote A 2<1 live w");
    hub_leave_all(hub, &s);
    hub_topic_release(hub, t);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_join_in_mode_all_stops_where_the_room_is_used_up),
        TEST(a_join_goes_on_after_a_new_log_as_if_it_had_just_begun),
        TEST(records_of_a_pattern_left_give_way_to_the_snapshots_of_a_join),
        TEST(in_merge_updates_of_a_pattern_left_give_way_to_a_join_that_goes_on),
        TEST(a_symbol_held_before_needs_no_snapshot_of_a_join),
        TEST(in_mode_all_what_did_not_change_counts_for_no_limit),
        TEST(a_record_that_waited_for_a_join_makes_the_subscriber_due),
        TEST(snapshots_made_during_a_join_are_bounded_in_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
