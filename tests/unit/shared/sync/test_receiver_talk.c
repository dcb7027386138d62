/* Conversations of the gateway's receiver: every request, record and report, in their order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/shared/sync/receiver_calls.h"

static void snapshots_make_patterns_live_and_the_link_thaws_with_the_last(void **state)
{
    (void)state;
    open_live_gateway(false);
    assert_int_equal(receiver_deadline(t.r), t.now + RECEIVER_SILENCE_MS);
    quote("A ", 102, 90);
    quote("B ", 103, 0);
    quote("C ", 104, 0); /* nothing of ours */
    called("A 102\n"
           "B 103\n");
    record_comes(WIRE_TOPIC_HEARTBEAT, WIRE_HEARTBEAT, 105, 4,
                 "{'complete':true,'changed':[['A',102]]}");
    called("complete 105\n");
    assert_int_equal(receiver_complete_seq(t.r), 105);
    assert_int_equal(receiver_verified_seq(t.r), 105);
    close_receiver();
}

static void in_mode_newest_a_gap_is_passed_over_and_a_state_after_it_needs_the_snapshot(
    void **state)
{
    (void)state;
    open_live_gateway(false);
    quote("A ", 103, 102);
    called("A 103 leap\n"
           "passed 103\n");
    record_comes("B ", WIRE_STATE, 105, 104, "{'state':'stale'}");
    called("B 105 leap\n"
           "passed 105\n"
           "snapshot? #3 B from 0\n");
    snapshot(3, "B", 105, 105, 0);
    called("of B 105\n");
    record_comes(WIRE_TOPIC_HEARTBEAT, WIRE_HEARTBEAT, 107, 4,
                 "{'complete':true,'changed':[['A',106],['B',105],['C',107]]}");
    called("# A: the record 106 never came: asking for it\n"
           "snapshot? #4 A from 0\n");
    snapshot(4, "A", 106, 107, 0);
    called("passed 106\n"
           "of A 106\n");
    record_comes(WIRE_TOPIC_HEARTBEAT, WIRE_HEARTBEAT, 107, 5, "{'complete':false,'changed':[]}");
    record_comes(WIRE_TOPIC_HEARTBEAT, WIRE_HEARTBEAT, 107, 6, "{'complete':true}");
    record_comes(WIRE_TOPIC_HEARTBEAT, WIRE_HEARTBEAT, 107, 7,
                 "{'complete':true,'changed':[['A']]}");
    record_comes(WIRE_TOPIC_HEARTBEAT, WIRE_HEARTBEAT, 107, 8,
                 "{'complete':true,'changed':[[1,2]]}");
    record_comes(WIRE_TOPIC_HEARTBEAT, WIRE_HEARTBEAT, 107, 9,
                 "{'complete':true,'changed':[['A','x']]}");
    record_comes(WIRE_TOPIC_HEARTBEAT, WIRE_HEARTBEAT, 107, 10,
                 "{'complete':true,'changed':[['a',1]]}");
    called("");
    assert_int_equal(receiver_gaps(t.r), 3);
    close_receiver();
}

/* Of a symbol that was not seen yet, what came before the mark of its pattern is not missing. */
static void the_first_record_of_a_symbol_is_a_gap_only_after_the_mark(void **state)
{
    (void)state;
    open_live_gateway(false);
    quote("B ", 102, 100); /* the mark was at 100 */
    called("B 102\n");
    assert_int_equal(receiver_gaps(t.r), 0);
    t.last[1] = 0;
    quote("B ", 104, 101);
    called("B 104 leap\n"
           "passed 104\n");
    assert_int_equal(receiver_gaps(t.r), 1);
    close_receiver();
}

/* Of followed symbols all up to there has come, or was reported as lost. */
static void a_heartbeat_names_nothing_missing_up_to_the_verified_position(void **state)
{
    (void)state;
    open_live_gateway(true);
    record_comes(WIRE_TOPIC_HEARTBEAT, WIRE_HEARTBEAT, 100, 4, "{'changed':[['A',100],['B',99]]}");
    called("complete 100\n");
    record_comes(WIRE_TOPIC_HEARTBEAT, WIRE_HEARTBEAT, 101, 5, "{'changed':[['A',101],['B',101]]}");
    called("# A: the record 101 never came: asking for it\n"
           "unverified\n"); /* and B is not looked at any more */
    assert_int_equal(receiver_gaps(t.r), 1);
    close_receiver();
}

static void in_mode_all_a_gap_is_a_resync_from_the_log(void **state)
{
    (void)state;
    open_live_gateway(true);
    quote("A ", 102, 90);
    called("A 102\n");
    quote("A ", 104, 103);
    called("# A: the record 103 never came: asking the log\n"
           "unverified\n");
    assert_false(receiver_is_verified(t.r));
    assert_int_equal(receiver_complete_seq(t.r), 100); /* 101 may have been ours */
    assert_int_equal(receiver_deadline(t.r), 0);
    quote("A ", 105, 104); /* dropped: the log has it */
    tick(1);
    called("+~\n");
    assert_int_equal(receiver_deadline(t.r), t.now + 1000);
    mark(105, 3);
    called("-~\n"
           "# Catching up: asking the log for positions 101 to 105\n"
           "replay? #3 A*,B 101-105\n");
    quote("A ", 106, 105); /* held */
    page(3, 1, 103, 103, 0);
    called("A 103 logged\n"
           "replay? #4 A*,B 104-105\n");
    page(4, 1, 105, 104, 105);
    called("A 104 logged\n"
           "A 105 logged\n"
           "# Caught up to position 105\n"
           "A 106\n"
           "snapshot? #5 B from 0\n"
           "snapshot? #6 A* from 0\n");
    snapshot(5, "A", 106, 106, 0);
    snapshot(6, NULL, 0, 106, 0);
    called("of A 106\n"
           "live B 106\n"
           "complete 105\n"
           "live A* 106\n"
           "complete 105\n"
           "thawed\n");
    assert_int_equal(receiver_complete_seq(t.r), 106);
    close_receiver();
}

/* All up to the mark has come, but not the record that the snapshot names. */
static void a_snapshot_may_show_that_a_record_never_came(void **state)
{
    unsigned changes;

    (void)state;
    open_live_gateway(true);
    changes = receiver_changes(t.r);
    add("A");
    assert_int_equal(receiver_changes(t.r), changes + 1);
    tick(0);
    mark(105, 3);
    buf_clear(&t.called);
    snapshot(3, "A", 106, 106, 0); /* behind the mark: it is about to come */
    called("live A 106\n"
           "complete 105\n"
           "synced\n");
    add("AA");
    tick(0);
    mark(107, 3);
    buf_clear(&t.called);
    snapshot(4, "AA", 104, 107, 0);
    called("# AA: the record 104 never came: asking the log\n"
           "unverified\n");
    assert_int_equal(receiver_gaps(t.r), 1);
    snapshot(4, "AA", 104, 107, 0); /* the request was dropped */
    called("");
    close_receiver();
}

static void what_is_not_answered_is_requested_again(void **state)
{
    (void)state;
    open_gateway(true);
    called("-~\n"
           "snapshot? #1 B from 0\n"
           "snapshot? #2 A* from 0\n");
    tick(1499);
    called("");
    tick(1);
    called("snapshot? #3 A* from 0\n"
           "snapshot? #4 B from 0\n");
    snapshot(1, "A", 90, 100, 0); /* of the request before */
    called("");
    answer(3, "{'epoch':7,'error':'busy'}");
    assert_int_equal(receiver_deadline(t.r), t.now + 100);
    tick(99);
    called("");
    tick(1);
    called("snapshot? #5 A* from 0\n");
    answer(5, "{'epoch':8,'quotes':[]}");
    tick(100);
    called("snapshot? #6 A* from 0\n");
    snapshot(6, "B", 95, 100, 1); /* the next page follows */
    called("of B 95\n"
           "snapshot? #7 A* from 1\n");
    snapshot(7, NULL, 0, 100, 0);
    called("live A* 100\n"
           "complete 100\n");
    answer(99, "{'epoch':7}");
    answer(0, "{'epoch':7}");
    called("");
    close_receiver();
}

static void pages_of_the_log_that_bring_nothing_are_requested_later(void **state)
{
    (void)state;
    open_live_gateway(true);
    receiver_on_welcome(t.r);
    called("# The broker's records come over a new connection\n"
           "unverified\n");
    tick(0);
    called("+~\n");
    mark(110, 9);
    called("-~\n"
           "# Catching up: asking the log for positions 101 to 110\n"
           "replay? #3 A*,B 101-110\n");
    answer(3, "{'epoch':7,'error':'busy'}");
    assert_int_equal(receiver_deadline(t.r), t.now + 250);
    page(3, 1, 110, 101, 0); /* too late: it was given up */
    tick(249);
    called("");
    tick(1);
    called("replay? #4 A*,B 101-110\n");
    answer(4, "{'epoch':6,'first':1,'upto':110,'records':[],'gaps':[]}");
    tick(250);
    called("replay? #5 A*,B 101-110\n");
    answer(5, "{'epoch':7,'first':1,'upto':100,'records':[],'gaps':[]}");
    assert_int_equal(receiver_deadline(t.r), t.now + 250);
    tick(250);
    called("replay? #6 A*,B 101-110\n");
    tick(1500); /* not answered at all */
    called("replay? #7 A*,B 101-110\n");
    answer(6, "{'epoch':7,'first':1,'upto':110,'records':[],'gaps':[]}"); /* of the one before */
    called("");
    answer(7, "{'epoch':7,'first':1,'upto':999,'records':[],'gaps':[]}");
    called("# Caught up to position 110\n"
           "snapshot? #8 B from 0\n"
           "snapshot? #9 A* from 0\n");
    assert_int_equal(receiver_verified_seq(t.r), 110);
    close_receiver();
}

static void what_the_log_lacks_is_lost_and_made_up_for_by_snapshots(void **state)
{
    (void)state;
    open_live_gateway(true);
    receiver_on_welcome(t.r);
    tick(0);
    mark(110, 9);
    called("# The broker's records come over a new connection\n"
           "unverified\n"
           "+~\n"
           "-~\n"
           "# Catching up: asking the log for positions 101 to 110\n"
           "replay? #3 A*,B 101-110\n");
    page(3, 105, 108, 106, 0);
    called(
        "! Records from position 101 to 104 never came, and the log does not have them any more: "
        "they are reported as lost\n"
        "lost 104: 101-104 retention\n"
        "A 106 logged\n"
        "replay? #4 A*,B 109-110\n");
    answer(4, "{'epoch':7,'first':1,'upto':112,'records':[],'gaps':[[109,112,'not_stored']]}");
    called("lost 110: 109-110 not_stored\n"
           "# Caught up to position 110\n"
           "snapshot? #5 B from 0\n"
           "snapshot? #6 A* from 0\n");
    record_comes(WIRE_TOPIC_LOST, WIRE_LOST, 112, 0,
                 "{'first':1,'last':2,'reason':'ring_overflow'}");
    called("lost 112: 1-2 ring_overflow\n");
    record_comes(WIRE_TOPIC_LOST, WIRE_LOST, 112, 0,
                 "{'first':1,'last':2,'reason':'ring_overflow'}");
    called(""); /* once */
    record_comes(WIRE_TOPIC_LOST, WIRE_LOST, 114, 113,
                 "{'first':5,'last':6,'reason':'ring_overflow'}");
    called("# The loss at position 113 never came: asking the log\n"
           "unverified\n");
    close_receiver();
}

static void a_silent_broker_is_down_and_nothing_is_believed_until_it_is_back(void **state)
{
    (void)state;
    open_live_gateway(true);
    tick(RECEIVER_SILENCE_MS - 1);
    called("");
    receiver_tick(t.r, false, t.now + 1); /* something is there to be read */
    called("");
    tick(1);
    called("unverified\n"
           "down\n");
    tick(1);
    assert_false(receiver_is_up(t.r));
    assert_int_equal(receiver_deadline(t.r), INT64_MAX);
    record_comes(WIRE_TOPIC_HEARTBEAT, WIRE_HEARTBEAT, 101, 9, "{'changed':[]}");
    called("up\n");
    assert_int_equal(receiver_heard_at(t.r), t.now);
    tick(1);
    called("+~\n");
    close_receiver();
}

static void a_new_log_begins_anew_and_one_that_fell_back_is_noticed(void **state)
{
    (void)state;
    open_live_gateway(true);
    quote("A ", 102, 90);
    record_comes(WIRE_TOPIC_HEARTBEAT, WIRE_HEARTBEAT, 102, 4, "{'changed':[['A',102]]}");
    called("A 102\n"
           "complete 102\n");
    record_comes(WIRE_TOPIC_HEARTBEAT, WIRE_HEARTBEAT, 101, 5, "{'changed':[]}");
    called("fell back\n"
           "complete 101\n");
    assert_true(receiver_known(t.r).seq == 102 && receiver_known(t.r).record == 102);
    record_comes(WIRE_TOPIC_HEARTBEAT, WIRE_HEARTBEAT, 102, 7, "{'changed':[]}"); /* 6 never came */
    called("# Heartbeat 7 came after another than its predecessor: records may be missing\n"
           "unverified\n");
    t.epoch = 8;
    record_comes(WIRE_TOPIC_HEARTBEAT, WIRE_HEARTBEAT, 1, 1, "{'changed':[]}");
    called("flush\n"
           "unverified\n"
           "reset 8 after 7: log_replaced\n");
    assert_int_equal(receiver_epoch(t.r), 8);
    assert_int_equal(receiver_complete_seq(t.r), 0);
    assert_true(receiver_known(t.r).epoch == 8 && receiver_known(t.r).seq == 1);
    close_receiver();
}

static void a_pattern_that_is_added_or_removed_meanwhile(void **state)
{
    (void)state;
    open_live_gateway(false);
    add("C"), add("C");
    called("+C \n");
    assert_int_equal(receiver_deadline(t.r), 0);
    tick(0);
    called("+~\n");
    tick(999);
    called("");
    tick(1); /* the mark did not come: another one */
    called("-~\n"
           "+~\n");
    mark(103, 4);
    called("-~\n"
           "snapshot? #3 C from 0\n");
    assert_int_equal(receiver_remove(t.r, SPAN("C")), OK);
    assert_int_equal(receiver_remove(t.r, SPAN("C")), ERR_NOT_FOUND);
    snapshot(3, "C", 99, 103, 0);
    called("-C \n");
    add("D");
    assert_int_equal(receiver_remove(t.r, SPAN("D")), OK);
    tick(0); /* no pattern waits for it any more */
    called("+D \n"
           "-D \n");
    assert_int_equal(receiver_deadline(t.r), t.now - 1000 + RECEIVER_SILENCE_MS);
    close_receiver();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(snapshots_make_patterns_live_and_the_link_thaws_with_the_last),
        cmocka_unit_test(
            in_mode_newest_a_gap_is_passed_over_and_a_state_after_it_needs_the_snapshot),
        cmocka_unit_test(the_first_record_of_a_symbol_is_a_gap_only_after_the_mark),
        cmocka_unit_test(a_heartbeat_names_nothing_missing_up_to_the_verified_position),
        cmocka_unit_test(in_mode_all_a_gap_is_a_resync_from_the_log),
        cmocka_unit_test(a_snapshot_may_show_that_a_record_never_came),
        cmocka_unit_test(what_is_not_answered_is_requested_again),
        cmocka_unit_test(pages_of_the_log_that_bring_nothing_are_requested_later),
        cmocka_unit_test(what_the_log_lacks_is_lost_and_made_up_for_by_snapshots),
        cmocka_unit_test(a_silent_broker_is_down_and_nothing_is_believed_until_it_is_back),
        cmocka_unit_test(a_new_log_begins_anew_and_one_that_fell_back_is_noticed),
        cmocka_unit_test(a_pattern_that_is_added_or_removed_meanwhile),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
