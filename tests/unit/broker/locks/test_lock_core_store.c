#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "broker/locks/lock_core_private.h"
#include "shared/base/clock.h"
#include "tests/unit/broker/core/core_fixture.h"
#include "tests/unit/folder.h"

#define WAIT_MS 20000

static char folder[64], path[128], error[STORE_ERROR_MAX];

static void begin(void)
{
    set_up(NULL);
    if (lock_core_open(core.locks, path, &core.time, error))
        fail_msg("%s", error);
}

static bool end(int64_t patience_ms)
{
    return lock_core_close(core.locks, clock_mono_ms() + patience_ms);
}

static int set_up_file(void **state)
{
    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    strcpy(folder, "/tmp/test-core-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/locks", folder);
    begin();
    return 0;
}

static int tear_down_file(void **state)
{
    end(WAIT_MS);
    tear_down(state);
    return folder_remove(folder);
}

/* Tick until a message is sent; returns its text. */
static const char *next_reply(void)
{
    struct pollfd p = {.fd = lock_core_fd(core.locks), .events = POLLIN};

    while (!reply_count) {
        lock_core_tick(core.locks, &core.time);
        if (!reply_count)
            assert_int_equal(poll(&p, 1, WAIT_MS), 1);
    }
    unpacked(&text, buf_span(&replies[0].message));
    buf_free(&replies[0].to);
    buf_free(&replies[0].message);
    memmove(replies, replies + 1, --reply_count * sizeof *replies);
    return buf_text(&text);
}

static uint64_t token_in(const char *answer)
{
    const char *at = strstr(answer, "'token':");

    if (!at)
        fail_msg("no token in %s", answer);
    return strtoull(at + 8, NULL, 10);
}

static const char *with_token(const char *op, uint64_t token)
{
    static char json[200];

    snprintf(json, sizeof json,
             "{'op':'%s','id':2,'name':'a','owner':'x','token':%llu,'value':'v'}", op,
             (unsigned long long)token);
    return json;
}

#define LOCK "{'op':'lock','id':1,'name':'a','owner':'x','ttl_ms':9000}"
#define LOCK_B "{'op':'lock','id':1,'name':'b','owner':'x','ttl_ms':9000}"

static void has(const char *answer, const char *words)
{
    if (!strstr(answer, words))
        fail_msg("%s lacks %s", answer, words);
}

static uint64_t granted(void)
{
    assert_string_equal(answer_to("p", LOCK), "");
    return token_in(next_reply());
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

static void a_grant_is_answered_when_it_is_stored_and_not_before(void **state)
{
    (void)state;
    assert_string_equal(answer_to("p", LOCK), "");
    assert_string_equal(answer_to("q", "{'op':'locks','id':2}"), "");
    assert_string_equal(answer_to("r", "{'op':'lock','id':3,'name':'a','owner':'y','ttl_ms':1000}"),
                        "");
    assert_int_equal(published_count, 0);
    has(next_reply(), "'durable':true}");
    has(next_reply(), "'re':'locks'");
    has(next_reply(), "'error':'held'");
    assert_int_equal(published_count, 1);
    has(published_text(0), "!lock/a lock 1<0 {'name':'a','state':'held'");
    /* Once it is stored, requests about it are answered at once. */
    has(answer_to("q", "{'op':'locks','id':2}"), "'durable':true");
    forget_sent(replies, &reply_count);
}

static void a_grant_during_a_commit_waits_for_the_next_one(void **state)
{
    (void)state;
    assert_string_equal(answer_to("p", LOCK), "");
    lock_core_tick(core.locks, &core.time); /* the writer has a's */
    assert_string_equal(answer_to("p", LOCK_B), "");
    has(next_reply(), "'name':'a'");
    assert_int_equal(reply_count, 0);
    has(next_reply(), "'name':'b'");
}

static void a_renewal_waits_for_nothing(void **state)
{
    uint64_t token = granted();

    (void)state;
    assert_string_equal(answer_to("p", with_token("value_put", token)), "");
    has(answer_to("p", with_token("renew", token)), "'expires_ms':9000}");
    forget_sent(replies, &reply_count);
    has(next_reply(), "'version':1}");
}

static void answered_grants_go_on_after_a_restart_and_tokens_rise(void **state)
{
    uint64_t token = granted();

    answer_to("p", with_token("value_put", token));
    has(next_reply(), "'version':1}");
    assert_true(end(WAIT_MS));
    tear_down(state);
    begin();
    has(answer_to("p", with_token("renew", token)), "'expires_ms':9000}");
    forget_sent(replies, &reply_count);
    has(answer_to("p", "{'op':'value_get','id':2,'name':'a'}"), "'value':'v'");
    forget_sent(replies, &reply_count);
    answer_to("p", LOCK_B);
    assert_true(token_in(next_reply()) > token);
}

static void what_is_asked_before_the_end_is_stored_and_answered(void **state)
{
    uint64_t token = granted();

    answer_to("p", with_token("release", token));
    assert_true(end(WAIT_MS));
    has(next_reply(), "'re':'release'");
    tear_down(state);
    begin();
    has(answer_to("p", "{'op':'locks','id':2}"), "'state':'free','owner':'x'");
    forget_sent(replies, &reply_count);
}

static void while_the_file_cannot_be_written_nothing_is_granted_and_renewals_go_on(void **state)
{
    uint64_t token = granted();

    (void)state;
    limit_files(4096);
    assert_string_equal(answer_to("p", LOCK_B), "");
    has(next_reply(), "{'re':'lock','id':1,'error':'not_stored','message':'store ");
    has(answer_to("p", LOCK_B), "it may still take effect: ask again with the same owner'");
    forget_sent(replies, &reply_count);
    has(answer_to("p", "{'op':'lock','id':1,'name':'c','owner':'x','ttl_ms':9000}"),
        "'error':'not_stored'");
    forget_sent(replies, &reply_count);
    has(answer_to("p", with_token("renew", token)), "'expires_ms':9000}");
    forget_sent(replies, &reply_count);
    has(answer_to("p", LOCK), "'is_new':false,'durable':false}");
    forget_sent(replies, &reply_count);
    has(answer_to("p", with_token("value_put", token)), "'error':'not_stored'");
    forget_sent(replies, &reply_count);
    has(answer_to("p", "{'op':'locks','id':2}"), "'durable':false,'reason':'store ");
    forget_sent(replies, &reply_count);
    has(answer_to("p", "{'op':'status','id':2}"), "'locks':{'kind':'sqlite','durable':false,");
    forget_sent(replies, &reply_count);
    has(answer_to("p", with_token("release", token)), "'error':'not_stored'");
    forget_sent(replies, &reply_count);

    limit_files(0);
    /* An unanswered request took effect: the same owner learns it now. */
    while (strstr(answer_to("p", LOCK_B), "not_stored")) {
        struct pollfd p = {.fd = lock_core_fd(core.locks), .events = POLLIN};

        forget_sent(replies, &reply_count);
        poll(&p, 1, WAIT_MS);
        lock_core_tick(core.locks, &core.time);
    }
    has(next_reply(), "'is_new':false,'durable':true}");
    answer_to("p", with_token("release", token));
    has(next_reply(), "'re':'release','id':2,'name':'a'");
}

static void a_disk_that_does_not_answer_counts_as_failing(void **state)
{
    uint64_t token = granted();
    sqlite3 *other; /* its lock is waited for in the thread, as a slow disk would be */

    (void)state;
    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    answer_to("p", LOCK_B);
    assert_int_equal(lock_core_tick(core.locks, &core.time), 2000);
    pass_time(1999);
    assert_int_equal(lock_core_tick(core.locks, &core.time), 1);
    assert_int_equal(reply_count, 0);
    has(answer_to("p", "{'op':'status','id':2}"), "'waiting':0,'behind_us':1999000}");
    forget_sent(replies, &reply_count);
    pass_time(1);
    lock_core_tick(core.locks, &core.time);
    has(next_reply(), "'message':'the disk has not answered for 2 s; it may still");
    assert_int_equal(lock_core_tick(core.locks, &core.time), 9000 - 2000 + 1); /* of the lease */
    has(answer_to("p", with_token("renew", token)), "'expires_ms':9000}");
    forget_sent(replies, &reply_count);
    sqlite3_close(other);
    while (strstr(answer_to("p", LOCK_B), "not_stored")) {
        forget_sent(replies, &reply_count);
        lock_core_tick(core.locks, &core.time);
    }
    has(next_reply(), "'is_new':false,'durable':true}");
}

static void what_waits_for_a_slow_disk_is_bounded(void **state)
{
    uint64_t token = granted();
    size_t waiting = 0;
    sqlite3 *other;

    (void)state;
    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    answer_to("p", with_token("value_put", token));
    lock_core_tick(core.locks, &core.time);
    while (waiting < 100000 && !*answer_to("q", "{'op':'value_get','id':2,'name':'a'}"))
        waiting++;
    assert_true(waiting > 0 && waiting < LOCK_CORE_UNSENT_MAX);
    has(next_reply(), "'error':'again'");
    has(answer_to("p", with_token("release", token)), "'error':'again'");
    forget_sent(replies, &reply_count);
    lock_core_drop_unsent(core.locks); /* no peer is left to receive them */
    sqlite3_close(other);
}

static void a_broker_that_stops_does_not_wait_longer_than_it_may(void **state)
{
    (void)state;
    granted();
    limit_files(4096);
    answer_to("p", LOCK_B);
    has(next_reply(), "not_stored");
    assert_false(end(0));
    limit_files(0);
}

static void a_change_is_in_the_list_of_watchers_only_once_it_is_stored(void **state)
{
    uint64_t token = granted();

    (void)state;
    has(published_text(0), "!lock/a lock 1<0 ");
    answer_to("p", with_token("value_put", token));
    answer_to("p", with_token("release", token));
    assert_int_equal(published_count, 1);
    has(next_reply(), "'re':'value_put','id':2,'name':'a'");
    has(next_reply(), "'re':'release','id':2,'name':'a'");
    assert_int_equal(published_count, 3);
    has(published_text(1), "!lock/a lock 2<1 {'name':'a','state':'held'");
    has(published_text(2), "!lock/a lock 3<2 {'name':'a','state':'free'");
    has(answer_to("p", "{'op':'status','id':2}"),
        "'locks':{'kind':'sqlite','durable':true,'reason':'','count':1,'held':0,'waiting':0,"
        "'behind_us':0}");
    forget_sent(replies, &reply_count);
}

/* Tokens that the file has reserved, as a broker that starts would find them. */
static uint64_t reserved(void)
{
    sqlite3 *db;
    sqlite3_stmt *stmt;
    uint64_t floor;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT value FROM meta", -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    floor = (uint64_t)sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return floor;
}

static void tokens_are_reserved_in_the_file_before_half_of_them_are_given(void **state)
{
    uint64_t first = reserved(), token = granted();
    const uint64_t half = LEASE_STORE_RESERVE / 2;

    (void)state;
    assert_int_equal(first, WALL_US + LEASE_STORE_RESERVE);
    assert_int_equal(token, WALL_US + 1);
    answer_to("p", with_token("release", token));
    next_reply();
    assert_int_equal(reserved(), first);
    lease_set_floor(core.locks->table, WALL_US + half - 1);
    token = granted();
    assert_int_equal(token, WALL_US + half);
    assert_int_equal(reserved(), first);
    answer_to("p", with_token("release", token));
    next_reply();
    token = granted();
    assert_int_equal(reserved(), token + LEASE_STORE_RESERVE);
}

static void a_file_that_cannot_be_opened_is_reported(void **state)
{
    struct lock_writer *writer = NULL;
    uint64_t floor = 7;

    (void)state;
    assert_true(lock_writer_open(folder, 1, &writer, &floor, error) != OK);
    assert_non_null(strstr(error, folder));
    assert_null(writer);
    assert_int_equal(floor, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up_file, tear_down_file)
        T(a_grant_is_answered_when_it_is_stored_and_not_before),
        T(a_grant_during_a_commit_waits_for_the_next_one),
        T(a_renewal_waits_for_nothing),
        T(answered_grants_go_on_after_a_restart_and_tokens_rise),
        T(what_is_asked_before_the_end_is_stored_and_answered),
        T(while_the_file_cannot_be_written_nothing_is_granted_and_renewals_go_on),
        T(a_disk_that_does_not_answer_counts_as_failing),
        T(what_waits_for_a_slow_disk_is_bounded),
        T(a_broker_that_stops_does_not_wait_longer_than_it_may),
        T(a_change_is_in_the_list_of_watchers_only_once_it_is_stored),
        T(tokens_are_reserved_in_the_file_before_half_of_them_are_given),
        T(a_file_that_cannot_be_opened_is_reported),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
