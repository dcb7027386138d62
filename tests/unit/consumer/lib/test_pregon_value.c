/* The value of a lock: the requests of a put and a get, and the callbacks for their answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/consumer/lib/connection_fixture.h"

static struct pregon_lock *lock;

static void on_value(void *ctx, enum pregon_error e, const char *message,
                     const struct pregon_value *v)
{
    assert_ptr_equal(ctx, &c);
    report("%s: %s, %s; %llu.%llu '%.*s'", v->name, pregon_error_name(e), message,
           (unsigned long long)v->token, (unsigned long long)v->version, (int)v->data.len,
           v->data.at ? v->data.at : "");
}

static void hold_job(void)
{
    struct pregon_options none = PREGON_OPTIONS;
    struct pregon_lock_options o = PREGON_LOCK_OPTIONS;

    o.owner = "us";
    open_greeted(none);
    assert_int_equal(pregon_lock_open(c.p, "job", &o, &lock), PREGON_OK);
    answers(receives("lock"), "'token':3,'ttl_ms':30000");
    until(pregon_lock_token(lock) == 3);
}

static void a_put_names_the_owner_and_the_token(void **state)
{
    const char *request;
    char expected[256];

    (void)state;
    hold_job();
    assert_int_equal(pregon_value_put(lock, "x", 1, on_value, &c), PREGON_OK);
    request = receives("value_put");
    snprintf(expected, sizeof expected,
             "{'op':'value_put','id':%llu,'name':'job','owner':'us','token':3,'value':'x'}",
             (unsigned long long)id_of(request));
    assert_string_equal(request, expected);
    answers(request, "'token':3,'version':2");
    until(is_reported("job"));
    assert_reported("job: ok, It is done.; 3.2 ''\n");
    assert_int_equal(pregon_value_put(lock, NULL, 0, NULL, NULL), PREGON_OK); /* empty, no fn */
    answers(receives("value_put"), "");
    assert_int_equal(pregon_value_put_as(lock, 1, "x", 1, on_value, &c), PREGON_OK);
    request = receives("value_put");
    assert_non_null(strstr(request, "'token':1,"));
    answers(request, "'error':'stale','message':'Too old.'");
    until(is_reported("job"));
    assert_reported("job: stale, Too old.; 0.0 ''\n");
    close_all();
}

static void a_put_without_a_grant_is_stale_at_once(void **state)
{
    (void)state;
    hold_job();
    boot_ms += 20000;
    assert_int_equal(pregon_value_put(lock, "x", 1, on_value, &c), PREGON_ERROR_STALE);
    assert_true(receives_no("value_put"));
    close_all();
}

static void a_value_has_its_limit(void **state)
{
    static const char bytes[PREGON_VALUE_MAX + 1];

    (void)state;
    hold_job();
    assert_int_equal(pregon_value_put(lock, bytes, sizeof bytes, on_value, &c),
                     PREGON_ERROR_TOO_LARGE);
    assert_true(receives_no("value_put"));
    assert_int_equal(pregon_value_put(lock, bytes, PREGON_VALUE_MAX, on_value, &c), PREGON_OK);
    receives("value_put");
    close_all();
}

static void a_get_brings_text_or_bytes_with_token_and_version(void **state)
{
    struct buf b = {0};
    struct span frames[2];
    const char *request;

    (void)state;
    hold_job();
    assert_int_equal(pregon_value_get(c.p, NULL, on_value, &c), PREGON_ERROR_INVALID);
    assert_int_equal(pregon_value_get(c.p, "no name", on_value, &c), PREGON_ERROR_INVALID);
    assert_int_equal(pregon_value_get(c.p, "any", on_value, &c), PREGON_OK);
    request = receives("value_get");
    assert_non_null(strstr(request, ",'name':'any'}"));
    answers(request, "'value':'text','token':5,'version':6");
    until(is_reported("any"));
    assert_reported("any: ok, It is done.; 5.6 'text'\n");
    assert_int_equal(pregon_value_get(c.p, "any", on_value, &c), PREGON_OK);
    answers(receives("value_get"), "'value':12");
    until(is_reported("any"));
    assert_reported("any: ok, It is done.; 0.0 ''\n");
    assert_int_equal(pregon_value_get(c.p, "any", on_value, &c), PREGON_OK);
    request = receives("value_get");
    buf_adds(&b, "\x82\xa2id\xcd");
    buf_addc(&b, (char)(id_of(request) >> 8));
    buf_addc(&b, (char)id_of(request));
    buf_adds(&b, "\xa5value\xc4\x02"
                 "by");
    frames[0] = buf_span(&c.peer);
    frames[1] = buf_span(&b);
    assert_int_equal(bus_send(c.control, frames, 2), OK);
    until(is_reported("any"));
    assert_reported("any: ok, It is done.; 0.0 'by'\n");
    buf_free(&b);
    close_all();
}

static void errors_of_the_broker_have_their_own_numbers_as_far_as_programs_act_on_them(void **state)
{
    static const struct {
        const char *answer, *report;
    } cases[] = {
        {"'error':'stale'", "any: stale, ; 0.0 ''\n"},
        {"'error':'not_stored','token':1", "any: not_stored, ; 0.0 ''\n"},
        {"'error':'not_found','message':'No.'", "any: not_found, No.; 0.0 ''\n"},
        {"'error':'too_large'", "any: too_large, ; 0.0 ''\n"},
        {"'error':'full'", "any: full, ; 0.0 ''\n"},
        {"'error':'something_new'", "any: refused, ; 0.0 ''\n"},
    };

    (void)state;
    hold_job();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(pregon_value_get(c.p, "any", on_value, &c), PREGON_OK);
        answers(receives("value_get"), cases[i].answer);
        until(is_reported("any"));
        assert_reported(cases[i].report);
    }
    close_all();
}

/* The socket keeps 256 requests for a broker that is away. */
static void requests_beyond_what_the_socket_keeps_are_refused_at_once(void **state)
{
    struct pregon_options o = PREGON_OPTIONS;
    enum pregon_error e = PREGON_OK;
    unsigned count = 0;

    (void)state;
    open_broker();
    bus_close(c.control);
    c.control = NULL;
    open_connection(o);
    while (!e && count < 5000) {
        e = pregon_value_get(c.p, "any", on_value, &c);
        count += !e;
    }
    assert_int_equal(e, PREGON_ERROR_AWAY);
    assert_in_range(count, 100, 2000);
    assert_int_equal(HASH_COUNT(c.p->requests), count); /* the refused request is removed */
    assert_reported("");
    c.p->is_closing = true;
    assert_int_equal(pregon_value_get(c.p, "any", on_value, &c), PREGON_ERROR_CLOSED);
    pregon_close(&c.p);
    assert_true(is_reported("any: closed, The connection was closed before the answer.; 0.0 ''\n"));
    close_all();
}

static void a_put_on_a_connection_that_is_closing_is_refused(void **state)
{
    (void)state;
    hold_job();
    c.p->is_closing = true;
    assert_int_equal(pregon_value_put(lock, "x", 1, on_value, &c), PREGON_ERROR_CLOSED);
    c.p->is_closing = false;
    close_all();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_put_names_the_owner_and_the_token),
        cmocka_unit_test(a_put_without_a_grant_is_stale_at_once),
        cmocka_unit_test(a_value_has_its_limit),
        cmocka_unit_test(a_get_brings_text_or_bytes_with_token_and_version),
        cmocka_unit_test(
            errors_of_the_broker_have_their_own_numbers_as_far_as_programs_act_on_them),
        cmocka_unit_test(requests_beyond_what_the_socket_keeps_are_refused_at_once),
        cmocka_unit_test(a_put_on_a_connection_that_is_closing_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
