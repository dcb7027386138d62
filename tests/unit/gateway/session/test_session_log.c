/* The records of the broker's log that a reconnecting client gets, and exactly when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gateway/session/resume_group.h"
#include "tests/unit/gateway/session/resume_fixture.h"
#include "tests/unit/packed.h"

#define STATE(symbol, seq) "{\"type\":\"state\",\"symbol\":\"" symbol "\",\"seq\":" seq ","

/* The members of the only request under way, as JSON. */
static void request_has(const char *members)
{
    struct buf text = {0};

    assert_int_equal(request_count, 1);
    assert_string_equal(requests[0].op, "replay");
    assert_string_equal(unpacked(&text, buf_span(&requests[0].body)), members);
    buf_free(&text);
}

/* A page of the log: its records are added one by one. */
static struct buf page;
static msgpack_packer packer;

static void begin_page(uint64_t first, uint64_t upto, uint64_t last, uint32_t records)
{
    buf_clear(&page);
    msgpack_packer_init(&packer, &page, buf_pack_write);
    msgpack_pack_map(&packer, 5);
    pack_kv_u(&packer, "epoch", EPOCH);
    pack_kv_u(&packer, "first", first);
    pack_kv_u(&packer, "upto", upto);
    pack_kv_u(&packer, "head", last);
    pack_key(&packer, "records");
    msgpack_pack_array(&packer, records);
}

static void add_record(const char *topic, enum wire_kind kind, uint64_t seq, const char *body)
{
    struct wire_record r = {.kind = kind, .epoch = EPOCH, .seq = seq, .prev = seq - 1};
    struct buf record = {0}, bytes = {0};

    packed(&bytes, body);
    r.body = buf_span(&bytes);
    wire_put(&record, &r);
    msgpack_pack_array(&packer, 2);
    pack_text(&packer, span_of(topic));
    msgpack_pack_bin_with_body(&packer, record.data, record.len);
    buf_free(&record);
    buf_free(&bytes);
}

static void end_page(void)
{
    answer_request(buf_span(&page));
    turn();
    turn();
    buf_free(&page);
}

/* So many quotes of A, all forgotten by the window. */
static void publish(uint64_t count)
{
    follow("A");
    while (head < count)
        quote("A", "1");
    turn();
    hub_break_window(all->hub, head);
}

static void the_log_has_quotes_and_states_of_what_is_wanted(void **state)
{
    struct peer *p;

    (void)state;
    follow("A,B");
    publish(6);
    p = come_back("symbols=B,A&mode=all&since=" EPOCH_TEXT ":1");
    request_has("{'pattern':'A,B','after':1,'limit':500}");
    begin_page(1, 6, 6, 5);
    add_record("A ", WIRE_QUOTE, 2, "{'last':'2'}");
    add_record("B ", WIRE_STATE, 3, "{'state':'stale'}");
    add_record("B ", WIRE_STATE, 4, "{'state':'live'}");
    add_record("Z ", WIRE_QUOTE, 5, "{'last':'5'}"); /* nobody wants it */
    add_record("A ", WIRE_QUOTE, 6, "{'last':'6'}");
    end_page();
    receives(p, SUBSCRIBED);
    with(p, "\"seq\":1,");
    with(p, "\"recovered\":true");
    receives(p, QUOTE("A", "2"));
    with(p, "\"last\":\"2\"");
    receives(p, STATE("B", "3"));
    with(p, "\"state\":\"stale\"");
    receives(p, STATE("B", "4"));
    with(p, "\"state\":\"live\"");
    receives(p, QUOTE("A", "6"));
    receives_nothing(p);
    assert_null(hub_find(all->hub, SPAN("Z")));
    assert_int_equal(p->s->requests, 0);
}

static void with_very_many_patterns_everything_is_asked_for(void **state)
{
    struct buf query = {0};

    (void)state;
    for (int i = 0; i < RESUME_GROUP_PATTERNS; i++)
        buf_printf(&query, "%sS%02d", i ? "," : "", i);
    follow("A");
    quote("A", "1");
    quote("A", "2");
    turn();
    hub_break_window(all->hub, head);
    {
        struct buf whole = {0};

        buf_printf(&whole, "mode=all&since=" EPOCH_TEXT ":1&symbols=%s", buf_text(&query));
        come(buf_text(&whole));
        pass(20);
        sync_topics();
        pass(20);
        assert_non_null(memmem(requests[0].body.data, requests[0].body.len, "S00,S01", 7));
        answer_request(SPAN(""));
        buf_printf(&whole, ",S64");
        come(buf_text(&whole));
        pass(20);
        sync_topics();
        pass(20);
        request_has("{'pattern':'*','after':1,'limit':500}");
        buf_free(&whole);
    }
    buf_free(&query);
}

/* A client at `since`, whose page begins at `first`, of a log up to 4. */
static bool is_recovered(uint64_t since, uint64_t first)
{
    char query[100];
    struct peer *p;
    bool is;

    snprintf(query, sizeof query, "symbols=A&mode=all&since=" EPOCH_TEXT ":%llu",
             (unsigned long long)since);
    hub_break_window(all->hub, head + 100); /* the window helps nobody */
    p = come_back(query);
    begin_page(first, 4, 4, 0);
    end_page();
    receives(p, SUBSCRIBED);
    is = strstr(buf_text(&p->text), "\"recovered\":true");
    if (!is)
        with(p, "\"recovered\":false");
    session_drop(p->s, "test");
    turn();
    while (request_count)
        answer_request(SPAN(""));
    pass(RESUME_GROUP_RETRY_MS);
    return is;
}

static void the_first_position_of_the_log_decides_whether_nothing_is_missing(void **state)
{
    (void)state;
    publish(4);
    assert_true(is_recovered(1, 1));
    assert_true(is_recovered(1, 2));
    assert_false(is_recovered(1, 3)); /* the second is gone */
    assert_true(is_recovered(4, 1));
    assert_false(is_recovered(5, 1)); /* there is none such */
}

static void the_window_helps_from_the_position_where_a_topic_became_live(void **state)
{
    struct peer *p;

    (void)state;
    follow("A");
    for (int i = 0; i < 3; i++)
        quote("A", "1");
    turn();
    hub_topic_synced(hub_topic_find(all->hub, SPAN("A")), 3);
    quote("A", "4");
    turn();
    p = come_back("symbols=A&mode=all&since=" EPOCH_TEXT ":3");
    assert_int_equal(request_count, 0);
    receives(p, SUBSCRIBED);
    receives(p, QUOTE("A", "4"));
    p = come_back("symbols=A&mode=all&since=" EPOCH_TEXT ":2");
    receives_nothing(p);
    request_has("{'pattern':'A','after':2,'limit':500}");
}

static void the_ack_states_the_position_that_is_gone_on_from(void **state)
{
    struct peer *p;

    (void)state;
    follow("A");
    for (int i = 0; i < 3; i++)
        quote("A", "1");
    turn();
    p = come_back("symbols=A&mode=all&since=" EPOCH_TEXT ":1");
    p->room = 0;
    receives(p, SUBSCRIBED);
    with(p, "\"seq\":1,");
    assert_int_equal(p->s->stated_seq, 1);
    p->room = UNLIMITED;
    pass(config.heartbeat + 2000);
    receives(p, QUOTE("A", "2"));
    receives(p, QUOTE("A", "3"));
    while (take_frame(p) && p->last_opcode != OPCODE_TEXT)
        ;
    with(p, "{\"type\":\"heartbeat\",\"seq\":3,");
}

static void the_state_of_each_symbol_without_a_newer_record_is_sent_once(void **state)
{
    unsigned states[700] = {0}, n;
    char name[16];
    struct peer *p;

    (void)state;
    config.client_queue = 1 << 24;
    follow("S*");
    for (unsigned i = 0; i < 700; i++) {
        snprintf(name, sizeof name, "S%03u", i);
        quote(name, "1");
    }
    turn();
    p = come("symbols=S*&mode=all&since=" EPOCH_TEXT ":699");
    pass(50);
    receives(p, "{\"type\":\"welcome\"");
    receives(p, SUBSCRIBED);
    receives(p, QUOTE("S699", "700"));
    while (take_frame(p)) {
        assert_int_equal(sscanf(buf_text(&p->text), "{\"type\":\"state\",\"symbol\":\"S%u", &n), 1);
        states[n]++;
    }
    for (n = 0; n < 700; n++)
        assert_int_equal(states[n], n < 699);
    assert_int_equal(p->s->requests, 0);
}

/* --- the broker is away ------------------------------------------------------------ */

static void while_the_broker_is_away_an_ack_promises_no_more_than_is_known(void **state)
{
    struct peer *p;

    (void)state;
    follow("A");
    quote("A", "1");
    quote("A", "2");
    turn();
    is_broker_here = false;
    p = come_back("symbols=A,Z&since=" EPOCH_TEXT ":1");
    receives(p, SUBSCRIBED);
    with(p, "\"seq\":1,");
    with(p, "\"recovered\":true");
    with(p, "\"upstream\":\"away\"");
    assert_true(p->s->is_incomplete);
    p = come_back("symbols=A,Z&since=" EPOCH_TEXT ":9"); /* it is believed */
    receives(p, SUBSCRIBED);
    with(p, "\"recovered\":true");
    p = come_back("symbols=A,Z");
    receives(p, SUBSCRIBED);
    with(p, "\"seq\":0,");
    without(p, "recovered");
    p = come_back("symbols=A,Z&since=0000000000000def:1");
    receives(p, SUBSCRIBED);
    with(p, "\"seq\":0,");
    with(p, "\"recovered\":false");
}

static void positions_are_stated_again_once_all_topics_are_live(void **state)
{
    struct peer *p;

    (void)state;
    config.ws_ping_interval = 1000000;
    follow("A");
    quote("A", "1");
    turn();
    is_broker_here = false;
    p = come_back("symbols=A,Z");
    receives_all(p);
    quote("A", "2");
    turn();
    receives(p, QUOTE("A", "2"));
    pass(config.heartbeat + 2000);
    receives(p, "{\"type\":\"heartbeat\",\"seq\":0,");
    sync_topics();
    pass(config.heartbeat + 2000);
    receives(p, "{\"type\":\"heartbeat\",\"seq\":2,");
    assert_false(p->s->is_incomplete);
}

static void topics_that_were_live_before_a_restart_are_awaited_again(void **state)
{
    struct peer *p;

    (void)state;
    follow("A");
    p = come_back("symbols=A,Z");
    receives_nothing(p);
    hub_resync(all->hub);
    hub_topic_synced(hub_topic_find(all->hub, SPAN("Z")), 0);
    turn();
    receives_nothing(p); /* now A is missing */
    sync_topics();
    turn();
    receives(p, SUBSCRIBED);
}

static int tear_down_log(void **state)
{
    buf_free(&page);
    return tear_down(state);
}

int main(void)
{
#undef TEST
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down_log)
    const struct CMUnitTest tests[] = {
        TEST(the_log_has_quotes_and_states_of_what_is_wanted),
        TEST(with_very_many_patterns_everything_is_asked_for),
        TEST(the_first_position_of_the_log_decides_whether_nothing_is_missing),
        TEST(the_window_helps_from_the_position_where_a_topic_became_live),
        TEST(the_ack_states_the_position_that_is_gone_on_from),
        TEST(the_state_of_each_symbol_without_a_newer_record_is_sent_once),
        TEST(while_the_broker_is_away_an_ack_promises_no_more_than_is_known),
        TEST(positions_are_stated_again_once_all_topics_are_live),
        TEST(topics_that_were_live_before_a_restart_are_awaited_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
