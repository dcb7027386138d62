/* The name of a feed: how a link gets it, keeps it, loses it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/shared/feed/link_fixture.h"

/* --- the name ---------------------------------------------------------------------- */

static void hello_is_repeated_until_a_broker_answers(void **unused)
{
    struct talk t;

    (void)unused;
    open_talk(&t, 8);
    after(&t, 0, NULL);
    assert_string_equal(sent(&t), "hello acked=0");
    after(&t, 999, NULL);
    assert_string_equal(sent(&t), "");
    assert_int_equal(link_deadline(t.link), t.now + 1);
    after(&t, 1, NULL);
    assert_string_equal(sent(&t), "hello acked=0");
    assert_false(link_is_granted(t.link));
    close_talk(&t);
}

static void lines_go_out_when_a_heartbeat_was_acknowledged(void **unused)
{
    struct talk t;

    (void)unused;
    open_talk(&t, 8);
    add(&t, 2);
    after(&t, 0, NULL);
    sent(&t);
    after(&t, 5, "{'re':'hello','id':1,'version':1,'epoch':5,'received':0}");
    assert_string_equal(sent(&t), "beat 5/0");
    assert_true(link_is_granted(t.link));
    after(&t, 100, NULL);
    assert_string_equal(sent(&t), "beat 5/0");
    after(&t, 1, "{'op':'received','epoch':5,'line':0}");
    assert_string_equal(sent(&t), "5:1, 5:2");
    after(&t, 1, "{'op':'received','epoch':5,'line':2}");
    assert_int_equal(outbox_received(t.outbox), 2);
    close_talk(&t);
}

static void a_name_that_another_holds_is_requested_again_when_the_broker_says(void **unused)
{
    struct talk t;

    (void)unused;
    open_talk(&t, 8);
    after(&t, 0, NULL);
    sent(&t);
    after(&t, 1, "{'re':'hello','id':1,'error':'held','message':'m','retry_ms':300}");
    assert_string_equal(t.note, "feed tape is not ours, standing by: held: m");
    assert_string_equal(link_why(t.link), t.note);
    assert_int_equal(link_state(t.link), LINK_STANDBY);
    after(&t, 299, NULL);
    assert_string_equal(sent(&t), "");
    after(&t, 1, NULL);
    assert_string_equal(sent(&t), "hello acked=0");
    /* Of a bad broker: at least 10 ms, at most 10 s. */
    after(&t, 1, "{'re':'hello','id':2,'error':'held','message':'m','retry_ms':0}");
    assert_int_equal(link_deadline(t.link), t.now + 10);
    after(&t, 10, NULL);
    sent(&t);
    after(&t, 1, "{'re':'hello','id':3,'error':'held','retry_ms':99999999}");
    assert_int_equal(link_deadline(t.link), t.now + 10000);
    assert_false(link_is_broken(t.link));
    close_talk(&t);
}

static void a_refusal_that_asking_again_cannot_change_ends_the_link(void **unused)
{
    const char *refusals[] = {
        "{'re':'hello','id':1,'error':'version','message':'m'}",
        "{'re':'hello','id':1,'error':'invalid','message':'m'}",
        "{'re':'hello','id':1,'version':0,'epoch':5,'received':0}",
        "{'re':'hello','id':1,'version':99,'epoch':5,'received':0}",
        "{'re':'hello','id':1,'version':1,'epoch':0,'received':0}",
        "{'re':'hello','id':1,'version':1,'epoch':5,'received':3}", /* 2 were sent */
    };

    (void)unused;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        struct talk t;

        open_talk(&t, 8);
        add(&t, 2);
        after(&t, 0, NULL);
        sent(&t);
        after(&t, 1, refusals[i]);
        assert_int_equal(link_state(t.link), LINK_REFUSED);
        assert_string_equal(sent(&t), "");
        assert_false(link_is_granted(t.link));
        assert_int_equal(link_deadline(t.link), INT64_MAX);
        close_talk(&t);
    }
}

static void a_broker_that_received_more_than_was_sent_ends_the_link(void **unused)
{
    struct talk t;

    (void)unused;
    open_talk(&t, 8);
    open_link(&t);
    add(&t, 2);
    after(&t, 1, "{'op':'received','epoch':5,'line':3}");
    assert_int_equal(link_state(t.link), LINK_REFUSED);
    assert_int_equal(outbox_received(t.outbox), 0);
    close_talk(&t);
}

/* --- silence ----------------------------------------------------------------------- */

static void after_a_lease_of_silence_nothing_is_sent_before_a_new_grant(void **unused)
{
    struct talk t;

    (void)unused;
    open_talk(&t, 8);
    open_link(&t);
    after(&t, WIRE_FEED_LEASE_MS - 1, NULL);
    assert_int_equal(link_state(t.link), LINK_OPEN);
    sent(&t);
    after(&t, 1, NULL);
    assert_string_equal(sent(&t), "hello acked=0");
    add(&t, 1);
    /* An answer to the hello of before is void, and so is a word about the old grant. */
    after(&t, 1, "{'re':'hello','id':1,'version':1,'epoch':6,'received':0}");
    after(&t, 1, "{'op':'received','epoch':5,'line':0}");
    assert_string_equal(sent(&t), "");
    after(&t, 1, "{'re':'hello','id':2,'version':1,'epoch':6,'received':0}");
    assert_string_equal(sent(&t), "beat 6/0");
    after(&t, 1, "{'op':'received','epoch':6,'line':0}");
    assert_string_equal(sent(&t), "6:1");
    close_talk(&t);
}

static void a_process_that_was_stopped_asks_before_it_sends(void **unused)
{
    struct talk t;

    (void)unused;
    open_talk(&t, 8);
    open_link(&t);
    add(&t, 1);
    t.mono += WIRE_FEED_LEASE_MS; /* the awake clock stood */
    after(&t, 0, NULL);
    assert_string_equal(sent(&t), "hello acked=0");
    close_talk(&t);
}

static void heartbeats_fill_the_time_without_lines(void **unused)
{
    struct talk t;

    (void)unused;
    open_talk(&t, 8);
    open_link(&t);
    after(&t, WIRE_FEED_HEARTBEAT_MS / 2 - 1, NULL);
    assert_string_equal(sent(&t), "");
    add(&t, 1);
    after(&t, 1, NULL);
    assert_string_equal(sent(&t), "beat 5/0, 5:1");
    after(&t, WIRE_FEED_HEARTBEAT_MS / 2 - 1, NULL); /* the line counts as one */
    assert_string_equal(sent(&t), "");
    after(&t, 1, NULL);
    assert_string_equal(sent(&t), "beat 5/1");
    close_talk(&t);
}

static void sockets_that_prove_nothing_are_replaced(void **unused)
{
    struct talk t;

    (void)unused;
    open_talk(&t, 8);
    after(&t, 0, NULL);
    after(&t, LINK_SILENCE_MS - 1, NULL);
    assert_false(link_is_broken(t.link));
    after(&t, 1, NULL);
    assert_true(link_is_broken(t.link));
    sent(&t);
    link_reopened(t.link, true);
    assert_string_equal(sent(&t), "hello acked=0");
    assert_false(link_is_broken(t.link));
    /* Grants alone, again and again, prove only the control socket. */
    for (int i = 0; i < 3; i++) {
        char grant[96];

        snprintf(grant, sizeof grant, "{'re':'hello','id':%d,'version':1,'epoch':%d,'received':0}",
                 100, 5 + i);
        after(&t, WIRE_FEED_LEASE_MS, grant);
    }
    after(&t, LINK_SILENCE_MS - 2 * WIRE_FEED_LEASE_MS, NULL);
    assert_true(link_is_broken(t.link));
    sent(&t);
    link_reopened(t.link, false); /* none could be opened: later again, without a hello */
    assert_false(link_is_broken(t.link));
    assert_string_equal(sent(&t), "");
    close_talk(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hello_is_repeated_until_a_broker_answers),
        cmocka_unit_test(lines_go_out_when_a_heartbeat_was_acknowledged),
        cmocka_unit_test(a_name_that_another_holds_is_requested_again_when_the_broker_says),
        cmocka_unit_test(a_refusal_that_asking_again_cannot_change_ends_the_link),
        cmocka_unit_test(a_broker_that_received_more_than_was_sent_ends_the_link),
        cmocka_unit_test(after_a_lease_of_silence_nothing_is_sent_before_a_new_grant),
        cmocka_unit_test(a_process_that_was_stopped_asks_before_it_sends),
        cmocka_unit_test(heartbeats_fill_the_time_without_lines),
        cmocka_unit_test(sockets_that_prove_nothing_are_replaced),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
