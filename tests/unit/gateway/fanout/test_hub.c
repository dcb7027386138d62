#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/gateway/fanout/hub_fixture.h"
#include "tests/unit/gateway/fanout/hub_reader_fixture.h"

/* Does a subscriber in mode all follow this symbol? */
static bool has_all(const char *symbol)
{
    struct span name = span_of(symbol);

    return hub_cover(hub, name, hub_find(hub, name)).has_all;
}

static void patterns_are_symbols_prefixes_and_the_star(void **state)
{
    static const struct {
        const char *pattern;
        bool is_one;
    } table[] = {
        {"*", true},
        {"EUR/USD", true},
        {"BTC*", true},
        {"B*", true},
        {"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345", true},
        {"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345*", true},
        {"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456", false},
        {"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456*", false},
        {"", false},
        {"**", false},
        {"B**", false},
        {"*C", false},
        {"B*C", false},
        {"btc", false},
        {"b*", false},
        {"BTC ", false},
    };

    (void)state;
    for (size_t i = 0; i < LENGTH(table); i++)
        if (hub_is_pattern(span_of(table[i].pattern)) != table[i].is_one)
            fail_msg("%s", table[i].pattern);
}

static void a_member_gets_what_is_there_and_then_what_comes(void **state)
{
    struct hub_subscriber s = {.encoding = ENCODING_JSON};

    (void)state;
    quote("A", 1, 0, "one");
    assert_int_equal(join(&s, "A", NO_LIMIT), 1);
    assert_string_equal(turn(&s), "snapshot A 1<0 live one");
    quote("B", 2, 0, "two");
    assert_string_equal(turn(&s), "");
    quote("A", 3, 1, "three");
    assert_string_equal(turn(&s), "quote A 3<1 live three");
    assert_string_equal(turn(&s), "");
    hub_leave_all(hub, &s);
}

static void a_symbol_nobody_has_heard_of_may_be_joined(void **state)
{
    struct hub_subscriber s = {.encoding = ENCODING_MSGPACK};

    (void)state;
    assert_int_equal(join(&s, "NEW", NO_LIMIT), 0);
    assert_string_equal(turn(&s), "");
    quote("NEW", 7, 0, "v");
    assert_string_equal(turn(&s), "quote NEW 7<0 live v");
    hub_leave_all(hub, &s);
}

static void a_name_that_no_feed_supplies_is_not_kept(void **state)
{
    struct hub_subscriber s = {0};

    (void)state;
    quote("A", 1, 0, "v");
    for (int i = 0; i < 1000; i++) {
        char name[16];

        snprintf(name, sizeof name, "NONE%d", i);
        join(&s, name, NO_LIMIT);
        assert_true(hub_leave(hub, &s, span_of(name)));
    }
    assert_int_equal(hub_symbol_count(hub), 1);
    forget_all();
    assert_null(hub_topic_first(hub));
    assert_non_null(hub_find(hub, SPAN("A")));
    assert_int_equal(hub_symbol_end(hub), 1);
    hub_leave_all(hub, &s);
}

static void a_symbol_of_an_old_log_is_forgotten_with_its_last_topic(void **state)
{
    struct hub_subscriber s = {0};

    (void)state;
    join(&s, "A*", NO_LIMIT);
    for (int i = 0; i < SYMBOLS - 1; i++) {
        char name[16];

        snprintf(name, sizeof name, "A%d", i);
        quote(name, (uint64_t)i + 1, 0, "v");
    }
    turn(&s);
    hub_reset(hub, 2);
    forget_all();
    assert_int_equal(hub_symbol_count(hub), SYMBOLS - 1);
    quote("A7", 1, 0, "new");
    turn(&s);
    hub_leave_all(hub, &s);
    forget_all();
    assert_int_equal(hub_symbol_count(hub), 1);
    assert_int_equal(hub_symbol_end(hub), 8);
    assert_non_null(hub_find(hub, SPAN("A7")));
    quote("B", 2, 0, "v"); /* takes the index of one that was forgotten */
    assert_true(hub_find(hub, SPAN("B"))->index < 7);
}

static void a_pattern_waits_for_symbols_that_may_come(void **state)
{
    static const char *const waiting[] = {"*", "N*", "NE*", "NEW*", "NEW"};

    (void)state;
    for (size_t i = 0; i < LENGTH(waiting); i++) {
        struct hub_subscriber s = {.encoding = ENCODING_JSON};

        join(&s, waiting[i], NO_LIMIT);
        quote("NEWER", 1, 0, "v");
        quote("NEW", 2, 0, "v");
        assert_non_null(strstr(turn(&s), "quote NEW "));
        hub_leave_all(hub, &s);
        hub_free(hub);
        set_up(state);
    }
}

static void a_symbol_is_sent_once_whatever_matches(void **state)
{
    struct hub_subscriber s = {.encoding = ENCODING_JSON}, all = {.wants_all = true};

    (void)state;
    quote("BTC/USD", 1, 0, "v");
    quote("ETH", 2, 0, "w");
    join(&s, "BTC/USD", NO_LIMIT);
    join(&s, "BTC*", NO_LIMIT);
    join(&s, "*", NO_LIMIT);
    assert_int_equal(join(&s, "*", NO_LIMIT), 0); /* held already */
    assert_string_equal(turn(&s), "snapshot BTC/USD 1<0 live v | snapshot ETH 2<0 live w");
    join(&all, "*", NO_LIMIT);
    join(&all, "BTC*", NO_LIMIT);
    take_all(&all);
    quote("BTC/USD", 3, 1, "x");
    assert_string_equal(turn(&s), "quote BTC/USD 3<1 live x");
    assert_string_equal(take_all(&all), "quote BTC/USD 3<1 live x");
    hub_leave_all(hub, &s);
    hub_leave_all(hub, &all);
}

static void snapshots_go_up_to_the_limit_and_the_rest_is_counted(void **state)
{
    struct hub_subscriber s = {.encoding = ENCODING_JSON};

    (void)state;
    quote("A1", 1, 0, "v");
    quote("A2", 2, 0, "v");
    quote("A3", 3, 0, "v");
    hub_fan_out(hub);
    assert_int_equal(join(&s, "A*", 2), 3);
    assert_string_equal(turn(&s), "snapshot A1 1<0 live v | snapshot A2 2<0 live v");
    quote("A3", 4, 3, "w");
    assert_string_equal(turn(&s), "quote A3 4<3 live w");
    hub_leave_all(hub, &s);
}

static void in_merge_the_newest_replaces_what_was_not_sent(void **state)
{
    struct hub_subscriber s = {.encoding = ENCODING_JSON};

    (void)state;
    join(&s, "*", NO_LIMIT);
    quote("A", 1, 0, "a1");
    quote("B", 2, 0, "b1");
    hub_fan_out(hub);
    backlog_took(&s.backlog, 0); /* the socket is full */
    quote("A", 3, 1, "a2");
    hub_fan_out(hub);
    quote("A", 4, 3, "a3");
    hub_fan_out(hub);
    assert_string_equal(take_all(&s), "quote A 4<3 live a3 | quote B 2<0 live b1");
    assert_int_equal(s.backlog.merged, 2);
    quote("B", 5, 2, "b2"); /* all in one turn */
    quote("B", 6, 5, "b3");
    assert_string_equal(turn(&s), "quote B 6<5 live b3");
    assert_int_equal(s.backlog.merged, 3);
    hub_leave_all(hub, &s);
    assert_int_equal(hub_merged(hub), 3); /* of all subscribers, also of those gone */
}

static void in_mode_all_every_record_comes_in_order(void **state)
{
    struct hub_subscriber s = {.encoding = ENCODING_JSON, .wants_all = true};

    (void)state;
    join(&s, "A", NO_LIMIT);
    quote("A", 1, 0, "a1");
    quote("A", 3, 1, "a2");
    quote("B", 4, 0, "b1");
    state_record("A", 5, 3, "stale");
    quote("A", 6, 5, "a3");
    assert_string_equal(take_all(&s), "quote A 1<0 live a1 | quote A 3<1 live a2 | "
                                      "state A 5<3 stale a2 | quote A 6<5 live a3");
    assert_true(has_all("A"));
    assert_false(has_all("B"));
    hub_leave_all(hub, &s);
    assert_false(has_all("A"));
}

static void symbols_with_a_quote_of_this_log_are_counted_once(void **state)
{
    (void)state;
    quote("A", 1, 0, "a1");
    quote("A", 2, 1, "a2");
    assert_int_equal(hub_valued_count(hub), 1);
    snapshot("B", 3, false, 3, "b1");
    snapshot("B", 4, false, 4, "b2");
    assert_int_equal(hub_valued_count(hub), 2);
    hub_reset(hub, 2);
    assert_int_equal(hub_valued_count(hub), 0);
    quote("A", 1, 0, "a1");
    snapshot("B", 2, false, 2, "b1");
    assert_int_equal(hub_valued_count(hub), 2);
}

static void a_subscriber_that_changes_its_mode_is_served_in_it_from_then_on(void **state)
{
    struct hub_subscriber s = {.encoding = ENCODING_JSON},
                          other = {.encoding = ENCODING_JSON, .wants_all = true};

    (void)state;
    join(&s, "A", NO_LIMIT);
    join(&s, "B*", NO_LIMIT);
    join(&other, "B*", NO_LIMIT);
    quote("A", 1, 0, "a1");
    assert_false(has_all("A"));
    hub_fan_out(hub);
    assert_string_equal(take_all(&s), "quote A 1<0 live a1");
    hub_set_mode(&s, true);
    hub_set_mode(&s, true);
    assert_true(has_all("A"));
    quote("A", 2, 1, "a2");
    quote("A", 3, 2, "a3");
    assert_string_equal(take_all(&s), "quote A 2<1 live a2 | quote A 3<2 live a3");
    hub_set_mode(&s, false);
    assert_false(has_all("A"));
    quote("B", 4, 0, "b1");
    assert_true(has_all("B"));
    hub_leave_all(hub, &other);
    assert_false(has_all("B"));
    hub_leave_all(hub, &s);
}

static void a_record_for_every_symbol_reaches_mode_all_once(void **state)
{
    struct hub_subscriber all = {.encoding = ENCODING_JSON, .wants_all = true},
                          pack = {.encoding = ENCODING_MSGPACK, .wants_all = true},
                          merge = {.encoding = ENCODING_JSON};
    struct frame *lost[ENCODING_COUNT] = {frame_new(OPCODE_TEXT, SPAN("lost as text")),
                                          frame_new(OPCODE_BINARY, SPAN("lost as pack"))};

    (void)state;
    join(&all, "*", NO_LIMIT);
    join(&all, "A", NO_LIMIT);
    join(&pack, "B", NO_LIMIT);
    join(&merge, "*", NO_LIMIT);
    hub_queue_all(hub, lost);
    frame_release(&lost[0]);
    frame_release(&lost[1]);
    assert_string_equal(take_all(&all), "lost as text");
    assert_string_equal(take_all(&pack), "lost as pack");
    assert_string_equal(take_all(&merge), "");
    hub_leave_all(hub, &all);
    hub_leave_all(hub, &pack);
    hub_leave_all(hub, &merge);
}

static void records_of_a_pattern_that_was_left_are_no_longer_sent(void **state)
{
    struct hub_subscriber s = {.encoding = ENCODING_JSON};

    (void)state;
    join(&s, "A1", NO_LIMIT);
    join(&s, "A*", NO_LIMIT);
    join(&s, "B", NO_LIMIT);
    quote("A1", 1, 0, "v");
    quote("A2", 2, 0, "v");
    quote("B", 3, 0, "v");
    hub_fan_out(hub);
    backlog_fall_behind(&s.backlog);
    assert_true(hub_leave(hub, &s, SPAN("A*")));
    assert_false(hub_leave(hub, &s, SPAN("A*")));
    assert_false(hub_leave(hub, &s, SPAN("C")));
    assert_string_equal(take_all(&s), "quote A1 1<0 live v | quote B 3<0 live v");
    forget_all();
    assert_null(hub_topic_find(hub, SPAN("A*")));
    assert_non_null(hub_topic_find(hub, SPAN("A1")));
    hub_leave_all(hub, &s);
    forget_all();
    assert_null(hub_topic_first(hub));
}

static void a_subscriber_that_was_not_flushed_in_its_turn_has_fallen_behind(void **state)
{
    struct hub_subscriber s = {.encoding = ENCODING_JSON};

    (void)state;
    join(&s, "*", NO_LIMIT);
    quote("A", 1, 0, "a1");
    hub_fan_out(hub); /* and the turn had no time for it */
    quote("A", 2, 1, "a2");
    quote("B", 3, 0, "b1");
    hub_fan_out(hub);
    assert_string_equal(take_all(&s), "quote A 2<1 live a2 | quote B 3<0 live b1");
    assert_int_equal(s.backlog.merged, 1);
    assert_int_equal(hub_merged(hub), 1);
    hub_leave_all(hub, &s);
}

static void a_record_is_encoded_once_however_many_want_it(void **state)
{
    struct hub_subscriber many[40] = {0};

    (void)state;
    for (size_t i = 0; i < LENGTH(many); i++) {
        many[i].encoding = i % 2 ? ENCODING_JSON : ENCODING_MSGPACK;
        many[i].wants_all = i % 3 == 0;
        join(&many[i], i % 5 ? "A" : "*", NO_LIMIT);
    }
    quote("A", 1, 0, "v");
    hub_fan_out(hub);
    for (size_t i = 0; i < LENGTH(many); i++) {
        struct frame *f = backlog_peek(&many[i].backlog, many[i].encoding, 0);

        assert_ptr_equal(f, backlog_peek(&many[i % 2].backlog, many[i].encoding, 0));
        assert_string_equal(text_of(f), "quote A 1<0 live v");
    }
    assert_int_equal(frames_made, 2);
    for (size_t i = 0; i < LENGTH(many); i++)
        hub_leave_all(hub, &many[i]);
}

static void a_traced_quote_is_another_frame_only_for_clients_that_asked_for_traces(void **state)
{
    struct hub_subscriber subscribers[4] = {{.wants_all = true}, {.wants_all = true}};

    (void)state;
    subscribers[1].backlog.quote_as = subscribers[3].backlog.quote_as = MESSAGE_TRACED;
    for (size_t i = 0; i < LENGTH(subscribers); i++)
        join(&subscribers[i], "*", NO_LIMIT);
    quote("A", 1, 0, "v");
    hub_fan_out(hub);
    for (size_t i = 0; i < LENGTH(subscribers); i++)
        assert_string_equal(take_all(&subscribers[i]),
                            i % 2 ? "traced A 1<0 live v" : "quote A 1<0 live v");
    assert_int_equal(frames_made, 2);
    state_record("A", 2, 1, "stale");
    hub_fan_out(hub);
    for (size_t i = 0; i < LENGTH(subscribers); i++)
        assert_string_equal(take_all(&subscribers[i]), "state A 2<1 stale v");
    snapshot("A", 3, false, 3, "w");
    hub_fan_out(hub);
    for (size_t i = 0; i < LENGTH(subscribers); i++)
        assert_string_equal(take_all(&subscribers[i]), "snapshot A 3<0 live w");
    assert_int_equal(frames_made, 4);
    for (size_t i = 0; i < LENGTH(subscribers); i++)
        hub_leave_all(hub, &subscribers[i]);
}

static void a_subscriber_with_unsent_records_is_flushed_once_and_in_turn(void **state)
{
    struct hub_subscriber a = {0}, b = {0}, c = {0};

    (void)state;
    join(&a, "*", NO_LIMIT);
    join(&b, "*", NO_LIMIT);
    join(&c, "*", NO_LIMIT);
    assert_false(hub_has_due(hub));
    hub_set_due(hub, &b);
    hub_set_due(hub, &b);
    quote("A", 1, 0, "v");
    hub_fan_out(hub);
    assert_true(hub_has_due(hub));
    hub_leave_all(hub, &c);
    for (int i = 0; i < 2; i++) {
        struct hub_subscriber *s = hub_take_due(hub);

        assert_true(s == &a || s == &b);
        assert_false(s->is_due);
    }
    assert_null(hub_take_due(hub));
    assert_false(hub_has_due(hub));
    hub_leave_all(hub, &a);
    hub_leave_all(hub, &b);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(patterns_are_symbols_prefixes_and_the_star),
        TEST(a_member_gets_what_is_there_and_then_what_comes),
        TEST(a_symbol_nobody_has_heard_of_may_be_joined),
        TEST(a_name_that_no_feed_supplies_is_not_kept),
        TEST(a_symbol_of_an_old_log_is_forgotten_with_its_last_topic),
        TEST(a_pattern_waits_for_symbols_that_may_come),
        TEST(a_symbol_is_sent_once_whatever_matches),
        TEST(snapshots_go_up_to_the_limit_and_the_rest_is_counted),
        TEST(in_merge_the_newest_replaces_what_was_not_sent),
        TEST(in_mode_all_every_record_comes_in_order),
        TEST(symbols_with_a_quote_of_this_log_are_counted_once),
        TEST(a_subscriber_that_changes_its_mode_is_served_in_it_from_then_on),
        TEST(a_record_for_every_symbol_reaches_mode_all_once),
        TEST(records_of_a_pattern_that_was_left_are_no_longer_sent),
        TEST(a_subscriber_that_was_not_flushed_in_its_turn_has_fallen_behind),
        TEST(a_record_is_encoded_once_however_many_want_it),
        TEST(a_traced_quote_is_another_frame_only_for_clients_that_asked_for_traces),
        TEST(a_subscriber_with_unsent_records_is_flushed_once_and_in_turn),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
