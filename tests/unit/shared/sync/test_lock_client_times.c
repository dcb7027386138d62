/* The exact times and answers of lock_client: what holds one ms before a bound, and at it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shared/sync/lock_client.h"

#define TTL 30000

static struct lock_client wanted(int64_t ttl_ms, int64_t now)
{
    struct lock_client h;

    lock_client_init(&h, ttl_ms, now);
    return h;
}

static void sends(struct lock_client *h, enum lock_client_request request, int64_t now)
{
    assert_int_equal(lock_client_request(h, now - 1), LOCK_CLIENT_REQUEST_NONE);
    assert_int_equal(lock_client_request(h, now), request);
    lock_client_sent(h, request, now);
}

static enum lock_client_news answered(struct lock_client *h, enum lock_client_request to,
                                      const char *error, uint64_t token, int64_t sent, int64_t now)
{
    struct lock_client_answer a = {.to = to,
                                   .sent_at = sent,
                                   .request_token = token,
                                   .token = token,
                                   .error = span_of(error),
                                   .ttl_ms = h->ttl_ms};

    return lock_client_on_answer(h, &a, now);
}

static enum lock_client_news granted(struct lock_client *h, uint64_t token, int64_t sent,
                                     int64_t now)
{
    return answered(h, LOCK_CLIENT_REQUEST_LOCK, "", token, sent, now);
}

static struct lock_client held(int64_t ttl_ms)
{
    struct lock_client h = wanted(ttl_ms, 0);

    sends(&h, LOCK_CLIENT_REQUEST_LOCK, 0);
    assert_int_equal(granted(&h, 7, 0, 0), LOCK_CLIENT_NOW_HELD);
    return h;
}

static void a_request_without_an_answer_is_repeated_after_its_time(void **state)
{
    static const struct {
        int64_t ttl_ms, again_ms;
    } renewals[] = {{1000, 100},   {1200, 100},   {1212, 101},   {6000, 500},
                    {12000, 1000}, {12012, 1000}, {600000, 1000}};
    struct lock_client h = wanted(TTL, 50);

    (void)state;
    assert_int_equal(lock_client_deadline(&h), 50);
    sends(&h, LOCK_CLIENT_REQUEST_LOCK, 50);
    assert_int_equal(lock_client_deadline(&h), 1550);
    answered(&h, LOCK_CLIENT_REQUEST_LOCK, "held", 0, 50, 60);
    sends(&h, LOCK_CLIENT_REQUEST_LOCK, 60);
    assert_int_equal(lock_client_deadline(&h), 60 + LOCK_CLIENT_WAIT_MS + 1500);
    for (size_t i = 0; i < sizeof renewals / sizeof renewals[0]; i++) {
        int64_t at = renewals[i].ttl_ms / 3;

        h = held(renewals[i].ttl_ms);
        assert_int_equal(lock_client_deadline(&h), at);
        sends(&h, LOCK_CLIENT_REQUEST_RENEW, at);
        assert_int_equal(lock_client_deadline(&h), at + renewals[i].again_ms);
        sends(&h, LOCK_CLIENT_REQUEST_RENEW, at + renewals[i].again_ms);
    }
    lock_client_leave(&h, 0);
    sends(&h, LOCK_CLIENT_REQUEST_RELEASE, 0);
    assert_int_equal(lock_client_deadline(&h), 500);
    lock_client_sent(&h, LOCK_CLIENT_REQUEST_NONE, 400); /* nothing was sent */
    assert_int_equal(lock_client_deadline(&h), 500);
}

static void refusals_are_asked_again_after_a_second_and_held_ones_in_line(void **state)
{
    struct lock_client h = wanted(TTL, 0);

    (void)state;
    sends(&h, LOCK_CLIENT_REQUEST_LOCK, 0);
    assert_int_equal(answered(&h, LOCK_CLIENT_REQUEST_LOCK, "full", 0, 0, 10),
                     LOCK_CLIENT_STILL_WAITING);
    assert_true(lock_client_deadline(&h) == 1010 && h.wait_ms == 0 && !h.is_pending);
    sends(&h, LOCK_CLIENT_REQUEST_LOCK, 1010);
    answered(&h, LOCK_CLIENT_REQUEST_LOCK, "held", 0, 1010, 1011);
    assert_true(lock_client_deadline(&h) == 1011 && h.wait_ms == LOCK_CLIENT_WAIT_MS);
    sends(&h, LOCK_CLIENT_REQUEST_LOCK, 1011);
    answered(&h, LOCK_CLIENT_REQUEST_LOCK, "held", 0, 1011, 1500); /* early */
    assert_int_equal(lock_client_deadline(&h), 2011);
    sends(&h, LOCK_CLIENT_REQUEST_LOCK, 2011);
    answered(&h, LOCK_CLIENT_REQUEST_LOCK, "not_stored", 0, 2011, 2020);
    assert_true(lock_client_deadline(&h) == 3020 && h.wait_ms == 0);
}

static void unanswered_requests_are_news_once_until_one_is_answered(void **state)
{
    struct lock_client h = wanted(TTL, 0);

    (void)state;
    assert_false(lock_client_is_newly_unanswered(&h, 99999)); /* nothing was sent */
    sends(&h, LOCK_CLIENT_REQUEST_LOCK, 0);
    answered(&h, LOCK_CLIENT_REQUEST_LOCK, "held", 0, 0, 0);
    sends(&h, LOCK_CLIENT_REQUEST_LOCK, 0);
    assert_false(lock_client_is_newly_unanswered(&h, LOCK_CLIENT_WAIT_MS + 1499));
    assert_true(h.is_pending && h.wait_ms);
    assert_true(lock_client_is_newly_unanswered(&h, LOCK_CLIENT_WAIT_MS + 1500));
    assert_true(!h.is_pending && !h.wait_ms);
    assert_false(lock_client_is_newly_unanswered(&h, LOCK_CLIENT_WAIT_MS + 1500));
    sends(&h, LOCK_CLIENT_REQUEST_LOCK, LOCK_CLIENT_WAIT_MS + 1500);
    assert_int_equal(granted(&h, 7, 4500, 4600), LOCK_CLIENT_NOW_HELD);
    assert_false(h.is_unanswered || h.is_pending);
    assert_false(lock_client_is_newly_unanswered(&h, 99999)); /* held */
}

static void a_lease_that_runs_out_is_lost_at_two_thirds(void **state)
{
    struct lock_client h = held(TTL);

    (void)state;
    assert_int_equal(lock_client_remaining_ms(&h, 19999), 1);
    assert_int_equal(lock_client_remaining_ms(&h, 20000), 0);
    assert_int_equal(lock_client_remaining_ms(&h, 20001), 0);
    lock_client_sent(&h, LOCK_CLIENT_REQUEST_RENEW, 19500);
    assert_int_equal(lock_client_deadline(&h), 20000); /* before it renews again */
    assert_int_equal(lock_client_check(&h, 20000), LOCK_CLIENT_NOW_LOST);
    assert_true(h.reason == LOCK_CLIENT_UNANSWERED && h.may_be_ours);
    assert_true(h.phase == LOCK_CLIENT_WAITING && lock_client_deadline(&h) == 20000);
    assert_int_equal(lock_client_remaining_ms(&h, 0), 0); /* not held at any time */
}

static void a_grant_again_lengthens_the_lease_and_another_one_is_a_loss_first(void **state)
{
    struct lock_client h = held(TTL);

    (void)state;
    assert_int_equal(granted(&h, 7, 5000, 6000), LOCK_CLIENT_NO_NEWS);
    assert_int_equal(h.until, 25000);
    assert_int_equal(granted(&h, 7, 4000, 6000), LOCK_CLIENT_NO_NEWS);
    assert_int_equal(h.until, 25000); /* an older one takes nothing away */
    assert_int_equal(granted(&h, 8, 6000, 6100), LOCK_CLIENT_NOW_LOST);
    assert_true(h.reason == LOCK_CLIENT_EXPIRED && !h.may_be_ours);
    assert_int_equal(h.token, 7);
    sends(&h, LOCK_CLIENT_REQUEST_LOCK, 6100);
    assert_int_equal(granted(&h, 8, 6100, 6200), LOCK_CLIENT_NOW_HELD);
    assert_true(h.token == 8 && h.until == 26100);
}

/* The broker may have a lower limit than what was requested. */
static void the_lease_is_as_long_as_the_broker_says(void **state)
{
    struct lock_client h = wanted(TTL, 0);
    struct lock_client_answer a = {.to = LOCK_CLIENT_REQUEST_LOCK, .token = 7, .ttl_ms = 6000};

    (void)state;
    sends(&h, LOCK_CLIENT_REQUEST_LOCK, 0);
    assert_int_equal(lock_client_on_answer(&h, &a, 1), LOCK_CLIENT_NOW_HELD);
    assert_int_equal(lock_client_remaining_ms(&h, 1), 3999);
    sends(&h, LOCK_CLIENT_REQUEST_RENEW, 2000);
    answered(&h, LOCK_CLIENT_REQUEST_RENEW, "", 7, 2000, 2001);
    assert_int_equal(h.until, 6000);
}

static void what_another_holds_is_not_released_as_ours(void **state)
{
    struct lock_client h = held(TTL);

    (void)state;
    lock_client_check(&h, 20000);
    sends(&h, LOCK_CLIENT_REQUEST_LOCK, 20000);
    assert_int_equal(h.wait_ms, 0); /* how things stand, at once */
    answered(&h, LOCK_CLIENT_REQUEST_LOCK, "full", 0, 20000, 20001);
    assert_true(h.may_be_ours); /* the answer does not concern the grant */
    sends(&h, LOCK_CLIENT_REQUEST_LOCK, 21001);
    answered(&h, LOCK_CLIENT_REQUEST_LOCK, "held", 0, 21001, 21002);
    assert_false(h.may_be_ours);
    lock_client_leave(&h, 21003);
    assert_int_equal(lock_client_request(&h, 21003), LOCK_CLIENT_REQUEST_CANCEL);
}

static void a_grant_has_to_have_a_ms_left(void **state)
{
    struct lock_client h = wanted(TTL, 0);

    (void)state;
    sends(&h, LOCK_CLIENT_REQUEST_LOCK, 0);
    assert_int_equal(granted(&h, 7, 0, 20000), LOCK_CLIENT_NO_NEWS);
    assert_true(h.may_be_ours && !h.may_be_placed && h.request_at == 20000 && !h.wait_ms);
    sends(&h, LOCK_CLIENT_REQUEST_LOCK, 20000);
    assert_int_equal(granted(&h, 7, 20000, 39999), LOCK_CLIENT_NOW_HELD);
    assert_int_equal(lock_client_remaining_ms(&h, 39999), 1);
}

static void each_reason_of_a_loss_is_understood(void **state)
{
    static const struct {
        const char *error, *reason;
        enum lock_client_reason is;
    } cases[] = {
        {"stale", "taken", LOCK_CLIENT_TAKEN},       {"stale", "broken", LOCK_CLIENT_BROKEN},
        {"stale", "released", LOCK_CLIENT_RELEASED}, {"stale", "expired", LOCK_CLIENT_EXPIRED},
        {"not_found", "", LOCK_CLIENT_EXPIRED},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct lock_client h = held(TTL);
        struct lock_client_answer a = {.to = LOCK_CLIENT_REQUEST_RENEW,
                                       .request_token = 6,
                                       .error = span_of(cases[i].error),
                                       .reason = span_of(cases[i].reason)};

        assert_int_equal(lock_client_on_answer(&h, &a, 10000), LOCK_CLIENT_NO_NEWS); /* older */
        a.request_token = 7;
        assert_int_equal(lock_client_on_answer(&h, &a, 10000), LOCK_CLIENT_NOW_LOST);
        assert_int_equal(h.reason, cases[i].is);
        assert_false(h.may_be_ours || h.is_pending || h.is_unanswered);
        assert_int_equal(lock_client_deadline(&h), 10000);
        assert_int_equal(lock_client_on_answer(&h, &a, 10000), LOCK_CLIENT_NO_NEWS); /* not held */
    }
}

static void a_renewal_that_was_confirmed_counts_from_when_it_was_sent(void **state)
{
    struct lock_client h = held(TTL);

    (void)state;
    sends(&h, LOCK_CLIENT_REQUEST_RENEW, 10000);
    answered(&h, LOCK_CLIENT_REQUEST_RENEW, "", 6, 10000, 10100);
    assert_int_equal(h.until, 20000); /* of another grant */
    answered(&h, LOCK_CLIENT_REQUEST_RENEW, "full", 7, 10000, 10100);
    assert_int_equal(h.until, 20000);
    answered(&h, LOCK_CLIENT_REQUEST_RENEW, "", 7, 10000, 10100);
    assert_int_equal(h.until, 30000);
    assert_int_equal(h.request_at, 20000);
}

/* --- leaving -------------------------------------------------------------------------------- */

static void leaving_lasts_until_all_has_ended_without_us(void **state)
{
    struct lock_client h = held(TTL);

    (void)state;
    lock_client_leave(&h, 5000); /* the lease has ended for the broker at 30000 */
    assert_int_equal(h.leave_until, 30000);
    assert_int_equal(lock_client_deadline(&h), 5000);
    assert_int_equal(lock_client_request(&h, 29999), LOCK_CLIENT_REQUEST_RELEASE);
    assert_int_equal(lock_client_request(&h, 30000), LOCK_CLIENT_REQUEST_NONE);
    assert_int_equal(h.phase, LOCK_CLIENT_GONE);
    h = held(1500); /* a short one: the place in line lasts longer */
    lock_client_leave(&h, 5);
    assert_int_equal(h.leave_until, 10005 + 500);
    h = wanted(TTL, 0);
    sends(&h, LOCK_CLIENT_REQUEST_LOCK, 0);
    lock_client_leave(&h, 5);
    assert_int_equal(h.leave_until, 10005);
    sends(&h, LOCK_CLIENT_REQUEST_CANCEL, 5);
    lock_client_sent(&h, LOCK_CLIENT_REQUEST_CANCEL, 9900);
    assert_int_equal(lock_client_deadline(&h), 10005); /* before it is repeated */
}

static void a_release_is_confirmed_by_its_answer_only(void **state)
{
    static const struct {
        enum lock_client_request to;
        const char *error;
        uint64_t token;
        enum lock_client_phase then;
    } cases[] = {
        {LOCK_CLIENT_REQUEST_RELEASE, "", 7, LOCK_CLIENT_GONE},
        {LOCK_CLIENT_REQUEST_RELEASE, "stale", 7, LOCK_CLIENT_GONE},
        {LOCK_CLIENT_REQUEST_RELEASE, "not_found", 7, LOCK_CLIENT_GONE},
        {LOCK_CLIENT_REQUEST_RELEASE, "not_stored", 7, LOCK_CLIENT_LEAVING},
        {LOCK_CLIENT_REQUEST_RELEASE, "", 6, LOCK_CLIENT_LEAVING},
        {LOCK_CLIENT_REQUEST_CANCEL, "", 7, LOCK_CLIENT_LEAVING},
        {LOCK_CLIENT_REQUEST_RENEW, "", 7, LOCK_CLIENT_LEAVING},
        {LOCK_CLIENT_REQUEST_NONE, "", 7, LOCK_CLIENT_LEAVING},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct lock_client h = held(TTL);

        lock_client_leave(&h, 5);
        sends(&h, LOCK_CLIENT_REQUEST_RELEASE, 5);
        answered(&h, cases[i].to, cases[i].error, cases[i].token, 5, 6);
        assert_int_equal(h.phase, cases[i].then);
        assert_int_equal(lock_client_is_leaving(&h), cases[i].then == LOCK_CLIENT_LEAVING);
    }
}

/* The grant was lost unnoticed, and the lock requested again: there is a place in line as well. */
static void after_a_stale_release_the_place_in_line_is_given_up_too(void **state)
{
    struct lock_client h = held(TTL);

    (void)state;
    assert_int_equal(lock_client_check(&h, 20000), LOCK_CLIENT_NOW_LOST);
    sends(&h, LOCK_CLIENT_REQUEST_LOCK, 20000);
    lock_client_leave(&h, 20001);
    assert_int_equal(lock_client_request(&h, 20001), LOCK_CLIENT_REQUEST_RELEASE);
    lock_client_sent(&h, LOCK_CLIENT_REQUEST_RELEASE, 20001);
    answered(&h, LOCK_CLIENT_REQUEST_RELEASE, "stale", 7, 20001, 20010);
    assert_true(h.phase == LOCK_CLIENT_LEAVING && !h.may_be_ours);
    sends(&h, LOCK_CLIENT_REQUEST_CANCEL, 20010);
    answered(&h, LOCK_CLIENT_REQUEST_CANCEL, "full", 0, 20010, 20020);
    assert_true(lock_client_is_leaving(&h));
    answered(&h, LOCK_CLIENT_REQUEST_CANCEL, "not_found", 0, 20010, 20020);
    assert_false(lock_client_is_leaving(&h)); /* it waits for a late grant */
    assert_true(h.phase == LOCK_CLIENT_LEAVING && h.leave_until == 22020);
    /* A release without an error proves that the grant was ours: no place is left then. */
    h = held(TTL);
    lock_client_check(&h, 20000);
    sends(&h, LOCK_CLIENT_REQUEST_LOCK, 20000);
    lock_client_leave(&h, 20001);
    answered(&h, LOCK_CLIENT_REQUEST_RELEASE, "", 7, 20001, 20010);
    assert_int_equal(h.phase, LOCK_CLIENT_GONE);
}

static void a_grant_while_leaving_is_released_and_lasts_as_long_as_its_lease(void **state)
{
    struct lock_client h = wanted(TTL, 0);

    (void)state;
    sends(&h, LOCK_CLIENT_REQUEST_LOCK, 0);
    lock_client_leave(&h, 10);
    sends(&h, LOCK_CLIENT_REQUEST_CANCEL, 10);
    assert_int_equal(granted(&h, 7, 0, 30), LOCK_CLIENT_NO_NEWS);
    assert_true(h.token == 7 && h.phase == LOCK_CLIENT_LEAVING);
    assert_int_equal(h.leave_until, TTL);
    sends(&h, LOCK_CLIENT_REQUEST_RELEASE, 30);
    answered(&h, LOCK_CLIENT_REQUEST_CANCEL, "", 0, 10, 40); /* does not concern the grant */
    assert_true(lock_client_is_leaving(&h) && h.leave_until == TTL);
    answered(&h, LOCK_CLIENT_REQUEST_RELEASE, "", 7, 30, 50);
    assert_int_equal(h.phase, LOCK_CLIENT_GONE);
    assert_int_equal(lock_client_request(&h, 99999), LOCK_CLIENT_REQUEST_NONE);
    assert_int_equal(lock_client_deadline(&h), INT64_MAX);
    assert_int_equal(answered(&h, LOCK_CLIENT_REQUEST_LOCK, "held", 0, 0, 60), LOCK_CLIENT_NO_NEWS);
}

static void a_late_grant_is_waited_for_but_no_longer_than_the_place_lasts(void **state)
{
    struct lock_client h = wanted(TTL, 0);

    (void)state;
    sends(&h, LOCK_CLIENT_REQUEST_LOCK, 0);
    lock_client_leave(&h, 10);
    answered(&h, LOCK_CLIENT_REQUEST_CANCEL, "", 0, 9000, 9500);
    assert_int_equal(h.leave_until, 10010);
    assert_int_equal(lock_client_deadline(&h), 10010);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_without_an_answer_is_repeated_after_its_time),
        cmocka_unit_test(refusals_are_asked_again_after_a_second_and_held_ones_in_line),
        cmocka_unit_test(unanswered_requests_are_news_once_until_one_is_answered),
        cmocka_unit_test(a_lease_that_runs_out_is_lost_at_two_thirds),
        cmocka_unit_test(a_grant_again_lengthens_the_lease_and_another_one_is_a_loss_first),
        cmocka_unit_test(the_lease_is_as_long_as_the_broker_says),
        cmocka_unit_test(what_another_holds_is_not_released_as_ours),
        cmocka_unit_test(a_grant_has_to_have_a_ms_left),
        cmocka_unit_test(each_reason_of_a_loss_is_understood),
        cmocka_unit_test(a_renewal_that_was_confirmed_counts_from_when_it_was_sent),
        cmocka_unit_test(leaving_lasts_until_all_has_ended_without_us),
        cmocka_unit_test(a_release_is_confirmed_by_its_answer_only),
        cmocka_unit_test(after_a_stale_release_the_place_in_line_is_given_up_too),
        cmocka_unit_test(a_grant_while_leaving_is_released_and_lasts_as_long_as_its_lease),
        cmocka_unit_test(a_late_grant_is_waited_for_but_no_longer_than_the_place_lasts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
