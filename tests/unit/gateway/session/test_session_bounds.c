/* Sessions at the edges: requests that meet, turns that are full, clients that do not read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "gateway/fanout/hub_state.h"
#include "gateway/session/resume_group.h"
#include "tests/unit/gateway/session/resume_fixture.h"
#include "tests/unit/packed.h"

static bool has_heard(struct peer *p, const char *part)
{
    while (take_frame(p))
        if (strstr(buf_text(&p->text), part))
            return true;
    return false;
}

static void a_resume_ends_the_automatic_subscription(void **state)
{
    struct peer *p;

    (void)state;
    follow("A,B,*");
    quote("A", "1");
    quote("B", "2");
    turn();
    p = come("");
    pass(5);
    receives_all(p);
    writes(p, "{\"op\":\"subscribe\",\"symbols\":[\"A\"],\"mode\":\"all\","
              "\"since\":{\"epoch\":\"" EPOCH_TEXT "\",\"seq\":2}}");
    pass(5);
    receives_all(p);
    writes(p, "{\"op\":\"list\"}");
    pass(2);
    assert_true(has_heard(p, "\"symbols\":[\"A\"]"));
    writes(p, "{\"op\":\"subscribe\",\"symbols\":[\"B\"]}");
    pass(5);
    receives_all(p);
    writes(p, "{\"op\":\"list\"}");
    pass(2);
    assert_true(has_heard(p, "\"symbols\":[\"A\",\"B\"]"));
}

/* Only `live` is live; the client is ahead of this gateway until the gateway has caught up. */
static void check_patience(const char *live, const char *query)
{
    struct peer *p;

    follow(live);
    quote(live, "1");
    turn();
    p = come(query);
    pass(5);
    receives_all(p);
    quote(live, "2");
    quote(live, "3");
    pass(3);
    assert_false(has_heard(p, "\"op\":\"subscribe\""));
}

static void a_request_waits_for_each_of_its_topics(void **state)
{
    (void)state;
    check_patience("A", "symbols=A,Z&since=" EPOCH_TEXT ":3");
}

static void a_request_waits_for_each_of_its_topics_in_whatever_order_they_come(void **state)
{
    (void)state;
    check_patience("Z", "symbols=Z,A&since=" EPOCH_TEXT ":3");
}

static void a_full_turn_knows_that_requests_are_left(void **state)
{
    struct buf query = {0};
    size_t count = 0;

    (void)state;
    buf_adds(&query, "symbols=");
    for (int i = 0; i < 20; i++)
        buf_printf(&query, "%sS%02d", i ? "," : "", i);
    come(buf_text(&query));
    pass(20);
    sync_topics();
    pass(20);
    for (int i = 0; i < 40; i++)
        come(buf_text(&query));
    for (; all->waiting && count < 1000; count++) {
        now++;
        turn();
        assert_true(!all->waiting || all->has_spare_work || sessions_have_more(all) ||
                    hub_has_due(all->hub));
    }
    assert_true(count > 1 && count < 1000);
    buf_free(&query);
}

static void a_session_that_has_used_its_steps_goes_on_in_the_next_millisecond(void **state)
{
    struct peer *p;

    (void)state;
    follow("A");
    p = come("symbols=A");
    pass(20);
    for (int i = 0; i < SESSION_READ_FRAMES; i++) {
        writes(p,
               "{\"op\":\"subscribe\",\"symbols\":[\"A\"],\"comment\":\"it costs 20 steps or more, "
               "because a step is 16 bytes, and a message as such costs 8, so that 32 of these "
               "cost more than 512\"}");
        turn();
    }
    assert_true(p->s->requests && all->has_spare_work);
    pass(1);
    assert_false(p->s->requests || all->has_spare_work);
}

static void a_new_log_leaves_no_backlog_counted_as_dirty(void **state)
{
    struct peer *p;

    (void)state;
    follow("A,B,C");
    p = come("symbols=A,B,C");
    pass(5);
    receives_all(p);
    p->room = 0;
    for (int i = 0; i < 2; i++) {
        quote("A", "1");
        quote("B", "2");
        quote("C", "3");
        pass(2);
    }
    writes(p, "{\"op\":\"unsubscribe\",\"symbols\":[\"A\"]}");
    pass(2);
    assert_int_equal(all->hub->dirty_count, 1);
    hub_reset(all->hub, EPOCH + 1);
    sessions_reset(all, "test");
    assert_int_equal(all->hub->dirty_count, 0);
    p->room = UNLIMITED;
}

static void a_client_that_does_not_read_losses_is_closed(void **state)
{
    size_t most = (size_t)config.client_queue, count = 0;
    struct peer *p;

    (void)state;
    follow("A");
    p = come("symbols=A");
    pass(5);
    receives_all(p);
    p->room = 0;
    quote("A", "1");
    pass(2);
    for (; count < 50000 && p->s && !p->s->is_closing; count++) {
        sessions_report_loss(all, ++head, body_of("1"));
        assert_true(p->s->out.len <= most);
        if (count % 100 == 0)
            pass(1);
    }
    assert_true(count > 100 && count < 50000);
    p->room = UNLIMITED;
}

/* --- requests ------------------------------------------------------------------------------- */

static void an_id_is_repeated_if_it_has_at_most_64_bytes(void **state)
{
    (void)state;
    for (int is_msgpack = 0; is_msgpack < 2; is_msgpack++) {
        struct peer *p = arrive("symbols=A", is_msgpack ? ENCODING_MSGPACK : ENCODING_JSON, NULL);
        char text[200], begin[200];

        pass(2);
        sync_topics();
        pass(2);
        receives_all(p);
        snprintf(text, sizeof text, "{\"op\":\"ping\",\"id\":\"%064d\"}", 0);
        writes(p, text);
        snprintf(begin, sizeof begin, "{\"type\":\"ack\",\"op\":\"ping\",\"id\":\"%064d\",", 0);
        receives(p, begin);
        snprintf(text, sizeof text, "{\"op\":\"ping\",\"id\":\"%065d\"}", 0);
        writes(p, text);
        receives(p, "{\"type\":\"error\",\"code\":\"bad_request\",\"message\":\"'id' must be");
        writes(p, "{\"op\":\"dance\",\"id\":9}");
        receives(p, "{\"type\":\"error\",\"id\":9,\"code\":\"unknown_op\"");
        writes(p, "{\"op\":\"ping\",\"id\":123456789012345678}");
        receives(p, "{\"type\":\"ack\",\"op\":\"ping\",\"id\":123456789012345678,");
        writes(p, "{\"op\":\"ping\",\"id\":1234567890123456789}"); /* as it was written */
        receives(p, is_msgpack ? "{\"type\":\"ack\",\"op\":\"ping\",\"id\":\"1234567890123456789\","
                               : "{\"type\":\"ack\",\"op\":\"ping\",\"id\":1234567890123456789,");
        writes(p, "{\"op\":\"ping\",\"id\":1.50}");
        receives(p, is_msgpack ? "{\"type\":\"ack\",\"op\":\"ping\",\"id\":\"1.50\","
                               : "{\"type\":\"ack\",\"op\":\"ping\",\"id\":1.50,");
    }
}

static void a_session_that_ends_amid_its_requests_leaves_nothing(void **state)
{
    struct buf query = {0};
    struct peer *p;

    (void)state;
    follow("A");
    quote("A", "1");
    turn();
    buf_adds(&query, "symbols=A");
    for (int i = 0; i < 200; i++)
        buf_printf(&query, ",S%d", i);
    p = come(buf_text(&query));
    buf_free(&query);
    turn(); /* a slice of it is done */
    assert_true(p->s->requests && p->s->request->patterns.len);
    writes(p, "{\"op\":\"ping\"}");
    assert_true(p->s->waiting_bytes > 0);
    session_drop(p->s, "test");
    turn();
    assert_null(all->waiting);
    /* Requests that the broker never answered are freed with the gateway. */
    hub_break_window(all->hub, 9);
    p = come("symbols=A&mode=all&since=" EPOCH_TEXT ":0");
    turn();
    assert_int_equal(request_count, 1);
    session_drop(p->s, "test");
    turn();
    assert_non_null(all->resumes);
    request_count = 0;
}

/* A new log comes while the symbols of S* are searched for a new client; the ack has the member. */
static void begin_a_new_log_amid_a_join(const char *query, const char *member)
{
    char name[16];
    struct peer *p;

    follow("S*");
    for (int i = 0; i < 2000; i++) {
        snprintf(name, sizeof name, "S%04d", i);
        quote(name, "1");
    }
    turn();
    p = come(query);
    pass(1);
    assert_non_null(p->s->sub.join);
    receives(p, "{\"type\":\"welcome\"");
    receives_nothing(p); /* it is being found */
    hub_reset(all->hub, EPOCH + 1);
    sessions_reset(all, "log_replaced");
    head = 0;
    hub_thaw(all->hub);
    quote("S0007", "2");
    sync_topics();
    pass(50);
    assert_true(has_heard(p, "{\"type\":\"reset\",\"epoch\":\"0000000000000abd\""));
    assert_true(has_heard(p, "{\"type\":\"ack\",\"op\":\"subscribe\""));
    with(p, member);
    assert_true(has_heard(p, "\"symbol\":\"S0007\",\"seq\":1,"));
    assert_int_equal(p->s->requests, 0);
}

static void a_new_log_amid_a_join_begins_it_again(void **state)
{
    (void)state;
    begin_a_new_log_amid_a_join("symbols=S*", "\"symbols\":[\"S*\"]");
}

static void a_new_log_amid_a_join_recovers_nothing(void **state)
{
    (void)state;
    begin_a_new_log_amid_a_join("symbols=S*&since=" EPOCH_TEXT ":1999", "\"recovered\":false");
}

static void a_symbol_that_is_left_and_resumed_comes_once(void **state)
{
    struct peer *p;

    (void)state;
    follow("A,B");
    p = come_back("symbols=A,B&mode=all");
    receives_all(p);
    p->room = 0;
    quote("A", "1");
    quote("B", "2");
    turn();
    quote("A", "3");
    turn();
    writes(p, "{\"op\":\"unsubscribe\",\"symbols\":[\"A\"]}");
    writes(p, "{\"op\":\"subscribe\",\"symbols\":[\"A\"],\"since\":{\"epoch\":\"" EPOCH_TEXT
              "\",\"seq\":0}}");
    turn();
    p->room = UNLIMITED;
    pass(20);
    receives(p, "{\"type\":\"ack\",\"op\":\"unsubscribe\"");
    receives(p, SUBSCRIBED);
    with(p, "\"recovered\":true");
    receives(p, QUOTE("B", "2"));
    receives(p, QUOTE("A", "1"));
    receives(p, QUOTE("A", "3"));
    receives_nothing(p);
}

static void a_turn_that_is_full_begins_the_next_one_with_those_it_left_out(void **state)
{
    struct peer *list[2 * SESSION_TURN_STEPS / SESSION_STEPS];
    size_t count = sizeof list / sizeof *list;
    char text[4300];

    (void)state;
    snprintf(text, sizeof text, "{\"op\":\"ping\",\"comment\":\"%04100d\"}", 0);
    follow("A");
    for (size_t i = 0; i < count; i++)
        list[i] = come("symbols=A");
    pass(20);
    for (size_t i = 0; i < count; i++) {
        list[i]->s->steps = 0;
        list[i]->s->steps_at = now;
        for (int k = 0; k < 3; k++) /* two of them use up the steps of a millisecond */
            send_frame(list[i], FINAL | OPCODE_TEXT, text, strlen(text));
    }
    turn();
    now++;
    turn();
    for (size_t i = 0; i < count; i++)
        assert_int_equal(list[i]->s->requests, i < count / 2 ? 1 : 3);
    now++;
    turn();
    for (size_t i = 0; i < count; i++)
        assert_int_equal(list[i]->s->requests, 1);
}

/* A client of mode all whose records of A after position 1 are requested from the log. */
static struct peer *come_for_the_log(void)
{
    follow("A");
    quote("A", "1");
    quote("A", "2");
    turn();
    hub_break_window(all->hub, head);
    return come_back("symbols=A&mode=all&since=" EPOCH_TEXT ":1");
}

static void broker_answers(const char *json)
{
    struct buf bytes = {0};

    packed(&bytes, json);
    answer_request(buf_span(&bytes));
    buf_free(&bytes);
    turn();
}

static void a_page_of_another_log_is_requested_again(void **state)
{
    struct peer *p = come_for_the_log();

    (void)state;
    broker_answers("{'epoch':2749,'first':1,'upto':2,'head':2,'gaps':[],'records':[]}");
    receives_nothing(p);
    assert_int_equal(p->s->requests, 1);
    pass(RESUME_GROUP_RETRY_MS);
    assert_int_equal(request_count, 1);
}

static void a_page_without_positions_is_of_a_log_that_kept_nothing(void **state)
{
    struct peer *p = come_for_the_log();

    (void)state;
    broker_answers("{'epoch':2748}");
    receives(p, SUBSCRIBED);
    with(p, "\"recovered\":false");
    receives(p, "{\"type\":\"snapshot\",\"symbol\":\"A\",\"seq\":2");
}

static void a_change_of_mode_amid_records_keeps_no_symbol_for_ever(void **state)
{
    struct peer *p = come("symbols=A,B");

    (void)state;
    pass(2);
    sync_topics();
    pass(2);
    receives_all(p);
    quote("A", "1");
    hub_fan_out(all->hub);
    p->room = 0;
    writes(p, "{\"op\":\"subscribe\",\"symbols\":[\"A\"],\"mode\":\"all\"}");
    p->room = UNLIMITED;
    pass(20);
    receives_all(p);
    assert_int_equal(p->s->requests, 0);
    session_drop(p->s, "test");
    turn();
    assert_null(hub_topic_first(all->hub));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_resume_ends_the_automatic_subscription),
        TEST(a_request_waits_for_each_of_its_topics),
        TEST(a_request_waits_for_each_of_its_topics_in_whatever_order_they_come),
        TEST(a_full_turn_knows_that_requests_are_left),
        TEST(a_session_that_has_used_its_steps_goes_on_in_the_next_millisecond),
        TEST(a_new_log_leaves_no_backlog_counted_as_dirty),
        TEST(a_client_that_does_not_read_losses_is_closed),
        TEST(an_id_is_repeated_if_it_has_at_most_64_bytes),
        TEST(a_session_that_ends_amid_its_requests_leaves_nothing),
        TEST(a_new_log_amid_a_join_begins_it_again),
        TEST(a_new_log_amid_a_join_recovers_nothing),
        TEST(a_symbol_that_is_left_and_resumed_comes_once),
        TEST(a_turn_that_is_full_begins_the_next_one_with_those_it_left_out),
        TEST(a_page_of_another_log_is_requested_again),
        TEST(a_page_without_positions_is_of_a_log_that_kept_nothing),
        TEST(a_change_of_mode_amid_records_keeps_no_symbol_for_ever),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
