/* store_file: what is wrong with a file is found out at the start, not later. */
#include "broker/sqlite/store_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/sqlite/statement.h"
#include "shared/base/mem.h"

#define CHECK_BYTES ((off_t)64 << 20) /* larger files are not read as a whole */

#define LINKS_MAX 40 /* one after the other, as the kernel allows */

/* SQLite would take "file:…" and ":memory:" for something else. */
static char *with_folder(const char *path)
{
    char *out = mem_alloc(strlen(path) + 3);

    sprintf(out, "%s%s", *path == '/' || *path == '.' ? "" : "./", path);
    if (!strchr(out, '/')) /* "." and the like */
        sprintf(out, "./%s", path);
    return out;
}

/* `name` as seen from the folder of `path`, which has a slash. */
static char *in_folder_of(const char *path, const char *name)
{
    size_t folder = (size_t)(strrchr(path, '/') + 1 - path);
    char *out = mem_alloc(folder + strlen(name) + 1);

    sprintf(out, "%.*s%s", (int)folder, path, name);
    return out;
}

/* `path` is freed. */
static char *follow_links(char *path)
{
    char target[PATH_MAX];
    ssize_t len;

    for (int i = 0; i < LINKS_MAX; i++) {
        char *next;

        len = readlink(path, target, sizeof target - 1);
        if (len <= 0)
            break;
        target[len] = '\0';
        next = *target == '/' ? mem_strdup(target) : in_folder_of(path, target);
        free(path);
        path = next;
    }
    return path;
}

char *store_file_plain_path(const char *path)
{
    char *file = follow_links(with_folder(path)), *folder = mem_strdup(file), *real,
         *slash = strrchr(folder, '/'), *out;

    slash[slash == folder] = '\0';
    real = realpath(folder, NULL);
    free(folder);
    if (!real)
        return file;
    out = mem_alloc(strlen(real) + strlen(strrchr(file, '/')) + 1);
    sprintf(out, "%s%s", strcmp(real, "/") == 0 ? "" : real, strrchr(file, '/'));
    free(real);
    free(file);
    return out;
}

char *store_file_beside(const char *path, const char *suffix)
{
    char *out = mem_alloc(strlen(path) + strlen(suffix) + 1);

    sprintf(out, "%s%s", path, suffix);
    return out;
}

enum err store_file_check_beside(const char *given, const char *suffix, char error[STORE_ERROR_MAX])
{
    char *file = store_file_plain_path(given), *is = store_file_beside(file, suffix),
         *was = store_file_beside(given, suffix);
    bool is_misplaced = access(is, F_OK) && !access(was, F_OK);

    if (is_misplaced)
        snprintf(error, STORE_ERROR_MAX,
                 "store %s: it is a link to %s, and %s belongs beside the file: move it to "
                 "%s (with its -wal, if there is one), then start again",
                 given, file, was, is);
    free(file);
    free(is);
    free(was);
    return is_misplaced ? ERR_NOT_FOUND : OK;
}

static enum err check_directory(const char *path, bool is_writer, char error[STORE_ERROR_MAX])
{
    char *directory = mem_strdup(path), *slash = strrchr(directory, '/');
    struct stat st;
    int failure = 0;

    slash[slash == directory] = '\0';
    if (stat(directory, &st) == 0 && !S_ISDIR(st.st_mode))
        failure = ENOTDIR;
    else if (access(directory, is_writer ? W_OK | X_OK : F_OK))
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

static enum err error_held(const char *path, const char *holder, char error[STORE_ERROR_MAX])
{
    snprintf(error, STORE_ERROR_MAX,
             "store %s: the store is in use: another broker (%s) writes it; end that one "
             "or choose another path",
             path, holder);
    return ERR_HELD;
}

static enum err lock_name(const char *path, int *out, char error[STORE_ERROR_MAX])
{
    char *beside = store_file_beside(path, "-lock"), pid[24] = "", holder[40];
    int failure = 0;
    ssize_t len;

    *out = open(beside, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (*out < 0 || flock(*out, LOCK_EX | LOCK_NB))
        failure = errno;
    free(beside);
    if (failure == EWOULDBLOCK) {
        len = pread(*out, pid, sizeof pid - 1, 0);
        pid[len > 0 ? strcspn(pid, "\n") : 0] = '\0';
        snprintf(holder, sizeof holder, "process %s", *pid ? pid : "not known");
        return error_held(path, holder, error);
    }
    if (failure)
        return store_error_system(path, failure, "lock it", error);
    /* Only for an operator to see: what counts is the lock. */
    len = snprintf(pid, sizeof pid, "%d\n", getpid());
    if (ftruncate(*out, 0) || pwrite(*out, pid, (size_t)len, 0) != len)
        return store_error_system(path, errno, "lock it", error);
    return OK;
}

static enum err lock_file(const char *path, int *out, char error[STORE_ERROR_MAX])
{
    struct stat locked, named;

    *out = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY, 0644);
    if (*out < 0)
        return store_error_system(path, errno, "open it", error);
    if (flock(*out, LOCK_EX | LOCK_NB))
        return errno == EWOULDBLOCK ? error_held(path, "under another name of the same file", error)
                                    : store_error_system(path, errno, "lock it", error);
    if (fstat(*out, &locked) || stat(path, &named))
        return store_error_system(path, errno, "open it", error);
    if (!S_ISREG(locked.st_mode)) {
        snprintf(error, STORE_ERROR_MAX,
                 "store %s: it is a device or a pipe, not a file; name a file", path);
        return ERR_SYS;
    }
    if (locked.st_dev != named.st_dev || locked.st_ino != named.st_ino)
        return error_held(path, "one that has just replaced the file", error);
    return OK;
}

/* The name first: a second attempt of this process must not open, and so close, the file. */
enum err store_file_lock(const char *path, struct store_file_lock *out, char error[STORE_ERROR_MAX])
{
    enum err e = lock_name(path, &out->name, error);

    return e ? e : lock_file(path, &out->file, error);
}

void store_file_unlock(struct store_file_lock *lock)
{
    if (lock->file >= 0)
        close(lock->file);
    if (lock->name >= 0)
        close(lock->name);
    *lock = STORE_FILE_UNLOCKED;
}

/* Where memory cannot be shared (a network share), SQLite keeps silent and another mode. */
enum err store_file_check_mode(const char *path, sqlite3 *db, char error[STORE_ERROR_MAX])
{
    sqlite3_stmt *stmt;
    int rc = sqlite3_prepare_v2(db, "PRAGMA journal_mode", -1, &stmt, NULL);
    bool is_wal =
        !rc && sqlite3_step(stmt) == SQLITE_ROW && span_eq(statement_column_span(stmt, 0), "wal");

    sqlite3_finalize(stmt);
    if (is_wal)
        return OK;
    snprintf(error, STORE_ERROR_MAX,
             "store %s: cannot open it: its file system cannot do what SQLite's WAL mode "
             "needs; choose a path on a local disk",
             path);
    return ERR_SYS;
}

static enum err error_version(const char *path, int version, size_t ours,
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

enum err store_file_check_schema(const char *path, sqlite3 *db, const struct schema *schema,
                                 bool is_writer, char error[STORE_ERROR_MAX])
{
    int application = 0, version = 0;
    int rc = schema_read(db, &application, &version);
    sqlite3_stmt *stmt = NULL;
    bool is_empty = false;

    if (!rc && !application && !version) {
        rc = sqlite3_prepare_v2(db, "SELECT 1 FROM sqlite_master", -1, &stmt, NULL);
        is_empty = !rc && sqlite3_step(stmt) == SQLITE_DONE;
        sqlite3_finalize(stmt);
    }
    if (rc)
        return store_error_sqlite(path, db, rc, "read it", error);
    if (application != schema->application && !(is_empty && is_writer)) {
        snprintf(error, STORE_ERROR_MAX,
                 "store %s: it is %s; correct the path or move the file away", path,
                 is_empty ? "empty" : "a SQLite file of another program");
        return ERR_MALFORMED;
    }
    if (!is_writer ? (size_t)version != schema->count : (size_t)version > schema->count)
        return error_version(path, version, schema->count, error);
    return OK;
}

enum err store_file_migrate(const char *path, sqlite3 *db, const struct schema *schema,
                            char error[STORE_ERROR_MAX])
{
    int version = 0, rc = 0;

    if (schema_migrate(db, schema, &version, &rc))
        return store_error_sqlite(path, db, rc, "make its tables", error);
    return OK;
}

enum err store_file_sync_folder(const char *path, char error[STORE_ERROR_MAX])
{
    char *directory = mem_strdup(path), *slash = strrchr(directory, '/');
    int fd, failure = 0;

    slash[slash == directory] = '\0';
    fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd))
        failure = errno;
    if (fd >= 0)
        close(fd);
    free(directory);
    return failure ? store_error_system(path, failure, "write its folder", error) : OK;
}

/* Reads the whole file: 60 MB take 0.06 s when they are in memory, about 0.3 s when not. */
int store_file_check_all(sqlite3 *db, uint64_t *page)
{
    sqlite3_stmt *stmt;
    int rc = sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &stmt, NULL);

    if (rc)
        return rc;
    rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        rc = span_eq(statement_column_span(stmt, 0), "ok") ? SQLITE_OK : SQLITE_CORRUPT;
    if (rc) {
        /* "… Page 12: …" or "… page 12 …" */
        const char *text = (const char *)sqlite3_column_text(stmt, 0),
                   *at = text ? strstr(text, "age ") : NULL;

        *page = at ? strtoull(at + 4, NULL, 10) : 1;
        if (!*page)
            *page = 1;
    }
    sqlite3_finalize(stmt);
    return rc;
}

bool store_file_has_moved(sqlite3 *db)
{
    int moved = 0;

    return !sqlite3_file_control(db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) && moved;
}

enum err store_file_error_moved(const char *path, char error[STORE_ERROR_MAX])
{
    snprintf(error, STORE_ERROR_MAX,
             "store %s: cannot write it: the file was moved or deleted; put it "
             "back, or start the broker again",
             path);
    return ERR_NOT_FOUND;
}
