/*
 * store_open: checks a file when it is opened, so that a fault appears at the start and not later.
 */
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/log/store_private.h"
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

/*
 * secure_delete, which Debian switches on, would write every page that pruning
 * empties.  The page size counts for new files only; measured: 4096 is a tenth slower,
 * 16384 a twentieth faster but writes twice as much when quotes come one by one.  More
 * cache than this changes nothing, even for batches larger than it.
 */
#define COMMON                     \
    "PRAGMA temp_store = MEMORY;"  \
    "PRAGMA trusted_schema = OFF;" \
    "PRAGMA secure_delete = OFF;"  \
    "PRAGMA cache_size = -16384;"
static const char writer_settings[] = COMMON "PRAGMA page_size = 8192;"
                                             "PRAGMA auto_vacuum = NONE;"
                                             "PRAGMA journal_mode = WAL;"
                                             "PRAGMA synchronous = NORMAL;"
                                             "PRAGMA wal_autocheckpoint = 0;"
                                             "PRAGMA journal_size_limit = 134217728;";
static const char reader_settings[] = COMMON "PRAGMA query_only = ON;";

static const char *const sql[] = {
#define X(name, text) text,
    STORE_STATEMENTS(X)
#undef X
};

static enum err open_file(struct store *s, const char *path, bool *is_unclean,
                          char error[STORE_ERROR_MAX])
{
    bool is_writer = s->mode == STORE_WRITE;
    struct database_kind kind = {.schema = store_schema_log(),
                                 .settings = is_writer ? writer_settings : reader_settings,
                                 .sql = sql,
                                 .count = STORE_STATEMENT_COUNT,
                                 .is_writer = is_writer};
    enum err e = database_open(&s->file, path, &kind, is_unclean, error);
    uint64_t page_size = 0;
    int rc;

    if (e)
        return e;
    rc = statement_number(s->file.db, "PRAGMA page_size", &page_size);
    s->page_size = (size_t)page_size;
    sqlite3_wal_hook(s->file.db, count_frames, s);
    return rc ? database_error(&s->file, rc, "open it", error) : OK;
}

/* The page that is written next. */
static int read_row(struct store *s, uint64_t seq)
{
    sqlite3_stmt *stmt = store_statement(s, STORE_ROW_AT);

    statement_bind_u(stmt, 1, seq);
    return statement_run(stmt);
}

static enum err check_content(struct store *s, bool is_unclean, char error[STORE_ERROR_MAX])
{
    struct store_state state;
    enum err e;
    int rc = SQLITE_OK;

    if (is_unclean && s->mode == STORE_WRITE)
        rc = store_file_check_all(s->file.db, &s->damaged_page);
    if (rc && !store_error_is_damage(rc))
        return database_error(&s->file, rc, "read it", error);
    e = store_state(s, &state, error);
    if (e)
        return e;
    rc = read_row(s, state.head);
    if (!rc && s->mode == STORE_WRITE)
        rc = store_writer_check(s);
    return rc ? database_error(&s->file, rc, "read it", error) : OK;
}

enum err store_open(const char *path, enum store_mode mode, struct store **out,
                    char error[STORE_ERROR_MAX])
{
    struct store *s = mem_zalloc(sizeof *s);
    bool is_unclean = false;
    enum err e;

    s->mode = mode;
    e = open_file(s, path, &is_unclean, error);
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
    database_close(&s->file);
    free(s->names);
    free(s->feeds);
    free(s);
}
