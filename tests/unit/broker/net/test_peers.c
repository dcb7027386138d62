#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/broker/net/peers_fixture.h"
#include "tests/unit/packed.h"

#define UNFINISHED (PEER_SUSPECT_BYTES + (uint64_t)FRAME * BUS_FRAMES_MAX)
#define RECORDS_FULL (PEERS_TOTAL_BYTES / 128) /* records in one queue that cause no pressure yet */

static void reopen(uint64_t connections, int64_t timeout_ms)
{
    peers_free(peers);
    open_peers(&(struct peers_limits){
        .connections = connections, .answer_bytes = ANSWER_BYTES, .timeout_ms = timeout_ms});
}

static void connections_are_counted_by_the_socket_that_accepted_them(void **state)
{
    struct buf status = {0}, text = {0};
    int others[] = {accepted(PEERS_INGEST), accepted(PEERS_INGEST), accepted(PEERS_INGEST)};
    msgpack_packer pk;

    (void)state;
    kernel[others[0]].port = 1; /* of a socket that is not the broker's */
    kernel[others[1]].port = 0; /* not TCP */
    kernel[others[2]].listens = true;
    accepted(PEERS_INGEST);
    for (int i = 0; i < 2; i++)
        accepted(PEERS_PUBLISH);
    for (int i = 0; i < 3; i++)
        accepted(PEERS_CONTROL);
    sweep();
    sweep_after(PEERS_EVERY_MS); /* nothing is counted twice */
    msgpack_packer_init(&pk, &status, buf_pack_write);
    msgpack_pack_map(&pk, 1);
    peers_pack_status(peers, &pk);
    assert_string_equal(unpacked(&text, buf_span(&status)),
                        "{'peers':{'ingest':1,'publish':2,'control':3,'closed_unfinished':0,"
                        "'closed_deaf':0,'closed_topics':0,'closed_full':0,'refused':0}}");
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(kernel[others[i]].samples, 0);
    buf_free(&status);
    buf_free(&text);
}

static void a_connection_that_is_gone_is_counted_off_by_the_next_sweep(void **state)
{
    int kept = accepted(PEERS_CONTROL), fd = accepted(PEERS_CONTROL), again;

    (void)state;
    sweep();
    receives(kept, "kept");
    receives(fd, "old");
    gone(fd);
    assert_int_equal(count_of(PEERS_CONTROL), 2);
    sweep_after(PEERS_EVERY_MS);
    assert_int_equal(count_of(PEERS_CONTROL), 1);
    assert_false(peers_is_there(peers, SPAN("old")));
    assert_true(peers_is_there(peers, SPAN("kept")));
    again = accepted(PEERS_PUBLISH); /* the number of the old one */
    assert_int_equal(again, fd);
    sweep_after(PEERS_EVERY_MS);
    assert_int_equal(count_of(PEERS_CONTROL), 1);
    assert_int_equal(count_of(PEERS_PUBLISH), 1);
}

static void a_number_that_another_connection_has_by_now_is_a_new_connection(void **state)
{
    int fd = accepted(PEERS_CONTROL);

    (void)state;
    sweep();
    receives(fd, "old");
    kernel[fd].inode = ++inodes;
    receives(fd, "new");
    assert_false(peers_is_there(peers, SPAN("old")));
    assert_true(peers_is_there(peers, SPAN("new")));
    assert_int_equal(count_of(PEERS_CONTROL), 1);
    kernel[fd].inode = 0; /* a file */
    sweep_after(PEERS_EVERY_MS);
    assert_false(peers_is_there(peers, SPAN("new")));
    assert_int_equal(count_of(PEERS_CONTROL), 0);
}

static void a_sweep_begins_when_the_turn_before_it_said(void **state)
{
    int fd = accepted(PEERS_PUBLISH);

    (void)state;
    assert_int_equal(sweep(), PEERS_EVERY_MS);
    assert_int_equal(peers_turn(peers, now + PEERS_EVERY_MS - 1, 0), 1);
    assert_int_equal(kernel[fd].samples, 1);
    now += PEERS_EVERY_MS;
    assert_int_equal(sweep(), PEERS_EVERY_MS);
    assert_int_equal(kernel[fd].samples, 2);
    kernel[fd].sample.consumed = PEER_SUSPECT_BYTES + 1000;
    now += PEERS_EVERY_MS;
    assert_int_equal(sweep(), PEERS_SUSPECT_EVERY_MS);
    kernel[fd].is_unsampled = true; /* the broker does not know it as a suspect */
    now += PEERS_SUSPECT_EVERY_MS;
    assert_int_equal(sweep(), PEERS_EVERY_MS);
}

static void a_turn_looks_at_no_more_descriptors_than_it_may(void **state)
{
    int listing = accepted(PEERS_CONTROL), low = accepted(PEERS_CONTROL), fds[2 * PEERS_PER_TURN];
    unsigned samples = 0;

    (void)state;
    reopen(2 * PEERS_PER_TURN + 1, TIMEOUT);
    for (int i = 0; i < 2 * PEERS_PER_TURN; i++)
        fds[i] = accepted(PEERS_INGEST);
    gone(listing); /* the directory of the sweep gets this number */
    gone(low);
    assert_int_equal(peers_turn(peers, now, 0), 0);
    for (int i = 0; i < 2 * PEERS_PER_TURN; i++)
        samples += kernel[fds[i]].samples;
    assert_in_range(samples, 1, PEERS_PER_TURN);
    /* below the numbers that were already sampled */
    assert_int_equal(accepted(PEERS_CONTROL), low);
    receives(low, "new");
    sweep();
    assert_true(peers_is_there(peers, SPAN("new")));
    assert_int_equal(kernel[low].samples, 0);
    for (int i = 0; i < 2 * PEERS_PER_TURN; i++)
        assert_int_equal(kernel[fds[i]].samples, 1);
    assert_int_equal(count_of(PEERS_INGEST), 2 * PEERS_PER_TURN);
    assert_int_equal(peers_turn(peers, now + PEERS_EVERY_MS, 0), 0); /* freed half-way */
}

static void beyond_the_limit_the_longest_silent_connection_of_the_socket_ends(void **state)
{
    int other, spoken, oldest, silent, fresh;

    (void)state;
    reopen(3, TIMEOUT);
    other = accepted(PEERS_INGEST);
    spoken = accepted(PEERS_CONTROL);
    sweep();
    receives(spoken, "spoken");
    oldest = accepted(PEERS_CONTROL);
    sweep_after(PEERS_EVERY_MS);
    silent = accepted(PEERS_CONTROL);
    sweep_after(PEERS_EVERY_MS);
    assert_int_equal(peers_counts(peers)->closed_full, 0);
    fresh = accepted(PEERS_CONTROL);
    sweep_after(PEERS_EVERY_MS);
    assert_int_equal(kernel[oldest].ends, 1);
    assert_int_equal(kernel[other].ends + kernel[spoken].ends + kernel[fresh].ends, 0);
    assert_int_equal(count_of(PEERS_CONTROL), 3);
    fresh = accepted(PEERS_CONTROL); /* while libzmq has not closed the oldest one yet */
    sweep_after(PEERS_EVERY_MS);
    assert_int_equal(kernel[oldest].ends, 1);
    assert_int_equal(kernel[silent].ends, 1);
    assert_int_equal(peers_counts(peers)->closed_full, 2);
    gone(oldest);
    sweep_after(PEERS_EVERY_MS);
    assert_int_equal(count_of(PEERS_CONTROL), 3); /* it was counted off when it was closed */
    assert_int_equal(kernel[fresh].ends, 0);
}

static void if_all_connections_have_spoken_the_new_one_ends(void **state)
{
    int spoken, fresh;

    (void)state;
    reopen(1, TIMEOUT);
    spoken = accepted(PEERS_CONTROL);
    sweep();
    receives(spoken, "spoken");
    fresh = accepted(PEERS_CONTROL);
    receives(fresh, "fresh");
    assert_int_equal(kernel[spoken].ends, 0);
    assert_int_equal(kernel[fresh].ends, 1);
    assert_false(peers_is_there(peers, SPAN("fresh")));
}

static void ends_at(enum peers_door door, uint64_t limit)
{
    int fd = accepted(door);
    uint64_t ended = peers_counts(peers)->closed_unfinished;

    kernel[fd].sample.consumed = limit;
    sweep_after(PEERS_EVERY_MS);
    kernel[fd].sample.consumed += PEER_SUSPECT_IDLE_MS / 1000 * PEER_FORGIVEN_PER_S;
    sweep_after(PEER_SUSPECT_IDLE_MS);
    assert_int_equal(kernel[fd].ends, 0);
    assert_int_equal(count_of(door), 1);
    kernel[fd].sample.consumed += PEER_FORGIVEN_PER_S + 1;
    sweep_after(1000);
    sweep_after(PEERS_EVERY_MS);
    assert_int_equal(kernel[fd].ends, 1);
    assert_int_equal(count_of(door), 0);
    assert_int_equal(peers_counts(peers)->closed_unfinished, ended + 1);
}

static void what_is_held_of_unfinished_messages_is_bounded_by_the_socket(void **state)
{
    (void)state;
    ends_at(PEERS_INGEST, UNFINISHED);
    ends_at(PEERS_CONTROL, UNFINISHED);
    ends_at(PEERS_PUBLISH, PEERS_SUBSCRIPTIONS_MAX);
}

static void a_message_clears_a_suspect_once_its_socket_was_drained(void **state)
{
    int fd = accepted(PEERS_CONTROL);

    (void)state;
    kernel[fd].sample.consumed = UNFINISHED;
    assert_int_equal(sweep(), PEERS_SUSPECT_EVERY_MS);
    receives(fd, "A");
    now += PEERS_SUSPECT_EVERY_MS;
    assert_int_equal(sweep(), PEERS_SUSPECT_EVERY_MS); /* more of it may wait in libzmq */
    peers_drained(peers, PEERS_INGEST);
    receives(-1, "A"); /* its descriptor is known now */
    now += PEERS_SUSPECT_EVERY_MS;
    assert_int_equal(sweep(), PEERS_SUSPECT_EVERY_MS);
    peers_drained(peers, PEERS_CONTROL);
    receives(fd, "A");
    now += PEERS_SUSPECT_EVERY_MS;
    assert_int_equal(sweep(), PEERS_EVERY_MS);
    kernel[fd].sample.consumed *= 2;
    receives(fd, "A");
    now += PEERS_EVERY_MS;
    assert_int_equal(sweep(), PEERS_SUSPECT_EVERY_MS); /* that drain was before the last look */
}

static void senders_on_ingest_are_looked_up_only_while_one_is_suspect(void **state)
{
    int fd = accepted(PEERS_INGEST);

    (void)state;
    sweep();
    assert_true(peers_asks_for(peers, PEERS_PUBLISH));
    assert_true(peers_asks_for(peers, PEERS_CONTROL));
    assert_false(peers_asks_for(peers, PEERS_INGEST));
    kernel[fd].sample.consumed = UNFINISHED;
    sweep_after(PEERS_EVERY_MS);
    assert_true(peers_asks_for(peers, PEERS_INGEST));
    peers_hear(peers, PEERS_CONTROL, fd, 10, SPAN("")); /* not where it is connected to */
    peers_hear(peers, PEERS_INGEST, -1, 10, SPAN(""));
    peers_hear(peers, PEERS_INGEST, DESCRIPTORS - 1, 10, SPAN(""));
    sweep_after(PEERS_SUSPECT_EVERY_MS);
    assert_true(peers_asks_for(peers, PEERS_INGEST));
    peers_hear(peers, PEERS_INGEST, fd, 10, SPAN("")); /* without a drain: it suffices here */
    sweep_after(PEERS_SUSPECT_EVERY_MS);
    assert_false(peers_asks_for(peers, PEERS_INGEST));
}

static void senders_are_looked_up_until_a_sweep_found_no_suspect(void **state)
{
    int fds[PEERS_PER_TURN + 1];

    (void)state;
    for (int i = 0; i <= PEERS_PER_TURN; i++)
        fds[i] = accepted(PEERS_INGEST);
    sweep();
    kernel[fds[0]].sample.consumed = UNFINISHED;
    now += PEERS_EVERY_MS;
    assert_int_equal(peers_turn(peers, now, 0), 0);
    assert_true(peers_asks_for(peers, PEERS_INGEST)); /* in the middle of the sweep */
    sweep();
    peers_hear(peers, PEERS_INGEST, fds[0], 10, SPAN(""));
    now += PEERS_SUSPECT_EVERY_MS;
    assert_int_equal(peers_turn(peers, now, 0), 0);
    assert_true(peers_asks_for(peers, PEERS_INGEST));
    sweep();
    assert_false(peers_asks_for(peers, PEERS_INGEST));
}

static void the_connection_of_an_identity_is_the_last_it_was_heard_on(void **state)
{
    char longest[257];
    int fd = accepted(PEERS_CONTROL);

    (void)state;
    memset(longest, 'x', sizeof longest);
    receives(fd, "A"); /* before any sweep */
    assert_int_equal(count_of(PEERS_CONTROL), 1);
    assert_true(peers_is_there(peers, SPAN("A")));
    receives(fd, "B");
    assert_false(peers_is_there(peers, SPAN("A")));
    assert_true(peers_is_there(peers, SPAN("B")));
    peers_hear(peers, PEERS_CONTROL, fd, 10, (struct span){longest, 255});
    assert_true(peers_is_there(peers, (struct span){longest, 255}));
    peers_hear(peers, PEERS_CONTROL, accepted(PEERS_CONTROL), 10, (struct span){longest, 256});
    assert_false(peers_is_there(peers, (struct span){longest, 256}));
    peers_hear(peers, PEERS_CONTROL, accepted(PEERS_INGEST), 10, SPAN("C"));
    assert_false(peers_is_there(peers, SPAN("C")));
}

static void a_connection_that_takes_nothing_ends_after_the_timeout(void **state)
{
    int fd = accepted(PEERS_CONTROL);

    (void)state;
    kernel[fd].sample = (struct peer_sample){.written = 9000, .not_sent = 9000};
    sweep();
    sweep_after(TIMEOUT - 1);
    assert_int_equal(kernel[fd].ends, 0);
    sweep_after(1 + PEERS_EVERY_MS);
    assert_int_equal(kernel[fd].ends, 1);
    assert_int_equal(peers_counts(peers)->closed_deaf, 1);
    assert_int_equal(count_of(PEERS_CONTROL), 0);
}

/* Whether one that takes nothing ends after PEERS_PRESSED_MS, as it does under pressure. */
static bool is_pressed(void)
{
    int fd = accepted(PEERS_CONTROL);
    bool did_end;

    sweep_after(PEERS_EVERY_MS);
    kernel[fd].sample.not_sent = 1;
    sweep_after(PEERS_EVERY_MS);
    sweep_after(PEERS_PRESSED_MS - 1);
    assert_int_equal(kernel[fd].ends, 0);
    sweep_after(PEERS_EVERY_MS);
    did_end = kernel[fd].ends;
    gone(fd);
    return did_end;
}

static void answers_that_wait_for_all_connections_together_press_them(void **state)
{
    int a = accepted(PEERS_CONTROL), b = accepted(PEERS_CONTROL);

    (void)state;
    sweep();
    receives(a, "A");
    receives(b, "B");
    assert_false(is_pressed());
    peers_give(peers, SPAN("A"), PEERS_TOTAL_BYTES - 1000);
    peers_give(peers, SPAN("B"), 1000);
    peers_give(peers, SPAN("C"), 1000000); /* not connected */
    assert_false(is_pressed());
    peers_give(peers, SPAN("B"), 1);
    assert_true(is_pressed());
    kernel[b].is_unsampled = true; /* closed: held until libzmq has noticed */
    assert_true(is_pressed());
    kernel[a].sample.written = kernel[a].sample.acked = 1; /* it takes a byte */
    assert_false(is_pressed());
}

static void records_that_wait_for_a_subscriber_press_all(void **state)
{
    int deaf = accepted(PEERS_CONTROL), subscriber = accepted(PEERS_PUBLISH);

    (void)state;
    log_head = 100;
    sweep();
    kernel[subscriber].sample.not_sent = kernel[deaf].sample.not_sent = 9000;
    log_head += 10 * RECORDS_FULL; /* before the data began to wait */
    sweep_after(PEERS_EVERY_MS);
    sweep_after(PEERS_EVERY_MS);
    log_head += RECORDS_FULL;
    sweep_after(PEERS_EVERY_MS);
    sweep_after(2 * PEERS_PRESSED_MS);
    assert_int_equal(peers_counts(peers)->closed_deaf, 0);
    kernel[deaf].sample.acked += PEER_TAKE_MIN; /* its timeout starts again */
    sweep_after(PEERS_EVERY_MS);
    log_head++;
    sweep_after(PEERS_EVERY_MS);
    sweep_after(PEERS_EVERY_MS);
    assert_int_equal(kernel[subscriber].ends, 1);
    assert_int_equal(kernel[deaf].ends, 0);
    sweep_after(PEERS_PRESSED_MS); /* it is closed, so its queue counts no more */
    assert_int_equal(kernel[deaf].ends, 0);
}

static void a_subscriber_that_takes_its_records_presses_nobody(void **state)
{
    int subscriber = accepted(PEERS_PUBLISH);

    (void)state;
    kernel[subscriber].sample.not_sent = 9000;
    sweep();
    log_head += 2 * RECORDS_FULL;
    kernel[subscriber].sample.acked += PEER_TAKE_MIN;
    sweep_after(PEERS_EVERY_MS);
    assert_false(is_pressed());
}

static void a_timeout_below_that_of_pressure_stays(void **state)
{
    int fd;

    (void)state;
    reopen(CONNECTIONS, PEERS_PRESSED_MS / 2);
    fd = accepted(PEERS_CONTROL);
    kernel[fd].sample.not_sent = 9000;
    sweep();
    receives(fd, "A");
    peers_give(peers, SPAN("A"), 2 * (uint64_t)PEERS_TOTAL_BYTES);
    sweep_after(PEERS_PRESSED_MS / 2);
    assert_int_equal(kernel[fd].ends, 1);
}

static void memory_is_given_back_once_some_time_after_an_end(void **state)
{
    int fd = accepted(PEERS_CONTROL);

    (void)state;
    kernel[fd].sample.not_sent = 9000;
    sweep();
    sweep_after(TIMEOUT);
    assert_int_equal(kernel[fd].ends, 1);
    sweep_after(PEERS_TRIM_MS - 1);
    assert_int_equal(trims, 0);
    sweep_after(PEERS_EVERY_MS);
    assert_int_equal(trims, 1);
    gone(fd);
    sweep_after(PEERS_EVERY_MS);
    sweep_after(2 * PEERS_TRIM_MS);
    assert_int_equal(trims, 1);
}

/* Is memory returned to the system after a connection with this much data has ended? */
static bool is_given_back(enum peers_door door, uint64_t unfinished, uint64_t unsent)
{
    int fd = accepted(door);
    unsigned before = trims;

    kernel[fd].sample.consumed = unfinished;
    sweep_after(PEERS_EVERY_MS);
    if (unsent) {
        receives(fd, "A");
        peers_give(peers, SPAN("A"), unsent);
    }
    gone(fd);
    sweep_after(PEERS_EVERY_MS);
    sweep_after(PEERS_TRIM_MS - 1);
    assert_int_equal(trims, before);
    sweep_after(PEERS_EVERY_MS);
    return trims > before;
}

static void memory_is_given_back_after_a_connection_that_held_much_left(void **state)
{
    (void)state;
    assert_false(is_given_back(PEERS_PUBLISH, PEERS_FAIR_BYTES, 0));
    assert_true(is_given_back(PEERS_PUBLISH, PEERS_FAIR_BYTES + 1, 0));
    assert_false(is_given_back(PEERS_CONTROL, 0, PEERS_FAIR_BYTES));
    assert_true(is_given_back(PEERS_CONTROL, 0, PEERS_FAIR_BYTES + 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(connections_are_counted_by_the_socket_that_accepted_them),
        TEST(a_connection_that_is_gone_is_counted_off_by_the_next_sweep),
        TEST(a_number_that_another_connection_has_by_now_is_a_new_connection),
        TEST(a_sweep_begins_when_the_turn_before_it_said),
        TEST(a_turn_looks_at_no_more_descriptors_than_it_may),
        TEST(beyond_the_limit_the_longest_silent_connection_of_the_socket_ends),
        TEST(if_all_connections_have_spoken_the_new_one_ends),
        TEST(what_is_held_of_unfinished_messages_is_bounded_by_the_socket),
        TEST(a_message_clears_a_suspect_once_its_socket_was_drained),
        TEST(senders_on_ingest_are_looked_up_only_while_one_is_suspect),
        TEST(senders_are_looked_up_until_a_sweep_found_no_suspect),
        TEST(the_connection_of_an_identity_is_the_last_it_was_heard_on),
        TEST(a_connection_that_takes_nothing_ends_after_the_timeout),
        TEST(answers_that_wait_for_all_connections_together_press_them),
        TEST(records_that_wait_for_a_subscriber_press_all),
        TEST(a_subscriber_that_takes_its_records_presses_nobody),
        TEST(a_timeout_below_that_of_pressure_stays),
        TEST(memory_is_given_back_once_some_time_after_an_end),
        TEST(memory_is_given_back_after_a_connection_that_held_much_left),
    };

    log_init("test", "critical", "text");
    return cmocka_run_group_tests(tests, bind_sockets, close_sockets);
}
