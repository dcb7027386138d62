#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "broker/core/feed.h"
#include "shared/wire/wire.h"
#include "tests/unit/broker/core/feed_fixture.h"

static struct feed *granted(const char *name, const char *owner, int64_t now)
{
    struct feed *f = NULL;
    bool is_new = false;

    assert_int_equal(hello(name, owner, 0, now, &f, &is_new), OK);
    assert_true(is_new);
    return f;
}

static void a_free_name_is_granted_with_a_token_above_the_floor(void **state)
{
    struct feed *f = granted("sim", "a", 0);

    (void)state;
    assert_true(f->epoch > FLOOR);
    assert_true(f->is_held);
    assert_string_equal(f->name, "sim");
    assert_string_equal(f->owner, "a");
    assert_string_equal(f->host, "host-1");
    assert_int_equal(f->pid, 42);
    assert_int_equal(f->peer_len, 1);
    assert_memory_equal(f->peer, "a", 1);
    assert_int_equal(f->received, 0);
    assert_int_equal(feed_table_count(table), 1);
    assert_ptr_equal(feed_table_at(table, f->index), f);
}

static void a_held_name_is_refused_to_others_and_they_learn_the_holder(void **state)
{
    struct feed *f = granted("sim", "a", 0), *holder = NULL;
    bool is_new = true;
    uint64_t epoch = f->epoch;

    (void)state;
    assert_int_equal(hello("sim", "b", 0, 10, &holder, &is_new), ERR_HELD);
    assert_ptr_equal(holder, f);
    assert_string_equal(f->owner, "a");
    assert_int_equal(f->epoch, epoch);
    assert_int_equal(f->heard_at, 0); /* a request of another feeder renews no lease */
}

static void the_same_owner_asking_again_has_the_same_grant(void **state)
{
    struct feed *f = granted("sim", "a", 0), *again;
    uint64_t epoch = f->epoch;
    bool is_new = true;

    (void)state;
    assert_int_equal(feed_judge(f, 1), FEED_TAKE);
    assert_int_equal(hello("sim", "a", 0, 500, &again, &is_new), OK);
    assert_ptr_equal(again, f);
    assert_false(is_new);
    assert_int_equal(f->epoch, epoch);
    assert_int_equal(f->received, 1);
    assert_int_equal(f->heard_at, 500);
}

static void every_grant_of_any_name_has_a_larger_token(void **state)
{
    uint64_t last = FLOOR;
    int64_t now = 0;

    (void)state;
    for (int i = 0; i < 50; i++) {
        char name[16];
        struct feed *f;

        snprintf(name, sizeof name, "feed-%d", i % 7);
        f = granted(name, i % 2 ? "a" : "b", now);
        assert_true(f->epoch > last);
        last = f->epoch;
        feed_release(f);
        now += 10;
    }
}

static void a_lease_runs_out_after_silence_and_not_before(void **state)
{
    struct feed *f = granted("sim", "a", 0);
    uint64_t epoch = f->epoch;

    (void)state;
    assert_null(feed_table_expire(table, WIRE_FEED_LEASE_MS - 1));
    assert_ptr_equal(feed_table_renew(table, epoch, 1500), f);
    assert_null(feed_table_expire(table, WIRE_FEED_LEASE_MS));
    assert_null(feed_table_expire(table, 1500 + WIRE_FEED_LEASE_MS - 1));
    assert_ptr_equal(feed_table_expire(table, 1500 + WIRE_FEED_LEASE_MS), f);
    assert_false(f->is_held);
    assert_null(feed_table_expire(table, 1500 + WIRE_FEED_LEASE_MS)); /* once */
    assert_null(feed_table_renew(table, epoch, 4000)); /* no feeder has its lines now */
}

static void after_a_goodbye_the_name_is_free_at_once(void **state)
{
    struct feed *f = granted("sim", "a", 0);
    uint64_t epoch = f->epoch;

    (void)state;
    feed_release(f);
    assert_null(feed_table_renew(table, epoch, 1));
    assert_ptr_equal(granted("sim", "b", 1), f); /* the index stays the name's */
    assert_string_equal(f->owner, "b");
}

static void only_the_current_token_is_heard(void **state)
{
    struct feed *a = granted("a", "x", 0), *b = granted("b", "y", 0);
    uint64_t old = a->epoch;

    (void)state;
    feed_release(a);
    granted("a", "x", 1);
    assert_null(feed_table_renew(table, old, 2));
    assert_ptr_equal(feed_table_renew(table, a->epoch, 3), a);
    assert_ptr_equal(feed_table_renew(table, b->epoch, 4), b);
    assert_ptr_equal(feed_table_renew(table, a->epoch, 5), a);
    assert_null(feed_table_renew(table, 0, 6));
    assert_null(feed_table_renew(table, UINT64_MAX, 6));
    assert_int_equal(a->heard_at, 5);
    assert_int_equal(b->heard_at, 4);
}

static void a_process_that_comes_back_goes_on_where_it_was(void **state)
{
    struct feed *f = granted("sim", "a", 0);
    bool is_new;

    (void)state;
    for (uint64_t n = 1; n <= 9; n++)
        assert_int_equal(feed_judge(f, n), FEED_TAKE);
    feed_release(f);
    assert_int_equal(hello("sim", "a", 7, 1, &f, &is_new), OK); /* 8 and 9 are here */
    assert_true(is_new);
    assert_int_equal(f->received, 9);
    feed_release(f);
    /* another owner begins with its own line numbers */
    assert_int_equal(hello("sim", "b", 0, 2, &f, &is_new), OK);
    assert_int_equal(f->received, 0);
}

static void a_table_without_the_name_takes_the_acknowledged_line_from_the_feeder(void **state)
{
    struct feed *f;
    bool is_new;

    (void)state;
    assert_int_equal(hello("sim", "a", 77, 0, &f, &is_new), OK);
    assert_int_equal(f->received, 77);
    assert_int_equal(feed_judge(f, 77), FEED_DUPLICATE);
    assert_int_equal(feed_judge(f, 78), FEED_TAKE);
}

static void a_restored_grant_goes_on_and_the_next_token_is_above_it(void **state)
{
    const struct feed_grant sim = {.name = SPAN("sim"),
                                   .owner = SPAN("one"),
                                   .epoch = FLOOR + 50,
                                   .received = 77,
                                   .is_held = true},
                            old = {.name = SPAN("old"),
                                   .owner = SPAN("two"),
                                   .epoch = FLOOR + 20,
                                   .received = 5,
                                   .has_left = true};
    struct feed *f = feed_table_restore(table, &sim, 1000), *other;
    bool is_new;

    (void)state;
    assert_non_null(f);
    assert_int_equal(feed_judge(f, 77), FEED_DUPLICATE);
    assert_int_equal(feed_judge(f, 78), FEED_TAKE);
    other = feed_table_restore(table, &old, 1000);
    assert_false(other->is_held);
    assert_true(other->has_left && other->has_published);
    assert_ptr_equal(feed_table_restore(table, &old, 1000), other);
    assert_int_equal(hello("new", "three", 0, 1000, &other, &is_new), OK);
    assert_int_equal(other->epoch, FLOOR + 51);
    assert_int_equal(hello("sim", "else", 0, 1000, &other, &is_new), ERR_HELD);
    assert_int_equal(hello("sim", "one", 0, 1000, &other, &is_new), OK);
    assert_ptr_equal(other, f);
    assert_false(is_new);
}

/* A feeder that keeps few lines gets acknowledgements early. */
static void lines_are_acknowledged_at_a_quarter_of_the_feeders_window(void **state)
{
    static const struct {
        uint64_t window, lines;
    } rows[] = {{8, 2}, {100, 25}, {0, FEED_ACK_LINES}, {1 << 20, FEED_ACK_LINES}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct feed_hello h = {.name = SPAN("sim"),
                               .owner = SPAN("one"),
                               .host = SPAN("h"),
                               .peer = SPAN("p"),
                               .window = rows[i].window};
        struct feed *f;
        bool is_new;

        assert_int_equal(feed_table_hello(table, &h, 1000, &f, &is_new), OK);
        assert_int_equal(f->ack_lines, rows[i].lines);
    }
}

static void names_out_of_bounds_are_refused(void **state)
{
    static const char longest[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._";
    static const struct {
        struct span name, owner, peer;
        enum err want;
    } rows[] = {
        {SPAN("a"), SPAN("o"), SPAN("p"), OK},
        {SPAN("sim-1_x.Y"), SPAN("o"), SPAN("p"), OK},
        {{longest, 64}, {longest, 64}, {longest, 64}, OK},
        {SPAN(""), SPAN("o"), SPAN("p"), ERR_INVALID},
        {SPAN("a b"), SPAN("o"), SPAN("p"), ERR_INVALID},
        {SPAN("a\0b"), SPAN("o"), SPAN("p"), ERR_INVALID},
        {SPAN("a/b"), SPAN("o"), SPAN("p"), ERR_INVALID},
        {SPAN("\xC3\xA9"), SPAN("o"), SPAN("p"), ERR_INVALID},
        {SPAN("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"), SPAN("o"),
         SPAN("p"), ERR_INVALID},
        {SPAN("b"), SPAN(""), SPAN("p"), ERR_INVALID},
        {SPAN("b"), SPAN("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"),
         SPAN("p"), ERR_INVALID},
        {SPAN("b"), SPAN("o"),
         SPAN("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"), ERR_INVALID},
    };
    size_t good = 0;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct feed_hello h = {.name = rows[i].name, .owner = rows[i].owner, .peer = rows[i].peer};
        struct feed *f = NULL;
        bool is_new;

        h.host = (struct span){longest, 64};
        if (feed_table_hello(table, &h, 0, &f, &is_new) != rows[i].want)
            fail_msg("row %zu", i);
        good += rows[i].want == OK;
        assert_true(rows[i].want == OK ? f != NULL : f == NULL);
    }
    assert_int_equal(feed_table_count(table), good);
}

static struct feed *fill_table(void)
{
    struct feed *f = NULL;
    char name[16];

    for (int i = 0; i < FEED_COUNT_MAX; i++) {
        snprintf(name, sizeof name, "f%d", i);
        f = granted(name, "a", i);
        f->has_published = i != 7 && i != 8;
        if (i != 7)
            feed_release(f);
    }
    return f;
}

static void a_name_that_published_is_kept_and_one_that_never_did_makes_room(void **state)
{
    struct feed *f;
    bool is_new;

    (void)state;
    (void)fill_table();
    assert_int_equal(hello("more-1", "b", 0, 2000, &f, &is_new), OK);
    assert_int_equal(f->index, 8); /* not 7, which is held, though it is older */
    f->has_published = true;
    assert_int_equal(hello("more-2", "b", 0, 2000, &f, &is_new), OK);
    assert_int_equal(f->index, 7);
    assert_int_equal(f->received, 0);
    f->has_published = true;
    assert_int_equal(hello("more-3", "b", 0, 2000, &f, &is_new), ERR_FULL);
    assert_int_equal(hello("f9", "a", 0, 2000, &f, &is_new), OK);
    assert_int_equal(feed_table_count(table), FEED_COUNT_MAX);
}

static bool lacks_room(const char *name, const char *owner)
{
    struct feed_hello h = {.name = span_of(name), .owner = span_of(owner), .peer = span_of(owner)};

    return feed_table_lacks_room(table, &h);
}

static void a_table_lacks_room_only_for_a_new_name_that_it_would_otherwise_take(void **state)
{
    struct feed *f;
    bool is_new;
    char name[16];

    (void)state;
    granted("first", "a", 0)->has_published = true;
    assert_false(lacks_room("new", "b"));
    feed_table_free(table);
    table = feed_table_new(FLOOR);
    (void)fill_table();
    assert_false(lacks_room("new", "b")); /* in place of f8, which is free */
    assert_int_equal(hello("new", "b", 0, 2000, &f, &is_new), OK);
    f->has_published = true;
    assert_true(lacks_room("newer", "b")); /* f7 is held */
    assert_int_equal(hello("newer", "b", 0, 2000, &f, &is_new), OK);
    f->has_published = true;
    assert_true(lacks_room("newest", "b"));
    assert_false(lacks_room("new est", "b"));
    assert_false(lacks_room("f9", "b"));
    for (int i = 10; i < 10 + FEED_NAMES_PER_PEER; i++) {
        snprintf(name, sizeof name, "f%d", i);
        (void)granted(name, "c", 3000);
    }
    assert_false(lacks_room("newest", "c")); /* which has all names that one peer may hold */
    assert_true(lacks_room("newest", "b"));
}

static void a_connection_holds_only_so_many_names(void **state)
{
    struct feed *f;
    bool is_new;
    char name[16];

    (void)state;
    for (int i = 0; i < FEED_NAMES_PER_PEER; i++) {
        snprintf(name, sizeof name, "f%d", i);
        (void)granted(name, "a", 0);
    }
    assert_int_equal(hello("more", "a", 0, 0, &f, &is_new), ERR_FULL);
    assert_int_equal(hello("f3", "a", 0, 0, &f, &is_new), OK); /* the peer's own name again */
    assert_int_equal(hello("more", "b", 0, 0, &f, &is_new), OK);
}

static void numbers_that_no_feed_can_reach_are_refused(void **state)
{
    static const uint64_t absurd[] = {0, 1ull << 63, UINT64_MAX, FEED_LINE_MAX + 1};
    struct feed *f = granted("sim", "a", 0), *other;
    bool is_new;

    (void)state;
    assert_true(feed_announce(f, 10));
    for (size_t i = 0; i < sizeof absurd / sizeof absurd[0]; i++) {
        assert_false(feed_skip(f, 1, absurd[i]));
        assert_false(feed_skip(f, absurd[i], absurd[i]));
        if (!absurd[i])
            continue;
        assert_false(feed_announce(f, absurd[i]));
        assert_int_equal(hello("sim-2", "b", absurd[i], 0, &other, &is_new), ERR_INVALID);
    }
    assert_false(feed_skip(f, 1, 10 + FEED_LOST_AHEAD + 1)); /* never announced */
    assert_int_equal(f->received, 0);
    assert_true(feed_skip(f, 1, 9));
    assert_int_equal(f->received, 9);
}

static void lines_are_taken_in_order_each_once(void **state)
{
    struct feed *f = granted("sim", "a", 0);

    (void)state;
    assert_int_equal(feed_judge(f, 1), FEED_TAKE);
    assert_int_equal(feed_judge(f, 1), FEED_DUPLICATE);
    assert_int_equal(feed_judge(f, 3), FEED_GAP);
    assert_int_equal(feed_judge(f, 2), FEED_TAKE);
    assert_int_equal(feed_judge(f, 3), FEED_TAKE);
    assert_int_equal(feed_judge(f, 0), FEED_DUPLICATE);
    assert_int_equal(feed_judge(f, UINT64_MAX), FEED_GAP);
    assert_int_equal(f->received, 3);
    assert_int_equal(f->duplicates, 2);
}

static void the_same_line_is_asked_for_only_so_often(void **state)
{
    struct feed *f = granted("sim", "a", 0);

    (void)state;
    assert_true(feed_should_resend(f, 100));
    assert_false(feed_should_resend(f, 100));
    assert_false(feed_should_resend(f, 100 + FEED_RESEND_MS - 1));
    assert_true(feed_should_resend(f, 100 + FEED_RESEND_MS));
    assert_int_equal(f->gaps, 1); /* one gap, with two resend requests */
    assert_int_equal(feed_judge(f, 1), FEED_TAKE);
    /* Another line, but lines of two connections may just be coming in turns. */
    assert_false(feed_should_resend(f, 100 + FEED_RESEND_MS + FEED_RESEND_ANY_MS - 1));
    assert_true(feed_should_resend(f, 100 + FEED_RESEND_MS + FEED_RESEND_ANY_MS));
    assert_int_equal(f->gaps, 2);
    /* A new grant may request a resend at once. */
    feed_release(f);
    granted("sim", "a", 101 + FEED_RESEND_MS + FEED_RESEND_ANY_MS);
    assert_true(feed_should_resend(f, 101 + FEED_RESEND_MS + FEED_RESEND_ANY_MS));
}

static void only_the_lines_that_come_next_can_be_given_up(void **state)
{
    struct feed *f = granted("sim", "a", 0);

    (void)state;
    assert_int_equal(feed_judge(f, 1), FEED_TAKE);
    assert_false(feed_skip(f, 1, 5)); /* 1 is here */
    assert_false(feed_skip(f, 3, 5)); /* line 2 was not announced */
    assert_false(feed_skip(f, 2, 1));
    assert_false(feed_skip(f, 0, 0));
    assert_int_equal(f->received, 1);
    assert_int_equal(f->lost, 0);
    assert_true(feed_skip(f, 2, 2));
    assert_true(feed_skip(f, 3, 5));
    assert_int_equal(f->received, 5);
    assert_int_equal(f->lost, 4);
    assert_int_equal(feed_judge(f, 4), FEED_DUPLICATE);
    assert_int_equal(feed_judge(f, 6), FEED_TAKE);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_free_name_is_granted_with_a_token_above_the_floor),
        TEST(a_held_name_is_refused_to_others_and_they_learn_the_holder),
        TEST(the_same_owner_asking_again_has_the_same_grant),
        TEST(every_grant_of_any_name_has_a_larger_token),
        TEST(a_lease_runs_out_after_silence_and_not_before),
        TEST(after_a_goodbye_the_name_is_free_at_once),
        TEST(only_the_current_token_is_heard),
        TEST(a_process_that_comes_back_goes_on_where_it_was),
        TEST(a_table_without_the_name_takes_the_acknowledged_line_from_the_feeder),
        TEST(a_restored_grant_goes_on_and_the_next_token_is_above_it),
        TEST(lines_are_acknowledged_at_a_quarter_of_the_feeders_window),
        TEST(names_out_of_bounds_are_refused),
        TEST(a_name_that_published_is_kept_and_one_that_never_did_makes_room),
        TEST(a_table_lacks_room_only_for_a_new_name_that_it_would_otherwise_take),
        TEST(a_connection_holds_only_so_many_names),
        TEST(numbers_that_no_feed_can_reach_are_refused),
        TEST(lines_are_taken_in_order_each_once),
        TEST(the_same_line_is_asked_for_only_so_often),
        TEST(only_the_lines_that_come_next_can_be_given_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
