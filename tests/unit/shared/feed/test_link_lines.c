/* The lines of a feed: sent once, sent again, reported as lost; and how a link ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/shared/feed/link_fixture.h"

/* --- lines ------------------------------------------------------------------------- */

static void a_missing_line_and_all_after_it_are_sent_again(void **unused)
{
    struct talk t;

    (void)unused;
    open_talk(&t, 8);
    open_link(&t);
    add(&t, 4);
    after(&t, 1, NULL);
    assert_string_equal(sent(&t), "5:1, 5:2, 5:3, 5:4");
    after(&t, 1, "{'op':'received','epoch':5,'line':1}");
    after(&t, 1, "{'op':'resend','epoch':5,'from':2}");
    assert_string_equal(sent(&t), "5:2, 5:3, 5:4");
    /* The same again within 50 ms is an echo; another line waits until then. */
    after(&t, 1, "{'op':'resend','epoch':5,'from':2}");
    assert_string_equal(sent(&t), "");
    after(&t, 1, "{'op':'resend','epoch':5,'from':3}");
    assert_string_equal(sent(&t), "");
    assert_int_equal(link_deadline(t.link), t.now + 48);
    after(&t, 47, NULL);
    assert_string_equal(sent(&t), "");
    after(&t, 1, NULL);
    assert_string_equal(sent(&t), "5:3, 5:4");
    /* What arrived meanwhile is not sent again. */
    after(&t, 1, "{'op':'resend','epoch':5,'from':4}");
    after(&t, 1, "{'op':'received','epoch':5,'line':4}");
    after(&t, 60, NULL);
    assert_string_equal(sent(&t), "");
    close_talk(&t);
}

static void a_line_that_left_the_ring_is_reported_as_lost(void **unused)
{
    struct talk t;

    (void)unused;
    open_talk(&t, 4);
    open_link(&t);
    add(&t, 4);
    after(&t, 1, NULL);
    add(&t, 3); /* 1, 2 and 3 fall out */
    sent(&t);
    after(&t, 1, "{'op':'resend','epoch':5,'from':2}");
    assert_string_equal(sent(&t), "lost epoch=5 first=2 last=3 ring_overflow, 5:4, 5:5, "
                                  "5:6, 5:7");
    close_talk(&t);
}

static void a_full_socket_loses_nothing(void **unused)
{
    struct talk t;

    (void)unused;
    open_talk(&t, 8);
    open_link(&t);
    add(&t, 3);
    t.room = 1;
    after(&t, 1, NULL);
    assert_string_equal(sent(&t), "5:1");
    assert_int_equal(link_deadline(t.link), t.now + 10);
    t.room = 1000;
    after(&t, 10, NULL);
    assert_string_equal(sent(&t), "5:2, 5:3");
    /* The link soon tries a refused heartbeat again, too. */
    t.is_full = true;
    after(&t, WIRE_FEED_HEARTBEAT_MS / 2, NULL);
    assert_int_equal(link_deadline(t.link), t.now + 10);
    t.is_full = false;
    after(&t, 10, NULL);
    assert_string_equal(sent(&t), "beat 5/3");
    close_talk(&t);
}

static void a_burst_ends_where_the_caller_says_and_says_that_there_is_more(void **unused)
{
    struct talk t;

    (void)unused;
    open_talk(&t, 8);
    open_link(&t);
    add(&t, 3);
    assert_true(link_send(t.link, 2));
    assert_string_equal(sent(&t), "5:1, 5:2");
    assert_false(link_send(t.link, 2));
    assert_string_equal(sent(&t), "5:3");
    close_talk(&t);
}

static void what_is_stored_is_known_when_the_broker_says_it(void **unused)
{
    struct talk t;
    uint64_t line = 77;

    (void)unused;
    open_talk(&t, 8);
    open_link(&t);
    assert_false(link_stored(t.link, &line));
    add(&t, 3);
    after(&t, 1, NULL);
    after(&t, 1, "{'op':'received','epoch':5,'line':3,'stored':2}");
    assert_true(link_stored(t.link, &line));
    assert_int_equal(line, 2);
    after(&t, 1, "{'op':'received','epoch':5,'line':3}"); /* it keeps nothing any more */
    assert_false(link_stored(t.link, &line));
    after(&t, 1, "{'op':'received','epoch':5,'line':3,'stored':2}");
    assert_true(link_stored(t.link, &line));
    after(&t, 1, "{'op':'received','epoch':5,'line':3,'stored':'2'}"); /* no number of a line */
    assert_false(link_stored(t.link, &line));
    close_talk(&t);
}

/* --- what changes nothing ---------------------------------------------------------- */

static void what_does_not_concern_the_link_changes_nothing(void **unused)
{
    const char *messages[] = {
        "{'op':'received','epoch':4,'line':2}",
        "{'op':'resend','epoch':4,'from':1}",
        "{'op':'resend','epoch':5,'from':3}",
        "{'op':'nonsense','epoch':5}",
        "{'re':'goodbye','id':9}",
        "{'re':'hello','id':1,'error':'held'}",
        "{'re':'lost','id':2}",
        "{}",
        "'text'",
        "[1,2]",
    };
    struct talk t;

    (void)unused;
    open_talk(&t, 8);
    open_link(&t);
    add(&t, 2);
    after(&t, 1, NULL);
    sent(&t);
    for (size_t i = 0; i < sizeof messages / sizeof messages[0]; i++) {
        after(&t, 1, messages[i]);
        assert_string_equal(sent(&t), "");
        assert_int_equal(link_state(t.link), LINK_OPEN);
        assert_int_equal(outbox_received(t.outbox), 0);
        assert_int_equal(outbox_sent(t.outbox), 2);
    }
    link_take(t.link, SPAN("\xC1 no msgpack"));
    link_take(t.link, SPAN(""));
    assert_int_equal(link_state(t.link), LINK_OPEN);
    close_talk(&t);
}

static void an_error_of_a_broker_that_restarted_leads_to_a_new_hello(void **unused)
{
    struct talk t;

    (void)unused;
    open_talk(&t, 8);
    open_link(&t);
    after(&t, 1, "{'re':'lost','id':2,'error':'unknown','message':'who?'}");
    assert_string_equal(sent(&t), "hello acked=0");
    assert_int_equal(link_state(t.link), LINK_REQUESTING);
    close_talk(&t);
}

/* --- leaving ----------------------------------------------------------------------- */

static void goodbye_gives_the_name_back_and_waits_a_second_for_the_answer(void **unused)
{
    struct talk t;

    (void)unused;
    open_talk(&t, 8);
    open_link(&t);
    add(&t, 1);
    link_leave(t.link, t.now);
    assert_string_equal(sent(&t), "goodbye epoch=5");
    after(&t, 999, NULL);
    assert_string_equal(sent(&t), "");
    assert_int_equal(link_state(t.link), LINK_LEAVING);
    after(&t, 1, NULL);
    assert_int_equal(link_state(t.link), LINK_GONE);
    close_talk(&t);

    open_talk(&t, 8);
    open_link(&t);
    link_leave(t.link, t.now);
    after(&t, 1, "{'re':'goodbye','id':2}");
    assert_int_equal(link_state(t.link), LINK_GONE);
    close_talk(&t);
}

static void a_link_without_a_grant_leaves_at_once(void **unused)
{
    struct talk t;

    (void)unused;
    open_talk(&t, 8);
    after(&t, 0, NULL);
    sent(&t);
    link_leave(t.link, t.now);
    assert_int_equal(link_state(t.link), LINK_GONE);
    assert_string_equal(sent(&t), "");
    close_talk(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_missing_line_and_all_after_it_are_sent_again),
        cmocka_unit_test(a_line_that_left_the_ring_is_reported_as_lost),
        cmocka_unit_test(a_full_socket_loses_nothing),
        cmocka_unit_test(a_burst_ends_where_the_caller_says_and_says_that_there_is_more),
        cmocka_unit_test(what_is_stored_is_known_when_the_broker_says_it),
        cmocka_unit_test(what_does_not_concern_the_link_changes_nothing),
        cmocka_unit_test(an_error_of_a_broker_that_restarted_leads_to_a_new_hello),
        cmocka_unit_test(goodbye_gives_the_name_back_and_waits_a_second_for_the_answer),
        cmocka_unit_test(a_link_without_a_grant_leaves_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
