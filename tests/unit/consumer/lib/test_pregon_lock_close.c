/* Closing a lock: the release that is sent, and until when it is repeated. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/consumer/lib/lock_fixture.h"

static void a_closed_lock_is_released_until_the_broker_confirms_it(void **state)
{
    const char *request;
    char expected[256];

    (void)state;
    hold_job();
    pregon_lock_close(&lock);
    assert_null(lock);
    request = receives("release");
    snprintf(expected, sizeof expected,
             "{'op':'release','id':%llu,'name':'job','owner':'us','token':3}",
             (unsigned long long)id_of(request));
    assert_string_equal(request, expected);
    assert_true(pregon_locks_are_leaving(c.p));
    boot_ms += 500;
    answers(receives("release"), "");
    until(!c.p->locks);
    assert_false(pregon_locks_are_leaving(c.p));
    assert_reported(""); /* none of its callbacks is called after this */
    close_all();
}

static void a_place_in_line_is_given_up(void **state)
{
    struct pregon_lock_options o = all();
    const char *request;
    char expected[256];

    (void)state;
    open_job(&o);
    answers(receives("lock"), HELD);
    until(is_reported("waiting"));
    pregon_lock_close(&lock);
    buf_clear(&c.reported);
    request = receives("lock_cancel");
    snprintf(expected, sizeof expected, "{'op':'lock_cancel','id':%llu,'name':'job','owner':'us'}",
             (unsigned long long)id_of(request));
    assert_string_equal(request, expected);
    answers(request, "");
    until(!pregon_locks_are_leaving(c.p));
    boot_ms += 2000;
    until(!c.p->locks);
    assert_reported("");
    close_all();
}

/* Closing one lock ends neither the requests of the other one nor its place in the list. */
static void one_of_several_locks_can_be_closed(void **state)
{
    struct pregon_lock_options o = all();
    struct pregon_lock *second, *third;

    (void)state;
    hold_job();
    assert_int_equal(pregon_lock_open(c.p, "second", &o, &second), PREGON_OK);
    assert_int_equal(pregon_lock_open(c.p, "third", &o, &third), PREGON_OK);
    answers(receives("lock"), GRANT), answers(receives("lock"), GRANT);
    until(pregon_lock_token(second) && pregon_lock_token(third));
    assert_int_equal(pregon_locks_deadline(c.p), boot_ms + TTL / 3);
    pregon_lock_close(&second);
    assert_int_equal(pregon_locks_deadline(c.p), boot_ms);
    answers(receives("release"), "");
    until(c.p->locks == third && third->next == lock && !lock->next);
    close_all();
}

/* A request waits at a broker that is away for longer than the library waits for its answer. */
static void a_grant_that_no_lock_wants_any_more_is_released(void **state)
{
    struct pregon_lock_options o = all();
    const char *request;

    (void)state;
    open_job(&o);
    receives("lock");
    request = strdup(c.last);
    pregon_lock_close(&lock);
    receives("lock_cancel");
    boot_ms += 2 * TTL;
    until(!c.p->locks && !HASH_COUNT(c.p->requests));
    answers(request, "'re':'lock','error':'held','name':'job','owner':'us','token':8");
    answers(request, "'re':'renew','name':'job','owner':'us','token':8");
    answers(request, "'re':'lock','name':'job','owner':'us'");
    answers(request, "'re':'lock','name':'job','owner':'us','token':9");
    assert_non_null(strstr(receives("release"), "'name':'job','owner':'us','token':9}"));
    assert_true(receives_no("release"));
    free((char *)(uintptr_t)request);
    close_all();
}

static void a_grant_that_came_late_is_kept_if_a_lock_wants_it(void **state)
{
    struct pregon_lock_options o = all();

    (void)state;
    open_job(&o);
    receives("lock");
    answers("'id':999999", "'re':'lock','name':'job','owner':'us','token':9");
    answers("'id':999998", "'re':'lock','name':'other','owner':'us','token':10");
    assert_non_null(strstr(receives("release"), "'name':'other'"));
    answers("'id':999997", "'re':'lock','name':'job','owner':'them','token':11");
    assert_non_null(strstr(receives("release"), "'owner':'them'"));
    answers(c.last, "");
    assert_true(receives_no("release"));
    answers("'id':999996", "'re':'lock','name':'job','owner':'us','token':9");
    answers("'id':999995", "'re':'lock','name':'other','owner':'us','token':10");
    receives("release");
    assert_true(receives_no("release"));
    close_all();
}

static void a_lock_of_a_connection_that_is_closing_is_refused(void **state)
{
    struct pregon_lock_options o = all();

    (void)state;
    hold_job();
    c.p->is_closing = true;
    assert_int_equal(pregon_lock_open(c.p, "other", &o, &lock), PREGON_ERROR_CLOSED);
    c.p->is_closing = false;
    close_all();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_closed_lock_is_released_until_the_broker_confirms_it),
        cmocka_unit_test(a_place_in_line_is_given_up),
        cmocka_unit_test(one_of_several_locks_can_be_closed),
        cmocka_unit_test(a_grant_that_no_lock_wants_any_more_is_released),
        cmocka_unit_test(a_grant_that_came_late_is_kept_if_a_lock_wants_it),
        cmocka_unit_test(a_lock_of_a_connection_that_is_closing_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
