/* The doctor's findings about the answers of a simulated broker. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/timex.h>

#include <cmocka.h>

#include "shared/base/clock.h"
#include "shared/base/mem.h"
#include "tests/unit/doctor/bus_fixture.h"
#include "tests/unit/doctor/probe_fixture.h"

#define STATUS "{'op':'status','id':1}\n"
#define LOCKS "{'op':'locks','id':1,'prefix':'telegram'}\n"
#define PATIENCE 5000
#define SKEW_US 2000000

static struct checks checks;
static int clock_state, clock_status; /* the kernel's */

int adjtimex(struct timex *t)
{
    assert_int_equal(t->modes, 0);
    t->status = clock_status;
    return clock_state;
}

static void set(char **setting, const char *value)
{
    free(*setting);
    *setting = mem_strdup(value);
}

static void begin(void)
{
    clear_bus();
    checks_free(&checks);
    checks = (struct checks){.is_broker_there = true};
    checks.config.patience = patience = PATIENCE;
    checks.config.max_skew = SKEW_US / 1000;
    set(&checks.gateway.broker_control, "tcp://127.0.0.1:5557");
    set(&checks.gateway.broker_publish, "tcp://127.0.0.1:5556");
    set(&checks.broker.store, "sqlite:pregon.db");
    set(&checks.telegram.telegram_token, "");
    set(&checks.telegram.telegram_token_file, "");
    clock_state = TIME_OK;
    clock_status = 0;
}

/* A broker whose heartbeat comes and whose status is that. */
static void begin_with(const char *status)
{
    begin();
    answers("status", status);
    beats(0, clock_wall_us());
}

static void check(const char *want)
{
    checks_broker(&checks);
    assert_int_equal(contexts, 0);
    assert_int_equal(open_sockets, 0);
    assert_int_equal(open_messages, 0);
    if (strcmp(found(&checks), want) != 0)
        fail_msg("found%s, not%s", found(&checks), want);
}

static const struct finding *first(void)
{
    return &checks.found.items[0];
}

#define FEED(members) "{'re':'status','feeds':[{'name':'a'," members "}]}"
#define STORE(members) "{'re':'status','store':{'kind':'sqlite'" members "}}"
#define HEALTHY "'live':true,'accepted':5,'received':5"

static void a_broker_as_it_should_be_is_no_finding(void **state)
{
    (void)state;
    begin_with("{'re':'status','epoch':119,'version':'1.2.3','store':{'kind':'sqlite',"
               "'durable':true,'damage':'','behind_us':10000000},'feeds':[{'name':'a'," HEALTHY
               "}]}");
    check("");
    assert_int_equal(checks.broker_epoch, 119);
    assert_string_equal(checks.broker_version, "1.2.3");
    assert_string_equal(buf_text(&requests), STATUS);
    assert_string_equal(control_at, "tcp://127.0.0.1:5557");
    assert_string_equal(publish_at, "tcp://127.0.0.1:5556");
    assert_string_equal(subscribed, WIRE_TOPIC_HEARTBEAT);
    begin();
    checks.is_broker_there = false;
    check("");
    assert_int_equal(requests.len, 0);
}

static void a_broker_that_does_not_answer_is_silent(void **state)
{
    (void)state;
    begin();
    check(" broker_silent");
    assert_string_equal(first()->where, "BROKER_CONTROL");
    assert_string_equal(first()->seen, "No broker answers at tcp://127.0.0.1:5557 within 5.0 s.");
    assert_int_equal(checks.broker_epoch, 0);
    begin();
    is_control_refused = true;
    check(" broker_silent");
    begin();
    answers("status", "{'re':'status'}");
    is_send_refused = true;
    check(" broker_silent");
    begin();
    answers("status", "{'re':'status'}");
    checks.config.patience = 0; /* over before anything comes */
    check(" broker_silent");
    begin();
    answers("status", "{'re':'locks'}");
    answers("status", "{'re':'status'}")->len--;
    answers("status", "{'re':'status'}");
    script[2].count = 2;
    check(" broker_silent");
}

static void other_messages_before_the_answer_are_passed_over(void **state)
{
    (void)state;
    begin();
    answers("status", "{'re':'locks','epoch':1}");
    answers("status", "{'re':'status','epoch':2}")->len--;
    answers("status", "{'re':'status','epoch':3}");
    script[2].count = 2;
    answers("status", "{'re':'status','epoch':4}");
    beats(0, clock_wall_us());
    check("");
    assert_int_equal(checks.broker_epoch, 4);
}

static void a_broker_whose_heartbeat_does_not_come_is_found(void **state)
{
    (void)state;
    begin();
    answers("status", "{'re':'status'}");
    check(" publish_silent");
    assert_string_equal(first()->where, "BROKER_PUBLISH");
    assert_string_equal(first()->seen, "The broker answers, but at tcp://127.0.0.1:5556 no "
                                       "heartbeat comes within 5.0 s.");
    begin();
    answers("status", "{'re':'status'}");
    is_publish_refused = true;
    check(" publish_silent");
    begin();
    answers("status", "{'re':'status'}");
    beats(0, clock_wall_us())->count = 1; /* "!welcome " */
    beats(0, clock_wall_us())->frames[1].len--;
    check(" publish_silent");
    begin_with("{'re':'status'}");
    beats(0, clock_wall_us());
    script[1].count = 1;
    check("");
}

static void a_clock_that_differs_is_found_on_either_side(void **state)
{
    static const struct {
        int64_t ahead_us;
        const char *found, *seen;
    } rows[] = {
        {SKEW_US - 500000, "", NULL},
        {500000 - SKEW_US, "", NULL},
        {SKEW_US + 500000, " clock_skew", " s ahead of this machine's."},
        {-SKEW_US - 3000000, " clock_skew", " s behind this machine's."},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        begin();
        answers("status", "{'re':'status'}");
        beats(rows[i].ahead_us, clock_wall_us());
        check(rows[i].found);
        if (!rows[i].seen)
            continue;
        assert_string_equal(first()->where, "the broker");
        assert_non_null(strstr(first()->seen, rows[i].seen));
        assert_null(strchr(first()->seen, '-'));
    }
    begin(); /* less than a second */
    checks.config.max_skew = 0;
    answers("status", "{'re':'status'}");
    beats(900000, clock_wall_us());
    check(" clock_skew");
    assert_null(strchr(first()->seen, '-'));
}

static void a_clock_that_follows_no_server_matters_between_machines(void **state)
{
    static const struct {
        const char *control, *found;
        int state, status;
    } rows[] = {
        {"tcp://127.0.0.1:5557", "", TIME_ERROR, STA_UNSYNC},
        {"ipc:///tmp/x", "", TIME_ERROR, STA_UNSYNC},
        {"tcp://192.0.2.1:5557", "", TIME_OK, STA_PLL},
        {"tcp://192.0.2.1:5557", " clock_unsynchronised", TIME_ERROR, 0},
        {"tcp://192.0.2.1:5557", " clock_unsynchronised", TIME_OK, STA_UNSYNC},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        begin_with("{'re':'status'}");
        set(&checks.gateway.broker_control, rows[i].control);
        clock_state = rows[i].state;
        clock_status = rows[i].status;
        check(rows[i].found);
    }
}

static void each_trouble_of_the_store_is_one_finding(void **state)
{
    static const struct {
        const char *status, *found, *seen;
    } rows[] = {
        {STORE(), "", NULL},
        {STORE(",'durable':false,'reason':'disk full','damage':'x'"), " store_not_durable",
         "The broker cannot store the log: disk full"},
        {STORE(",'durable':true,'damage':'part 3 is bad','behind_us':99000000"), " store_damaged",
         "part 3 is bad"},
        {STORE(",'behind_us':10000000"), "", NULL},
        {STORE(",'behind_us':10000001"), " store_behind",
         "The oldest record that is not stored yet is 10 s old."},
        {"{'re':'status','store':{'kind':'memory','durable':false}}", " settings_not_in_force",
         "STORE names a file, and the broker that runs keeps its log in memory."},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        begin_with(rows[i].status);
        check(rows[i].found);
        if (!rows[i].seen)
            continue;
        assert_string_equal(first()->where, "STORE");
        assert_string_equal(first()->seen, rows[i].seen);
    }
    begin_with("{'re':'status','store':{'kind':'memory','durable':false}}");
    set(&checks.broker.store, "memory");
    check(" store_in_memory");
    assert_string_equal(first()->where, "STORE");
    assert_string_equal(first()->change, "STORE=sqlite:pregon.db");
}

static void each_trouble_of_a_feed_is_found_with_its_name(void **state)
{
    static const struct {
        const char *status, *found, *where, *seen;
    } rows[] = {
        {FEED(HEALTHY), "", NULL, NULL},
        {FEED("'live':true,'accepted':0,'received':1"), "", NULL, NULL},
        {FEED("'live':true,'accepted':1,'received':0"), "", NULL, NULL},
        {FEED("'live':true"), " feed_empty", "feed a",
         "Its feeder runs, but has never sent a quote."},
        {FEED("'left':true,'live':true,'host':'h','pid':7"), " feed_ended", "feed a, host h, pid 7",
         "The feeder ended in order."},
        {FEED("'left':false,'host':'h','silent_ms':1500"), " feed_silent", "feed a",
         "Nothing has come from it for 1.5 s."},
        {FEED("'live':false,'pid':7"), " feed_silent", "feed a",
         "Nothing has come from it for 0.0 s."},
        {FEED("'live':true,'refused':3"), " quotes_refused", "feed a",
         "The broker refused 3 quotes of it."},
        {FEED(HEALTHY ",'lost':4"), " lines_lost", "feed a", "4 of its lines are lost."},
        {FEED("'left':true,'refused':1,'lost':1"), " feed_ended quotes_refused lines_lost",
         "feed a", "The feeder ended in order."},
        {"{'re':'status','feeds':[]}", " feed_none", "",
         "No feeder has ever connected to this broker: there are no quotes."},
        {"{'re':'status','feeds':{}}", "", NULL, NULL},
        {"{'re':'status'}", "", NULL, NULL},
        {"{'re':'status','feeds':[{'name':'b'," HEALTHY "},{'name':'a','left':true}]}",
         " feed_ended", "feed a", "The feeder ended in order."},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        begin_with(rows[i].status);
        check(rows[i].found);
        if (!rows[i].where)
            continue;
        assert_string_equal(first()->where, rows[i].where);
        assert_string_equal(first()->seen, rows[i].seen);
    }
}

static void a_bot_without_an_active_instance_is_found(void **state)
{
    static const struct {
        const char *locks, *found;
    } rows[] = {
        {"{'re':'locks','locks':[{'name':'telegram-a','state':'free'},"
         "{'name':'telegram-b','state':'held'}]}",
         ""},
        {"{'re':'locks','locks':[{'name':'telegram-a','state':'held'},"
         "{'name':'telegram-b','state':'free'}]}",
         ""},
        {"{'re':'locks','locks':[{'name':'telegram-a','state':'closed'}]}",
         " telegram_nobody_on_duty"},
        {"{'re':'locks','locks':[]}", " telegram_nobody_on_duty"},
        {"{'re':'locks','locks':9}", " telegram_nobody_on_duty"},
        {"{'re':'locks'}", ""}, /* it has no locks */
        {"{'re':'status'}", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int is_file = 0; is_file < 2; is_file++) {
            begin_with("{'re':'status'}");
            answers("locks", rows[i].locks);
            set(is_file ? &checks.telegram.telegram_token_file : &checks.telegram.telegram_token,
                "1");
            check(rows[i].found);
            assert_string_equal(buf_text(&requests), STATUS LOCKS);
            if (rows[i].found[0])
                assert_string_equal(first()->where,
                                    is_file ? "TELEGRAM_TOKEN_FILE" : "TELEGRAM_TOKEN");
        }
}

static int tear_down(void **state)
{
    (void)state;
    clear_bus();
    checks_free(&checks);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_broker_as_it_should_be_is_no_finding),
        cmocka_unit_test(a_broker_that_does_not_answer_is_silent),
        cmocka_unit_test(other_messages_before_the_answer_are_passed_over),
        cmocka_unit_test(a_broker_whose_heartbeat_does_not_come_is_found),
        cmocka_unit_test(a_clock_that_differs_is_found_on_either_side),
        cmocka_unit_test(a_clock_that_follows_no_server_matters_between_machines),
        cmocka_unit_test(each_trouble_of_the_store_is_one_finding),
        cmocka_unit_test(each_trouble_of_a_feed_is_found_with_its_name),
        cmocka_unit_test(a_bot_without_an_active_instance_is_found),
    };

    return cmocka_run_group_tests(tests, NULL, tear_down);
}
