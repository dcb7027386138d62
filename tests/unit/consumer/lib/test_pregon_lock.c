/* Locks of a program: the requests to the broker, and the program's callbacks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/consumer/lib/lock_fixture.h"

/* --- opening -------------------------------------------------------------------------------- */

static enum pregon_error opened(const char *name, const struct pregon_lock_options *o)
{
    struct pregon_lock *l = NULL;
    enum pregon_error e = pregon_lock_open(c.p, name, o, &l);

    assert_true(e ? !l : l != NULL);
    pregon_lock_close(&l);
    assert_null(l);
    pregon_lock_close(&l); /* NULL is allowed */
    return e;
}

static void a_lock_is_opened_only_with_what_the_broker_would_take(void **state)
{
    static const struct {
        int64_t ttl_ms, delay_ms;
        enum pregon_error e;
    } times[] = {
        {0, 0, PREGON_OK},
        {1000, 0, PREGON_OK},
        {600000, 600000, PREGON_OK},
        {999, 0, PREGON_ERROR_INVALID},
        {600001, 0, PREGON_ERROR_INVALID},
        {-1, 0, PREGON_ERROR_INVALID},
        {1000, -1, PREGON_ERROR_INVALID},
        {1000, 600001, PREGON_ERROR_INVALID},
    };
    struct pregon_options none = PREGON_OPTIONS;
    struct pregon_lock_options o = all();

    (void)state;
    open_greeted(none);
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        o.ttl_ms = times[i].ttl_ms;
        o.delay_ms = times[i].delay_ms;
        assert_int_equal(opened("job", &o), times[i].e);
    }
    o = all();
    assert_int_equal(opened(NULL, &o), PREGON_ERROR_INVALID);
    assert_int_equal(opened("no name", &o), PREGON_ERROR_INVALID);
    assert_int_equal(opened("job", NULL), PREGON_ERROR_INVALID);
    o.size = 0;
    assert_int_equal(opened("job", &o), PREGON_ERROR_INVALID);
    o = all();
    o.owner = "no owner";
    assert_int_equal(opened("job", &o), PREGON_ERROR_INVALID);
    /* an older struct does not have this member */
    o.size = offsetof(struct pregon_lock_options, owner);
    assert_int_equal(opened("job", &o), PREGON_OK);
    o.size = sizeof o + 64;
    o.owner = NULL;
    assert_int_equal(opened("job", &o), PREGON_OK);
    close_all();
}

static void an_owner_is_the_given_one_or_thirty_two_random_digits(void **state)
{
    struct pregon_lock_options o = all();
    struct pregon_lock *other;

    (void)state;
    open_job(&o);
    assert_string_equal(pregon_lock_name(lock), "job");
    assert_string_equal(pregon_lock_owner(lock), "us");
    o.owner = NULL;
    assert_int_equal(pregon_lock_open(c.p, "job", &o, &lock), PREGON_OK);
    assert_int_equal(pregon_lock_open(c.p, "job", &o, &other), PREGON_OK);
    assert_int_equal(strspn(pregon_lock_owner(lock), "0123456789abcdef"), 32);
    assert_int_equal(strlen(pregon_lock_owner(lock)), 32);
    assert_string_not_equal(pregon_lock_owner(lock), pregon_lock_owner(other));
    close_all();
}

static void a_request_names_the_lock_its_owner_and_the_process(void **state)
{
    struct pregon_lock_options o = all();
    const char *request;
    char expected[512];

    (void)state;
    o.delay_ms = 7;
    open_job(&o);
    request = receives("lock");
    snprintf(expected, sizeof expected,
             "{'op':'lock','id':%llu,'name':'job','owner':'us','ttl_ms':30000,'delay_ms':7,"
             "'wait_ms':0,'keep':true,'host':'%s','pid':%d}",
             (unsigned long long)id_of(request), c.p->host, getpid());
    assert_string_equal(request, expected);
    answers(request, "'error':'held'");
    assert_non_null(strstr(receives("lock"), "'wait_ms':3000,")); /* now in line */
    close_all();
}

/* --- holding -------------------------------------------------------------------------------- */

static void a_grant_holds_for_two_thirds_of_the_lease(void **state)
{
    (void)state;
    hold_job();
    assert_int_equal(pregon_lock_token(lock), 3);
    assert_int_equal(pregon_lock_remaining_ms(lock), TTL * 2 / 3);
    boot_ms += TTL * 2 / 3 - 1;
    assert_int_equal(pregon_lock_remaining_ms(lock), 1);
    assert_int_equal(pregon_lock_token(lock), 3);
    boot_ms++;
    assert_int_equal(pregon_lock_remaining_ms(lock), 0);
    assert_int_equal(pregon_lock_token(lock), 0);
    assert_reported(""); /* the next turn calls on_lost first */
    step();
    assert_reported("lost job: unanswered\n");
    answers(receives("lock"), GRANT); /* it was requested again: no other owner had it in between */
    until(is_reported("held"));
    assert_reported("held job under 3\n");
    close_all();
}

/* The broker held the answer back until the lock was free: the lease began then. */
static void a_lease_begins_after_the_time_for_which_the_broker_waited(void **state)
{
    struct pregon_lock_options o = all();

    (void)state;
    open_job(&o);
    receives("lock");
    boot_ms += 1000;
    answers(c.last, GRANT ",'waited_ms':400");
    until(is_reported("held"));
    assert_int_equal(pregon_lock_remaining_ms(lock), TTL * 2 / 3 - 600);
    close_all();
    open_job(&o);
    receives("lock");
    boot_ms += 1000;
    answers(c.last, GRANT ",'waited_ms':5000"); /* longer than the request is old: not before now */
    until(is_reported("held"));
    assert_int_equal(pregon_lock_remaining_ms(lock), TTL * 2 / 3);
    close_all();
}

static void a_lease_is_renewed_at_a_third(void **state)
{
    const char *request;
    char expected[256];
    int64_t from = hold_job();

    (void)state;
    boot_ms = from + TTL / 3 - 1;
    assert_true(receives_no("renew"));
    assert_int_equal(c.wait, 1);
    boot_ms++;
    request = receives("renew");
    snprintf(expected, sizeof expected,
             "{'op':'renew','id':%llu,'name':'job','owner':'us','token':3}",
             (unsigned long long)id_of(request));
    assert_string_equal(request, expected);
    answers(request, "'ttl_ms':30000");
    until(pregon_lock_remaining_ms(lock) == TTL * 2 / 3);
    assert_reported("");
    close_all();
}

static void a_loss_has_the_reason_of_the_broker(void **state)
{
    static const struct {
        const char *answer, *report;
    } cases[] = {
        {"'error':'stale','reason':'taken'", "lost job: taken\n"},
        {"'error':'stale','reason':'broken'", "lost job: broken\n"},
        {"'error':'stale','reason':'released'", "lost job: released\n"},
        {"'error':'stale','reason':'expired'", "lost job: expired\n"},
        {"'error':'not_found'", "lost job: expired\n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hold_job();
        boot_ms += TTL / 3;
        answers(receives("renew"), cases[i].answer);
        until(is_reported("lost"));
        assert_reported(cases[i].report);
        assert_int_equal(pregon_lock_token(lock), 0);
        receives("lock");
        close_all();
    }
    assert_string_equal(pregon_lost_reason_name((enum pregon_lost_reason)99), "unknown");
}

/* --- waiting -------------------------------------------------------------------------------- */

static void while_another_holds_it_each_change_is_reported_once(void **state)
{
    struct pregon_lock_options o = all();

    (void)state;
    open_job(&o);
    answers(receives("lock"), HELD);
    until(is_reported("waiting"));
    assert_reported(
        "waiting for job: held, Wait.; holder 'them' token 2, place 1 of 4, 900 ms, 0 ms\n");
    answers(receives("lock"), HELD); /* nothing has changed */
    boot_ms += 1000;
    answers(receives("lock"), "'error':'held','closed_ms':70");
    until(is_reported("waiting"));
    assert_reported("waiting for job: closed, ; holder '' token 0, place 0 of 0, 0 ms, 70 ms\n");
    boot_ms += 1000;
    answers(receives("lock"), "'error':'held'");
    until(is_reported("waiting"));
    assert_reported("waiting for job: kept, ; holder '' token 0, place 0 of 0, 0 ms, 0 ms\n");
    boot_ms += 1000;
    answers(receives("lock"), "'error':'full','message':'Too many.'");
    until(is_reported("waiting"));
    assert_reported("waiting for job: full, Too many.; holder '' token 0, place 0 of 0, 0 ms, 0 ms"
                    "\n");
    boot_ms += 1000;
    answers(receives("lock"), GRANT);
    until(is_reported("held job"));
    close_all();
}

static void each_part_of_the_state_in_line_is_a_change(void **state)
{
    static const char *const answer[] = {
        "'error':'held','owner':'a','token':2,'place':1",
        "'error':'held','owner':'b','token':2,"
        "'place':1",
        "'error':'held','owner':'b','token':3,'place':1",
        "'error':'held','owner':'b','token':3,"
        "'place':2",
    };
    struct pregon_lock_options o = all();

    (void)state;
    open_job(&o);
    for (size_t i = 0; i < sizeof answer / sizeof answer[0]; i++) {
        answers(receives("lock"), answer[i]);
        until(is_reported("waiting"));
        buf_clear(&c.reported);
        boot_ms += 1000;
    }
    close_all();
}

static void a_broker_that_does_not_answer_is_reported_as_away_once(void **state)
{
    struct pregon_lock_options o = all();

    (void)state;
    open_job(&o);
    receives("lock");
    boot_ms += 1499;
    step();
    assert_reported("");
    boot_ms++;
    receives("lock");
    assert_reported("waiting for job: away, The broker does not answer.; holder '' token 0, "
                    "place 0 of 0, 0 ms, 0 ms\n");
    boot_ms += 1500;
    answers(receives("lock"), HELD);
    until(is_reported("waiting"));
    close_all();
}

static void after_a_grant_the_same_waiting_is_news_again(void **state)
{
    struct pregon_lock_options o = all();

    (void)state;
    open_job(&o);
    answers(receives("lock"), HELD);
    answers(receives("lock"), GRANT);
    until(is_reported("held job under"));
    buf_clear(&c.reported);
    boot_ms += TTL / 3;
    answers(receives("renew"), "'error':'stale','reason':'taken'");
    answers(receives("lock"), HELD);
    until(is_reported("waiting for job: held"));
    close_all();
}

static void callbacks_may_be_missing(void **state)
{
    struct pregon_lock_options o = PREGON_LOCK_OPTIONS;

    (void)state;
    o.owner = "us";
    open_job(&o);
    answers(receives("lock"), HELD);
    answers(receives("lock"), GRANT);
    until(pregon_lock_token(lock) == 3);
    boot_ms += TTL / 3;
    answers(receives("renew"), "'error':'stale'");
    receives("lock");
    assert_reported("");
    close_all();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lock_is_opened_only_with_what_the_broker_would_take),
        cmocka_unit_test(an_owner_is_the_given_one_or_thirty_two_random_digits),
        cmocka_unit_test(a_request_names_the_lock_its_owner_and_the_process),
        cmocka_unit_test(a_grant_holds_for_two_thirds_of_the_lease),
        cmocka_unit_test(a_lease_begins_after_the_time_for_which_the_broker_waited),
        cmocka_unit_test(a_lease_is_renewed_at_a_third),
        cmocka_unit_test(a_loss_has_the_reason_of_the_broker),
        cmocka_unit_test(while_another_holds_it_each_change_is_reported_once),
        cmocka_unit_test(each_part_of_the_state_in_line_is_a_change),
        cmocka_unit_test(a_broker_that_does_not_answer_is_reported_as_away_once),
        cmocka_unit_test(after_a_grant_the_same_waiting_is_news_again),
        cmocka_unit_test(callbacks_may_be_missing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
