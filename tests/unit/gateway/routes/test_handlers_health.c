/* /cotizaciones/health, from the broker's status and the gateway's own state. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "shared/base/version.h"
#include "tests/unit/gateway/routes/handlers_fixture.h"

#define FEED(name, members) "{'name':'" name "'," members "}"
#define LIVE "'live':true,'quote_ms':1000,'accepted':5,'refused_in_row':0"
#define REFUSING \
    "'live':true,'quote_ms':1000,'accepted':5,'refused_in_row':3,'refused_why':'crossed'"
#define SILENT "'live':false,'accepted':5,'refused_in_row':0"
#define STORED "'store':{'kind':'sqlite','durable':true}"

/* The broker's status is this (without its id). */
static void broker_is(const char *status)
{
    static unsigned long long id;
    char text[4000];

    post_request((struct loop_request){.kind = LOOP_REQUEST_HEALTH});
    assert_int_equal(sscanf(next_news(), "{'op':'status','id':%llu}", &id), 1);
    snprintf(text, sizeof text, "{'id':%llu,%s}", id, status);
    answers(text);
}

/* The health route has this status for this state of the broker. */
static void verdict(int status, const char *broker_status, const char *begin)
{
    broker_is(broker_status);
    is_told(status, NULL);
    if (strncmp(buf_text(&worker.q.body), begin, strlen(begin)) != 0)
        fail_msg("%s\nmakes %s\nnot   %s", broker_status, buf_text(&worker.q.body), begin);
}

static void a_well_gateway_shows_every_part(void **state)
{
    (void)state;
    meet();
    pass(1250);
    handlers.sessions->place_count = 3;
    (void)hub_topic_retain(g.hub, SPAN("A1"));
    (void)hub_know(g.hub, SPAN("A1"));
    broker_is("'version':'1.2','epoch_reason':'first start','symbols':9,'started':1500000,"
              "'store':{'kind':'sqlite','durable':true,'stored':8,'first':2,'gaps':1,"
              "'behind_us':1234567,'damaged':0},"
              "'feeds':[{'name':'f1','live':true,'silent_ms':1234,'quote_ms':2345,"
              "'refused_in_row':2,'received':7,'stored':6,'accepted':5,'refused':4,'lost':1},"
              "{'name':'f2','live':false,'left':true,'silent_ms':50},"
              "{'name':'f3','live':false,'silent_ms':60}]");
    is_told(200,
            "{'status':'ok','reason':'quotes flow',"
            "'broker':{'status':'up','reason':'heartbeats and answers arrive','age':1.250,"
            "'epoch':'" EPOCH_TEXT "','seq':0,'gaps':0,'version':'1.2',"
            "'epoch_reason':'first start','symbols':9,'started':1.5},"
            "'store':{'kind':'sqlite','durable':true,'reason':'quotes are stored as they come',"
            "'stored':8,'first':2,'gaps':1,'behind':1.234,'damaged':0},"
            "'feeds':[{'name':'f1','status':'live','reason':'lines or heartbeats arrive',"
            "'age':1.234,'quote_age':2.345,'received':7,'stored':6,'accepted':5,'refused':4,"
            "'refused_in_row':2,'lost':1},"
            "{'name':'f2','status':'ended','reason':'it said goodbye: its symbols are stale',"
            "'age':0.050,'received':0,'stored':0,'accepted':0,'refused':0,'refused_in_row':0,"
            "'lost':0},"
            "{'name':'f3','status':'silent',"
            "'reason':'no line and no heartbeat: its symbols are stale','age':0.060,"
            "'received':0,'stored':0,'accepted':0,'refused':0,'refused_in_row':0,'lost':0}],"
            "'gateway':{'name':'g1','version':'" PREGON_VERSION "','started':1599999990.0,"
            "'active_connections':3,'max_connections':90,'websocket_enabled':true,"
            "'symbols':1}" TIMESTAMP);
}

static void a_broker_in_memory_and_an_old_one_show_less(void **state)
{
    (void)state;
    meet();
    broker_is("'symbols':9,'store':{'kind':'memory','durable':false},"
              "'feeds':[{'name':'f1','live':true,'stored':6}]");
    is_told(200, NULL);
    assert_non_null(strstr(buf_text(&worker.q.body),
                           "'version':'','symbols':9,'started':0.0},"
                           "'store':{'kind':'memory','durable':false,"
                           "'reason':'the broker does not say why'},"
                           "'feeds':[{'name':'f1','status':'live',"
                           "'reason':'lines or heartbeats arrive','age':0.000,'received':0,"
                           "'accepted':0,"));
    broker_is("'feeds':[{'name':'f1','live':true}]");
    is_told(200, NULL);
    assert_null(strstr(buf_text(&worker.q.body), "'store'"));
    broker_is("'store':7,'feeds':[{'name':'f1','live':true}]");
    is_told(200, NULL);
    assert_null(strstr(buf_text(&worker.q.body), "'store'"));
}

static void without_live_feeds_or_broker_it_is_unhealthy(void **state)
{
    (void)state;
    post_request((struct loop_request){.kind = LOOP_REQUEST_HEALTH});
    is_told(503, NULL);
    assert_non_null(strstr(buf_text(&worker.q.body),
                           "{'status':'unhealthy','reason':'the broker is away: values are stale',"
                           "'broker':{'status':'away','reason':'no heartbeat or no answer: is "
                           "pregon-broker running at BROKER_PUBLISH and BROKER_CONTROL?','age':"));
    assert_non_null(strstr(buf_text(&worker.q.body), "'epoch':'0000000000000000','seq':0,"
                                                     "'gaps':0},'feeds':[],'gateway':"));
    meet();
    verdict(503, "'feeds':[]", "{'status':'unhealthy','reason':'no feeder has ever connected',");
    verdict(503, "'feeds':[" FEED("f1", SILENT) "]",
            "{'status':'unhealthy','reason':'every feed is silent or has ended: values are "
            "stale',");
    verdict(200, "'feeds':[" FEED("f1", SILENT) "," FEED("f2", LIVE) "]",
            "{'status':'ok','reason':'quotes flow',");
    gate_set_leaving(handlers.gate);
    verdict(503, "'feeds':[" FEED("f1", LIVE) "]",
            "{'status':'unhealthy','reason':'this gateway is draining: SIGTERM came',");
}

static void a_gateway_that_met_no_broker_is_starting(void **state)
{
    (void)state;
    gate_free(handlers.gate);
    handlers.gate = gate_new();
    meet();
    verdict(503, "'feeds':[" FEED("f1", LIVE) "]",
            "{'status':'unhealthy','reason':'no broker reached since the start',");
}

static void feeds_whose_quotes_are_refused_are_named(void **state)
{
    (void)state;
    meet();
    verdict(200, "'feeds':[" FEED("f1", LIVE) "," FEED("f2", REFUSING) "]",
            "{'status':'degraded','reason':'quotes flow, but every quote of 1 of 2 live feeds is "
            "refused (f2: bid is above ask)',");
    assert_non_null(strstr(buf_text(&worker.q.body),
                           "'name':'f2','status':'live','reason':'lines arrive, but the last 3 "
                           "quotes were refused: bid is above ask',"));
    verdict(200, "'feeds':[" FEED("f1", LIVE) "," FEED("f2", REFUSING) "," FEED("f3", REFUSING) "]",
            "{'status':'degraded','reason':'quotes flow, but every quote of 2 of 3 live feeds is "
            "refused (f2: bid is above ask)',");
    verdict(503, "'feeds':[" FEED("f1", REFUSING) "," FEED("f2", SILENT) "]",
            "{'status':'unhealthy','reason':'feeds are live, but the broker accepts none of their "
            "quotes: every quote of 1 of 1 live feeds is refused (f1: bid is above ask)',");
    /* Two in a row are no reason, unless no quote was ever accepted. */
    verdict(200,
            "'feeds':[" FEED("f1", "'live':true,'quote_ms':1,'accepted':1,'refused_in_row':2") "]",
            "{'status':'ok',");
    verdict(503, "'feeds':[" FEED("f1", "'live':true,'refused_in_row':1,'refused_why':'x'") "]",
            "{'status':'unhealthy','reason':'feeds are live, but the broker accepts none of their "
            "quotes: every quote of 1 of 1 live feeds is refused (f1: a reason that this gateway "
            "does not know)',");
    verdict(200, "'feeds':[" FEED("f1", "'live':true,'quote_ms':1,'refused_in_row':0") "]",
            "{'status':'ok',");
    verdict(503, "'feeds':[" FEED("f1", "'live':false,'refused_in_row':3") "]",
            "{'status':'unhealthy','reason':'every feed is silent");
}

static void quotes_that_do_not_come_are_no_fault_of_the_feeds(void **state)
{
    static const char quiet[] = "'feeds':[{'name':'f1','live':true,'quote_ms':60000,"
                                "'refused_in_row':0}]";
    char status[300];

    (void)state;
    meet();
    verdict(200, "'feeds':[{'name':'f1','live':true,'quote_ms':59999,'refused_in_row':0}]",
            "{'status':'ok','reason':'quotes flow',");
    verdict(200, quiet,
            "{'status':'ok','reason':'feeds are live, but no quote was accepted in the last 60 "
            "s',");
    /* The broker has a log of before, and has started less than a minute ago. */
    snprintf(status, sizeof status, "'seq':1,'started':%lld,%s",
             (long long)FAKE_CLOCK_WALL_US - 59999999, quiet);
    verdict(200, status,
            "{'status':'ok','reason':'feeds are live, but no quote was accepted since the broker "
            "started',");
    snprintf(status, sizeof status, "'seq':0,'started':%lld,%s",
             (long long)FAKE_CLOCK_WALL_US - 59999999, quiet);
    verdict(200, status, "{'status':'ok','reason':'feeds are live, but no quote was accepted in");
    snprintf(status, sizeof status, "'seq':1,'started':%lld,%s",
             (long long)FAKE_CLOCK_WALL_US - 60000000, quiet);
    verdict(200, status, "{'status':'ok','reason':'feeds are live, but no quote was accepted in");
}

static void a_store_that_fails_is_degraded_service(void **state)
{
    (void)state;
    meet();
    verdict(200,
            "'store':{'kind':'sqlite','durable':false,'reason':'disk full'},'feeds':[" FEED(
                "f1", LIVE) "]",
            "{'status':'degraded','reason':'quotes flow, but are not being stored: disk full',");
    assert_non_null(strstr(buf_text(&worker.q.body),
                           "'store':{'kind':'sqlite','durable':false,'reason':'disk full',"
                           "'stored':0,"));
    verdict(
        200,
        "'store':{'kind':'sqlite','durable':true,'damage':'7 to 9'},'feeds':[" FEED("f1", LIVE) "]",
        "{'status':'degraded','reason':'quotes flow, but a part of the log is damaged: 7 to "
        "9',");
    assert_non_null(strstr(buf_text(&worker.q.body), "'damaged':0,'damage':'7 to 9'}"));
    verdict(200,
            "'store':{'kind':'sqlite','durable':false,'reason':'disk full','damage':'7 to 9'},"
            "'feeds':[" FEED("f1", LIVE) "," FEED("f2", REFUSING) "]",
            "{'status':'degraded','reason':'quotes flow, but are not being stored: disk full; "
            "also, a part of the log is damaged: 7 to 9; also, every quote of 1 of 2 live feeds is "
            "refused (f2: bid is above ask)',");
    verdict(200,
            "'store':{'kind':'sqlite','durable':true,'damage':'7 to 9'},'feeds':[" FEED(
                "f1", LIVE) "," FEED("f2", REFUSING) "]",
            "{'status':'degraded','reason':'quotes flow, but a part of the log is damaged: 7 to 9; "
            "also, every quote of 1 of 2 live");
    /* A fault of the store does not matter while no quotes flow. */
    verdict(503,
            "'store':{'kind':'sqlite','durable':false,'reason':'disk full','damage':'7'},"
            "'feeds':[" FEED("f1", SILENT) "]",
            "{'status':'unhealthy','reason':'every feed is silent or has ended: values are "
            "stale',");
    verdict(200, "'store':{'kind':'memory','durable':false},'feeds':[" FEED("f1", LIVE) "]",
            "{'status':'ok',");
    verdict(200, "'store':{'durable':false},'feeds':[" FEED("f1", LIVE) "]", "{'status':'ok',");
    verdict(200, STORED ",'feeds':[" FEED("f1", LIVE) "]",
            "{'status':'ok','reason':'quotes flow',");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_handlers, tear_down_handlers)
    const struct CMUnitTest tests[] = {
        TEST(a_well_gateway_shows_every_part),
        TEST(a_broker_in_memory_and_an_old_one_show_less),
        TEST(without_live_feeds_or_broker_it_is_unhealthy),
        TEST(a_gateway_that_met_no_broker_is_starting),
        TEST(feeds_whose_quotes_are_refused_are_named),
        TEST(quotes_that_do_not_come_are_no_fault_of_the_feeds),
        TEST(a_store_that_fails_is_degraded_service),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
