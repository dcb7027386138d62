#include "broker/sqlite/database.h"

#include <errno.h>
#include <stdlib.h>

#include "broker/sqlite/statement.h"
#include "shared/base/mem.h"

enum err database_error(const struct database *d, int rc, const char *doing,
                        char error[STORE_ERROR_MAX])
{
    return store_error_sqlite(d->path, d->db, rc, doing, error);
}

/* --- opening ------------------------------------------------------------------------ */

static enum err open_file(struct database *d, const struct database_kind *kind,
                          char error[STORE_ERROR_MAX])
{
    int flags =
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (kind->is_writer ? SQLITE_OPEN_CREATE : 0);
    enum err e;
    int rc;

    errno = 0;
    rc = sqlite3_open_v2(d->path, &d->db, flags, NULL);
    if (rc)
        return database_error(d, rc, "open it", error);
    sqlite3_busy_timeout(d->db, STORE_FILE_WAIT_MS);
    sqlite3_extended_result_codes(d->db, 1);
    /* A file that is not ours must stay unchanged. */
    sqlite3_db_config(d->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    e = store_file_check_schema(d->path, d->db, kind->schema, kind->is_writer, error);
    if (e)
        return e;
    sqlite3_db_config(d->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
    rc = sqlite3_exec(d->db, kind->settings, NULL, NULL, NULL);
    if (rc)
        return database_error(d, rc, "open it", error);
    e = store_file_check_mode(d->path, d->db, error);
    if (!e && kind->is_writer)
        e = store_file_migrate(d->path, d->db, kind->schema, error);
    return e;
}

static int prepare(struct database *d, const char *sql, sqlite3_stmt **out)
{
    return sqlite3_prepare_v3(d->db, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL);
}

/* This also checks that the tables exist. */
static int prepare_all(struct database *d, const struct database_kind *kind)
{
    int rc = prepare(d, "BEGIN", &d->begin_read);

    if (!rc)
        rc = prepare(d, "BEGIN IMMEDIATE", &d->begin_write);
    if (!rc)
        rc = prepare(d, "COMMIT", &d->commit);
    if (!rc)
        rc = prepare(d, "ROLLBACK", &d->rollback);
    d->count = kind->count;
    d->statements = mem_zalloc(d->count * sizeof(sqlite3_stmt *));
    for (size_t i = 0; i < d->count && !rc; i++)
        rc = prepare(d, kind->sql[i], &d->statements[i]);
    return rc;
}

enum err database_open(struct database *d, const char *path, const struct database_kind *kind,
                       bool *is_unclean, char error[STORE_ERROR_MAX])
{
    enum err e;
    int rc;

    *d = (struct database){.path = store_file_plain_path(path), .lock = STORE_FILE_UNLOCKED};
    e = store_file_check(d->path, kind->is_writer, is_unclean, error);
    if (!e && kind->is_writer)
        e = store_file_lock(d->path, &d->lock, error);
    if (!e)
        e = open_file(d, kind, error);
    if (e)
        return e;
    rc = prepare_all(d, kind);
    return rc ? database_error(d, rc, "read it", error) : OK;
}

void database_close(struct database *d)
{
    for (size_t i = 0; i < d->count; i++)
        sqlite3_finalize(d->statements[i]);
    sqlite3_finalize(d->begin_read);
    sqlite3_finalize(d->begin_write);
    sqlite3_finalize(d->commit);
    sqlite3_finalize(d->rollback);
    sqlite3_close(d->db);
    if (d->path)
        store_file_unlock(&d->lock);
    free(d->statements);
    free(d->path);
    *d = (struct database){0};
}

/* --- transactions ------------------------------------------------------------------- */

sqlite3_stmt *database_statement(struct database *d, size_t index)
{
    sqlite3_reset(d->statements[index]);
    return d->statements[index];
}

int database_begin(struct database *d, bool is_writing)
{
    /* SQLite does not keep it when a commit fails: see store_error_sqlite. */
    errno = 0;
    return statement_run(is_writing ? d->begin_write : d->begin_read);
}

/* A statement that is not reset in the middle of its rows would keep the transaction open. */
static void reset_all(struct database *d)
{
    for (size_t i = 0; i < d->count; i++)
        sqlite3_reset(d->statements[i]);
}

static void roll_back(struct database *d)
{
    int error_number = errno;

    if (!sqlite3_get_autocommit(d->db))
        statement_run(d->rollback);
    errno = error_number;
}

int database_end(struct database *d, int rc)
{
    reset_all(d);
    if (rc == SQLITE_OK)
        rc = statement_run(d->commit);
    roll_back(d);
    return rc;
}

void database_end_read(struct database *d)
{
    int error_number = errno;

    reset_all(d);
    errno = error_number;
    roll_back(d);
}

void database_interrupt(struct database *d)
{
    if (d->db)
        sqlite3_interrupt(d->db);
}
