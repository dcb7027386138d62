/* The loop's answers to HTTP workers: the list of connections, and the broker's answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/gateway/routes/handlers_fixture.h"

#define STATUS(from, most, may_see)                               \
    ((struct loop_request){.kind = LOOP_REQUEST_WEBSOCKET_STATUS, \
                           .offset = (from),                      \
                           .limit = (most),                       \
                           .privileged = (may_see)})

static void a_probe_is_answered_at_once(void **state)
{
    (void)state;
    post_request((struct loop_request){.kind = LOOP_REQUEST_LIVE});
    is_told(200, "");
    receives_nothing();
}

static void the_brokers_list_of_connections_is_shown(void **state)
{
    (void)state;
    meet();
    g.counters.bytes_out = 12345;
    handlers.sessions->place_count = 4;
    (void)hub_topic_retain(g.hub, SPAN("A1"));
    (void)hub_know(g.hub, SPAN("A1"));
    post_request(STATUS(2, 2, true));
    receives("{'op':'connections','id':2,'offset':2,'limit':2}");
    answers("{'id':2,'total':5,'connections':["
            "['g1','192.0.2.7',40000,5000000,'json'],['g2','192.0.2.8',40001,6500000,'msgpack']],"
            "'gateways':[{'name':'g1','http':'http://a','connections':3,'limit':100,'since':7},"
            "{'name':'g2','http':'http://b','connections':2,'limit':50,'since':1500000}]}");
    is_told(200, "{'active_connections':5,'connections':["
                 "{'host':'192.0.2.7','port':40000,'state':1,'gateway':'g1',"
                 "'since':5.0,'protocol':'json'},"
                 "{'host':'192.0.2.8','port':40001,'state':1,'gateway':'g2',"
                 "'since':6.5,'protocol':'msgpack'}],"
                 "'offset':2,'limit':2,'truncated':true,'complete':true,"
                 "'websocket_enabled':true,'gateways':["
                 "{'name':'g1','http':'http://a','active_connections':3,"
                 "'max_connections':100,'since':0.000007},"
                 "{'name':'g2','http':'http://b','active_connections':2,"
                 "'max_connections':50,'since':1.5}],"
                 "'gateway':{'name':'g1','active_connections':4,'max_connections':90,"
                 "'timeout':86399.999,'symbols':1,'bytes_sent':12345,'merged':0,"
                 "'upstream_gaps':0,'refusals':{'total':0,'by_code':{},'last':[]}}" TIMESTAMP);
}

static void a_last_page_is_not_truncated_and_addresses_need_the_token(void **state)
{
    (void)state;
    meet();
    config.websocket_enabled = false;
    post_request(STATUS(1, 2, false));
    receives("{'op':'connections','id':2,'offset':1,'limit':2}");
    answers("{'id':2,'total':2,'connections':[['g1','192.0.2.7',40000,5000000,'json']],"
            "'gateways':[]}");
    is_told(200, NULL);
    assert_non_null(strstr(buf_text(&worker.q.body),
                           "{'active_connections':2,'connections':[{'host':'','port':0,"
                           "'state':1,'gateway':'g1','since':5.0,"
                           "'protocol':'json'}],'offset':1,'limit':2,'truncated':false,"
                           "'complete':true,'websocket_enabled':false,'gateways':[],"));
}

static void rows_that_no_broker_of_ours_sends_end_the_list(void **state)
{
    static const char *const rows[] = {
        "7",
        "['g1','h',1,2,'json',3]",
        "['g1','h',1,2]",
        "[1,'h',1,2,'json']",
        "['g1',1,1,2,'json']",
        "['g1','h','1',2,'json']",
        "['g1','h',1,'2','json']",
        "['g1','h',1,2,3]",
    };
    char answer[300];

    (void)state;
    meet();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        post_request(STATUS(0, 9, true));
        assert_non_null(strstr(next_request(), "'connections'"));
        snprintf(answer, sizeof answer,
                 "{'id':%zu,'total':2,'connections':[['g1','192.0.2.7',40000,5000000,'json'],%s]}",
                 i + 2, rows[i]);
        answers(answer);
        is_told(200, NULL);
        if (!strstr(buf_text(&worker.q.body),
                    "'protocol':'json'}],'offset':0,'limit':9,'truncated':true"))
            fail_msg("%s: %s", rows[i], buf_text(&worker.q.body));
    }
}

static void a_gateway_without_broker_shows_its_own_connections(void **state)
{
    static struct session sessions[4];

    (void)state;
    connects(&sessions[0], "192.0.2.1", 1, true);
    connects(&sessions[1], "192.0.2.2", 2, false); /* is refused, and closes */
    connects(&sessions[2], "192.0.2.3", 3, true);
    connects(&sessions[3], "192.0.2.4", 4, true);
    sessions[2].sub.encoding = ENCODING_MSGPACK;
    post_request(STATUS(0, 2, true));
    is_told(200, "{'active_connections':3,'connections':["
                 "{'host':'192.0.2.1','port':1,'state':1,'gateway':'g1',"
                 "'since':5.0,'protocol':'json'},"
                 "{'host':'192.0.2.3','port':3,'state':1,'gateway':'g1',"
                 "'since':5.0,'protocol':'msgpack'}],"
                 "'offset':0,'limit':2,'truncated':true,'complete':false,"
                 "'websocket_enabled':true,'gateways':["
                 "{'name':'g1','http':'http://127.0.0.1:8000','active_connections':3,"
                 "'max_connections':90,'since':1599999990.0}],"
                 "'gateway':{'name':'g1','active_connections':3,'max_connections':90,"
                 "'timeout':86399.999,'symbols':0,'bytes_sent':0,'merged':0,'upstream_gaps':0,"
                 "'refusals':{'total':0,'by_code':{},'last':[]}}" TIMESTAMP);
    post_request(STATUS(2, 9, true));
    is_told(200, NULL);
    assert_non_null(strstr(buf_text(&worker.q.body),
                           "{'active_connections':3,'connections':[{'host':'192.0.2.3',"));
    assert_non_null(strstr(buf_text(&worker.q.body), "{'host':'192.0.2.4',"));
    assert_non_null(strstr(buf_text(&worker.q.body), "'truncated':false"));
}

static void what_only_the_broker_knows_is_its_answer_or_503(void **state)
{
    struct loop_request q = {.kind = LOOP_REQUEST_BROKER, .op = "locks", .members = 1};

    (void)state;
    buf_adds(&q.arguments, "\xa1k\x07");
    post_request(q);
    is_told(503, "");
    meet();
    post_request(q);
    receives("{'op':'locks','id':2,'k':7}");
    answers("{'id':2,'x':1}");
    is_told_packed(200, "{'id':2,'x':1}");
    post_request(q);
    receives("{'op':'locks','id':3,'k':7}");
    pass(UPSTREAM_ANSWER_MS);
    is_told(503, "");
    buf_free(&q.arguments);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_handlers, tear_down_handlers)
    const struct CMUnitTest tests[] = {
        TEST(a_probe_is_answered_at_once),
        TEST(the_brokers_list_of_connections_is_shown),
        TEST(a_last_page_is_not_truncated_and_addresses_need_the_token),
        TEST(rows_that_no_broker_of_ours_sends_end_the_list),
        TEST(a_gateway_without_broker_shows_its_own_connections),
        TEST(what_only_the_broker_knows_is_its_answer_or_503),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
