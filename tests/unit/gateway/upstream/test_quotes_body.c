#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/upstream/quotes_body.h"
#include "shared/wire/publish.h"
#include "tests/unit/packed.h"

static struct json *json;
static struct quotes_body body;
static struct quotes_body_error error;
static struct buf text;

static int set_up(void **state)
{
    (void)state;
    json = json_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    json_free(json);
    quotes_body_free(&body);
    buf_free(&text);
    return 0;
}

/* The request with the one part of this body, as JSON; what is wrong, if it is refused. */
static const char *rows_of(const char *input, bool is_lines)
{
    static const struct quotes_request q = {.feed = {"web", 3}};
    struct buf members = {0}, map = {0};
    msgpack_packer pk;
    uint32_t count;

    quotes_body_free(&body);
    if (!quotes_body_read(json, span_of(input), is_lines, &body, &error))
        return error.message;
    count = quotes_body_pack(&body, 0, &q, &members);
    msgpack_packer_init(&pk, &map, buf_pack_write);
    msgpack_pack_map(&pk, count);
    buf_add(&map, members.data, members.len);
    assert_int_equal(pack_check(buf_span(&map)), OK);
    unpacked(&text, buf_span(&map));
    buf_free(&members);
    buf_free(&map);
    return strstr(buf_text(&text), "'quotes':") + strlen("'quotes':");
}

static void one_quote_an_array_and_lines_are_the_same(void **state)
{
    const char *both = "[['A',{'bid':'1.50'}],['B',{'last':'-2','timestamp':1640995200.0}]]}";

    (void)state;
    assert_string_equal(rows_of(" {\"symbol\":\"A\",\"bid\":1.50}\n", false),
                        "[['A',{'bid':'1.50'}]]}");
    assert_string_equal(rows_of("[{\"symbol\":\"A\",\"bid\":\"1.50\"},\n"
                                "{\"symbol\":\"B\",\"last\":-2,\"timestamp\":1640995200}]",
                                false),
                        both);
    assert_string_equal(rows_of("{\"symbol\":\"A\",\"bid\":\"1.50\"}\r\n\n"
                                "{\"symbol\":\"B\",\"last\":-2,\"timestamp\":1640995200}",
                                false),
                        both);
    assert_string_equal(rows_of("\xEF\xBB\xBF{\"symbol\":\"A\",\"bid\":1.50}", true),
                        "[['A',{'bid':'1.50'}]]}");
    assert_string_equal(rows_of("{\n \"symbol\":\"A\",\n \"bid\":1.50\n}\n", false),
                        "[['A',{'bid':'1.50'}]]}");
    assert_string_equal(rows_of("[]", false), "[]}");
}

static void a_value_that_is_no_quote_becomes_a_row_that_says_why(void **state)
{
    (void)state;
    assert_string_equal(
        rows_of("[{\"symbol\":\"a\",\"last\":1},{\"last\":1},7,{\"symbol\":\"A\",\"ask\":\"x\"},"
                "{\"symbol\":\"A\",\"low\":1},{\"symbol\":\"A\",\"last\":1,\"seq\":2},"
                "{\"symbol\":\"A\",\"last\":1,\"recorded_at\":\"x\"}]",
                false),
        "[['','bad_symbol','symbol'],['','bad_symbol','symbol'],['','malformed',''],"
        "['','bad_price','ask'],['','no_price',''],['','reserved_name','seq'],"
        "['','bad_time','recorded_at']]}");
    assert_string_equal(rows_of("{\"symbol\":\"A\",\"last\":1}\n{\"symbol\":\n\"x\"", false),
                        "[['A',{'last':'1'}],['','malformed',''],['','malformed','']]}");
    assert_string_equal(rows_of("{\"symbol\":\n{\"symbol\":\"A\",\"last\":1}", true),
                        "[['','malformed',''],['A',{'last':'1'}]]}");
}

static void a_quote_that_is_too_deep_for_a_request_is_refused_alone(void **state)
{
    (void)state;
    assert_string_equal(rows_of("[{\"symbol\":\"A\",\"last\":1,\"x\":[[[[1]]]]},"
                                "{\"symbol\":\"A\",\"last\":1,\"x\":[[[[[1]]]]]}]",
                                false),
                        "[['A',{'last':'1','x':[[[[1]]]]}],['','malformed','']]}");
}

static void what_only_the_broker_can_judge_passes(void **state)
{
    (void)state;
    assert_string_equal(
        rows_of("{\"symbol\":\"A\",\"bid\":2,\"ask\":1,\"timestamp\":99999999999}", false),
        "[['A',{'bid':'2','ask':'1','timestamp':99999999999.0}]]}");
}

static void a_body_of_another_shape_is_refused_as_a_whole(void **state)
{
    (void)state;
    assert_string_equal(rows_of("", false), "The body is empty.");
    assert_string_equal(rows_of(" \n", true), "The body is empty.");
    assert_string_equal(rows_of("7", false), "The body is neither an object nor an array.");
    assert_non_null(strstr(rows_of("[{\"symbol\":\"A\",\"last\":1},", false), "is not JSON"));
    assert_int_equal(error.at, 25);
    assert_non_null(strstr(rows_of("symbol,last\nA,1\n", false), "is not JSON"));
    assert_false(error.is_too_large);
}

static void too_many_quotes_are_refused_and_parts_are_bounded(void **state)
{
    struct buf input = {0};
    uint32_t sum = 0;

    (void)state;
    for (int i = 0; i < QUOTES_BODY_MAX; i++)
        buf_adds(&input, "{\"symbol\":\"A\",\"last\":1}\n");
    assert_true(quotes_body_read(json, buf_span(&input), false, &body, &error));
    assert_int_equal(body.part_count, 4);
    for (size_t i = 0; i < body.part_count; i++)
        sum += body.parts[i].count;
    assert_int_equal(sum, QUOTES_BODY_MAX);
    assert_int_equal(body.parts[0].count, PUBLISH_QUOTES_MAX);
    buf_adds(&input, "{\"symbol\":\"A\",\"last\":1}\n");
    quotes_body_free(&body);
    assert_false(quotes_body_read(json, buf_span(&input), false, &body, &error));
    assert_true(error.is_too_large);
    buf_free(&input);
}

/* As many fields as a quote may have, in as many quotes as a body may have. */
static void the_largest_array_is_taken_and_a_larger_one_refused_with_its_reason(void **state)
{
    struct buf input = {0}, quote = {0};

    (void)state;
    buf_adds(&quote, "{\"symbol\":\"A\",\"last\":1");
    for (int i = 2; i < PACK_KEYS_MAX; i++)
        buf_printf(&quote, ",\"f%d\":1", i);
    buf_addc(&quote, '}');
    buf_addc(&input, '[');
    for (int i = 0; i < QUOTES_BODY_MAX; i++) {
        buf_adds(&input, i ? "," : "");
        buf_add(&input, quote.data, quote.len);
    }
    buf_addc(&input, ']');
    assert_true(input.len < QUOTES_BODY_BYTES);
    assert_true(quotes_body_read(json, buf_span(&input), false, &body, &error));
    assert_int_equal(body.count, QUOTES_BODY_MAX);
    for (size_t i = 0; i < body.part_count; i++)
        assert_null(memmem(body.parts[i].rows.data, body.parts[i].rows.len, "malformed", 9));
    quotes_body_free(&body);
    buf_clear(&input);
    buf_addc(&input, '[');
    for (int i = 0; i < JSON_VALUES_MAX; i++)
        buf_adds(&input, i ? ",1" : "1");
    buf_addc(&input, ']');
    assert_false(quotes_body_read(json, buf_span(&input), false, &body, &error));
    assert_true(error.is_too_large);
    assert_string_equal(error.message, "The body has too many names and values.");
    assert_non_null(strstr(error.hint, "At most 150000 in an array"));
    buf_free(&input);
    buf_free(&quote);
}

static void parts_name_the_request_as_a_whole(void **state)
{
    const struct quotes_request q = {.feed = SPAN("web"), .key = SPAN("k")},
                                ended = {.feed = SPAN("web"), .key = SPAN("k"), .is_ended = true};
    uint64_t whole[4];

    (void)state;
    for (int i = 0; i < 4; i++) {
        struct buf input = {0}, map = {0}, members = {0};
        msgpack_packer pk;

        for (int n = 0; n < 256 + i % 3; n++)
            buf_adds(&input, "{\"symbol\":\"A\",\"last\":1}\n");
        assert_true(quotes_body_read(json, buf_span(&input), false, &body, &error));
        msgpack_packer_init(&pk, &map, buf_pack_write);
        msgpack_pack_map(&pk, quotes_body_pack(&body, 0, i < 3 ? &q : &ended, &members));
        buf_add(&map, members.data, members.len);
        whole[i] = pack_find_u(buf_span(&map), "whole", 0);
        for (int j = 0; j < i; j++)
            assert_true(whole[i] != whole[j]);
        quotes_body_free(&body);
        buf_free(&input);
        buf_free(&map);
        buf_free(&members);
    }
}

static void the_largest_body_fits_into_parts(void **state)
{
    char filler[8001];
    struct buf input = {0};

    (void)state;
    memset(filler, 'x', sizeof filler - 1);
    filler[sizeof filler - 1] = '\0';
    while (input.len + 8100 < QUOTES_BODY_BYTES)
        buf_printf(&input, "{\"symbol\":\"A\",\"last\":1,\"note\":\"%s\"}\n", filler);
    assert_true(quotes_body_read(json, buf_span(&input), false, &body, &error));
    for (size_t i = 0; i < body.part_count; i++)
        assert_true(body.parts[i].rows.len <= QUOTES_BODY_PART_BYTES + 8300);
    buf_free(&input);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_quote_an_array_and_lines_are_the_same),
        TEST(a_value_that_is_no_quote_becomes_a_row_that_says_why),
        TEST(a_quote_that_is_too_deep_for_a_request_is_refused_alone),
        TEST(what_only_the_broker_can_judge_passes),
        TEST(a_body_of_another_shape_is_refused_as_a_whole),
        TEST(too_many_quotes_are_refused_and_parts_are_bounded),
        TEST(the_largest_array_is_taken_and_a_larger_one_refused_with_its_reason),
        TEST(parts_name_the_request_as_a_whole),
        TEST(the_largest_body_fits_into_parts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
