#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/broker/log/store_fixture.h"

static uint64_t last_key, taken[16];
static size_t taken_count;

/* A key as core_key writes it: a position without a symbol. */
static void publish_key(void)
{
    struct published *p = next_published();
    struct wire_record r = {.kind = WIRE_KEY,
                            .epoch = epoch,
                            .seq = head,
                            .prev = last_key,
                            .accepted_us = now_us,
                            .body = SPAN("\x81\xa3key\xa1k")};

    last_key = head;
    buf_adds(&p->topic, WIRE_TOPIC_KEY);
    wire_put(&p->frame, &r);
    store_batch_add(batch, head, STORE_FEED_NONE, buf_span(&p->topic), buf_span(&p->frame));
}

static bool is_young(void *ctx, const struct wire_record *r)
{
    return r->accepted_us >= *(const uint64_t *)ctx;
}

static void take(void *ctx, const struct wire_record *r)
{
    (void)ctx;
    assert_int_equal(r->kind, WIRE_KEY);
    assert_true(span_eq(pack_find_text(r->body, "key"), "k"));
    taken[taken_count++] = r->seq;
}

static void keys_since(uint64_t since_us, size_t max)
{
    taken_count = 0;
    assert_ok(store_each_key(store, max, is_young, take, &since_us, error));
}

/* Three keys among quotes, in two batches. */
static void make_keys(void)
{
    last_key = 0;
    open_store(STORE_WRITE);
    begin_epoch();
    publish(WIRE_QUOTE, 1);
    publish_key();
    publish(WIRE_QUOTE, 2);
    now_us += 1000;
    publish_key();
    write_batch();
    publish(WIRE_QUOTE, 1);
    write_batch();
    now_us += 1000;
    publish_key();
    write_batch();
}

static void keys_come_back_oldest_first_and_bounded(void **state)
{
    (void)state;
    open_store(STORE_WRITE);
    keys_since(0, 10);
    assert_int_equal(taken_count, 0);
    close_store();
    make_keys();
    for (int reopened = 0; reopened < 2; reopened++) {
        keys_since(0, 10);
        assert_int_equal(taken_count, 3);
        assert_true(taken[0] == 2 && taken[1] == 4 && taken[2] == 6);
        keys_since(now_us - 1000, 10);
        assert_true(taken_count == 2 && taken[0] == 4);
        keys_since(0, 1);
        assert_true(taken_count == 1 && taken[0] == 6);
        keys_since(now_us + 1, 10);
        assert_int_equal(taken_count, 0);
        close_store();
        open_store(STORE_WRITE);
    }
}

static void keys_before_a_gap_of_the_log_come_back(void **state)
{
    (void)state;
    make_keys();
    /* two positions, one of them a key, that the disk did not store */
    publish_gap(2);
    last_key = head;
    write_batch();
    publish(WIRE_QUOTE, 1);
    publish_key();
    write_batch();
    keys_since(0, 10);
    assert_int_equal(taken_count, 4);
    assert_true(taken[0] == 2 && taken[2] == 6 && taken[3] == head);
}

static void no_reader_of_the_log_sees_a_key(void **state)
{
    struct store_query q = {.patterns = SPAN("*"), .until = 6};
    struct store_page page;

    (void)state;
    make_keys();
    assert_ok(store_replay(store, &q, &page, error));
    assert_int_equal(page.count, 3);
    assert_int_equal(page.gap_count, 0);
    assert_int_equal(page.upto, 6);
    store_page_clear(&page);
    assert_int_equal(state_now().head, 6);
    assert_int_equal(state_now().last_loss, 0);
}

static void keys_that_were_pruned_are_gone(void **state)
{
    uint64_t removed = 0;

    (void)state;
    make_keys();
    assert_ok(store_prune(store, 2, 0, 100, &removed, error));
    assert_int_equal(removed, 4);
    keys_since(0, 10);
    assert_true(taken_count == 1 && taken[0] == 6);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(keys_come_back_oldest_first_and_bounded),
        TEST(keys_before_a_gap_of_the_log_come_back),
        TEST(no_reader_of_the_log_sees_a_key),
        TEST(keys_that_were_pruned_are_gone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
