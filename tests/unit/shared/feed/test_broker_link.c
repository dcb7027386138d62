/*
 * A feed's two sockets, and a broker in the same thread.  The clock stands still unless the test
 * moves it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/feed/broker_link.h"
#include "shared/wire/wire.h"
#include "tests/unit/packed.h"

#define TURNS_MAX 3000 /* of 10 ms at most */

static struct {
    void *context, *ingest, *control;
    struct broker_link *link;
    struct outbox *outbox;
    int64_t now;
    unsigned watches, watches_max; /* descriptors that the loop watches, and that it takes */
    int fds[4];
    char hello[512]; /* the last request, as JSON with single quotes */
    unsigned hellos;
    struct buf peer, lines;
    char note[LINK_TEXT_MAX]; /* the last one */
} t;

/* --- the loop ------------------------------------------------------------------------------- */

static bool watch(void *ctx, int fd)
{
    assert_ptr_equal(ctx, &t);
    if (t.watches == t.watches_max) {
        errno = ENOSPC;
        return false;
    }
    t.fds[t.watches++] = fd;
    return true;
}

static void unwatch(void *ctx, int fd)
{
    unsigned i = 0;

    (void)ctx;
    while (i < t.watches && t.fds[i] != fd)
        i++;
    assert_true(i < t.watches);
    t.fds[i] = t.fds[--t.watches];
}

static void note(void *ctx, enum log_level level, const char *text)
{
    (void)ctx;
    (void)level;
    snprintf(t.note, sizeof t.note, "%s", text);
}

static void refused(void *ctx, uint64_t line, struct span reason)
{
    (void)ctx;
    buf_printf(&t.lines, "refused %llu %.*s\n", (unsigned long long)line, (int)reason.len,
               reason.at);
}

static const struct broker_link_out out = {&t, watch, unwatch, note, refused};

static bool turn(void)
{
    struct broker_link_time now = {t.now, t.now + 5, 1700000000000000};

    return broker_link_turn(t.link, &now);
}

/* --- the broker ----------------------------------------------------------------------------- */

static void serve(void)
{
    struct bus_message m;
    struct wire_record r;

    while (bus_recv(t.control, &m) == OK) {
        struct span peer = bus_frame(&m, 0);
        struct buf text = {0};

        buf_clear(&t.peer);
        buf_add(&t.peer, peer.at, peer.len);
        snprintf(t.hello, sizeof t.hello, "%s", unpacked(&text, bus_frame(&m, m.count - 1)));
        t.hellos++;
        buf_free(&text);
        bus_message_close(&m);
    }
    while (bus_recv(t.ingest, &m) == OK) {
        assert_int_equal(m.count, 2);
        assert_int_equal(wire_read(bus_frame(&m, 1), &r, NULL), OK);
        buf_printf(&t.lines, "%.*s%llu:%llu\n", (int)bus_frame(&m, 0).len, bus_frame(&m, 0).at,
                   (unsigned long long)r.epoch, (unsigned long long)r.seq);
        bus_message_close(&m);
    }
}

static void answer(const char *message)
{
    struct buf b = {0};
    struct span frames[2] = {buf_span(&t.peer)};

    packed(&b, message);
    frames[1] = buf_span(&b);
    assert_int_equal(bus_send(t.control, frames, 2), OK);
    buf_free(&b);
}

static void step(void)
{
    zmq_pollitem_t items[] = {{.socket = t.control, .events = ZMQ_POLLIN},
                              {.socket = t.ingest, .events = ZMQ_POLLIN},
                              {.fd = t.fds[0], .events = ZMQ_POLLIN},
                              {.fd = t.fds[1], .events = ZMQ_POLLIN}};

    assert_true(turn());
    link_send(broker_link_state(t.link), 100);
    serve();
    zmq_poll(items, 4, 10);
}

#define until(condition)                                                        \
    do {                                                                        \
        int turns_left = TURNS_MAX;                                             \
        while (!(condition)) {                                                  \
            if (!turns_left--)                                                  \
                fail_msg("%s: %s %s", #condition, t.hello, buf_text(&t.lines)); \
            step();                                                             \
        }                                                                       \
    } while (0)

static bool has_line(const char *line)
{
    return strstr(buf_text(&t.lines), line) != NULL;
}

/* --- life ----------------------------------------------------------------------------------- */

static char ingest_at[BUS_ENDPOINT_MAX], control_at[BUS_ENDPOINT_MAX];

static struct link_settings settings(void)
{
    return (struct link_settings){
        .feed = "tape", .ingest = ingest_at, .control = control_at, .window = 1000};
}

static int set_up(void **state)
{
    int one = 1;

    (void)state;
    memset(&t, 0, sizeof t);
    t.now = 1000;
    t.watches_max = 2;
    t.context = bus_context();
    t.control = bus_bind(t.context, ZMQ_ROUTER, "tcp://127.0.0.1:*", 100, 100000, "TEST");
    t.ingest = bus_bind(t.context, ZMQ_SUB, "tcp://127.0.0.1:*", 100, 100000, "TEST");
    zmq_setsockopt(t.control, ZMQ_ROUTER_MANDATORY, &one, sizeof one);
    zmq_setsockopt(t.ingest, ZMQ_SUBSCRIBE, "", 0);
    bus_endpoint(t.control, control_at);
    bus_endpoint(t.ingest, ingest_at);
    t.outbox = outbox_new(1000, OUTBOX_BYTES_MAX);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    broker_link_close(t.link, 0);
    outbox_free(t.outbox);
    bus_close(t.control);
    bus_close(t.ingest);
    zmq_ctx_term(t.context);
    buf_free(&t.peer);
    buf_free(&t.lines);
    return 0;
}

static void open_link(void)
{
    struct link_settings s = settings();

    t.link = broker_link_open(t.context, &s, t.outbox, &out);
    assert_non_null(t.link);
}

/* The broker grants the name; the link is open. */
static void open_granted(void)
{
    char grant[128];

    open_link();
    until(t.hellos);
    snprintf(grant, sizeof grant, "{'re':'hello','id':%lu,'version':1,'epoch':5,'received':0}",
             strtoul(strstr(t.hello, "'id':") + 5, NULL, 10));
    answer(grant);
    /* PUB drops what it sends before the broker's subscription has come: heartbeats repeat. */
    until(has_line("!heartbeat 5:0\n") || (t.now += 10, 0));
    answer("{'op':'received','epoch':5,'line':0}");
    until(link_state(broker_link_state(t.link)) == LINK_OPEN);
    buf_clear(&t.lines);
}

/* --- tests ---------------------------------------------------------------------------------- */

static void the_hello_names_the_feed_and_a_random_owner_on_this_host(void **state)
{
    char owner[33], host[65] = "", expected[512];

    (void)state;
    gethostname(host, sizeof host - 1);
    open_link();
    until(t.hellos);
    snprintf(owner, sizeof owner, "%s", strstr(t.hello, "'owner':'") + 9);
    assert_int_equal(strspn(owner, "0123456789abcdef"), 32);
    snprintf(expected, sizeof expected,
             "{'op':'hello','id':1,'role':'feeder','name':'tape','owner':'%s','oldest':1,"
             "'newest':1,'acked':0,'window':1000,'allow_crossed':false,'host':'%s','pid':%d}",
             owner, host, getpid());
    assert_string_equal(t.hello, expected);
    assert_int_equal(broker_link_deadline(t.link), t.now + 1000);
    broker_link_close(t.link, 0);
    assert_int_equal(t.watches, 0);
    open_link();
    until(t.hellos == 2);
    assert_null(strstr(t.hello, owner)); /* each process has its own */
}

static void lines_of_the_outbox_arrive(void **state)
{
    (void)state;
    open_granted();
    outbox_add(t.outbox, SPAN("GOLD"),
               SPAN("\x81\xA4last\xA3"
                    "1.5"),
               1);
    until(has_line("GOLD 5:1\n"));
    answer("{'op':'received','epoch':5,'line':1}");
    until(outbox_received(t.outbox) == 1);
}

static void refusals_of_the_broker_are_passed_on(void **state)
{
    (void)state;
    open_granted();
    outbox_add(t.outbox, SPAN("GOLD"), SPAN("\x80"), 1);
    until(has_line("GOLD 5:1\n"));
    answer("{'op':'received','epoch':5,'line':1,'refused':3,"
           "'refusals':[[1,'no_price'],[2,'of 32 bytes, which is the limit.'],[3],[4,'crossed']]}");
    until(has_line("refused 1 no_price\nrefused 2 of 32 bytes, which is the limit.\n"));
    assert_false(has_line("crossed")); /* it follows a malformed row */
    assert_string_equal(t.note, "the broker refused the quote of line 1: no_price; refused so "
                                "far: 3");
    assert_string_equal(link_why(broker_link_state(t.link)), t.note);
    answer("{'op':'received','epoch':5,'line':1,'refused':4,'refusals':[[5,'a','b'],[6,'c']]}");
    answer("{'op':'received','epoch':5,'line':1,'refused':5,'refusals':[['6','d']]}");
    answer("{'op':'received','epoch':5,'line':1,'refused':6,'refusals':[[7,'zero']]}");
    until(has_line("refused 7 zero\n"));
    assert_true(has_line("limit.\nrefused 7 zero\n")); /* and nothing between the two */
}

static void after_three_seconds_of_silence_both_sockets_are_new(void **state)
{
    int fds[2];
    unsigned hellos;

    (void)state;
    open_granted();
    memcpy(fds, t.fds, sizeof fds);
    hellos = t.hellos;
    t.now += LINK_SILENCE_MS - 1;
    assert_true(turn());
    assert_memory_equal(t.fds, fds, sizeof fds);
    t.now++;
    assert_true(turn());
    assert_int_equal(t.watches, 2);
    until(t.hellos > hellos + 1); /* one by the old sockets, one by the new ones */
    assert_int_equal(link_state(broker_link_state(t.link)), LINK_REQUESTING);
    t.now += LINK_SILENCE_MS;
    t.watches_max = 0; /* the loop takes no more descriptors */
    assert_false(turn());
    t.watches_max = 2;
}

static void an_endpoint_that_is_none_and_a_full_loop_are_refused(void **state)
{
    struct link_settings s = settings();

    (void)state;
    s.control = "nonsense";
    assert_null(broker_link_open(t.context, &s, t.outbox, &out));
    s = settings();
    s.ingest = "nonsense";
    assert_null(broker_link_open(t.context, &s, t.outbox, &out));
    assert_int_equal(errno, EINVAL);
    assert_string_equal(t.note, "cannot connect to nonsense: Invalid argument; correct the "
                                "BROKER_… setting that names it");
    s = settings();
    t.watches_max = 1;
    assert_null(broker_link_open(t.context, &s, t.outbox, &out));
    assert_int_equal(errno, ENOSPC);
    assert_int_equal(t.watches, 0);
    t.watches_max = 2;
    broker_link_close(NULL, 0);
}

static void what_the_broker_says_is_taken_from_its_last_frame(void **state)
{
    struct span frames[3] = {{NULL, 0}, SPAN(""), SPAN("\xc1")};

    (void)state;
    open_granted();
    frames[0] = buf_span(&t.peer);
    assert_int_equal(bus_send(t.control, frames, 3), OK); /* malformed: it is dropped */
    answer("{'op':'received','epoch':5,'line':9}");       /* more than was sent */
    until(link_state(broker_link_state(t.link)) == LINK_REFUSED);
    assert_int_equal(broker_link_deadline(t.link), INT64_MAX);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(the_hello_names_the_feed_and_a_random_owner_on_this_host),
        CASE(lines_of_the_outbox_arrive),
        CASE(refusals_of_the_broker_are_passed_on),
        CASE(after_three_seconds_of_silence_both_sockets_are_new),
        CASE(an_endpoint_that_is_none_and_a_full_loop_are_refused),
        CASE(what_the_broker_says_is_taken_from_its_last_frame),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
