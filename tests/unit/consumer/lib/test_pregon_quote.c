#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "consumer/lib/pregon_private.h"
#include "consumer/tail/print.h"
#include "tests/unit/packed.h"

#define LENGTH(a) (sizeof(a) / sizeof(a)[0])

static struct buf body;

static struct pregon_quote quote_of(const char *fields)
{
    buf_clear(&body);
    packed(&body, fields);
    return (struct pregon_quote){
        .symbol = "EUR/USD", .seq = 7, .prev = 5, .body = {body.data, body.len}};
}

static void a_field_is_text_as_it_came_and_all_else_as_json_writes_it(void **state)
{
    static const struct {
        const char *name, *text;
        enum pregon_type type;
    } fields[] = {
        {"bid", "1034.50", PREGON_TEXT}, {"timestamp", "1640995200.25", PREGON_NUMBER},
        {"n", "-3", PREGON_NUMBER},      {"open", "true", PREGON_BOOL},
        {"none", "null", PREGON_NIL},
    };
    struct pregon_quote q = quote_of("{'bid':'1034.50','timestamp':1640995200.25,'n':-3,"
                                     "'open':true,'none':null,'list':[1,2],'empty':''}");
    struct pregon_field f;
    char text[8];

    (void)state;
    for (size_t i = 0; i < LENGTH(fields); i++) {
        assert_true(pregon_quote_field(&q, fields[i].name, &f));
        assert_int_equal(f.type, fields[i].type);
        assert_int_equal(f.text.len, strlen(fields[i].text));
        assert_memory_equal(f.text.at, fields[i].text, f.text.len);
    }
    assert_true(pregon_quote_field(&q, "list", &f));
    assert_int_equal(f.type, PREGON_NESTED);
    assert_null(f.text.at);
    assert_int_equal(f.raw.len, 3);
    assert_false(pregon_quote_field(&q, "bi", &f));
    assert_string_equal(pregon_quote_text(&q, "bid", text, sizeof text), "1034.50");
    assert_string_equal(pregon_quote_text(&q, "bid", text, 4), "103");
    assert_string_equal(pregon_quote_text(&q, "list", text, sizeof text), "");
    assert_string_equal(pregon_quote_text(&q, "ask", text, sizeof text), "");
    assert_true(pregon_quote_field(&q, "empty", &f));
    assert_non_null(f.text.at);
}

static void every_field_comes_once_in_its_order(void **state)
{
    struct pregon_quote q = quote_of("{'bid':'1','list':[[1],{'a':2}],'ask':'2'}");
    static const char *const names[] = {"bid", "list", "ask"};
    struct pregon_field f = {0};

    (void)state;
    for (size_t i = 0; i < LENGTH(names); i++) {
        assert_true(pregon_quote_next(&q, &f));
        assert_int_equal(f.name.len, strlen(names[i]));
        assert_memory_equal(f.name.at, names[i], f.name.len);
    }
    assert_false(pregon_quote_next(&q, &f));
    q = quote_of("{}");
    memset(&f, 0, sizeof f);
    assert_false(pregon_quote_next(&q, &f));
}

static void json_is_what_a_browser_gets(void **state)
{
    struct pregon_quote q = quote_of("{'bid':'1.0842','note':'\\u00e9\\\"'}");
    struct pregon p = {0};

    (void)state;
    assert_string_equal(pregon_quote_json(&p, &q),
                        "{\"type\":\"quote\",\"symbol\":\"EUR/USD\",\"seq\":7,\"prev\":5,"
                        "\"bid\":\"1.0842\",\"note\":\"\u00e9\\\"\"}");
    q.is_snapshot = true;
    q.state = PREGON_STALE;
    assert_non_null(strstr(pregon_quote_json(&p, &q), "\"seq\":7,\"state\":\"stale\","));
    buf_free(&p.json);
}

static void positions_are_read_strictly(void **state)
{
    static const char *const wrong[] = {"",
                                        "1",
                                        ":1",
                                        "1:",
                                        "x:1",
                                        "0:1",
                                        "1:1x",
                                        "1:-1",
                                        "1: 1",
                                        "11112222333344445:1",
                                        "1:99999999999999999999"};
    struct pregon_position at = {9, 9};

    (void)state;
    for (size_t i = 0; i < LENGTH(wrong); i++)
        assert_int_equal(pregon_position_parse(wrong[i], &at), PREGON_ERROR_INVALID);
    assert_int_equal(at.epoch, 9);
    assert_int_equal(pregon_position_parse("0efc6f433b8d1fa2:990", &at), PREGON_OK);
    assert_true(at.epoch == 0x0efc6f433b8d1fa2 && at.seq == 990);
}

static void a_table_lets_no_control_character_through(void **state)
{
    struct pregon_quote q = quote_of("{'bid':'1\\u001b[2J','ask':'2'}");
    struct pregon_loss l = {"f\x1b\r[2J",
                            1,
                            9,
                            3,
                            5,
                            3,
                            "a\x1b]0;b\xc2\x9b"
                            "c\n"};
    struct buf out = {0};
    struct print t = {.is_table = true, .out = &out};
    struct pregon p = {0};

    (void)state;
    print_quote(&t, &p, &q);
    assert_null(strchr(buf_text(&out), '\x1b'));
    assert_non_null(strstr(buf_text(&out), "1?[2J"));
    buf_clear(&out);
    print_lost(&t, &l);
    assert_string_equal(buf_text(&out), "lost: lines 3 to 5 of feed f??[2J (a?]0;b??c?)\n");
    buf_free(&out);
}

static void losses_and_resets_are_lines_too(void **state)
{
    struct pregon_loss l = {"f", 1, 9, 3, 5, 3, "ring_overflow"};
    struct pregon_reset r = {0x1f, 2, "log_replaced"};
    struct buf out = {0};
    struct print t = {.out = &out};

    (void)state;
    print_lost(&t, &l);
    print_reset(&t, &r);
    assert_string_equal(buf_text(&out),
                        "{\"type\":\"lost\",\"seq\":9,\"feed\":\"f\",\"first\":3,"
                        "\"last\":5,\"count\":3,"
                        "\"reason\":\"ring_overflow\"}\n"
                        "{\"type\":\"reset\",\"epoch\":\"000000000000001f\",\"seq\":0,"
                        "\"reason\":\"log_replaced\"}\n");
    buf_clear(&out);
    t.is_table = t.has_color = true;
    print_lost(&t, &l);
    assert_string_equal(buf_text(&out),
                        "\x1b[31mlost: lines 3 to 5 of feed f (ring_overflow)\x1b[0m\n");
    buf_free(&out);
}

static int end(void **state)
{
    (void)state;
    buf_free(&body);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_field_is_text_as_it_came_and_all_else_as_json_writes_it),
        cmocka_unit_test(every_field_comes_once_in_its_order),
        cmocka_unit_test(json_is_what_a_browser_gets),
        cmocka_unit_test(positions_are_read_strictly),
        cmocka_unit_test(a_table_lets_no_control_character_through),
        cmocka_unit_test(losses_and_resets_are_lines_too),
    };

    return cmocka_run_group_tests(tests, NULL, end);
}
