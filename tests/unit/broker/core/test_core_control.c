#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/broker/core/core_fixture.h"

/* The answer to a snapshot: "A@3 live 1.5 | seq=3 symbols=2 next=1". */
static const char *snapshot(const char *json)
{
    struct pack_value list, v[5];
    struct span answer, c;
    struct wire_record r;

    answer_to("p", json);
    answer = last_answer();
    assert_true(span_eq(pack_find_text(answer, "re"), "snapshot"));
    assert_int_equal(pack_find_u(answer, "epoch", 0), LOG_EPOCH);
    assert_true(pack_find(answer, "quotes", &list, &c));
    pack_next(&c, &list);
    buf_clear(&text);
    for (uint32_t i = 0; i < list.count; i++) {
        for (int k = 0; k < 5; k++)
            assert_true(pack_next(&c, &v[k]));
        assert_true(v[0].type == PACK_ARRAY && v[0].count == 4 && v[4].type == PACK_BIN);
        assert_int_equal(wire_read(v[4].text, &r, NULL), OK);
        assert_int_equal(r.kind, WIRE_QUOTE);
        assert_int_equal(r.epoch, LOG_EPOCH);
        buf_printf(&text, "%.*s@%llu %.*s %.*s ", (int)v[1].text.len, v[1].text.at,
                   (unsigned long long)v[2].u, (int)v[3].text.len, v[3].text.at,
                   (int)pack_find_text(r.body, "last").len, pack_find_text(r.body, "last").at);
    }
    buf_printf(&text, "| seq=%llu symbols=%llu",
               (unsigned long long)pack_find_u(answer, "seq", 999),
               (unsigned long long)pack_find_u(answer, "symbols", 999));
    if (pack_find_u(answer, "next", 0))
        buf_printf(&text, " next=%llu", (unsigned long long)pack_find_u(answer, "next", 0));
    forget_sent(replies, &reply_count);
    return buf_text(&text);
}

static void a_snapshot_has_the_newest_of_every_symbol_that_matches(void **state)
{
    (void)state;
    assert_string_equal(snapshot("{'op':'snapshot','id':1,'pattern':'*'}"), "| seq=0 symbols=0");
    grant();
    answer_to("other", HELLO_AS("backup", "two"));
    line(FIRST_FEED_EPOCH, 1, "BTC ", "1");
    line(FIRST_FEED_EPOCH, 2, "BTC/USD ", "2");
    line(FIRST_FEED_EPOCH + 1, 1, "ETH ", "3");
    line(FIRST_FEED_EPOCH, 3, "BTC ", "4");
    assert_string_equal(snapshot("{'op':'snapshot','id':1,'pattern':'*'}"),
                        "BTC@4 live 4 BTC/USD@2 live 2 ETH@3 live 3 | seq=4 symbols=3");
    assert_string_equal(snapshot("{'op':'snapshot','id':1,'pattern':'BTC*'}"),
                        "BTC@4 live 4 BTC/USD@2 live 2 | seq=4 symbols=3");
    assert_string_equal(snapshot("{'op':'snapshot','id':1,'pattern':'BTC'}"),
                        "BTC@4 live 4 | seq=4 symbols=3");
    assert_string_equal(snapshot("{'op':'snapshot','id':1,'pattern':'BT'}"), "| seq=4 symbols=3");
    answer_to("peer", "{'op':'goodbye','id':2,'epoch':" FEED_EPOCH "}");
    assert_string_equal(snapshot("{'op':'snapshot','id':1,'pattern':'*'}"),
                        "BTC@5 stale 4 BTC/USD@6 stale 2 ETH@3 live 3 | seq=6 symbols=3");
}

static void a_long_snapshot_comes_in_pages(void **state)
{
    static const char *const symbols[] = {"A1 ", "B1 ", "A2 ", "B2 ", "A3 "};

    (void)state;
    grant();
    for (size_t i = 0; i < LENGTH(symbols); i++)
        line(FIRST_FEED_EPOCH, i + 1, symbols[i], "1");
    assert_string_equal(snapshot("{'op':'snapshot','id':1,'pattern':'*','limit':2}"),
                        "A1@1 live 1 B1@2 live 1 | seq=5 symbols=5 next=2");
    assert_string_equal(snapshot("{'op':'snapshot','id':1,'pattern':'*','limit':2,'from':2}"),
                        "A2@3 live 1 B2@4 live 1 | seq=5 symbols=5 next=4");
    assert_string_equal(snapshot("{'op':'snapshot','id':1,'pattern':'*','limit':2,'from':4}"),
                        "A3@5 live 1 | seq=5 symbols=5");
    assert_string_equal(snapshot("{'op':'snapshot','id':1,'pattern':'A*','limit':2}"),
                        "A1@1 live 1 A2@3 live 1 | seq=5 symbols=5 next=4");
    assert_string_equal(snapshot("{'op':'snapshot','id':1,'pattern':'A*','limit':2,'from':4}"),
                        "A3@5 live 1 | seq=5 symbols=5");
    assert_string_equal(snapshot("{'op':'snapshot','id':1,'pattern':'*','from':5}"),
                        "| seq=5 symbols=5");
    assert_string_equal(
        snapshot("{'op':'snapshot','id':1,'pattern':'*','from':18446744073709551615}"),
        "| seq=5 symbols=5");
}

static void no_page_is_longer_than_the_broker_allows(void **state)
{
    struct pack_value list;
    uint64_t from = 0, pages = 0, seen = 0;
    char topic[32], json[100];

    (void)state;
    grant();
    for (uint64_t n = 1; n <= 5000; n++) {
        snprintf(topic, sizeof topic, "S%llu ", (unsigned long long)n);
        line(FIRST_FEED_EPOCH, n, topic, "1");
    }
    do {
        snprintf(json, sizeof json,
                 "{'op':'snapshot','id':1,'pattern':'*','limit':1000000,'from':%llu}",
                 (unsigned long long)from);
        answer_to("p", json);
        assert_true(pack_find(last_answer(), "quotes", &list, NULL));
        assert_true(list.count > 0 && last_answer().len < 4 * 1024 * 1024);
        seen += list.count;
        from = pack_find_u(last_answer(), "next", 0);
        pages++;
    } while (from);
    assert_int_equal(seen, 5000);
    assert_true(pages > 1);
}

/* The answer to a replay: "A 1<0, !lost 2<0 | first=1 head=2 upto=2". */
static const char *replay(const char *json)
{
    struct pack_value list, v[3];
    struct span answer, c;
    struct wire_record r;

    answer_to("p", json);
    answer = last_answer();
    assert_true(span_eq(pack_find_text(answer, "re"), "replay"));
    assert_int_equal(pack_find_u(answer, "epoch", 0), LOG_EPOCH);
    assert_true(pack_find(answer, "records", &list, &c));
    pack_next(&c, &list);
    buf_clear(&text);
    for (uint32_t i = 0; i < list.count; i++) {
        for (int k = 0; k < 3; k++)
            assert_true(pack_next(&c, &v[k]));
        assert_true(v[0].type == PACK_ARRAY && v[0].count == 2 && v[2].type == PACK_BIN);
        assert_int_equal(wire_read(v[2].text, &r, NULL), OK);
        assert_int_equal(r.epoch, LOG_EPOCH);
        buf_printf(&text, "%.*s%llu<%llu, ", (int)v[1].text.len, v[1].text.at,
                   (unsigned long long)r.seq, (unsigned long long)r.prev);
    }
    buf_printf(&text, "| first=%llu head=%llu upto=%llu",
               (unsigned long long)pack_find_u(answer, "first", 999),
               (unsigned long long)pack_find_u(answer, "head", 999),
               (unsigned long long)pack_find_u(answer, "upto", 999));
    forget_sent(replies, &reply_count);
    return buf_text(&text);
}

static void a_replay_has_every_record_after_a_position(void **state)
{
    (void)state;
    assert_string_equal(replay("{'op':'replay','id':1,'pattern':'*','after':0}"),
                        "| first=1 head=0 upto=0");
    grant();
    line(FIRST_FEED_EPOCH, 1, "A ", "1");
    line(FIRST_FEED_EPOCH, 2, "B ", "1");
    answer_to("peer",
              "{'op':'lost','id':1,'epoch':" FEED_EPOCH ",'first':3,'last':4,'reason':'x'}");
    line(FIRST_FEED_EPOCH, 5, "A ", "2");
    answer_to("peer", "{'op':'goodbye','id':2,'epoch':" FEED_EPOCH "}");
    assert_string_equal(replay("{'op':'replay','id':1,'pattern':'*','after':0}"),
                        "A 1<0, B 2<0, !lost 3<0, A 4<1, A 5<4, B 6<2, | first=1 head=6 upto=6");
    assert_string_equal(replay("{'op':'replay','id':1,'pattern':'*','after':4}"),
                        "A 5<4, B 6<2, | first=1 head=6 upto=6");
    assert_string_equal(replay("{'op':'replay','id':1,'pattern':'B','after':0}"),
                        "B 2<0, !lost 3<0, B 6<2, | first=1 head=6 upto=6");
    assert_string_equal(replay("{'op':'replay','id':1,'pattern':'A*','after':1}"),
                        "!lost 3<0, A 4<1, A 5<4, | first=1 head=6 upto=6");
    assert_string_equal(replay("{'op':'replay','id':1,'pattern':'*','after':1,'limit':2}"),
                        "B 2<0, !lost 3<0, | first=1 head=6 upto=3");
    assert_string_equal(replay("{'op':'replay','id':1,'pattern':'*','after':6}"),
                        "| first=1 head=6 upto=6");
}

static void after_a_position_beyond_the_head_there_is_nothing(void **state)
{
    static const char *const requests[] = {
        "{'op':'replay','id':1,'pattern':'*','after':3}",
        "{'op':'replay','id':1,'pattern':'*','after':1000000}",
        "{'op':'replay','id':1,'pattern':'*','after':18446744073709551615}",
    };

    (void)state;
    grant();
    line(FIRST_FEED_EPOCH, 1, "A ", "1");
    line(FIRST_FEED_EPOCH, 2, "A ", "1");
    for (size_t i = 0; i < LENGTH(requests); i++)
        assert_memory_equal(replay(requests[i]), "| first=1 head=2 ", 17);
}

static void a_replay_tells_from_where_the_journal_still_has_it(void **state)
{
    uint64_t first;
    char want[100];

    (void)state;
    grant();
    for (uint64_t n = 1; n <= 20000; n++)
        line(FIRST_FEED_EPOCH, n, n % 2 ? "A " : "B ", "1");
    first = journal_first(core.log.journal);
    assert_true(first > 1);
    snprintf(want, sizeof want, "%c %llu<%llu, | first=%llu head=20000 upto=%llu",
             first % 2 ? 'A' : 'B', (unsigned long long)first, (unsigned long long)first - 2,
             (unsigned long long)first, (unsigned long long)first);
    assert_string_equal(replay("{'op':'replay','id':1,'pattern':'*','after':0,'limit':1}"), want);
}

#define GATEWAY_HELLO(name, pid)                                                            \
    "{'op':'hello','id':1,'role':'gateway','name':'" name "','host':'h','http':'http://x'," \
    "'pid':" pid ",'limit':100,'oldest':1,'newest':1}"

static void a_gateway_reports_again_when_the_broker_counts_differently(void **state)
{
    (void)state;
    assert_string_equal(answer_to("g1", "{'op':'report','count':0}"), "{'op':'who'}");
    assert_string_equal(answer_to("g1", GATEWAY_HELLO("gw-1", "5")),
                        "{'re':'hello','id':1,'version':1,'epoch':7777,'seq':0}");
    assert_string_equal(answer_to("g1", "{'op':'report','reset':true,'count':2,'opened':["
                                        "[1,'192.0.2.1',1001,1640995200000000,'json'],"
                                        "[2,'192.0.2.2',1002,1640995200000001,'msgpack']],"
                                        "'closed':[]}"),
                        "");
    assert_string_equal(answer_to("g1", "{'op':'report','count':1,'opened':[],'closed':[1]}"), "");
    assert_string_equal(answer_to("g1", "{'op':'report','count':1}"), "");
    assert_string_equal(answer_to("g1", "{'op':'report','count':3}"), "{'op':'who'}");
    assert_string_equal(answer_to("g1", "{'op':'report'}"), "");
    assert_string_equal(
        answer_to("p", "{'op':'connections','id':9}"),
        "{'re':'connections','id':9,'total':1,'gateways':[{'name':'gw-1','host':'h',"
        "'http':'http://"
        "x','pid':5,'connections':1,'limit':100,'since':1640995200000000}],"
        "'connections':[['gw-1','192.0.2.2',1002,1640995200000001,'msgpack']]}");
    assert_string_equal(answer_to("g1", "{'op':'goodbye','id':3}"), "{'re':'goodbye','id':3}");
    assert_non_null(
        strstr(answer_to("p", "{'op':'connections','id':9}"), "'total':0,'gateways':[]"));
}

static void a_report_with_nonsense_in_it_counts_what_made_sense(void **state)
{
    struct buf message = {0};

    (void)state;
    answer_to("g1", GATEWAY_HELLO("gw-1", "5"));
    assert_string_equal(answer_to("g1", "{'op':'report','opened':[[7,'h',1,1,'json'],"
                                        "[8,'h',1,1,'json'],[9,'h','port',1,'json'],"
                                        "[10,'h',1,1,'json']],'count':2}"),
                        "");
    assert_string_equal(answer_to("g1", "{'op':'report','opened':7,'closed':'x','count':2}"), "");
    assert_string_equal(
        answer_to("g1", "{'op':'report','opened':[[11,'a host name that is much too long for any "
                        "address there is',1,1,'json']],'count':2}"),
        "");
    /* Only an integer is an id: 7 as a float is not. */
    unhex(&message, "83 a26f70 a67265706f7274 a6636c6f736564 91 cb0000000000000007"
                    "a5636f756e74 02");
    core_control(&core, SPAN("g1"), buf_span(&message));
    assert_int_equal(registry_total(core.registry), 2);
    buf_free(&message);
    assert_string_equal(answer_to("g1", "{'op':'report','closed':[[7],-7,8],'count':2}"), "");
    assert_string_equal(answer_to("g1", "{'op':'report','closed':[8,8,999],'count':1}"), "");
}

static void a_silent_gateway_is_gone_with_its_connections(void **state)
{
    (void)state;
    answer_to("g1", GATEWAY_HELLO("gw-1", "5"));
    answer_to("g1", "{'op':'report','count':1,'opened':[[1,'h',1,1,'json']]}");
    pass_time(WIRE_GATEWAY_LEASE_MS - 1);
    core_tick(&core);
    assert_int_equal(registry_total(core.registry), 1);
    answer_to("g1", "{'op':'report','count':1}"); /* that is its heartbeat */
    pass_time(WIRE_GATEWAY_LEASE_MS - 1);
    core_tick(&core);
    assert_int_equal(registry_total(core.registry), 1);
    pass_time(1);
    core_tick(&core);
    assert_int_equal(registry_gateways(core.registry), 0);
    assert_string_equal(answer_to("g1", "{'op':'report','count':1}"), "{'op':'who'}");
}

static void connections_are_paged_across_gateways(void **state)
{
    static const struct {
        const char *json;
        int count;
        const char *first; /* port */
    } table[] = {
        {"{'op':'connections','id':1}", 5, "11"},
        {"{'op':'connections','id':1,'limit':2}", 2, "11"},
        {"{'op':'connections','id':1,'limit':2,'offset':2}", 2, "13"},
        {"{'op':'connections','id':1,'limit':2,'offset':4}", 1, "22"},
        {"{'op':'connections','id':1,'limit':3,'offset':3}", 2, "21"},
        {"{'op':'connections','id':1,'offset':5}", 0, NULL},
        {"{'op':'connections','id':1,'offset':18446744073709551615}", 0, NULL},
        {"{'op':'connections','id':1,'limit':0}", 0, NULL},
        {"{'op':'connections','id':1,'limit':1000000}", 5, "11"},
    };

    (void)state;
    answer_to("g1", GATEWAY_HELLO("gw-1", "5"));
    answer_to("g2", GATEWAY_HELLO("gw-2", "6"));
    answer_to("g1", "{'op':'report','opened':[[1,'h',11,1,'json'],[2,'h',12,1,'json'],"
                    "[3,'h',13,1,'json']]}");
    answer_to("g2", "{'op':'report','opened':[[1,'h',21,1,'json'],[2,'h',22,1,'json']]}");
    for (size_t i = 0; i < LENGTH(table); i++) {
        const char *list = strstr(answer_to("p", table[i].json), "],'connections':[") + 16;
        char first[40];
        int count = 0;

        for (const char *at = list; (at = strstr(at, "['gw-")); at++)
            count++;
        if (count != table[i].count)
            fail_msg("%s: %s", table[i].json, list);
        if (!table[i].first)
            continue;
        snprintf(first, sizeof first, ",'h',%s,", table[i].first);
        assert_memory_equal(list + 8, first, strlen(first));
    }
}

static void more_connections_than_a_page_holds_are_cut(void **state)
{
    struct buf json = {0};
    struct pack_value list;

    (void)state;
    answer_to("g1", GATEWAY_HELLO("gw-1", "5"));
    buf_adds(&json, "{'op':'report','opened':[");
    for (int i = 0; i < 1200; i++)
        buf_printf(&json, "%s[%d,'h',1,1,'json']", i ? "," : "", i);
    buf_adds(&json, "],'count':1200}");
    assert_string_equal(answer_to("g1", buf_text(&json)), "");
    buf_free(&json);
    answer_to("p", "{'op':'connections','id':1,'limit':5000}");
    assert_int_equal(pack_find_u(last_answer(), "total", 0), 1200);
    assert_true(pack_find(last_answer(), "connections", &list, NULL));
    assert_int_equal(list.count, 1000);
}

static void status_tells_what_there_is(void **state)
{
    const char *status;

    (void)state;
    grant();
    answer_to("g1", GATEWAY_HELLO("gw-1", "5"));
    line(FIRST_FEED_EPOCH, 1, "A ", "1");
    line(FIRST_FEED_EPOCH, 2, "A ", "x");
    line(FIRST_FEED_EPOCH, 2, "A ", "x");
    pass_time(300);
    status = answer_to("p", "{'op':'status','id':6}");
    assert_memory_equal(status, "{'re':'status','id':6,'version':'", 33);
    assert_non_null(strstr(status, ",'epoch':7777,'seq':1,'symbols':1,"
                                   "'started':1640995200000000,'journal_first':1,"));
    assert_non_null(strstr(status, ",'process':{'cpu_us':"));
    assert_non_null(strstr(status, "'gateways':[{'name':'gw-1',"));
    assert_non_null(strstr(status,
                           "'feeds':[{'name':'sim','host':'h','stored':0,'pid':9,"
                           "'epoch':" FEED_EPOCH ",'live':true,'left':false,'silent_ms':300,"
                           "'received':2,'accepted':1,'refused':1,"
                           "'refusals':{'bad_price':1},'refused_in_row':1,"
                           "'refused_why':'bad_price','quote_ms':300,'duplicates':1,'lost':0}]"));
}

static void small_questions_have_small_answers(void **state)
{
    (void)state;
    assert_string_equal(answer_to("p", "{'op':'ping','id':7}"), "{'re':'ping','id':7}");
    assert_string_equal(answer_to("p", "{'id':7,'op':'ping','more':[1,{'a':2}]}"),
                        "{'re':'ping','id':7}");
    assert_string_equal(answer_to("p", "{'op':'ping'}"), "{'re':'ping','id':0}");
    assert_string_equal(answer_to("p", "{'op':'nonsense','id':9}"),
                        "{'re':'nonsense','id':9,'error':'not_found','message':'no such op'}");
}

static void a_malformed_question_is_dropped(void **state)
{
    static const char *const bad[] = {
        "",
        "c1",
        "81 a26f70",
        "81 a26f70 a470696e67 00", /* ping, and a byte more */
        "82 a26f70 a470696e67 a26f70 a470696e67",
        "81 01 a470696e67",
        "81 a26f70 d40100",
        "dfffffffff",
    };

    (void)state;
    for (size_t i = 0; i < LENGTH(bad); i++) {
        struct buf message = {0};

        unhex(&message, bad[i]);
        core_control(&core, SPAN("p"), buf_span(&message));
        buf_free(&message);
    }
    assert_int_equal(reply_count, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_snapshot_has_the_newest_of_every_symbol_that_matches),
        TEST(a_long_snapshot_comes_in_pages),
        TEST(no_page_is_longer_than_the_broker_allows),
        TEST(a_replay_has_every_record_after_a_position),
        TEST(after_a_position_beyond_the_head_there_is_nothing),
        TEST(a_replay_tells_from_where_the_journal_still_has_it),
        TEST(a_gateway_reports_again_when_the_broker_counts_differently),
        TEST(a_report_with_nonsense_in_it_counts_what_made_sense),
        TEST(a_silent_gateway_is_gone_with_its_connections),
        TEST(connections_are_paged_across_gateways),
        TEST(more_connections_than_a_page_holds_are_cut),
        TEST(status_tells_what_there_is),
        TEST(small_questions_have_small_answers),
        TEST(a_malformed_question_is_dropped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
