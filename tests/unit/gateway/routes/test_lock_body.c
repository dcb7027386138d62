#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/routes/lock_body.h"

static struct json *json;

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
    return 0;
}

/* Single quotes stand for double ones. */
static bool read_text(const char *text, struct lock_body *out, struct lock_body_error *error)
{
    struct buf b = {0};
    bool ok;

    buf_adds(&b, text);
    for (size_t i = 0; i < b.len; i++)
        if (b.data[i] == '\'')
            b.data[i] = '"';
    ok = lock_body_read(json, buf_span(&b), out, error);
    buf_free(&b);
    return ok;
}

static void every_member_is_read_as_it_was_written(void **state)
{
    struct lock_body_error error;
    struct lock_body b;

    (void)state;
    assert_true(read_text("{'owner':'bot-7f3a','ttl':30,'lock_delay':60.25,'host':'web1',"
                          "'pid':4711}",
                          &b, &error));
    assert_string_equal(b.owner, "bot-7f3a");
    assert_string_equal(b.host, "web1");
    assert_int_equal(b.pid, 4711);
    assert_int_equal(b.ttl_ms, 30000);
    assert_int_equal(b.delay_ms, 60250);
    assert_int_equal(b.token, 0);
    assert_true(read_text("{'token':18446744073709551615,'owner':'x'}", &b, &error));
    assert_true(b.token == UINT64_MAX);
    assert_int_equal(b.ttl_ms, 0);
    assert_string_equal(b.host, "");
}

static void a_token_may_be_a_text_of_digits(void **state)
{
    struct lock_body_error error;
    struct lock_body b;

    (void)state;
    assert_true(read_text("{'owner':'x','token':'9007199254740993'}", &b, &error));
    assert_true(b.token == 9007199254740993u);
}

static void seconds_are_taken_from_their_digits(void **state)
{
    static const struct {
        const char *text;
        int64_t ms; /* 0: refused */
    } cells[] = {
        {"1", 1000},         {"1.0", 1000},
        {"1.001", 1001},     {"2.3", 2300},
        {"16.1", 16100},     {"600", 600000},
        {"600.000", 600000}, {"600.001", 0},
        {"0.999", 0},        {"0", 0},
        {"-1", 0},           {"1.0001", 0},
        {"1e1", 0},          {"1E0", 0},
        {"'30'", 0},         {"null", 0},
        {"true", 0},         {"[30]", 0},
        {"{}", 0},           {"99999999999999999999999999999999", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++) {
        struct lock_body_error error;
        struct lock_body b = {0};
        char text[100];
        bool ok;

        snprintf(text, sizeof text, "{'owner':'x','ttl':%s}", cells[i].text);
        ok = read_text(text, &b, &error);
        if (ok != (cells[i].ms != 0) || b.ttl_ms != cells[i].ms)
            fail_msg("%s: %lld", cells[i].text, (long long)b.ttl_ms);
        if (!ok)
            assert_int_equal(error.at, 19);
    }
}

static void what_is_wrong_is_reported_with_the_byte_where(void **state)
{
    static const struct {
        const char *text, *message;
        size_t at;
    } cells[] = {
        {"", "The body is not JSON: there is no value.", 0},
        {"{'owner':'x','ttl':30", "The body is not JSON: premature EOF.", 21},
        {"{'owner':'x','ttl':30}}", "The body is not JSON: unallowed token", 22},
        {"[]", "The body is not a JSON object.", 0},
        {" 7", "The body is not a JSON object.", 1},
        {"{}", "The member 'owner' is missing.", 0},
        {"{'owner':'x'}", "The member 'ttl' is missing.", 0},
        {"{'owner':'x','tll':30}", "There is no member 'tll'.", 13},
        {"{'owner':'x','TTL':30}", "There is no member 'TTL'.", 13},
        {"{'owner':'x','ttl':30,'ttl':40}", "The body is not JSON: a key stands twice", 22},
        {"{'owner':'','ttl':30}", "The member 'owner' is not what it should be.", 9},
        {"{'owner':'a b','ttl':30}", "The member 'owner' is not", 9},
        {"{'owner':'\\u0000x','ttl':30}", "The member 'owner' is not", 9},
        {"{'owner':'\xc3\xa9','ttl':30}", "The member 'owner' is not", 9},
        {"{'owner':7,'ttl':30}", "The member 'owner' is not", 9},
        {"{'owner':'x','ttl':30,'lock_delay':-1}", "The member 'lock_delay' is not", 35},
        {"{'owner':'x','ttl':30,'lock_delay':601}", "The member 'lock_delay' is not", 35},
        {"{'owner':'x','ttl':30,'pid':4194305}", "The member 'pid' is not", 28},
        {"{'owner':'x','ttl':30,'pid':-1}", "The member 'pid' is not", 28},
        {"{'owner':'x','ttl':30,'host':'a b'}", "The member 'host' is not", 29},
        {"{'owner':'x','token':0}", "The member 'token' is not", 21},
        {"{'owner':'x','token':-1}", "The member 'token' is not", 21},
        {"{'owner':'x','token':1.5}", "The member 'token' is not", 21},
        {"{'owner':'x','token':1e3}", "The member 'token' is not", 21},
        {"{'owner':'x','token':''}", "The member 'token' is not", 21},
        {"{'owner':'x','token':null}", "The member 'token' is not", 21},
        {"{'owner':'x','token':18446744073709551616}", "The member 'token' is not", 21},
        {"{'owner':'x','token':[1]}", "The member 'token' is not", 21},
        {"{'owner':'x','token':7,'lock_delay':1}", "A renewal cannot change", 36},
        {"{'owner':[[[[[[[[1]]]]]]]]}", "The body is not JSON: nested too deep.", 16},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++) {
        struct lock_body_error error = {.at = SIZE_MAX};
        struct lock_body b = {.token = 99};

        if (read_text(cells[i].text, &b, &error))
            fail_msg("%s was taken", cells[i].text);
        assert_int_equal(b.token, 99);
        if (strncmp(error.message, cells[i].message, strlen(cells[i].message)) != 0 ||
            error.at != cells[i].at || !error.hint[0])
            fail_msg("%s: %s at %zu", cells[i].text, error.message, error.at);
    }
}

static void owners_are_bounded_and_so_is_what_an_error_repeats(void **state)
{
    struct lock_body_error error;
    struct lock_body b;
    char text[600], long_name[301];

    (void)state;
    memset(long_name, 'o', 300);
    long_name[300] = '\0';
    snprintf(text, sizeof text, "{'owner':'%.128s','ttl':1}", long_name);
    assert_true(read_text(text, &b, &error));
    assert_int_equal(strlen(b.owner), 128);
    snprintf(text, sizeof text, "{'owner':'%.129s','ttl':1}", long_name);
    assert_false(read_text(text, &b, &error));
    snprintf(text, sizeof text, "{'owner':'x','ttl':1,'host':'%.64s'}", long_name);
    assert_true(read_text(text, &b, &error));
    snprintf(text, sizeof text, "{'owner':'x','ttl':1,'host':'%.65s'}", long_name);
    assert_false(read_text(text, &b, &error));
    snprintf(text, sizeof text, "{'%s':1}", long_name);
    assert_false(read_text(text, &b, &error));
    assert_true(strlen(error.message) < 80);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_member_is_read_as_it_was_written, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_token_may_be_a_text_of_digits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(seconds_are_taken_from_their_digits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_wrong_is_reported_with_the_byte_where, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(owners_are_bounded_and_so_is_what_an_error_repeats, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
