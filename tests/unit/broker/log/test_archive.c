#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <dirent.h>
#include <poll.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "broker/log/archive.h"
#include "shared/base/clock.h"
#include "tests/unit/dice.h"
#include "tests/unit/broker/log/store_fixture.h"

#define WAIT_MS 20000

static struct archive *archive;
static unsigned counted[ARCHIVE_ANSWER + 1]; /* results taken, by event */
static uint64_t kept_from;                   /* from the newest of them */

static int set_up_archive(void **state)
{
    memset(counted, 0, sizeof counted);
    kept_from = 0;
    set_up(state);
    if (archive_open(path, &archive, error))
        return -1;
    return (int)store_begin_epoch(archive_store(archive), epoch, 1, "test", 1, error);
}

static int tear_down_archive(void **state)
{
    archive_stop(archive, clock_mono_ms() + WAIT_MS);
    archive_free(archive);
    archive = NULL;
    return tear_down(state);
}

static void start(void)
{
    assert_ok(archive_start(archive, error));
}

static struct archive_result next_result(void)
{
    struct pollfd p = {.fd = archive_fd(archive), .events = POLLIN};
    struct archive_result r;

    while (!archive_take(archive, &r))
        assert_int_equal(poll(&p, 1, WAIT_MS), 1);
    counted[r.event]++;
    if (r.event == ARCHIVE_WRITTEN || r.event == ARCHIVE_PRUNED)
        kept_from = r.first;
    return r;
}

/* Wait for the next result of this kind; earlier results are counted and dropped. */
static struct archive_result wait_for(enum archive_event event)
{
    struct archive_result r;

    while (r = next_result(), r.event != event)
        archive_result_clear(&r);
    return r;
}

static void wait_and_drop(enum archive_event event)
{
    struct archive_result r = wait_for(event);

    archive_result_clear(&r);
}

static void hand_over(void)
{
    assert_true(archive_can_write(archive));
    store_batch_feed(batch, 0, SPAN("sim"), SPAN("o"), 7, head, false);
    archive_write(archive, batch);
    batch = store_batch_new();
}

static void publish_many(unsigned count)
{
    while (count--)
        publish(WIRE_QUOTE, dice(SYMBOLS));
}

static void limit_files(rlim_t bytes)
{
    static struct rlimit before;
    struct rlimit now;

    if (!before.rlim_max)
        assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    now = before;
    if (bytes)
        now.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &now), 0);
}

static struct archive_ticket ticket_of(uint64_t id)
{
    return (struct archive_ticket){.peer = "\0peer", .peer_len = 5, .id = id};
}

static void a_batch_is_written_and_given_back_empty(void **state)
{
    struct store_batch *mine = batch;
    struct archive_result r;

    (void)state;
    assert_false(archive_can_write(archive));
    start();
    publish_many(1000);
    hand_over();
    assert_false(archive_can_write(archive));
    r = wait_for(ARCHIVE_WRITTEN);
    assert_true(archive_can_write(archive));
    assert_true(r.upto == 1000 && r.first == 1 && r.rows == 1000);
    assert_ptr_equal(r.batch, mine);
    assert_true(store_batch_is_empty(r.batch));
    archive_result_clear(&r);
    assert_true(archive_stop(archive, clock_mono_ms() + WAIT_MS));
    open_store(STORE_READ);
    assert_int_equal(state_now().head, 1000);
}

static void answers_come_with_their_ticket(void **state)
{
    char patterns[] = "S1,S2";
    struct store_query q = {.patterns = span_of(patterns)};
    struct archive_ticket ticket = ticket_of(1);
    struct archive_result r;
    struct span records;

    (void)state;
    start();
    publish(WIRE_QUOTE, 1);
    publish(WIRE_QUOTE, 3);
    publish(WIRE_QUOTE, 2);
    hand_over();
    wait_and_drop(ARCHIVE_WRITTEN);
    assert_int_equal(archive_request(archive, false, &q, &ticket), OK);
    memset(patterns, 'x', sizeof patterns); /* it has its own copy */
    r = wait_for(ARCHIVE_ANSWER);
    assert_int_equal(r.error, OK);
    assert_false(r.is_history);
    assert_memory_equal(&r.ticket, &ticket, sizeof ticket);
    assert_true(r.page.count == 2 && r.page.upto == 3 && r.upto == 3);
    records = buf_span(&r.page.records);
    check_record(&records, 1);
    check_record(&records, 3);
    archive_result_clear(&r);
    q = (struct store_query){.patterns = SPAN("S3"), .newest_first = true};
    ticket.id = 2;
    assert_int_equal(archive_request(archive, true, &q, &ticket), OK);
    r = wait_for(ARCHIVE_ANSWER);
    assert_true(r.is_history && r.ticket.id == 2 && r.page.count == 1);
    archive_result_clear(&r);
}

static void only_so_many_questions_wait(void **state)
{
    struct store_query q = {.patterns = SPAN("*")};
    struct archive_ticket ticket = ticket_of(1);

    (void)state;
    assert_int_equal(archive_request(archive, false, &q, &ticket), ERR_FULL);
    start();
    for (int i = 0; i < ARCHIVE_REQUESTS_MAX; i++)
        assert_int_equal(archive_request(archive, false, &q, &ticket), OK);
    assert_int_equal(archive_request(archive, false, &q, &ticket), ERR_FULL);
    wait_and_drop(ARCHIVE_ANSWER);
    assert_int_equal(archive_request(archive, false, &q, &ticket), OK);
}

static void a_full_disk_is_reported_once_and_waited_out(void **state)
{
    struct archive_result r;

    (void)state;
    start();
    publish_many(20000);
    limit_files(300000);
    hand_over();
    r = wait_for(ARCHIVE_FAILED);
    assert_int_equal(r.error, ERR_FULL);
    assert_non_null(strstr(r.text, path));
    assert_non_null(strstr(r.text, "make room"));
    archive_result_clear(&r);
    poll(NULL, 0, 400); /* some tries */
    assert_false(archive_take(archive, &r));
    assert_false(archive_can_write(archive));
    limit_files(0);
    wait_and_drop(ARCHIVE_RECOVERED);
    r = wait_for(ARCHIVE_WRITTEN);
    assert_int_equal(r.upto, head);
    archive_result_clear(&r);
    assert_int_equal(counted[ARCHIVE_FAILED], 1);
}

static void what_is_abandoned_can_be_a_gap_of_the_next_batch(void **state)
{
    struct store_query q = {.patterns = SPAN("*")};
    struct archive_ticket ticket = ticket_of(1);
    struct archive_result r;
    uint64_t lost;

    (void)state;
    start();
    head = 5; /* 1 to 5 are missing */
    published = calloc(8, sizeof *published);
    publish_many(20);
    lost = head;
    hand_over();
    r = wait_for(ARCHIVE_ABANDONED);
    assert_int_equal(r.upto, 0);
    assert_true(store_batch_is_empty(r.batch));
    archive_result_clear(&r);
    store_batch_gap(batch, 1, lost, "refused", now_us);
    publish_many(10);
    hand_over();
    r = wait_for(ARCHIVE_WRITTEN);
    assert_true(r.upto == lost + 10 && r.rows == 10);
    archive_result_clear(&r);
    assert_int_equal(archive_request(archive, false, &q, &ticket), OK);
    r = wait_for(ARCHIVE_ANSWER);
    assert_true(r.page.count == 10 && r.page.gap_count == 1);
    assert_true(r.page.gaps[0].first == 1 && r.page.gaps[0].last == lost);
    archive_result_clear(&r);
}

static void what_can_never_be_written_comes_back(void **state)
{
    struct archive_result r;

    (void)state;
    start();
    head = 5; /* 1 to 5 are missing */
    published = calloc(8, sizeof *published);
    publish(WIRE_QUOTE, 0);
    hand_over();
    r = wait_for(ARCHIVE_ABANDONED);
    assert_int_equal(r.error, ERR_INVALID);
    assert_non_null(strstr(r.text, "positions 6 to 6"));
    archive_result_clear(&r);
    assert_true(archive_can_write(archive));
}

static void wait_until_kept_from(uint64_t seq)
{
    while (kept_from < seq) {
        struct archive_result r = next_result();

        archive_result_clear(&r);
    }
    assert_int_equal(kept_from, seq);
}

static void old_records_are_pruned_between_batches_and_when_idle(void **state)
{
    (void)state;
    start();
    for (int i = 0; i < 5; i++) {
        now_us = (uint64_t)clock_wall_us() - (i < 3 ? 3600000000u : 0);
        publish_many(10000);
        store_batch_keep(batch, 0, 60000000);
        hand_over();
        wait_and_drop(ARCHIVE_WRITTEN);
    }
    wait_until_kept_from(30001);
    /* No batch: the new limit takes effect nevertheless. */
    store_batch_keep(batch, 100, 0);
    archive_write(archive, batch);
    batch = store_batch_new();
    wait_until_kept_from(head - 99);
    assert_true(counted[ARCHIVE_PRUNED] > 0);
}

/* Every answer has no hole, whatever was being written meanwhile. */
static void check_dense(const struct archive_result *r)
{
    struct span records = buf_span(&r->page.records);
    uint64_t after = r->ticket.id;

    assert_int_equal(r->error, OK);
    for (uint64_t seq = after + 1; seq <= r->page.upto; seq++)
        check_record(&records, seq);
    assert_int_equal(records.len, 0);
    assert_true(r->page.upto <= r->page.head);
}

static void readers_read_while_the_writer_writes(void **state)
{
    unsigned waiting = 0, batches = 0;

    (void)state;
    dice_seed();
    start();
    while (batches < 60 || waiting) {
        struct archive_result r;

        if (batches < 60 && archive_can_write(archive)) {
            publish_many(1 + dice(5000));
            hand_over();
            batches++;
        }
        while (batches < 60 && waiting < 4) {
            struct store_query q = {.patterns = SPAN("*")};
            struct archive_ticket ticket = ticket_of(dice((unsigned)head));

            q.after = ticket.id;
            assert_int_equal(archive_request(archive, false, &q, &ticket), OK);
            waiting++;
        }
        r = next_result();
        assert_true(r.event == ARCHIVE_WRITTEN || r.event == ARCHIVE_ANSWER);
        if (r.event == ARCHIVE_ANSWER) {
            /* The requested records may not be written yet. */
            if (r.ticket.id < r.page.head)
                check_dense(&r);
            waiting--;
        }
        archive_result_clear(&r);
    }
    assert_true(counted[ARCHIVE_ANSWER] > 50);
}

static void stopping_finishes_the_batch_under_way(void **state)
{
    struct archive_result r;

    (void)state;
    start();
    publish_many(20000);
    hand_over();
    assert_true(archive_stop(archive, clock_mono_ms() + WAIT_MS));
    r = wait_for(ARCHIVE_WRITTEN);
    assert_int_equal(r.upto, head);
    archive_result_clear(&r);
    assert_false(archive_take(archive, &r));
    open_store(STORE_WRITE); /* the lock is free */
    assert_int_equal(state_now().head, head);
}

static void stopping_does_not_wait_for_a_disk_beyond_its_deadline(void **state)
{
    struct archive_result r;
    int64_t began;

    (void)state;
    start();
    publish_many(20000);
    limit_files(300000);
    hand_over();
    wait_and_drop(ARCHIVE_FAILED);
    began = clock_mono_ms();
    assert_false(archive_stop(archive, began + 200));
    assert_true(clock_mono_ms() >= began + 200);
    limit_files(0);
    r = wait_for(ARCHIVE_ABANDONED);
    archive_result_clear(&r);
    open_store(STORE_WRITE);
    assert_int_equal(state_now().head, 0);
}

/* How many threads of this process block every signal that can be blocked? */
static unsigned count_deaf_threads(void)
{
    DIR *tasks = opendir("/proc/self/task");
    struct dirent *e;
    unsigned count = 0;

    assert_non_null(tasks);
    while ((e = readdir(tasks))) {
        char name[300], line[200];
        FILE *f;

        snprintf(name, sizeof name, "/proc/self/task/%s/status", e->d_name);
        f = fopen(name, "r");
        if (!f)
            continue;
        while (fgets(line, sizeof line, f))
            if (strncmp(line, "SigBlk:", 7) == 0)
                count +=
                    (strtoull(line + 7, NULL, 16) & 0x7FFF & ~0x100ull) == (0x7FFF & ~0x100ull);
        fclose(f);
    }
    closedir(tasks);
    return count;
}

static void no_thread_takes_a_signal(void **state)
{
    unsigned before = count_deaf_threads();

    (void)state;
    start();
    assert_int_equal(count_deaf_threads(), before + 1 + ARCHIVE_READERS);
}

static void it_can_be_freed_without_having_started(void **state)
{
    struct archive *second;

    (void)state;
    assert_int_equal(archive_open(path, &second, error), ERR_HELD);
    assert_true(archive_stop(archive, 0));
    archive_free(NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_archive, tear_down_archive)
    const struct CMUnitTest tests[] = {
        TEST(a_batch_is_written_and_given_back_empty),
        TEST(answers_come_with_their_ticket),
        TEST(only_so_many_questions_wait),
        TEST(a_full_disk_is_reported_once_and_waited_out),
        TEST(what_is_abandoned_can_be_a_gap_of_the_next_batch),
        TEST(what_can_never_be_written_comes_back),
        TEST(old_records_are_pruned_between_batches_and_when_idle),
        TEST(readers_read_while_the_writer_writes),
        TEST(stopping_finishes_the_batch_under_way),
        TEST(stopping_does_not_wait_for_a_disk_beyond_its_deadline),
        TEST(no_thread_takes_a_signal),
        TEST(it_can_be_freed_without_having_started),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
