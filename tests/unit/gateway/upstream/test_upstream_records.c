/* The gateway's link to the broker: records, heartbeats, and silences of the broker. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/fanout/window.h"
#include "tests/unit/gateway/upstream/broker_fixture.h"
#include "tests/unit/logged.h"

/* --- silence --------------------------------------------------------------------------- */

static void a_silent_broker_is_away_and_both_sockets_are_new(void **state)
{
    struct hub_topic *t;

    (void)state;
    meet();
    t = hub_topic_retain(g.hub, SPAN("A*"));
    assert_non_null(strstr(subscriptions(), "+A "));
    (void)hub_know(g.hub, SPAN("A1"));
    pass(RECEIVER_SILENCE_MS - 1);
    assert_true(upstream_is_here(g.upstream));
    assert_int_equal(upstream_silence_ms(g.upstream), RECEIVER_SILENCE_MS - 1);
    assert_null(strstr(subscriptions(), "+A "));
    assert_string_equal(next_news(), "");
    pass(1);
    assert_false(upstream_is_here(g.upstream));
    assert_non_null(strstr(subscriptions(), "+A ")); /* the new one's */
    assert_non_null(strstr(next_news(), "{'op':'hello',"));
    hub_topic_release(g.hub, t);
}

static void after_a_silence_values_are_stale_and_the_position_stands(void **state)
{
    struct hub_topic *t;
    const char *text;
    char answer[100];
    unsigned id = 0;

    (void)state;
    hub_set_window(g.hub, 10000);
    meet();
    t = follow("A1");
    turn();
    assert_non_null(strstr(next_request(), "'snapshot'"));
    answers("{'id':2,'epoch':2748,'seq':0,'quotes':[]}");
    publishes_quote("A1", 1, 0);
    heartbeat(1);
    assert_int_equal(hub_find(g.hub, SPAN("A1"))->state, SYMBOL_LIVE);
    assert_int_equal(hub_seq(g.hub), 1);
    assert_int_equal(window_count(hub_window(g.hub)), 1);
    pass(RECEIVER_SILENCE_MS);
    assert_int_equal(hub_find(g.hub, SPAN("A1"))->state, SYMBOL_STALE);
    assert_true(hub_is_frozen(g.hub));
    /* Back again: what came meanwhile may be missing until the snapshot. */
    heartbeat(2);
    assert_true(upstream_is_here(g.upstream));
    turn();
    broker.head = 3;
    returns_mark();
    assert_int_equal(window_count(hub_window(g.hub)), 0);
    do
        text = next_request();
    while (text[0] && sscanf(text, "{'op':'snapshot','id':%u,", &id) != 1);
    assert_true(hub_is_frozen(g.hub));
    snprintf(answer, sizeof answer, "{'id':%u,'epoch':2748,'seq':3,'quotes':[]}", id);
    answers(answer);
    assert_false(hub_is_frozen(g.hub));
    hub_topic_release(g.hub, t);
}

static void a_missing_broker_is_logged_after_a_while_and_again(void **state)
{
    static const char line[] = "WARNING:  no broker at inproc://publish and inproc://control yet: "
                               "is pregon-broker running?\n";

    (void)state;
    g.upstream->complain_at =
        loop_awake(g.upstream->settings.loop) + 3000; /* as upstream_new sets it */
    log_begin("warning");
    pass(2999);
    assert_string_equal(logged(), "");
    log_begin("warning");
    pass(1);
    assert_string_equal(logged(), line);
    log_begin("warning");
    pass(59999);
    assert_string_equal(logged(), "");
    log_begin("warning");
    pass(1);
    assert_string_equal(logged(), line);
}

static void a_broker_that_has_gone_is_logged_as_gone(void **state)
{
    const char *text;

    (void)state;
    meet();
    log_begin("warning");
    pass(RECEIVER_SILENCE_MS + 3000);
    text = logged();
    assert_non_null(strstr(text, "no broker at inproc://publish and inproc://control: is"));
}

/* --- records --------------------------------------------------------------------------- */

static void a_topic_becomes_live_by_its_mark_and_snapshot(void **state)
{
    struct hub_topic *t;

    (void)state;
    meet();
    t = follow("A1");
    turn();
    receives("{'op':'snapshot','id':2,'pattern':'A1','from':0,'limit':500}");
    assert_false(t->is_live);
    answers("{'id':2,'epoch':2748,'seq':0,'quotes':[]}");
    assert_true(t->is_live);
    publishes_quote("A1", 1, 0);
    assert_int_equal(hub_find(g.hub, SPAN("A1"))->seq, 1);
    assert_int_equal(hub_find(g.hub, SPAN("A1"))->received_us, 0);
    assert_int_equal(g.counters.records[WIRE_QUOTE], 1);
    assert_int_equal(g.counters.pending, 1); /* its delivery is timed */
    publishes_quote("A1", 1, 0);
    assert_int_equal(g.counters.not_newer, 1);
    assert_int_equal(g.counters.pending, 1);
    g.tracers = 1;
    publishes_quote("A1", 2, 1);
    assert_int_equal(hub_find(g.hub, SPAN("A1"))->received_us, clock_wall_us());
    assert_int_equal(g.counters.malformed, 0);
    hub_topic_release(g.hub, t);
    hub_tidy(g.hub, SIZE_MAX);
    assert_non_null(strstr(subscriptions(), "-A1 "));
}

static void what_is_no_record_is_counted_and_dropped(void **state)
{
    struct hub_topic *t;

    (void)state;
    meet();
    t = follow("A1");
    assert_int_equal(bus_send(broker.records, (struct span[]){SPAN("A1 "), SPAN("x")}, 2), OK);
    turn();
    assert_int_equal(g.counters.malformed, 1);
    assert_int_equal(upstream_connections(g.upstream), 0);
    assert_int_equal(bus_send(broker.records, (struct span[]){SPAN("A1 ")}, 1), OK);
    turn();
    assert_int_equal(upstream_connections(g.upstream), 0);
    assert_int_equal(g.counters.malformed, 1);
    assert_int_equal(bus_send(broker.records, (struct span[]){SPAN(WIRE_TOPIC_WELCOME)}, 1), OK);
    turn();
    assert_int_equal(upstream_connections(g.upstream), 1);
    assert_int_equal(
        bus_send(broker.records, (struct span[]){SPAN("A1 "), SPAN("x"), SPAN("y")}, 3), OK);
    turn();
    assert_int_equal(g.counters.malformed, 1);
    hub_topic_release(g.hub, t);
}

static void a_lost_record_and_a_new_log_are_the_owners_to_tell(void **state)
{
    struct wire_record r = {.kind = WIRE_LOST, .epoch = EPOCH, .seq = 1};
    struct buf body = {0};

    (void)state;
    meet();
    packed(&body, "{'feed':'f','first':1,'last':1,'count':1,'reason':'x'}");
    r.body = buf_span(&body);
    publishes(WIRE_TOPIC_LOST, &r);
    buf_free(&body);
    assert_string_equal(g.lost, "1 {'feed':'f','first':1,'last':1,'count':1,'reason':'x'}");
    assert_string_equal(g.reset, "");
    publishes(WIRE_TOPIC_HEARTBEAT,
              &(struct wire_record){
                  .kind = WIRE_HEARTBEAT, .epoch = EPOCH + 1, .prev = 1, .body = SPAN("\xc0")});
    assert_string_equal(g.reset, "log_replaced");
    assert_int_equal(hub_epoch(g.hub), EPOCH + 1);
}

/* Messages that exceed a turn's limit are read in the next turn. */
static void a_turn_takes_a_bounded_burst(void **state)
{
    struct buf answer = {0};

    (void)state;
    meet();
    (void)follow("A");
    for (int i = 0; i < 300; i++)
        assert_int_equal(bus_send(broker.records, (struct span[]){SPAN("A "), SPAN("x")}, 2), OK);
    loop_turn(g.loop, 0);
    assert_true(upstream_has_input(g.upstream));
    upstream_drain(g.upstream);
    assert_int_equal(g.counters.malformed, 256);
    assert_true(upstream_has_input(g.upstream));
    upstream_drain(g.upstream);
    assert_int_equal(g.counters.malformed, 300);
    assert_false(upstream_has_input(g.upstream));
    packed(&answer, "{'op':'who'}");
    for (int i = 0; i < 300; i++)
        assert_int_equal(bus_send(broker.control,
                                  (struct span[]){buf_span(&broker.sender), buf_span(&answer)}, 2),
                         OK);
    loop_turn(g.loop, 0);
    upstream_drain(g.upstream);
    assert_true(upstream_has_input(g.upstream));
    upstream_drain(g.upstream);
    assert_false(upstream_has_input(g.upstream));
    (void)buf_room(&answer, 65536); /* one such answer is enough for a turn */
    for (int i = 0; i < 2; i++)
        assert_int_equal(bus_send(broker.control,
                                  (struct span[]){buf_span(&broker.sender), buf_span(&answer)}, 2),
                         OK);
    loop_turn(g.loop, 0);
    upstream_drain(g.upstream);
    assert_true(upstream_has_input(g.upstream));
    upstream_drain(g.upstream);
    assert_false(upstream_has_input(g.upstream));
    buf_free(&answer);
}

static void what_was_missed_in_mode_all_is_requested_from_the_log(void **state)
{
    struct hub_subscriber all = {.wants_all = true};
    struct hub_topic *t;

    (void)state;
    meet();
    t = follow("A1");
    turn();
    answers("{'id':2,'epoch':2748,'seq':0,'quotes':[]}");
    hub_join(g.hub, &all, &t, 1, 10, 0, NULL);
    publishes_quote("A1", 1, 0);
    (void)next_request();
    /* A second connection: the log has what was missed on the first one. */
    for (int i = 0; i < 2; i++)
        assert_int_equal(bus_send(broker.records, (struct span[]){SPAN(WIRE_TOPIC_WELCOME)}, 1),
                         OK);
    turn();
    broker.head = 3;
    returns_mark();
    receives("{'op':'replay','id':3,'pattern':'A1','after':1,'until':3}");
    hub_leave_all(g.hub, &all);
    hub_topic_release(g.hub, t);
}

/* --- begin and end ---------------------------------------------------------------------- */

/* The first message that comes within a minute. */
static bool comes(void *socket, const char *part, struct bus_message *m)
{
    zmq_pollitem_t item = {.socket = socket, .events = ZMQ_POLLIN};
    bool is_it;

    while (zmq_poll(&item, 1, 60000) == 1 && bus_recv(socket, m) == OK) {
        is_it = strstr(unpacked(&broker.text, bus_frame(m, 1)), part);
        if (is_it)
            return true;
        bus_message_close(m);
    }
    return false;
}

static void a_gateway_says_goodbye_to_a_broker_that_it_met(void **state)
{
    char publish[BUS_ENDPOINT_MAX], control[BUS_ENDPOINT_MAX];
    void *context = bus_context(),
         *records = bus_bind(context, ZMQ_XPUB, "tcp://127.0.0.1:*", 0, 1000, "PUBLISH"),
         *requests = bus_bind(context, ZMQ_ROUTER, "tcp://127.0.0.1:*", 0, 1000, "CONTROL");
    struct upstream_settings settings = g.upstream->settings;
    struct bus_message m;
    struct buf hello = {0};
    struct upstream *u;

    (void)state;
    bus_endpoint(records, publish);
    bus_endpoint(requests, control);
    settings.publish = publish;
    settings.control = control;
    u = upstream_new(&settings, &g.upstream->out);
    assert_non_null(u);
    upstream_tick(u);
    assert_true(comes(requests, "'op':'hello'", &m));
    packed(&hello, "{'id':1,'epoch':2748}");
    assert_int_equal(bus_send(requests, (struct span[]){bus_frame(&m, 0), buf_span(&hello)}, 2),
                     OK);
    bus_message_close(&m);
    while (!upstream_is_here(u)) {
        if (!upstream_has_input(u))
            loop_turn(g.loop, 60000);
        upstream_drain(u);
    }
    upstream_free(u);
    buf_free(&hello);
    assert_true(comes(requests, "{'op':'goodbye','id':2}", &m));
    bus_message_close(&m);
    bus_close(records);
    bus_close(requests);
    zmq_ctx_term(context);
}

static void a_gateway_without_a_way_to_a_broker_does_not_start(void **state)
{
    struct upstream_settings settings = g.upstream->settings;

    (void)state;
    settings.publish = "inproc://publish";
    settings.control = "nonsense://x";
    assert_null(upstream_new(&settings, &g.upstream->out));
    settings.publish = "nonsense://x";
    settings.control = "inproc://control";
    assert_null(upstream_new(&settings, &g.upstream->out));
    upstream_free(NULL);
}

static int set_up(void **state)
{
    (void)state;
    open_broker();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    close_broker();
    return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_silent_broker_is_away_and_both_sockets_are_new),
        TEST(after_a_silence_values_are_stale_and_the_position_stands),
        TEST(a_missing_broker_is_logged_after_a_while_and_again),
        TEST(a_broker_that_has_gone_is_logged_as_gone),
        TEST(a_turn_takes_a_bounded_burst),
        TEST(what_was_missed_in_mode_all_is_requested_from_the_log),
        TEST(a_topic_becomes_live_by_its_mark_and_snapshot),
        TEST(what_is_no_record_is_counted_and_dropped),
        TEST(a_lost_record_and_a_new_log_are_the_owners_to_tell),
        TEST(a_gateway_says_goodbye_to_a_broker_that_it_met),
        TEST(a_gateway_without_a_way_to_a_broker_does_not_start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
