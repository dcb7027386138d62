/* Publishing: the feed's requests and lines, the callbacks, and quotes that are refused at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/consumer/lib/connection_fixture.h"

static void *ingest;
static char ingest_at[BUS_ENDPOINT_MAX];
static struct pregon_feed *feed;
static bool stops, closes; /* what on_refused does */
static const struct pregon_publish_field last_one[] = {{"last", "1"}};

static void on_received(void *ctx, struct pregon_feed *f, uint64_t line)
{
    assert_ptr_equal(ctx, &c);
    assert_ptr_equal(f, feed);
    report("received %llu", (unsigned long long)line);
}

static void on_stored(void *ctx, struct pregon_feed *f, uint64_t line)
{
    (void)ctx;
    (void)f;
    report("stored %llu", (unsigned long long)line);
}

static void on_refused(void *ctx, struct pregon_feed *f, const struct pregon_refusal *r)
{
    (void)ctx;
    (void)f;
    report("refused %llu %s '%s' %s", (unsigned long long)r->line, r->code, r->field, r->message);
    if (stops)
        pregon_stop(c.p);
    if (closes)
        pregon_feed_close(&feed);
    stops = closes = false;
}

static void on_feed_state(void *ctx, struct pregon_feed *f, enum pregon_feed_state state,
                          const char *why)
{
    (void)ctx;
    (void)f;
    report("state %d %s", (int)state, why);
}

static struct pregon_feed_options feed_options(void)
{
    struct pregon_feed_options o = PREGON_FEED_OPTIONS;

    o.ingest = ingest_at;
    o.lines = 16;
    o.ctx = &c;
    o.on_received = on_received;
    o.on_stored = on_stored;
    o.on_refused = on_refused;
    o.on_state = on_feed_state;
    return o;
}

static void open_feed(void)
{
    struct pregon_options none = PREGON_OPTIONS;
    struct pregon_feed_options o;

    stops = closes = false;
    open_greeted(none);
    ingest = bus_bind(c.context, ZMQ_SUB, "tcp://127.0.0.1:*", 1000, 100000, "TEST");
    assert_non_null(ingest);
    zmq_setsockopt(ingest, ZMQ_SUBSCRIBE, "", 0);
    bus_endpoint(ingest, ingest_at);
    o = feed_options();
    assert_int_equal(pregon_feed_open(c.p, "mine", &o, &feed), PREGON_OK);
}

/* Has this line ("EPOCH:NUMBER") come? Heartbeats have the number of the line before them. */
static bool is_ingested(enum wire_kind kind, uint64_t number)
{
    struct bus_message m;
    struct wire_record r;
    bool is_found = false;

    while (bus_recv(ingest, &m) == OK) {
        assert_int_equal(wire_read(bus_frame(&m, 1), &r, NULL), OK);
        is_found |= r.kind == kind && r.epoch == 5 && r.seq == number;
        bus_message_close(&m);
    }
    return is_found;
}

static void open_granted(void)
{
    const char *hello;

    open_feed();
    hello = receives("hello");
    assert_non_null(strstr(hello, "'role':'feeder','name':'mine'"));
    assert_non_null(strstr(hello, "'acked':0,'window':16,'allow_crossed':false"));
    answers(hello, "'re':'hello','version':1,'epoch':5,'received':0");
    until(is_ingested(WIRE_HEARTBEAT, 0));
    send_packed("{'op':'received','epoch':5,'line':0}");
    until(pregon_feed_state(feed) == PREGON_FEED_OPEN);
    assert_reported("state 1 \n");
}

static void publish_lines(unsigned count)
{
    uint64_t line;

    while (count--) {
        assert_int_equal(pregon_publish(feed, "GOLD", last_one, 1, &line, NULL), PREGON_OK);
        assert_int_equal(line, pregon_feed_published(feed));
    }
    until(is_ingested(WIRE_QUOTE, pregon_feed_published(feed)));
}

static void end(void)
{
    bus_close(ingest); /* before its context ends */
    pregon_feed_close(&feed);
    close_all();
}

static void what_the_broker_has_received_and_stored_is_reported(void **state)
{
    (void)state;
    open_granted();
    publish_lines(3);
    assert_int_equal(pregon_feed_received(feed), 0);
    send_packed("{'op':'received','epoch':5,'line':3,'stored':2}");
    until(is_reported("stored"));
    assert_reported("received 3\nstored 2\n");
    assert_int_equal(pregon_feed_received(feed), 3);
    assert_int_equal(pregon_feed_stored(feed), 2);
    end();
}

static void refusals_come_before_the_line_is_received(void **state)
{
    (void)state;
    open_granted();
    publish_lines(3);
    send_packed("{'op':'received','epoch':5,'line':3,'refused':3,'refusals':[[1,'future'],"
                "[2,'book_full'],[3,'a_new_one']]}");
    until(is_reported("received"));
    assert_reported(
        "refused 1 future 'timestamp' timestamp lies in the future\n"
        "refused 2 book_full 'symbol' the broker knows as many symbols as its settings allow\n"
        "refused 3 a_new_one '' \n"
        "received 3\n");
    end();
}

static void a_callback_may_stop_the_turn_and_close_the_feed(void **state)
{
    (void)state;
    open_granted();
    publish_lines(3);
    stops = true;
    send_packed("{'op':'received','epoch':5,'line':3,'refused':3,'refusals':[[1,'future'],"
                "[2,'future'],[3,'future']]}");
    while (!is_reported("refused"))
        step();
    assert_reported("refused 1 future 'timestamp' timestamp lies in the future\n");
    closes = true;
    until(is_reported("refused"));
    assert_reported("refused 2 future 'timestamp' timestamp lies in the future\n");
    assert_null(feed);
    receives("goodbye");
    step();
    assert_reported("");
    end();
}

static void a_full_feed_takes_a_quote_when_the_broker_has_received_one(void **state)
{
    (void)state;
    open_granted();
    publish_lines(16);
    assert_false(pregon_feed_has_room(feed));
    assert_int_equal(pregon_publish(feed, "GOLD", last_one, 1, NULL, NULL), PREGON_ERROR_FULL);
    send_packed("{'op':'received','epoch':5,'line':1}");
    until(is_reported("received 1\n"));
    publish_lines(1);
    assert_int_equal(pregon_feed_published(feed), 17);
    end();
}

static void a_feed_that_is_held_stands_by_and_gives_the_reason(void **state)
{
    (void)state;
    open_feed();
    answers(receives("hello"), "'re':'hello','error':'held','message':'By pid 7.','retry_ms':10");
    until(pregon_feed_state(feed) == PREGON_FEED_STANDBY);
    assert_reported("state 2 feed mine is not ours, standing by: held: By pid 7.\n");
    answers(receives("hello"), "'re':'hello','error':'version','message':'Too old.'");
    until(pregon_feed_state(feed) == PREGON_FEED_REFUSED);
    assert_reported("state 3 the broker refused the feed mine: version: Too old.\n");
    assert_int_equal(pregon_publish(feed, "GOLD", last_one, 1, NULL, NULL), PREGON_ERROR_CLOSED);
    end();
}

static void a_quote_that_is_not_valid_is_refused_at_once(void **state)
{
    static const struct {
        const char *symbol;
        struct pregon_publish_field fields[2];
        size_t count;
        const char *code, *field;
    } cases[] = {
        {"GOLD", {{"bid", "1,5"}}, 1, "bad_price", "bid"},
        {"GOLD", {{"last", "1"}, {"bid_size", "-1"}}, 2, "bad_price", ""},
        {"GOLD", {{"bid", "2"}, {"ask", "1"}}, 2, "crossed", "bid"},
        {"GOLD", {{"bid", "NaN"}, {"ask", ""}}, 2, "no_price", ""},
        {"GOLD", {{"last", "1"}, {"timestamp", "soon"}}, 2, "bad_time", "timestamp"},
        {"GOLD", {{"last", "1"}, {"timestamp", "99999999999"}}, 2, "future", "timestamp"},
        {"GOLD", {{"last", "1"}, {"seq", "1"}}, 2, "reserved_name", "seq"},
        {"GOLD", {{"last", "1"}, {"last", "2"}}, 2, "malformed", "last"},
        {"GOLD", {{"last", "1"}, {"symbol", "X"}}, 2, "malformed", "symbol"},
        {"GOLD", {{"last", "1"}, {"note", NULL}}, 2, "malformed", "note"},
        {"GOLD", {{"last", "1"}, {"note", "caf\xe9"}}, 2, "malformed", "note"},
        {"GOLD", {{"last", "1"}, {"\xff", "1"}}, 2, "malformed", ""},
        {"GOLD", {{NULL, "1"}}, 1, "malformed", ""},
        {"gold", {{"last", "1"}}, 1, "bad_symbol", "symbol"},
        {NULL, {{"last", "1"}}, 1, "bad_symbol", "symbol"},
        {"GOLD", {{"last", "1"}}, 64, "malformed", ""},
    };
    struct pregon_refusal r;

    (void)state;
    open_feed();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t line = 7;

        r = (struct pregon_refusal){.line = 7};
        assert_int_equal(
            pregon_publish(feed, cases[i].symbol, cases[i].fields, cases[i].count, &line, &r),
            PREGON_ERROR_INVALID);
        assert_int_equal(line, 7);
        assert_int_equal(r.line, 0);
        assert_string_equal(r.code, cases[i].code);
        assert_string_equal(r.field ? r.field : "", cases[i].field);
        assert_true(*r.message);
    }
    assert_int_equal(pregon_feed_published(feed), 0);
    end();
}

static void a_refusal_stays_when_another_quote_is_refused(void **state)
{
    static const struct pregon_publish_field crossed[] = {{"bid", "2"}, {"ask", "1"}};
    struct pregon_refusal first, second;

    (void)state;
    open_feed();
    pregon_publish(feed, "GOLD", crossed, 2, NULL, &first);
    pregon_publish(feed, "gold", last_one, 1, NULL, &second);
    assert_string_equal(first.code, "crossed");
    assert_string_equal(second.code, "bad_symbol");
    end();
}

static void no_refusal_is_lost_when_a_busy_program_reads_many_at_once(void **state)
{
    enum { NOTICES = 40, EACH = 32 }; /* of two seconds */
    struct buf notice = {0};
    char refusal[24];
    unsigned line = 0;

    (void)state;
    open_granted();
    publish_lines(1);
    while (line < NOTICES * EACH) {
        buf_clear(&notice);
        buf_adds(&notice, "{'op':'received','epoch':5,'line':1,'refused':1,'refusals':[");
        for (unsigned i = 0; i < EACH; i++)
            buf_printf(&notice, "%s[%u,'future']", i ? "," : "", ++line);
        buf_adds(&notice, "]}");
        send_packed(buf_text(&notice));
    }
    until(is_reported("received 1\n"));
    until(is_reported("refused 1280 "));
    while (line) {
        snprintf(refusal, sizeof refusal, "refused %u ", line--);
        assert_true(is_reported(refusal));
    }
    buf_free(&notice);
    end();
}

static void options_that_are_not_valid_open_nothing(void **state)
{
    struct pregon_feed_options o;
    struct pregon_feed *f = NULL;
    char name[66] = "";

    (void)state;
    open_feed();
    o = feed_options();
    memset(name, 'a', 65);
    assert_int_equal(pregon_feed_open(c.p, name, &o, &f), PREGON_ERROR_INVALID);
    assert_int_equal(pregon_feed_open(c.p, "", &o, &f), PREGON_ERROR_INVALID);
    assert_int_equal(pregon_feed_open(c.p, "a b", &o, &f), PREGON_ERROR_INVALID);
    assert_int_equal(pregon_feed_open(c.p, NULL, &o, &f), PREGON_ERROR_INVALID);
    o.lines = 15;
    assert_int_equal(pregon_feed_open(c.p, "a", &o, &f), PREGON_ERROR_INVALID);
    o.lines = 0;
    o.source = "";
    assert_int_equal(pregon_feed_open(c.p, "a", &o, &f), PREGON_ERROR_INVALID);
    o.source = "caf\xe9";
    assert_int_equal(pregon_feed_open(c.p, "a", &o, &f), PREGON_ERROR_INVALID);
    o.source = NULL;
    o.ingest = "nonsense";
    assert_int_equal(pregon_feed_open(c.p, "a", &o, &f), PREGON_ERROR_INVALID);
    assert_null(f);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_broker_has_received_and_stored_is_reported),
        cmocka_unit_test(refusals_come_before_the_line_is_received),
        cmocka_unit_test(a_callback_may_stop_the_turn_and_close_the_feed),
        cmocka_unit_test(a_full_feed_takes_a_quote_when_the_broker_has_received_one),
        cmocka_unit_test(a_feed_that_is_held_stands_by_and_gives_the_reason),
        cmocka_unit_test(a_quote_that_is_not_valid_is_refused_at_once),
        cmocka_unit_test(a_refusal_stays_when_another_quote_is_refused),
        cmocka_unit_test(no_refusal_is_lost_when_a_busy_program_reads_many_at_once),
        cmocka_unit_test(options_that_are_not_valid_open_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
