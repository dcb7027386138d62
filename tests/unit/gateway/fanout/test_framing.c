/* Messages around and between frames and events: the same calls for every encoding. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/fanout/encode.h"
#include "gateway/fanout/framing.h"
#include "gateway/fanout/message.h"
#include "tests/unit/packed.h"

#define EPOCH 0xabc
#define DATA "data: {\"type\":\"quote\",\"symbol\":\"DAX\",\"seq\":7,\"prev\":5,\"last\":\"1\"}\n\n"

static struct buf out;

static void put_nothing(void)
{
    buf_free(&out);
}

static void assert_out(const char *text)
{
    assert_string_equal(buf_text(&out), text);
    buf_clear(&out);
}

static struct hub_symbol dax(void)
{
    struct hub_symbol s = {
        .name = "DAX", .name_len = 3, .state = SYMBOL_LIVE, .epoch = EPOCH, .seq = 7, .prev = 5};

    packed(&s.body, "{'last':'1'}");
    return s;
}

static void assert_event(const struct hub_symbol *s, enum symbol_message kind,
                         enum encoding encoding, const char *text)
{
    struct frame *f = encode_symbol(s, kind, encoding);

    buf_add(&out, f->bytes, f->len);
    assert_out(text);
    frame_release(&f);
}

/* A record's position is one that the client can return: of mode merge it would be too high. */
static void only_in_mode_all_a_record_has_its_position_as_id(void **state)
{
    struct hub_symbol s = dax();

    (void)state;
    assert_event(&s, MESSAGE_QUOTE, ENCODING_EVENTS, DATA);
    assert_event(&s, MESSAGE_QUOTE, ENCODING_EVENTS_ALL, "id: 0000000000000abc:7\n" DATA);
    assert_event(&s, MESSAGE_SNAPSHOT, ENCODING_EVENTS_ALL,
                 "data: {\"type\":\"snapshot\",\"symbol\":\"DAX\",\"seq\":7,\"state\":\"live\","
                 "\"last\":\"1\"}\n\n");
    assert_event(&s, MESSAGE_STATE, ENCODING_EVENTS_ALL,
                 "id: 0000000000000abc:7\ndata: {\"type\":\"state\",\"symbol\":\"DAX\",\"seq\":7,"
                 "\"prev\":5,\"state\":\"live\"}\n\n");
    assert_event(&s, MESSAGE_PRESENT, ENCODING_EVENTS_ALL, /* no record */
                 "data: {\"type\":\"state\",\"symbol\":\"DAX\",\"seq\":7,"
                 "\"prev\":5,\"state\":\"live\"}\n\n");
    buf_free(&s.body);
    put_nothing();
}

static void a_traced_event_states_when_it_is_sent(void **state)
{
    struct hub_symbol s = dax();
    struct frame *f = encode_symbol(&s, MESSAGE_TRACED, ENCODING_EVENTS);

    (void)state;
    frame_stamp(f, 1795382037000004);
    buf_add(&out, f->bytes, f->len);
    assert_out("data: {\"type\":\"quote\",\"symbol\":\"DAX\",\"seq\":7,\"prev\":5,\"last\":\"1\","
               "\"trace\":{\"written\":1795382037000004}}\n\n");
    frame_release(&f);
    buf_free(&s.body);
    put_nothing();
}

static void a_message_to_one_client_has_an_id_if_it_moves_the_position(void **state)
{
    const struct {
        bool has_position;
        uint64_t seq;
        const char *begin;
    } cases[] = {{false, 0, ""}, {true, 12, "id: 0000000000000abc:12\n"}, {true, 0, "id:\n"}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct message m;
        char text[100];

        message_begin(&m, ENCODING_EVENTS, "ack");
        if (cases[i].has_position)
            message_set_position(&m, EPOCH, cases[i].seq);
        message_bool(&m, "trace", true);
        message_end(&m, &out);
        snprintf(text, sizeof text, "%sdata: {\"type\":\"ack\",\"trace\":true}\n\n",
                 cases[i].begin);
        assert_out(text);
    }
    put_nothing();
}

static void pings_closes_and_retries_are_what_the_connection_has_for_them(void **state)
{
    (void)state;
    framing_add_ping(&out, ENCODING_EVENTS);
    assert_out(":\n");
    framing_add_ping(&out, ENCODING_MSGPACK);
    assert_int_equal(out.len, 2);
    assert_memory_equal(out.data, "\x89\0", 2);
    buf_clear(&out);
    framing_add_close(&out, ENCODING_EVENTS_ALL, 4001, SPAN("{\"code\":\"idle\"}"));
    assert_out("data: {\"type\":\"close\",\"code\":4001,\"reason\":{\"code\":\"idle\"}}\n\n");
    framing_add_close(&out, ENCODING_JSON, 4001, SPAN("{}"));
    assert_memory_equal(out.data, "\x88\x04\x0f\xa1{}", 6);
    buf_clear(&out);
    framing_add_retry(&out, ENCODING_EVENTS, 1500);
    assert_out("retry: 1500\n");
    framing_add_retry(&out, ENCODING_JSON, 1500);
    assert_out("");
    put_nothing();
}

static void each_mode_has_its_events_and_websockets_have_one_encoding(void **state)
{
    (void)state;
    assert_int_equal(framing_in_mode(ENCODING_EVENTS, true), ENCODING_EVENTS_ALL);
    assert_int_equal(framing_in_mode(ENCODING_EVENTS_ALL, false), ENCODING_EVENTS);
    assert_int_equal(framing_in_mode(ENCODING_MSGPACK, true), ENCODING_MSGPACK);
    assert_int_equal(framing_in_mode(ENCODING_JSON, true), ENCODING_JSON);
    assert_true(framing_has_input(ENCODING_JSON));
    assert_false(framing_has_input(ENCODING_EVENTS));
    assert_string_equal(framing_protocol(ENCODING_EVENTS_ALL), "sse");
    assert_string_equal(framing_connection(ENCODING_MSGPACK), "WebSocket");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_in_mode_all_a_record_has_its_position_as_id),
        cmocka_unit_test(a_traced_event_states_when_it_is_sent),
        cmocka_unit_test(a_message_to_one_client_has_an_id_if_it_moves_the_position),
        cmocka_unit_test(pings_closes_and_retries_are_what_the_connection_has_for_them),
        cmocka_unit_test(each_mode_has_its_events_and_websockets_have_one_encoding),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
