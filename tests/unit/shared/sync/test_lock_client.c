#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "shared/sync/lock_client.h"
#include "tests/unit/dice.h"

#define TTL 30000

static struct lock_client wanted(int64_t now)
{
    struct lock_client h;

    lock_client_init(&h, TTL, now);
    return h;
}

static void requests(struct lock_client *h, enum lock_client_request request, int64_t now)
{
    assert_int_equal(lock_client_request(h, now), request);
    lock_client_sent(h, request, now);
}

static enum lock_client_news granted(struct lock_client *h, uint64_t token, int64_t sent,
                                     int64_t now)
{
    return lock_client_on_answer(
        h,
        &(struct lock_client_answer){
            .to = LOCK_CLIENT_REQUEST_LOCK, .sent_at = sent, .token = token, .ttl_ms = TTL},
        now);
}

static enum lock_client_news refused(struct lock_client *h, const char *error, int64_t sent,
                                     int64_t now)
{
    return lock_client_on_answer(h,
                                 &(struct lock_client_answer){.to = LOCK_CLIENT_REQUEST_LOCK,
                                                              .sent_at = sent,
                                                              .error = span_of(error)},
                                 now);
}

static enum lock_client_news answered(struct lock_client *h, enum lock_client_request to,
                                      const char *error, int64_t sent, int64_t now)
{
    return lock_client_on_answer(h,
                                 &(struct lock_client_answer){.to = to,
                                                              .sent_at = sent,
                                                              .request_token = h->token,
                                                              .error = span_of(error),
                                                              .reason = SPAN("taken"),
                                                              .ttl_ms = TTL},
                                 now);
}

static struct lock_client held(uint64_t token, int64_t now)
{
    struct lock_client h = wanted(now);

    requests(&h, LOCK_CLIENT_REQUEST_LOCK, now);
    assert_int_equal(granted(&h, token, now, now), LOCK_CLIENT_NOW_HELD);
    return h;
}

static void a_lease_counts_from_before_it_was_asked_for_and_two_thirds_of_it(void **state)
{
    struct lock_client h = wanted(1000);

    (void)state;
    requests(&h, LOCK_CLIENT_REQUEST_LOCK, 1000);
    assert_int_equal(granted(&h, 7, 1000, 4000), LOCK_CLIENT_NOW_HELD);
    assert_int_equal(lock_client_remaining_ms(&h, 4000), 17000);
    assert_int_equal(lock_client_check(&h, 20999), LOCK_CLIENT_NO_NEWS);
    assert_int_equal(lock_client_remaining_ms(&h, 21000), 0);
    assert_int_equal(lock_client_check(&h, 21000), LOCK_CLIENT_NOW_LOST);
    assert_int_equal(h.reason, LOCK_CLIENT_UNANSWERED);
    assert_int_equal(lock_client_check(&h, 21000), LOCK_CLIENT_NO_NEWS);
}

static void it_renews_at_a_third_and_again_until_it_is_answered(void **state)
{
    struct lock_client h = held(7, 0);

    (void)state;
    assert_int_equal(lock_client_request(&h, 9999), LOCK_CLIENT_REQUEST_NONE);
    assert_int_equal(lock_client_deadline(&h), 10000);
    requests(&h, LOCK_CLIENT_REQUEST_RENEW, 10000);
    assert_int_equal(lock_client_request(&h, 10500), LOCK_CLIENT_REQUEST_NONE);
    requests(&h, LOCK_CLIENT_REQUEST_RENEW, 11000);
    assert_int_equal(answered(&h, LOCK_CLIENT_REQUEST_RENEW, "", 10000, 11500),
                     LOCK_CLIENT_NO_NEWS);
    assert_int_equal(lock_client_remaining_ms(&h, 11500), 18500);
    /* The answer to the later one is better; the earlier one, late, takes nothing away. */
    answered(&h, LOCK_CLIENT_REQUEST_RENEW, "", 11000, 11600);
    assert_int_equal(lock_client_deadline(&h), 21000);
    answered(&h, LOCK_CLIENT_REQUEST_RENEW, "", 10000, 11700);
    assert_int_equal(lock_client_remaining_ms(&h, 11600), 19400);
    assert_int_equal(lock_client_deadline(&h), 20000);
}

static void a_renewal_that_is_refused_is_a_loss_with_its_reason(void **state)
{
    struct lock_client h = held(7, 0);

    (void)state;
    requests(&h, LOCK_CLIENT_REQUEST_RENEW, 10000);
    assert_int_equal(answered(&h, LOCK_CLIENT_REQUEST_RENEW, "stale", 10000, 10001),
                     LOCK_CLIENT_NOW_LOST);
    assert_int_equal(h.reason, LOCK_CLIENT_TAKEN);
    requests(&h, LOCK_CLIENT_REQUEST_LOCK, 10001);
    /* A disk that does not take things has nothing to do with renewals. */
    h = held(8, 0);
    requests(&h, LOCK_CLIENT_REQUEST_RENEW, 10000);
    assert_int_equal(answered(&h, LOCK_CLIENT_REQUEST_RENEW, "not_stored", 10000, 10001),
                     LOCK_CLIENT_NO_NEWS);
    assert_int_equal(h.phase, LOCK_CLIENT_HELD);
}

static void in_line_it_asks_again_and_lets_the_answer_wait_for_the_grant(void **state)
{
    struct lock_client h = wanted(0);

    (void)state;
    assert_int_equal(h.wait_ms, 0); /* how things stand, at once */
    requests(&h, LOCK_CLIENT_REQUEST_LOCK, 0);
    assert_int_equal(refused(&h, "held", 0, 5), LOCK_CLIENT_STILL_WAITING);
    requests(&h, LOCK_CLIENT_REQUEST_LOCK, 5);
    assert_int_equal(h.wait_ms, LOCK_CLIENT_WAIT_MS);
    assert_int_equal(lock_client_request(&h, 3100), LOCK_CLIENT_REQUEST_NONE);
    assert_int_equal(refused(&h, "held", 5, 3005), LOCK_CLIENT_STILL_WAITING);
    requests(&h, LOCK_CLIENT_REQUEST_LOCK, 3005);
    /* A broker that does not wait gets no endless series of requests. */
    refused(&h, "held", 3005, 3006);
    assert_int_equal(lock_client_request(&h, 3900), LOCK_CLIENT_REQUEST_NONE);
    requests(&h, LOCK_CLIENT_REQUEST_LOCK, 4005);
    assert_int_equal(granted(&h, 9, 4005, 5000), LOCK_CLIENT_NOW_HELD);
}

static void a_grant_that_is_nearly_over_when_it_is_heard_of_is_asked_for_anew(void **state)
{
    struct lock_client h = wanted(0);

    (void)state;
    requests(&h, LOCK_CLIENT_REQUEST_LOCK, 0);
    assert_int_equal(granted(&h, 7, 0, 20000), LOCK_CLIENT_NO_NEWS);
    assert_int_equal(lock_client_remaining_ms(&h, 20000), 0);
    requests(&h, LOCK_CLIENT_REQUEST_LOCK, 20000);
    assert_int_equal(granted(&h, 7, 20000, 20001), LOCK_CLIENT_NOW_HELD);
}

static void a_broker_that_does_not_answer_is_reported_as_away_once(void **state)
{
    struct lock_client h = wanted(0);

    (void)state;
    requests(&h, LOCK_CLIENT_REQUEST_LOCK, 0);
    assert_false(lock_client_is_newly_unanswered(&h, 1499));
    assert_true(lock_client_is_newly_unanswered(&h, 1500));
    requests(&h, LOCK_CLIENT_REQUEST_LOCK, 1500);
    assert_false(lock_client_is_newly_unanswered(&h, 3000));
    requests(&h, LOCK_CLIENT_REQUEST_LOCK, 3000);
    refused(&h, "held", 3000, 3100);
    requests(&h, LOCK_CLIENT_REQUEST_LOCK, 3100);
    assert_true(lock_client_is_newly_unanswered(&h, 3100 + LOCK_CLIENT_WAIT_MS + 1500));
}

static void leaving_releases_what_is_held_until_it_is_heard(void **state)
{
    struct lock_client h = held(7, 0);

    (void)state;
    lock_client_leave(&h, 100);
    assert_true(lock_client_is_leaving(&h));
    requests(&h, LOCK_CLIENT_REQUEST_RELEASE, 100);
    requests(&h, LOCK_CLIENT_REQUEST_RELEASE, 600);
    answered(&h, LOCK_CLIENT_REQUEST_RELEASE, "", 100, 700);
    assert_int_equal(h.phase, LOCK_CLIENT_GONE);
    /* Unheard, it ends when the lease has. */
    h = held(7, 0);
    lock_client_leave(&h, 100);
    assert_int_equal(lock_client_request(&h, TTL), LOCK_CLIENT_REQUEST_NONE);
    assert_int_equal(h.phase, LOCK_CLIENT_GONE);
}

static void what_was_lost_here_but_perhaps_not_there_is_released_too(void **state)
{
    struct lock_client h = held(7, 0);

    (void)state;
    assert_int_equal(lock_client_check(&h, 20000), LOCK_CLIENT_NOW_LOST);
    lock_client_leave(&h, 20000);
    requests(&h, LOCK_CLIENT_REQUEST_RELEASE, 20000);
    answered(&h, LOCK_CLIENT_REQUEST_RELEASE, "stale", 20000, 20100);
    assert_int_equal(h.phase, LOCK_CLIENT_GONE);
}

static void leaving_the_line_gives_back_a_grant_that_was_on_its_way(void **state)
{
    struct lock_client h = wanted(0);

    (void)state;
    requests(&h, LOCK_CLIENT_REQUEST_LOCK, 0);
    lock_client_leave(&h, 10);
    requests(&h, LOCK_CLIENT_REQUEST_CANCEL, 10);
    answered(&h, LOCK_CLIENT_REQUEST_CANCEL, "", 10, 20);
    assert_false(lock_client_is_leaving(&h)); /* the broker has heard it */
    assert_int_equal(h.phase, LOCK_CLIENT_LEAVING);
    assert_int_equal(granted(&h, 7, 0, 30), LOCK_CLIENT_NO_NEWS);
    requests(&h, LOCK_CLIENT_REQUEST_RELEASE, 30);
    answered(&h, LOCK_CLIENT_REQUEST_RELEASE, "", 30, 40);
    assert_int_equal(h.phase, LOCK_CLIENT_GONE);
    h = wanted(0);
    lock_client_leave(&h, 0);
    assert_int_equal(h.phase, LOCK_CLIENT_GONE); /* nobody ever heard of it */
}

/* After it gave up its place a grant may still come: so it listens for a while, and no longer. */
static void leaving_the_line_waits_for_a_late_grant_and_no_longer(void **state)
{
    struct lock_client h = wanted(0);

    (void)state;
    requests(&h, LOCK_CLIENT_REQUEST_LOCK, 0);
    lock_client_leave(&h, 10);
    requests(&h, LOCK_CLIENT_REQUEST_CANCEL, 10);
    assert_int_equal(lock_client_deadline(&h), 510); /* then it requests again */
    answered(&h, LOCK_CLIENT_REQUEST_CANCEL, "", 10, 20);
    assert_int_equal(lock_client_deadline(&h), 2020);
    assert_int_equal(lock_client_request(&h, 2019), LOCK_CLIENT_REQUEST_NONE);
    assert_int_equal(h.phase, LOCK_CLIENT_LEAVING);
    assert_int_equal(lock_client_request(&h, 2020), LOCK_CLIENT_REQUEST_NONE);
    assert_int_equal(h.phase, LOCK_CLIENT_GONE);
    assert_int_equal(lock_client_deadline(&h), INT64_MAX);
}

/* An answer about an earlier grant does not concern the place that is being given up. */
static void a_late_answer_to_an_older_release_changes_nothing(void **state)
{
    struct lock_client h = wanted(0);
    const struct lock_client_answer old = {
        .to = LOCK_CLIENT_REQUEST_RELEASE, .request_token = 5, .ttl_ms = TTL};

    (void)state;
    requests(&h, LOCK_CLIENT_REQUEST_LOCK, 0);
    lock_client_leave(&h, 10);
    requests(&h, LOCK_CLIENT_REQUEST_CANCEL, 10);
    assert_int_equal(lock_client_on_answer(&h, &old, 20), LOCK_CLIENT_NO_NEWS);
    assert_true(lock_client_is_leaving(&h));
    assert_int_equal(lock_client_deadline(&h), 510);
}

/* The answer that its place is given up may be older than the answer to its request. */
static void an_error_ends_leaving_only_after_the_place_was_given_up(void **state)
{
    struct lock_client h = wanted(0);

    (void)state;
    requests(&h, LOCK_CLIENT_REQUEST_LOCK, 0);
    lock_client_leave(&h, 10);
    assert_int_equal(refused(&h, "held", 0, 15), LOCK_CLIENT_NO_NEWS);
    assert_int_equal(h.phase, LOCK_CLIENT_LEAVING); /* it may be in the queue now */
    requests(&h, LOCK_CLIENT_REQUEST_CANCEL, 20);
    answered(&h, LOCK_CLIENT_REQUEST_CANCEL, "", 20, 30);
    assert_int_equal(h.phase, LOCK_CLIENT_GONE); /* nothing else is on its way */
    h = wanted(0);
    requests(&h, LOCK_CLIENT_REQUEST_LOCK, 0);
    lock_client_leave(&h, 10);
    requests(&h, LOCK_CLIENT_REQUEST_CANCEL, 10);
    answered(&h, LOCK_CLIENT_REQUEST_CANCEL, "", 10, 20);
    assert_int_equal(h.phase, LOCK_CLIENT_LEAVING);
    assert_int_equal(refused(&h, "held", 0, 30), LOCK_CLIENT_NO_NEWS);
    assert_int_equal(h.phase, LOCK_CLIENT_GONE);
}

static void another_error_than_held_is_no_place_in_line_and_is_tried_again_soon(void **state)
{
    struct lock_client h = wanted(0);

    (void)state;
    requests(&h, LOCK_CLIENT_REQUEST_LOCK, 0);
    assert_int_equal(refused(&h, "held", 0, 10), LOCK_CLIENT_STILL_WAITING);
    assert_int_equal(h.wait_ms, LOCK_CLIENT_WAIT_MS);
    requests(&h, LOCK_CLIENT_REQUEST_LOCK, 10);
    assert_int_equal(refused(&h, "full", 10, 20), LOCK_CLIENT_STILL_WAITING);
    assert_int_equal(h.wait_ms, 0);
    assert_int_equal(lock_client_request(&h, 21), LOCK_CLIENT_REQUEST_NONE);
    assert_int_equal(lock_client_request(&h, lock_client_deadline(&h)), LOCK_CLIENT_REQUEST_LOCK);
}

static void the_reason_of_a_loss_is_the_brokers(void **state)
{
    static const struct {
        const char *text;
        enum lock_client_reason reason;
    } rows[] = {{"taken", LOCK_CLIENT_TAKEN},
                {"broken", LOCK_CLIENT_BROKEN},
                {"released", LOCK_CLIENT_RELEASED},
                {"expired", LOCK_CLIENT_EXPIRED},
                {"what a later broker says", LOCK_CLIENT_EXPIRED}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct lock_client h = held(7, 0);
        const struct lock_client_answer a = {.to = LOCK_CLIENT_REQUEST_RENEW,
                                             .request_token = 7,
                                             .error = SPAN("stale"),
                                             .reason = span_of(rows[i].text)};

        assert_int_equal(lock_client_on_answer(&h, &a, 10), LOCK_CLIENT_NOW_LOST);
        assert_int_equal(h.reason, rows[i].reason);
    }
}

static void a_grant_that_was_not_ours_any_more_leaves_the_place_in_line_to_give_up(void **state)
{
    struct lock_client h = held(7, 0);

    (void)state;
    assert_int_equal(lock_client_check(&h, 20000), LOCK_CLIENT_NOW_LOST);
    requests(&h, LOCK_CLIENT_REQUEST_LOCK, 20000);
    lock_client_leave(&h, 20010);
    requests(&h, LOCK_CLIENT_REQUEST_RELEASE, 20010);
    assert_int_equal(answered(&h, LOCK_CLIENT_REQUEST_RELEASE, "stale", 20010, 20020),
                     LOCK_CLIENT_NO_NEWS);
    requests(&h, LOCK_CLIENT_REQUEST_CANCEL, 20020);
}

/* --- against a broker, at random ------------------------------------------------------------ */

/* One lock at a broker that counts exactly; answers come late, or never. */
struct broker {
    uint64_t token;
    bool is_held;
    int64_t until;
};

struct message {
    bool is_there;
    struct lock_client_answer a;
};

static void serve(struct broker *b, struct message *m, bool is_others, int64_t now)
{
    if (b->is_held && now >= b->until)
        b->is_held = false;
    switch (m->a.to) {
    case LOCK_CLIENT_REQUEST_LOCK:
        if (is_others && b->is_held) {
            m->a.error = SPAN("held");
            break;
        }
        b->token += !b->is_held;
        b->is_held = true;
        b->until = now + TTL;
        m->a.token = b->token;
        m->a.ttl_ms = TTL;
        break;
    case LOCK_CLIENT_REQUEST_RENEW:
        if (!b->is_held || m->a.request_token != b->token)
            m->a.error = SPAN("stale");
        else
            b->until = now + TTL;
        break;
    case LOCK_CLIENT_REQUEST_RELEASE:
        if (b->is_held && m->a.request_token == b->token)
            b->is_held = false;
        break;
    case LOCK_CLIENT_REQUEST_NONE:
    case LOCK_CLIENT_REQUEST_CANCEL:
        break;
    }
}

/* What we take for held is held at the broker, under that token, for a third of ttl longer. */
static void at_random_it_never_holds_what_the_broker_would_give_away(void **state)
{
    int helds = 0;

    (void)state;
    dice_seed();
    for (int game = 0; game < 300; game++) {
        struct broker b = {.token = 1};
        struct message way[16] = {0}, back[16] = {0};
        struct lock_client h = wanted(0);

        for (int64_t now = 0; now < 600000; now += 1 + dice(dice(20) ? 400 : 40000)) {
            unsigned i = dice(16), k = dice(16);
            enum lock_client_request request;

            lock_client_check(&h, now);
            if (back[k].is_there && dice(3)) {
                back[k].is_there = false;
                helds += lock_client_on_answer(&h, &back[k].a, now) == LOCK_CLIENT_NOW_HELD;
            }
            lock_client_is_newly_unanswered(&h, now);
            request = lock_client_request(&h, now);
            if (request) {
                way[i] = (struct message){
                    true, {.to = request, .sent_at = now, .request_token = h.token}};
                lock_client_sent(&h, request, now);
            }
            if (way[k].is_there && dice(4)) {
                way[k].is_there = false;
                serve(&b, &way[k], b.token % 2, now);
                back[i] = way[k];
                back[i].is_there = dice(5) != 0;
            }
            if (dice(10) == 0 && b.is_held && now >= b.until) {
                b.token += 2; /* somebody had it in between */
                b.is_held = false;
            }
            if (!lock_client_remaining_ms(&h, now))
                continue;
            assert_true(b.is_held && b.token == h.token);
            assert_true(b.until - now >= lock_client_remaining_ms(&h, now) + TTL / 3);
        }
    }
    assert_true(helds > 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lease_counts_from_before_it_was_asked_for_and_two_thirds_of_it),
        cmocka_unit_test(it_renews_at_a_third_and_again_until_it_is_answered),
        cmocka_unit_test(a_renewal_that_is_refused_is_a_loss_with_its_reason),
        cmocka_unit_test(in_line_it_asks_again_and_lets_the_answer_wait_for_the_grant),
        cmocka_unit_test(a_grant_that_is_nearly_over_when_it_is_heard_of_is_asked_for_anew),
        cmocka_unit_test(a_broker_that_does_not_answer_is_reported_as_away_once),
        cmocka_unit_test(leaving_releases_what_is_held_until_it_is_heard),
        cmocka_unit_test(what_was_lost_here_but_perhaps_not_there_is_released_too),
        cmocka_unit_test(leaving_the_line_gives_back_a_grant_that_was_on_its_way),
        cmocka_unit_test(leaving_the_line_waits_for_a_late_grant_and_no_longer),
        cmocka_unit_test(a_late_answer_to_an_older_release_changes_nothing),
        cmocka_unit_test(an_error_ends_leaving_only_after_the_place_was_given_up),
        cmocka_unit_test(another_error_than_held_is_no_place_in_line_and_is_tried_again_soon),
        cmocka_unit_test(the_reason_of_a_loss_is_the_brokers),
        cmocka_unit_test(a_grant_that_was_not_ours_any_more_leaves_the_place_in_line_to_give_up),
        cmocka_unit_test(at_random_it_never_holds_what_the_broker_would_give_away),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
