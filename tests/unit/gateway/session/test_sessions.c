/* The work on all sessions in a turn: each time to the millisecond, each bound exactly. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/gateway/session/session_fixture.h"

/* A client that has subscribed to these patterns and has read all its messages. */
static struct peer *come_live(const char *query)
{
    struct peer *p = come(query);

    turn();
    sync_topics();
    turn();
    receives_all(p);
    return p;
}

/* The time is `at`, and every session was looked at once. */
static void sweep_at(int64_t at)
{
    now = at;
    sessions_set_time(all, now, now, WALL_US + now * 1000);
    for (int i = 0; i < 10; i++)
        sessions_sweep(all);
    turn();
}

/* --- sweeps ------------------------------------------------------------ */

static void pings_come_at_each_interval_of_silence(void **state)
{
    struct peer *p = come_live("symbols=A");
    int64_t begin = now;

    (void)state;
    config.heartbeat = 1000000;
    p->s->heartbeat_at = INT64_MAX / 2;
    config.ws_ping_interval = 1000;
    sweep_at(begin + 999);
    receives_nothing(p);
    sweep_at(begin + 1000);
    receives(p, "");
    assert_int_equal(p->last_opcode, OPCODE_PING);
    sweep_at(begin + 1999);
    receives_nothing(p);
    sweep_at(begin + 2000);
    receives(p, "");
    p->room = 0; /* a client that reads nothing gets none */
    quote("A", "1");
    turn();
    sweep_at(begin + 3000);
    p->room = UNLIMITED;
    turn();
    receives(p, "{\"type\":\"quote\"");
    receives_nothing(p);
    send_frame(p, FINAL | 10, "", 0); /* its pong: a new silence begins */
    turn();
    assert_int_equal(p->s->pings, 0);
    sweep_at(begin + 3999);
    receives_nothing(p);
    sweep_at(begin + 4000);
    receives(p, "");
    config.ws_ping_interval = 0; /* a third of the timeout */
    p->s->pings = 0;
    p->s->heard_at = now;
    sweep_at(now + config.websocket_timeout / 3 - 1);
    receives_nothing(p);
    sweep_at(now + 1);
    receives(p, "");
    assert_int_equal(p->last_opcode, OPCODE_PING);
}

static void a_silence_of_the_timeout_ends_a_session(void **state)
{
    struct peer *p = come_live("symbols=A"), *blocked = come_live("symbols=A");
    int64_t begin = now;

    (void)state;
    config.ws_ping_interval = 1000000;
    p->s->heartbeat_at = blocked->s->heartbeat_at = INT64_MAX / 2;
    p->s->heard_at = blocked->s->heard_at = begin;
    blocked->room = 0;
    quote("A", "1");
    turn();
    receives_all(p);
    sweep_at(begin + config.websocket_timeout - 1);
    receives_nothing(p);
    assert_false(blocked->is_closed);
    sweep_at(begin + config.websocket_timeout);
    receives_close(p, 4001, "{\"code\":\"idle\"");
    assert_false(p->is_closed);      /* its answer is awaited */
    assert_true(blocked->is_closed); /* it cannot take a close frame */
    assert_int_equal(counters.ends[COUNTERS_END_idle], 1);
}

static void a_close_frame_is_awaited_for_two_seconds(void **state)
{
    struct peer *p = come_live("symbols=A");
    int64_t begin = now;

    (void)state;
    session_close(p->s, 1001, SPAN(""), "test");
    turn();
    receives_close(p, 1001, "");
    sweep_at(begin + 1999);
    assert_false(p->is_closed);
    sweep_at(begin + 2000);
    assert_true(p->is_closed);
    assert_int_equal(counters.ends[COUNTERS_END_bad_frame], 1);
}

static void a_heartbeat_comes_when_it_is_due_or_with_a_quote_in_the_last_second(void **state)
{
    struct peer *p = come_live("symbols=A");
    int64_t due = p->s->heartbeat_at;

    (void)state;
    config.ws_ping_interval = 1000000;
    assert_int_equal(due, 100000 + config.heartbeat);
    sweep_at(due - 1001);
    assert_false(p->s->is_heartbeat_pending);
    sweep_at(due - 1000);
    assert_true(p->s->is_heartbeat_pending);
    receives_nothing(p);
    sweep_at(due);
    receives(p, "{\"type\":\"heartbeat\",\"seq\":0");
    assert_false(p->s->is_heartbeat_pending);
    assert_int_equal(p->s->heartbeat_at, due + config.heartbeat);
}

/* It has a heartbeat behind it, since the sweep before. */
static unsigned swept(struct peer *list[], size_t count)
{
    unsigned was = 0;

    for (size_t i = 0; i < count; i++) {
        was |= (unsigned)take_frame(list[i]) << i;
        receives_all(list[i]);
    }
    return was;
}

static void a_sweep_looks_at_a_tenth_of_all(void **state)
{
    struct peer *list[25];
    unsigned seen = 0;

    (void)state;
    config.ws_ping_interval = 1000000;
    for (size_t i = 0; i < 25; i++)
        list[i] = come_live("symbols=A");
    now += config.heartbeat;
    sessions_set_time(all, now, now, 0);
    for (unsigned part = 0; part < 10; part++) {
        unsigned tenth;

        sessions_sweep(all);
        turn();
        tenth = swept(list, 25);
        assert_int_equal(tenth,
                         (1u << part | 1u << (part + 10) | 1u << (part + 20)) & ((1u << 25) - 1));
        sessions_measure(all);
        seen |= tenth;
    }
    assert_int_equal(seen, (1u << 25) - 1);
    assert_int_equal(histogram_upto(&counters.queued[0], counters.queued[0].scale->count), 25);
    assert_int_equal(histogram_upto(&counters.queued[1], counters.queued[1].scale->count), 0);
}

static void a_sweep_that_ends_a_session_looks_at_the_one_in_its_place(void **state)
{
    struct peer *list[11];

    (void)state;
    for (size_t i = 0; i < 11; i++) {
        list[i] = come_live("symbols=A");
        list[i]->room = 0;
    }
    quote("A", "1");
    turn();
    now += config.websocket_timeout;
    sessions_set_time(all, now, now, 0);
    for (size_t i = 1; i < 10; i++)
        list[i]->s->heard_at = now;
    sessions_sweep(all); /* of places 0 and 10: the second one moves into the first place */
    turn();
    assert_true(list[0]->is_closed && list[10]->is_closed);
    assert_int_equal(all->count, 9);
}

/* --- flushes ------------------------------------------------------------ */

static void a_flush_of_some_leaves_the_others_due(void **state)
{
    struct peer *list[3];
    uint64_t sends;

    (void)state;
    for (size_t i = 0; i < 3; i++)
        list[i] = come_live("symbols=A");
    quote("A", "1");
    hub_fan_out(all->hub);
    sends = counters.sends;
    sessions_flush_due(all, 0, UINT64_MAX / 2, false);
    assert_int_equal(counters.sends, sends);
    sessions_flush_due(all, 2, UINT64_MAX / 2, false);
    assert_int_equal(counters.sends, sends + 2);
    assert_int_equal(hub_due_count(all->hub), 1);
    sessions_flush_due(all, SIZE_MAX, UINT64_MAX / 2, false);
    assert_int_equal(counters.sends, sends + 3);
    quote("A", "2");
    hub_fan_out(all->hub);
    sessions_flush_due(all, SIZE_MAX, 1, false); /* until so many bytes were sent */
    assert_int_equal(counters.sends, sends + 4);
    turn();
    assert_int_equal(counters.sends, sends + 6);
    for (size_t i = 0; i < 3; i++) {
        receives(list[i], "{\"type\":\"quote\",\"symbol\":\"A\",\"seq\":1");
        receives(list[i], "{\"type\":\"quote\",\"symbol\":\"A\",\"seq\":2");
    }
}

static void those_with_requests_at_work_can_be_left_for_later(void **state)
{
    struct peer *p = come_live("symbols=A"), *q = come_live("symbols=A");

    (void)state;
    writes(p, "{\"op\":\"subscribe\",\"symbols\":[\"Z\"]}"); /* waits for its topic */
    quote("A", "1");
    hub_fan_out(all->hub);
    sessions_flush_due(all, SIZE_MAX, UINT64_MAX / 2, true);
    receives_nothing(p);
    receives(q, "{\"type\":\"quote\"");
    sessions_flush_due(all, SIZE_MAX, UINT64_MAX / 2, false);
    receives(p, "{\"type\":\"quote\"");
}

static void max_hz_holds_each_back_for_its_own_time(void **state)
{
    struct peer *fast = come_live("symbols=A&max_hz=100"), *slow = come_live("symbols=A&max_hz=50"),
                *gone = come_live("symbols=A&max_hz=20");

    (void)state;
    pass(100);
    quote("A", "1");
    turn();
    receives(fast, "{\"type\":\"quote\"");
    receives(slow, "{\"type\":\"quote\"");
    receives(gone, "{\"type\":\"quote\"");
    quote("A", "2");
    turn();
    assert_int_equal(all->deferred_count, 3);
    session_drop(gone->s, "test");
    turn();
    assert_int_equal(all->deferred_count, 2);
    pass(9);
    receives_nothing(fast);
    pass(1);
    receives(fast, "{\"type\":\"quote\",\"symbol\":\"A\",\"seq\":2");
    assert_int_equal(all->deferred_count, 1);
    pass(9);
    receives_nothing(slow);
    pass(1);
    receives(slow, "{\"type\":\"quote\",\"symbol\":\"A\",\"seq\":2");
    assert_int_equal(all->deferred_count, 0);
    assert_false(fast->s->is_deferred || slow->s->is_deferred);
}

static void each_session_that_ends_while_it_is_held_back_is_forgotten(void **state)
{
    struct peer *list[3];

    (void)state;
    for (size_t i = 0; i < 3; i++)
        list[i] = come_live("symbols=A&max_hz=10");
    pass(100);
    quote("A", "1");
    turn();
    quote("A", "2");
    turn();
    assert_int_equal(all->deferred_count, 3);
    session_drop(list[1]->s, "test");
    sessions_reap(all);
    assert_int_equal(all->deferred_count, 2);
    session_drop(list[2]->s, "test");
    session_drop(list[0]->s, "test");
    sessions_reap(all);
    assert_int_equal(all->deferred_count, 0);
}

static void a_lower_max_hz_does_not_prolong_what_is_held_back(void **state)
{
    struct peer *p = come_live("symbols=A&max_hz=1");

    (void)state;
    pass(1000);
    quote("A", "1");
    turn();
    receives(p, "{\"type\":\"quote\"");
    assert_int_equal(p->s->flush_at, now + 1000);
    writes(p, "{\"op\":\"subscribe\",\"symbols\":[],\"max_hz\":10}");
    assert_int_equal(p->s->flush_at, now + 100);
    writes(p, "{\"op\":\"subscribe\",\"symbols\":[],\"max_hz\":1}");
    assert_int_equal(p->s->flush_at, now + 100); /* sooner than that */
    assert_int_equal(p->s->interval_ms, 1000);
}

static void an_answer_that_a_held_back_session_cannot_take_waits(void **state)
{
    struct peer *p = come_live("symbols=A&max_hz=10");

    (void)state;
    pass(100);
    quote("A", "1");
    turn();
    receives(p, "{\"type\":\"quote\"");
    quote("A", "2");
    turn();
    p->room = 5;
    writes(p, "{\"op\":\"ping\"}");
    assert_true(p->s->is_blocked);
    assert_int_equal(all->blocked_count, 1);
    p->room = UNLIMITED;
    turn();
    receives(p, "{\"type\":\"ack\",\"op\":\"ping\"");
    assert_int_equal(all->blocked_count, 0);
    p->has_failed = true;
    writes(p, "{\"op\":\"ping\"}");
    assert_true(p->is_closed);
}

/* --- to all ------------------------------------------------------------ */

static void a_loss_is_reported_to_all_and_counted(void **state)
{
    struct peer *merge = come_live("symbols=A"), *each = come_live("symbols=A&mode=all"),
                *closing = come_live("symbols=A");
    uint64_t deliveries = counters.deliveries, merge_out = merge->s->messages_out,
             all_out = each->s->messages_out;
    struct buf body = {0};
    msgpack_packer pk;

    (void)state;
    session_close(closing->s, 1001, SPAN(""), "test");
    turn();
    receives_close(closing, 1001, "");
    msgpack_packer_init(&pk, &body, buf_pack_write);
    msgpack_pack_map(&pk, 1);
    pack_kv_text(&pk, "feed", SPAN("f"));
    sessions_report_loss(all, ++head, buf_span(&body));
    buf_free(&body);
    turn();
    receives(merge, "{\"type\":\"lost\",\"seq\":1,\"feed\":\"f\"");
    receives(each, "{\"type\":\"lost\",\"seq\":1,\"feed\":\"f\"");
    receives_nothing(closing);
    assert_int_equal(counters.deliveries, deliveries + 2);
    assert_int_equal(merge->s->messages_out, merge_out + 1);
    assert_int_equal(each->s->messages_out, all_out + 1);
}

static void losses_fill_the_queue_of_a_client_to_the_byte(void **state)
{
    struct peer *p = come_live("symbols=A");
    struct span body = body_of("1");
    size_t frame;

    (void)state;
    p->room = 0;
    quote("A", "1");
    turn(); /* blocked */
    sessions_report_loss(all, ++head, body);
    frame = p->s->out.len;
    assert_true(frame > 0);
    config.client_queue = (int64_t)(2 * frame);
    sessions_report_loss(all, ++head, body);
    assert_int_equal(p->s->out.len, 2 * frame);
    assert_false(p->s->sub.backlog.has_overflowed);
    sessions_report_loss(all, ++head, body);
    assert_int_equal(p->s->out.len, 2 * frame);
    assert_true(p->s->sub.backlog.has_overflowed);
    p->room = UNLIMITED;
}

static void a_new_log_is_told_to_each_that_is_not_closing(void **state)
{
    struct peer *merge = come_live("symbols=A"), *each = come_live("symbols=A&mode=all"),
                *closing = come_live("symbols=A");

    (void)state;
    quote("A", "1");
    turn();
    receives_all(merge);
    receives_all(each);
    receives_all(closing);
    session_close(closing->s, 1001, SPAN(""), "test");
    turn();
    receives_close(closing, 1001, "");
    hub_reset(all->hub, EPOCH + 1);
    sessions_reset(all, "log_replaced");
    turn();
    receives(merge, "{\"type\":\"reset\",\"epoch\":\"0000000000000abd\",\"seq\":0,"
                    "\"reason\":\"log_replaced\"}");
    receives(each, "{\"type\":\"reset\"");
    receives_nothing(closing);
    assert_int_equal(merge->s->requests, 0);
    assert_int_equal(each->s->requests, 1); /* it joins anew */
    assert_int_equal(merge->s->stated_seq, 0);
}

static void clients_that_are_sent_away_reconnect_at_times_of_their_own(void **state)
{
    static const char *const times[] = {"0.5}", "2}", "1.25}"}; /* of 0.5 and three seconds */
    struct peer *list[3];

    (void)state;
    for (size_t i = 0; i < 3; i++)
        list[i] = come_live("symbols=A");
    config.handshake_rate = 1;
    sessions_send_away(all, 0);
    turn();
    for (size_t i = 0; i < 3; i++) { /* the last one first */
        receives(list[2 - i], "{\"type\":\"going_away\",\"reason\":\"restart\","
                              "\"reconnect_after\":");
        with(list[2 - i], times[i]);
    }
    assert_int_equal(all->away_count, 3);
}

static void the_time_to_reconnect_grows_with_the_clients_and_shrinks_with_the_gateways(void **state)
{
    (void)state;
    config.handshake_rate = 2000;
    for (uint32_t n = 0; n < 100; n++)
        assert_in_range(session_reconnect_ms(all, n, 100, 0), 500, 549);
    assert_int_equal(session_reconnect_ms(all, 1, 8, 1), 502); /* half of 4 ms */
    assert_int_equal(session_reconnect_ms(all, 1, 8000, 1), 2500);
    assert_int_equal(session_reconnect_ms(all, 1, 8000, 4), 1000);
    config.handshake_rate = 1;
    assert_int_equal(session_reconnect_ms(all, 1, UINT64_MAX / 1000, 1), 500 + 1800000);
}

/* --- input ------------------------------------------------------------ */

static void one_that_sends_too_much_is_read_again_in_the_next_millisecond(void **state)
{
    struct peer *p = come_live("symbols=A"), *q = come_live("symbols=A");

    (void)state;
    session_throttle(p->s);
    session_throttle(q->s);
    session_throttle(p->s); /* it is already */
    assert_int_equal(p->s->throttled_until, now + 1);
    sessions_unthrottle(all);
    assert_true(p->s->is_throttled && q->s->is_throttled);
    session_throttle_end(p->s);
    session_throttle_end(p->s);
    assert_ptr_equal(all->throttled, q->s);
    assert_null(q->s->next_throttled);
    sessions_set_time(all, now + 1, now + 1, 0);
    sessions_unthrottle(all);
    assert_false(q->s->is_throttled);
    assert_null(all->throttled);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(pings_come_at_each_interval_of_silence),
        TEST(a_silence_of_the_timeout_ends_a_session),
        TEST(a_close_frame_is_awaited_for_two_seconds),
        TEST(a_heartbeat_comes_when_it_is_due_or_with_a_quote_in_the_last_second),
        TEST(a_sweep_looks_at_a_tenth_of_all),
        TEST(a_sweep_that_ends_a_session_looks_at_the_one_in_its_place),
        TEST(a_flush_of_some_leaves_the_others_due),
        TEST(those_with_requests_at_work_can_be_left_for_later),
        TEST(max_hz_holds_each_back_for_its_own_time),
        TEST(each_session_that_ends_while_it_is_held_back_is_forgotten),
        TEST(a_lower_max_hz_does_not_prolong_what_is_held_back),
        TEST(an_answer_that_a_held_back_session_cannot_take_waits),
        TEST(a_loss_is_reported_to_all_and_counted),
        TEST(losses_fill_the_queue_of_a_client_to_the_byte),
        TEST(a_new_log_is_told_to_each_that_is_not_closing),
        TEST(clients_that_are_sent_away_reconnect_at_times_of_their_own),
        TEST(the_time_to_reconnect_grows_with_the_clients_and_shrinks_with_the_gateways),
        TEST(one_that_sends_too_much_is_read_again_in_the_next_millisecond),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
