#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "shared/base/json.h"

#define LENGTH(array) (sizeof(array) / sizeof(array)[0])

/*
 * A parsed text as one line: a container as {SIZE+SKIP@OFFSET, anything else as its
 * text
 * @OFFSET, strings in quotes.
 */
static void dump(struct buf *out, const struct json_value *root)
{
    for (uint32_t i = 0; i < root->skip; i++) {
        const struct json_value *v = &root[i];

        if (i)
            buf_addc(out, ' ');
        if (v->type == JSON_OBJECT || v->type == JSON_ARRAY)
            buf_printf(out, "%c%u+%u", v->type == JSON_OBJECT ? '{' : '[', v->size, v->skip);
        else if (v->type == JSON_STRING)
            buf_json(out, v->text);
        else if (v->type == JSON_NULL)
            buf_adds(out, "null");
        else
            buf_add(out, v->text.at, v->text.len);
        buf_printf(out, "@%zu", v->offset);
        if (v->type != JSON_OBJECT && v->type != JSON_ARRAY) {
            assert_int_equal(v->size, 0);
            assert_int_equal(v->skip, 1);
        }
    }
}

/* The text, or what is wrong with it, as one line. */
static void outcome(struct buf *out, struct json *j, struct span text)
{
    const struct json_value *root = NULL;
    enum err e = json_parse(j, text, &root);

    buf_clear(out);
    if (e) {
        assert_null(root);
        assert_true(json_error_offset(j) <= text.len);
        buf_printf(out, "%s@%zu %s", err_name(e), json_error_offset(j), json_error(j));
    } else {
        dump(out, root);
    }
}

static void every_value_knows_its_text_and_offset(void **state)
{
    static const struct {
        const char *text, *dump;
    } good[] = {
        {"{\"a\":[1,2]}", "{1+5@0 \"a\"@1 [2+3@5 1@6 2@8"},
        {"{}", "{0+1@0"},
        {" [ ] ", "[0+1@1"},
        {"null", "null@0"},
        {"\t\r\n true", "true@4"},
        {"false ", "false@0"},
        {"12", "12@0"},
        {"  -0.50", "-0.50@2"},
        {"[1034.50,1e-7,1E+400,-0,123456789012345678901234567890.10]",
         "[5+6@0 1034.50@1 1e-7@9 1E+400@14 -0@21 "
         "123456789012345678901234567890.10@24"},
        {"\"\"", "\"\"@0"},
        {"[\"\\u00e9\" , \"\\ud83d\\ude00\",\"\\\\\\\"\\/\", 7]",
         "[4+5@0 \"\xC3\xA9\"@1 \"\xF0\x9F\x98\x80\"@12 \"\\\\\\\"/\"@27 7@37"},
        {"{\"\\u0061\\n\" : {\"b\" :\t[ [], {} , null ] } , \"c\":true}",
         "{2+10@0 \"a\\n\"@1 {1+6@14 \"b\"@15 [3+4@21 [0+1@23 {0+1@27 null@32 \"c\"@43 "
         "true@47"},
        {"\"\\\\ud800\"", "\"\\\\ud800\"@0"},
        {"\"a,b:c d\"", "\"a,b:c d\"@0"},
        {"[\",:\",\":\"]", "[2+3@0 \",:\"@1 \":\"@6"},
        {"{\"a\":1,\"A\":2,\"\":3}", "{3+7@0 \"a\"@1 1@5 \"A\"@7 2@11 \"\"@13 3@16"},
        {"[{\"a\":1},{\"a\":{\"a\":2}}]",
         "[2+9@0 {1+3@1 \"a\"@2 1@6 {1+5@9 \"a\"@10 {1+3@14 \"a\"@15 2@19"},
        {"[[[[[[[[1]]]]]]]]", "[1+9@0 [1+8@1 [1+7@2 [1+6@3 [1+5@4 [1+4@5 [1+3@6 [1+2@7 "
                              "1@8"},
    };
    struct json *j = json_new();
    struct buf got = {0};

    (void)state;
    for (size_t i = 0; i < LENGTH(good); i++) {
        outcome(&got, j, span_of(good[i].text));
        assert_string_equal(buf_text(&got), good[i].dump);
    }
    buf_free(&got);
    json_free(j);
}

static void what_is_wrong_is_refused_with_its_place(void **state)
{
    static const struct {
        const char *text;
        enum err why;
        size_t at;
    } bad[] = {
        {"", ERR_MALFORMED, 0},
        {" \n ", ERR_MALFORMED, 3},
        {"[", ERR_MALFORMED, 1},
        {"[1,", ERR_MALFORMED, 3},
        {"{\"a\":", ERR_MALFORMED, 5},
        {"[1, \"ab", ERR_MALFORMED, 4},
        {"nul", ERR_MALFORMED, 0},
        {"{\"a\":nulL}", ERR_MALFORMED, 5},
        {"{\"a\",1}", ERR_MALFORMED, 4},
        {"{\"a\"::1}", ERR_MALFORMED, 5},
        {"{\"a\" \"b\"}", ERR_MALFORMED, 5},
        {"{\"a\":1,}", ERR_MALFORMED, 7},
        {"{1:2}", ERR_MALFORMED, 1},
        {"{'a':2}", ERR_MALFORMED, 1},
        {"[,1]", ERR_MALFORMED, 1},
        {"[1,]", ERR_MALFORMED, 3},
        {"[1,,2]", ERR_MALFORMED, 3},
        {"[1 2]", ERR_MALFORMED, 3},
        {"[1:2]", ERR_MALFORMED, 2},
        {"[1}", ERR_MALFORMED, 2},
        {"]", ERR_MALFORMED, 0},
        {",1", ERR_MALFORMED, 0},
        {":", ERR_MALFORMED, 0},
        {"1 2", ERR_MALFORMED, 2},
        {"{} x", ERR_MALFORMED, 3},
        {"{}}", ERR_MALFORMED, 2},
        {"[][]", ERR_MALFORMED, 2},
        {"1,", ERR_MALFORMED, 1},
        {"\"ab", ERR_MALFORMED, 0},
        {"1 \"ab", ERR_MALFORMED, 2},
        {"1 nu", ERR_MALFORMED, 2},
        {"[01]", ERR_MALFORMED, 2},
        {"+1", ERR_MALFORMED, 0},
        {".5", ERR_MALFORMED, 0},
        {"[1.]", ERR_MALFORMED, 1},
        {"[1e]", ERR_MALFORMED, 1},
        {"-", ERR_MALFORMED, 0},
        {"NaN", ERR_MALFORMED, 0},
        {"[-Infinity]", ERR_MALFORMED, 1},
        {"0x10", ERR_MALFORMED, 1},
        {"/* no */ 1", ERR_MALFORMED, 0},
        {"1 // no", ERR_MALFORMED, 2},
        {"[\"a\\q\"]", ERR_MALFORMED, 1},
        {"[1,\"\\u12g4\"]", ERR_MALFORMED, 3},
        {"\"a\tb\"", ERR_MALFORMED, 0},
        {"\"a\x01\"", ERR_MALFORMED, 2},
        {"[1,\v2]", ERR_MALFORMED, 3},
        {"[1,\f2]", ERR_MALFORMED, 3},
        {"\xEF\xBB\xBF{}", ERR_MALFORMED, 0},
        {"\"ab\xFF\"", ERR_MALFORMED, 3},
        {"\"\xC0\x80\"", ERR_MALFORMED, 1},
        {"\"\xED\xA0\x80\"", ERR_MALFORMED, 1},
        {"\"\xF4\x90\x80\x80\"", ERR_MALFORMED, 1},
        {"\"\xC3", ERR_MALFORMED, 1},
        {"[\"ab\\ud83d\"]", ERR_MALFORMED, 4},
        {"\"\\ude00\"", ERR_MALFORMED, 1},
        {"\"\\ude00\\ude00\"", ERR_MALFORMED, 1},
        {"\"\\ud83d\\u0041\"", ERR_MALFORMED, 1},
        {"\"\\ud83dx\"", ERR_MALFORMED, 1},
        {"{\"a\":1,\"b\":2,\"a\":3}", ERR_DUPLICATE_KEY, 13},
        {"{\"a\":1,\"\\u0061\":2}", ERR_DUPLICATE_KEY, 7},
        {"{\"x\":1,\"a\":1,\"a\":2,\"x\":2,\"a\":3}", ERR_DUPLICATE_KEY, 13},
        {"[{\"\":{\"k\":0, \"k\":0}}]", ERR_DUPLICATE_KEY, 13},
        {"[[[[[[[[[1]]]]]]]]]", ERR_TOO_DEEP, 8},
        {"{\"a\":[[[[[[[{", ERR_TOO_DEEP, 12},
    };
    struct json *j = json_new();

    (void)state;
    for (size_t i = 0; i < LENGTH(bad); i++) {
        const struct json_value *root = NULL;
        enum err e = json_parse(j, span_of(bad[i].text), &root);

        if (e != bad[i].why || json_error_offset(j) != bad[i].at)
            fail_msg("%s: %s at %zu (%s)", bad[i].text, err_name(e), json_error_offset(j),
                     json_error(j));
        assert_null(root);
        assert_true(json_error(j)[0]);
        assert_null(strchr(json_error(j), '\n'));
        assert_int_not_equal(json_error(j)[strlen(json_error(j)) - 1], '.');
    }
    json_free(j);
}

static void a_nul_byte_is_refused_but_may_be_escaped(void **state)
{
    const struct json_value *root;
    struct json *j = json_new();

    (void)state;
    assert_int_equal(json_parse(j, SPAN("[1,\0 2]"), &root), ERR_MALFORMED);
    assert_int_equal(json_error_offset(j), 3);
    assert_int_equal(json_parse(j, SPAN("{}\0"), &root), ERR_MALFORMED);
    assert_int_equal(json_parse(j, SPAN("\"a\0b\""), &root), ERR_MALFORMED);
    assert_int_equal(json_error_offset(j), 2);
    assert_int_equal(json_parse(j, SPAN("\"a\\u0000b\""), &root), OK);
    assert_int_equal(root->text.len, 3);
    assert_memory_equal(root->text.at, "a\0b", 3);
    json_free(j);
}

static void a_text_that_ends_in_a_character_is_not_read_beyond_its_end(void **state)
{
    const struct json_value *root;
    struct json *j = json_new();

    (void)state;
    assert_int_equal(json_parse(j, (struct span){"\"\xc3\xa9\"", 2}, &root), ERR_MALFORMED);
    assert_int_equal(json_error_offset(j), 1);
    assert_string_equal(json_error(j), "not UTF-8");
    json_free(j);
}

static void a_key_that_stands_twice_is_found_among_keys_of_all_lengths(void **state)
{
    const struct json_value *root;
    struct json *j = json_new();
    struct buf text = {0};

    (void)state;
    for (int twice = -1; twice < 60; twice++) {
        size_t at = 0;

        buf_clear(&text);
        for (int i = 0; i < 60; i++)
            buf_printf(&text, "%s\"%0*d\":1", i ? "," : "{", i * 37 % 60 + 1, 0);
        if (twice >= 0) {
            at = text.len + 1;
            buf_printf(&text, ",\"%0*d\":2", twice + 1, 0);
        }
        buf_addc(&text, '}');
        assert_int_equal(json_parse(j, buf_span(&text), &root), twice < 0 ? OK : ERR_DUPLICATE_KEY);
        if (at)
            assert_int_equal(json_error_offset(j), at);
    }
    buf_free(&text);
    json_free(j);
}

static void the_number_of_values_is_bounded(void **state)
{
    const struct json_value *root;
    struct json *j = json_new();
    struct buf text = {0};

    (void)state;
    buf_adds(&text, "[0");
    for (int i = 2; i < JSON_VALUES_MAX; i++)
        buf_adds(&text, ",0");
    buf_addc(&text, ']');
    assert_int_equal(json_parse(j, buf_span(&text), &root), OK);
    assert_int_equal(root->size, JSON_VALUES_MAX - 1);
    assert_int_equal(root->skip, JSON_VALUES_MAX);

    text.len--;
    buf_adds(&text, ",0]");
    assert_int_equal(json_parse(j, buf_span(&text), &root), ERR_TOO_LARGE);
    assert_int_equal(json_error_offset(j), text.len - 2);
    buf_free(&text);
    json_free(j);
}

static void a_long_string_and_many_keys_are_taken_whole(void **state)
{
    const struct json_value *root, *v;
    struct json *j = json_new();
    struct buf text = {0};
    size_t at;

    (void)state;
    buf_addc(&text, '{');
    for (int i = 0; i < 9000; i++)
        buf_printf(&text, "\"k%d\":%d,", i, i);
    at = text.len + 8;
    buf_adds(&text, "\"long\": \"");
    memset(buf_room(&text, 3000000), 'x', 3000000);
    buf_adds(&text, "\"}");
    assert_int_equal(json_parse(j, buf_span(&text), &root), OK);
    v = json_member(root, "long");
    assert_non_null(v);
    assert_int_equal(v->offset, at);
    assert_int_equal(v->text.len, 3000000);
    v = json_member(root, "k8999");
    assert_non_null(v);
    assert_true(span_eq(v->text, "8999"));
    buf_free(&text);
    json_free(j);
}

static void the_depth_may_be_raised_for_documents_of_others(void **state)
{
    const struct json_value *root;
    struct json *j = json_new();

    (void)state;
    json_set_depth(j, 9);
    assert_int_equal(json_parse(j, SPAN("[[[[[[[[[1]]]]]]]]]"), &root), OK);
    assert_int_equal(root->skip, 10);
    assert_int_equal(json_parse(j, SPAN("[[[[[[[[[[1]]]]]]]]]]"), &root), ERR_TOO_DEEP);
    json_free(j);
}

static void a_member_is_found_only_in_its_own_object(void **state)
{
    const struct json_value *root;
    struct json *j = json_new();

    (void)state;
    assert_int_equal(
        json_parse(j, SPAN("{\"a\":{\"in\":1,\"b\":9},\"list\":[\"b\",7],\"b\":2}"), &root), OK);
    assert_true(span_eq(json_member(root, "b")->text, "2"));
    assert_true(span_eq(json_member(json_member(root, "a"), "b")->text, "9"));
    assert_null(json_member(root, "in"));
    assert_null(json_member(root, "lis"));
    assert_null(json_member(root, "list2"));
    assert_null(json_member(json_member(root, "list"), "b"));
    assert_null(json_member(json_member(root, "b"), "b"));
    json_free(j);
    json_free(NULL);
}

/* A text written at random together with the line dump() must give for it. */
struct writer {
    struct buf text, line;
    size_t values, depth;
};

static unsigned pick(unsigned n)
{
    return (unsigned)random() % n;
}

static void write_space(struct writer *w)
{
    while (pick(3) == 0)
        buf_addc(&w->text, " \t\r\n"[pick(4)]);
}

static void write_string(struct writer *w, const char *plain)
{
    static const struct {
        const char *source, *text;
    } parts[] = {
        {"a", "a"},      {"\\u00e9", "\xC3\xA9"},
        {",", ","},      {"\\ud83d\\ude00", "\xF0\x9F\x98\x80"},
        {":", ":"},      {"\\\"", "\""},
        {"[{", "[{"},    {"\\\\", "\\"},
        {"\\n", "\n"},   {"\xE2\x82\xAC", "\xE2\x82\xAC"},
        {"\\u0000", ""}, /* one byte, NUL */
    };
    struct buf text = {0};
    size_t at = w->text.len;

    buf_addc(&w->text, '"');
    buf_adds(&w->text, plain);
    buf_adds(&text, plain);
    for (unsigned n = pick(6); n; n--) {
        unsigned i = pick(LENGTH(parts));

        buf_adds(&w->text, parts[i].source);
        buf_add(&text, parts[i].text, i == LENGTH(parts) - 1 ? 1 : strlen(parts[i].text));
    }
    buf_addc(&w->text, '"');
    buf_json(&w->line, buf_span(&text));
    buf_printf(&w->line, "@%zu", at);
    buf_free(&text);
}

static void write_value(struct writer *w);

/* Size and skip are known only after the children: their lines are written apart. */
static void write_container(struct writer *w, bool is_object)
{
    struct buf before = w->line;
    size_t at = w->text.len, first = w->values;
    unsigned size = pick(5);

    w->line = (struct buf){0};
    w->depth++;
    buf_addc(&w->text, is_object ? '{' : '[');
    for (unsigned i = 0; i < size; i++) {
        char key[16];

        if (i)
            buf_addc(&w->text, ',');
        write_space(w);
        if (is_object) {
            snprintf(key, sizeof key, "%u ", i);
            buf_addc(&w->line, ' ');
            w->values++;
            write_string(w, key);
            write_space(w);
            buf_addc(&w->text, ':');
            write_space(w);
        }
        buf_addc(&w->line, ' ');
        write_value(w);
        write_space(w);
    }
    write_space(w);
    buf_addc(&w->text, is_object ? '}' : ']');
    w->depth--;
    buf_printf(&before, "%c%u+%zu@%zu", is_object ? '{' : '[', size, w->values - first + 1, at);
    buf_add(&before, w->line.data, w->line.len);
    buf_free(&w->line);
    w->line = before;
}

static void write_value(struct writer *w)
{
    static const char *const words[] = {"null", "true",    "false", "0", "-12.50",
                                        "3e8",  "1E-0017", "99",    "7"};
    unsigned kind = pick(w->depth < JSON_DEPTH_MAX ? 16 : 10);
    size_t at = w->text.len;

    if (kind >= 10) {
        write_container(w, kind % 2);
    } else if (kind == 9) {
        write_string(w, "");
    } else {
        buf_adds(&w->text, words[kind]);
        buf_printf(&w->line, "%s@%zu", words[kind], at);
    }
    w->values++;
}

/* Random texts are read as written; bent ones by a used parser just as by a new one. */
static void a_parser_may_be_used_again_whatever_it_read(void **state)
{
    unsigned seed = (unsigned)time(NULL);
    struct json *used = json_new();
    struct buf got = {0}, fresh = {0};

    (void)state;
    if (getenv("TEST_SEED"))
        seed = (unsigned)strtoul(getenv("TEST_SEED"), NULL, 10);
    print_message("TEST_SEED=%u\n", seed);
    srandom(seed);
    for (int round = 0; round < 3000; round++) {
        struct writer w = {0};
        struct json *new = json_new();

        write_space(&w);
        write_value(&w);
        write_space(&w);
        outcome(&got, used, buf_span(&w.text));
        assert_string_equal(buf_text(&got), buf_text(&w.line));

        if (pick(2))
            w.text.len = pick((unsigned)w.text.len + 1);
        else
            w.text.data[pick((unsigned)w.text.len)] = "\"\\{}[],: 1eu\xC3\xA9"[pick(14)];
        outcome(&got, used, buf_span(&w.text));
        outcome(&fresh, new, buf_span(&w.text));
        assert_string_equal(buf_text(&got), buf_text(&fresh));
        json_free(new);
        buf_free(&w.text);
        buf_free(&w.line);
    }
    buf_free(&got);
    buf_free(&fresh);
    json_free(used);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_value_knows_its_text_and_offset),
        cmocka_unit_test(what_is_wrong_is_refused_with_its_place),
        cmocka_unit_test(a_nul_byte_is_refused_but_may_be_escaped),
        cmocka_unit_test(a_text_that_ends_in_a_character_is_not_read_beyond_its_end),
        cmocka_unit_test(a_key_that_stands_twice_is_found_among_keys_of_all_lengths),
        cmocka_unit_test(the_number_of_values_is_bounded),
        cmocka_unit_test(a_long_string_and_many_keys_are_taken_whole),
        cmocka_unit_test(the_depth_may_be_raised_for_documents_of_others),
        cmocka_unit_test(a_member_is_found_only_in_its_own_object),
        cmocka_unit_test(a_parser_may_be_used_again_whatever_it_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
