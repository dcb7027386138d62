#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "tests/unit/dice.h"
#include "broker/backup/store_backup.h"
#include "tests/unit/broker/log/store_fixture.h"

/* Read the whole log page by page; returns the number of records. */
static uint64_t count_records(void)
{
    struct store_query q = {.patterns = SPAN("*")};
    uint64_t count = 0, last = state_now().head;

    while (q.after < last) {
        struct store_page page;

        assert_ok(store_replay(store, &q, &page, error));
        count += page.count;
        q.after = page.upto;
        store_page_clear(&page);
    }
    return count;
}

static void a_new_store_is_empty_and_has_an_identity(void **state)
{
    struct store_state s;
    uint64_t id;

    (void)state;
    open_store(STORE_WRITE);
    s = state_now();
    assert_int_not_equal(s.store_id, 0);
    assert_int_equal(s.epoch + s.head + s.last_loss + s.is_copy, 0);
    assert_int_equal(s.first, 1);
    id = s.store_id;
    close_store();
    open_store(STORE_WRITE);
    assert_int_equal(state_now().store_id, id);
}

static void what_was_written_is_there_after_reopening(void **state)
{
    struct store_state s;

    (void)state;
    make_store(10);
    publish_gap(5);
    publish(WIRE_LOST, 0);
    write_batch();
    close_store();
    open_store(STORE_READ);
    s = state_now();
    assert_int_equal(s.epoch, EPOCH);
    assert_int_equal(s.epoch_first, 1);
    assert_int_equal(s.first, 1);
    assert_int_equal(s.head, 16);
    assert_int_equal(s.last_loss, 16);
    assert_int_equal(count_records(), 11);
}

static void people_can_read_it_with_the_sqlite3_tool(void **state)
{
    (void)state;
    make_store(3);
    publish(WIRE_STATE, 1);
    write_batch();
    publish_gap(1);
    write_batch();
    assert_string_equal(sqlite_says(path, "SELECT * FROM quotes WHERE symbol = 'S1'"),
                        "2|S1|1.00||2.50|2022-01-01 00:00:00.000|2021-12-31 23:59:59.998");
    assert_string_equal(sqlite_says(path, "SELECT * FROM latest WHERE state = 'stale'"),
                        "S1|1.00||2.50|stale|sim|4|2");
    assert_string_equal(sqlite_says(path, "SELECT printf('%016llx', epoch), reason FROM epochs"),
                        "feedface12345678|test");
    assert_string_equal(sqlite_says(path, "SELECT first, last, reason FROM gaps"),
                        "5|5|ring overrun");
    assert_string_equal(sqlite_says(path, "SELECT sql LIKE '%-- Every record that was"
                                          "%' FROM sqlite_master WHERE name = 'log'"),
                        "1");
}

/* Drop from the naive log everything after this position. */
static void forget_after(uint64_t seq)
{
    for (; head > seq; head--) {
        buf_free(&published[head].topic);
        buf_free(&published[head].frame);
    }
    store_batch_clear(batch);
}

static void only_what_comes_next_is_written(void **state)
{
    (void)state;
    open_store(STORE_WRITE);
    publish(WIRE_QUOTE, 0);
    assert_int_equal(store_write(store, batch, error), ERR_INVALID); /* no epoch */
    assert_ok(store_begin_epoch(store, epoch, 1, "test", now_us, error));
    write_batch();
    publish(WIRE_QUOTE, 0);
    store_batch_clear(batch);
    publish(WIRE_QUOTE, 0);
    assert_int_equal(store_write(store, batch, error), ERR_INVALID); /* 2 is missing */
    assert_non_null(strstr(error, "positions 3 to 3"));
    forget_after(1);
    epoch++;
    publish(WIRE_QUOTE, 0);
    assert_int_equal(store_write(store, batch, error), ERR_INVALID); /* other epoch */
    assert_int_equal(state_now().head, 1);
    assert_int_equal(count_records(), 1);
}

static void a_batch_is_stored_as_a_whole_or_not_at_all(void **state)
{
    struct published *last;

    (void)state;
    make_store(4);
    for (int i = 0; i < 100; i++)
        publish(WIRE_QUOTE, (unsigned)i);
    last = &published[head];
    store_batch_add(batch, head + 1, 0, SPAN("!odd "), buf_span(&last->frame));
    assert_int_equal(store_write(store, batch, error), ERR_INVALID);
    assert_int_equal(state_now().head, 4);
    assert_string_equal(sqlite_says(path, "SELECT count(*) FROM symbols"), "3");
    assert_string_equal(sqlite_says(path, "SELECT sum(records) FROM chain"), "4");
    store_batch_clear(batch);
    for (uint64_t seq = 5; seq <= head; seq++)
        store_batch_add(batch, seq, 0, buf_span(&published[seq].topic),
                        buf_span(&published[seq].frame));
    write_batch();
    assert_int_equal(count_records(), 104);
    assert_string_equal(sqlite_says(path, "SELECT sum(records) FROM chain"), "104");
    assert_string_equal(sqlite_says(path, "SELECT count(*) FROM latest WHERE feed = 'sim'"), "100");
}

static void an_epoch_begins_above_the_head_and_an_empty_one_is_replaced(void **state)
{
    struct store_state s;

    (void)state;
    make_store(4);
    assert_int_equal(store_begin_epoch(store, 2, 4, "x", 1, error), ERR_INVALID);
    assert_ok(store_begin_epoch(store, 2, 10, "x", 1, error));
    s = state_now();
    assert_true(s.epoch == 2 && s.epoch_first == 10 && s.head == 9);
    assert_ok(store_begin_epoch(store, 3, 10, "y", 1, error));
    assert_int_equal(state_now().epoch, 3);
    assert_string_equal(sqlite_says(path, "SELECT group_concat(epoch = 3) FROM epochs"), "0,1");
}

static void take_feed(void *ctx, const struct store_feed *f)
{
    buf_printf(ctx, "%.*s/%.*s/%llu/%llu ", (int)f->name.len, f->name.at, (int)f->owner.len,
               f->owner.at, (unsigned long long)f->epoch, (unsigned long long)f->received);
}

static void take_last(void *ctx, const struct store_last *l)
{
    buf_printf(ctx, "%.*s/%llu/%d/%.*s ", (int)l->symbol.len, l->symbol.at,
               (unsigned long long)l->seq, l->is_stale, (int)l->feed.len, l->feed.at);
}

static void feeds_and_last_values_are_remembered(void **state)
{
    struct buf text = {0};
    struct published *p;

    (void)state;
    open_store(STORE_WRITE);
    begin_epoch();
    publish(WIRE_QUOTE, 0);
    publish(WIRE_QUOTE, 1);
    store_batch_feed(batch, 0, SPAN("sim"), SPAN("a"), UINT64_MAX, 1, false);
    store_batch_feed(batch, 5, SPAN("csv"), SPAN("b"), 2, 2, true);
    assert_ok(store_write(store, batch, error));
    store_batch_clear(batch);
    /* A feed index from an earlier batch; and without a feed the stored one stays. */
    publish(WIRE_STATE, 0);
    p = next_published();
    buf_adds(&p->topic, "S2 ");
    wire_put(&p->frame, &(struct wire_record){WIRE_QUOTE, EPOCH, head, 0, 1, 1,
                                              SPAN("\x81\xA4last\xA1"
                                                   "7"),
                                              0});
    store_batch_add(batch, head, 5, buf_span(&p->topic), buf_span(&p->frame));
    store_batch_feed(batch, 0, SPAN("sim"), SPAN("c"), 3, 9, false);
    assert_ok(store_write(store, batch, error));
    close_store();
    open_store(STORE_READ);
    assert_ok(store_each_feed(store, take_feed, &text, error));
    assert_string_equal(buf_text(&text), "sim/c/3/9 csv/b/2/2 ");
    buf_clear(&text);
    assert_ok(store_each_last(store, take_last, &text, error));
    assert_string_equal(buf_text(&text), "S0/3/1/sim S1/2/0/sim S2/4/0/csv ");
    buf_free(&text);
}

static void pruning_takes_the_oldest_in_small_steps(void **state)
{
    uint64_t removed, total = 0;

    (void)state;
    open_store(STORE_WRITE);
    begin_epoch();
    for (int i = 0; i < 1000; i++, now_us += 10)
        publish(WIRE_QUOTE, (unsigned)i % 7);
    write_batch();
    publish_gap(10);
    publish(WIRE_QUOTE, 0);
    write_batch();
    assert_ok(store_prune(store, 0, 0, 100, &removed, error));
    assert_int_equal(removed, 0);
    assert_ok(store_prune(store, 900, 0, 100, &removed, error));
    assert_int_equal(removed, 100);
    assert_int_equal(state_now().first, 101);
    do {
        assert_ok(store_prune(store, 900, 0, 7, &removed, error));
        total += removed;
        assert_true(removed <= 7);
    } while (removed == 7);
    assert_int_equal(total, 11); /* 900 positions below the head 1011 */
    assert_int_equal(state_now().first, 112);
    assert_ok(store_prune(store, 0, WALL_US + 5000, 10000, &removed, error));
    assert_int_equal(removed, 500 - 111);
    assert_int_equal(state_now().first, 501);
    assert_ok(store_prune(store, 1, UINT64_MAX, 10000, &removed, error));
    assert_int_equal(removed, 500);
    assert_int_equal(state_now().first, head);
    assert_int_equal(state_now().head, head);
    assert_int_equal(count_records(), 1);
    assert_string_equal(sqlite_says(path, "SELECT count(*) FROM latest"), "7");
    assert_string_equal(sqlite_says(path, "SELECT count(*) FROM gaps"), "0");
}

static void another_programs_lock_is_reported(void **state)
{
    sqlite3 *other;

    (void)state;
    make_store(1);
    publish(WIRE_QUOTE, 0);
    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), 0);
    assert_int_equal(store_write(store, batch, error), ERR_HELD);
    assert_non_null(strstr(error, "another program holds a lock"));
    sqlite3_close(other);
    write_batch();
}

static void a_full_disk_is_survived(void **state)
{
    struct rlimit before, small;

    (void)state;
    make_store(3);
    for (int i = 0; i < 20000; i++)
        publish(WIRE_QUOTE, (unsigned)i % SYMBOLS);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 300000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(store_write(store, batch, error), ERR_FULL);
        assert_non_null(strstr(error, "make room"));
    }
    assert_int_equal(state_now().head, 3);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    write_batch();
    assert_int_equal(state_now().head, head);
    assert_int_equal(count_records(), head);
    assert_string_equal(sqlite_says(path, "PRAGMA integrity_check"), "ok");
}

static void a_file_that_was_moved_is_not_written(void **state)
{
    char moved[200];

    (void)state;
    make_store(1);
    publish(WIRE_QUOTE, 0);
    snprintf(moved, sizeof moved, "%s/moved", folder);
    assert_int_equal(rename(path, moved), 0);
    assert_int_equal(store_write(store, batch, error), ERR_NOT_FOUND);
    assert_int_equal(rename(moved, path), 0);
    write_batch();
}

/* Write batches and report the position after each, until the process is killed. */
static void write_for_ever(int fd)
{
    open_store(STORE_WRITE);
    begin_epoch();
    for (;;) {
        unsigned count = 1 + dice(3000);

        while (count--)
            publish(WIRE_QUOTE, dice(SYMBOLS));
        write_batch();
        if (store_checkpoint(store, 1 << 20, error) || write(fd, &head, sizeof head) != sizeof head)
            _exit(1);
    }
}

static void after_a_kill_everything_that_was_acknowledged_is_there(void **state)
{
    uint64_t reported = 0, now;
    int ends[2], status;
    struct store_state s;
    pid_t child;

    (void)state;
    dice_seed();
    assert_int_equal(pipe(ends), 0);
    child = fork();
    if (!child)
        write_for_ever(ends[1]);
    close(ends[1]);
    for (unsigned n = 20 + dice(60); n; n--) {
        assert_int_equal(read(ends[0], &now, sizeof now), sizeof now);
        reported = now;
    }
    usleep(dice(5000)); /* into the middle of a batch */
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
    while (read(ends[0], &now, sizeof now) == sizeof now)
        reported = now;
    close(ends[0]);
    open_store(STORE_WRITE);
    s = state_now();
    assert_true(s.head >= reported);
    assert_int_equal(count_records(), s.head);
    assert_string_equal(sqlite_says(path, "PRAGMA integrity_check"), "ok");
    assert_string_equal(
        sqlite_says(path, "SELECT sum(records) = (SELECT count(*) FROM log) FROM chain"), "1");
    assert_string_equal(sqlite_says(path, "SELECT count(*) FROM last_value v WHERE seq <> (SELECT "
                                          "max(seq) FROM log WHERE symbol = v.symbol)"),
                        "0");
}

struct backing {
    int calls;
    bool gives_up;
};

/* The broker writes on while the copy is made. */
static bool on_progress(void *ctx, uint64_t done, uint64_t total)
{
    struct backing *b = ctx;

    assert_true(done <= total && total > 0);
    b->calls++;
    publish(WIRE_QUOTE, 1);
    write_batch();
    return !b->gives_up;
}

static void a_backup_is_the_store_at_one_moment(void **state)
{
    char target[200], part[210];
    struct backing b = {0};
    uint64_t id, before;

    (void)state;
    make_store(3);
    for (int i = 0; i < 150000; i++)
        publish(WIRE_QUOTE, 0);
    write_batch();
    before = head;
    id = state_now().store_id;
    snprintf(target, sizeof target, "%s/copy.db", folder);
    snprintf(part, sizeof part, "%s.part", target);
    write_file(part, "left by a backup that was killed");
    assert_ok(store_backup(path, target, on_progress, &b, error));
    assert_true(b.calls > 0);
    assert_int_not_equal(access(part, F_OK), 0);
    assert_int_equal(store_backup(path, target, NULL, NULL, error), ERR_HELD);
    assert_non_null(strstr(error, "already there"));
    assert_int_equal(state_now().head, before + (uint64_t)b.calls);
    assert_false(state_now().is_copy);
    close_store();

    strcpy(path, target);
    open_store(STORE_WRITE);
    assert_true(state_now().is_copy);
    assert_int_equal(state_now().head, before);
    assert_int_equal(state_now().store_id, id);
    assert_int_equal(count_records(), before);
    assert_ok(store_begin_epoch(store, 5, before + 100, "restored", 1, error));
    assert_false(state_now().is_copy);
    assert_int_not_equal(state_now().store_id, id);
    assert_string_equal(sqlite_says(path, "PRAGMA integrity_check"), "ok");
}

static void a_backup_that_is_given_up_leaves_nothing(void **state)
{
    struct backing b = {.gives_up = true};
    char target[200], command[300];

    (void)state;
    make_store(3);
    for (int i = 0; i < 150000; i++)
        publish(WIRE_QUOTE, 0);
    write_batch();
    snprintf(target, sizeof target, "%s/copy.db", folder);
    assert_int_equal(store_backup(path, target, on_progress, &b, error), ERR_AGAIN);
    assert_int_equal(b.calls, 1);
    snprintf(command, sizeof command, "ls '%s' | grep -q copy", folder);
    assert_int_not_equal(system(command), 0);
    snprintf(target, sizeof target, "%s/none/copy.db", folder);
    assert_int_equal(store_backup(path, target, NULL, NULL, error), ERR_NOT_FOUND);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_new_store_is_empty_and_has_an_identity),
        TEST(what_was_written_is_there_after_reopening),
        TEST(people_can_read_it_with_the_sqlite3_tool),
        TEST(only_what_comes_next_is_written),
        TEST(a_batch_is_stored_as_a_whole_or_not_at_all),
        TEST(an_epoch_begins_above_the_head_and_an_empty_one_is_replaced),
        TEST(feeds_and_last_values_are_remembered),
        TEST(pruning_takes_the_oldest_in_small_steps),
        TEST(another_programs_lock_is_reported),
        TEST(a_full_disk_is_survived),
        TEST(a_file_that_was_moved_is_not_written),
        TEST(after_a_kill_everything_that_was_acknowledged_is_there),
        TEST(a_backup_is_the_store_at_one_moment),
        TEST(a_backup_that_is_given_up_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
