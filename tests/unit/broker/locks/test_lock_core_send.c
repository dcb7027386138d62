/* The texts of all answers about locks, word by word. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/locks/lock_core_private.h"
#include "tests/unit/broker/core/core_fixture.h"

#define TOKEN(n) "164099520000000" #n /* the n-th grant: above the wall clock */
#define LOCK(owner, more) "{'op':'lock','id':1,'name':'a','owner':'" owner "'" more "}"
#define WITH(op, owner, n, more) \
    "{'op':'" op "','id':2,'name':'a','owner':'" owner "','token':" TOKEN(n) more "}"

static int64_t tick(int64_t ms)
{
    pass_time(ms);
    return lock_core_tick(core.locks, &core.time);
}

static void has(const char *answer, const char *words)
{
    if (!strstr(answer, words))
        fail_msg("%s lacks %s", answer, words);
}

/* Send a request; the answer must have these words. */
static void is_answered(const char *json, const char *words)
{
    has(answer_to("p", json), words);
    forget_sent(replies, &reply_count);
}

static void a_holder_is_named_as_far_as_it_is_known(void **state)
{
    static const char *const rows[][2] = {
        {LOCK("x", ",'ttl_ms':1000,'pid':7,'host':'h'"), "is held by x (pid 7 on h)'"},
        {LOCK("x", ",'ttl_ms':1000,'pid':7"), "is held by x (pid 7)'"},
        {LOCK("x", ",'ttl_ms':1000,'host':'h'"), "is held by x (on h)'"},
        {LOCK("x", ",'ttl_ms':1000"), "is held by x'"},
    };

    for (size_t i = 0; i < LENGTH(rows); i++) {
        is_answered(rows[i][0], "'is_new':true");
        is_answered(LOCK("y", ",'ttl_ms':1000"), rows[i][1]);
        tear_down(state);
        set_up(state);
    }
}

static void it_is_worth_asking_again_when_something_may_have_changed(void **state)
{
    (void)state;
    is_answered(LOCK("x", ",'ttl_ms':4000,'delay_ms':4000"), "'is_new':true");
    is_answered(LOCK("y", ",'ttl_ms':1000"), "'retry_ms':3000");
    tick(1000);
    is_answered(LOCK("y", ",'ttl_ms':1000"), "'retry_ms':3000");
    tick(1);
    is_answered(LOCK("y", ",'ttl_ms':1000"), "'retry_ms':2999");
    tick(2949);
    is_answered(LOCK("y", ",'ttl_ms':1000"), "'retry_ms':50");
    tick(1);
    is_answered(LOCK("y", ",'ttl_ms':1000"), "'retry_ms':50");
    tick(50); /* it is closed */
    is_answered(LOCK("y", ",'ttl_ms':1000"),
                "'closed_ms':4000,'place':1,'waiters':0,'retry_ms':3000");
    tick(3000);
    is_answered(LOCK("y", ",'ttl_ms':1000"), "'retry_ms':1000");
}

static void a_token_that_no_longer_holds_is_told_why(void **state)
{
    (void)state;
    is_answered(LOCK("x", ",'ttl_ms':1000"), "'is_new':true");
    is_answered(WITH("release", "x", 1, ""), "'id':2,'name':'a','token':" TOKEN(1) "}");
    is_answered(WITH("renew", "x", 1, ""),
                "'error':'stale','message':'token " TOKEN(
                    1) " no longer holds lock a: it was released',"
                       "'name':'a','owner':'x','token':" TOKEN(1) ",'reason':'released'}");
    is_answered(LOCK("x", ",'ttl_ms':1000"), "'is_new':true");
    is_answered(WITH("renew", "y", 2, ""), "holds lock a: it is another one's',");
    is_answered(WITH("renew", "x", 1, ""), "holds lock a: it is another one's',");
    is_answered(WITH("lock_break", "", 2, ""), "'closed_ms':0}");
    is_answered(WITH("renew", "x", 2, ""), "holds lock a: it was broken by an operator',");
    is_answered(LOCK("x", ",'ttl_ms':1000,'delay_ms':10"), "'is_new':true");
    tick(1001);
    is_answered(WITH("renew", "x", 3, ""), "holds lock a: its time ran out',");
    is_answered(LOCK("y", ",'ttl_ms':1000"),
                "'message':'lock a stays closed for 10 ms more: its last grant ran out'");
    tick(10);
    is_answered(LOCK("x", ",'ttl_ms':1000,'delay_ms':10"), "'is_new':true");
    is_answered(WITH("lock_break", "", 4, ""), "'closed_ms':10}");
    is_answered(LOCK("y", ",'ttl_ms':1000"),
                "'message':'lock a stays closed for 10 ms more: its last grant was broken'");
}

static void each_request_that_cannot_be_done_says_why(void **state)
{
    static const char *const unknown[] = {"renew", "release", "lock_break", "value_put",
                                          "value_get"};
    char json[100];

    (void)state;
    for (size_t i = 0; i < LENGTH(unknown); i++) {
        snprintf(json, sizeof json, "{'op':'%s','id':2,'name':'b'}", unknown[i]);
        is_answered(json, "'error':'not_found','message':'no such lock'}");
    }
    is_answered(LOCK("x", ",'ttl_ms':1000"), "'is_new':true");
    is_answered(WITH("renew", "x", 1, ",'ttl_ms':999"),
                "'error':'invalid','message':'ttl_ms must be at least 1000'}");
    is_answered(WITH("value_put", "x", 1, ""),
                "'error':'invalid','message':'value must be bytes or text'}");
    is_answered(WITH("value_put", "x", 1, ",'value':'v'"), "'version':1}");
    is_answered("{'op':'lock','id':2,'name':'b','owner':'x','ttl_ms':1}",
                "'error':'invalid','message':'ttl_ms must be from 1000 to LOCK_TTL_MAX'}");
    assert_string_equal(answer_to("p", "{'op':'unlock','id':2}"),
                        "{'re':'unlock','id':2,'error':'not_found','message':'no such op'}");
}

static void an_entry_shows_a_lock_as_it_is(void **state)
{
    static const char line[] = "'waiters':11,'line':['w0','w1','w2','w3','w4','w5','w6','w7','w8',"
                               "'w9']";
    char json[100];

    (void)state;
    is_answered(LOCK("x", ",'ttl_ms':1000,'delay_ms':500,'pid':7,'host':'h'"), "'is_new':true");
    for (int i = 0; i < 11; i++) {
        snprintf(json, sizeof json,
                 "{'op':'lock','id':1,'name':'a','owner':'w%d','ttl_ms':1000,'keep':true}", i);
        is_answered(json, "'held'");
    }
    tick(10);
    is_answered(
        "{'op':'locks','id':1}",
        "{'name':'a','state':'held','owner':'x','host':'h','pid':7,'token':" TOKEN(
            1) ",'held_ms':10,'expires_ms':990,'ttl_ms':1000,'delay_ms':500,'closed_ms':0,");
    is_answered("{'op':'locks','id':1}", line);
    tick(1000);
    is_answered("{'op':'locks','id':1}",
                "{'name':'a','state':'closed','owner':'x','host':'','pid':0,'token':" TOKEN(
                    1) ",'held_ms':0,'expires_ms':0,'ttl_ms':1000,'delay_ms':500,'closed_ms':491,");
    is_answered("{'op':'locks','id':1}",
                "'last_lost':{'owner':'x','token':" TOKEN(1) ",'ago_ms':9,'reason':'expired'}}");
}

static void a_list_has_a_page_of_names_and_of_bytes(void **state)
{
    char json[200];
    const char *answer;

    (void)state;
    tear_down(state);
    set_up(state);
    config.lock_count_max = 2000;
    core_fini(&core);
    core = (struct core){.config = &config,
                         .out = {.ctx = &core, .publish = on_publish, .send = on_reply},
                         .time = {5000, 5000, WALL_US}};
    core_init(&core, LOG_EPOCH);
    for (int i = 0; i < 1001; i++) {
        snprintf(json, sizeof json, "{'op':'lock','id':1,'name':'n%04d','owner':'x','ttl_ms':1000}",
                 i);
        answer_to("p", json);
        forget_sent(replies, &reply_count);
    }
    answer = answer_to("p", "{'op':'locks','id':1,'limit':5000}");
    has(answer, "'total':1001,'next':1000,'durable':false,'reason':'STORE is memory: locks end "
                "with the broker','locks':[{'name':'n0000',");
    assert_null(strstr(answer, "'n1000'"));
    forget_sent(replies, &reply_count);
    answer = answer_to("p", "{'op':'locks','id':1,'offset':1000}");
    has(answer, "'total':1001,'durable':false");
    has(answer, "'locks':[{'name':'n1000',");
    forget_sent(replies, &reply_count);
    is_answered("{'op':'locks','id':1,'limit':0}", "'next':0,");
    is_answered("{'op':'locks','id':1,'offset':1001}", "'locks':[]}");
}

static void watchers_see_a_break_and_a_place_given_up_once(void **state)
{
    (void)state;
    is_answered(LOCK("x", ",'ttl_ms':1000,'delay_ms':100"), "'is_new':true");
    is_answered(LOCK("y", ",'ttl_ms':1000,'keep':true"), "'held'");
    forget_sent(published, &published_count);
    for (int i = 0; i < 2; i++)
        is_answered("{'op':'lock_cancel','id':3,'name':'a','owner':'y'}",
                    "{'re':'lock_cancel','id':3}");
    assert_int_equal(published_count, 1);
    has(published_text(0), "!lock/a lock 3<2 {'name':'a','state':'held'");
    for (int i = 0; i < 2; i++)
        is_answered(WITH("lock_break", "", 1, ",'by':'ops','reason':'stuck'"), "'closed_ms':100}");
    assert_int_equal(published_count, 2);
    has(published_text(1), "!lock/a lock 4<3 {'name':'a','state':'closed'");
    is_answered(WITH("value_put", "x", 1, ",'value':'v'"), "'stale'");
    is_answered(LOCK("z", ",'ttl_ms':1000"), "'held'");
    assert_int_equal(published_count, 2); /* the lock has not changed */
}

static void a_wait_that_is_over_is_watched_by_nobody(void **state)
{
    (void)state;
    is_answered(LOCK("x", ",'ttl_ms':600000"), "'is_new':true");
    assert_string_equal(answer_to("w", LOCK("y", ",'ttl_ms':1000,'wait_ms':2000")), "");
    assert_string_equal(answer_to("w", LOCK("z", ",'ttl_ms':1000,'wait_ms':2000")), "");
    forget_sent(published, &published_count);
    tick(2000);
    assert_int_equal(reply_count, 2);
    has(unpacked(&text, buf_span(&replies[0].message)), "'place':1,");
    has(unpacked(&text, buf_span(&replies[1].message)), "'place':2,");
    assert_int_equal(published_count, 0);
    tick(LEASE_PLACE_MS - 2000); /* both places are dropped */
    assert_int_equal(published_count, 2);
    assert_int_equal(reply_count, 2);
}

static void the_core_of_locks_says_when_it_is_due(void **state)
{
    (void)state;
    assert_int_equal(tick(0), -1);
    is_answered(LOCK("x", ",'ttl_ms':1000"), "'is_new':true");
    assert_int_equal(tick(0), 1001);
    assert_int_equal(tick(1000), 1);
    assert_int_equal(tick(1), LEASE_FORGET_MS);
    assert_true(lock_core_close(core.locks, 0)); /* there is no file to wait for */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        T(a_holder_is_named_as_far_as_it_is_known),
        T(it_is_worth_asking_again_when_something_may_have_changed),
        T(a_token_that_no_longer_holds_is_told_why),
        T(each_request_that_cannot_be_done_says_why),
        T(an_entry_shows_a_lock_as_it_is),
        T(a_list_has_a_page_of_names_and_of_bytes),
        T(watchers_see_a_break_and_a_place_given_up_once),
        T(a_wait_that_is_over_is_watched_by_nobody),
        T(the_core_of_locks_says_when_it_is_due),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
