#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/broker/net/peers_fixture.h"

#define A SPAN("A")
#define TOPICS_MAX (ANSWER_BYTES / 4)

/* A peer on control whose identity is A. */
static int connected(void)
{
    int fd = accepted(PEERS_CONTROL);

    sweep();
    receives(fd, "A");
    return fd;
}

static uint64_t refused(void)
{
    return peers_counts(peers)->refused;
}

/* The next turn; it comes before a sweep is due. */
static void turn(void)
{
    assert_true(peers_turn(peers, now, log_head) > 0);
}

static void a_peer_without_a_connection_may_make_no_request(void **state)
{
    int fd;

    (void)state;
    assert_false(peers_may_ask(peers, A));
    assert_false(peers_is_there(peers, A));
    fd = connected();
    assert_true(peers_may_ask(peers, A));
    assert_true(peers_is_there(peers, A));
    assert_false(peers_may_ask(peers, SPAN("B")));
    assert_false(peers_is_behind(peers, SPAN("B")));
    peers_refuse(peers, SPAN("B"));
    peers_drop(peers, SPAN("B"));
    kernel[fd].sample.not_sent = 1;
    sweep_after(PEERS_EVERY_MS);
    sweep_after(TIMEOUT);
    assert_int_equal(kernel[fd].ends, 1);
    assert_false(peers_may_ask(peers, A)); /* libzmq has not closed it yet */
    assert_false(peers_is_there(peers, A));
    peers_give(peers, A, PEERS_FAIR_BYTES + 1);
    assert_false(peers_is_behind(peers, A));
    peers_refuse(peers, A);
    peers_drop(peers, A);
    assert_int_equal(refused(), 0);
}

static void every_peer_of_a_socket_that_is_not_tcp_counts_as_connected(void **state)
{
    void *local;
    char endpoint[BUS_ENDPOINT_MAX];

    (void)state;
    peers_free(peers);
    peers = peers_new(&(struct peers_limits){
        .connections = CONNECTIONS, .answer_bytes = ANSWER_BYTES, .timeout_ms = TIMEOUT});
    snprintf(endpoint, sizeof endpoint, "ipc://@pregon-test:%d", (int)getpid());
    local = bus_bind(context, ZMQ_ROUTER, endpoint, 10, FRAME, "X");
    assert_non_null(local);
    peers_watch(peers, PEERS_CONTROL, local, FRAME);
    assert_true(peers_is_there(peers, A));
    assert_true(peers_may_ask(peers, A));
    bus_close(local);
}

static void a_request_waits_while_more_answers_than_is_fair_are_unread(void **state)
{
    int fd = connected();

    (void)state;
    peers_give(peers, A, PEERS_FAIR_BYTES);
    assert_false(peers_is_behind(peers, A));
    peers_give(peers, A, 1);
    assert_true(peers_is_behind(peers, A));
    assert_true(peers_may_ask(peers, A));
    kernel[fd].sample.written = PEERS_FAIR_BYTES;
    kernel[fd].sample.not_sent = PEERS_FAIR_BYTES - 1; /* with the one byte that libzmq has */
    turn();
    assert_false(peers_is_behind(peers, A));
    kernel[fd].sample.not_sent++;
    turn();
    peers_give(peers, A, 1);
    now += 1; /* after this time it is sampled again */
    assert_true(peers_is_behind(peers, A));
    peers_give(peers, A, ANSWER_BYTES);
    assert_false(peers_is_behind(peers, A)); /* refused instead */
}

static void a_request_is_refused_beyond_the_bytes_of_answers_that_may_wait(void **state)
{
    int fd = connected();
    unsigned looks = kernel[fd].samples;

    (void)state;
    peers_give(peers, A, ANSWER_BYTES);
    assert_true(peers_may_ask(peers, A));
    assert_int_equal(kernel[fd].samples, looks);
    peers_give(peers, A, 1);
    assert_false(peers_may_ask(peers, A));
    assert_int_equal(refused(), 1);
    assert_int_equal(kernel[fd].samples, looks + 1);
    kernel[fd].sample.written = 1;
    assert_false(peers_may_ask(peers, A)); /* one look in a turn is enough */
    assert_int_equal(kernel[fd].samples, looks + 1);
    turn();
    assert_true(peers_may_ask(peers, A));
    assert_int_equal(refused(), 2);
}

static void under_pressure_a_request_is_refused_beyond_what_is_fair(void **state)
{
    int fd = connected(), other = accepted(PEERS_CONTROL);

    (void)state;
    receives(other, "B");
    peers_give(peers, A, PEERS_FAIR_BYTES);
    peers_give(peers, SPAN("B"), PEERS_TOTAL_BYTES);
    assert_true(peers_may_ask(peers, A));
    assert_false(peers_may_ask(peers, SPAN("B")));
    peers_give(peers, A, 1);
    assert_false(peers_may_ask(peers, A));
    assert_false(peers_is_behind(peers, A));
    kernel[fd].sample.written = 1;
    kernel[fd].sample.not_sent = 1; /* it is the peer's, and no memory of libzmq */
    turn();
    assert_true(peers_may_ask(peers, A));
}

static void a_sample_of_a_number_that_another_connection_has_is_not_taken(void **state)
{
    int fd = connected();

    (void)state;
    peers_give(peers, A, ANSWER_BYTES + 1);
    kernel[fd].sample.written = 2 * ANSWER_BYTES;
    kernel[fd].inode = ++inodes;
    turn();
    assert_false(peers_may_ask(peers, A));
    kernel[fd].inode = inodes--;
    kernel[fd].inode--;
    kernel[fd].is_unsampled = true;
    turn();
    assert_false(peers_may_ask(peers, A));
    kernel[fd].is_unsampled = false;
    turn();
    assert_true(peers_may_ask(peers, A));
}

static void a_peer_that_goes_on_without_reading_ends(void **state)
{
    int fd = connected();

    (void)state;
    peers_give(peers, A, ANSWER_BYTES + 1);
    kernel[fd].sample.not_sent = 1;
    for (int i = 0; i < PEERS_REFUSED_MAX; i++)
        assert_false(peers_may_ask(peers, A));
    assert_int_equal(kernel[fd].ends, 0);
    assert_false(peers_may_ask(peers, A));
    assert_int_equal(kernel[fd].ends, 1);
    assert_int_equal(refused(), PEERS_REFUSED_MAX + 1);
    assert_int_equal(peers_counts(peers)->closed_deaf, 1);
    assert_int_equal(count_of(PEERS_CONTROL), 0);
    assert_false(peers_may_ask(peers, A));
    assert_int_equal(refused(), PEERS_REFUSED_MAX + 1);
}

static void a_peer_whose_answers_libzmq_has_yet_to_write_does_not_end(void **state)
{
    int fd = connected();

    (void)state;
    peers_give(peers, A, ANSWER_BYTES + 1);
    for (int i = 0; i < 2 * PEERS_REFUSED_MAX; i++)
        assert_false(peers_may_ask(peers, A));
    assert_int_equal(kernel[fd].ends, 0);
    assert_int_equal(refused(), 2 * PEERS_REFUSED_MAX);
}

/* A window begins, and this many refusals occur in it. */
static void refuse(uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        peers_refuse(peers, A);
}

static void refusals_are_counted_for_a_while_only(void **state)
{
    int fd;

    (void)state;
    peers_free(peers);
    open_peers(&(struct peers_limits){.connections = CONNECTIONS,
                                      .answer_bytes = ANSWER_BYTES,
                                      .timeout_ms = 100 * (int64_t)PEERS_REFUSED_MS});
    fd = connected();
    refuse(1); /* it is not behind */
    assert_int_equal(refused(), 0);
    peers_give(peers, A, PEERS_FAIR_BYTES + 1);
    refuse(PEERS_REFUSED_MAX);
    sweep_after(PEERS_REFUSED_MS);
    refuse(PEERS_REFUSED_MAX);
    sweep_after(PEERS_REFUSED_MS - 1);
    assert_int_equal(kernel[fd].ends, 0);
    refuse(1);
    assert_int_equal(kernel[fd].ends, 1);
    assert_int_equal(refused(), 2 * PEERS_REFUSED_MAX + 1);
}

static void a_dropped_answer_counts_if_the_kernel_waits_for_the_peer(void **state)
{
    int fd = connected();

    (void)state;
    for (int i = 0; i < 2 * PEERS_REFUSED_MAX; i++)
        peers_drop(peers, A);
    assert_int_equal(refused(), 0);
    kernel[fd].sample.not_sent = 1;
    turn();
    for (int i = 0; i < PEERS_REFUSED_MAX; i++)
        peers_drop(peers, A);
    assert_int_equal(refused(), PEERS_REFUSED_MAX);
    assert_int_equal(kernel[fd].ends, 0);
    peers_drop(peers, A);
    assert_int_equal(kernel[fd].ends, 1);
}

/* How many looks at the peer that many ms bring, with a turn in each. */
static unsigned looks_in(int fd, int ms)
{
    unsigned before = kernel[fd].samples;

    for (int i = 0; i < ms; i++) {
        now++;
        turn();
        peers_drop(peers, A);
        peers_drop(peers, A);
    }
    return kernel[fd].samples - before;
}

static void a_peer_that_does_not_read_is_looked_at_less_and_less_often(void **state)
{
    int fd = connected();

    (void)state;
    assert_int_equal(looks_in(fd, 5), 5);
    kernel[fd].sample.not_sent = 1;
    assert_int_equal(looks_in(fd, 1), 1);
    assert_int_equal(looks_in(fd, 1), 1); /* then after 2, 4, 8, 16 and 16 ms */
    assert_int_equal(looks_in(fd, 1), 0);
    assert_int_equal(looks_in(fd, 1), 1);
    assert_int_equal(looks_in(fd, 3), 0);
    assert_int_equal(looks_in(fd, 1), 1);
    assert_int_equal(looks_in(fd, 7), 0);
    assert_int_equal(looks_in(fd, 1), 1);
    assert_int_equal(looks_in(fd, PEERS_LOOK_MS - 1), 0);
    assert_int_equal(looks_in(fd, 1), 1);
    assert_int_equal(looks_in(fd, PEERS_LOOK_MS - 1), 0);
    kernel[fd].sample.not_sent = 0;
    assert_int_equal(looks_in(fd, 1), 1);
    assert_int_equal(looks_in(fd, 3), 3); /* it reads again */
}

/* --- topics ------------------------------------------------------------------------- */

/* Subscribe to (1) or unsubscribe from (0) a topic that counts as this many bytes. */
static void subscribes(int fd, int on, uint64_t bytes)
{
    static char message[TOPICS_MAX + 100];

    assert_in_range(bytes, 4, sizeof message);
    memset(message, 't', sizeof message);
    message[0] = (char)on;
    peers_subscribe(peers, fd, (struct span){message, (size_t)(1 + bytes - 4)});
}

static void the_topics_of_a_connection_are_bounded(void **state)
{
    int fd = accepted(PEERS_PUBLISH), other = accepted(PEERS_PUBLISH);

    (void)state;
    subscribes(fd, 1, TOPICS_MAX);
    subscribes(fd, 0, TOPICS_MAX);
    subscribes(fd, 1, TOPICS_MAX);
    subscribes(-1, 1, TOPICS_MAX);
    assert_int_equal(peers_counts(peers)->closed_topics, 0);
    subscribes(fd, 1, 4);
    assert_int_equal(kernel[fd].ends, 1);
    assert_int_equal(kernel[other].ends, 0);
    subscribes(fd, 1, TOPICS_MAX + 1); /* it has ended */
    assert_int_equal(kernel[fd].ends, 1);
    assert_int_equal(peers_counts(peers)->closed_topics, 1);
    assert_int_equal(count_of(PEERS_PUBLISH), 0);
}

static void only_subscribers_have_topics(void **state)
{
    int fds[] = {accepted(PEERS_CONTROL), accepted(PEERS_INGEST), accepted(PEERS_PUBLISH)};

    (void)state;
    kernel[fds[2]].inode = 0;
    for (int i = 0; i < 3; i++)
        subscribes(fds[i], 1, TOPICS_MAX + 1);
    assert_int_equal(peers_counts(peers)->closed_topics, 0);
    kernel[fds[2]].inode = ++inodes;
}

static void the_topics_of_all_are_bounded_and_the_largest_subscriber_ends(void **state)
{
    int fds[5];

    (void)state;
    for (int i = 0; i < 5; i++)
        fds[i] = accepted(PEERS_PUBLISH);
    subscribes(fds[0], 1, TOPICS_MAX - 10);
    for (int i = 1; i < PEERS_SUBSCRIBERS_FULL; i++)
        subscribes(fds[i], 1, TOPICS_MAX);
    subscribes(fds[4], 1, 10);
    assert_int_equal(peers_counts(peers)->closed_topics, 0);
    subscribes(fds[4], 1, 4);
    assert_int_equal(kernel[fds[1]].ends, 1);
    assert_int_equal(peers_counts(peers)->closed_topics, 1);
    subscribes(fds[4], 1, TOPICS_MAX - 14); /* in place of the connection that ended */
    assert_int_equal(peers_counts(peers)->closed_topics, 1);
    gone(fds[2]);
    sweep();
    fds[2] = accepted(PEERS_PUBLISH);
    subscribes(fds[2], 1, TOPICS_MAX);
    assert_int_equal(peers_counts(peers)->closed_topics, 1);
    fds[1] = accepted(PEERS_PUBLISH);
    subscribes(fds[1], 1, 14);
    assert_int_equal(peers_counts(peers)->closed_topics, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(a_peer_without_a_connection_may_make_no_request),
        TEST(every_peer_of_a_socket_that_is_not_tcp_counts_as_connected),
        TEST(a_request_waits_while_more_answers_than_is_fair_are_unread),
        TEST(a_request_is_refused_beyond_the_bytes_of_answers_that_may_wait),
        TEST(under_pressure_a_request_is_refused_beyond_what_is_fair),
        TEST(a_sample_of_a_number_that_another_connection_has_is_not_taken),
        TEST(a_peer_that_goes_on_without_reading_ends),
        TEST(a_peer_whose_answers_libzmq_has_yet_to_write_does_not_end),
        TEST(refusals_are_counted_for_a_while_only),
        TEST(a_dropped_answer_counts_if_the_kernel_waits_for_the_peer),
        TEST(a_peer_that_does_not_read_is_looked_at_less_and_less_often),
        TEST(the_topics_of_a_connection_are_bounded),
        TEST(only_subscribers_have_topics),
        TEST(the_topics_of_all_are_bounded_and_the_largest_subscriber_ends),
    };

    log_init("test", "critical", "text");
    return cmocka_run_group_tests(tests, bind_sockets, close_sockets);
}
