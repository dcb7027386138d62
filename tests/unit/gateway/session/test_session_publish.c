#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/gateway/session/session_fixture.h"
#include "tests/unit/packed.h"

#define QUOTES \
    "\"quotes\":[{\"symbol\":\"A\",\"last\":1},{\"symbol\":\"a\"},{\"symbol\":\"B\",\"last\":2}]"

static struct peer *come_to_publish(void)
{
    struct peer *p = come("?symbols=NONE");

    free(config.publish_token);
    config.publish_token = strdup("open");
    turn();
    sync_topics();
    turn();
    receives_all(p);
    return p;
}

static void broker_answers(const char *json)
{
    struct buf bytes = {0};

    packed(&bytes, json);
    answer_request(buf_span(&bytes));
    buf_free(&bytes);
}

static void positions_and_refusals_are_acknowledged(void **state)
{
    struct peer *p = come_to_publish();

    (void)state;
    writes(p, "{\"op\":\"publish\",\"id\":7,\"token\":\"open\"," QUOTES "}");
    turn();
    assert_int_equal(request_count, 1);
    receives_nothing(p);
    broker_answers("{'epoch':255,'count':3,'first':9,'repeated':false,"
                   "'refused':[[1,'bad_symbol','symbol']]}");
    turn();
    receives(p, "{\"type\":\"ack\",\"op\":\"publish\",\"id\":7,");
    with(p, "\"positions\":[9,0,10],\"refused\":[{\"index\":1,\"code\":\"bad_symbol\","
            "\"field\":\"symbol\"}]");
}

static void an_answer_of_another_shape_does_no_harm(void **state)
{
    static const char *const odd[] = {
        "{}",
        "{'count':1000000000,'first':1,'refused':[]}",
        "{'count':2,'first':1,'refused':[[9,'a','']]}",
        "{'count':2,'first':1,'refused':[[1,'a',''],[0,'b','']]}",
        "{'count':2,'first':1,'refused':[7,8]}",
        "{'count':1,'first':1,'refused':{'a':1}}",
        "{'count':0,'first':1,'refused':[[0,'a','']]}",
    };
    struct peer *p = come_to_publish();

    (void)state;
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        writes(p, "{\"op\":\"publish\",\"token\":\"open\"," QUOTES "}");
        turn();
        broker_answers(odd[i]);
        turn();
        receives(p, "{\"type\":\"ack\",\"op\":\"publish\",");
    }
}

static void so_many_are_under_way_at_once_and_survive_their_client(void **state)
{
    struct peer *p = come_to_publish();

    (void)state;
    for (int i = 0; i < 17; i++)
        writes(p, "{\"op\":\"publish\",\"token\":\"open\"," QUOTES "}");
    turn();
    receives(p, "{\"type\":\"error\",\"code\":\"publish_busy\"");
    assert_int_equal(request_count, 16);
    broker_answers("{'error':'stale','message':'this key was used'}");
    turn();
    receives(p, "{\"type\":\"error\",\"code\":\"key_reused\"");
    answer_request(SPAN(""));
    turn();
    receives(p, "{\"type\":\"error\",\"code\":\"no_answer\"");
    session_drop(all->list[0], "gone");
    turn();
    while (request_count)
        broker_answers("{'count':1,'first':1,'refused':[]}");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(positions_and_refusals_are_acknowledged),
        TEST(an_answer_of_another_shape_does_no_harm),
        TEST(so_many_are_under_way_at_once_and_survive_their_client),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
