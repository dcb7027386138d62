/* store_file: what is wrong with a file is found out at the start, not later. */
#include "broker/store_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/store_private.h"
#include "shared/mem.h"

#define CHECK_BYTES ((off_t)64 << 20) /* larger files are not read as a whole */

/* SQLite would take "file:…" and ":memory:" for something else. */
char *store_file_plain_path(const char *path)
{
    char *out = mem_alloc(strlen(path) + 3);

    sprintf(out, "%s%s", *path == '/' || *path == '.' ? "" : "./", path);
    return out;
}

char *store_file_beside(const char *path, const char *suffix)
{
    char *out = mem_alloc(strlen(path) + strlen(suffix) + 1);

    sprintf(out, "%s%s", path, suffix);
    return out;
}

static enum err check_directory(const char *path, bool is_writer,
                                char error[STORE_ERROR_MAX])
{
    char *directory = mem_strdup(path), *slash = strrchr(directory, '/');
    struct stat st;
    int failure = 0;

    slash[slash == directory] = '\0';
    if (stat(directory, &st))
        failure = errno;
    else if (!S_ISDIR(st.st_mode))
        failure = ENOTDIR;
    else if (is_writer && access(directory, W_OK | X_OK))
        failure = errno;
    free(directory);
    return failure ? store_error_system(path, failure, "open it", error) : OK;
}

/* Not opened here: closing a descriptor of the file would drop SQLite's locks on it. */
static enum err check_file(const char *path, bool is_writer, bool *is_unclean,
                           char error[STORE_ERROR_MAX])
{
    char *wal = store_file_beside(path, "-wal");
    struct stat st, wal_st;
    int failure = 0;

    if (stat(path, &st))
        failure = errno == ENOENT && is_writer ? 0 : errno;
    else if (S_ISDIR(st.st_mode))
        failure = EISDIR;
    else if (access(path, R_OK | (is_writer ? W_OK : 0)))
        failure = errno;
    else
        *is_unclean = !stat(wal, &wal_st) && wal_st.st_size && st.st_size < CHECK_BYTES;
    free(wal);
    return failure ? store_error_system(path, failure, "open it", error) : OK;
}

enum err store_file_check(const char *path, bool is_writer, bool *is_unclean,
                          char error[STORE_ERROR_MAX])
{
    enum err e = check_directory(path, is_writer, error);

    return e ? e : check_file(path, is_writer, is_unclean, error);
}

enum err store_file_lock(const char *path, int *out, char error[STORE_ERROR_MAX])
{
    char *beside = store_file_beside(path, "-lock"), who[24] = "";
    int failure = 0;
    ssize_t len;

    *out = open(beside, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (*out < 0 || flock(*out, LOCK_EX | LOCK_NB))
        failure = errno;
    free(beside);
    if (failure == EWOULDBLOCK) {
        len = pread(*out, who, sizeof who - 1, 0);
        who[len > 0 ? strcspn(who, "\n") : 0] = '\0';
        snprintf(error, STORE_ERROR_MAX,
                 "store %s: another broker (process %s) writes it; end that one or "
                 "choose another path",
                 path, *who ? who : "not known");
        return ERR_HELD;
    }
    if (failure)
        return store_error_system(path, failure, "lock it", error);
    /* Only so that people can see it: what counts is the lock. */
    len = snprintf(who, sizeof who, "%d\n", getpid());
    if (ftruncate(*out, 0) || pwrite(*out, who, (size_t)len, 0) != len)
        return store_error_system(path, errno, "lock it", error);
    return OK;
}

/* Where memory cannot be shared (a network share), SQLite keeps silent and another mode. */
enum err store_file_check_mode(const char *path, sqlite3 *db,
                               char error[STORE_ERROR_MAX])
{
    sqlite3_stmt *stmt;
    int rc = sqlite3_prepare_v2(db, "PRAGMA journal_mode", -1, &stmt, NULL);
    bool is_wal = !rc && sqlite3_step(stmt) == SQLITE_ROW &&
                  span_eq(store_column_span(stmt, 0), "wal");

    sqlite3_finalize(stmt);
    if (is_wal)
        return OK;
    snprintf(
        error, STORE_ERROR_MAX,
        "store %s: cannot open it: its file system cannot do what SQLite's WAL mode "
        "needs; choose a path on a local disk",
        path);
    return ERR_SYS;
}

static enum err tell_version(const char *path, int version, size_t ours,
                             char error[STORE_ERROR_MAX])
{
    bool is_newer = (size_t)version > ours;

    snprintf(error, STORE_ERROR_MAX,
             is_newer ? "store %s: its tables are of version %d and this program knows "
                        "up to %zu; use the newer program that made it, or a backup"
                      : "store %s: its tables are of version %d and this program reads "
                        "%zu; start the broker once to bring it up to date",
             path, version, ours);
    return ERR_VERSION;
}

enum err store_file_check_schema(const char *path, sqlite3 *db,
                                 const struct store_schema *schema, bool is_writer,
                                 char error[STORE_ERROR_MAX])
{
    int application = 0, version = 0;
    int rc = store_schema_read(db, &application, &version);
    sqlite3_stmt *stmt = NULL;
    bool is_empty = false;

    if (!rc && !application && !version) {
        rc = sqlite3_prepare_v2(db, "SELECT 1 FROM sqlite_master", -1, &stmt, NULL);
        is_empty = !rc && sqlite3_step(stmt) == SQLITE_DONE;
        sqlite3_finalize(stmt);
    }
    if (rc)
        return store_error_tell(path, db, rc, "read it", error);
    if (application != schema->application && !(is_empty && is_writer)) {
        snprintf(error, STORE_ERROR_MAX,
                 "store %s: it is %s; correct the path or move the file away", path,
                 is_empty ? "empty" : "a SQLite file of another program");
        return ERR_MALFORMED;
    }
    if (!is_writer ? (size_t)version != schema->count : (size_t)version > schema->count)
        return tell_version(path, version, schema->count, error);
    return OK;
}

enum err store_file_migrate(const char *path, sqlite3 *db,
                            const struct store_schema *schema,
                            char error[STORE_ERROR_MAX])
{
    int version = 0, rc = 0;

    if (store_schema_migrate(db, schema, &version, &rc))
        return store_error_tell(path, db, rc, "make its tables", error);
    return OK;
}

/* Reads the whole file: 60 MB take 0.06 s when they are in memory, about 0.3 s when not. */
int store_file_check_all(sqlite3 *db)
{
    sqlite3_stmt *stmt;
    int rc = sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &stmt, NULL);

    if (rc)
        return rc;
    rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        rc = span_eq(store_column_span(stmt, 0), "ok") ? SQLITE_OK : SQLITE_CORRUPT;
    sqlite3_finalize(stmt);
    return rc;
}

bool store_file_has_moved(sqlite3 *db)
{
    int moved = 0;

    return !sqlite3_file_control(db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) && moved;
}

enum err store_file_tell_moved(const char *path, char error[STORE_ERROR_MAX])
{
    snprintf(error, STORE_ERROR_MAX,
             "store %s: cannot write it: the file was moved or deleted; put it "
             "back, or start the broker again",
             path);
    return ERR_NOT_FOUND;
}
