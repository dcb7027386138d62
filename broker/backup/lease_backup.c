#include "broker/backup/lease_backup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "broker/backup/store_backup.h"
#include "broker/locks/lease_store.h"
#include "broker/sqlite/statement.h"
#include "broker/sqlite/store_file.h"

static int attach(sqlite3 *db, const char *path)
{
    sqlite3_stmt *stmt;
    int rc = sqlite3_prepare_v2(db, "ATTACH ?1 AS other", -1, &stmt, NULL);

    if (rc)
        return rc;
    statement_bind_text(stmt, 1, span_of(path));
    rc = sqlite3_step(stmt);
    sqlite3_finalize(stmt);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int run(sqlite3 *db, const char *sql)
{
    int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);

    if (rc && !sqlite3_get_autocommit(db))
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return rc;
}

enum err lease_backup_copy(const char *path, sqlite3 *copy, char error[STORE_ERROR_MAX])
{
    uint64_t application = 0, version = 0;
    int rc;
    char put_version[120];

    if (access(path, F_OK))
        return OK;
    errno = 0;
    rc = attach(copy, path);
    if (!rc)
        rc = sqlite3_busy_timeout(copy, STORE_FILE_WAIT_MS);
    if (!rc)
        rc = statement_number(copy, "PRAGMA other.application_id", &application);
    if (!rc)
        rc = statement_number(copy, "PRAGMA other.user_version", &version);
    if (!rc && !application && !version)
        return run(copy, "DETACH other") ? ERR_SYS : OK; /* an empty file has no locks */
    if (!rc && (int)application != lease_store_schema.application) {
        snprintf(error, STORE_ERROR_MAX,
                 "store %s: it is a SQLite file of another program; move it away", path);
        return ERR_MALFORMED;
    }
    snprintf(put_version, sizeof put_version,
             "CREATE TABLE " STORE_BACKUP_LOCKS "_version AS SELECT %d AS value", (int)version);
    if (!rc)
        rc = run(copy, "BEGIN");
    if (!rc)
        rc = run(copy, put_version);
    if (!rc)
        rc = run(copy, "CREATE TABLE " STORE_BACKUP_LOCKS "_meta AS SELECT * FROM other.meta;"
                       "CREATE TABLE " STORE_BACKUP_LOCKS "_locks AS SELECT * FROM other.locks;"
                       "CREATE TABLE " STORE_BACKUP_LOCKS
                       "_lock_values AS SELECT * FROM other.lock_values;"
                       "COMMIT; DETACH other");
    return rc ? store_error_sqlite(path, copy, rc, "copy it", error) : OK;
}

enum err lease_backup_make(const char *path, int version, const char *backup,
                           char error[STORE_ERROR_MAX])
{
    struct schema then = lease_store_schema;
    sqlite3 *db = NULL;
    int code = 0, made = 0, rc;
    enum err e = OK;

    if (version < 1 || (size_t)version > then.count) {
        snprintf(error, STORE_ERROR_MAX,
                 "store %s: its locks are of version %d and this program knows up to %zu; "
                 "restore it with the newer program that made it",
                 backup, version, then.count);
        return ERR_VERSION;
    }
    then.count = (size_t)version;
    errno = 0;
    rc = sqlite3_open_v2(path, &db,
                         SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    if (!rc && schema_migrate(db, &then, &made, &code))
        rc = code ? code : SQLITE_ERROR;
    if (!rc)
        rc = attach(db, backup);
    if (!rc)
        rc = run(db,
                 "BEGIN;"
                 "INSERT OR REPLACE INTO main.meta SELECT * FROM other." STORE_BACKUP_LOCKS "_meta;"
                 "INSERT INTO main.locks SELECT * FROM other." STORE_BACKUP_LOCKS "_locks;"
                 "INSERT INTO main.lock_values SELECT * FROM other." STORE_BACKUP_LOCKS
                 "_lock_values;"
                 "COMMIT; DETACH other");
    if (rc)
        e = store_error_sqlite(path, db, rc, "make it", error);
    sqlite3_close(db);
    return e;
}
