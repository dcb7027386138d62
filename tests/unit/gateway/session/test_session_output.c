/* How a session sends and reads: batches, cut frames, times of sending, what a turn may cost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gateway/fanout/hub_state.h"
#include "tests/unit/gateway/session/session_fixture.h"

#define PING "{\"op\":\"ping\"}"
#define PONGED "{\"type\":\"ack\",\"op\":\"ping\""

static struct peer *come_live(const char *query, bool is_msgpack)
{
    struct peer *p = arrive(query, is_msgpack, NULL);

    turn();
    sync_topics();
    turn();
    receives_all(p);
    return p;
}

static void quote_many(unsigned count)
{
    char name[16];

    for (unsigned i = 0; i < count; i++) {
        snprintf(name, sizeof name, "S%04u", i);
        quote(name, "1");
    }
}

/* --- output ------------------------------------------------------------ */

static void a_session_gets_two_batches_in_a_turn_and_the_rest_in_the_next(void **state)
{
    (void)state;
    for (int is_msgpack = 0; is_msgpack < 2; is_msgpack++) {
        struct peer *p = come_live("symbols=S*", is_msgpack);
        uint64_t sends, bytes, messages;
        int turns = 1;

        pass(50); /* snapshots of what was there before */
        receives_all(p);
        quote_many(3000);
        hub_fan_out(all->hub);
        sends = counters.sends;
        bytes = counters.bytes_out;
        messages = p->s->messages_out;
        sessions_flush_due(all, SIZE_MAX, UINT64_MAX / 2, false);
        assert_int_equal(counters.sends, sends + 2);
        assert_in_range(counters.bytes_out - bytes, 60000, 2 * SESSION_BATCH_BYTES);
        if (is_msgpack) /* small ones: so many */
            assert_int_equal(p->s->messages_out - messages, 2 * 1024);
        else
            assert_in_range(p->s->messages_out - messages, 1500, 2 * 1024 - 1);
        assert_true(hub_has_due(all->hub));
        assert_false(p->s->is_blocked);
        for (; hub_has_due(all->hub); turns++)
            turn();
        assert_int_equal(turns, 2);
        assert_int_equal(p->s->messages_out - messages, 3000);
        session_drop(p->s, "test");
        turn();
    }
}

static void a_frame_cut_short_goes_on_where_it_was_cut(void **state)
{
    struct peer *p = come_live("symbols=A,B&mode=all", false);
    uint64_t messages = p->s->messages_out;
    size_t frame, before;

    (void)state;
    quote("A", "1");
    turn();
    frame = p->from.len - p->read_at;
    receives_all(p);
    assert_int_equal(p->s->messages_out, messages + 1);
    /* A single frame. */
    p->room = 10;
    quote("A", "1");
    turn();
    assert_true(p->s->is_blocked);
    assert_int_equal(p->s->out.len, frame - 10);
    assert_int_equal(p->s->messages_out, messages + 2); /* it has begun */
    p->room = UNLIMITED;
    turn();
    assert_int_equal(p->s->out.len, 0);
    receives(p, "{\"type\":\"quote\"");
    /* Of a batch: the first frame whole, and a part of the second. */
    quote("A", "1");
    quote("B", "1");
    quote("A", "1");
    before = p->from.len;
    p->room = frame + 5;
    turn();
    assert_int_equal(p->from.len, before + frame + 5);
    assert_int_equal(p->s->out.len, frame - 5);
    assert_int_equal(p->s->messages_out, messages + 4);
    p->room = frame - 5; /* exactly to the end of the second one */
    turn();
    assert_int_equal(p->s->out.len, 0);
    assert_true(p->s->is_blocked);
    assert_int_equal(p->s->messages_out, messages + 4);
    p->room = UNLIMITED;
    turn();
    assert_int_equal(p->s->messages_out, messages + 5);
    assert_int_equal(counters.deliveries, 5);
    for (int i = 0; i < 3; i++)
        receives(p, "{\"type\":\"quote\"");
    receives_nothing(p);
}

static void a_traced_quote_states_when_it_was_sent(void **state)
{
    struct peer *p = come_live("symbols=A,B&trace=true", false);
    char written[60];

    (void)state;
    now += 7;
    quote("A", "1");
    turn();
    snprintf(written, sizeof written, "\"written\":%lld}", (long long)(WALL_US + now * 1000));
    receives(p, "{\"type\":\"quote\",\"symbol\":\"A\"");
    with(p, written);
    quote("A", "2");
    quote("B", "2");
    now += 1000;
    turn();
    snprintf(written, sizeof written, "\"written\":%lld}", (long long)(WALL_US + now * 1000));
    receives(p, "{\"type\":\"quote\"");
    with(p, written);
    receives(p, "{\"type\":\"quote\"");
    with(p, written);
}

static void a_closing_session_sends_its_close_frame_and_no_quote(void **state)
{
    struct peer *p = come_live("symbols=A", false);

    (void)state;
    p->room = 0;
    quote("A", "1");
    turn();
    quote("A", "2");
    session_close(p->s, 1001, SPAN("x"), "test");
    session_close(p->s, 1002, SPAN("y"), "again"); /* the first one counts */
    p->room = UNLIMITED;
    turn();
    receives_close(p, 1001, "x");
    receives_nothing(p);
    writes(p, PING); /* nothing is answered any more */
    receives_nothing(p);
    assert_int_equal(counters.messages_in, 0);
    writes_close(p, 1001);
    assert_true(p->is_closed);
}

static void a_socket_that_fails_ends_the_session(void **state)
{
    struct peer *p = come_live("symbols=A", false), *q = come_live("symbols=A,B", false);

    (void)state;
    p->has_failed = q->has_failed = true;
    quote("A", "1");
    quote("B", "1");
    hub_fan_out(all->hub);
    sessions_flush_due(all, SIZE_MAX, UINT64_MAX / 2, false);
    assert_true(p->is_closed && q->is_closed);
    assert_int_equal(counters.ends[COUNTERS_END_lost], 2);
    assert_int_equal(counters.deliveries, 0);
    turn();
}

/* --- input ------------------------------------------------------------ */

static void a_client_that_ends_while_it_is_not_read_is_dropped(void **state)
{
    struct peer *p = come_live("symbols=A", false);

    (void)state;
    p->room = 0;
    for (int i = 0; i < 3000; i++)
        send_frame(p, FINAL | OPCODE_TEXT, PING, strlen(PING));
    pass(300);
    assert_true(p->s->is_input_paused);
    p->has_ended = true;
    turn();
    assert_true(p->is_closed);
}

static void bytes_are_counted_as_they_come(void **state)
{
    struct peer *p = come_live("symbols=A", false);

    (void)state;
    writes(p, PING);
    assert_int_equal(counters.bytes_in, strlen(PING) + 6);
    assert_int_equal(counters.messages_in, 1);
    assert_int_equal(p->s->messages_in, 1);
    assert_int_equal(p->s->heard_at, now);
    receives(p, PONGED);
}

static void requests_cost_their_session_the_rest_of_the_millisecond(void **state)
{
    struct peer *p = come_live("symbols=A", false);
    size_t steps;

    (void)state;
    pass(1);
    writes(p, PING);
    steps = p->s->steps;
    assert_in_range(steps, SESSION_STEPS - 16, SESSION_STEPS - 8);
    writes(p, PING);
    assert_int_equal(p->s->steps, steps - (SESSION_STEPS - steps));
    pass(1);
    writes(p, PING);
    assert_int_equal(p->s->steps, steps); /* a new millisecond */
    p->s->steps = 0;
    writes(p, PING);
    assert_int_equal(p->s->requests, 1); /* it waits, */
    receives(p, PONGED);
    receives(p, PONGED);
    receives(p, PONGED);
    receives_nothing(p);
    pass(1);
    receives(p, PONGED);
    assert_int_equal(p->s->requests, 0);
    assert_int_equal(p->s->waiting_bytes, 0);
}

static void a_very_long_message_is_paid_for_by_later_milliseconds(void **state)
{
    struct peer *p = come_live("symbols=A", false);
    struct buf text = {0};
    int64_t at;

    (void)state;
    pass(1);
    buf_adds(&text, PING);
    while (text.len < 3 * 16 * SESSION_STEPS) /* three milliseconds' worth */
        buf_addc(&text, ' ');
    send_frame(p, FINAL | OPCODE_TEXT, text.data, text.len);
    turn();
    turn();
    buf_free(&text);
    receives(p, PONGED);
    at = now;
    assert_int_equal(p->s->steps_at, at + 2);
    assert_int_equal(p->s->steps, 0);
    writes(p, PING);
    pass(2);
    receives_nothing(p);
    pass(1);
    receives(p, PONGED);
}

/* --- options ------------------------------------------------------------ */

static void rates_are_numbers_from_a_hundredth_to_a_thousand(void **state)
{
    static const struct {
        const char *text;
        uint32_t interval_ms; /* 0: it is none */
    } rows[] = {
        {"0.01", 100000},
        {"1000", 1},
        {"2.5", 400},
        {"1e1", 100},
        {"1E+1", 100},
        {"10e-1", 1000},
        {"", 0},
        {"0.009", 0},
        {"1000.1", 0},
        {"-1", 0},
        {"+1", 0},
        {".5", 0},
        {"1x", 0},
        {"0x10", 0},
        {"1 ", 0},
        {"nan", 0},
        {"1e", 0},
        {"0000000000000000000000000000001", 1000},
        {"00000000000000000000000000000001", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint32_t interval_ms = 0;

        if (session_option_hz(span_of(rows[i].text), &interval_ms) != (rows[i].interval_ms > 0) ||
            interval_ms != rows[i].interval_ms)
            fail_msg("'%s': %u", rows[i].text, interval_ms);
    }
}

static void positions_are_sixteen_digits_and_a_number(void **state)
{
    uint64_t epoch = 0, seq = 0;

    (void)state;
    assert_true(session_option_position(SPAN("0000000000000aBc"), SPAN("12"), &epoch, &seq));
    assert_int_equal(epoch, 0xabc);
    assert_int_equal(seq, 12);
    assert_true(session_option_position(SPAN("ffffffffffffffff"), SPAN("18446744073709551615"),
                                        &epoch, &seq));
    assert_int_equal(seq, UINT64_MAX);
    assert_false(session_option_position(SPAN("000000000000abc"), SPAN("1"), &epoch, &seq));
    assert_false(session_option_position(SPAN("00000000000000abc"), SPAN("1"), &epoch, &seq));
    assert_false(session_option_position(SPAN("000000000000zabc"), SPAN("1"), &epoch, &seq));
    assert_false(session_option_position(SPAN("0000000000000abc"), SPAN(""), &epoch, &seq));
    assert_false(session_option_position(SPAN("0000000000000abc"), SPAN("1a"), &epoch, &seq));
    assert_false(session_option_position(SPAN("0000000000000abc"), SPAN("18446744073709551616"),
                                         &epoch, &seq));
    assert_true(session_option_position(SPAN("0000000000000abc"), SPAN("00000000000000000000001"),
                                        &epoch, &seq));
    assert_false(session_option_position(SPAN("0000000000000abc"), SPAN("000000000000000000000001"),
                                         &epoch, &seq));
}

static void a_list_in_a_url_may_have_spaces_and_empty_places(void **state)
{
    struct peer *p = come("symbols=A,%20B,,%20,C%20");

    (void)state;
    turn();
    sync_topics();
    turn();
    receives(p, "{\"type\":\"welcome\"");
    receives(p, "{\"type\":\"ack\",\"op\":\"subscribe\"");
    with(p, "\"symbols\":[\"A\",\"B\"],\"rejected\":[\"C \"]}");
    p = come("symbols=D&trace=false&since=");
    turn();
    sync_topics();
    turn();
    receives(p, "{\"type\":\"welcome\"");
    receives(p, "{\"type\":\"error\",\"code\":\"bad_request\",\"message\":\"?since=");
    receives(p, "{\"type\":\"ack\",\"op\":\"subscribe\"");
    without(p, "trace");
}

/* The heartbeat comes before the quote that waits, so that its position is the one before. */
static void a_session_held_back_states_the_position_of_its_last_flush(void **state)
{
    struct peer *p = come_live("symbols=A&max_hz=1", false);

    (void)state;
    now += 1000;
    quote("A", "1");
    turn();
    receives(p, "{\"type\":\"quote\",\"symbol\":\"A\",\"seq\":1");
    quote("A", "2");
    turn();
    receives_nothing(p);
    p->s->is_heartbeat_pending = true;
    now += 1000;
    turn();
    receives(p, "{\"type\":\"heartbeat\",\"seq\":1,");
    receives(p, "{\"type\":\"quote\",\"symbol\":\"A\",\"seq\":2");
}

static void a_subscription_pays_for_what_is_sorted_out_before_it(void **state)
{
    struct peer *p = come_live("symbols=A,B,C&mode=all", false);
    size_t steps;

    (void)state;
    follow("C");
    writes(p, "{\"op\":\"unsubscribe\",\"symbols\":[\"C\"]}");
    p->room = 0;
    for (int i = 0; i < 300; i++)
        quote("A", "1");
    turn();
    pass(1);
    writes(p, "{\"op\":\"unsubscribe\",\"symbols\":[\"A\"]}");
    steps = p->s->steps;
    writes(p, "{\"op\":\"subscribe\",\"symbols\":[\"C\"]}");
    assert_true(p->s->steps + 200 < steps);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_session_gets_two_batches_in_a_turn_and_the_rest_in_the_next),
        TEST(a_frame_cut_short_goes_on_where_it_was_cut),
        TEST(a_traced_quote_states_when_it_was_sent),
        TEST(a_closing_session_sends_its_close_frame_and_no_quote),
        TEST(a_socket_that_fails_ends_the_session),
        TEST(a_client_that_ends_while_it_is_not_read_is_dropped),
        TEST(bytes_are_counted_as_they_come),
        TEST(requests_cost_their_session_the_rest_of_the_millisecond),
        TEST(a_very_long_message_is_paid_for_by_later_milliseconds),
        TEST(a_session_held_back_states_the_position_of_its_last_flush),
        TEST(a_subscription_pays_for_what_is_sorted_out_before_it),
        TEST(rates_are_numbers_from_a_hundredth_to_a_thousand),
        TEST(positions_are_sixteen_digits_and_a_number),
        TEST(a_list_in_a_url_may_have_spaces_and_empty_places),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
