/* Last values and history: from the broker, or from the hub while the broker is away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/routes/quotes_json.h"
#include "tests/unit/gateway/routes/handlers_fixture.h"

#define TAIL ",'timestamp':1600000000.25}\n"

static struct hub_topic *everything;

static struct loop_request quotes(const char *pattern, uint64_t offset, uint64_t limit)
{
    struct loop_request q = {.kind = LOOP_REQUEST_QUOTES, .offset = offset, .limit = limit};

    snprintf(q.text, sizeof q.text, "%s", pattern);
    return q;
}

static struct loop_request quote(const char *symbol)
{
    struct loop_request q = quotes(symbol, 7, 9);

    q.kind = LOOP_REQUEST_QUOTE;
    return q;
}

/* A client follows everything; the gateway has it all. */
static void follow_everything(void)
{
    everything = hub_topic_retain(g.hub, SPAN("*"));
    hub_topic_synced(everything, 0);
}

/* A record of the log, applied. */
static void apply(const char *symbol, enum wire_kind kind, uint64_t seq, const char *body)
{
    const struct hub_symbol *s = hub_find(g.hub, span_of(symbol));
    struct wire_record r = {
        .kind = kind, .epoch = EPOCH, .seq = seq, .prev = s ? s->seq : 0, .accepted_us = 5};
    struct buf b = {0};

    packed(&b, body);
    r.body = buf_span(&b);
    assert_true(hub_apply(g.hub, hub_know(g.hub, span_of(symbol)), &r));
    hub_set_seq(g.hub, seq);
    buf_free(&b);
}

static void know_three(void)
{
    follow_everything();
    apply("A1", WIRE_QUOTE, 1, "{'last':'1.5'}");
    apply("A2", WIRE_STATE, 2, "{'state':'stale'}");
    apply("B1", WIRE_QUOTE, 3, "{'last':'2.5'}");
    apply("B1", WIRE_STATE, 4, "{'state':'stale'}");
}

/* The answer as the worker writes it. */
static void lists(struct worker *w, const char *list)
{
    struct buf b = {0};

    is_answered(w, 200);
    assert_int_equal(pack_check(buf_span(&w->q.body)), OK);
    quotes_json_list(&w->q, buf_span(&w->q.body), &b);
    for (size_t i = 0; i < b.len; i++)
        b.data[i] = b.data[i] == '"' ? '\'' : b.data[i];
    assert_string_equal(buf_text(&b), list);
    buf_free(&b);
}

#define A1(state) "{'symbol':'A1','seq':1,'state':'" state "','last':'1.5'}"
#define B1(state) "{'symbol':'B1','seq':4,'state':'" state "','last':'2.5'}"
#define LIST(epoch, quotes, rest) "{'quotes':[" quotes "],'epoch':'" epoch "','seq':4," rest TAIL

/* --- with the broker away ------------------------------------------------------------------ */

static void without_broker_what_is_here_is_stale_and_not_complete(void **state)
{
    (void)state;
    hub_reset(g.hub, EPOCH);
    hub_thaw(g.hub);
    know_three();
    post_request(quotes("", 0, 9));
    assert_false(handlers_work(&handlers));
    lists(&worker, LIST(EPOCH_TEXT, A1("stale") "," B1("stale"),
                        "'symbols':3,'truncated':false,'complete':false"));
    post_request(quotes("B*", 0, 9));
    assert_false(handlers_work(&handlers));
    lists(&worker, LIST(EPOCH_TEXT, B1("stale"), "'symbols':3,'truncated':false,'complete':false"));
    receives_nothing();
}

static void without_broker_pages_are_followed_by_number(void **state)
{
    (void)state;
    hub_reset(g.hub, EPOCH);
    hub_thaw(g.hub);
    know_three();
    post_request(quotes("*", 0, 1));
    assert_false(handlers_work(&handlers));
    lists(&worker,
          LIST(EPOCH_TEXT, A1("stale"), "'symbols':3,'next':1,'truncated':true,'complete':false"));
    post_request(quotes("*", 1, 2));
    assert_false(handlers_work(&handlers));
    lists(&worker, LIST(EPOCH_TEXT, B1("stale"), "'symbols':3,'truncated':false,'complete':false"));
    post_request(quotes("*", 3, 2));
    assert_false(handlers_work(&handlers));
    lists(&worker, LIST(EPOCH_TEXT, "", "'symbols':3,'truncated':false,'complete':false"));
}

static void long_answers_take_several_turns_and_keep_their_order(void **state)
{
    struct worker second = {0};
    char name[16];

    (void)state;
    hub_reset(g.hub, EPOCH);
    hub_thaw(g.hub);
    know_three();
    for (unsigned i = 0; i < 253; i++) { /* 256 in all: two turns of 128 */
        snprintf(name, sizeof name, "X%u", i);
        (void)hub_know(g.hub, span_of(name));
    }
    post_request(quotes("A1", 0, 1000));
    post_through(&second, quotes("B1", 0, 1000));
    assert_true(handlers_work(&handlers));
    assert_true(handlers_work(&handlers));
    assert_true(worker.is_waiting && second.is_waiting);
    assert_true(handlers_work(&handlers)); /* the first is done, and half of the second */
    lists(&worker,
          LIST(EPOCH_TEXT, A1("stale"), "'symbols':256,'truncated':false,'complete':false"));
    assert_true(handlers_work(&handlers));
    assert_false(handlers_work(&handlers));
    lists(&second,
          LIST(EPOCH_TEXT, B1("stale"), "'symbols':256,'truncated':false,'complete':false"));
    buf_free(&second.q.body);
}

static void at_the_end_what_is_under_way_is_503(void **state)
{
    (void)state;
    know_three();
    post_request(quotes("A1", 0, 9));
    handlers_fini(&handlers);
    is_told(503, "");
    assert_false(handlers_work(&handlers));
}

static void without_broker_one_quote_is_here_or_503(void **state)
{
    (void)state;
    hub_reset(g.hub, EPOCH);
    hub_thaw(g.hub);
    know_three();
    post_request(quote("B1"));
    lists(&worker, LIST(EPOCH_TEXT, B1("stale"), "'symbols':3,'truncated':false,'complete':false"));
    post_request(quote("A2"));
    is_told(503, "");
    post_request(quote("C"));
    is_told(503, "");
}

/* --- with the broker ------------------------------------------------------------------------ */

static void a_gateway_that_has_everything_answers_by_itself(void **state)
{
    (void)state;
    meet();
    know_three();
    post_request(quotes("*", 0, 2));
    assert_false(handlers_work(&handlers));
    lists(&worker, LIST(EPOCH_TEXT, A1("live") "," B1("stale"),
                        "'symbols':2,'truncated':false,'complete':true"));
    post_request(quotes("B1,A*,C", 0, 2));
    assert_false(handlers_work(&handlers));
    lists(&worker, LIST(EPOCH_TEXT, A1("live") "," B1("stale"),
                        "'symbols':2,'truncated':false,'complete':true"));
    post_request(quotes("C", 0, 2));
    assert_false(handlers_work(&handlers));
    lists(&worker, LIST(EPOCH_TEXT, "", "'symbols':2,'truncated':false,'complete':true"));
    receives_nothing();
}

static void more_than_a_page_is_the_brokers(void **state)
{
    (void)state;
    meet();
    know_three();
    post_request(quotes("", 0, 1)); /* all, and there are two */
    receives("{'op':'snapshot','id':2,'pattern':'*','from':0,'limit':1}");
    answers("{'id':2,'seq':4,'symbols':9,'next':5,'quotes':[]}");
    lists(&worker, LIST(EPOCH_TEXT, "", "'symbols':9,'next':5,'truncated':true,'complete':true"));
    post_request(quotes("*", 5, 9)); /* not the first page */
    receives("{'op':'snapshot','id':3,'pattern':'*','from':5,'limit':9}");
    answers("{'id':3,'seq':4,'symbols':9,'quotes':[]}");
    lists(&worker, LIST(EPOCH_TEXT, "", "'symbols':9,'truncated':false,'complete':true"));
    post_request(quotes("A1,B1", 0, 1)); /* found out while it is written */
    receives_nothing();
    assert_false(handlers_work(&handlers));
    receives("{'op':'snapshot','id':4,'pattern':'A1,B1','from':0,'limit':1}");
    answers("{'id':4,'error':'full'}");
    is_told(429, "");
}

static void a_gateway_that_misses_something_asks_the_broker(void **state)
{
    (void)state;
    meet();
    post_request(quotes("A1", 0, 9));
    receives("{'op':'snapshot','id':2,'pattern':'A1','from':0,'limit':9}");
    answers("{'id':2,'seq':4,'symbols':9,'quotes':[]}");
    lists(&worker, LIST(EPOCH_TEXT, "", "'symbols':9,'truncated':false,'complete':true"));
    know_three();
    post_request(quotes("A1", 0, 9));
    hub_resync(g.hub); /* before the answer is written */
    assert_false(handlers_work(&handlers));
    receives("{'op':'snapshot','id':3,'pattern':'A1','from':0,'limit':9}");
    pass(UPSTREAM_ANSWER_MS);
    assert_false(handlers_work(&handlers));
    lists(&worker, LIST(EPOCH_TEXT, A1("stale"), "'symbols':3,'truncated':false,'complete':false"));
}

static void one_quote_is_the_brokers(void **state)
{
    (void)state;
    meet();
    know_three();
    post_request(quote("A1"));
    receives("{'op':'snapshot','id':2,'pattern':'A1','from':0,'limit':1}");
    answers("{'id':2,'seq':4,'quotes':[]}");
    is_told_packed(200, "{'id':2,'seq':4,'quotes':[]}");
    assert_int_equal(worker.q.epoch, EPOCH);
    assert_int_equal(worker.q.answered_us, FAKE_CLOCK_WALL_US);
    assert_true(worker.q.is_complete);
    post_request(quote("A1"));
    receives("{'op':'snapshot','id':3,'pattern':'A1','from':0,'limit':1}");
    answers("{'id':3,'error':'full'}");
    is_told(429, "");
}

/* --- history -------------------------------------------------------------------------------- */

static void history_is_the_brokers_or_an_error_with_its_reason(void **state)
{
    static const struct {
        const char *answer;
        int status;
    } cases[] = {
        {"'epoch':7,'last':3", 200},
        {"'epoch':8,'last':3", 410},
        {"'last':3", 410},
        {"'epoch':7,'last':0", 404},
        {"'epoch':7", 404},
        {"'error':'full'", 429},
        {"'error':'store','message':'disk'", 500},
    };
    struct loop_request q = {
        .kind = LOOP_REQUEST_HISTORY,
        .text = "A1",
        .limit = 9,
        .timeline =
            {.has_epoch = true, .epoch = 7, .after = 1, .before = 2, .since_us = 3, .until_us = 4},
    };
    char text[200];

    (void)state;
    post_request(q);
    is_told(503, "");
    meet();
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        post_request(q);
        snprintf(text, sizeof text,
                 "{'op':'history','id':%u,'symbol':'A1','order':'newest','after':1,'before':2,"
                 "'since':3,'until':4,'limit':9}",
                 i + 2);
        receives(text);
        snprintf(text, sizeof text, "{'id':%u,%s}", i + 2, cases[i].answer);
        answers(text);
        if (cases[i].status == 200)
            is_told_packed(200, text);
        else
            is_told(cases[i].status, "");
    }
    q.timeline = (struct timeline){.is_oldest_first = true};
    post_request(q);
    receives("{'op':'history','id':9,'symbol':'A1','order':'oldest','after':0,'before':0,'since':0,"
             "'until':0,'limit':9}");
    answers("{'id':9,'epoch':8,'last':1}");
    is_told_packed(200, "{'id':9,'epoch':8,'last':1}");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_handlers, tear_down_handlers)
    const struct CMUnitTest tests[] = {
        TEST(without_broker_what_is_here_is_stale_and_not_complete),
        TEST(without_broker_pages_are_followed_by_number),
        TEST(long_answers_take_several_turns_and_keep_their_order),
        TEST(at_the_end_what_is_under_way_is_503),
        TEST(without_broker_one_quote_is_here_or_503),
        TEST(a_gateway_that_has_everything_answers_by_itself),
        TEST(more_than_a_page_is_the_brokers),
        TEST(a_gateway_that_misses_something_asks_the_broker),
        TEST(one_quote_is_the_brokers),
        TEST(history_is_the_brokers_or_an_error_with_its_reason),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
