/* How a session reads, sends, keeps alive and ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/dice.h"
#include "tests/unit/gateway/session/session_fixture.h"

#define PING "{\"op\":\"ping\"}"
#define PONGED "{\"type\":\"ack\",\"op\":\"ping\""

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

/* --- input ------------------------------------------------------------------------------------ */

static void messages_are_read_however_the_network_cuts_them(void **state)
{
    struct peer *p = come_live("symbols=A");

    (void)state;
    p->chunk = 1;
    for (int i = 0; i < 3; i++)
        send_frame(p, FINAL | OPCODE_TEXT, PING, strlen(PING));
    for (int i = 0; i < 200; i++)
        turn();
    receives(p, PONGED);
    receives(p, PONGED);
    receives(p, PONGED);
    receives_nothing(p);
    assert_null(p->s->in); /* an idle session has no state of wslay */
}

static void a_message_in_fragments_is_one_and_a_ping_between_them_is_answered(void **state)
{
    struct peer *p = come_live("symbols=A");

    (void)state;
    send_frame(p, OPCODE_TEXT, "{\"op\":", 6);
    send_frame(p, FINAL | OPCODE_PING, "beat", 4);
    turn();
    receives(p, "beat");
    assert_int_equal(p->last_opcode, 10); /* a pong */
    assert_non_null(p->s->in);
    send_frame(p, 0, "\"ping\"", 6);
    turn();
    receives_nothing(p);
    send_frame(p, FINAL, "}", 1);
    turn();
    receives(p, PONGED);
    assert_null(p->s->in);
}

static void a_turn_reads_a_bounded_part_and_the_next_millisecond_goes_on(void **state)
{
    struct peer *p = come_live("symbols=A");

    (void)state;
    p->chunk = 20; /* so that each read has one frame */
    for (int i = 0; i < 100; i++)
        send_frame(p, FINAL | OPCODE_TEXT, PING, strlen(PING));
    turn();
    turn();
    assert_in_range(p->s->messages_in, SESSION_READ_FRAMES, SESSION_READ_FRAMES + 1);
    assert_false(session_reads(p->s));
    pass(1);
    assert_in_range(p->s->messages_in, 2 * SESSION_READ_FRAMES, 2 * SESSION_READ_FRAMES + 2);
    pass(10);
    assert_int_equal(p->s->messages_in, 100);
    assert_null(all->throttled);
}

static void ends_with(const char *query, const void *bytes, size_t len, unsigned code,
                      const char *reason, enum counters_end end)
{
    struct peer *p = come_live(query);
    uint64_t before = counters.ends[end];

    buf_add(&p->to, bytes, len);
    turn();
    receives_close(p, code, reason);
    receives_nothing(p);
    assert_true(p->has_end || p->is_closed);
    p->has_ended = true;
    turn();
    assert_true(p->is_closed);
    assert_int_equal(counters.ends[end], before + 1);
}

static void what_is_no_websocket_frame_is_closed_with_1002(void **state)
{
    (void)state;
    ends_with("", "\x81\x02{}", 4, 1002, "", COUNTERS_END_bad_frame);
    ends_with("", "\x83\x80\0\0\0\0", 6, 1002, "", COUNTERS_END_bad_frame);
    ends_with("", "\xc1\x80\0\0\0\0", 6, 1002, "", COUNTERS_END_bad_frame);
    ends_with("", "\x80\x80\0\0\0\0", 6, 1002, "", COUNTERS_END_bad_frame);
    ends_with("", "\x88\x81\0\0\0\0x", 7, 1002, "{\"code\":\"bad_frame\"}", COUNTERS_END_bad_frame);
}

static void a_frame_over_the_limit_is_closed_before_its_payload_comes(void **state)
{
    (void)state;
    config.ws_max_size = 125;
    ends_with("", "\x81\xfe\0\x7e\0\0\0\0", 8, 1009,
              "{\"code\":\"too_large\",\"setting\":\"WS_MAX_SIZE\"}", COUNTERS_END_too_large);
}

static void fragments_without_end_are_closed_with_1009(void **state)
{
    struct peer *p = come_live("");

    (void)state;
    send_frame(p, OPCODE_TEXT, "", 0);
    for (int i = 0; i < 2000; i++)
        send_frame(p, 0, "", 0);
    pass(10);
    receives_close(p, 1009, "{\"code\":\"too_large\"");
    p->has_failed = true;
    turn();
    assert_true(p->is_closed);
}

/* --- ends ------------------------------------------------------------------------------------- */

static void a_close_frame_of_the_client_is_echoed_and_ends_the_session(void **state)
{
    struct peer *p = come_live("symbols=A");

    (void)state;
    writes(p, PING);
    writes_close(p, 1000);
    receives(p, PONGED);
    receives_close(p, 1000, "");
    assert_true(p->is_closed);
    assert_int_equal(counters.ends[COUNTERS_END_left], 1);
    assert_int_equal(hub_topic_find(all->hub, SPAN("A")) == NULL, true); /* forgotten */
}

static void a_client_that_vanishes_is_dropped(void **state)
{
    struct peer *p = come_live("symbols=A"), *q = come_live("symbols=A");

    (void)state;
    p->has_ended = true;
    q->has_failed = true;
    turn();
    assert_true(p->is_closed && q->is_closed);
    assert_int_equal(counters.ends[COUNTERS_END_lost], 2);
    assert_int_equal(all->count, 0);
    p = come_live("symbols=A");
    send_frame(p, FINAL | OPCODE_TEXT, PING, strlen(PING));
    p->has_ended = true; /* its earlier bytes are still read */
    turn();
    assert_int_equal(counters.messages_in, 1);
    assert_true(p->is_closed);
}

static void a_stopping_gateway_says_when_to_reconnect_and_closes_with_1012(void **state)
{
    struct peer *p = come_live("symbols=A"), *q = come_live("symbols=A");

    (void)state;
    sessions_send_away(all, 1);
    sessions_send_away(all, 1); /* those that are closing get no second one */
    turn();
    for (int i = 0; i < 2; i++) {
        receives(i ? q : p, "{\"type\":\"going_away\",\"reason\":\"restart\",\"reconnect_after\":");
        receives_close(i ? q : p, 1012, "{\"code\":\"restart\"}");
        receives_nothing(i ? q : p);
    }
    writes_close(p, 1012);
    assert_true(p->is_closed);
    assert_false(q->is_closed);
    pass(3000); /* it does not answer */
    assert_true(q->is_closed);
    assert_int_equal(counters.ends[COUNTERS_END_restart], 2);
}

/* --- alive ------------------------------------------------------------------------------------ */

static void a_silent_client_gets_pings_and_then_4001(void **state)
{
    struct peer *p = come_live("symbols=A");

    (void)state;
    config.heartbeat = 1000000;
    p->s->heartbeat_at = INT64_MAX / 2;
    pass(config.websocket_timeout / 3 + 1000);
    receives(p, "");
    assert_int_equal(p->last_opcode, OPCODE_PING);
    receives_nothing(p);
    send_frame(p, FINAL | 10, "", 0); /* its pong */
    turn();
    pass(config.websocket_timeout - 1000);
    receives(p, "");
    receives(p, "");
    receives_nothing(p);
    pass(2000);
    receives_close(p, 4001, "{\"code\":\"idle\",\"setting\":\"WEBSOCKET_TIMEOUT\"}");
    writes_close(p, 4001);
    assert_true(p->is_closed);
    assert_int_equal(counters.ends[COUNTERS_END_idle], 1);
}

static void heartbeats_state_the_position_that_is_complete(void **state)
{
    struct peer *p = come_live("symbols=A");

    (void)state;
    config.ws_ping_interval = 1000000;
    pass(config.heartbeat + 2000);
    receives(p, "{\"type\":\"heartbeat\",\"seq\":0,\"merged\":0,\"timestamp\":16");
    receives_nothing(p);
    quote("B", "1"); /* a quote of a symbol that the client did not subscribe to */
    turn();
    pass(config.heartbeat);
    receives(p, "{\"type\":\"heartbeat\",\"seq\":1");
    p->room = 0;
    quote("A", "2");
    turn();
    quote("A", "3");
    turn();
    pass(config.heartbeat + 2000); /* a full socket gets none */
    p->room = UNLIMITED;
    turn();
    receives(p, "{\"type\":\"heartbeat\",\"seq\":1"); /* the quote was still unsent */
    receives(p, "{\"type\":\"quote\",\"symbol\":\"A\",\"seq\":3");
    pass(config.heartbeat + 2000);
    receives(p, "{\"type\":\"heartbeat\",\"seq\":3,\"merged\":1");
}

static void a_heartbeat_goes_along_with_a_quote_shortly_before_it_is_due(void **state)
{
    struct peer *p = come_live("symbols=A");

    (void)state;
    pass(config.heartbeat - 200);
    receives_nothing(p);
    quote("A", "1");
    turn();
    receives(p, "{\"type\":\"heartbeat\",\"seq\":0");
    receives(p, "{\"type\":\"quote\",\"symbol\":\"A\",\"seq\":1");
    pass(config.heartbeat - 1500);
    receives_nothing(p);
}

/* --- output ----------------------------------------------------------------------------------- */

static void a_client_in_merge_that_reads_slowly_gets_the_newest_values(void **state)
{
    struct peer *p = come_live("symbols=A,B");

    (void)state;
    p->room = 10; /* the first frame is cut short */
    for (int i = 0; i < 50; i++) {
        quote("A", "1");
        quote("B", "2");
        turn();
    }
    assert_int_equal(all->blocked_count, 1);
    p->room = UNLIMITED;
    turn();
    receives(p, "{\"type\":\"quote\",\"symbol\":\"A\",\"seq\":1");
    receives(p, "{\"type\":\"quote\",\"symbol\":\"");
    receives(p, "{\"type\":\"quote\",\"symbol\":\"");
    receives_nothing(p);
    assert_int_equal(p->s->sub.backlog.merged, 97);
    assert_int_equal(all->blocked_count, 0);
}

static void a_client_in_all_that_does_not_read_is_closed_with_its_position(void **state)
{
    struct peer *p = come_live("symbols=A&mode=all");

    (void)state;
    hub_set_queue_limit(all->hub, 2000);
    quote("A", "1");
    turn();
    p->room = 0;
    for (int i = 0; i < 50; i++) {
        quote("A", "2");
        turn();
    }
    p->room = UNLIMITED;
    turn();
    receives(p, "{\"type\":\"quote\",\"symbol\":\"A\",\"seq\":1");
    receives_close(p, 4008,
                   "{\"code\":\"slow_consumer\",\"setting\":\"CLIENT_QUEUE\","
                   "\"epoch\":\"" EPOCH_TEXT "\",\"seq\":1}");
    assert_int_equal(all->count, 1);
    writes_close(p, 4008);
    assert_int_equal(counters.ends[COUNTERS_END_slow_consumer], 1);
}

static void a_client_that_does_not_take_its_answers_is_not_read(void **state)
{
    struct peer *p = come_live("symbols=A");
    uint64_t answered;

    (void)state;
    p->room = 0;
    for (int i = 0; i < 3000; i++)
        send_frame(p, FINAL | OPCODE_TEXT, PING, strlen(PING));
    pass(300);
    answered = p->s->messages_in;
    assert_in_range(p->s->out.len, SESSION_OUT_MAX, SESSION_OUT_MAX + 1000);
    assert_true(p->s->is_input_paused && p->to.len > 0);
    pass(300);
    assert_int_equal(p->s->messages_in, answered);
    p->room = UNLIMITED;
    pass(300);
    assert_int_equal(p->s->messages_in, 3000);
    for (int i = 0; i < 3000; i++)
        receives(p, PONGED);
}

/* The same conversation, with a socket that takes everything and with one that takes bits. */
static void converse(struct peer *p, bool is_slow)
{
    for (int i = 0; i < 400; i++) {
        if (is_slow)
            p->room = dice(3) ? dice(400) : 0;
        if (i % 40 == 0)
            writes(p, PING);
        quote(i % 2 ? "A" : "B", "1");
        turn();
    }
    p->room = UNLIMITED;
    turn();
    turn();
}

static void what_is_sent_in_bits_is_the_same_as_in_one_piece(void **state)
{
    struct peer *fast, *slow;

    dice_seed();
    config.client_queue = 1 << 24;
    hub_set_queue_limit(all->hub, 1 << 24);
    (void)state;
    fast = come_live("symbols=A,B&mode=all");
    slow = come_live("symbols=A,B&mode=all");
    converse(slow, true);
    receives_all(fast);
    /* Quotes in order, nothing twice and nothing missing; answers among them. */
    for (uint64_t seq = 1, pongs = 0; seq <= head || pongs < 10;) {
        assert_true(take_frame(slow));
        if (strncmp(buf_text(&slow->text), PONGED, strlen(PONGED)) == 0) {
            pongs++;
            continue;
        }
        char text[80];

        snprintf(text, sizeof text, "{\"type\":\"quote\",\"symbol\":\"%s\",\"seq\":%llu,",
                 seq % 2 ? "B" : "A", (unsigned long long)seq);
        assert_int_equal(strncmp(buf_text(&slow->text), text, strlen(text)), 0);
        seq++;
    }
    receives_nothing(slow);
    assert_int_equal(fast->s->messages_out + 10, slow->s->messages_out);
    assert_int_equal(slow->s->bytes_out, slow->from.len);
    assert_int_equal(counters.deliveries, 2 * head); /* answers are none */
    assert_int_equal(counters.bytes_out, slow->from.len + fast->from.len);
}

/* --- bounds ----------------------------------------------------------------------------------- */

static void patterns_over_the_limits_are_rejected_by_name(void **state)
{
    struct peer *p;

    (void)state;
    config.max_symbols = 3;
    p = come_live("symbols=A,B");
    writes(p, "{\"op\":\"subscribe\",\"symbols\":[\"C\",\"D\",\"C\"]}");
    sync_topics();
    turn();
    receives(p, "{\"type\":\"ack\",\"op\":\"subscribe\"");
    with(p, "\"symbols\":[\"C\"],\"rejected\":[\"D\",\"C\"]");
    config.max_symbols = 1000;
    config.topic_bytes = 1;
    writes(p, "{\"op\":\"subscribe\",\"symbols\":[\"A*\",\"B\",\"*\"]}");
    sync_topics();
    turn();
    receives(p, "{\"type\":\"ack\",\"op\":\"subscribe\"");
    with(p, "\"symbols\":[\"B\",\"*\"],\"rejected\":[\"A*\"]"); /* no new topic but "*" */
}

static void a_large_request_is_worked_on_in_slices_while_others_are_served(void **state)
{
    struct peer *p, *q = come_live("symbols=A");
    struct buf text = {0};
    int slices = 0;

    (void)state;
    p = come_live("symbols=A");
    buf_adds(&text, "{\"op\":\"subscribe\",\"symbols\":[");
    for (int i = 0; i < 500; i++)
        buf_printf(&text, "%s\"S%d\"", i ? "," : "", i);
    buf_adds(&text, "]}");
    p->s->read_budget = 0;
    send_frame(p, FINAL | OPCODE_TEXT, text.data, text.len);
    buf_free(&text);
    for (; p->s->requests || !slices; slices++) {
        assert_true(slices < 1000);
        quote("A", "1");
        pass(1);
        sync_topics();
        receives(q, "{\"type\":\"quote\",\"symbol\":\"A\"");
    }
    assert_in_range(slices, 500 / (SESSION_STEPS / 64), 500);
    receives_all(p);
    writes(p, "{\"op\":\"list\"}");
    assert_int_equal(p->s->sub.topic_count, 501);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(messages_are_read_however_the_network_cuts_them),
        TEST(a_message_in_fragments_is_one_and_a_ping_between_them_is_answered),
        TEST(a_turn_reads_a_bounded_part_and_the_next_millisecond_goes_on),
        TEST(what_is_no_websocket_frame_is_closed_with_1002),
        TEST(a_frame_over_the_limit_is_closed_before_its_payload_comes),
        TEST(fragments_without_end_are_closed_with_1009),
        TEST(a_close_frame_of_the_client_is_echoed_and_ends_the_session),
        TEST(a_client_that_vanishes_is_dropped),
        TEST(a_stopping_gateway_says_when_to_reconnect_and_closes_with_1012),
        TEST(a_silent_client_gets_pings_and_then_4001),
        TEST(heartbeats_state_the_position_that_is_complete),
        TEST(a_heartbeat_goes_along_with_a_quote_shortly_before_it_is_due),
        TEST(a_client_in_merge_that_reads_slowly_gets_the_newest_values),
        TEST(a_client_in_all_that_does_not_read_is_closed_with_its_position),
        TEST(a_client_that_does_not_take_its_answers_is_not_read),
        TEST(what_is_sent_in_bits_is_the_same_as_in_one_piece),
        TEST(patterns_over_the_limits_are_rejected_by_name),
        TEST(a_large_request_is_worked_on_in_slices_while_others_are_served),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
