/* Last values and history, from the broker's answers as JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/routes/quotes_json.h"
#include "shared/wire/wire.h"
#include "tests/unit/packed.h"

static struct buf answer, text;

static void begin_answer(msgpack_packer *pk, uint32_t members)
{
    buf_clear(&answer);
    msgpack_packer_init(pk, &answer, buf_pack_write);
    msgpack_pack_map(pk, members);
}

/* A record of the log 0xabc, as bytes; `body` is JSON. */
static void pack_record(msgpack_packer *pk, enum wire_kind kind, uint64_t epoch, uint64_t seq,
                        const char *body)
{
    struct wire_record r = {
        .kind = kind, .epoch = epoch, .seq = seq, .prev = seq - 1, .accepted_us = 2500000};
    struct buf packed_body = {0}, record = {0};

    packed(&packed_body, body);
    r.body = buf_span(&packed_body);
    wire_put(&record, &r);
    msgpack_pack_bin_with_body(pk, record.data, record.len);
    buf_free(&record);
    buf_free(&packed_body);
}

static void pack_entry(msgpack_packer *pk, const char *symbol, uint64_t seq, const char *state)
{
    msgpack_pack_array(pk, 4);
    pack_text(pk, span_of(symbol));
    msgpack_pack_uint64(pk, seq);
    pack_text(pk, span_of(state));
    pack_record(pk, WIRE_QUOTE, 0xabc, seq, "{'last':'1.5'}");
}

/* What was written, double quotes as single ones. */
static const char *written(void)
{
    assert_int_equal(pack_check(buf_span(&answer)), OK);
    for (size_t i = 0; i < text.len; i++)
        text.data[i] = text.data[i] == '"' ? '\'' : text.data[i];
    return buf_text(&text);
}

static const char *list(const struct loop_request *q)
{
    buf_clear(&text);
    quotes_json_list(q, buf_span(&answer), &text);
    return written();
}

static const char *history(const struct loop_request *q)
{
    buf_clear(&text);
    quotes_json_history(q, buf_span(&answer), &text);
    return written();
}

static void a_list_has_every_entry_and_where_to_go_on(void **state)
{
    struct loop_request q = {.epoch = 0xabc, .answered_us = 1500000, .is_complete = 1};
    msgpack_packer pk;

    (void)state;
    begin_answer(&pk, 4);
    pack_kv_u(&pk, "seq", 9);
    pack_kv_u(&pk, "symbols", 8);
    pack_kv_u(&pk, "next", 7);
    pack_key(&pk, "quotes");
    msgpack_pack_array(&pk, 3);
    pack_entry(&pk, "A", 1, "live");
    pack_entry(&pk, "B", 2, "stale");
    msgpack_pack_nil(&pk); /* what is no entry ends it */
    assert_string_equal(list(&q), "{'quotes':[{'symbol':'A','seq':1,'state':'live','last':'1.5'},"
                                  "{'symbol':'B','seq':2,'state':'stale','last':'1.5'}],"
                                  "'epoch':'0000000000000abc','seq':9,'symbols':8,'next':7,"
                                  "'truncated':true,'complete':true,'timestamp':1.5}\n");
    q.is_complete = 0;
    begin_answer(&pk, 0);
    assert_string_equal(list(&q), "{'quotes':[],'epoch':'0000000000000abc','seq':0,'symbols':0,"
                                  "'truncated':false,'complete':false,'timestamp':1.5}\n");
}

static void one_quote_is_the_first_of_the_list(void **state)
{
    msgpack_packer pk;

    (void)state;
    begin_answer(&pk, 1);
    pack_key(&pk, "quotes");
    msgpack_pack_array(&pk, 1);
    pack_entry(&pk, "A", 1, "live");
    buf_clear(&text);
    assert_true(quotes_json_one(buf_span(&answer), &text));
    assert_string_equal(written(), "{'symbol':'A','seq':1,'state':'live','last':'1.5'}\n");
    buf_clear(&text);
    begin_answer(&pk, 1);
    pack_key(&pk, "quotes");
    msgpack_pack_array(&pk, 0);
    assert_false(quotes_json_one(buf_span(&answer), &text));
    begin_answer(&pk, 1);
    pack_key(&pk, "quotes");
    msgpack_pack_array(&pk, 1);
    msgpack_pack_nil(&pk);
    assert_false(quotes_json_one(buf_span(&answer), &text));
    assert_int_equal(text.len, 0);
}

/* A list of records with a topic each. */
static void pack_pair(msgpack_packer *pk, enum wire_kind kind, uint64_t epoch, uint64_t seq,
                      const char *body)
{
    msgpack_pack_array(pk, 2);
    pack_text(pk, SPAN("A "));
    pack_record(pk, kind, epoch, seq, body);
}

static void history_has_quotes_and_states_with_the_time_they_were_accepted(void **state)
{
    struct loop_request q = {.text = "A", .answered_us = 1500000};
    msgpack_packer pk;

    (void)state;
    begin_answer(&pk, 3);
    pack_kv_u(&pk, "epoch", 0xabc);
    pack_kv_u(&pk, "head", 9);
    pack_key(&pk, "records");
    msgpack_pack_array(&pk, 7);
    pack_pair(&pk, WIRE_QUOTE, 0xabc, 5, "{'last':'1.5'}");
    pack_pair(&pk, WIRE_STATE, 0xabc, 6, "{'state':'stale'}");
    pack_pair(&pk, WIRE_STATE, 0xabc, 7, "{'state':'live'}");
    pack_pair(&pk, WIRE_LOST, 0xabc, 8, "{}"); /* is of no symbol */
    pack_pair(&pk, WIRE_QUOTE, 0xabd, 9, "{'accepted':'x','last':'2'}");
    pack_pair(&pk, WIRE_QUOTE, 0xabd, 10, "{'epoch':'x'}");
    msgpack_pack_array(&pk, 2); /* is no record */
    pack_text(&pk, SPAN("A "));
    msgpack_pack_bin_with_body(&pk, "x", 1);
    assert_string_equal(
        history(&q),
        "{'symbol':'A','order':'newest','records':["
        "{'type':'quote','symbol':'A','seq':5,'prev':4,'last':'1.5','accepted':2.5},"
        "{'type':'state','symbol':'A','seq':6,'prev':5,'state':'stale','accepted':2.5},"
        "{'type':'state','symbol':'A','seq':7,'prev':6,'state':'live','accepted':2.5},"
        "{'type':'quote','symbol':'A','seq':9,'prev':8,'accepted':'x','last':'2',"
        "'epoch':'0000000000000abd'},"
        "{'type':'quote','symbol':'A','seq':10,'prev':9,'epoch':'x','accepted':2.5}],"
        "'gaps':[],'epoch':'0000000000000abc','first':0,'head':9,'truncated':false,"
        "'complete':true,'timestamp':1.5}\n");
}

static void history_says_what_it_does_not_have(void **state)
{
    struct loop_request q = {.text = "A",
                             .answered_us = 1500000,
                             .timeline = {.is_oldest_first = true, .has_since = true, .after = 4}};

    (void)state;
    buf_clear(&answer);
    packed(&answer, "{'epoch':2748,'first':5,'head':9,'next':7,'gaps':[[5,6,'damaged'],"
                    "[8,8,'not_stored']]}");
    assert_string_equal(history(&q), "{'symbol':'A','order':'oldest','records':[],"
                                     "'gaps':[{'first':5,'last':6,'reason':'damaged'},"
                                     "{'first':8,'last':8,'reason':'not_stored'}],"
                                     "'epoch':'0000000000000abc','first':5,'head':9,"
                                     "'next':'0000000000000abc:7','truncated':true,"
                                     "'complete':false,'timestamp':1.5}\n");
    buf_clear(&answer);
    packed(&answer, "{'first':5}");
    assert_non_null(strstr(history(&q), "'truncated':false,'complete':true,"));
    buf_clear(&answer);
    packed(&answer, "{'first':6}"); /* 5 is gone */
    assert_non_null(strstr(history(&q), "'complete':false,"));
    q.timeline.has_since = false; /* from wherever it begins */
    assert_non_null(strstr(history(&q), "'complete':true,"));
}

static void what_is_no_gap_or_record_ends_its_list(void **state)
{
    static const char *const gaps[] = {"7",           "[1,2]",       "[1,2,'x',4]",
                                       "['1',2,'x']", "[1,'2','x']", "[1,2,3]"};
    static const char *const records[] = {"7", "['A ']", "['A ','x']", "[1,'x']", "['A ',1,2]"};
    struct loop_request q = {.text = "A"};
    char answer_text[200];

    (void)state;
    for (size_t i = 0; i < sizeof gaps / sizeof *gaps; i++) {
        buf_clear(&answer);
        snprintf(answer_text, sizeof answer_text, "{'gaps':[[1,2,'y'],%s,[3,4,'z']]}", gaps[i]);
        packed(&answer, answer_text);
        assert_non_null(strstr(history(&q), "'gaps':[{'first':1,'last':2,'reason':'y'}],"));
    }
    for (size_t i = 0; i < sizeof records / sizeof *records; i++) {
        msgpack_packer pk;

        begin_answer(&pk, 1);
        pack_key(&pk, "records");
        msgpack_pack_array(&pk, 3);
        pack_pair(&pk, WIRE_QUOTE, 0, 5, "{}");
        packed(&answer, records[i]);
        pack_pair(&pk, WIRE_QUOTE, 0, 6, "{}");
        assert_non_null(strstr(history(&q), "'records':[{'type':'quote','symbol':'A','seq':5,"
                                            "'prev':4,'accepted':2.5}],"));
    }
}

static int tear_down(void **state)
{
    (void)state;
    buf_free(&answer);
    buf_free(&text);
    return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_list_has_every_entry_and_where_to_go_on),
        TEST(one_quote_is_the_first_of_the_list),
        TEST(history_has_quotes_and_states_with_the_time_they_were_accepted),
        TEST(history_says_what_it_does_not_have),
        TEST(what_is_no_gap_or_record_ends_its_list),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
