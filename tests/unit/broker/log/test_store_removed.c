#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/broker/log/store_fixture.h"
#include "tests/unit/packed.h"

static void remove_symbol(unsigned symbol)
{
    struct buf body = {0};

    packed(&body, "{'state':'removed','by':'a test'}");
    publish_body(WIRE_STATE, symbol, buf_span(&body));
    buf_free(&body);
}

/* A record that removes the feed "sim". */
static void remove_feed(void)
{
    struct published *p = next_published();
    struct wire_record r = {
        .kind = WIRE_FORGET, .epoch = epoch, .seq = head, .accepted_us = now_us};
    struct buf body = {0};

    packed(&body, "{'feed':'sim','by':'a test'}");
    r.body = buf_span(&body);
    buf_adds(&p->topic, WIRE_TOPIC_FORGET);
    wire_put(&p->frame, &r);
    store_batch_add(batch, head, STORE_FEED_NONE, buf_span(&p->topic), buf_span(&p->frame));
    buf_free(&body);
}

static void write_records(void)
{
    assert_ok(store_write(store, batch, error));
    store_batch_clear(batch);
}

static void take_feed(void *ctx, const struct store_feed *f)
{
    buf_printf(ctx, "%.*s/%llu/%d ", (int)f->name.len, f->name.at, (unsigned long long)f->received,
               f->has_left);
}

static void take_last(void *ctx, const struct store_last *l)
{
    buf_printf(ctx, "%.*s/%llu/%s/%.*s ", (int)l->symbol.len, l->symbol.at,
               (unsigned long long)l->seq,
               l->is_removed   ? "removed"
               : l->record.len ? "there"
                               : "empty",
               (int)l->feed.len, l->feed.at);
}

static const char *feeds(void)
{
    static struct buf text;

    buf_clear(&text);
    assert_ok(store_each_feed(store, take_feed, &text, error));
    return buf_text(&text);
}

static const char *values(void)
{
    static struct buf text;

    buf_clear(&text);
    assert_ok(store_each_last(store, take_last, &text, error));
    return buf_text(&text);
}

static void a_removed_symbol_has_no_value_until_its_next_quote(void **state)
{
    (void)state;
    open_store(STORE_WRITE);
    begin_epoch();
    publish(WIRE_QUOTE, 0);
    publish(WIRE_QUOTE, 1);
    write_batch();
    remove_symbol(0);
    write_records();
    assert_string_equal(values(), "S0/3/removed/ S1/2/there/sim ");
    publish(WIRE_QUOTE, 0);
    write_batch();
    assert_string_equal(values(), "S0/4/there/sim S1/2/there/sim ");
}

static void within_a_batch_the_last_of_removals_and_quotes_counts(void **state)
{
    (void)state;
    open_store(STORE_WRITE);
    begin_epoch();
    publish(WIRE_QUOTE, 0);
    remove_symbol(0);
    remove_symbol(1);
    publish(WIRE_QUOTE, 1);
    write_batch();
    assert_string_equal(values(), "S0/2/removed/ S1/4/there/sim ");
    close_store();
    open_store(STORE_READ);
    assert_string_equal(values(), "S0/2/removed/ S1/4/there/sim ");
}

static void a_removed_feed_is_gone_and_may_come_back_in_the_same_batch(void **state)
{
    (void)state;
    open_store(STORE_WRITE);
    begin_epoch();
    publish(WIRE_QUOTE, 0);
    store_batch_feed(batch, 0, SPAN("sim"), SPAN("o"), 77, 1, true);
    write_records();
    assert_string_equal(feeds(), "sim/1/1 ");
    remove_feed();
    write_records();
    assert_string_equal(feeds(), "");
    assert_string_equal(values(), "S0/1/there/ "); /* of no feed now */
    publish(WIRE_QUOTE, 1);
    write_batch();
    assert_string_equal(feeds(), "sim/3/0 ");
    assert_string_equal(values(), "S0/1/there/ S1/3/there/sim ");
    remove_feed();
    store_batch_feed(batch, 0, SPAN("sim"), SPAN("p"), 78, 0, false);
    write_records();
    assert_string_equal(feeds(), "sim/0/0 ");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_removed_symbol_has_no_value_until_its_next_quote),
        TEST(within_a_batch_the_last_of_removals_and_quotes_counts),
        TEST(a_removed_feed_is_gone_and_may_come_back_in_the_same_batch),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
