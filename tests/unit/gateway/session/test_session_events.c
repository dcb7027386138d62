/* A session whose connection is an event stream: the same messages, and ids to resume from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/gateway/session/session_fixture.h"

#define ID(seq) "id: " EPOCH_TEXT ":" seq "\n"
#define QUOTE(symbol, seq) "data: {\"type\":\"quote\",\"symbol\":\"" symbol "\",\"seq\":" seq ","

/* The next event, with its lines but for the last, begins so. */
static void gets(struct peer *p, const char *begin)
{
    const char *at = p->from.data + p->read_at, *end = NULL;
    size_t have = p->from.len - p->read_at;

    if (!have || !(end = memmem(at, have, "\n\n", 2)))
        fail_msg("no event came instead of %s", begin);
    buf_clear(&p->text);
    buf_add(&p->text, at, (size_t)(end - at));
    p->read_at += (size_t)(end - at) + 2;
    if (strncmp(buf_text(&p->text), begin, strlen(begin)) != 0)
        fail_msg("%s came instead of %s", buf_text(&p->text), begin);
}

static void gets_nothing(const struct peer *p)
{
    assert_int_equal(p->read_at, p->from.len);
}

static void gets_all(struct peer *p)
{
    p->read_at = p->from.len;
}

static struct peer *come_for_events(const char *query)
{
    struct peer *p = arrive(query, ENCODING_EVENTS, NULL);

    turn();
    sync_topics();
    turn();
    return p;
}

static const char *last_event_id;

static void come_back(struct accepted *a)
{
    a->last_event_id = (char *)(uintptr_t)last_event_id;
}

static struct peer *come_back_for_events(const char *query, const char *id)
{
    struct peer *p;

    last_event_id = id;
    p = arrive(query, ENCODING_EVENTS, come_back);
    turn();
    turn();
    return p;
}

static void it_begins_like_a_websocket_and_tells_how_long_to_wait(void **state)
{
    struct peer *p;

    (void)state;
    follow("A");
    quote("A", "1");
    turn();
    p = come_for_events("symbols=A,wrong");
    gets(p, "retry: ");
    with(p, "\ndata: {\"type\":\"welcome\",\"protocol\":\"pregon.v1.json\"");
    /* The ack lies below the snapshot that follows: at 0 there is no position yet. */
    gets(p, "id:\ndata: {\"type\":\"ack\",\"op\":\"subscribe\"");
    with(p, "\"rejected\":[\"wrong\"]");
    gets(p, "data: {\"type\":\"snapshot\",\"symbol\":\"A\",\"seq\":1,");
    gets_nothing(p);
    assert_int_equal(all->place_counts[0][ENCODING_EVENTS], 1);
}

static void in_mode_merge_only_heartbeats_move_the_position(void **state)
{
    struct peer *p = come_for_events("symbols=A");

    (void)state;
    gets_all(p);
    quote("A", "1");
    turn();
    gets(p, QUOTE("A", "1"));
    pass(config.heartbeat + 2000);
    gets(p, ID("1") "data: {\"type\":\"heartbeat\",\"seq\":1");
    gets_nothing(p);
}

static void in_mode_all_each_record_moves_it(void **state)
{
    struct peer *p = come_for_events("symbols=A&mode=all");

    (void)state;
    assert_int_equal(all->place_counts[1][ENCODING_EVENTS_ALL], 1);
    gets_all(p);
    quote("A", "1");
    quote("B", "2");
    quote("A", "3");
    turn();
    gets(p, ID("1") QUOTE("A", "1"));
    gets(p, ID("3") QUOTE("A", "3"));
    hub_go_stale(all->hub); /* no record: it has no position */
    hub_thaw(all->hub);
    turn();
    gets(p, "data: {\"type\":\"state\",\"symbol\":\"A\",\"seq\":3,");
    gets_nothing(p);
}

static void what_its_last_event_id_lacks_comes_once_and_moves_the_position_on(void **state)
{
    struct peer *p;

    (void)state;
    follow("A,B");
    quote("A", "1");
    quote("B", "2");
    quote("A", "3");
    turn();
    /* The URL's position is the one from when the page was opened. */
    p = come_back_for_events("symbols=A,B&mode=all&since=" EPOCH_TEXT ":0", EPOCH_TEXT ":1");
    gets(p, "retry: ");
    gets(p, ID("1") "data: {\"type\":\"ack\",\"op\":\"subscribe\"");
    with(p, "\"recovered\":true");
    gets(p, ID("2") QUOTE("B", "2"));
    gets(p, ID("3") QUOTE("A", "3"));
    gets_nothing(p);
}

static void present_states_do_not_move_the_position_back(void **state)
{
    struct peer *p;

    (void)state;
    follow("A,B");
    quote("A", "1");
    quote("B", "2");
    turn();
    p = come_back_for_events("symbols=A,B&mode=all", EPOCH_TEXT ":2");
    gets(p, "retry: ");
    gets(p, ID("2") "data: {\"type\":\"ack\"");
    gets(p, "data: {\"type\":\"state\",\"symbol\":\"A\",\"seq\":1,");
    gets(p, "data: {\"type\":\"state\",\"symbol\":\"B\",\"seq\":2,");
    gets_nothing(p);
}

static void an_id_that_is_no_position_is_named(void **state)
{
    struct peer *p;

    (void)state;
    follow("A");
    p = come_back_for_events("symbols=A", "42");
    gets(p, "retry: ");
    gets(p, "data: {\"type\":\"error\",\"code\":\"bad_request\",\"message\":\"Last-Event-ID must");
    gets(p, "id:\ndata: {\"type\":\"ack\"");
    without(p, "recovered");
}

static void another_log_takes_the_position_away(void **state)
{
    struct peer *p = come_for_events("symbols=A&mode=all");

    (void)state;
    gets_all(p);
    hub_reset(all->hub, EPOCH + 1);
    sessions_reset(all, "log_replaced");
    turn();
    gets(p, "id:\ndata: {\"type\":\"reset\"");
}

static void it_is_told_when_to_come_back_and_its_place_is_free_at_once(void **state)
{
    struct peer *p = come_for_events("symbols=A");

    (void)state;
    gets_all(p);
    sessions_send_away(all, 1);
    turn();
    gets(p, "retry: ");
    with(p, "\ndata: {\"type\":\"going_away\",\"reason\":\"restart\",\"reconnect_after\":");
    gets(p, "data: {\"type\":\"close\",\"code\":1012,\"reason\":{\"code\":\"restart\"}}");
    gets_nothing(p);
    assert_true(p->is_closed);
    assert_int_equal(counters.ends[COUNTERS_END_restart], 1);
}

static void come_too_many(struct accepted *a)
{
    a->explain_close = 4013;
    a->explain_retry_ms = 5000;
    strcpy(a->explain_reason, "{\"code\":\"max_connections\"}");
}

static void a_refused_one_is_told_when_to_come_back(void **state)
{
    struct peer *p = arrive("symbols=A", ENCODING_EVENTS, come_too_many);

    (void)state;
    gets(p, "retry: 5000\ndata: {\"type\":\"close\",\"code\":4013,"
            "\"reason\":{\"code\":\"max_connections\"}}");
    gets_nothing(p);
    assert_true(p->is_closed);
    assert_int_equal(all->place_count, 0);
}

static void it_lives_as_long_as_it_acknowledges_what_it_is_sent(void **state)
{
    struct peer *p = come_for_events("symbols=A");

    (void)state;
    pass(3 * config.websocket_timeout); /* each heartbeat is acknowledged */
    assert_false(p->is_closed);
    gets_all(p);
    p->unacknowledged = (size_t)p->s->bytes_out; /* nothing more, and what was is what it was */
    pass(config.websocket_timeout + config.websocket_timeout / 3);
    for (; strncmp(buf_text(&p->text), "data: {\"type\":\"close\"", 21) != 0; gets(p, ""))
        ;
    with(p, "{\"code\":\"idle\",\"setting\":\"WEBSOCKET_TIMEOUT\"}");
    assert_true(p->is_closed);
    assert_int_equal(counters.ends[COUNTERS_END_idle], 1);
}

static void what_it_sends_is_ignored_and_its_end_is_how_it_leaves(void **state)
{
    struct peer *p = come_for_events("symbols=A");

    (void)state;
    gets_all(p);
    buf_adds(&p->to, "{\"op\":\"ping\"}\x88\x80zzzz GET / HTTP/1.1\r\n\r\n");
    turn();
    gets_nothing(p);
    assert_int_equal(p->to.len, 0);
    p->has_ended = true;
    turn();
    assert_true(p->is_closed);
    assert_int_equal(counters.ends[COUNTERS_END_left], 1);
}

static void one_that_reads_too_slowly_in_mode_all_is_closed_like_any_other(void **state)
{
    struct peer *p = come_for_events("symbols=A&mode=all");

    (void)state;
    gets_all(p);
    p->room = 0;
    for (size_t sent = 0; sent < 2 * (size_t)config.client_queue; sent += 60) {
        quote("A", "1");
        turn();
    }
    p->room = UNLIMITED;
    turn();
    assert_non_null(memmem(p->from.data, p->from.len, "{\"type\":\"close\",\"code\":4008,", 28));
    assert_true(p->is_closed);
    assert_int_equal(counters.ends[COUNTERS_END_slow_consumer], 1);
}

static void before_the_first_record_no_heartbeat_takes_the_position_away(void **state)
{
    struct peer *p = come_for_events("symbols=A");

    (void)state;
    gets_all(p);
    pass(config.heartbeat + 2000);
    gets(p, "data: {\"type\":\"heartbeat\",\"seq\":0,");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_begins_like_a_websocket_and_tells_how_long_to_wait),
        TEST(in_mode_merge_only_heartbeats_move_the_position),
        TEST(in_mode_all_each_record_moves_it),
        TEST(before_the_first_record_no_heartbeat_takes_the_position_away),
        TEST(what_its_last_event_id_lacks_comes_once_and_moves_the_position_on),
        TEST(present_states_do_not_move_the_position_back),
        TEST(an_id_that_is_no_position_is_named),
        TEST(another_log_takes_the_position_away),
        TEST(it_is_told_when_to_come_back_and_its_place_is_free_at_once),
        TEST(a_refused_one_is_told_when_to_come_back),
        TEST(it_lives_as_long_as_it_acknowledges_what_it_is_sent),
        TEST(what_it_sends_is_ignored_and_its_end_is_how_it_leaves),
        TEST(one_that_reads_too_slowly_in_mode_all_is_closed_like_any_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
