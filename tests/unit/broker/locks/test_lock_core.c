#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/locks/lock_core.h"
#include "tests/unit/broker/core/core_fixture.h"

#define TOKEN(n) "164099520000000" #n /* the n-th grant: above the wall clock */
#define LOCK_AS(owner, ttl, delay, more)                                                           \
    "{'op':'lock','id':1,'name':'a','owner':'" owner "','ttl_ms':" #ttl ",'delay_ms':" #delay more \
    "}"
#define GRANTED(owner, n, ttl, delay, is_new)                                           \
    "{'re':'lock','id':1,'name':'a','owner':'" owner                                    \
    "','token':" TOKEN(n) ",'ttl_ms':" #ttl ",'delay_ms':" #delay ",'expires_ms':" #ttl \
                          ",'waited_ms':0,'is_new':" is_new ",'durable':false}"
#define WITH(op, owner, n) \
    "{'op':'" op "','id':2,'name':'a','owner':'" owner "','token':" TOKEN(n) "}"

static void tick(int64_t ms)
{
    pass_time(ms);
    lock_core_tick(core.locks, &core.time);
}

static void is_answered(const char *json, const char *want)
{
    assert_string_equal(answer_to("p", json), want);
    forget_sent(replies, &reply_count);
}

/* One member of the answer to a request, as JSON. */
static const char *member(const char *peer, const char *json, const char *key)
{
    static struct buf out;
    struct span raw;
    struct pack_value v;

    answer_to(peer, json);
    if (!pack_find(last_answer(), key, &v, &raw))
        fail_msg("%s: no %s in %s", json, key, buf_text(&text));
    buf_clear(&out);
    raw.len = (size_t)(last_answer().at + last_answer().len - raw.at);
    pack_to_json(&raw, &out);
    forget_sent(replies, &reply_count);
    return buf_text(&out);
}

#define SAYS_OF(json, key, want) assert_string_equal(member("p", json, key), want)

static void a_free_lock_is_granted_and_the_holder_asking_again_has_the_same_grant(void **state)
{
    (void)state;
    is_answered(LOCK_AS("x", 1000, 500, ""), GRANTED("x", 1, 1000, 500, "true"));
    tick(400);
    is_answered(LOCK_AS("x", 1000, 500, ""), GRANTED("x", 1, 1000, 500, "false"));
    tick(999); /* its time began anew */
    is_answered(LOCK_AS("x", 2000, 0, ""), GRANTED("x", 1, 2000, 0, "false"));
}

static void a_held_lock_is_refused_with_everything_one_needs_to_know(void **state)
{
    (void)state;
    answer_to("p", "{'op':'lock','id':1,'name':'a','owner':'x','ttl_ms':9000,'host':'h','pid':7}");
    forget_sent(replies, &reply_count);
    tick(1000);
    is_answered(LOCK_AS("y", 1000, 0, ""), "{'re':'lock','id':1,'error':'held','message':'"
                                           "lock a is held by x (pid 7 on h)',"
                                           "'name':'a','owner':'x','token':" TOKEN(
                                               1) ",'expires_ms':8000,'closed_ms':0,"
                                                  "'place':1,'waiters':0,'retry_ms':3000}");
}

static void an_expired_lock_is_closed_for_its_delay_and_a_released_one_is_not(void **state)
{
    (void)state;
    is_answered(LOCK_AS("x", 1000, 500, ""), GRANTED("x", 1, 1000, 500, "true"));
    tick(1001);
    is_answered(LOCK_AS("y", 1000, 500, ""),
                "{'re':'lock','id':1,'error':'held','message':'lock a stays closed for 500 ms "
                "more: "
                "its last grant ran out','name':'a','owner':'','token':" TOKEN(
                    1) ",'expires_ms':0,'closed_ms':500,'place':1,'waiters':0,'retry_ms':500}");
    tick(499);
    SAYS_OF(LOCK_AS("y", 1000, 500, ""), "closed_ms", "1");
    tick(1);
    is_answered(LOCK_AS("y", 1000, 500, ""), GRANTED("y", 2, 1000, 500, "true"));
    is_answered(WITH("release", "y", 2), "{'re':'release','id':2,'name':'a','token':" TOKEN(2) "}");
    is_answered(LOCK_AS("z", 1000, 500, ""), GRANTED("z", 3, 1000, 500, "true"));
}

static void a_renewal_needs_the_owner_and_the_token_of_a_grant_that_runs(void **state)
{
    (void)state;
    is_answered(WITH("renew", "x", 1),
                "{'re':'renew','id':2,'error':'not_found','message':'no such lock'}");
    is_answered(LOCK_AS("x", 1000, 0, ""), GRANTED("x", 1, 1000, 0, "true"));
    tick(1000);
    is_answered(WITH("renew", "x", 1),
                "{'re':'renew','id':2,'name':'a','token':" TOKEN(1) ",'expires_ms':1000}");
    SAYS_OF(WITH("renew", "y", 1), "error", "\"stale\"");
    SAYS_OF(WITH("renew", "x", 2), "reason", "\"taken\"");
    /* More time than the stored grant has needs a new request for the lock. */
    SAYS_OF("{'op':'renew','id':2,'name':'a','owner':'x','token':" TOKEN(1) ",'ttl_ms':5000}",
            "expires_ms", "1000");
    tick(1001); /* an expired lease stays expired, even if no other owner took the lock */
    is_answered(WITH("renew", "x", 1),
                "{'re':'renew','id':2,'error':'stale','message':'token " TOKEN(
                    1) " no longer holds lock a: its time ran "
                       "out','name':'a','owner':'x','token':" TOKEN(1) ",'reason':'expired'}");
}

static void a_release_may_be_said_again_until_the_lock_passes_on(void **state)
{
    const char *released = "{'re':'release','id':2,'name':'a','token':" TOKEN(1) "}";

    (void)state;
    is_answered(LOCK_AS("x", 1000, 0, ""), GRANTED("x", 1, 1000, 0, "true"));
    SAYS_OF(WITH("release", "y", 1), "error", "\"stale\"");
    is_answered(WITH("release", "x", 1), released);
    is_answered(WITH("release", "x", 1), released);
    SAYS_OF(WITH("renew", "x", 1), "reason", "\"released\"");
    is_answered(LOCK_AS("y", 1000, 0, ""), GRANTED("y", 2, 1000, 0, "true"));
    SAYS_OF(WITH("release", "x", 1), "reason", "\"taken\"");
}

static void a_waiter_is_answered_when_the_lock_is_released(void **state)
{
    (void)state;
    is_answered(LOCK_AS("x", 9000, 0, ""), GRANTED("x", 1, 9000, 0, "true"));
    assert_string_equal(answer_to("w1", LOCK_AS("y", 1000, 0, ",'wait_ms':5000")), "");
    assert_string_equal(answer_to("w2", LOCK_AS("z", 1000, 0, ",'wait_ms':5000")), "");
    tick(700);
    SAYS_OF(LOCK_AS("q", 1000, 0, ""), "place", "3");
    is_answered(WITH("release", "x", 1), "{'re':'release','id':2,'name':'a','token':" TOKEN(1) "}");
    lock_core_tick(core.locks, &core.time);
    assert_string_equal(heard("w1"),
                        "{'re':'lock','id':1,'name':'a','owner':'y','token':" TOKEN(
                            2) ",'ttl_ms':1000,'delay_ms':0,'expires_ms':1000,'waited_ms':"
                               "700,'is_new':true,'durable':false}");
    tick(1001);
    assert_non_null(strstr(heard("w2"), "'owner':'z','token':" TOKEN(3)));
}

static void an_owner_that_has_waited_its_time_is_answered_and_keeps_its_place(void **state)
{
    (void)state;
    is_answered(LOCK_AS("x", 60000, 0, ""), GRANTED("x", 1, 60000, 0, "true"));
    answer_to("w", LOCK_AS("y", 1000, 0, ",'wait_ms':2000"));
    answer_to("w", "{'op':'lock','id':9,'name':'a','owner':'y','ttl_ms':1000,'wait_ms':3000}");
    tick(2999);
    assert_string_equal(heard("w"), "");
    tick(1); /* the newest request is the one that is answered */
    assert_non_null(strstr(heard("w"), "{'re':'lock','id':9,'error':'held'"));
    SAYS_OF(LOCK_AS("z", 1000, 0, ",'keep':true"), "place", "2");
    tick(7000); /* ten seconds after its last request */
    SAYS_OF(LOCK_AS("z", 1000, 0, ",'keep':true"), "place", "1");
}

static void a_free_lock_is_kept_for_the_first_in_line(void **state)
{
    (void)state;
    is_answered(LOCK_AS("x", 1000, 0, ""), GRANTED("x", 1, 1000, 0, "true"));
    SAYS_OF(LOCK_AS("y", 1000, 0, ",'keep':true"), "place", "1");
    tick(1001);
    is_answered(LOCK_AS("z", 1000, 0, ""),
                "{'re':'lock','id':1,'error':'held','message':'lock a is free and kept for "
                "the first "
                "in line','name':'a','owner':'','token':" TOKEN(
                    1) ",'expires_ms':0,'closed_ms':0,'place':2,'waiters':1,'retry_ms':1000}");
    assert_string_equal(answer_to("w", LOCK_AS("z", 1000, 0, ",'wait_ms':10000")), "");
    tick(8998);
    assert_string_equal(heard("w"), "");
    tick(1); /* y's place is dropped */
    assert_non_null(strstr(heard("w"), "'owner':'z','token':" TOKEN(2)));
}

static void a_place_can_be_given_up(void **state)
{
    (void)state;
    is_answered(LOCK_AS("x", 9000, 0, ""), GRANTED("x", 1, 9000, 0, "true"));
    SAYS_OF(LOCK_AS("y", 1000, 0, ",'keep':true"), "place", "1");
    SAYS_OF(LOCK_AS("z", 1000, 0, ",'keep':true"), "place", "2");
    is_answered("{'op':'lock_cancel','id':3,'name':'a','owner':'y'}",
                "{'re':'lock_cancel','id':3}");
    is_answered("{'op':'lock_cancel','id':3,'name':'b','owner':'y'}",
                "{'re':'lock_cancel','id':3}");
    SAYS_OF(LOCK_AS("z", 1000, 0, ",'keep':true"), "place", "1");
}

static void an_operator_breaks_a_grant_and_its_delay_holds(void **state)
{
    const char *broken =
        "{'re':'lock_break','id':4,'name':'a','token':" TOKEN(1) ",'closed_ms':700}";
    const char *json =
        "{'op':'lock_break','id':4,'name':'a','token':" TOKEN(1) ",'by':'ops','reason':'stuck'}";

    (void)state;
    is_answered(LOCK_AS("x", 9000, 700, ""), GRANTED("x", 1, 9000, 700, "true"));
    SAYS_OF("{'op':'lock_break','id':4,'name':'a','token':5}", "error", "\"stale\"");
    is_answered(json, broken);
    is_answered(json, broken);
    SAYS_OF(WITH("renew", "x", 1), "reason", "\"broken\"");
    SAYS_OF(LOCK_AS("y", 1000, 0, ""), "closed_ms", "700");
    tick(700);
    is_answered(LOCK_AS("y", 1000, 0, ""), GRANTED("y", 2, 1000, 0, "true"));
    SAYS_OF(json, "reason", "\"taken\"");
}

static void only_the_current_token_puts_a_value_and_each_put_is_a_version(void **state)
{
    (void)state;
    is_answered(LOCK_AS("x", 1000, 0, ""), GRANTED("x", 1, 1000, 0, "true"));
    is_answered("{'op':'value_get','id':5,'name':'a'}",
                "{'re':'value_get','id':5,'name':'a','value':'','token':0,'version':0}");
    is_answered("{'op':'value_put','id':5,'name':'a','owner':'x','token':" TOKEN(1) ",'value':'1'}",
                "{'re':'value_put','id':5,'name':'a','token':" TOKEN(1) ",'version':1}");
    SAYS_OF("{'op':'value_put','id':5,'name':'a','owner':'y','token':" TOKEN(1) ",'value':'2'}",
            "error", "\"stale\"");
    SAYS_OF("{'op':'value_put','id':5,'name':'a','owner':'x','token':" TOKEN(1) ",'value':7}",
            "error", "\"invalid\"");
    tick(1001);
    SAYS_OF("{'op':'value_put','id':5,'name':'a','owner':'x','token':" TOKEN(1) ",'value':'3'}",
            "reason", "\"expired\"");
    is_answered(LOCK_AS("y", 1000, 0, ""), GRANTED("y", 2, 1000, 0, "true"));
    is_answered(
        "{'op':'value_get','id':5,'name':'a'}",
        "{'re':'value_get','id':5,'name':'a','value':'1','token':" TOKEN(1) ",'version':1}");
    SAYS_OF("{'op':'value_put','id':5,'name':'a','owner':'y','token':" TOKEN(2) ",'value':'4'}",
            "version", "2");
}

static void a_value_is_at_most_64_kib(void **state)
{
    struct buf json = {0};

    (void)state;
    is_answered(LOCK_AS("x", 1000, 0, ""), GRANTED("x", 1, 1000, 0, "true"));
    for (size_t size = 65536; size <= 65537; size++) {
        msgpack_packer pk;

        buf_clear(&json);
        msgpack_packer_init(&pk, &json, buf_pack_write);
        msgpack_pack_map(&pk, 6);
        pack_kv_text(&pk, "op", SPAN("value_put"));
        pack_kv_u(&pk, "id", 5);
        pack_kv_text(&pk, "name", SPAN("a"));
        pack_kv_text(&pk, "owner", SPAN("x"));
        pack_kv_u(&pk, "token", strtoull(TOKEN(1), NULL, 10));
        pack_key(&pk, "value");
        msgpack_pack_bin(&pk, size);
        memset(buf_room(&json, size), 'v', size);
        core_control(&core, SPAN("p"), buf_span(&json));
        assert_true(
            span_eq(pack_find_text(last_answer(), "error"), size == 65536 ? "" : "too_large"));
    }
    buf_free(&json);
    SAYS_OF(
        "{'op':'locks','id':1}", "locks",
        "[{\"name\":\"a\",\"state\":\"held\",\"owner\":\"x\",\"host\":\"\",\"pid\":0,"
        "\"token\":" TOKEN(1) ",\"held_ms\":0,\"expires_ms\":1000,\"ttl_ms\":1000,\"delay_ms\":0,"
                              "\"closed_ms\":0,\"waiters\":0,\"line\":[],\"value_bytes\":65536,"
                              "\"version\":1,\"last_lost\":null}]");
}

static void what_cannot_be_a_lock_is_refused_with_what_is_allowed(void **state)
{
    static const char *const requests[] = {
        "{'op':'lock','id':1}",
        "{'op':'lock','id':1,'name':'a b','owner':'x','ttl_ms':1000}",
        "{'op':'lock','id':1,'name':'a','owner':'x y','ttl_ms':1000}",
        "{'op':'lock','id':1,'name':'a','owner':'','ttl_ms':1000}",
        "{'op':'lock','id':1,'name':'a','owner':'x','ttl_ms':999}",
        "{'op':'lock','id':1,'name':'a','owner':'x','ttl_ms':600001}",
        "{'op':'lock','id':1,'name':'a','owner':'x','ttl_ms':1000,'delay_ms':600001}",
        "{'op':'lock','id':1,'name':'a','owner':'x','ttl_ms':-1}",
        "{'op':'lock','id':1,'name':7,'owner':'x','ttl_ms':1000}",
    };

    (void)state;
    for (size_t i = 0; i < LENGTH(requests); i++)
        SAYS_OF(requests[i], "error", "\"invalid\"");
    SAYS_OF("{'op':'locks','id':1}", "total", "0");
}

static void the_list_comes_in_order_of_name_by_prefix_and_in_pages(void **state)
{
    static const char *const names[] = {"b", "ab", "a", "abc", "ac", "B"};
    char json[100];

    (void)state;
    for (size_t i = 0; i < LENGTH(names); i++) {
        snprintf(json, sizeof json, "{'op':'lock','id':1,'name':'%s','owner':'x','ttl_ms':1000}",
                 names[i]);
        answer_to("p", json);
    }
    forget_sent(replies, &reply_count);
    static const struct {
        const char *json, *names;
        int total, next;
    } cases[] = {
        {"{'op':'locks','id':1}", "B a ab abc ac b ", 6, 0},
        {"{'op':'locks','id':1,'prefix':'ab'}", "ab abc ", 2, 0},
        {"{'op':'locks','id':1,'prefix':'z'}", "", 0, 0},
        {"{'op':'locks','id':1,'name':'ab'}", "ab ", 1, 0},
        {"{'op':'locks','id':1,'name':'abd'}", "", 0, 0},
        {"{'op':'locks','id':1,'limit':2}", "B a ", 6, 2},
        {"{'op':'locks','id':1,'limit':2,'offset':2}", "ab abc ", 6, 4},
        {"{'op':'locks','id':1,'limit':2,'offset':4}", "ac b ", 6, 0},
        {"{'op':'locks','id':1,'offset':99}", "", 6, 0},
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        struct buf got = {0};
        struct pack_value v;
        struct span c;

        answer_to("p", cases[i].json);
        assert_int_equal(pack_find_u(last_answer(), "total", 99), cases[i].total);
        assert_int_equal(pack_find_u(last_answer(), "next", 0), cases[i].next);
        assert_true(pack_find(last_answer(), "locks", &v, &c));
        pack_next(&c, &v);
        for (uint32_t n = v.count; n; n--) {
            struct span one = c, name;

            assert_true(pack_skip(&c));
            one.len -= c.len;
            name = pack_find_text(one, "name");
            buf_add(&got, name.at, name.len);
            buf_addc(&got, ' ');
        }
        assert_string_equal(buf_text(&got), cases[i].names);
        buf_free(&got);
    }
}

/* The messages to watchers since the last call: "seq<prev state owner waiters". */
static const char *watched(void)
{
    buf_clear(&text);
    for (size_t i = 0; i < published_count; i++) {
        struct wire_record r = published_record(i);
        struct span state = pack_find_text(r.body, "state"),
                    owner = pack_find_text(r.body, "owner");

        if (r.kind != WIRE_LOCK)
            continue;
        assert_int_equal(r.epoch, LOG_EPOCH);
        assert_true(span_eq(buf_span(&published[i].to), "!lock/a "));
        buf_printf(&text, "%llu<%llu %.*s %.*s %d %d;", (unsigned long long)r.seq,
                   (unsigned long long)r.prev, (int)state.len, state.at, (int)owner.len, owner.at,
                   (int)pack_find_u(r.body, "waiters", 9), (int)pack_find_u(r.body, "version", 9));
    }
    forget_sent(published, &published_count);
    return buf_text(&text);
}

static void watchers_receive_every_change_and_no_renewal(void **state)
{
    (void)state;
    answer_to("p", LOCK_AS("x", 1000, 500, ""));
    answer_to("p", WITH("renew", "x", 1));
    answer_to("p", LOCK_AS("x", 1000, 500, ""));
    assert_string_equal(watched(), "1<0 held x 0 0;");
    answer_to("p", LOCK_AS("y", 1000, 0, ",'keep':true"));
    answer_to("p", LOCK_AS("y", 1000, 0, ",'keep':true"));
    assert_string_equal(watched(), "2<1 held x 1 0;");
    answer_to("p",
              "{'op':'value_put','id':5,'name':'a','owner':'x','token':" TOKEN(1) ",'value':'1'}");
    assert_string_equal(watched(), "3<2 held x 1 1;");
    tick(1001);
    assert_string_equal(watched(), "4<3 closed x 1 1;");
    tick(500);
    assert_string_equal(watched(), "5<4 free x 1 1;");
    answer_to("p", LOCK_AS("y", 1000, 0, ""));
    assert_string_equal(watched(), "6<5 held y 0 1;");
    answer_to("p", WITH("release", "y", 2));
    answer_to("p", WITH("release", "y", 2));
    assert_string_equal(watched(), "7<6 free y 0 1;");
}

static void a_lost_grant_is_remembered(void **state)
{
    (void)state;
    answer_to("p", LOCK_AS("x", 1000, 0, ""));
    forget_sent(replies, &reply_count);
    tick(1501);
    answer_to("p", "{'op':'locks','id':1}");
    assert_non_null(strstr(buf_text(&text), "'last_lost':{'owner':'x','token':" TOKEN(
                                                1) ",'ago_ms':500,'reason':'expired'}"));
}

static void a_broker_that_stops_grants_nothing_and_renews(void **state)
{
    (void)state;
    is_answered(LOCK_AS("x", 1000, 0, ""), GRANTED("x", 1, 1000, 0, "true"));
    assert_string_equal(answer_to("w", LOCK_AS("y", 1000, 0, ",'wait_ms':3000")), "");
    lock_core_stop(core.locks);
    SAYS_OF("{'op':'lock','id':1,'name':'b','owner':'x','ttl_ms':1000}", "error", "\"again\"");
    SAYS_OF(WITH("renew", "x", 1), "expires_ms", "1000");
    is_answered(WITH("release", "x", 1), "{'re':'release','id':2,'name':'a','token':" TOKEN(1) "}");
    tick(1);
    assert_string_equal(heard("w"), "");
    tick(2999);
    assert_non_null(strstr(heard("w"), "'error':'again'"));
}

static void status_tells_how_many_locks_there_are(void **state)
{
    (void)state;
    answer_to("p", LOCK_AS("x", 1000, 0, ""));
    answer_to("p", LOCK_AS("y", 1000, 0, ",'keep':true"));
    forget_sent(replies, &reply_count);
    answer_to("p", "{'op':'status','id':1}");
    assert_non_null(
        strstr(buf_text(&text),
               "'locks':{'kind':'memory','durable':false,'reason':'STORE is memory: locks "
               "end with the broker','count':1,'held':1,'waiting':1}"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        T(a_free_lock_is_granted_and_the_holder_asking_again_has_the_same_grant),
        T(a_held_lock_is_refused_with_everything_one_needs_to_know),
        T(an_expired_lock_is_closed_for_its_delay_and_a_released_one_is_not),
        T(a_renewal_needs_the_owner_and_the_token_of_a_grant_that_runs),
        T(a_release_may_be_said_again_until_the_lock_passes_on),
        T(a_waiter_is_answered_when_the_lock_is_released),
        T(an_owner_that_has_waited_its_time_is_answered_and_keeps_its_place),
        T(a_free_lock_is_kept_for_the_first_in_line),
        T(a_place_can_be_given_up),
        T(an_operator_breaks_a_grant_and_its_delay_holds),
        T(only_the_current_token_puts_a_value_and_each_put_is_a_version),
        T(a_value_is_at_most_64_kib),
        T(what_cannot_be_a_lock_is_refused_with_what_is_allowed),
        T(the_list_comes_in_order_of_name_by_prefix_and_in_pages),
        T(watchers_receive_every_change_and_no_renewal),
        T(a_lost_grant_is_remembered),
        T(a_broker_that_stops_grants_nothing_and_renews),
        T(status_tells_how_many_locks_there_are),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
