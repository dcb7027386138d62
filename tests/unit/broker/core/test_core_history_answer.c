/* The core's answers about a symbol's history, made from results of the store. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/core/core_private.h"
#include "broker/log/archive.h"
#include "tests/unit/broker/core/core_fixture.h"

/* Positions 1 to 6, all in the ring: B, then A. */
static int set_up_quotes(void **state)
{
    set_up(state);
    answer_to("peer", "{'op':'hello','id':1,'role':'feeder','name':'sim','owner':'one','oldest':1,"
                      "'newest':1,'acked':0,'host':'h','pid':9}");
    for (unsigned i = 1; i <= 6; i++)
        line(FIRST_FEED_EPOCH, i, i < 5 ? "B " : "A ", "1.5");
    forget_sent(replies, &reply_count);
    return 0;
}

/* The result of a store that had positions up to `head` and no record of A. */
static struct archive_result nothing_up_to(uint64_t head)
{
    return (struct archive_result){.is_history = true,
                                   .symbol = "A",
                                   .query = {.limit = 10},
                                   .page = {.first = 1, .head = head}};
}

static bool answers(struct archive_result *r, struct buf *again)
{
    struct control_request q = {
        .answers = &core.answers, .peer = SPAN("peer"), .id = 9, .op = SPAN("history")};

    return core_history_answer(&core.log, &q, r, again);
}

static void an_empty_page_that_ends_before_the_ring_does_leads_on_to_the_ring(void **state)
{
    struct archive_result r = nothing_up_to(3);
    struct buf again = {0};
    struct span records;
    struct pack_value list;

    (void)state;
    assert_false(answers(&r, &again));
    assert_int_equal(reply_count, 0);
    assert_int_equal(pack_check(buf_span(&again)), OK);
    assert_int_equal(core_request_add(&core, SPAN("peer"), buf_span(&again)), OK);
    work();
    assert_int_equal(reply_count, 1);
    assert_int_equal(pack_find_u(last_answer(), "id", 0), 9);
    assert_true(pack_find(last_answer(), "records", &list, &records));
    assert_int_equal(list.count, 2);
    assert_int_equal(pack_find_u(last_answer(), "last", 0), 6);
    buf_free(&again);
}

static void the_peer_is_told_where_to_go_on_if_the_ring_cannot_be_read_now(void **state)
{
    struct archive_result r = nothing_up_to(3);

    (void)state;
    assert_true(answers(&r, NULL));
    assert_int_equal(reply_count, 1);
    assert_int_equal(pack_find_u(last_answer(), "next", 0), 3);
}

static void a_page_that_reaches_the_head_is_all_there_is(void **state)
{
    struct archive_result r = nothing_up_to(6);
    struct buf again = {0};

    (void)state;
    assert_true(answers(&r, &again));
    assert_int_equal(pack_find_u(last_answer(), "next", 7), 0);
    assert_int_equal(again.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, set_up_quotes, tear_down)
        T(an_empty_page_that_ends_before_the_ring_does_leads_on_to_the_ring),
        T(the_peer_is_told_where_to_go_on_if_the_ring_cannot_be_read_now),
        T(a_page_that_reaches_the_head_is_all_there_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
