/* store_open: finding out at the start, not later, what is wrong with a file. */
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/log/store_private.h"
#include "broker/log/store_file.h"
#include "broker/log/store_schema.h"
#include "shared/base/mem.h"

static int count_frames(void *ctx, sqlite3 *db, const char *name, int frames)
{
    struct store *s = ctx;

    (void)db;
    (void)name;
    s->wal_frames = (size_t)frames;
    return SQLITE_OK;
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

/* The page that is written next. */
static int read_row(struct store *s, uint64_t seq)
{
    sqlite3_stmt *stmt = store_statement(s, STORE_ROW_AT);

    store_bind_u(stmt, 1, seq);
    return store_run(stmt);
}

static enum err check_content(struct store *s, bool is_unclean,
                              char error[STORE_ERROR_MAX])
{
    struct store_state state;
    enum err e;
    int rc = prepare_all(s);

    if (!rc && is_unclean && s->mode == STORE_WRITE)
        rc = store_file_check_all(s->db, &s->damaged_page);
    if (rc && !store_is_damage(rc))
        return store_error_tell(s->path, s->db, rc, "read it", error);
    e = store_state(s, &state, error);
    if (e)
        return e;
    rc = read_row(s, state.head);
    if (!rc && s->mode == STORE_WRITE)
        rc = store_writer_check(s);
    return rc ? store_error_tell(s->path, s->db, rc, "read it", error) : OK;
}

static enum err open_database(struct store *s, char error[STORE_ERROR_MAX])
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX |
                (s->mode == STORE_WRITE ? SQLITE_OPEN_CREATE : 0);
    bool is_writer = s->mode == STORE_WRITE;
    enum err e;
    int rc;

    errno = 0;
    rc = sqlite3_open_v2(s->path, &s->db, flags, NULL);
    if (rc)
        return store_error_tell(s->path, s->db, rc, "open it", error);
    sqlite3_busy_timeout(s->db, STORE_FILE_WAIT_MS);
    sqlite3_extended_result_codes(s->db, 1);
    /* A file that is not ours is left as it is. */
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    e = store_file_check_schema(s->path, s->db, store_schema_log(), is_writer, error);
    if (e)
        return e;
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
    rc = set_up(s);
    if (rc)
        return store_error_tell(s->path, s->db, rc, "open it", error);
    e = store_file_check_mode(s->path, s->db, error);
    if (!e && is_writer)
        e = store_file_migrate(s->path, s->db, store_schema_log(), error);
    return e;
}

enum err store_open(const char *path, enum store_mode mode, struct store **out,
                    char error[STORE_ERROR_MAX])
{
    struct store *s = mem_zalloc(sizeof *s);
    bool is_unclean = false;
    enum err e;

    s->path = store_file_plain_path(path);
    s->mode = mode;
    s->lock = STORE_FILE_UNLOCKED;
    e = store_file_check(s->path, mode == STORE_WRITE, &is_unclean, error);
    if (!e && mode == STORE_WRITE)
        e = store_file_lock(s->path, &s->lock, error);
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

uint64_t store_damaged_page(const struct store *s)
{
    return s->damaged_page;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    store_writer_forget(s);
    for (size_t i = 0; i < STORE_STATEMENT_COUNT; i++)
        sqlite3_finalize(s->statements[i]);
    sqlite3_close(s->db);
    store_file_unlock(&s->lock);
    free(s->names);
    free(s->feeds);
    free(s->path);
    free(s);
}
