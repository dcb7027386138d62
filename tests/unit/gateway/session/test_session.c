/* The session's answer to each request of its client, in both encodings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/gateway/session/session_fixture.h"

#define WELCOME "{\"type\":\"welcome\",\"protocol\":\"pregon.v1."
#define SUBSCRIBED "{\"type\":\"ack\",\"op\":\"subscribe\""

/* A client that has subscribed to these patterns and has read all its messages. */
static struct peer *come_live(const char *query)
{
    struct peer *p = come(query);

    turn();
    sync_topics();
    turn();
    receives_all(p);
    return p;
}

/* --- the begin -------------------------------------------------------------------------------- */

static void welcome_comes_first_then_the_ack_of_the_url_then_snapshots(void **state)
{
    (void)state;
    for (enum encoding encoding = ENCODING_JSON; encoding <= ENCODING_MSGPACK; encoding++) {
        struct peer *p;

        tear_down(state);
        set_up(state);
        quote("EUR/USD", "1.1");
        p = arrive("symbols=EUR/USD,BTC*&mode=all", encoding, NULL);
        assert_int_equal(p->s->since_us, all->wall_us);
        turn();
        receives(p, encoding ? WELCOME "msgpack\",\"gateway\":\"gw\",\"connection\":\"gw:1\""
                             : WELCOME "json\",\"gateway\":\"gw\",\"connection\":\"gw:1\"");
        with(p, "\"epoch\":\"" EPOCH_TEXT "\"");
        with(p, "\"limits\":{\"symbols\":1000,\"message_bytes\":65536,\"queue_bytes\":"
                "1048576}");
        sync_topics();
        turn();
        receives(p, SUBSCRIBED ",\"epoch\":\"" EPOCH_TEXT "\"");
        with(p, "\"symbols\":[\"EUR/USD\",\"BTC*\"],\"rejected\":[]");
        without(p, "auto");
        receives(p, "{\"type\":\"snapshot\",\"symbol\":\"EUR/USD\"");
        quote("BTC/USD", "9");
        turn();
        receives(p, "{\"type\":\"quote\",\"symbol\":\"BTC/USD\"");
        with(p, "\"last\":");
        receives_nothing(p);
    }
}

static void a_client_that_subscribes_to_nothing_gets_the_automatic_subscription(void **state)
{
    struct peer *p;

    (void)state;
    quote("EUR/USD", "1.1");
    p = come("");
    turn();
    sync_topics();
    turn();
    receives(p, WELCOME);
    receives(p, SUBSCRIBED);
    with(p, "\"symbols\":[\"*\"]");
    with(p, "\"auto\":true");
    receives(p, "{\"type\":\"snapshot\"");
    writes(p, "{\"op\":\"subscribe\",\"symbols\":[\"GBP/USD\"]}");
    sync_topics();
    turn();
    receives(p, SUBSCRIBED);
    quote("EUR/USD", "1.2");
    turn();
    receives_nothing(p); /* the automatic subscription has ended */
    writes(p, "{\"op\":\"list\"}");
    receives(p, "{\"type\":\"ack\",\"op\":\"list\"");
    with(p, "\"symbols\":[\"GBP/USD\"]");
}

static void the_automatic_subscription_says_when_more_symbols_match_than_it_may_have(void **state)
{
    struct peer *p;

    (void)state;
    config.auto_max = 2;
    quote("A", "1");
    quote("B", "1");
    quote("C", "1");
    p = come("");
    turn();
    sync_topics();
    turn();
    receives(p, WELCOME);
    receives(p, SUBSCRIBED);
    receives(p, "{\"type\":\"error\",\"code\":\"auto_max\",\"message\":\"3 symbols match");
    receives(p, "{\"type\":\"snapshot\"");
    receives(p, "{\"type\":\"snapshot\"");
    receives_nothing(p);
}

static void a_parameter_of_the_url_that_makes_no_sense_is_named_and_the_others_apply(void **state)
{
    struct peer *p = come("symbols=A&mode=some&max_hz=0&trace=yes&since=1:2");

    (void)state;
    turn();
    sync_topics();
    turn();
    receives(p, WELCOME);
    receives(p, "{\"type\":\"error\",\"code\":\"bad_request\",\"message\":\"?mode=");
    receives(p, "{\"type\":\"error\",\"code\":\"bad_request\",\"message\":\"?max_hz=");
    receives(p, "{\"type\":\"error\",\"code\":\"bad_request\",\"message\":\"?trace=");
    receives(p, "{\"type\":\"error\",\"code\":\"bad_request\",\"message\":\"?since=");
    receives(p, SUBSCRIBED);
    with(p, "\"symbols\":[\"A\"]");
    without(p, "recovered");
    p = come_live("symbols=A&mode=all&max_hz=4&trace=true&since=" EPOCH_TEXT ":0");
    assert_true(p->s->sub.wants_all && session_is_traced(p->s));
    assert_int_equal(p->s->interval_ms, 250);
}

static void come_early(struct accepted *a)
{
    a->is_early = true;
}

static void come_refused(struct accepted *a)
{
    a->explain_close = 4403;
    strcpy(a->explain_reason, "{\"code\":\"origin_not_allowed\"}");
}

static void a_refused_client_has_no_place_and_is_closed_with_the_reason(void **state)
{
    struct peer *p = arrive("", ENCODING_JSON, come_refused);

    (void)state;
    receives_close(p, 4403, "{\"code\":\"origin_not_allowed\"}");
    assert_int_equal(all->place_count, 0);
    assert_int_equal(p->places, 0);
    writes_close(p, 4403);
    assert_true(p->is_closed);
    p = arrive("", ENCODING_JSON, come_early);
    turn();
    receives_close(p, 1002, "{\"code\":\"too_early\"}");
    assert_int_equal(all->place_count, 1);
}

/* --- requests ------------------------------------------------------------------------------- */

static void each_op_is_answered_with_its_id_in_both_encodings(void **state)
{
    (void)state;
    for (enum encoding encoding = ENCODING_JSON; encoding <= ENCODING_MSGPACK; encoding++) {
        struct peer *p = arrive("symbols=A", encoding, NULL);

        turn();
        sync_topics();
        turn();
        receives_all(p);
        writes(p, "{\"op\":\"ping\",\"id\":7}");
        receives(p, "{\"type\":\"ack\",\"op\":\"ping\",\"id\":7,\"seq\":0,\"timestamp\":16");
        writes(p, "{\"op\":\"ping\",\"id\":\"a\\\"b\"}");
        receives(p, "{\"type\":\"ack\",\"op\":\"ping\",\"id\":\"a\\\"b\"");
        writes(p, "{\"op\":\"ping\",\"id\":null}");
        receives(p, "{\"type\":\"ack\",\"op\":\"ping\",\"seq\"");
        writes(p, "{\"op\":\"subscribe\",\"symbols\":[\"B*\",\"b\",\"\",\"B*\"],\"id\":-1}");
        sync_topics();
        turn();
        receives(p, SUBSCRIBED ",\"id\":-1,\"epoch\":\"" EPOCH_TEXT "\",\"seq\":0");
        with(p, "\"symbols\":[\"B*\"],\"rejected\":[\"b\",\"\"]");
        writes(p, "{\"op\":\"unsubscribe\",\"symbols\":[\"A\",\"C\"],\"id\":2}");
        receives(p, "{\"type\":\"ack\",\"op\":\"unsubscribe\",\"id\":2,\"seq\":0,"
                    "\"symbols\":[\"A\"],\"rejected\":[\"C\"]}");
        writes(p, "{\"op\":\"list\",\"id\":3,\"more\":1}");
        receives(p, "{\"type\":\"ack\",\"op\":\"list\",\"id\":3,\"seq\":0,\"mode\":\"merge\","
                    "\"symbols\":[\"B*\"]}");
        receives_nothing(p);
    }
}

static void a_message_in_msgpack_is_read_like_its_json(void **state)
{
    struct peer *p = arrive("symbols=A", ENCODING_MSGPACK, NULL);
    struct buf b = {0};
    msgpack_packer pk;

    (void)state;
    turn();
    sync_topics();
    turn();
    receives_all(p);
    msgpack_packer_init(&pk, &b, buf_pack_write);
    msgpack_pack_map(&pk, 2);
    pack_kv_text(&pk, "op", SPAN("ping"));
    pack_kv_u(&pk, "id", 12345678901);
    send_frame(p, FINAL | OPCODE_BINARY, b.data, b.len);
    turn();
    receives(p, "{\"type\":\"ack\",\"op\":\"ping\",\"id\":12345678901");
    send_frame(p, FINAL | OPCODE_BINARY, b.data, b.len - 1);
    turn();
    receives(p, "{\"type\":\"error\",\"code\":\"bad_request\",\"message\":\"not one "
                "well-formed");
    buf_free(&b);
    p = come_live("symbols=A");
    send_frame(p, FINAL | OPCODE_BINARY, "\x80", 1);
    turn();
    receives(p, "{\"type\":\"error\",\"code\":\"bad_request\",\"message\":\"send text");
}

/* Everything that a request could change in its session and in the gateway. */
static const char *state_of(struct peer *p)
{
    static char text[2000];
    const struct session *s = p->s;
    int len = snprintf(
        text, sizeof text,
        "%d %u %d %d %d %u %zu %lld %llu %llu %llu %zu %llu %llu:", s->sub.wants_all,
        s->interval_ms, (int)s->sub.backlog.quote_as, s->is_auto, s->is_closing, s->requests,
        s->waiting_bytes, (long long)s->flush_at, (unsigned long long)s->stated_seq,
        (unsigned long long)s->sub.backlog.sent_seq, (unsigned long long)s->sub.backlog.merged,
        all->traced_count, (unsigned long long)all->place_counts[0][0],
        (unsigned long long)all->place_counts[1][0]);

    for (const struct hub_topic *t = hub_topic_first(all->hub); t; t = t->next)
        len +=
            snprintf(text + len, sizeof text - (size_t)len, " %s=%u%s%s", t->pattern, t->references,
                     hub_is_member(&s->sub, t) ? "m" : "", hub_topic_has_all(t) ? "a" : "");
    return text;
}

/* Each with the beginning of its error. */
static const struct {
    const char *request, *code, *message;
} refused[] = {
    {"", "bad_request", ""},
    {"x", "bad_request", ""},
    {"[]", "bad_request", "a request is an object with 'op'"},
    {"{}", "bad_request", "a request is an object with 'op'"},
    {"{\"op\":1}", "bad_request", "a request is an object with 'op'"},
    {"{\"op\":\"dance\"}", "unknown_op", "'op' must be subscribe"},
    {"{\"op\":\"ping\",\"id\":[]}", "bad_request", "'id' must be"},
    {"{\"op\":\"list\",\"id\":true}", "bad_request", "'id' must be"},
    {"{\"op\":\"unsubscribe\"}", "bad_request", "'symbols' must be an array"},
    {"{\"op\":\"unsubscribe\",\"symbols\":\"A\"}", "bad_request", "'symbols' must be an array"},
    {"{\"op\":\"unsubscribe\",\"symbols\":[\"A\",1]}", "bad_request", "'symbols' must hold"},
    {"{\"op\":\"unsubscribe\",\"symbols\":[\"A\"],\"mode\":\"all\"}", "bad_request",
     "unsubscribe has no member 'mode'"},
    {"{\"op\":\"subscribe\",\"mode\":\"all\"}", "bad_request", "'symbols' must be an array"},
    {"{\"op\":\"subscribe\",\"mode\":\"all\",\"symbols\":[\"B\",null]}", "bad_request",
     "'symbols' must hold"},
    {"{\"op\":\"subscribe\",\"symbols\":[\"B\"],\"max_hz\":5,\"mode\":\"some\"}", "bad_request",
     "'mode' must be"},
    {"{\"op\":\"subscribe\",\"symbols\":[\"B\"],\"mode\":\"all\",\"max_hz\":\"5\"}", "bad_request",
     "'max_hz' must be"},
    {"{\"op\":\"subscribe\",\"symbols\":[\"B\"],\"mode\":\"all\",\"max_hz\":1001}", "bad_request",
     "'max_hz' must be"},
    {"{\"op\":\"subscribe\",\"symbols\":[\"B\"],\"mode\":\"all\",\"max_hz\":0.009}", "bad_request",
     "'max_hz' must be"},
    {"{\"op\":\"subscribe\",\"symbols\":[\"B\"],\"mode\":\"all\",\"max_hz\":-1}", "bad_request",
     "'max_hz' must be"},
    {"{\"op\":\"subscribe\",\"symbols\":[\"B\"],\"mode\":\"all\",\"max_hz\":5,"
     "\"trace\":1}",
     "bad_request", "'trace' must be"},
    {"{\"op\":\"subscribe\",\"symbols\":[\"B\"],\"mode\":\"all\",\"trace\":true,"
     "\"since\":{\"epoch\":\"abc\",\"seq\":1}}",
     "bad_request", "'since' must be"},
    {"{\"op\":\"subscribe\",\"symbols\":[\"B\"],\"mode\":\"all\",\"trace\":true,"
     "\"since\":{\"epoch\":\"" EPOCH_TEXT "\",\"seq\":-1}}",
     "bad_request", "'since' must be"},
    {"{\"op\":\"subscribe\",\"symbols\":[\"B\"],\"mode\":\"all\",\"trace\":true,"
     "\"since\":{\"epoch\":\"" EPOCH_TEXT "\",\"seq\":99999999999999999999}}",
     "bad_request", "'since' must be"},
    {"{\"op\":\"subscribe\",\"symbols\":[\"B\"],\"mode\":\"all\",\"trace\":true,"
     "\"since\":5}",
     "bad_request", "'since' must be"},
    {"{\"op\":\"subscribe\",\"symbols\":[\"B\"],\"mode\":\"all\",\"trace\":true,"
     "\"sincee\":5}",
     "bad_request", "subscribe has no member 'sincee'"},
};

static void a_refused_request_changes_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct peer *p = come_live(i % 2 ? "symbols=A,C*&max_hz=100" : "");
        char before[2000], text[200];

        snprintf(before, sizeof before, "%s", state_of(p));
        writes(p, refused[i].request);
        snprintf(text, sizeof text, "{\"type\":\"error\",\"code\":\"%s\",\"message\":\"%s",
                 refused[i].code, refused[i].message);
        receives(p, text);
        sync_topics();
        turn();
        receives_nothing(p);
        if (strcmp(before, state_of(p)) != 0)
            fail_msg("%s changed %s into %s", refused[i].request, before, state_of(p));
        session_drop(p->s, "next");
        turn();
    }
}

static void a_refused_request_repeats_its_id_and_says_at_which_byte_it_is_wrong(void **state)
{
    struct peer *p = come_live("symbols=A");

    (void)state;
    writes(p, "{\"op\":\"subscribe\",\"id\":9,\"symbols\":[],\"mode\":\"x\"}");
    receives(p, "{\"type\":\"error\",\"id\":9,\"code\":\"bad_request\"");
    with(p, "\"at\":45}");
}

static void a_hundred_errors_in_a_minute_are_answered_and_one_more_closes(void **state)
{
    struct peer *p = come_live("symbols=A");

    (void)state;
    for (int minute = 0; minute < 2; minute++) {
        for (int i = 0; i < SESSION_BAD_REQUESTS; i++) {
            pass(1);
            writes(p, "{\"op\":\"?\"}");
            receives(p, "{\"type\":\"error\",\"code\":\"unknown_op\"");
        }
        now += minute ? 0 : 60000;
        p->s->heard_at = now;
    }
    writes(p, "{\"op\":\"?\"}");
    receives(p, "{\"type\":\"error\"");
    receives_close(p, 4429, "{\"code\":\"too_many_errors\"}");
    writes_close(p, 4429);
    assert_true(p->is_closed);
    assert_int_equal(counters.ends[COUNTERS_END_too_many_errors], 1);
}

static void a_request_waits_for_those_before_it_and_each_is_answered_in_order(void **state)
{
    struct peer *p = come_live("symbols=A");

    (void)state;
    writes(p, "{\"op\":\"subscribe\",\"id\":1,\"symbols\":[\"B\"]}");
    writes(p, "{\"op\":\"ping\",\"id\":2}");
    writes(p, "{\"op\":\"unsubscribe\",\"id\":3,\"symbols\":[\"A\"]}");
    writes(p, "");
    receives_nothing(p); /* B is not live yet */
    sync_topics();
    turn();
    receives(p, SUBSCRIBED ",\"id\":1");
    receives(p, "{\"type\":\"ack\",\"op\":\"ping\",\"id\":2");
    receives(p, "{\"type\":\"ack\",\"op\":\"unsubscribe\",\"id\":3");
    receives(p, "{\"type\":\"error\"");
    receives_nothing(p);
}

/* --- options ---------------------------------------------------------------------------------- */

static void a_change_to_mode_all_applies_from_the_next_record(void **state)
{
    struct peer *p = come_live("symbols=A");

    (void)state;
    quote("A", "1");
    quote("A", "2");
    turn();
    receives(p, "{\"type\":\"quote\",\"symbol\":\"A\",\"seq\":2");
    receives_nothing(p);
    writes(p, "{\"op\":\"subscribe\",\"symbols\":[],\"mode\":\"all\"}");
    receives(p, SUBSCRIBED);
    assert_int_equal(all->place_counts[1][ENCODING_JSON], 1);
    quote("A", "3");
    turn();
    quote("A", "4");
    turn();
    receives(p, "{\"type\":\"quote\",\"symbol\":\"A\",\"seq\":3");
    receives(p, "{\"type\":\"quote\",\"symbol\":\"A\",\"seq\":4,\"prev\":3");
    writes(p, "{\"op\":\"list\"}");
    receives(p, "{\"type\":\"ack\",\"op\":\"list\",\"seq\":4,\"mode\":\"all\"");
}

static void max_hz_bounds_the_batches_and_not_the_answers(void **state)
{
    struct peer *p = come_live("symbols=A,B&max_hz=10");

    (void)state;
    quote("A", "1");
    turn();
    receives(p, "{\"type\":\"quote\",\"symbol\":\"A\",\"seq\":1");
    pass(10);
    quote("A", "2");
    quote("B", "3");
    turn();
    writes(p, "{\"op\":\"ping\"}");
    receives(p, "{\"type\":\"ack\",\"op\":\"ping\"");
    pass(80);
    quote("A", "4");
    pass(9);
    receives_nothing(p);
    pass(1);
    receives(p, "{\"type\":\"quote\",\"symbol\":\"A\",\"seq\":4");
    receives(p, "{\"type\":\"quote\",\"symbol\":\"B\",\"seq\":3");
    receives_nothing(p);
}

static void trace_adds_the_times_to_quotes_until_it_is_turned_off(void **state)
{
    struct peer *p = come_live("symbols=A&trace=true");

    (void)state;
    assert_int_equal(all->traced_count, 1);
    quote("A", "1");
    turn();
    receives(p, "{\"type\":\"quote\",\"symbol\":\"A\"");
    with(p, "\"trace\":{");
    writes(p, "{\"op\":\"subscribe\",\"symbols\":[],\"trace\":true}");
    receives(p, SUBSCRIBED);
    with(p, "\"trace\":true");
    writes(p, "{\"op\":\"subscribe\",\"symbols\":[],\"trace\":false}");
    receives(p, SUBSCRIBED);
    without(p, "trace");
    assert_int_equal(all->traced_count, 0);
    quote("A", "2");
    turn();
    receives(p, "{\"type\":\"quote\",\"symbol\":\"A\"");
    without(p, "trace");
}

static void a_subscription_to_nothing_has_missed_nothing(void **state)
{
    struct peer *p = come_live("symbols=A&mode=all");

    (void)state;
    hub_break_window(all->hub, 9);
    writes(p, "{\"op\":\"subscribe\",\"symbols\":[],\"since\":{\"epoch\":\"" EPOCH_TEXT
              "\",\"seq\":0}}");
    receives(p, SUBSCRIBED);
    with(p, "\"recovered\":true");
    assert_int_equal(request_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(welcome_comes_first_then_the_ack_of_the_url_then_snapshots),
        TEST(a_client_that_subscribes_to_nothing_gets_the_automatic_subscription),
        TEST(the_automatic_subscription_says_when_more_symbols_match_than_it_may_have),
        TEST(a_parameter_of_the_url_that_makes_no_sense_is_named_and_the_others_apply),
        TEST(a_refused_client_has_no_place_and_is_closed_with_the_reason),
        TEST(each_op_is_answered_with_its_id_in_both_encodings),
        TEST(a_message_in_msgpack_is_read_like_its_json),
        TEST(a_refused_request_changes_nothing),
        TEST(a_refused_request_repeats_its_id_and_says_at_which_byte_it_is_wrong),
        TEST(a_hundred_errors_in_a_minute_are_answered_and_one_more_closes),
        TEST(a_request_waits_for_those_before_it_and_each_is_answered_in_order),
        TEST(a_change_to_mode_all_applies_from_the_next_record),
        TEST(max_hz_bounds_the_batches_and_not_the_answers),
        TEST(a_subscription_to_nothing_has_missed_nothing),
        TEST(trace_adds_the_times_to_quotes_until_it_is_turned_off),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
