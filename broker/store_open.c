/* store_open: finding out at the start, not later, what is wrong with a file. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/store_private.h"
#include "broker/store_schema.h"
#include "shared/mem.h"

#define CHECK_BYTES ((off_t)64 << 20) /* larger files are not read as a whole */
#define WAIT_MS 2000                  /* for another program's lock */

/* SQLite would take "file:…" and ":memory:" for something else. */
char *store_plain_path(const char *path)
{
    char *out = mem_alloc(strlen(path) + 3);

    sprintf(out, "%s%s", *path == '/' || *path == '.' ? "" : "./", path);
    return out;
}

char *store_path_beside(const char *path, const char *suffix)
{
    char *out = mem_alloc(strlen(path) + strlen(suffix) + 1);

    sprintf(out, "%s%s", path, suffix);
    return out;
}

static enum err check_directory(const struct store *s, char error[STORE_ERROR_MAX])
{
    char *directory = mem_strdup(s->path), *slash = strrchr(directory, '/');
    struct stat st;
    int failure = 0;

    slash[slash == directory] = '\0';
    if (stat(directory, &st))
        failure = errno;
    else if (!S_ISDIR(st.st_mode))
        failure = ENOTDIR;
    else if (s->mode == STORE_WRITE && access(directory, W_OK | X_OK))
        failure = errno;
    free(directory);
    return failure ? store_error_system(s->path, failure, "open it", error) : OK;
}

/* Not opened here: closing a descriptor of the file would drop SQLite's locks on it. */
static enum err check_file(const struct store *s, bool *is_unclean,
                           char error[STORE_ERROR_MAX])
{
    char *wal = store_path_beside(s->path, "-wal");
    struct stat st, wal_st;
    int failure = 0;

    if (stat(s->path, &st))
        failure = errno == ENOENT && s->mode == STORE_WRITE ? 0 : errno;
    else if (S_ISDIR(st.st_mode))
        failure = EISDIR;
    else if (access(s->path, R_OK | (s->mode == STORE_WRITE ? W_OK : 0)))
        failure = errno;
    else
        *is_unclean = !stat(wal, &wal_st) && wal_st.st_size && st.st_size < CHECK_BYTES;
    free(wal);
    return failure ? store_error_system(s->path, failure, "open it", error) : OK;
}

static enum err take_lock(struct store *s, char error[STORE_ERROR_MAX])
{
    char *path = store_path_beside(s->path, "-lock"), who[24] = "";
    int failure = 0;
    ssize_t len;

    s->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (s->lock < 0 || flock(s->lock, LOCK_EX | LOCK_NB))
        failure = errno;
    free(path);
    if (failure == EWOULDBLOCK) {
        len = pread(s->lock, who, sizeof who - 1, 0);
        who[len > 0 ? strcspn(who, "\n") : 0] = '\0';
        snprintf(error, STORE_ERROR_MAX,
                 "store %s: another broker (process %s) writes it; end that one or "
                 "choose another path",
                 s->path, *who ? who : "not known");
        return ERR_HELD;
    }
    if (failure)
        return store_error_system(s->path, failure, "lock it", error);
    /* Only so that people can see it: what counts is the lock. */
    len = snprintf(who, sizeof who, "%d\n", getpid());
    if (ftruncate(s->lock, 0) || pwrite(s->lock, who, (size_t)len, 0) != len)
        return store_error_system(s->path, errno, "lock it", error);
    return OK;
}

static int count_frames(void *ctx, sqlite3 *db, const char *name, int frames)
{
    struct store *s = ctx;

    (void)db;
    (void)name;
    s->wal_frames = (size_t)frames;
    return SQLITE_OK;
}

/* Where memory cannot be shared (a network share), SQLite keeps silent and another mode. */
static enum err check_mode(struct store *s, char error[STORE_ERROR_MAX])
{
    sqlite3_stmt *stmt;
    int rc = sqlite3_prepare_v2(s->db, "PRAGMA journal_mode", -1, &stmt, NULL);
    bool is_wal = !rc && sqlite3_step(stmt) == SQLITE_ROW &&
                  span_eq(store_column_span(stmt, 0), "wal");

    sqlite3_finalize(stmt);
    if (is_wal)
        return OK;
    snprintf(
        error, STORE_ERROR_MAX,
        "store %s: cannot open it: its file system cannot do what SQLite's WAL mode "
        "needs; choose a path on a local disk",
        s->path);
    return ERR_SYS;
}

static int read_page_size(struct store *s)
{
    sqlite3_stmt *stmt;
    int rc = sqlite3_prepare_v2(s->db, "PRAGMA page_size", -1, &stmt, NULL);

    if (rc)
        return rc;
    if (sqlite3_step(stmt) == SQLITE_ROW)
        s->page_size = (size_t)sqlite3_column_int(stmt, 0);
    return sqlite3_finalize(stmt);
}

static int set_up(struct store *s)
{
    /*
     * secure_delete, which Debian switches on, would write every page that pruning
     * empties.  The page size counts for new files only; measured: 4096 is a tenth slower,
     * 16384 a twentieth faster but writes twice as much when quotes come one by one.  More
     * cache than this changes nothing, even for batches larger than it.
     */
    static const char common[] = "PRAGMA temp_store = MEMORY;"
                                 "PRAGMA trusted_schema = OFF;"
                                 "PRAGMA secure_delete = OFF;";
    static const char writer[] = "PRAGMA page_size = 8192;"
                                 "PRAGMA auto_vacuum = NONE;"
                                 "PRAGMA journal_mode = WAL;"
                                 "PRAGMA synchronous = NORMAL;"
                                 "PRAGMA wal_autocheckpoint = 0;"
                                 "PRAGMA journal_size_limit = 134217728;"
                                 "PRAGMA cache_size = -16384;";
    static const char reader[] = "PRAGMA query_only = ON;"
                                 "PRAGMA cache_size = -16384;";
    int rc = sqlite3_exec(s->db, common, NULL, NULL, NULL);

    if (!rc)
        rc = sqlite3_exec(s->db, s->mode == STORE_WRITE ? writer : reader, NULL, NULL,
                          NULL);
    if (!rc)
        rc = read_page_size(s);
    sqlite3_wal_hook(s->db, count_frames, s);
    return rc;
}

static enum err tell_version(const struct store *s, int version, size_t ours,
                             char error[STORE_ERROR_MAX])
{
    bool is_newer = (size_t)version > ours;

    snprintf(error, STORE_ERROR_MAX,
             is_newer ? "store %s: its tables are of version %d and this program knows "
                        "up to %zu; use the newer program that made it, or a backup"
                      : "store %s: its tables are of version %d and this program reads "
                        "%zu; start the broker once to bring it up to date",
             s->path, version, ours);
    return ERR_VERSION;
}

static enum err check_schema(struct store *s, char error[STORE_ERROR_MAX])
{
    size_t count;
    int application = 0, version = 0;
    int rc = store_schema_read(s->db, &application, &version);
    sqlite3_stmt *stmt = NULL;
    bool is_empty = false;

    (void)store_schema_steps(&count);
    if (!rc && !application && !version) {
        rc = sqlite3_prepare_v2(s->db, "SELECT 1 FROM sqlite_master", -1, &stmt, NULL);
        is_empty = !rc && sqlite3_step(stmt) == SQLITE_DONE;
        sqlite3_finalize(stmt);
    }
    if (rc)
        return store_error_tell(s->path, s->db, rc, "read it", error);
    if (application != STORE_SCHEMA_APPLICATION &&
        !(is_empty && s->mode == STORE_WRITE)) {
        snprintf(error, STORE_ERROR_MAX,
                 "store %s: it is %s; correct the path or move the file away", s->path,
                 is_empty ? "empty" : "a SQLite file of another program");
        return ERR_MALFORMED;
    }
    if (s->mode == STORE_READ ? (size_t)version != count : (size_t)version > count)
        return tell_version(s, version, count, error);
    return OK;
}

static enum err migrate(struct store *s, char error[STORE_ERROR_MAX])
{
    size_t count;
    const struct store_schema_step *steps = store_schema_steps(&count);
    int version = 0, rc = 0;

    if (s->mode == STORE_WRITE &&
        store_schema_migrate(s->db, steps, count, &version, &rc))
        return store_error_tell(s->path, s->db, rc, "make its tables", error);
    return OK;
}

static int prepare_all(struct store *s)
{
    static const char *const sql[] = {
#define X(name, text) text,
        STORE_STATEMENTS(X)
#undef X
    };
    int rc = SQLITE_OK;

    for (size_t i = 0; i < STORE_STATEMENT_COUNT && !rc; i++)
        rc = sqlite3_prepare_v3(s->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT,
                                &s->statements[i], NULL);
    return rc;
}

/* The page that is read first and the one that is written next. */
static int read_row(struct store *s, uint64_t seq)
{
    sqlite3_stmt *stmt = store_statement(s, STORE_ROW_AT);

    store_bind_u(stmt, 1, seq);
    return store_run(stmt);
}

/* Reads the whole file: 60 MB take 0.06 s when they are in memory, about 0.3 s when not. */
static int quick_check(struct store *s)
{
    sqlite3_stmt *stmt;
    int rc = sqlite3_prepare_v2(s->db, "PRAGMA quick_check(1)", -1, &stmt, NULL);

    if (rc)
        return rc;
    rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        rc = span_eq(store_column_span(stmt, 0), "ok") ? SQLITE_OK : SQLITE_CORRUPT;
    sqlite3_finalize(stmt);
    return rc;
}

static enum err check_content(struct store *s, bool is_unclean,
                              char error[STORE_ERROR_MAX])
{
    struct store_state state;
    enum err e;
    int rc = prepare_all(s);

    if (!rc && is_unclean && s->mode == STORE_WRITE)
        rc = quick_check(s);
    if (rc)
        return store_error_tell(s->path, s->db, rc, "read it", error);
    e = store_state(s, &state, error);
    if (e)
        return e;
    rc = read_row(s, state.first);
    if (!rc)
        rc = read_row(s, state.head);
    return rc ? store_error_tell(s->path, s->db, rc, "read it", error) : OK;
}

static enum err open_database(struct store *s, char error[STORE_ERROR_MAX])
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX |
                (s->mode == STORE_WRITE ? SQLITE_OPEN_CREATE : 0);
    enum err e;
    int rc;

    errno = 0;
    rc = sqlite3_open_v2(s->path, &s->db, flags, NULL);
    if (rc)
        return store_error_tell(s->path, s->db, rc, "open it", error);
    sqlite3_busy_timeout(s->db, WAIT_MS);
    sqlite3_extended_result_codes(s->db, 1);
    /* A file that is not ours is left as it is. */
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    e = check_schema(s, error);
    if (e)
        return e;
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
    rc = set_up(s);
    if (rc)
        return store_error_tell(s->path, s->db, rc, "open it", error);
    e = check_mode(s, error);
    return e ? e : migrate(s, error);
}

enum err store_open(const char *path, enum store_mode mode, struct store **out,
                    char error[STORE_ERROR_MAX])
{
    struct store *s = mem_zalloc(sizeof *s);
    bool is_unclean = false;
    enum err e;

    s->path = store_plain_path(path);
    s->mode = mode;
    s->lock = -1;
    e = check_directory(s, error);
    if (!e)
        e = check_file(s, &is_unclean, error);
    if (!e && mode == STORE_WRITE)
        e = take_lock(s, error);
    if (!e)
        e = open_database(s, error);
    if (!e)
        e = check_content(s, is_unclean, error);
    if (e) {
        store_close(s);
        return e;
    }
    *out = s;
    return OK;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    store_writer_forget(s);
    for (size_t i = 0; i < STORE_STATEMENT_COUNT; i++)
        sqlite3_finalize(s->statements[i]);
    sqlite3_close(s->db);
    if (s->lock >= 0)
        close(s->lock);
    free(s->names);
    free(s->feeds);
    free(s->path);
    free(s);
}
