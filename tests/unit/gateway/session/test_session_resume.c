/*
 * What a reconnecting client gets, and how a session behaves while the broker is away or its log
 * changes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gateway/session/resume_group.h"
#include "tests/unit/gateway/session/resume_fixture.h"

#define SNAPSHOT(symbol, seq) "{\"type\":\"snapshot\",\"symbol\":\"" symbol "\",\"seq\":" seq ","

/* The broker's page of records of A in (after, upto]; each position is one. */
static void answer_page(uint64_t first, uint64_t upto)
{
    uint64_t after = requested("after"), from = after + 1 > first ? after + 1 : first;
    struct buf b = {0};
    msgpack_packer pk;

    msgpack_packer_init(&pk, &b, buf_pack_write);
    msgpack_pack_map(&pk, 6);
    pack_kv_u(&pk, "epoch", EPOCH);
    pack_kv_u(&pk, "first", first);
    pack_kv_u(&pk, "upto", upto);
    pack_kv_u(&pk, "head", head);
    pack_key(&pk, "gaps");
    msgpack_pack_array(&pk, 0);
    pack_key(&pk, "records");
    msgpack_pack_array(&pk, upto + 1 > from ? (uint32_t)(upto + 1 - from) : 0);
    for (uint64_t seq = from; seq <= upto; seq++) {
        struct wire_record r = {.kind = WIRE_QUOTE, .epoch = EPOCH, .seq = seq};
        struct buf record = {0};

        r.prev = seq - 1;
        r.body = body_of("7");
        wire_put(&record, &r);
        msgpack_pack_array(&pk, 2);
        pack_text(&pk, SPAN("A "));
        msgpack_pack_bin_with_body(&pk, record.data, record.len);
        buf_free(&record);
    }
    answer_request(buf_span(&b));
    buf_free(&b);
}

/* The window drops all records published so far. */
static void forget_records(void)
{
    hub_break_window(all->hub, head);
}

/* --- in mode all ------------------------------------------------------------------------------ */

static void what_the_window_has_is_sent_in_order_and_then_what_is_new(void **state)
{
    struct peer *p;

    (void)state;
    follow("A,B,C");
    quote("A", "1");
    quote("B", "2");
    quote("A", "3");
    quote("C", "4");
    turn();
    p = come_back("symbols=A,B,C&mode=all&since=" EPOCH_TEXT ":2");
    receives(p, SUBSCRIBED);
    with(p, "\"seq\":2,");
    with(p, "\"recovered\":true");
    receives(p, QUOTE("A", "3"));
    receives(p, QUOTE("C", "4"));
    receives(p, "{\"type\":\"state\",\"symbol\":\"B\",\"seq\":2"); /* no record states it */
    quote("B", "5");
    turn();
    receives(p, QUOTE("B", "5"));
    receives_nothing(p);
    assert_int_equal(request_count, 0);
    assert_int_equal(counters.resumes[true], 1);
}

static void older_records_are_read_from_the_log_page_by_page(void **state)
{
    struct peer *p;

    (void)state;
    follow("A");
    for (int i = 0; i < 6; i++)
        quote("A", "1");
    turn();
    forget_records();
    p = come_back("symbols=A&mode=all&since=" EPOCH_TEXT ":1");
    receives_nothing(p);
    assert_string_equal(requests[0].op, "replay");
    assert_int_equal(requested("after"), 1);
    assert_int_equal(requested("limit"), RESUME_GROUP_PAGE);
    answer_page(1, 3);
    turn();
    receives(p, SUBSCRIBED);
    with(p, "\"recovered\":true");
    receives(p, QUOTE("A", "2"));
    receives(p, QUOTE("A", "3"));
    receives_nothing(p);
    quote("A", "1"); /* meanwhile */
    turn();
    receives_nothing(p); /* nothing follows a hole */
    assert_int_equal(requested("after"), 3);
    answer_page(1, 6);
    turn();
    turn();
    receives(p, QUOTE("A", "4"));
    receives(p, QUOTE("A", "5"));
    receives(p, QUOTE("A", "6"));
    receives(p, QUOTE("A", "7"));
    quote("A", "1");
    turn();
    receives(p, QUOTE("A", "8"));
    receives_nothing(p);
}

static void a_log_that_begins_right_behind_the_position_has_lost_nothing(void **state)
{
    struct peer *p;

    (void)state;
    follow("A");
    for (int i = 0; i < 3; i++)
        quote("A", "1");
    turn();
    forget_records();
    p = come_back("symbols=A&mode=all&since=" EPOCH_TEXT ":1");
    answer_page(2, 3);
    turn();
    turn();
    receives(p, SUBSCRIBED);
    with(p, "\"recovered\":true");
    receives(p, QUOTE("A", "2"));
    receives(p, QUOTE("A", "3"));
    receives_nothing(p);
}

static void clients_that_need_the_same_symbols_share_a_request_after_the_lowest(void **state)
{
    struct peer *p, *q, *r;

    (void)state;
    follow("A");
    for (int i = 0; i < 4; i++)
        quote("A", "1");
    turn();
    forget_records();
    p = come("symbols=A&mode=all&since=" EPOCH_TEXT ":3");
    q = come("symbols=A&mode=all&since=" EPOCH_TEXT ":1");
    r = come("symbols=A&mode=all&since=" EPOCH_TEXT ":2");
    turn();
    assert_int_equal(requested("after"), 1);
    session_drop(r->s, "gone meanwhile");
    turn();
    answer_page(1, 4);
    turn();
    receives(p, "{\"type\":\"welcome\"");
    receives(p, SUBSCRIBED);
    receives(p, QUOTE("A", "4"));
    receives_nothing(p);
    receives(q, "{\"type\":\"welcome\"");
    receives(q, SUBSCRIBED);
    receives(q, QUOTE("A", "2"));
    receives(q, QUOTE("A", "3"));
    receives(q, QUOTE("A", "4"));
    receives_nothing(q);
    assert_null(all->resumes);
}

static void positions_that_the_log_no_longer_has_are_answered_with_snapshots(void **state)
{
    struct peer *p;

    (void)state;
    follow("A");
    for (int i = 0; i < 4; i++)
        quote("A", "1");
    turn();
    forget_records();
    p = come_back("symbols=A&mode=all&since=" EPOCH_TEXT ":1");
    answer_page(4, 4);
    turn();
    receives(p, SUBSCRIBED);
    with(p, "\"recovered\":false");
    receives(p, SNAPSHOT("A", "4"));
    receives_nothing(p);
    assert_int_equal(counters.resumes[false], 1);
}

static void what_the_log_loses_while_it_is_read_is_reported_as_lost(void **state)
{
    struct peer *p;

    (void)state;
    follow("A");
    for (int i = 0; i < 6; i++)
        quote("A", "1");
    turn();
    forget_records();
    p = come_back("symbols=A&mode=all&since=" EPOCH_TEXT ":1");
    answer_page(1, 2);
    turn();
    answer_page(5, 6);
    turn();
    turn();
    receives(p, SUBSCRIBED);
    receives(p, QUOTE("A", "2"));
    receives(p, "{\"type\":\"lost\"");
    with(p, "\"first\":3,\"last\":4");
    with(p, "\"retention\"");
    receives(p, QUOTE("A", "5"));
    receives(p, QUOTE("A", "6"));
    receives_nothing(p);
}

static void a_position_of_another_log_is_answered_with_snapshots_at_once(void **state)
{
    struct peer *p;

    (void)state;
    follow("A");
    quote("A", "1");
    turn();
    p = come_back("symbols=A&mode=all&since=0000000000000def:1");
    receives(p, SUBSCRIBED ",\"epoch\":\"" EPOCH_TEXT "\"");
    with(p, "\"recovered\":false");
    receives(p, SNAPSHOT("A", "1"));
    assert_int_equal(request_count, 0);
}

static void a_request_without_an_answer_is_sent_again_but_not_in_every_turn(void **state)
{
    struct peer *p;

    (void)state;
    follow("A");
    quote("A", "1");
    quote("A", "2");
    turn();
    forget_records();
    p = come_back("symbols=A&mode=all&since=" EPOCH_TEXT ":1");
    answer_request(SPAN(""));
    pass(RESUME_GROUP_RETRY_MS - 1);
    assert_int_equal(request_count, 0);
    is_broker_here = false;
    pass(10);
    assert_int_equal(request_count, 0);
    is_broker_here = true;
    pass(2);
    answer_page(1, 2);
    turn();
    receives(p, SUBSCRIBED);
    receives(p, QUOTE("A", "2"));
}

static void a_position_beyond_the_log_is_answered_with_snapshots(void **state)
{
    struct peer *p;

    (void)state;
    follow("A");
    quote("A", "1");
    turn();
    p = come_back("symbols=A&mode=all&since=" EPOCH_TEXT ":9");
    receives_nothing(p); /* another gateway may be ahead */
    assert_int_equal(requested("after"), 9);
    answer_page(1, 1);
    turn();
    receives(p, SUBSCRIBED);
    with(p, "\"recovered\":false");
    receives(p, SNAPSHOT("A", "1"));
}

static void a_client_that_reads_slowly_gets_the_log_as_fast_as_it_reads(void **state)
{
    struct peer *p;

    (void)state;
    config.client_queue = 400;
    follow("A");
    for (int i = 0; i < 30; i++)
        quote("A", "1");
    turn();
    p = come("symbols=A&mode=all&since=" EPOCH_TEXT ":1");
    p->room = 0;
    turn();
    turn();
    assert_in_range(p->s->sub.backlog.queue_bytes, 100, 400);
    assert_false(sessions_have_more(all)); /* not before it has read */
    p->room = UNLIMITED;
    turn();
    assert_true(sessions_have_more(all));
    for (int i = 0; i < 40; i++)
        turn();
    receives(p, "{\"type\":\"welcome\"");
    receives(p, SUBSCRIBED);
    for (int seq = 2; seq <= 30; seq++) {
        char text[80];

        snprintf(text, sizeof text, "{\"type\":\"quote\",\"symbol\":\"A\",\"seq\":%d,", seq);
        receives(p, text);
    }
    receives_nothing(p);
    assert_false(p->s->requests);
}

/* --- in merge --------------------------------------------------------------------------------- */

static void in_merge_only_what_changed_since_is_sent(void **state)
{
    struct peer *p;

    (void)state;
    follow("A,B");
    quote("A", "1");
    quote("B", "2");
    turn();
    p = come_back("symbols=A,B&since=" EPOCH_TEXT ":1");
    receives(p, SUBSCRIBED);
    with(p, "\"recovered\":true");
    receives(p, "{\"type\":\"state\",\"symbol\":\"A\"");
    receives(p, SNAPSHOT("B", "2"));
    receives_nothing(p);
}

static void in_merge_a_client_that_is_ahead_waits_for_the_gateway(void **state)
{
    struct peer *p;

    (void)state;
    follow("A");
    quote("A", "1");
    turn();
    p = come_back("symbols=A&since=" EPOCH_TEXT ":2");
    receives_nothing(p);
    quote("A", "2");
    turn();
    turn();
    receives(p, SUBSCRIBED);
    with(p, "\"recovered\":true");
    p = come_back("symbols=A&since=" EPOCH_TEXT ":9");
    receives_nothing(p);
    answer_page(1, 2); /* the broker's head is 2 */
    turn();
    receives(p, SUBSCRIBED);
    with(p, "\"recovered\":false");
}

/* --- the broker is away, or its log is another one -------------------------------------------- */

static void in_merge_a_subscription_waits_a_while_for_topics_to_be_live(void **state)
{
    struct peer *p;

    (void)state;
    p = come("symbols=A");
    turn();
    receives(p, "{\"type\":\"welcome\"");
    pass(SESSION_WAIT_MS - 1);
    receives_nothing(p);
    pass(1);
    receives(p, SUBSCRIBED);
    with(p, "\"upstream\":\"away\"");
    is_broker_here = false;
    p = come("symbols=B");
    turn();
    receives(p, "{\"type\":\"welcome\"");
    receives(p, SUBSCRIBED);
    with(p, "\"upstream\":\"away\"");
}

static void in_mode_all_a_subscription_waits_until_its_topics_are_live(void **state)
{
    struct peer *p;

    (void)state;
    is_broker_here = false;
    p = come("symbols=A&mode=all");
    turn();
    receives(p, "{\"type\":\"welcome\"");
    pass(SESSION_WAIT_MS + 1000);
    receives_nothing(p);
    quote("A", "1");
    sync_topics();
    turn();
    receives(p, SUBSCRIBED);
    without(p, "upstream");
}

static void a_new_log_is_announced_and_mode_all_joins_anew(void **state)
{
    struct peer *p, *q;

    (void)state;
    follow("A");
    quote("A", "1");
    turn();
    p = come_back("symbols=A&mode=all");
    q = come_back("symbols=A");
    receives_all(p);
    receives_all(q);
    hub_reset(all->hub, EPOCH + 1);
    sessions_reset(all, "log_replaced");
    turn();
    receives(p, "{\"type\":\"reset\",\"epoch\":\"0000000000000abd\",\"seq\":0,"
                "\"reason\":\"log_replaced\"}");
    receives(q, "{\"type\":\"reset\"");
    head = 0;
    hub_thaw(all->hub);
    quote("A", "5");
    sync_topics();
    turn();
    turn();
    receives(p, SNAPSHOT("A", "1")); /* and no ack: there was no request */
    receives(q, "{\"type\":\"");
    with(q, "\"seq\":1,");
    quote("A", "6");
    turn();
    receives(p, QUOTE("A", "2"));
    receives(q, QUOTE("A", "2"));
}

static void a_loss_reaches_both_modes_and_in_all_it_keeps_its_place(void **state)
{
    struct peer *p, *q;
    struct buf body = {0};

    (void)state;
    follow("A");
    p = come_back("symbols=A&mode=all");
    q = come_back("symbols=A");
    receives_all(p);
    receives_all(q);
    quote("A", "1");
    hub_fan_out(all->hub);
    replay_put_hole(&body, 2, 3, SPAN("damaged"));
    head = 3;
    sessions_report_loss(all, 3, buf_span(&body));
    quote("A", "4");
    turn();
    receives(p, QUOTE("A", "1"));
    receives(p, "{\"type\":\"lost\",\"seq\":3");
    receives(p, QUOTE("A", "4"));
    receives(q, "{\"type\":\"lost\",\"seq\":3");
    receives(q, QUOTE("A", "4"));
    sessions_report_loss(all, 6, buf_span(&body)); /* nothing else is due */
    turn();
    receives(q, "{\"type\":\"lost\",\"seq\":6");
    buf_free(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_the_window_has_is_sent_in_order_and_then_what_is_new),
        TEST(older_records_are_read_from_the_log_page_by_page),
        TEST(a_log_that_begins_right_behind_the_position_has_lost_nothing),
        TEST(clients_that_need_the_same_symbols_share_a_request_after_the_lowest),
        TEST(positions_that_the_log_no_longer_has_are_answered_with_snapshots),
        TEST(what_the_log_loses_while_it_is_read_is_reported_as_lost),
        TEST(a_position_of_another_log_is_answered_with_snapshots_at_once),
        TEST(a_request_without_an_answer_is_sent_again_but_not_in_every_turn),
        TEST(a_position_beyond_the_log_is_answered_with_snapshots),
        TEST(a_client_that_reads_slowly_gets_the_log_as_fast_as_it_reads),
        TEST(in_merge_only_what_changed_since_is_sent),
        TEST(in_merge_a_client_that_is_ahead_waits_for_the_gateway),
        TEST(in_merge_a_subscription_waits_a_while_for_topics_to_be_live),
        TEST(in_mode_all_a_subscription_waits_until_its_topics_are_live),
        TEST(a_new_log_is_announced_and_mode_all_joins_anew),
        TEST(a_loss_reaches_both_modes_and_in_all_it_keeps_its_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
