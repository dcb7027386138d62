/* Conversations of a program's receiver: what is held, pauses, positions, and the bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/shared/sync/receiver_calls.h"

/* As libpregon opens it: records are held until the snapshots have been handed out. */
static void a_program_gets_snapshots_first_and_then_what_was_held(void **state)
{
    (void)state;
    open_receiver(
        &(struct receiver_settings){.name = 1, .holds_for_snapshots = true, .trusts_log = true});
    t.wants_all = true;
    add("A");
    tick(0);
    called("+A \n"
           "+~\n");
    record_comes("B ", WIRE_QUOTE, 99, 0, "{}");
    called("reset 7 after 0: log_replaced\n");
    mark(100, 3);
    called("-~\n"
           "snapshot? #1 A from 0\n");
    quote("A ", 101, 90);
    record_comes(WIRE_TOPIC_HEARTBEAT, WIRE_HEARTBEAT, 101, 4, "{'changed':[['A',101]]}");
    quote("A ", 102, 101);
    called("up\n");
    t.must_pause = true;
    snapshot(1, "A", 90, 100, 0);
    called("of A 90\n");
    assert_true(receiver_is_paused(t.r));
    tick(0);
    called("");
    receiver_resume(t.r);
    tick(0); /* the same page again */
    called("snapshot? #2 A from 0\n");
    t.must_pause = false;
    snapshot(2, "A", 90, 100, 0);
    called("of A 90\n"
           "live A 100\n"
           "complete 100\n"
           "thawed\n"
           "synced\n"
           "A 101\n"
           "complete 101\n"
           "A 102\n");
    assert_int_equal(receiver_verified_seq(t.r), 102);
    receiver_on_welcome(t.r);
    tick(0);
    mark(103, 4);
    called("# The broker's records come over a new connection\n"
           "unverified\n"
           "+~\n"
           "-~\n"
           "# Catching up: asking the log for positions 103 to 103\n"
           "replay? #3 A 103-103\n");
    page(3, 1, 103, 103, 0); /* the log has everything: no snapshot is needed */
    called("A 103 logged\n"
           "# Caught up to position 103\n"
           "live A 103\n"
           "thawed\n");
    receiver_listen(t.r);
    called("unverified\n"
           "+!welcome \n"
           "+!heartbeat \n"
           "+!lost \n"
           "+A \n");
    close_receiver();
}

static void in_mode_newest_only_what_waits_for_its_snapshot_is_held(void **state)
{
    (void)state;
    open_receiver(&(struct receiver_settings){.name = 1, .holds_for_snapshots = true});
    add("A");
    tick(0);
    mark(100, 3);
    snapshot(1, NULL, 0, 100, 0);
    buf_clear(&t.called);
    receiver_on_welcome(t.r);
    add("B");
    tick(0);
    mark(103, 3);
    buf_clear(&t.called);
    snapshot(2, "B", 99, 103, 0);
    called("of B 99\n"
           "live B 103\n"
           "complete 103\n");
    quote("B ", 104, 99);  /* its snapshot is there */
    quote("A ", 105, 103); /* held */
    record_comes(WIRE_TOPIC_LOST, WIRE_LOST, 106, 0, "{'first':1,'last':2,'reason':'x'}");
    record_comes(WIRE_TOPIC_HEARTBEAT, WIRE_HEARTBEAT, 106, 4,
                 "{'changed':[['A',105]]}"); /* held */
    called("B 104\n"
           "lost 106: 1-2 x\n"
           "up\n");
    assert_int_equal(receiver_deadline(t.r), t.now + RECEIVER_ANSWER_MS);
    snapshot(3, "A", 103, 103, 0);
    called("of A 103\n"
           "live A 103\n"
           "complete 103\n"
           "thawed\n"
           "synced\n"
           "A 105\n"
           "complete 106\n");
    close_receiver();
}

/* After each record the program wants a pause: the next tick goes on where it was. */
static void a_pause_interrupts_the_log_and_what_was_held_anywhere(void **state)
{
    (void)state;
    open_receiver(&(struct receiver_settings){
        .name = 1, .holds_for_snapshots = true, .trusts_log = true, .no_snapshot = true});
    t.wants_all = true;
    add("A");
    tick(0);
    mark(100, 3);
    called("+A \n"
           "+~\n"
           "reset 7 after 0: log_replaced\n"
           "-~\n"
           "live A 100\n"
           "thawed\n"
           "synced\n");
    receiver_on_welcome(t.r);
    tick(0);
    mark(103, 4);
    called("# The broker's records come over a new connection\n"
           "unverified\n"
           "+~\n"
           "-~\n"
           "# Catching up: asking the log for positions 101 to 103\n"
           "replay? #1 A 101-103\n");
    quote("A ", 104, 103);
    quote("A ", 105, 104);
    assert_int_equal(receiver_deadline(t.r), t.now + RECEIVER_ANSWER_MS);
    t.must_pause = true;
    page(1, 1, 103, 101, 103);
    called("A 101 logged\n");
    assert_int_equal(receiver_deadline(t.r), t.now);
    tick(0);
    called("");
    receiver_resume(t.r);
    tick(0);
    called("replay? #2 A 102-103\n");
    page(2, 1, 103, 103, 0);
    called("A 103 logged\n");
    receiver_resume(t.r);
    tick(0);
    called("live A 103\n"
           "thawed\n"
           "A 104\n");
    assert_int_equal(receiver_deadline(t.r), 0);
    quote("A ", 106, 105); /* behind what is held */
    receiver_resume(t.r);
    tick(0);
    called("A 105\n");
    receiver_resume(t.r);
    tick(0);
    receiver_resume(t.r);
    tick(0);
    called("A 106\n");
    assert_int_equal(receiver_complete_seq(t.r), 106);
    close_receiver();
}

static void a_pause_before_a_reset_leaves_the_old_log_as_it_is(void **state)
{
    (void)state;
    open_live_gateway(true);
    t.must_pause = true;
    t.epoch = 8;
    record_comes(WIRE_TOPIC_HEARTBEAT, WIRE_HEARTBEAT, 1, 1, "{'changed':[]}");
    called("flush\n");
    assert_int_equal(receiver_epoch(t.r), 7);
    receiver_resume(t.r);
    t.must_pause = false;
    receiver_on_hello(t.r, 8, t.now);
    called("flush\n"
           "unverified\n"
           "reset 8 after 7: log_replaced\n");
    t.epoch = 7;
    record_comes("!lock/x ", WIRE_LOCK, 1, 1, "{}"); /* no record of the log */
    called("");
    close_receiver();
}

static void a_position_that_is_of_no_use_is_a_reset(void **state)
{
    static const struct {
        uint64_t epoch, seq;
    } cases[] = {{EPOCH + 1, 95}, {EPOCH, 101}};

    (void)state;
    for (int i = 0; i < 2; i++) {
        open_receiver(&(struct receiver_settings){.name = 1,
                                                  .holds_for_snapshots = true,
                                                  .since_epoch = cases[i].epoch,
                                                  .since_seq = cases[i].seq});
        t.wants_all = true;
        add("A");
        tick(0);
        mark(100, 3);
        if (i == 0)
            called("+A \n"
                   "+~\n"
                   "reset 7 after 0: log_replaced\n"
                   "-~\n"
                   "reset 7 after 8: other_log\n"
                   "snapshot? #1 A from 0\n");
        else
            called("+A \n"
                   "+~\n"
                   "reset 7 after 0: log_replaced\n"
                   "-~\n"
                   "reset 7 after 7: beyond_head\n"
                   "snapshot? #1 A from 0\n");
        assert_int_equal(receiver_match(t.r, SPAN("A")).since_seq, 0);
        receiver_on_welcome(t.r);
        tick(0);
        buf_clear(&t.called);
        mark(100, 3);
        called("-~\n"
               "snapshot? #2 A from 0\n"); /* once only */
        close_receiver();
    }
}

static void a_position_to_resume_from_is_a_replay(void **state)
{
    (void)state;
    open_receiver(&(struct receiver_settings){.name = 1,
                                              .holds_for_snapshots = true,
                                              .trusts_log = true,
                                              .since_epoch = EPOCH,
                                              .since_seq = 95});
    t.wants_all = true;
    add("A");
    tick(0);
    mark(100, 3);
    called("+A \n"
           "+~\n"
           "reset 7 after 0: log_replaced\n"
           "-~\n"
           "# Catching up: asking the log for positions 96 to 100\n"
           "replay? #1 A 96-100\n");
    assert_int_equal(receiver_match(t.r, SPAN("A")).since_seq, 95);
    assert_int_equal(receiver_verified_seq(t.r), 95);
    page(1, 1, 100, 97, 0);
    called("A 97 logged\n"
           "# Caught up to position 100\n"
           "live A 100\n"
           "thawed\n"
           "synced\n");
    assert_int_equal(receiver_verified_seq(t.r), 100);
    close_receiver();
}

/* --- bounds --------------------------------------------------------------------------------- */

static unsigned count_said(const char *word)
{
    unsigned count = 0;

    for (const char *at = buf_text(&t.called); (at = strstr(at, word)); at++)
        count++;
    return count;
}

static void add_many(unsigned count)
{
    char pattern[16];

    for (unsigned i = 0; i < count; i++) {
        snprintf(pattern, sizeof pattern, "A%u", i);
        add(pattern);
    }
    tick(0);
}

static void at_most_sixty_four_snapshots_are_requested_at_once(void **state)
{
    (void)state;
    open_receiver(&(struct receiver_settings){.name = 1});
    add_many(70);
    mark(100, 3);
    assert_int_equal(count_said("snapshot? "), RECEIVER_REQUESTS_MAX);
    for (unsigned answered = 1; answered <= 70; answered++) {
        assert_false(count_said("synced"));
        snapshot(answered, NULL, 0, 100, 0);
        assert_int_equal(count_said("live "), answered);
        assert_int_equal(count_said("snapshot? "),
                         answered < 6 ? RECEIVER_REQUESTS_MAX + answered : 70);
    }
    assert_int_equal(count_said("synced"), 1);
    close_receiver();
}

static void of_more_than_sixty_four_patterns_the_whole_log_is_requested(void **state)
{
    (void)state;
    for (unsigned count = 64; count <= 65; count++) {
        open_receiver(&(struct receiver_settings){.name = 1, .no_snapshot = true});
        t.wants_all = true;
        add_many(count);
        mark(100, 3);
        receiver_on_welcome(t.r);
        tick(0);
        buf_clear(&t.called);
        mark(101, 3);
        assert_int_equal(count_said("replay? #1 * 101-101"), count == 65);
        assert_int_equal(count_said("replay? #1 A0,A1,A2"), count == 64);
        assert_int_equal(count_said("A63 101-101"), count == 64);
        close_receiver();
    }
}

/* Of more than a thousand symbols the last record never came: one resync for all is cheaper. */
static void missing_symbols_beyond_a_thousand_are_a_resync(void **state)
{
    char name[16];

    (void)state;
    open_receiver(&(struct receiver_settings){.name = 1});
    add("A*");
    tick(0);
    mark(100, 3);
    snapshot(1, NULL, 0, 100, 0);
    for (unsigned i = 0; i < RECEIVER_SYMBOLS_MAX + RECEIVER_REQUESTS_MAX; i++) {
        t.last[0] = 1;
        snprintf(name, sizeof name, "A%u ", i);
        record_comes(name, WIRE_STATE, 101 + i, 100, "{'state':'live'}");
    }
    assert_true(receiver_is_verified(t.r));
    assert_int_equal(count_said("snapshot? "), 1 + RECEIVER_REQUESTS_MAX);
    t.last[0] = 1;
    record_comes("A9999 ", WIRE_STATE, 9000, 8000, "{'state':'live'}");
    assert_false(receiver_is_verified(t.r));
    assert_int_equal(count_said("# The records of more than 1000 symbols never came: a resync"), 1);
    close_receiver();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_program_gets_snapshots_first_and_then_what_was_held),
        cmocka_unit_test(in_mode_newest_only_what_waits_for_its_snapshot_is_held),
        cmocka_unit_test(a_pause_interrupts_the_log_and_what_was_held_anywhere),
        cmocka_unit_test(a_pause_before_a_reset_leaves_the_old_log_as_it_is),
        cmocka_unit_test(a_position_that_is_of_no_use_is_a_reset),
        cmocka_unit_test(a_position_to_resume_from_is_a_replay),
        cmocka_unit_test(at_most_sixty_four_snapshots_are_requested_at_once),
        cmocka_unit_test(of_more_than_sixty_four_patterns_the_whole_log_is_requested),
        cmocka_unit_test(missing_symbols_beyond_a_thousand_are_a_resync),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
