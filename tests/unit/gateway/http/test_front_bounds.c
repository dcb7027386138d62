/*
 * How many connections wait, how long, and which one is closed for a new one; start and stop of the
 * front.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/gateway/http/front_fixture.h"

#define LARGE ((size_t)16 << 20) /* more than a socket takes at once */

static void answer_much(struct connection *c, bool lingers)
{
    struct buf b = {0};

    memset(buf_room(&b, LARGE), 'a', LARGE);
    front_answer(front, c, &b, lingers);
    assert_null(b.data);
}

static struct connection *requested(int *fd)
{
    *fd = comes(GET);
    return takes("/");
}

/* --- answers ------------------------------------------------------------------------------ */

static void a_long_answer_is_sent_without_a_worker(void **state)
{
    int fd;

    (void)state;
    open_front(10, 10);
    answer_much(requested(&fd), false);
    nothing_happens();
    assert_int_equal(strlen(gets(fd)), LARGE);
    are_open(0);
    close(fd);
}

static void a_client_that_does_not_take_its_answer_is_closed(void **state)
{
    int fd;

    (void)state;
    open_front(10, 10);
    answer_much(requested(&fd), false);
    nothing_happens();
    pass(FRONT_WRITE_MS - 1);
    nothing_happens();
    are_open(1);
    pass(1);
    are_open(0);
    assert_true(strlen(gets(fd)) < LARGE);
    close(fd);
}

static void a_client_that_is_gone_is_closed_at_once(void **state)
{
    const struct linger reset = {.l_onoff = 1};
    struct connection *c;
    int fd;

    (void)state;
    open_front(10, 10);
    answer_much(requested(&fd), false);
    nothing_happens();
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(fd);
    are_open(0);
    c = requested(&fd);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(fd);
    while (send(c->fd, "x", 1, MSG_NOSIGNAL) == 1)
        sched_yield();
    answers(c, "1", true);
    are_open(0);
}

static void what_still_comes_after_an_answer_does_not_reset_it(void **state)
{
    int fd, big;

    (void)state;
    open_front(10, 10);
    answers(requested(&fd), "hello", true);
    assert_string_equal(gets(fd), "hello");
    are_open(1);
    sends(fd, "more");
    nothing_happens();
    are_open(1);
    close(fd);
    are_open(0);
    answer_much(requested(&big), true);
    assert_int_equal(strlen(gets(big)), LARGE);
    are_open(1);
    pass(FRONT_LINGER_MS);
    are_open(0);
    close(big);
}

static void a_descriptor_that_is_released_is_its_takers(void **state)
{
    int fd, ours;

    (void)state;
    open_front(10, 10);
    ours = front_release(front, requested(&fd));
    are_open(0);
    sends(ours, "frame");
    close(ours);
    ends(fd, "frame");
}

/* --- bounds ------------------------------------------------------------------------------- */

static void the_one_that_waits_longest_gives_way(void **state)
{
    int first, second, third, answered;

    (void)state;
    open_front(3, 10);
    first = comes("GET / H");
    are_open(1);
    second = comes("GET / H");
    are_open(2);
    answers(requested(&answered), "1", true); /* lingers */
    assert_string_equal(gets(answered), "1");
    are_open(3);
    third = comes(GET);
    answers(takes("/"), "3", false); /* the answered one gave way */
    ends(third, "3");
    are_open(2);
    assert_int_equal(gate_heads(gate, GATE_HEAD_pushed_out), 1);
    third = comes("GET / H");
    are_open(3);
    assert_int_equal(gate_heads(gate, GATE_HEAD_pushed_out), 1);
    nothing_happens(); /* another one in place of the first */
    assert_int_equal(gate_heads(gate, GATE_HEAD_pushed_out), 2);
    ends(first, "");
    sends(second, "TTP/1.1\r\nHost: x\r\n\r\n");
    answers(takes("/"), "2", false);
    ends(second, "2");
    close(third);
    close(answered);
}

static void requests_that_are_answered_do_not_give_way(void **state)
{
    struct connection *c;
    int fd, next;

    (void)state;
    open_front(1, 10);
    c = requested(&fd);
    next = comes(GET);
    pass(0);
    pass(0);
    assert_int_equal(atomic_load(&front->open), 1);
    answers(c, "1", false);
    ends(fd, "1");
    pass(1000); /* it looks again after a moment */
    answers(takes("/"), "2", false);
    ends(next, "2");
    assert_int_equal(gate_heads(gate, GATE_HEAD_pushed_out), 0);
}

static void one_address_has_its_share(void **state)
{
    int first, second, third;

    (void)state;
    open_front(10, 2);
    first = comes("GET / H");
    are_open(1);
    second = comes("GET / H");
    are_open(2);
    third = comes("GET / H");
    ends(first, "");
    are_open(2);
    assert_int_equal(gate_heads(gate, GATE_HEAD_pushed_out), 1);
    close(second);
    are_open(1);
    second = comes("GET / H"); /* there is room again */
    are_open(2);
    sends(third, "TTP/1.1\r\nHost: x\r\n\r\n");
    answers(takes("/"), "3", false);
    ends(third, "3");
    assert_int_equal(gate_heads(gate, GATE_HEAD_pushed_out), 1);
    close(second);
}

/* --- begin and end -------------------------------------------------------------------------- */

static void an_address_that_cannot_be_had_is_an_error_with_the_setting(void **state)
{
    const struct front_limits limits = {9, 9, 1000};
    char error[FRONT_ERROR_MAX], expected[FRONT_ERROR_MAX];
    struct front *other = NULL;

    (void)state;
    open_front(10, 10);
    assert_int_equal(front_open("127.0.0.1", front_port(front), &limits, gate, &other, error),
                     ERR_INVALID);
    snprintf(expected, sizeof expected,
             "another program listens on 127.0.0.1:%d: end it, or set PORT", front_port(front));
    assert_string_equal(error, expected);
    assert_int_equal(front_open("192.0.2.1", 0, &limits, gate, &other, error), ERR_INVALID);
    assert_non_null(strstr(error, "HOST, PORT: cannot listen on 192.0.2.1:0: "));
    assert_int_equal(front_open("no host", 0, &limits, gate, &other, error), ERR_INVALID);
    assert_string_equal(error,
                        "HOST=no host: must be an IPv4 address of this machine, or a name for one");
    assert_null(other);
    assert_int_equal(front_open("localhost", 0, &limits, gate, &other, error), OK);
    assert_true(front_port(other) > 0);
    front_free(other); /* was never started */
    front_free(NULL);
}

static void a_front_is_idle_when_all_is_answered(void **state)
{
    struct connection *c;
    int fd;

    (void)state;
    open_front(10, 10);
    front_wait_idle(front, INT64_MAX / 2);
    c = requested(&fd);
    front_wait_idle(front, 0); /* the time is over */
    answer_much(c, false);
    front_wait_idle(front, 0);
    assert_int_equal(strlen(gets(fd)), LARGE);
    front_wait_idle(front, INT64_MAX / 2);
    close(fd);
}

static void a_front_that_stops_closes_what_waits_and_workers_get_nothing(void **state)
{
    int head, body, waits;

    (void)state;
    open_front(10, 10);
    head = comes("GET / H");
    body = comes("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n");
    front_await_body(front, takes("/"), 9);
    are_open(2);
    waits = comes(GET);
    are_open(3);
    front_stop(front);
    assert_null(front_take(front));
    front_free(front);
    ends(head, "");
    ends(body, "");
    ends(waits, "");
    gate_free(gate);
    open_front(10, 10); /* for the tear-down */
}

static int tear_down(void **state)
{
    (void)state;
    close_front();
    return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_long_answer_is_sent_without_a_worker),
        TEST(a_client_that_does_not_take_its_answer_is_closed),
        TEST(a_client_that_is_gone_is_closed_at_once),
        TEST(what_still_comes_after_an_answer_does_not_reset_it),
        TEST(a_descriptor_that_is_released_is_its_takers),
        TEST(the_one_that_waits_longest_gives_way),
        TEST(requests_that_are_answered_do_not_give_way),
        TEST(one_address_has_its_share),
        TEST(an_address_that_cannot_be_had_is_an_error_with_the_setting),
        TEST(a_front_is_idle_when_all_is_answered),
        TEST(a_front_that_stops_closes_what_waits_and_workers_get_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
