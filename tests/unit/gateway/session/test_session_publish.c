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

static struct peer *come_to_publish_in(enum encoding encoding)
{
    struct peer *p = arrive("?symbols=NONE", encoding, NULL);

    free(config.publish_token);
    config.publish_token = strdup("open");
    turn();
    sync_topics();
    turn();
    receives_all(p);
    return p;
}

static struct peer *come_to_publish(void)
{
    return come_to_publish_in(ENCODING_JSON);
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
#define REFUSED(index, code) "{\"index\":" #index ",\"code\":\"" code "\",\"field\":\"\"}"
    static const char *const odd[][2] = {
        {"{}", "[],\"refused\":[]"},
        {"{'count':1000000000,'first':1,'refused':[]}", "[],\"refused\":[]"},
        {"{'count':2,'first':1,'refused':[[9,'a','']]}", "[0,1],\"refused\":[" REFUSED(0, "") "]"},
        {"{'count':2,'first':1,'refused':[[1,'a',''],[0,'b','']]}",
         "[0,0],\"refused\":[" REFUSED(0, "") "," REFUSED(1, "") "]"},
        {"{'count':2,'first':1,'refused':[7,8]}", "[0,0],\"refused\":["},
        {"{'count':1,'first':1,'refused':{'a':1}}", "[1],\"refused\":[]"},
        {"{'count':0,'first':1,'refused':[[0,'a','']]}", "[],\"refused\":[]"},
    };
    struct peer *p = come_to_publish();

    (void)state;
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        writes(p, "{\"op\":\"publish\",\"token\":\"open\"," QUOTES "}");
        turn();
        broker_answers(odd[i][0]);
        turn();
        receives(p, "{\"type\":\"ack\",\"op\":\"publish\",");
        with(p, "\"positions\":");
        with(p, odd[i][1]);
    }
}

static void a_request_has_at_most_256_quotes(void **state)
{
    struct peer *p = come_to_publish();

    (void)state;
    for (int count = 256; count <= 257; count++) {
        struct buf text = {0};

        buf_adds(&text, "{\"op\":\"publish\",\"token\":\"open\",\"quotes\":[");
        for (int i = 0; i < count; i++)
            buf_adds(&text, i ? ",{\"symbol\":\"A\",\"last\":1}" : "{\"symbol\":\"A\",\"last\":1}");
        buf_adds(&text, "]}");
        writes(p, buf_text(&text));
        turn();
        buf_free(&text);
    }
    assert_int_equal(request_count, 1);
    receives(p, "{\"type\":\"error\",\"code\":\"bad_request\",\"message\":\"at most 256 quotes");
    broker_answers("{'count':0,'first':1,'refused':[]}");
}

static void a_price_in_messagepack_is_no_binary_fraction(void **state)
{
    static const struct {
        const char *members;
        bool is_taken;
    } rows[] = {
        {"'last':'1.5'", true},
        {"'last':2", true},
        {"'last':1.5", false},
        {"'note':1.5,'last':'1.5'", true},
        {"'last':'1','volume':1.5", false},
        {"'last':'1','bid_size':'1.5'", true},
    };
    struct peer *p = come_to_publish_in(ENCODING_MSGPACK);

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char json[200];
        struct buf message = {0};

        snprintf(json, sizeof json,
                 "{'op':'publish','id':7,'token':'open','quotes':[{'symbol':'A',%s}]}",
                 rows[i].members);
        packed(&message, json);
        send_frame(p, FINAL | OPCODE_BINARY, message.data, message.len);
        turn();
        buf_free(&message);
        if (request_count != rows[i].is_taken)
            fail_msg("%s", rows[i].members);
        if (rows[i].is_taken)
            broker_answers("{'count':1,'first':9,'refused':[]}");
        turn();
        receives(p, rows[i].is_taken ? "{\"type\":\"ack\",\"op\":\"publish\",\"id\":7,"
                                     : "{\"type\":\"error\",\"id\":7,\"code\":\"bad_request\"");
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

static void an_inexact_price_is_refused_under_the_id_of_its_request(void **state)
{
    static const struct {
        const char *id, *begin;
    } rows[] = {
        {"'id':'0123456789012345678901234567890123456789012345678901234567890a',",
         "{\"type\":\"error\",\"id\":\"01234567890"},
        {"'id':'0123456789012345678901234567890123456789012345678901234567890ab',",
         "{\"type\":\"error\",\"code\":"}, /* 65 bytes with its head */
        {"'id':1.5,", "{\"type\":\"error\",\"code\":"},
        {"'id':-7,", "{\"type\":\"error\",\"id\":-7,"},
        {"'ID':7,", "{\"type\":\"error\",\"code\":"},
    };
    struct peer *p = come_to_publish_in(ENCODING_MSGPACK);

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char json[300];
        struct buf message = {0};

        snprintf(json, sizeof json,
                 "{'op':'publish',%s'token':'open','quotes':[{'symbol':'A','last':1.5}]}",
                 rows[i].id);
        packed(&message, json);
        send_frame(p, FINAL | OPCODE_BINARY, message.data, message.len);
        turn();
        buf_free(&message);
        receives(p, rows[i].begin);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(positions_and_refusals_are_acknowledged),
        TEST(an_answer_of_another_shape_does_no_harm),
        TEST(a_request_has_at_most_256_quotes),
        TEST(a_price_in_messagepack_is_no_binary_fraction),
        TEST(an_inexact_price_is_refused_under_the_id_of_its_request),
        TEST(so_many_are_under_way_at_once_and_survive_their_client),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
