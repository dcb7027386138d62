/* When libpregon replaces a silent socket, and what it sends over the new one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/consumer/lib/connection_fixture.h"

/* The two sockets, as they were before the clock was moved. */
static struct {
    void *records, *control;
} were;

static void remember_sockets(void)
{
    were.records = c.p->records;
    were.control = c.p->control;
}

/* Let time pass, in steps between which the program turns. */
static void pass(int64_t ms)
{
    for (; ms > 0; ms -= 1000) {
        boot_ms += ms < 1000 ? ms : 1000;
        step();
    }
}

static void open_quiet(void)
{
    struct pregon_options o = PREGON_OPTIONS;

    open_greeted(o);
    until(c.wait > 0);
    step();
    remember_sockets();
}

static void a_quiet_control_socket_is_pinged_once_a_second(void **state)
{
    (void)state;
    open_quiet();
    pass(999);
    assert_true(receives_no("ping"));
    pass(1);
    receives("ping");
    assert_true(receives_no("ping"));
    pass(999);
    assert_true(receives_no("ping"));
    pass(1);
    answers(receives("ping"), "");
    until(c.p->control_at == boot_ms);
    pass(999);
    assert_true(receives_no("ping")); /* it was quiet for less than a second */
    pass(1);
    receives("ping");
    close_all();
}

static void a_control_socket_that_is_silent_for_three_seconds_is_replaced(void **state)
{
    (void)state;
    open_quiet();
    pass(2999);
    assert_ptr_equal(c.p->control, were.control);
    assert_true(c.p->is_greeted);
    pass(1);
    assert_ptr_not_equal(c.p->control, were.control);
    until(receiver_connections(c.p->receiver) == 2); /* no record came, either */
    answers(receives_greeting(), "'epoch':7");       /* the broker learns the new connection */
    until(c.p->is_greeted);
    assert_true(receives_no("hello"));
    remember_sockets();
    pass(2999);
    assert_ptr_equal(c.p->control, were.control);
    close_all();
}

static void a_records_socket_without_heartbeats_for_three_seconds_is_replaced(void **state)
{
    (void)state;
    open_quiet();
    assert_int_equal(pregon_subscribe(c.p, "A*"), PREGON_OK);
    until(is_listening("+A\n"));
    pass(1500);
    heartbeat(1);
    until(receiver_is_up(c.p->receiver));
    pass(2999);
    assert_ptr_equal(c.p->records, were.records);
    buf_clear(&c.listening);
    pass(1);
    assert_ptr_not_equal(c.p->records, were.records);
    until(is_listening("+A\n")); /* everything is subscribed on the new socket */
    until(is_listening("+" WIRE_TOPIC_HEARTBEAT));
    remember_sockets();
    pass(2999);
    assert_ptr_equal(c.p->records, were.records);
    heartbeat(2);
    until(receiver_is_up(c.p->receiver)); /* the new socket is watched, too */
    close_all();
}

/*
 * While the program was paused it read nothing: messages in the socket show that the broker was not
 * silent.
 */
static void a_pause_of_the_program_is_no_silence_of_the_broker(void **state)
{
    (void)state;
    open_quiet();
    boot_ms += 2000;
    step();
    boot_ms += 1000;
    step();
    assert_ptr_not_equal(c.p->control, were.control); /* 2 s between two turns are no pause, */
    remember_sockets();
    boot_ms += 2001;
    step();
    pass(2999);
    /* one more makes a silence: the count starts again */
    assert_ptr_equal(c.p->control, were.control);
    assert_ptr_equal(c.p->records, were.records);
    pass(1);
    assert_ptr_not_equal(c.p->control, were.control);
    assert_ptr_not_equal(c.p->records, were.records);
    close_all();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_quiet_control_socket_is_pinged_once_a_second),
        cmocka_unit_test(a_control_socket_that_is_silent_for_three_seconds_is_replaced),
        cmocka_unit_test(a_records_socket_without_heartbeats_for_three_seconds_is_replaced),
        cmocka_unit_test(a_pause_of_the_program_is_no_silence_of_the_broker),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
