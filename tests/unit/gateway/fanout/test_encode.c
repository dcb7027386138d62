#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/fanout/encode.h"
#include "shared/wire/quote.h"
#include "tests/unit/dice.h"
#include "tests/unit/packed.h"

#define WRITTEN 1795382037000004

static struct hub_symbol symbol_with(const char *body)
{
    struct hub_symbol s = {
        .name = "EUR/USD", .name_len = 7, .state = SYMBOL_LIVE, .seq = 991, .prev = 981};

    if (body)
        packed(&s.body, body);
    return s;
}

static struct span payload_of(const struct frame *f)
{
    size_t len = (unsigned char)f->bytes[1], head = len < 126 ? 2 : len == 126 ? 4 : 10;

    return (struct span){f->bytes + head, f->len - head};
}

/* Encoded both ways; both must read as the same JSON, which is returned. */
static const char *in_both(const struct hub_symbol *s, enum symbol_message kind, struct buf *text)
{
    struct frame *json = encode_symbol(s, kind, ENCODING_JSON),
                 *pack = encode_symbol(s, kind, ENCODING_MSGPACK);
    struct buf from_pack = {0};

    frame_stamp(json, WRITTEN); /* only a traced frame has the time of its sending */
    frame_stamp(pack, WRITTEN);
    assert_int_equal((unsigned char)json->bytes[0], 0x81);
    assert_int_equal((unsigned char)pack->bytes[0], 0x82);
    assert_int_equal(json->references, 1);
    unpacked(&from_pack, payload_of(pack));
    buf_clear(text);
    buf_add(text, payload_of(json).at, payload_of(json).len);
    for (size_t i = 0; i < text->len; i++)
        if (text->data[i] == '"')
            text->data[i] = '\'';
    assert_string_equal(buf_text(text), buf_text(&from_pack));
    buf_free(&from_pack);
    frame_release(&json);
    frame_release(&pack);
    return buf_text(text);
}

static void each_kind_has_its_members_in_both_encodings(void **state)
{
    struct hub_symbol s =
        symbol_with("{'bid':'1.0842','ask':'1.0843','timestamp':1640995200.125,'n':-7,"
                    "'more':{'a':[1,null,true]}}");
    struct buf text = {0};

    (void)state;
    assert_string_equal(in_both(&s, MESSAGE_QUOTE, &text),
                        "{'type':'quote','symbol':'EUR/USD','seq':991,'prev':981,"
                        "'bid':'1.0842','ask':'1.0843','timestamp':1640995200.125,'n':-7,"
                        "'more':{'a':[1,null,true]}}");
    assert_string_equal(in_both(&s, MESSAGE_SNAPSHOT, &text),
                        "{'type':'snapshot','symbol':'EUR/USD','seq':991,'state':'live',"
                        "'bid':'1.0842','ask':'1.0843','timestamp':1640995200.125,'n':-7,"
                        "'more':{'a':[1,null,true]}}");
    s.state = SYMBOL_STALE;
    assert_string_equal(in_both(&s, MESSAGE_STATE, &text),
                        "{'type':'state','symbol':'EUR/USD','seq':991,'prev':981,"
                        "'state':'stale'}");
    buf_free(&s.body);
    buf_free(&text);
}

static void without_a_value_there_are_only_the_frames_own_members(void **state)
{
    struct hub_symbol s = symbol_with(NULL);
    struct buf text = {0};

    (void)state;
    s.state = SYMBOL_UNKNOWN;
    assert_string_equal(in_both(&s, MESSAGE_SNAPSHOT, &text),
                        "{'type':'snapshot','symbol':'EUR/USD','seq':991,'state':'unknown'}");
    assert_string_equal(in_both(&s, MESSAGE_STATE, &text),
                        "{'type':'state','symbol':'EUR/USD','seq':991,'prev':981,"
                        "'state':'unknown'}");
    assert_string_equal(in_both(&s, MESSAGE_QUOTE, &text),
                        "{'type':'quote','symbol':'EUR/USD','seq':991,'prev':981}");
    buf_free(&text);
}

static void a_price_is_the_same_text_from_end_to_end(void **state)
{
    static const char *const prices[] = {"1034.50", "0.10000000000000000000000000001",
                                         "9007199254740993", "007"};
    struct buf text = {0};

    (void)state;
    for (size_t i = 0; i < sizeof prices / sizeof prices[0]; i++) {
        char body[100];
        struct hub_symbol s;

        snprintf(body, sizeof body, "{'last':'%s'}", prices[i]);
        s = symbol_with(body);
        snprintf(body, sizeof body, ",'last':'%s'}", prices[i]);
        assert_non_null(strstr(in_both(&s, MESSAGE_QUOTE, &text), body));
        buf_free(&s.body);
    }
    buf_free(&text);
}

/* The encoder writes every accepted quote as a well-formed message with no duplicate key. */
static void any_accepted_quote_is_encoded_alike(void **state)
{
    static const struct quote_rules rules = {.now_us = 1640995200000000};
    static const char *const fields[] = {
        "'bid':'1'",
        "'ask':'2'",
        "'last':'1.5'",
        "'volume':'0'",
        "'currency':'\\u20ac'",
        "'source':'\\u0001\\\\'",
        "'recorded_at':1",
        "'x':[1,[],{}]",
        "'y\\u0000':'\\u0000'",
        "'':{'':{'':[]}}",
        "'big':18446744073709551615",
    };
    struct buf text = {0};

    (void)state;
    dice_seed();
    for (int round = 0; round < 2000; round++) {
        char body[600] = "{'low':'0','timestamp':1640995200.0";
        struct hub_symbol s;

        for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
            if (dice(2)) {
                strcat(body, ",");
                strcat(body, fields[i]);
            }
        strcat(body, "}");
        s = symbol_with(body);
        if (quote_check(buf_span(&s.body), &rules) == QUOTE_ACCEPTED)
            for (int kind = MESSAGE_QUOTE; kind <= MESSAGE_STATE; kind++) {
                struct json *j = json_new();
                const struct json_value *root;
                struct frame *f = encode_symbol(&s, (enum symbol_message)kind, ENCODING_JSON);

                assert_int_equal(json_parse(j, payload_of(f), &root), OK);
                assert_true(span_eq(json_member(root, "symbol")->text, "EUR/USD"));
                in_both(&s, (enum symbol_message)kind, &text);
                frame_release(&f);
                json_free(j);
            }
        buf_free(&s.body);
    }
    buf_free(&text);
}

static void a_traced_quote_says_when_it_passed_where_as_far_as_is_known(void **state)
{
    struct hub_symbol s = symbol_with("{'bid':'1'}"), of_old = symbol_with("{'bid':'1'}"),
                      theirs = symbol_with("{'bid':'1','trace':'x'}");
    struct buf text = {0};

    (void)state;
    s.sent_us = 1795382037000001;
    s.accepted_us = 1795382037000002;
    s.received_us = 1795382037000003;
    assert_string_equal(in_both(&s, MESSAGE_TRACED, &text),
                        "{'type':'quote','symbol':'EUR/USD','seq':991,'prev':981,"
                        "'bid':'1','trace':{'sent':1795382037000001,"
                        "'accepted':1795382037000002,'received':1795382037000003,"
                        "'written':1795382037000004}}");
    assert_string_equal(in_both(&s, MESSAGE_QUOTE, &text),
                        "{'type':'quote','symbol':'EUR/USD','seq':991,'prev':981,"
                        "'bid':'1'}");
    assert_string_equal(in_both(&of_old, MESSAGE_TRACED, &text),
                        "{'type':'quote','symbol':'EUR/USD','seq':991,'prev':981,"
                        "'bid':'1','trace':{'written':1795382037000004}}");
    of_old.sent_us = of_old.accepted_us = of_old.received_us = 1; /* the least that is known */
    assert_string_equal(in_both(&of_old, MESSAGE_TRACED, &text),
                        "{'type':'quote','symbol':'EUR/USD','seq':991,'prev':981,'bid':'1',"
                        "'trace':{'sent':1,'accepted':1,'received':1,"
                        "'written':1795382037000004}}");
    assert_string_equal(in_both(&theirs, MESSAGE_TRACED, &text),
                        "{'type':'quote','symbol':'EUR/USD','seq':991,'prev':981,"
                        "'bid':'1','trace':'x'}");
    buf_free(&s.body);
    buf_free(&of_old.body);
    buf_free(&theirs.body);
    buf_free(&text);
}

static void a_loss_is_written_with_all_its_members(void **state)
{
    static const char *const bodies[] = {
        "{'feed':'f','first':3,'last':5,'count':2,'reason':'ring_overflow'}", "{}"};
    static const char *const lost[] = {
        "{'type':'lost','seq':7,'feed':'f','first':3,'last':5,'count':2,"
        "'reason':'ring_overflow'}",
        "{'type':'lost','seq':7,'feed':'','first':0,'last':0,'count':0,'reason':''}"};
    struct buf body = {0}, text = {0};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct frame *json, *pack;

        buf_clear(&body);
        packed(&body, bodies[i]);
        json = encode_lost(1, 7, buf_span(&body), ENCODING_JSON);
        pack = encode_lost(1, 7, buf_span(&body), ENCODING_MSGPACK);
        assert_string_equal(unpacked(&text, payload_of(pack)), lost[i]);
        buf_clear(&text);
        buf_add(&text, payload_of(json).at, payload_of(json).len);
        for (size_t k = 0; k < text.len; k++)
            text.data[k] = text.data[k] == '"' ? '\'' : text.data[k];
        assert_string_equal(buf_text(&text), lost[i]);
        assert_int_equal(json->seq, 7);
        assert_int_equal(pack->seq, 7);
        frame_release(&json);
        frame_release(&pack);
    }
    buf_free(&body);
    buf_free(&text);
}

static void every_state_has_a_name(void **state)
{
    (void)state;
    assert_string_equal(encode_state_name(SYMBOL_LIVE), "live");
    assert_string_equal(encode_state_name(SYMBOL_STALE), "stale");
    assert_string_equal(encode_state_name(SYMBOL_UNKNOWN), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_has_its_members_in_both_encodings),
        cmocka_unit_test(without_a_value_there_are_only_the_frames_own_members),
        cmocka_unit_test(a_price_is_the_same_text_from_end_to_end),
        cmocka_unit_test(any_accepted_quote_is_encoded_alike),
        cmocka_unit_test(a_traced_quote_says_when_it_passed_where_as_far_as_is_known),
        cmocka_unit_test(a_loss_is_written_with_all_its_members),
        cmocka_unit_test(every_state_has_a_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
