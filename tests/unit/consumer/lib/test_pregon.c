/* A connection of libpregon: opening, requests and their answers, turns, closing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include "tests/unit/consumer/lib/connection_fixture.h"

#define PUBLISH "tcp://127.0.0.1:1"
#define CONTROL "tcp://127.0.0.1:2"

static struct pregon_options options(void)
{
    struct pregon_options o = PREGON_OPTIONS;

    o.on_note = on_note;
    return o;
}

/* --- opening -------------------------------------------------------------------------------- */

static void options_that_no_connection_can_have_are_refused(void **state)
{
    struct pregon *p = (struct pregon *)&c;
    struct pregon_options o = options();

    (void)state;
    assert_int_equal(pregon_open(NULL, &p), PREGON_ERROR_INVALID);
    o.size = 0;
    assert_int_equal(pregon_open(&o, &p), PREGON_ERROR_INVALID);
    o = options();
    o.publish = "no address";
    o.control = CONTROL;
    assert_int_equal(pregon_open(&o, &p), PREGON_ERROR_INVALID);
    o.publish = PUBLISH;
    o.control = "carrier-pigeon://127.0.0.1:2";
    assert_int_equal(pregon_open(&o, &p), PREGON_ERROR_INVALID);
    o.control = "tcp://127.0.0.1";
    assert_int_equal(pregon_open(&o, &p), PREGON_ERROR_INVALID);
    assert_ptr_equal(p, &c); /* untouched */
}

static void addresses_are_the_given_ones_or_those_of_the_environment_or_the_usual_ones(void **state)
{
    struct pregon_options o = options();
    struct pregon *p;

    (void)state;
    setenv("BROKER_PUBLISH", "tcp://127.0.0.1:3", 1);
    setenv("BROKER_CONTROL", "", 1);
    assert_int_equal(pregon_open(&o, &p), PREGON_OK);
    assert_string_equal(p->publish, "tcp://127.0.0.1:3");
    assert_string_equal(p->requests_to, "tcp://127.0.0.1:5557");
    pregon_close(&p);
    unsetenv("BROKER_PUBLISH");
    setenv("BROKER_CONTROL", "tcp://127.0.0.1:4", 1);
    o.control = CONTROL;
    assert_int_equal(pregon_open(&o, &p), PREGON_OK);
    assert_string_equal(p->publish, "tcp://127.0.0.1:5556");
    assert_string_equal(p->requests_to, CONTROL);
    pregon_close(&p);
    assert_null(p);
    pregon_close(&p); /* NULL is allowed */
    unsetenv("BROKER_CONTROL");
}

static void a_program_without_free_descriptors_gets_an_error(void **state)
{
    struct pregon_options o = {
        .size = sizeof o, .publish = "tcp://127.0.0.1:9", .control = "tcp://127.0.0.1:9"};
    struct pregon *p = NULL;
    struct rlimit before, limit;
    int first = dup(0);

    (void)state;
    assert_true(first > 0);
    close(first);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    for (rlim_t left = 0; left < 2; left++) {
        limit = before;
        limit.rlim_cur = (rlim_t)first + left;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        assert_int_equal(pregon_open(&o, &p), PREGON_ERROR_SYSTEM);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        assert_null(p);
    }
}

/* A program compiled with an older pregon.h has fewer members. */
static void of_a_shorter_struct_only_its_members_are_read(void **state)
{
    struct pregon_options o = options();
    struct pregon *p;

    (void)state;
    o.publish = PUBLISH;
    o.control = CONTROL;
    o.mode = PREGON_NEWEST;
    o.no_snapshot = true;
    o.size = offsetof(struct pregon_options, mode) + sizeof o.mode;
    assert_int_equal(pregon_open(&o, &p), PREGON_OK);
    assert_int_equal(p->options.mode, PREGON_NEWEST);
    assert_false(p->options.no_snapshot);
    assert_null(p->options.on_note);
    pregon_close(&p);
    o.size = sizeof o + 64; /* a newer one */
    assert_int_equal(pregon_open(&o, &p), PREGON_OK);
    assert_true(p->options.no_snapshot);
    pregon_close(&p);
}

/* --- hello and goodbye ---------------------------------------------------------------------- */

static void the_broker_is_greeted_until_it_answers(void **state)
{
    char expected[256], host[65] = "";
    const char *hello;

    (void)state;
    gethostname(host, sizeof host - 1);
    open_broker();
    open_connection(options());
    hello = receives_greeting();
    snprintf(expected, sizeof expected,
             "{'op':'hello','id':%llu,'known_epoch':0,'known_seq':0,'role':'consumer',"
             "'host':'%s','pid':%d,'oldest':1,'newest':1}",
             (unsigned long long)id_of(hello), host, getpid());
    assert_string_equal(hello, expected);
    assert_true(receives_no("hello"));
    boot_ms += ANSWER_MS - 1;
    assert_true(receives_no("hello"));
    boot_ms++;
    answers(receives("hello"), "'epoch':7");
    until(c.p->is_greeted);
    boot_ms += 2 * ANSWER_MS;
    assert_true(receives_no("hello"));
    close_all();
}

static void a_refusal_of_the_hello_is_noted_and_the_hello_repeated(void **state)
{
    (void)state;
    open_broker();
    open_connection(options());
    answers(receives_greeting(), "'error':'version','message':'Too new.'");
    until(is_reported("note: "));
    assert_reported("note: The broker refuses us: version (Too new.).\n");
    boot_ms += ANSWER_MS - 1;
    assert_true(receives_no("hello"));
    boot_ms++;
    receives("hello");
    pregon_close(&c.p); /* the broker has not answered the hello: no goodbye */
    read_requests();
    assert_null(find_heard("goodbye"));
    close_all();
}

static void a_new_broker_on_the_records_socket_is_greeted_at_once(void **state)
{
    struct span welcome = SPAN(WIRE_TOPIC_WELCOME), other = SPAN("X ");

    (void)state;
    open_greeted(options());
    until(is_listening("+" WIRE_TOPIC_WELCOME));
    assert_true(c.p->is_greeted);
    assert_int_equal(bus_send(c.publish, &welcome, 1), OK);
    answers(receives("hello"), "'epoch':7");
    until(c.p->is_greeted);
    assert_int_equal(pregon_subscribe(c.p, "X"), PREGON_OK);
    until(is_listening("+X \n"));
    assert_int_equal(bus_send(c.publish, &other, 1), OK); /* one frame, but no welcome */
    until(find_heard("snapshot"));
    assert_true(c.p->is_greeted);
    assert_int_equal(receiver_connections(c.p->receiver), 2);
    close_all();
}

static void a_closed_connection_says_goodbye_to_a_broker_that_knows_it(void **state)
{
    zmq_pollitem_t item;

    (void)state;
    open_greeted(options());
    pregon_close(&c.p);
    assert_null(c.p);
    item = (zmq_pollitem_t){.socket = c.control, .events = ZMQ_POLLIN};
    while (!find_heard("goodbye")) {
        assert_int_equal(zmq_poll(&item, 1, 10000), 1);
        read_requests();
    }
    close_all();
}

/* --- requests and answers ------------------------------------------------------------------- */

static void on_value(void *ctx, enum pregon_error e, const char *message,
                     const struct pregon_value *v)
{
    assert_ptr_equal(ctx, &c);
    report("%s: %s, %s", v->name, pregon_error_name(e), message);
}

static void a_request_without_an_answer_is_given_up_after_five_seconds(void **state)
{
    const char *request;

    (void)state;
    open_greeted(options());
    assert_int_equal(pregon_value_get(c.p, "first", on_value, &c), PREGON_OK);
    boot_ms++;
    assert_int_equal(pregon_value_get(c.p, "second", on_value, &c), PREGON_OK);
    request = receives("value_get");
    boot_ms += ANSWER_MS - 2;
    step();
    assert_reported("");
    boot_ms++;
    step();
    assert_reported("first: away, The broker did not answer.\n");
    answers(request, "'value':'late'"); /* no request waits for it any more */
    answers(receives("value_get"), "");
    until(is_reported("second"));
    assert_reported("second: ok, It is done.\n");
    close_all();
}

static void an_answer_that_is_no_msgpack_is_dropped(void **state)
{
    struct span frames[2] = {{NULL, 0}, SPAN("\xc1")};

    (void)state;
    open_greeted(options());
    assert_int_equal(pregon_value_get(c.p, "a", on_value, &c), PREGON_OK);
    receives("value_get");
    frames[0] = buf_span(&c.peer);
    assert_int_equal(bus_send(c.control, frames, 2), OK);
    assert_int_equal(pregon_value_get(c.p, "b", on_value, &c), PREGON_OK);
    answers(receives("value_get"), "");
    until(is_reported("b: "));
    assert_reported("b: ok, It is done.\n");
    pregon_close(&c.p);
    assert_reported("a: closed, The connection was closed before the answer.\n");
    close_all();
}

/* --- turns ---------------------------------------------------------------------------------- */

static void a_turn_returns_how_long_the_program_may_wait(void **state)
{
    (void)state;
    open_greeted(options());
    until(is_listening("+" WIRE_TOPIC_WELCOME));
    until(c.wait > 0);
    assert_in_range(c.wait, 1, 1000);
    /* A function that was called between two turns makes the descriptor readable. */
    assert_int_equal(pregon_subscribe(c.p, "A"), PREGON_OK);
    assert_int_equal(zmq_poll(&(zmq_pollitem_t){.fd = pregon_fd(c.p), .events = ZMQ_POLLIN}, 1, 0),
                     1);
    pregon_stop(c.p);
    assert_true(receiver_is_paused(c.p->receiver));
    until(is_listening("+A \n"));
    close_all();
}

static void no_pattern_is_refused_and_an_unknown_one_not_found(void **state)
{
    (void)state;
    open_greeted(options());
    assert_int_equal(pregon_subscribe(c.p, NULL), PREGON_ERROR_INVALID);
    assert_int_equal(pregon_subscribe(c.p, "no pattern"), PREGON_ERROR_INVALID);
    assert_int_equal(pregon_subscribe(c.p, "A*"), PREGON_OK);
    assert_int_equal(pregon_unsubscribe(c.p, NULL), PREGON_ERROR_NOT_FOUND);
    assert_int_equal(pregon_unsubscribe(c.p, "B"), PREGON_ERROR_NOT_FOUND);
    assert_int_equal(pregon_unsubscribe(c.p, "A*"), PREGON_OK);
    assert_int_equal(pregon_unsubscribe(c.p, "A*"), PREGON_ERROR_NOT_FOUND);
    until(is_listening("-A\n"));
    close_all();
}

static void a_run_ends_when_its_time_is_over(void **state)
{
    int64_t from;

    (void)state;
    open_greeted(options());
    boot_step_ms = 10;
    from = boot_ms;
    pregon_run(c.p, 0);
    assert_in_range(boot_ms - from, 10, 200);
    from = boot_ms;
    pregon_run(c.p, 50);
    assert_in_range(boot_ms - from, 50, 250);
    close_all();
}

static void on_signal(int number)
{
    (void)number;
}

static void a_signal_ends_a_run_without_a_limit(void **state)
{
    struct sigaction act = {.sa_handler = on_signal};
    struct itimerval often = {{0, 20000}, {0, 20000}}, never = {0};

    (void)state;
    open_greeted(options());
    sigaction(SIGALRM, &act, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    pregon_run(c.p, -1);
    setitimer(ITIMER_REAL, &never, NULL);
    close_all();
}

static void stop_on_value(void *ctx, enum pregon_error e, const char *message,
                          const struct pregon_value *v)
{
    on_value(ctx, e, message, v);
    pregon_stop(c.p);
}

static void after_a_stop_nothing_is_handed_out_before_the_next_turn(void **state)
{
    (void)state;
    open_greeted(options());
    assert_int_equal(pregon_value_get(c.p, "a", stop_on_value, &c), PREGON_OK);
    assert_int_equal(pregon_value_get(c.p, "b", on_value, &c), PREGON_OK);
    answers(receives("value_get"), "");
    answers(receives("value_get"), "");
    pregon_run(c.p, -1); /* until the stop */
    assert_reported("a: ok, It is done.\n");
    assert_int_equal(pregon_value_get(c.p, "c", NULL, NULL), PREGON_OK);
    until(is_reported("b"));
    assert_reported("b: ok, It is done.\n");
    close_all();
}

/* --- closing -------------------------------------------------------------------------------- */

static void a_close_answers_what_is_pending_and_waits_a_fifth_of_a_second_for_locks(void **state)
{
    struct pregon_lock_options lock = PREGON_LOCK_OPTIONS;
    struct pregon_lock *l;
    int64_t from;

    (void)state;
    open_greeted(options());
    assert_int_equal(pregon_lock_open(c.p, "job", &lock, &l), PREGON_OK);
    answers(receives("lock"), "'token':3,'ttl_ms':30000");
    until(pregon_lock_token(l) == 3);
    assert_int_equal(pregon_value_get(c.p, "a", on_value, &c), PREGON_OK);
    boot_step_ms = 20;
    from = boot_ms;
    pregon_close(&c.p);
    assert_in_range(boot_ms - from, 200, 400); /* the broker did not confirm the release */
    assert_reported("a: closed, The connection was closed before the answer.\n");
    close_all();
}

static void begin_more(void *ctx, enum pregon_error e, const char *message,
                       const struct pregon_value *v)
{
    struct pregon_lock_options lock = PREGON_LOCK_OPTIONS;
    struct pregon_lock *l;

    on_value(ctx, e, message, v);
    assert_int_equal(pregon_value_get(c.p, "b", on_value, &c), PREGON_ERROR_CLOSED);
    assert_int_equal(pregon_lock_open(c.p, "b", &lock, &l), PREGON_ERROR_CLOSED);
}

static void from_a_callback_of_a_close_nothing_can_be_begun(void **state)
{
    struct pregon *p;

    (void)state;
    open_greeted(options());
    assert_int_equal(pregon_value_get(c.p, "a", begin_more, &c), PREGON_OK);
    p = c.p;
    pregon_close(&p);
    c.p = NULL;
    assert_reported("a: closed, The connection was closed before the answer.\n");
    close_all();
}

static void a_close_without_locks_does_not_wait(void **state)
{
    int64_t from;

    (void)state;
    open_greeted(options());
    boot_step_ms = 1;
    from = boot_ms;
    pregon_close(&c.p);
    assert_in_range(boot_ms - from, 1, 20);
    close_all();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_that_no_connection_can_have_are_refused),
        cmocka_unit_test(
            addresses_are_the_given_ones_or_those_of_the_environment_or_the_usual_ones),
        cmocka_unit_test(a_program_without_free_descriptors_gets_an_error),
        cmocka_unit_test(of_a_shorter_struct_only_its_members_are_read),
        cmocka_unit_test(the_broker_is_greeted_until_it_answers),
        cmocka_unit_test(a_refusal_of_the_hello_is_noted_and_the_hello_repeated),
        cmocka_unit_test(a_new_broker_on_the_records_socket_is_greeted_at_once),
        cmocka_unit_test(a_closed_connection_says_goodbye_to_a_broker_that_knows_it),
        cmocka_unit_test(a_request_without_an_answer_is_given_up_after_five_seconds),
        cmocka_unit_test(an_answer_that_is_no_msgpack_is_dropped),
        cmocka_unit_test(a_turn_returns_how_long_the_program_may_wait),
        cmocka_unit_test(no_pattern_is_refused_and_an_unknown_one_not_found),
        cmocka_unit_test(a_run_ends_when_its_time_is_over),
        cmocka_unit_test(a_signal_ends_a_run_without_a_limit),
        cmocka_unit_test(after_a_stop_nothing_is_handed_out_before_the_next_turn),
        cmocka_unit_test(a_close_answers_what_is_pending_and_waits_a_fifth_of_a_second_for_locks),
        cmocka_unit_test(from_a_callback_of_a_close_nothing_can_be_begun),
        cmocka_unit_test(a_close_without_locks_does_not_wait),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
