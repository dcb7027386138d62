#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "broker/net/peer.h"

#define LIMIT (1024 * 1024)
#define TIMEOUT 5000

static const struct peer_limits limits = {.unfinished_bytes = LIMIT, .timeout_ms = TIMEOUT};

static enum peer_verdict look(struct peer *p, uint64_t consumed, bool has_drained, int64_t now)
{
    struct peer_sample s = {.consumed = consumed};

    return peer_judge(p, &limits, &s, has_drained, now);
}

static void bytes_that_make_no_message_are_held_against_a_connection(void **state)
{
    struct peer p = {0};

    (void)state;
    assert_int_equal(look(&p, 100, true, 1000), PEER_FINE);
    assert_int_equal(look(&p, LIMIT / 2, true, 1100), PEER_SUSPECT);
    assert_int_equal(look(&p, 2 * LIMIT, true, 1200), PEER_UNFINISHED);
    p = (struct peer){0}; /* one that sends no more meanwhile */
    assert_int_equal(look(&p, 2 * LIMIT, true, 1000), PEER_SUSPECT);
    assert_int_equal(look(&p, 2 * LIMIT, true, 1000 + PEER_SUSPECT_IDLE_MS - 1), PEER_SUSPECT);
    assert_int_equal(look(&p, 2 * LIMIT, true, 1000 + PEER_SUSPECT_IDLE_MS), PEER_UNFINISHED);
}

static void a_new_suspect_is_looked_at_twice_before_it_is_judged(void **state)
{
    struct peer p = {0};

    (void)state;
    assert_int_equal(look(&p, 9 * LIMIT, true, 1000), PEER_SUSPECT);
    assert_int_equal(look(&p, 11 * LIMIT, true, 1000 + PEER_SUSPECT_MS - 1), PEER_SUSPECT);
    assert_int_equal(look(&p, 11 * LIMIT, true, 1000 + PEER_SUSPECT_MS), PEER_UNFINISHED);
}

static void a_message_that_arrives_clears_its_sender(void **state)
{
    struct peer p = {0};

    (void)state;
    for (int i = 1; i < 100; i++) {
        assert_int_not_equal(look(&p, (uint64_t)i * 2 * LIMIT, true, i * 100), PEER_UNFINISHED);
        peer_hear(&p, 10);
    }
}

static void a_suspect_whose_messages_go_on_arriving_is_not_idle(void **state)
{
    struct peer p = {0};
    int64_t now = 1000;

    (void)state;
    assert_int_equal(look(&p, 9 * LIMIT, false, now), PEER_SUSPECT);
    for (; now < 5 * PEER_SUSPECT_IDLE_MS; now += 100) { /* more than we take in a look */
        peer_hear(&p, LIMIT / 100);
        assert_int_equal(look(&p, 9 * LIMIT, false, now), PEER_SUSPECT);
    }
    assert_int_equal(look(&p, 9 * LIMIT, false, now + PEER_SUSPECT_IDLE_MS), PEER_UNFINISHED);
}

static void what_is_delivered_does_not_count_though_more_is_there(void **state)
{
    struct peer p = {0};

    (void)state;
    for (int i = 1; i < 100; i++) {
        peer_hear(&p, LIMIT);
        assert_int_equal(look(&p, (uint64_t)i * LIMIT, false, i * 100), PEER_FINE);
    }
    peer_hear(&p, 10); /* it sends faster than we take */
    assert_int_equal(look(&p, 102 * (uint64_t)LIMIT, false, 10000), PEER_SUSPECT);
    peer_hear(&p, 10);
    assert_int_equal(look(&p, 104 * (uint64_t)LIMIT, false, 10100), PEER_UNFINISHED);
}

static void one_that_delivered_before_it_was_suspect_is_cleared_by_its_next_message(void **state)
{
    struct peer p = {0};

    (void)state;
    assert_int_equal(look(&p, 2 * LIMIT, true, 1000), PEER_SUSPECT);
    assert_int_equal(look(&p, 2 * LIMIT, true, 1200), PEER_SUSPECT);
    peer_hear(&p, 100); /* a heartbeat */
    assert_int_equal(look(&p, 2 * LIMIT + 100, true, 1300), PEER_FINE);
    assert_int_equal(look(&p, 2 * LIMIT + 100, true, 90000), PEER_FINE);
}

static void a_message_of_a_drained_socket_clears_all_that_was_unfinished(void **state)
{
    struct peer p = {0};

    (void)state;
    assert_int_equal(look(&p, LIMIT / 2, true, 1000), PEER_SUSPECT);
    peer_hear(&p, 10);
    assert_int_equal(look(&p, LIMIT / 2, true, 1000), PEER_FINE);
    assert_int_equal(look(&p, LIMIT / 2 + PEER_SUSPECT_BYTES, true, 1000), PEER_FINE);
    assert_int_equal(look(&p, LIMIT / 2 + PEER_SUSPECT_BYTES + 1, true, 1000), PEER_SUSPECT);
}

static void so_much_is_forgiven_for_the_time_between_two_looks(void **state)
{
    struct peer p = {0};
    uint64_t consumed = PEER_SUSPECT_BYTES;

    (void)state;
    assert_int_equal(look(&p, consumed, true, 1000), PEER_FINE);
    consumed += (uint64_t)100 * PEER_FORGIVEN_PER_S;
    assert_int_equal(look(&p, consumed, true, 101000), PEER_FINE);
    assert_int_equal(look(&p, consumed + 1, true, 101000), PEER_SUSPECT);
    consumed += (uint64_t)100 * PEER_FORGIVEN_PER_S;
    assert_int_equal(look(&p, consumed, true, 201000), PEER_FINE);
    assert_int_equal(look(&p, consumed + 1, true, 200000), PEER_SUSPECT); /* time went back */
}

static void heartbeats_of_libzmq_never_add_up(void **state)
{
    struct peer p = {0};
    uint64_t consumed = 0;

    (void)state;
    for (int64_t now = 1000; now < 30LL * 86400 * 1000; now += 60000) {
        consumed += 60 * 16;
        assert_int_equal(look(&p, consumed, true, now), PEER_FINE);
    }
}

static enum peer_verdict waits(struct peer *p, uint64_t acked, uint64_t in_flight,
                               uint64_t not_sent, int64_t now)
{
    struct peer_sample s = {
        .acked = acked, .written = acked + in_flight + not_sent, .not_sent = not_sent};

    return peer_judge(p, &limits, &s, true, now);
}

static void a_connection_that_takes_nothing_of_what_waits_is_deaf(void **state)
{
    struct peer p = {0};

    (void)state;
    assert_int_equal(waits(&p, 500, 0, 9000, 1000), PEER_FINE);
    assert_int_equal(waits(&p, 500, 0, 9000, 1000 + TIMEOUT - 1), PEER_FINE);
    assert_int_equal(waits(&p, 500, 0, 9000, 1000 + TIMEOUT), PEER_DEAF);
}

static void one_that_takes_a_byte_now_and_then_is_deaf_too(void **state)
{
    struct peer p = {0};
    enum peer_verdict v = PEER_FINE;
    int64_t now = 1000;

    (void)state;
    for (; v == PEER_FINE && now < 1000 + 2 * TIMEOUT; now += 100)
        v = waits(&p, (uint64_t)now, 0, 9000, now);
    assert_int_equal(v, PEER_DEAF);
}

static void a_slow_link_is_not_deaf_while_its_data_moves(void **state)
{
    struct peer p = {0};
    uint64_t acked = 1;

    (void)state;
    for (int64_t now = 1000; now < 100 * TIMEOUT; now += TIMEOUT - 1) {
        acked++; /* always something in flight, little of it */
        assert_int_equal(waits(&p, acked, 300, 0, now), PEER_FINE);
    }
    for (int64_t now = 100 * TIMEOUT; now < 200 * TIMEOUT; now += TIMEOUT - 1) {
        acked += PEER_TAKE_MIN;
        assert_int_equal(waits(&p, acked, 300, 100000, now), PEER_FINE);
    }
}

static void a_wait_begins_anew_with_what_was_taken(void **state)
{
    struct peer p = {0};

    (void)state;
    assert_int_equal(waits(&p, 500, 300, 0, 1000), PEER_FINE);
    assert_int_equal(waits(&p, 501, 299, 0, 1000 + TIMEOUT), PEER_FINE); /* one byte, in flight */
    assert_int_equal(waits(&p, 501, 299, 0, 1000 + 2 * TIMEOUT - 1), PEER_FINE);
    assert_int_equal(waits(&p, 800, 0, 0, 1000 + 2 * TIMEOUT), PEER_FINE); /* nothing waits */
    assert_int_equal(waits(&p, 800, 0, 9000, 9 * TIMEOUT), PEER_FINE);
    assert_int_equal(waits(&p, 799 + PEER_TAKE_MIN, 0, 9000, 10 * TIMEOUT), PEER_DEAF);
    assert_int_equal(waits(&p, 800 + PEER_TAKE_MIN, 0, 9000, 10 * TIMEOUT), PEER_FINE);
    assert_int_equal(waits(&p, 800 + PEER_TAKE_MIN, 0, 9000, 11 * TIMEOUT - 1), PEER_FINE);
    assert_int_equal(waits(&p, 800 + PEER_TAKE_MIN, 0, 9000, 11 * TIMEOUT), PEER_DEAF);
}

static void a_fault_of_the_input_counts_before_one_of_the_output(void **state)
{
    struct peer p = {0};
    struct peer_sample s = {.consumed = LIMIT / 2, .written = 9000, .not_sent = 9000};

    (void)state;
    assert_int_equal(peer_judge(&p, &limits, &s, true, 1000), PEER_SUSPECT);
    assert_int_equal(peer_judge(&p, &limits, &s, true, 1000 + TIMEOUT), PEER_DEAF);
    s.consumed = 2 * LIMIT;
    assert_int_equal(peer_judge(&p, &limits, &s, true, 1000 + TIMEOUT), PEER_UNFINISHED);
}

static void a_link_that_is_cut_somewhere_counts_as_deaf(void **state)
{
    struct peer p = {0};

    (void)state;
    assert_int_equal(waits(&p, 500, 300, 0, 1000), PEER_FINE);
    assert_int_equal(waits(&p, 500, 300, 0, 1000 + TIMEOUT), PEER_DEAF);
}

static void a_connection_without_unsent_data_may_be_quiet_for_ever(void **state)
{
    struct peer p = {0};

    (void)state;
    for (int64_t now = 1000; now < 1000 * TIMEOUT; now += TIMEOUT)
        assert_int_equal(waits(&p, 500, 0, 0, now), PEER_FINE);
}

static void note_written(struct peer *p, uint64_t written, uint64_t not_sent)
{
    peer_note_written(p, &(struct peer_sample){.written = written, .not_sent = not_sent});
}

static void answers_count_as_unsent_until_libzmq_wrote_them(void **state)
{
    struct peer p = {0};

    (void)state;
    note_written(&p, 100, 0); /* the handshake */
    assert_int_equal(peer_unsent(&p), 0);
    peer_give(&p, 5000);
    assert_int_equal(peer_unsent(&p), 5000);
    note_written(&p, 1100, 0);
    assert_int_equal(peer_unsent(&p), 4000);
    note_written(&p, 5107, 0); /* and a heartbeat */
    assert_int_equal(peer_unsent(&p), 0);
    assert_int_equal(peer_untaken(&p), 0);
    peer_give(&p, 10);
    assert_int_equal(peer_unsent(&p), 10);
    note_written(&p, 5112, 1000); /* that the other side has no room for */
    assert_int_equal(peer_unsent(&p), 5);
    assert_int_equal(peer_untaken(&p), 1005);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_that_make_no_message_are_held_against_a_connection),
        cmocka_unit_test(a_new_suspect_is_looked_at_twice_before_it_is_judged),
        cmocka_unit_test(a_message_that_arrives_clears_its_sender),
        cmocka_unit_test(a_suspect_whose_messages_go_on_arriving_is_not_idle),
        cmocka_unit_test(what_is_delivered_does_not_count_though_more_is_there),
        cmocka_unit_test(one_that_delivered_before_it_was_suspect_is_cleared_by_its_next_message),
        cmocka_unit_test(a_message_of_a_drained_socket_clears_all_that_was_unfinished),
        cmocka_unit_test(so_much_is_forgiven_for_the_time_between_two_looks),
        cmocka_unit_test(heartbeats_of_libzmq_never_add_up),
        cmocka_unit_test(a_connection_that_takes_nothing_of_what_waits_is_deaf),
        cmocka_unit_test(one_that_takes_a_byte_now_and_then_is_deaf_too),
        cmocka_unit_test(a_slow_link_is_not_deaf_while_its_data_moves),
        cmocka_unit_test(a_wait_begins_anew_with_what_was_taken),
        cmocka_unit_test(a_fault_of_the_input_counts_before_one_of_the_output),
        cmocka_unit_test(a_link_that_is_cut_somewhere_counts_as_deaf),
        cmocka_unit_test(a_connection_without_unsent_data_may_be_quiet_for_ever),
        cmocka_unit_test(answers_count_as_unsent_until_libzmq_wrote_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
