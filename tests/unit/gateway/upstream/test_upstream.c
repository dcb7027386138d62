/* The gateway's link to the broker, as a conversation with one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/gateway/upstream/broker_fixture.h"

/* What an owner's request was answered with. */
static struct buf answer_text;
static unsigned answer_count;

static void note_answer(void *ctx, struct span answer)
{
    assert_ptr_equal(ctx, &answer_count);
    answer_count++;
    if (answer.len)
        unpacked(&answer_text, answer);
    else
        buf_clear(&answer_text);
}

static void request(const char *op)
{
    answer_count = 0;
    upstream_request(g.upstream, op, 1, SPAN("\xa1k\x07"), &answer_count, note_answer);
}

static void forward(const char *op)
{
    answer_count = 0;
    upstream_forward(g.upstream, op, 0, SPAN(""), &answer_count, note_answer);
}

static void is_answered_with(const char *text)
{
    assert_int_equal(answer_count, 1);
    assert_string_equal(buf_text(&answer_text), text);
}

/* --- hello ----------------------------------------------------------------------------- */

static void a_gateway_introduces_itself_and_then_reports_its_clients(void **state)
{
    const char *hello;

    (void)state;
    turn();
    hello = next_request();
    assert_non_null(strstr(hello, "{'op':'hello','id':1,'role':'gateway','name':'g1','host':'"));
    assert_non_null(strstr(hello, "','http':'http://127.0.0.1:8000','pid':"));
    assert_non_null(strstr(hello, ",'limit':100,'oldest':1,'newest':1,'known_epoch':0,"
                                  "'known_seq':0,'known_record':0,'known_accepted':0}"));
    assert_false(upstream_is_here(g.upstream));
    g.client_count = 1;
    assert_int_equal(g.started, 0);
    answers("{'id':1,'epoch':2748}");
    assert_true(upstream_is_here(g.upstream));
    assert_int_equal(upstream_silence_ms(g.upstream), 0);
    assert_int_equal(hub_epoch(g.hub), EPOCH);
    assert_int_equal(g.reported, 1);
    assert_int_equal(g.started, 1);
    receives("{'op':'report','count':1,'opened':[[1,'192.0.2.7',40000,5,'json']],'closed':[]}");
    receives_nothing();
    answers("{'id':1,'epoch':2748}"); /* a second time: it is of no request */
    assert_int_equal(g.reported, 1);
    receives_nothing();
}

static void a_hello_is_repeated_until_it_is_answered(void **state)
{
    (void)state;
    turn();
    assert_non_null(strstr(next_request(), "'id':1,"));
    pass(499);
    receives_nothing();
    pass(1);
    assert_non_null(strstr(next_request(), "{'op':'hello','id':2,"));
    answers("{'id':2,'error':'version','message':'too old'}");
    assert_false(upstream_is_here(g.upstream));
    pass(500);
    assert_non_null(strstr(next_request(), "{'op':'hello','id':3,"));
    answers("{'id':3,'epoch':2748}");
    assert_true(upstream_is_here(g.upstream));
    assert_non_null(strstr(next_request(), "'op':'report'"));
    pass(600);
    receives_nothing();
}

static void two_hellos_that_are_both_answered_are_one_introduction(void **state)
{
    (void)state;
    turn();
    pass(500);
    assert_non_null(strstr(next_request(), "'id':1,"));
    assert_non_null(strstr(next_request(), "'id':2,"));
    answers("{'id':1,'epoch':2748}");
    answers("{'id':2,'epoch':2748}");
    assert_int_equal(g.reported, 1);
}

static void a_broker_that_asks_who_it_is_gets_another_hello_and_report(void **state)
{
    (void)state;
    meet();
    answers("{'op':'who'}");
    assert_non_null(strstr(next_request(), "{'op':'hello','id':2,"));
    upstream_report_open(g.upstream, CLIENT(7)); /* the report after the hello has it */
    upstream_report_close(g.upstream, 8);
    pass(60);
    receives_nothing();
    g.client_count = 1;
    answers("{'id':2,'epoch':2748}");
    assert_int_equal(g.reported, 2);
    receives("{'op':'report','count':1,'opened':[[1,'192.0.2.7',40000,5,'json']],'closed':[]}");
}

/* --- reports --------------------------------------------------------------------------- */

static void clients_are_reported_together_and_soon(void **state)
{
    (void)state;
    meet();
    pass(49);
    upstream_report_open(g.upstream, CLIENT(7));
    upstream_report_close(g.upstream, 6);
    turn();
    receives_nothing();
    g.client_count = 1;
    pass(1);
    receives("{'op':'report','count':1,'opened':[[7,'192.0.2.7',40000,5,'json']],'closed':[6]}");
    upstream_report_close(g.upstream, 7);
    pass(49);
    receives_nothing();
    pass(1);
    receives("{'op':'report','count':1,'opened':[],'closed':[7]}");
}

static void a_report_without_news_comes_every_second(void **state)
{
    (void)state;
    meet();
    pass(999);
    receives_nothing();
    pass(1);
    receives("{'op':'ping','id':2}");
    receives("{'op':'report','count':0,'opened':[],'closed':[]}");
    pass(999);
    receives_nothing();
    pass(1);
    receives("{'op':'ping','id':3}");
    receives("{'op':'report','count':0,'opened':[],'closed':[]}");
}

static void a_report_of_very_many_comes_in_parts(void **state)
{
    (void)state;
    meet();
    for (uint64_t i = 0; i < REPORT_PART_MAX + 1; i++)
        upstream_report_close(g.upstream, i);
    pass(50);
    assert_non_null(strstr(next_request(), "{'op':'report','part':true,'opened':[],'closed':[0,"));
    receives("{'op':'report','count':0,'opened':[],'closed':[1000]}");
    receives_nothing();
}

/* --- requests -------------------------------------------------------------------------- */

static void a_request_is_answered_once_with_what_the_broker_says(void **state)
{
    (void)state;
    meet();
    upstream_report_open(g.upstream, CLIENT(7));
    request("status");
    /* First: the broker's answer must count everybody. */
    receives("{'op':'report','count':0,'opened':[[7,'192.0.2.7',40000,5,'json']],'closed':[]}");
    receives("{'op':'status','id':2,'k':7}");
    assert_int_equal(answer_count, 0);
    answers("{'id':3,'x':2}"); /* of no request of ours */
    answers("{'x':2}");
    assert_int_equal(answer_count, 0);
    answers("{'id':2,'x':1}");
    is_answered_with("{'id':2,'x':1}");
    answers("{'id':2,'x':1}");
    assert_int_equal(answer_count, 1);
}

static void an_answer_that_does_not_come_is_empty_in_time(void **state)
{
    (void)state;
    meet();
    request("status");
    receives("{'op':'status','id':2,'k':7}");
    pass(UPSTREAM_ANSWER_MS - 1);
    assert_int_equal(answer_count, 0);
    pass(1);
    is_answered_with("");
    answers("{'id':2,'x':1}");
    assert_int_equal(answer_count, 1);
}

static void a_broker_that_is_away_is_not_asked(void **state)
{
    (void)state;
    request("status");
    is_answered_with("");
    forward("locks");
    is_answered_with("");
    receives_nothing();
    meet();
    answers("{'op':'who'}");
    assert_non_null(strstr(next_request(), "'hello'"));
    request("status"); /* counts clients that the broker does not know */
    is_answered_with("");
    forward("locks"); /* has nothing to do with them */
    assert_int_equal(answer_count, 0);
    receives("{'op':'locks','id':3}");
    pass(RECEIVER_SILENCE_MS);
    assert_false(upstream_is_here(g.upstream));
    is_answered_with("");
    forward("locks");
    is_answered_with("");
}

static void a_quiet_connection_is_pinged_every_second(void **state)
{
    (void)state;
    meet();
    pass(600);
    request("status");
    receives("{'op':'status','id':2,'k':7}");
    answers("{'id':2}");
    pass(400);
    receives("{'op':'report','count':0,'opened':[],'closed':[]}");
    receives_nothing(); /* something came 400 ms ago */
    pass(599);
    receives_nothing();
    pass(1);
    receives("{'op':'ping','id':3}");
    pass(400);
    receives("{'op':'report','count':0,'opened':[],'closed':[]}");
    pass(599);
    receives_nothing();
    pass(1);
    receives("{'op':'ping','id':4}");
    for (uint64_t i = 1; i <= 2 * UPSTREAM_SILENCE_MS / 500; i++) { /* answered pings keep it up */
        answers("{'id':4}");
        heartbeat(i);
        pass(500);
        (void)next_request();
    }
    assert_true(upstream_is_here(g.upstream));
    assert_string_equal(next_news(), "");
}

static void heartbeats_without_an_answered_hello_are_no_start(void **state)
{
    (void)state;
    heartbeat(1);
    assert_true(upstream_is_here(g.upstream));
    assert_int_equal(g.started, 0);
    assert_non_null(strstr(next_request(), "'hello'"));
    forward("locks");
    is_answered_with("");
    request("status");
    is_answered_with("");
    receives_nothing();
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
    buf_free(&answer_text);
    return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_gateway_introduces_itself_and_then_reports_its_clients),
        TEST(a_hello_is_repeated_until_it_is_answered),
        TEST(two_hellos_that_are_both_answered_are_one_introduction),
        TEST(a_broker_that_asks_who_it_is_gets_another_hello_and_report),
        TEST(clients_are_reported_together_and_soon),
        TEST(a_report_without_news_comes_every_second),
        TEST(a_report_of_very_many_comes_in_parts),
        TEST(a_request_is_answered_once_with_what_the_broker_says),
        TEST(an_answer_that_does_not_come_is_empty_in_time),
        TEST(a_broker_that_is_away_is_not_asked),
        TEST(a_quiet_connection_is_pinged_every_second),
        TEST(heartbeats_without_an_answered_hello_are_no_start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
