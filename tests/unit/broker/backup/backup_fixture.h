/*
 * backup_fixture: a store with five records and a lock, which no broker uses, and a name for its
 * backup, in a folder of their own.  Include it after <cmocka.h>.
 */
#ifndef TESTS_UNIT_BROKER_BACKUP_BACKUP_FIXTURE_H
#define TESTS_UNIT_BROKER_BACKUP_BACKUP_FIXTURE_H

#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/backup/store_backup.h"
#include "broker/locks/lease_store.h"
#include "tests/unit/broker/log/log_writer_fixture.h"

static char target[160], locks_path[160];

/* The file of locks beside the store: one lock, held, with a value. */
static inline void make_locks(void)
{
    struct lease_limits limits = {.count = 9, .ttl_max_ms = 60000, .delay_max_ms = 60000};
    struct lease_table *table = lease_table_new(&limits, 1000);
    struct lease_request q = {.name = SPAN("a"), .owner = SPAN("x"), .ttl_ms = 5000};
    struct lease_batch *batch = lease_batch_new();
    struct lease_answer a;
    struct lease_store *s;
    uint64_t floor;

    assert_int_equal(lease_acquire(table, &q, 1, 1, &a), OK);
    assert_int_equal(lease_put(table, a.lease, SPAN("x"), a.lease->token, SPAN("v")), OK);
    lease_batch_add(batch, a.lease, true, 1, WALL_US);
    assert_int_equal(lease_store_open(locks_path, WALL_US, &s, &floor, error), OK);
    assert_int_equal(lease_store_write(s, batch, error), OK);
    lease_store_close(s);
    lease_batch_free(batch);
    lease_table_free(table);
}

static inline int set_up_backup(void **state)
{
    set_up(state);
    snprintf(target, sizeof target, "%s/copy", folder);
    snprintf(locks_path, sizeof locks_path, "%s-locks", path);
    for (uint64_t line = 1; line <= 5; line++)
        append(line, WALL_US);
    store_all();
    stop();
    make_locks();
    return 0;
}

static inline bool exists(const char *file, const char *suffix)
{
    char name[400];

    snprintf(name, sizeof name, "%s%s", file, suffix);
    return access(name, F_OK) == 0;
}

/* One number from a file of SQLite. */
static inline uint64_t number_in(const char *file, const char *sql)
{
    sqlite3_stmt *stmt;
    uint64_t number;
    sqlite3 *db;

    assert_int_equal(sqlite3_open_v2(file, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    number = (uint64_t)sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return number;
}

static inline void change(const char *file, const char *sql)
{
    sqlite3 *db;

    assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static inline void back_up(void)
{
    if (store_backup(path, target, NULL, NULL, error))
        fail_msg("%s", error);
}

static inline void error_has(const char *words)
{
    if (!strstr(error, words))
        fail_msg("\"%s\" lacks \"%s\"", error, words);
}

#endif
