/* The exact times of a link: what it does one ms before a bound, and at it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/shared/feed/link_fixture.h"

static void the_deadline_is_the_first_thing_that_is_due(void **unused)
{
    struct talk t;

    (void)unused;
    open_talk(&t, 8);
    assert_int_equal(link_deadline(t.link), 0); /* hello, at once */
    after(&t, 0, NULL);
    assert_int_equal(link_deadline(t.link), t.now + 1000);
    after(&t, 1, "{'re':'hello','id':1,'version':1,'epoch':5,'received':0}");
    assert_int_equal(link_deadline(t.link), t.now + 100); /* a heartbeat, while it is opening */
    after(&t, 99, NULL);
    assert_string_equal(sent(&t), "hello acked=0, beat 5/0");
    after(&t, 1, NULL);
    assert_string_equal(sent(&t), "beat 5/0");
    after(&t, 1, "{'op':'received','epoch':5,'line':0}");
    assert_int_equal(link_deadline(t.link), t.now + 250);
    after(&t, 249, NULL);
    assert_string_equal(sent(&t), "");
    add(&t, 1);
    after(&t, 0, NULL);
    assert_string_equal(sent(&t), "5:1");
    assert_int_equal(link_deadline(t.link), t.now + 250); /* a line proves as much */
    after(&t, 249, NULL);
    assert_string_equal(sent(&t), "");
    after(&t, 1, NULL);
    assert_string_equal(sent(&t), "beat 5/1");
    after(&t, 250, NULL);
    assert_string_equal(sent(&t), "beat 5/1");
    assert_int_equal(link_deadline(t.link), t.now + 151); /* 900 ms of silence come first */
    after(&t, 150, NULL);
    assert_string_equal(sent(&t), "");
    assert_int_equal(link_state(t.link), LINK_OPEN);
    after(&t, 1, NULL);
    assert_string_equal(sent(&t), "hello acked=0");
    assert_int_equal(link_state(t.link), LINK_REQUESTING);
    close_talk(&t);
}

static void a_full_socket_is_tried_again_after_ten_ms(void **unused)
{
    struct talk t;

    (void)unused;
    open_talk(&t, 8);
    open_link(&t);
    add(&t, 2);
    t.room = 1;
    after(&t, 1, NULL);
    assert_string_equal(sent(&t), "5:1");
    assert_int_equal(link_deadline(t.link), t.now + 10);
    after(&t, 10, NULL);
    assert_int_equal(link_deadline(t.link), t.now + 10);
    t.room = 9;
    after(&t, 10, NULL);
    assert_string_equal(sent(&t), "5:2");
    assert_int_equal(link_deadline(t.link), t.now + 250);
    t.is_full = true;
    after(&t, 250, NULL); /* the heartbeat does not get out */
    assert_string_equal(sent(&t), "");
    assert_int_equal(link_deadline(t.link), t.now + 10);
    t.is_full = false;
    after(&t, 10, NULL);
    assert_string_equal(sent(&t), "beat 5/2");
    close_talk(&t);
}

static void a_name_is_given_back_within_a_second(void **unused)
{
    struct talk t;

    (void)unused;
    open_talk(&t, 8);
    open_link(&t);
    link_leave(t.link, t.now + 5);
    assert_string_equal(sent(&t), "goodbye epoch=5");
    assert_int_equal(link_state(t.link), LINK_LEAVING);
    assert_int_equal(link_deadline(t.link), t.now + 1005);
    add(&t, 1);
    after(&t, 1004, NULL);
    assert_string_equal(sent(&t), "");
    assert_int_equal(link_state(t.link), LINK_LEAVING);
    after(&t, 1, NULL);
    assert_int_equal(link_state(t.link), LINK_GONE);
    assert_int_equal(link_deadline(t.link), INT64_MAX);
    assert_true(link_is_granted(t.link)); /* as far as it knows */
    close_talk(&t);

    open_talk(&t, 8);
    open_link(&t);
    link_leave(t.link, t.now);
    after(&t, 1, "{'re':'goodbye','id':2}");
    assert_int_equal(link_state(t.link), LINK_GONE);
    close_talk(&t);

    open_talk(&t, 8);
    open_link(&t);
    t.is_full = true;
    link_leave(t.link, t.now); /* the socket takes no more */
    assert_int_equal(link_state(t.link), LINK_GONE);
    close_talk(&t);

    open_talk(&t, 8);
    after(&t, 0, NULL);
    sent(&t);
    after(&t, 0, "{'re':'goodbye','id':1}"); /* nobody left */
    assert_int_equal(link_state(t.link), LINK_REQUESTING);
    link_leave(t.link, t.now); /* nothing was granted */
    assert_string_equal(sent(&t), "");
    assert_int_equal(link_state(t.link), LINK_GONE);
    close_talk(&t);
}

static void only_what_proves_both_sockets_keeps_them(void **unused)
{
    struct talk t;
    int64_t from;

    (void)unused;
    open_talk(&t, 8);
    assert_false(link_is_broken(t.link));
    after(&t, 0, NULL);
    from = t.now;
    after(&t, 2999, NULL);
    assert_false(link_is_broken(t.link));
    assert_int_equal(link_deadline(t.link), from + 3000);
    after(&t, 1, NULL);
    assert_true(link_is_broken(t.link));
    link_reopened(t.link, false); /* there are no new ones */
    assert_false(link_is_broken(t.link));
    sent(&t);
    after(&t, 2999, NULL);
    assert_false(link_is_broken(t.link));
    after(&t, 1, NULL);
    assert_true(link_is_broken(t.link));
    sent(&t);
    link_reopened(t.link, true);
    assert_string_equal(sent(&t), "hello acked=0"); /* at once, over the new ones */
    assert_int_equal(link_deadline(t.link), t.now + 1000);
    close_talk(&t);
    /* A grant proves the control socket only: the count goes on from the first one. */
    open_talk(&t, 8);
    after(&t, 0, NULL);
    after(&t, 1000, "{'re':'hello','id':1,'version':1,'epoch':5,'received':0}");
    from = t.now;
    for (int i = 2; link_state(t.link) == LINK_OPENING && i < 9 && !link_is_broken(t.link); i++) {
        char grant[100];

        after(&t, 900, NULL);
        snprintf(grant, sizeof grant, "{'re':'hello','id':%d,'version':1,'epoch':5,'received':0}",
                 i);
        after(&t, 0, grant);
    }
    assert_int_equal(t.now, from + 3600); /* the first look after 3000 */
    assert_true(link_is_broken(t.link));
    close_talk(&t);
}

/* A rewind waits 50 ms after the one before; what arrived meanwhile is not sent again. */
static void rewinds_come_fifty_ms_apart(void **unused)
{
    struct talk t;

    (void)unused;
    open_talk(&t, 8);
    open_link(&t);
    add(&t, 4);
    after(&t, 1, NULL);
    assert_string_equal(sent(&t), "5:1, 5:2, 5:3, 5:4");
    after(&t, 1, "{'op':'resend','epoch':5,'from':2}");
    assert_string_equal(sent(&t), "5:2, 5:3, 5:4");
    after(&t, 1, "{'op':'resend','epoch':5,'from':2}"); /* the same again */
    assert_string_equal(sent(&t), "");
    after(&t, 1, "{'op':'resend','epoch':5,'from':3}");
    assert_string_equal(sent(&t), "");
    add(&t, 1); /* it waits for the rewind, too */
    assert_int_equal(link_deadline(t.link), t.now + 48);
    after(&t, 47, NULL);
    assert_string_equal(sent(&t), "");
    after(&t, 1, NULL);
    assert_string_equal(sent(&t), "5:3, 5:4, 5:5");
    after(&t, 49, "{'op':'resend','epoch':5,'from':4}");
    assert_string_equal(sent(&t), "");
    after(&t, 0, "{'op':'received','epoch':5,'line':4}"); /* it has arrived after all */
    after(&t, 1, NULL);
    assert_string_equal(sent(&t), "");
    add(&t, 1);
    after(&t, 0, NULL);
    assert_string_equal(sent(&t), "5:6");
    after(&t, 50, "{'op':'resend','epoch':5,'from':5}");
    assert_string_equal(sent(&t), "5:5, 5:6");
    after(&t, 50, "{'op':'resend','epoch':4,'from':5}"); /* of another grant */
    assert_string_equal(sent(&t), "");
    close_talk(&t);
}

static void without_a_broker_a_warning_comes_after_three_seconds(void **unused)
{
    struct talk t;

    (void)unused;
    open_talk(&t, 8);
    for (int i = 0; i < 30; i++)
        after(&t, i ? 100 : 0, NULL);
    after(&t, 99, NULL);
    assert_string_equal(t.note, "");
    after(&t, 1, NULL);
    assert_non_null(strstr(t.note, "yet: is pregon-broker running?"));
    close_talk(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_deadline_is_the_first_thing_that_is_due),
        cmocka_unit_test(a_full_socket_is_tried_again_after_ten_ms),
        cmocka_unit_test(a_name_is_given_back_within_a_second),
        cmocka_unit_test(only_what_proves_both_sockets_keeps_them),
        cmocka_unit_test(rewinds_come_fifty_ms_apart),
        cmocka_unit_test(without_a_broker_a_warning_comes_after_three_seconds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
