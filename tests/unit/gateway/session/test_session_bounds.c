/* Sessions at the edges: requests that meet, turns that are full, clients that do not read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "gateway/fanout/hub_state.h"
#include "tests/unit/gateway/session/session_fixture.h"

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
    hears_all(p);
    says(p, "{\"op\":\"subscribe\",\"symbols\":[\"A\"],\"mode\":\"all\","
            "\"since\":{\"epoch\":\"" EPOCH_TEXT "\",\"seq\":2}}");
    pass(5);
    hears_all(p);
    says(p, "{\"op\":\"list\"}");
    pass(2);
    assert_true(has_heard(p, "\"symbols\":[\"A\"]"));
    says(p, "{\"op\":\"subscribe\",\"symbols\":[\"B\"]}");
    pass(5);
    hears_all(p);
    says(p, "{\"op\":\"list\"}");
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
    hears_all(p);
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

static void a_new_log_leaves_no_backlog_counted_as_dirty(void **state)
{
    struct peer *p;

    (void)state;
    follow("A,B,C");
    p = come("symbols=A,B,C");
    pass(5);
    hears_all(p);
    p->room = 0;
    for (int i = 0; i < 2; i++) {
        quote("A", "1");
        quote("B", "2");
        quote("C", "3");
        pass(2);
    }
    says(p, "{\"op\":\"unsubscribe\",\"symbols\":[\"A\"]}");
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
    hears_all(p);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_resume_ends_the_automatic_subscription),
        TEST(a_request_waits_for_each_of_its_topics),
        TEST(a_request_waits_for_each_of_its_topics_in_whatever_order_they_come),
        TEST(a_full_turn_knows_that_requests_are_left),
        TEST(a_new_log_leaves_no_backlog_counted_as_dirty),
        TEST(a_client_that_does_not_read_losses_is_closed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
