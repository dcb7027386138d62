/* HTTP connections while they wait for their peers. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/gateway/http/front_fixture.h"

#define POST(path, length) "POST " path " HTTP/1.1\r\nHost: x\r\nContent-Length: " length "\r\n\r\n"

static void a_request_reaches_a_worker_and_its_answer_the_client(void **state)
{
    int fd = comes("GET /a?b=c HTTP/1.1\r\nHost: x\r\n\r\n"), second;
    struct connection *c = takes("/a");
    struct sockaddr_in own;
    socklen_t len = sizeof own;
    unsigned prefix, count, next_prefix, next_count;

    (void)state;
    assert_string_equal(c->head.query, "b=c");
    assert_string_equal(c->peer, "127.0.0.1");
    assert_int_equal(getsockname(fd, (struct sockaddr *)&own, &len), 0);
    assert_int_equal(c->port, ntohs(own.sin_port));
    assert_int_equal(c->outcome, FRONT_BODY_UNREAD);
    assert_int_equal(c->body.len, 0);
    assert_int_equal(sscanf(c->id, "%8x%8x", &prefix, &count), 2);
    answers(c, "hello", false);
    ends(fd, "hello");
    second = comes(GET);
    c = takes("/");
    assert_int_equal(sscanf(c->id, "%8x%8x", &next_prefix, &next_count), 2);
    assert_int_equal(next_prefix, prefix);
    assert_int_equal(next_count, count + 1);
    answers(c, "", false);
    ends(second, "");
    are_open(0);
}

static void a_head_may_come_in_pieces(void **state)
{
    int fd = comes("GET /pieces HTT");

    (void)state;
    nothing_happens();
    sends(fd, "P/1.1\r\nHost: ");
    nothing_happens();
    sends(fd, "x\r\n\r\n");
    answers(takes("/pieces"), "1", false);
    ends(fd, "1");
}

static void a_long_head_is_read_whole(void **state)
{
    struct buf head = {0};
    int fd;

    (void)state;
    buf_adds(&head, "GET /long HTTP/1.1\r\nHost: x\r\nX: ");
    while (head.len < 4 * 2048 - 4) /* ends with a whole read */
        buf_addc(&head, 'x');
    buf_adds(&head, "\r\n\r\n");
    fd = comes(buf_text(&head));
    answers(takes("/long"), "1", false);
    ends(fd, "1");
    buf_free(&head);
}

static unsigned answering_now(void)
{
    unsigned count;

    pthread_mutex_lock(&front->lock);
    count = (unsigned)front->answering;
    pthread_mutex_unlock(&front->lock);
    return count;
}

static void requests_are_taken_in_their_order(void **state)
{
    int first, second;

    (void)state;
    first = comes("GET /1 HTTP/1.1\r\nHost: x\r\n\r\n");
    while (!answering_now())
        sched_yield();
    second = comes("GET /2 HTTP/1.1\r\nHost: x\r\n\r\n");
    while (answering_now() < 2)
        sched_yield();
    answers(takes("/1"), "1", false);
    answers(takes("/2"), "2", false);
    ends(first, "1");
    ends(second, "2");
}

/* --- bodies ------------------------------------------------------------------------------ */

static void a_body_is_awaited_without_a_worker(void **state)
{
    int fd = comes(POST("/b", "5") "ab");
    struct connection *c = takes("/b");

    (void)state;
    assert_string_equal(buf_text(&c->body), "ab");
    front_await_body(front, c, 5);
    nothing_happens();
    sends(fd, "c");
    nothing_happens();
    sends(fd, "de");
    c = takes("/b");
    assert_int_equal(c->outcome, FRONT_BODY_WHOLE);
    assert_string_equal(buf_text(&c->body), "abcde");
    answers(c, "1", false);
    ends(fd, "1");
}

static void a_body_that_is_cut_off_or_late_comes_with_that_outcome(void **state)
{
    int cut = comes(POST("/cut", "5") "ab"), late = comes(POST("/late", "5") "ab");
    struct connection *c, *other;

    (void)state;
    c = front_take(front);
    other = front_take(front);
    front_await_body(front, c, 5);
    front_await_body(front, other, 5);
    shutdown(cut, SHUT_WR);
    c = takes("/cut");
    assert_int_equal(c->outcome, FRONT_BODY_CUT_OFF);
    answers(c, "1", false);
    ends(cut, "1");
    pass(FRONT_BODY_MS - 1);
    nothing_happens();
    pass(1);
    c = takes("/late");
    assert_int_equal(c->outcome, FRONT_BODY_LATE);
    assert_string_equal(buf_text(&c->body), "ab");
    answers(c, "2", false);
    ends(late, "2");
}

static void a_gateway_that_drains_awaits_no_body(void **state)
{
    int fd = comes(POST("/b", "5") "ab");
    struct connection *c = takes("/b");

    (void)state;
    front_await_body(front, c, 5);
    nothing_happens();
    gate_set_draining(gate);
    c = takes("/b");
    assert_int_equal(c->outcome, FRONT_BODY_STOPPED);
    answers(c, "1", false);
    ends(fd, "1");
}

/* --- heads that are none ------------------------------------------------------------------- */

static void a_late_head_is_408_with_the_setting(void **state)
{
    int fd = comes("GET / HT");
    const char *text;

    (void)state;
    nothing_happens();
    pass(HEAD_MS - 1);
    nothing_happens();
    assert_int_equal(gate_heads(gate, GATE_HEAD_late), 0);
    pass(1);
    text = gets(fd);
    assert_non_null(strstr(text, "HTTP/1.1 408 "));
    assert_non_null(strstr(text, "X-Reject-Reason: timed_out\r\n"));
    assert_non_null(strstr(text, "All of it must be here within 1 s (HTTP_HEAD_TIMEOUT)."));
    assert_int_equal(gate_heads(gate, GATE_HEAD_late), 1);
    are_open(1); /* lingers: its peer may still send */
    pass(FRONT_LINGER_MS - 1);
    nothing_happens();
    are_open(1);
    pass(1);
    are_open(0);
    close(fd);
}

static void new_limits_are_for_the_next_heads(void **state)
{
    const struct front_limits limits = {9, 9, 3000};
    int fd;

    (void)state;
    front_set_limits(front, &limits);
    fd = comes("GET / HT");
    nothing_happens();
    pass(2999);
    nothing_happens();
    sends(fd, "TP/1.1\r\nHost: x\r\n\r\n");
    answers(takes("/"), "1", false);
    ends(fd, "1");
}

static void what_is_no_head_is_refused_and_counted(void **state)
{
    static const struct {
        const char *bytes, *status;
        enum gate_head kind;
    } cases[] = {
        {"\x16\x03\x01\r\n\r\n", "HTTP/1.1 400 ", GATE_HEAD_malformed},
        {"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 ", GATE_HEAD_malformed},
        {"GET /", "HTTP/1.1 414 ", GATE_HEAD_target_too_long},
        {"GET / HTTP/1.1\r\nHost: x\r\nX: ", "HTTP/1.1 431 ", GATE_HEAD_too_large},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf b = {0};
        int fd;

        buf_adds(&b, cases[i].bytes);
        while (!strstr(cases[i].bytes, "\r\n\r\n") && b.len < 70000)
            buf_addc(&b, 'a');
        fd = comes("");
        (void)send(fd, b.data, b.len, MSG_NOSIGNAL); /* it may be refused before the end */
        assert_non_null(strstr(gets(fd), cases[i].status));
        assert_int_equal(gate_heads(gate, cases[i].kind), i == 1 ? 2 : 1);
        close(fd);
        are_open(0); /* its peer has gone */
        buf_free(&b);
    }
    assert_int_equal(gate_heads(gate, GATE_HEAD_late), 0);
}

static void a_peer_that_goes_before_its_request_is_forgotten(void **state)
{
    int fd = comes("GET / HT");

    (void)state;
    nothing_happens();
    are_open(1);
    close(fd);
    are_open(0);
    assert_int_equal(gate_heads(gate, GATE_HEAD_malformed), 0);
}

static int set_up(void **state)
{
    (void)state;
    open_front(10, 10);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    close_front();
    return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_request_reaches_a_worker_and_its_answer_the_client),
        TEST(a_head_may_come_in_pieces),
        TEST(a_long_head_is_read_whole),
        TEST(requests_are_taken_in_their_order),
        TEST(a_body_is_awaited_without_a_worker),
        TEST(a_body_that_is_cut_off_or_late_comes_with_that_outcome),
        TEST(a_gateway_that_drains_awaits_no_body),
        TEST(a_late_head_is_408_with_the_setting),
        TEST(new_limits_are_for_the_next_heads),
        TEST(what_is_no_head_is_refused_and_counted),
        TEST(a_peer_that_goes_before_its_request_is_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
