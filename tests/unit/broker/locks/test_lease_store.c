#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "broker/locks/lock_writer.h"
#include "shared/base/clock.h"
#include "tests/unit/killed.h"
#include "tests/unit/folder.h"

#define LENGTH(array) (sizeof(array) / sizeof(array)[0])
#define WALL_US 1640995200000000u
#define NOW 100000
#define KILLS 20
#define WAIT_MS 20000

static char folder[64], path[128], error[STORE_ERROR_MAX];
static struct lease_store *store;
static struct lease_batch *batch;
static uint64_t floor_now;

#define assert_ok(call)            \
    do {                           \
        error[0] = '\0';           \
        if (call)                  \
            fail_msg("%s", error); \
    } while (0)

static int set_up(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/test-lease-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/log.db-locks", folder);
    batch = lease_batch_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    lease_store_close(store);
    store = NULL;
    lease_batch_free(batch);
    return folder_remove(folder);
}

static void open_at(uint64_t wall_us)
{
    assert_ok(lease_store_open(path, wall_us, &store, &floor_now, error));
}

static void reopen(uint64_t wall_us)
{
    lease_store_close(store);
    store = NULL;
    open_at(wall_us);
}

static struct lease lease_of(const char *name, uint64_t token)
{
    struct lease l = {.state = LEASE_HELD,
                      .owner = "o",
                      .host = "h",
                      .pid = 7,
                      .token = token,
                      .ttl_ms = 3000,
                      .delay_ms = 500,
                      .granted_at = NOW - 2000};

    snprintf(l.name, sizeof l.name, "%s", name);
    return l;
}

static void add(struct lease *l, bool has_value)
{
    lease_batch_add(batch, l, has_value, NOW, WALL_US);
}

static void write_batch(void)
{
    assert_ok(lease_store_write(store, batch, error));
    lease_batch_clear(batch);
}

/* All locks in short: "a held o 5 3000/500 2000 lost o 4 expired 100 value v 4 1;". */
static char listed[4096];

static bool list_one(void *ctx, const struct lease_stored *l)
{
    static const char *const states[] = {"free", "held", "closed"};
    size_t len = strlen(listed);

    (void)ctx;
    snprintf(listed + len, sizeof listed - len, "%.*s %s%s %.*s@%.*s/%llu %llu %llu/%llu %llu",
             (int)l->name.len, l->name.at, states[l->state], lease_end_name(l->ended),
             (int)l->owner.len, l->owner.at, (int)l->host.len, l->host.at,
             (unsigned long long)l->pid, (unsigned long long)l->token,
             (unsigned long long)l->ttl_ms, (unsigned long long)l->delay_ms,
             (unsigned long long)l->held_ms);
    len = strlen(listed);
    if (l->lost_token)
        snprintf(listed + len, sizeof listed - len, " lost %.*s %llu %s %llu",
                 (int)l->lost_owner.len, l->lost_owner.at, (unsigned long long)l->lost_token,
                 lease_end_name(l->lost_reason), (unsigned long long)l->lost_ago_ms);
    len = strlen(listed);
    snprintf(listed + len, sizeof listed - len, " v%llu by %llu '%.*s';",
             (unsigned long long)l->version, (unsigned long long)l->value_token, (int)l->value.len,
             l->value.len ? l->value.at : "");
    return true;
}

static const char *list(uint64_t wall_us)
{
    listed[0] = '\0';
    assert_ok(lease_store_each(store, wall_us, list_one, NULL, error));
    return listed;
}

static void everything_comes_back_as_it_was(void **state)
{
    struct lease a = lease_of("a", 5), b = lease_of("b", 6);

    (void)state;
    open_at(0);
    buf_adds(&a.value, "v\n1");
    a.version = 1;
    a.value_token = 5;
    add(&a, true);
    b.state = LEASE_CLOSED;
    b.ended = LEASE_BROKEN;
    snprintf(b.lost.owner, sizeof b.lost.owner, "p");
    b.lost.token = 6;
    b.lost.at = NOW - 100;
    b.lost.reason = LEASE_BROKEN;
    add(&b, false);
    write_batch();
    reopen(0);
    assert_string_equal(list(WALL_US + 1000000),
                        "a held o@h/7 5 3000/500 3000 v1 by 5 'v\n1';"
                        "b closedbroken o@h/7 6 3000/500 3000 lost p 6 broken 1100 v0 by 0 '';");
    /* A row that is written again keeps its stored value. */
    a.state = LEASE_FREE;
    a.ended = LEASE_RELEASED;
    add(&a, false);
    lease_batch_forget(batch, "b");
    write_batch();
    assert_string_equal(list(WALL_US), "a freereleased o@h/7 5 3000/500 2000 v1 by 5 'v\n1';");
    buf_free(&a.value);
}

static void a_name_that_is_forgotten_and_comes_again_is_there(void **state)
{
    struct lease a = lease_of("a", 5);

    (void)state;
    open_at(0);
    add(&a, false);
    write_batch();
    lease_batch_forget(batch, "a");
    a.token = 9;
    add(&a, false);
    write_batch();
    assert_string_equal(list(WALL_US), "a held o@h/7 9 3000/500 2000 v0 by 0 '';");
}

static void tokens_go_on_above_what_was_reserved_and_above_the_clock(void **state)
{
    uint64_t first;

    (void)state;
    open_at(500);
    assert_int_equal(floor_now, 500);
    first = floor_now;
    reopen(500); /* killed before it stored a grant */
    assert_true(floor_now >= first + LEASE_STORE_RESERVE);
    batch->token_floor = 70000;
    write_batch();
    reopen(500);
    assert_int_equal(floor_now, 70000);
    reopen(WALL_US); /* as with a file that is older than the last answer */
    assert_int_equal(floor_now, WALL_US);
}

static void check_refused(enum err expected, const char *words)
{
    lease_store_close(store);
    store = NULL;
    assert_int_equal(lease_store_open(path, 0, &store, &floor_now, error), expected);
    assert_null(store);
    if (!strstr(error, words) || !strstr(error, path))
        fail_msg("\"%s\" lacks \"%s\" or the path", error, words);
}

static void run_sql(const char *file, const char *sql)
{
    sqlite3 *db;

    assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void a_file_that_is_not_ours_or_newer_or_damaged_is_refused(void **state)
{
    FILE *f;

    (void)state;
    open_at(0);
    lease_store_close(store);
    store = NULL;
    run_sql(path, "PRAGMA user_version = 99");
    check_refused(ERR_VERSION, "version 99");
    run_sql(path, "PRAGMA user_version = 1; PRAGMA application_id = 5");
    check_refused(ERR_MALFORMED, "of another program");
    run_sql(path, "PRAGMA application_id = 1349674348; DELETE FROM meta");
    check_refused(ERR_MALFORMED, "damaged");
    run_sql(path, "DROP TABLE locks");
    check_refused(ERR_MALFORMED, "damaged");
    f = fopen(path, "w");
    assert_non_null(f);
    fputs("prices of yesterday, as text, long enough for a header of a hundred bytes; "
          "nothing that we wrote",
          f);
    fclose(f);
    check_refused(ERR_MALFORMED, "not a SQLite file");
    snprintf(path, sizeof path, "%s/none/log.db-locks", folder);
    check_refused(ERR_NOT_FOUND, "make the directory");
    snprintf(path, sizeof path, "%s", folder);
    check_refused(ERR_SYS, "name a file");
}

static void a_row_that_makes_no_sense_is_named(void **state)
{
    struct lease a = lease_of("a", 5);

    (void)state;
    open_at(0);
    add(&a, false);
    write_batch();
    lease_store_close(store);
    store = NULL;
    run_sql(path, "UPDATE locks SET state = 'lent'");
    open_at(0);
    assert_int_equal(lease_store_each(store, 0, list_one, NULL, error), ERR_MALFORMED);
    assert_non_null(strstr(error, "lock 'a' makes no sense"));
}

static void two_brokers_cannot_have_one_file(void **state)
{
    struct lease_store *other = NULL;

    (void)state;
    open_at(0);
    assert_int_equal(lease_store_open(path, 0, &other, &floor_now, error), ERR_HELD);
    assert_non_null(strstr(error, "another broker"));
}

static void limit_files(rlim_t bytes)
{
    static struct rlimit before;
    struct rlimit limit;

    if (!before.rlim_max)
        assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = before;
    if (bytes)
        limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void a_disk_without_room_is_reported_at_the_start(void **state)
{
    (void)state;
    open_at(0);
    lease_store_close(store);
    store = NULL;
    signal(SIGXFSZ, SIG_IGN);
    limit_files(4096);
    check_refused(ERR_FULL, "make room");
    limit_files(0);
    open_at(0);
}

/* --- killed between write and answer ------------------------------------------------ */

/* Store grant after grant, and write each number to the pipe once it is stored. */
static _Noreturn void grant_until_killed(int pipe_end)
{
    uint64_t floor, token;
    char name[16];

    if (lease_store_open(path, 0, &store, &floor, error))
        _exit(1);
    for (token = floor + 1;; token++) {
        struct lease l;

        snprintf(name, sizeof name, "n%llu", (unsigned long long)token % 7);
        l = lease_of(name, token);
        add(&l, false);
        if (lease_store_write(store, batch, error))
            _exit(1);
        lease_batch_clear(batch);
        if (write(pipe_end, &token, sizeof token) != sizeof token)
            _exit(1);
    }
}

static bool find_highest(void *ctx, const struct lease_stored *l)
{
    uint64_t *highest = ctx;

    if (l->token > *highest)
        *highest = l->token;
    return true;
}

static void after_a_kill_what_was_acknowledged_is_there_and_no_token_again(void **state)
{
    uint64_t before = 0;

    (void)state;
    dice_seed();
    open_at(0);
    for (int i = 0; i < KILLS; i++) {
        uint64_t pipe_end, highest = 0;

        lease_store_close(store);
        store = NULL;
        pipe_end = killed_after(1 + dice(40), grant_until_killed);
        assert_true(pipe_end > before);
        open_at(0);
        assert_ok(lease_store_each(store, 0, find_highest, &highest, error));
        /* The grant in progress may be stored too. */
        assert_true(highest == pipe_end || highest == pipe_end + 1);
        assert_true(floor_now >= highest);
        before = floor_now;
    }
}

/* --- the thread --------------------------------------------------------------------- */

static struct lock_writer *log_writer;

static struct lock_writer_result next_result(void)
{
    struct pollfd p = {.fd = lock_writer_fd(log_writer), .events = POLLIN};
    struct lock_writer_result r;

    while (!lock_writer_take(log_writer, &r))
        assert_int_equal(poll(&p, 1, WAIT_MS), 1);
    return r;
}

static void end_log_writer(void)
{
    lock_writer_stop(log_writer, clock_mono_ms() + WAIT_MS);
    lock_writer_free(log_writer);
    log_writer = NULL;
}

static void a_batch_is_written_by_the_thread_and_given_back(void **state)
{
    struct lease a = lease_of("a", 5);
    struct lock_writer_result r;

    (void)state;
    assert_ok(lock_writer_open(path, 0, &log_writer, &floor_now, error));
    assert_false(lock_writer_can_write(log_writer));
    assert_ok(lock_writer_start(log_writer, error));
    add(&a, false);
    batch->change = 3;
    lock_writer_write(log_writer, batch);
    assert_false(lock_writer_can_write(log_writer));
    r = next_result();
    assert_int_equal(r.event, LOCK_WRITER_WRITTEN);
    assert_ptr_equal(r.batch, batch);
    assert_int_equal(r.batch->change, 3);
    assert_true(lock_writer_can_write(log_writer));
    assert_false(lock_writer_take(log_writer, &r));
    end_log_writer();
    open_at(0);
    assert_string_equal(list(WALL_US), "a held o@h/7 5 3000/500 2000 v0 by 0 '';");
}

static void what_cannot_be_written_is_tried_again_until_it_can(void **state)
{
    struct lease a = lease_of("a", 5);
    struct lock_writer_result r;

    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    assert_ok(lock_writer_open(path, 0, &log_writer, &floor_now, error));
    assert_ok(lock_writer_start(log_writer, error));
    limit_files(4096);
    add(&a, false);
    lock_writer_write(log_writer, batch);
    r = next_result();
    assert_int_equal(r.event, LOCK_WRITER_FAILED);
    assert_non_null(strstr(r.text, "make room"));
    assert_false(lock_writer_can_write(log_writer));
    limit_files(0);
    r = next_result();
    assert_int_equal(r.event, LOCK_WRITER_WRITTEN);
    assert_ptr_equal(r.batch, batch);
    end_log_writer();
}

static void at_the_deadline_a_batch_that_cannot_be_written_is_given_up(void **state)
{
    struct lease a = lease_of("a", 5);

    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    assert_ok(lock_writer_open(path, 0, &log_writer, &floor_now, error));
    assert_ok(lock_writer_start(log_writer, error));
    limit_files(4096);
    add(&a, false);
    lock_writer_write(log_writer, batch);
    batch = lease_batch_new();
    assert_int_equal(next_result().event, LOCK_WRITER_FAILED);
    lock_writer_stop(log_writer, clock_mono_ms());
    lock_writer_free(log_writer);
    limit_files(0);
    open_at(0);
    assert_string_equal(list(WALL_US), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        T(everything_comes_back_as_it_was),
        T(a_name_that_is_forgotten_and_comes_again_is_there),
        T(tokens_go_on_above_what_was_reserved_and_above_the_clock),
        T(a_file_that_is_not_ours_or_newer_or_damaged_is_refused),
        T(a_row_that_makes_no_sense_is_named),
        T(two_brokers_cannot_have_one_file),
        T(a_disk_without_room_is_reported_at_the_start),
        T(after_a_kill_what_was_acknowledged_is_there_and_no_token_again),
        T(a_batch_is_written_by_the_thread_and_given_back),
        T(what_cannot_be_written_is_tried_again_until_it_can),
        T(at_the_deadline_a_batch_that_cannot_be_written_is_given_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
