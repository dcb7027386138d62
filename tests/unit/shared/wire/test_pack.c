#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shared/wire/pack.h"
#include "tests/unit/packed.h"

#define LENGTH(array) (sizeof(array) / sizeof(array)[0])

/* The format table of the specification, from the first head byte to the last. */
static void every_type_of_the_specification_is_read(void **state)
{
    static const struct {
        const char *hex, *json;
    } table[] = {
        {"00", "0"},
        {"7f", "127"},
        {"80", "{}"},
        {"81 a161 00", "{'a':0}"},
        {"8f a161 00 a162 00 a163 00 a164 00 a165 00 a166 00 a167 00 a168 00 a169 00 "
         "a16a 00"
         " a16b 00 a16c 00 a16d 00 a16e 00 a16f 00",
         "{'a':0,'b':0,'c':0,'d':0,'e':0,'f':0,'g':0,'h':0,'i':0,'j':0,'k':0,'l':0,'m':"
         "0,"
         "'n':0,'o':0}"},
        {"90", "[]"},
        {"93 01 a3616263 c0", "[1,'abc',null]"},
        {"9f 00 00 00 00 00 00 00 00 00 00 00 00 00 00 01", "[0,0,0,0,0,0,0,0,0,0,0,0,0,0,1]"},
        {"a0", "''"},
        {"a3 e282ac", "'\xE2\x82\xAC'"},
        {"bf 61616161616161616161616161616161616161616161616161616161616161",
         "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'"},
        {"c0", "null"},
        {"c2", "false"},
        {"c3", "true"},
        {"c400", "''"},
        {"c402 6869", "'hi'"},
        {"c50002 6869", "'hi'"},
        {"c600000002 6869", "'hi'"},
        {"ca 3f000000", "0.5"},
        {"ca bf800000", "-1"},
        {"cb 3fe0000000000000", "0.5"},
        {"cb 41d873e660080000", "1640995200.125"},
        {"cb 4008000000000000", "3.0"},
        {"cb 0000000000000000", "0.0"},
        {"cb c004000000000000", "-2.5"},
        {"cb 7ff0000000000000", "null"},
        {"cb fff0000000000000", "null"},
        {"cb 7ff8000000000000", "null"},
        {"ca 7fc00000", "null"},
        {"cc 00", "0"},
        {"d0 00", "0"},
        {"d1 0000", "0"},
        {"cc ff", "255"},
        {"cd 0100", "256"},
        {"cd ffff", "65535"},
        {"ce ffffffff", "4294967295"},
        {"cf 0000000000000001", "1"},
        {"cf ffffffffffffffff", "18446744073709551615"},
        {"d0 7f", "127"},
        {"d0 80", "-128"},
        {"d0 ff", "-1"},
        {"d1 7fff", "32767"},
        {"d1 8000", "-32768"},
        {"d2 7fffffff", "2147483647"},
        {"d2 80000000", "-2147483648"},
        {"d3 7fffffffffffffff", "9223372036854775807"},
        {"d3 8000000000000000", "-9223372036854775808"},
        {"d900", "''"},
        {"d902 6869", "'hi'"},
        {"da0002 6869", "'hi'"},
        {"db00000002 6869", "'hi'"},
        {"dc0000", "[]"},
        {"dc0002 01 02", "[1,2]"},
        {"dd00000002 01 02", "[1,2]"},
        {"de0000", "{}"},
        {"de0001 a161 01", "{'a':1}"},
        {"df00000001 a161 01", "{'a':1}"},
        {"e0", "-32"},
        {"ff", "-1"},
        {"82 d90161 01 da000162 02", "{'a':1,'b':2}"},
        {"81 a0 81 a0 90", "{'':{'':[]}}"},
        {"82 a2c3a9 01 a165 02", "{'\xC3\xA9':1,'e':2}"},
        {"83 a26162 01 a161 02 a3616263 03", "{'ab':1,'a':2,'abc':3}"},
        {"92 81 a161 01 81 a161 01", "[{'a':1},{'a':1}]"}, /* a key twice, in two maps */
        {"81 a161 81 a161 01", "{'a':{'a':1}}"},
    };
    struct buf bytes = {0}, json = {0};

    (void)state;
    for (size_t i = 0; i < LENGTH(table); i++) {
        struct span c;

        buf_clear(&bytes);
        unhex(&bytes, table[i].hex);
        if (pack_check(buf_span(&bytes)))
            fail_msg("%s was refused", table[i].hex);
        assert_string_equal(unpacked(&json, buf_span(&bytes)), table[i].json);
        c = buf_span(&bytes);
        assert_true(pack_skip(&c));
        assert_int_equal(c.len, 0);
    }
    buf_free(&bytes);
    buf_free(&json);
}

static void what_is_wrong_is_refused(void **state)
{
    static const struct {
        const char *hex;
        enum err why;
    } table[] = {
        {"", ERR_MALFORMED},
        {"c1", ERR_MALFORMED},       /* never used */
        {"c7 00 01", ERR_MALFORMED}, /* ext 8, 16, 32 and fixext 1, 2, 4, 8, 16 */
        {"c8 0000 01", ERR_MALFORMED},
        {"c9 00000000 01", ERR_MALFORMED},
        {"d4 01 00", ERR_MALFORMED},
        {"d5 01 0000", ERR_MALFORMED},
        {"d6 ff 00000000", ERR_MALFORMED},
        {"d7 01 0000000000000000", ERR_MALFORMED},
        {"d8 01 00000000000000000000000000000000", ERR_MALFORMED},
        {"81 a161 d40100", ERR_MALFORMED},
        {"00 00", ERR_MALFORMED}, /* trailing bytes */
        {"90 c0", ERR_MALFORMED},
        {"a161 00", ERR_MALFORMED},
        {"91", ERR_MALFORMED}, /* counts larger than the bytes */
        {"92 00", ERR_MALFORMED},
        {"81 a161", ERR_MALFORMED},
        {"82 a161 00 a162", ERR_MALFORMED},
        {"dcffff 00", ERR_MALFORMED},
        {"ddffffffff 00", ERR_MALFORMED},
        {"deffff 00", ERR_MALFORMED},
        {"dfffffffff a161 00", ERR_MALFORMED},
        {"df80000000 a161 00", ERR_MALFORMED}, /* twice this is no 32 bit number */
        {"a2 61", ERR_MALFORMED},
        {"bf 61", ERR_MALFORMED},
        {"c402 61", ERR_MALFORMED},
        {"c5ffff 61", ERR_MALFORMED},
        {"c6ffffffff 61", ERR_MALFORMED},
        {"d902 61", ERR_MALFORMED},
        {"daffff 61", ERR_MALFORMED},
        {"dbffffffff 61", ERR_MALFORMED},
        {"c4", ERR_MALFORMED}, /* a head cut short */
        {"c5 00", ERR_MALFORMED},
        {"c6 000000", ERR_MALFORMED},
        {"ca 000000", ERR_MALFORMED},
        {"cb 00000000000000", ERR_MALFORMED},
        {"cc", ERR_MALFORMED},
        {"cd 00", ERR_MALFORMED},
        {"ce 000000", ERR_MALFORMED},
        {"cf 00000000000000", ERR_MALFORMED},
        {"d0", ERR_MALFORMED},
        {"d3 00000000000000", ERR_MALFORMED},
        {"d9", ERR_MALFORMED},
        {"db 000000", ERR_MALFORMED},
        {"dc 00", ERR_MALFORMED},
        {"dd 000000", ERR_MALFORMED},
        {"df 000000", ERR_MALFORMED},
        {"81 00 00", ERR_MALFORMED}, /* keys that are no text */
        {"81 c0 00", ERR_MALFORMED},
        {"81 c40161 00", ERR_MALFORMED},
        {"81 90 00", ERR_MALFORMED},
        {"81 80 00", ERR_MALFORMED},
        {"82 a161 01 a161 02", ERR_DUPLICATE_KEY},
        {"82 a161 01 d90161 02", ERR_DUPLICATE_KEY}, /* the same text, written otherwise */
        {"82 a0 01 a0 02", ERR_DUPLICATE_KEY},
        {"91 81 a178 83 a161 01 a162 02 a161 03", ERR_DUPLICATE_KEY},
        {"91 91 91 91 91 91 91 91 90", ERR_TOO_DEEP},
        {"81a161 81a161 81a161 81a161 81a161 81a161 81a161 81a161 80", ERR_TOO_DEEP},
        {"91 81a161 91 81a161 91 81a161 91 81a161 91 00", ERR_TOO_DEEP},
    };
    struct buf bytes = {0};

    (void)state;
    for (size_t i = 0; i < LENGTH(table); i++) {
        struct span exact;
        enum err e;

        buf_clear(&bytes);
        unhex(&bytes, table[i].hex);
        exact = exact_copy(buf_span(&bytes));
        e = pack_check(exact);
        if (e != table[i].why)
            fail_msg("%s: %s", table[i].hex, err_name(e));
        free((char *)(uintptr_t)exact.at);
    }
    buf_free(&bytes);
}

static void a_count_larger_than_the_bytes_is_refused_at_its_head(void **state)
{
    static const char *const heads[] = {
        "91", "92 00", "81 00", "82 a161", "de0002 a161", "df80000000 a161 00", "ddffffffff 00"};

    (void)state;
    for (size_t i = 0; i < LENGTH(heads); i++) {
        struct buf b = {0};
        struct pack_value v;
        struct span c;

        unhex(&b, heads[i]);
        c = buf_span(&b);
        if (pack_next(&c, &v))
            fail_msg("%s was taken", heads[i]);
        buf_free(&b);
    }
}

static void eight_levels_are_deep_enough(void **state)
{
    struct buf bytes = {0}, json = {0};

    (void)state;
    unhex(&bytes, "91 81a161 91 81a161 91 81a161 91 81a161 00");
    assert_string_equal(unpacked(&json, buf_span(&bytes)), "[{'a':[{'a':[{'a':[{'a':0}]}]}]}]");
    buf_free(&bytes);
    buf_free(&json);
}

static void a_map_has_at_most_so_many_keys(void **state)
{
    (void)state;
    for (int keys = PACK_KEYS_MAX; keys <= PACK_KEYS_MAX + 1; keys++) {
        struct buf b = {0};
        msgpack_packer pk;

        msgpack_packer_init(&pk, &b, buf_pack_write);
        msgpack_pack_map(&pk, (size_t)keys);
        for (int i = 0; i < keys; i++) {
            char key[16];

            snprintf(key, sizeof key, "%d", i);
            pack_kv_u(&pk, key, (uint64_t)i);
        }
        assert_int_equal(pack_check(buf_span(&b)), keys > PACK_KEYS_MAX ? ERR_TOO_LARGE : OK);
        buf_free(&b);
    }
}

static void hostile_nesting_costs_no_stack(void **state)
{
    size_t len = 4 * 1024 * 1024;
    struct buf b = {0};
    struct span c;

    (void)state;
    memset(buf_room(&b, len), 0x91, len);
    b.data[len - 1] = (char)0xC0;
    c = buf_span(&b);
    assert_true(pack_skip(&c));
    assert_int_equal(c.len, 0);
    assert_int_equal(pack_check(buf_span(&b)), ERR_TOO_DEEP);
    b.len--;
    c = buf_span(&b);
    assert_false(pack_skip(&c));
    buf_free(&b);
}

static void a_value_is_found_by_its_key(void **state)
{
    struct buf b = {0};
    struct span map, raw = {0}, list;
    struct pack_value v;

    (void)state;
    packed(&b, "{'in':{'only':1,'n':2},'n':7,'text':'abc','yes':true,'no':false,'minus':-1,"
               "'list':[1,[2,3]],'empty':'','nil':null,'x':1.5}");
    map = buf_span(&b);
    assert_true(pack_find(map, "n", &v, &raw));
    assert_true(v.type == PACK_UINT && v.u == 7);
    assert_true(raw.len == 1 && raw.at[0] == 7);
    assert_true(pack_find(map, "list", &v, &list));
    assert_true(v.type == PACK_ARRAY && v.count == 2);
    assert_int_equal(list.len, 5);
    assert_memory_equal(list.at, "\x92\x01\x92\x02\x03", 5);
    assert_true(pack_find(map, "x", &v, NULL));
    assert_true(v.type == PACK_FLOAT && v.f == 1.5);
    assert_true(pack_find(map, "nil", &v, NULL));
    assert_true(v.type == PACK_NIL);
    assert_true(pack_find(map, "minus", &v, NULL));
    assert_true(v.type == PACK_INT && v.i == -1);
    assert_false(pack_find(map, "only", &v, NULL)); /* of the map within */
    assert_false(pack_find(map, "abc", &v, NULL));  /* a value, not a key */
    assert_false(pack_find(map, "tex", &v, NULL));
    assert_false(pack_find(map, "text2", &v, NULL));
    assert_true(pack_find(map, "in", &v, &raw));
    assert_int_equal(pack_find_u(raw, "n", 0), 2);

    assert_int_equal(pack_find_u(map, "n", 9), 7);
    assert_int_equal(pack_find_u(map, "missing", 9), 9);
    assert_int_equal(pack_find_u(map, "minus", 9), 9);
    assert_int_equal(pack_find_u(map, "text", 9), 9);
    assert_int_equal(pack_find_u(map, "x", 9), 9);
    assert_true(span_eq(pack_find_text(map, "text"), "abc"));
    assert_int_equal(pack_find_text(map, "n").len, 0);
    assert_int_equal(pack_find_text(map, "missing").len, 0);
    assert_int_equal(pack_find_text(map, "empty").len, 0);
    assert_true(pack_find_bool(map, "yes", false));
    assert_false(pack_find_bool(map, "no", true));
    assert_true(pack_find_bool(map, "missing", true));
    assert_true(pack_find_bool(map, "n", true));
    assert_false(pack_find_bool(map, "text", false));
    buf_free(&b);
}

static void nothing_is_found_in_what_is_no_map(void **state)
{
    static const char *const table[] = {"", "c0", "01", "a161", "92 a161 01", "80"};
    struct pack_value v;

    (void)state;
    for (size_t i = 0; i < LENGTH(table); i++) {
        struct buf b = {0};

        unhex(&b, table[i]);
        assert_false(pack_find(buf_span(&b), "a", &v, NULL));
        assert_int_equal(pack_find_u(buf_span(&b), "a", 5), 5);
        buf_free(&b);
    }
}

static void what_we_write_is_what_we_read(void **state)
{
    struct buf b = {0}, json = {0};
    msgpack_packer pk;

    (void)state;
    msgpack_packer_init(&pk, &b, buf_pack_write);
    msgpack_pack_map(&pk, 5);
    pack_kv_text(&pk, "text", SPAN("1034.50"));
    pack_kv_u(&pk, "n", UINT64_MAX);
    pack_kv_bool(&pk, "yes", true);
    pack_kv_bool(&pk, "no", false);
    pack_key(&pk, "key");
    pack_text(&pk, SPAN("a\0b"));
    assert_string_equal(unpacked(&json, buf_span(&b)),
                        "{'text':'1034.50','n':18446744073709551615,'yes':true,'no':false,"
                        "'key':'a\\u0000b'}");
    buf_free(&b);
    buf_free(&json);
}

static void bytes_that_are_no_text_become_json_all_the_same(void **state)
{
    struct buf b = {0}, json = {0};

    (void)state;
    unhex(&b, "82 a161 c403 41ff0a a162 a3 c3285c");
    assert_string_equal(unpacked(&json, buf_span(&b)),
                        "{'a':'A\xEF\xBF\xBD\\n','b':'\xEF\xBF\xBD(\\\\'}");
    buf_free(&b);
    buf_free(&json);
}

static void what_is_cut_becomes_json_up_to_the_cut(void **state)
{
    struct span cut = SPAN("\x92\x01"), none = {0};
    struct buf json = {0};

    (void)state;
    pack_to_json(&none, &json);
    assert_int_equal(json.len, 0);
    pack_to_json(&cut, &json);
    assert_string_equal(buf_text(&json), "");
    buf_free(&json);
}

static void a_list_is_entered_and_its_values_taken_by_type(void **state)
{
    struct buf b = {0};
    struct span c, text = SPAN("?");
    uint64_t n = 9;

    (void)state;
    packed(&b, "{'list':[7,'a',[1,2],{'x':[3]},'b'],'none':[],'number':7}");
    assert_int_equal(pack_find_list(buf_span(&b), "list", &c), 5);
    assert_false(pack_next_text(&c, &text)); /* it is a number */
    assert_true(span_eq(text, "?"));
    assert_int_equal(pack_find_list(buf_span(&b), "list", &c), 5);
    assert_true(pack_next_u(&c, &n) && n == 7);
    assert_true(pack_next_text(&c, &text) && span_eq(text, "a"));
    assert_true(pack_next_array(&c, 2));
    assert_true(pack_next_u(&c, &n) && n == 1);
    assert_false(pack_next_array(&c, 2));
    assert_true(span_eq(pack_next_raw(&c), "\x81\xa1x\x91\x03"));
    assert_false(pack_next_bin(&c, &text));
    assert_int_equal(pack_find_list(buf_span(&b), "none", &c), 0);
    assert_non_null(c.at);
    assert_int_equal(pack_find_list(buf_span(&b), "number", &c), 0);
    assert_null(c.at);
    assert_int_equal(pack_find_list(buf_span(&b), "missing", &c), 0);
    assert_null(c.at);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_of_the_specification_is_read),
        cmocka_unit_test(what_is_wrong_is_refused),
        cmocka_unit_test(a_count_larger_than_the_bytes_is_refused_at_its_head),
        cmocka_unit_test(eight_levels_are_deep_enough),
        cmocka_unit_test(a_map_has_at_most_so_many_keys),
        cmocka_unit_test(hostile_nesting_costs_no_stack),
        cmocka_unit_test(a_value_is_found_by_its_key),
        cmocka_unit_test(nothing_is_found_in_what_is_no_map),
        cmocka_unit_test(what_we_write_is_what_we_read),
        cmocka_unit_test(what_is_cut_becomes_json_up_to_the_cut),
        cmocka_unit_test(bytes_that_are_no_text_become_json_all_the_same),
        cmocka_unit_test(a_list_is_entered_and_its_values_taken_by_type),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
