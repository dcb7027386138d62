/* store_retention: what happens between batches: moving FILE-wal into FILE, and pruning. */
#include <assert.h>
#include <errno.h>

#include "broker/log/store_private.h"

#define WAL_FRAME_HEADER 24
/*
 * FILE-wal restarts from its beginning when all of it was moved and no connection reads it.  If
 * that has not happened after this many tries, wait for the readers (as long as the busy timeout).
 */
#define WAL_PATIENCE 4

enum err store_checkpoint(struct store *s, size_t over_bytes, char error[STORE_ERROR_MAX])
{
    size_t over = over_bytes / (s->page_size + WAL_FRAME_HEADER);
    int mode = SQLITE_CHECKPOINT_PASSIVE, rc;

    assert(s->mode == STORE_WRITE);
    if (s->wal_frames < s->wal_moved) /* it has restarted */
        s->wal_moved = 0;
    if (s->wal_frames - s->wal_moved <= over)
        return OK;
    if (s->wal_frames > WAL_PATIENCE * over)
        mode = SQLITE_CHECKPOINT_RESTART;
    errno = 0;
    rc = sqlite3_wal_checkpoint_v2(s->file.db, "main", mode, NULL, NULL);
    /* A reader in the way is no failure: later, then. */
    if (rc && (rc & 0xFF) != SQLITE_BUSY)
        return database_error(&s->file, rc, "move FILE-wal into it", error);
    s->wal_moved = s->wal_frames;
    return OK;
}

/* How far records are too old: each is looked at, because the clock may have been set. */
static int cut_by_age(struct store *s, uint64_t limit, uint64_t older_than_us, uint64_t *cut)
{
    sqlite3_stmt *stmt = store_statement(s, STORE_PRUNE_AGE);
    int rc;

    statement_bind_u(stmt, 1, limit);
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW && statement_column_u(stmt, 1) < older_than_us)
        if (statement_column_u(stmt, 0) > *cut)
            *cut = statement_column_u(stmt, 0);
    sqlite3_reset(stmt);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* The position up to which max_rows records lie, or less, so that the head stays. */
static int limit_of(struct store *s, uint64_t head, uint64_t max_rows, uint64_t *limit)
{
    sqlite3_stmt *stmt = store_statement(s, STORE_PRUNE_NTH);
    int rc;

    statement_bind_u(stmt, 1, max_rows - 1);
    rc = sqlite3_step(stmt);
    *limit = rc == SQLITE_ROW ? statement_column_u(stmt, 0) : head;
    if (*limit >= head)
        *limit = head ? head - 1 : 0;
    sqlite3_reset(stmt);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int prune_chain(struct store *s, uint64_t keep_block, uint64_t max_rows)
{
    sqlite3_stmt *stmt = store_statement(s, STORE_PRUNE_CHAIN_FROM);
    uint64_t block;
    int rc = sqlite3_step(stmt);

    if (rc != SQLITE_ROW)
        return rc == SQLITE_DONE ? SQLITE_OK : rc;
    block = statement_column_u(stmt, 0);
    sqlite3_reset(stmt);
    if (block >= keep_block)
        return SQLITE_OK;
    stmt = store_statement(s, STORE_PRUNE_CHAIN);
    statement_bind_u(stmt, 1, block);
    statement_bind_u(stmt, 2, max_rows);
    return statement_run(stmt);
}

static int prune_to(struct store *s, uint64_t cut, uint64_t max_rows, uint64_t *removed)
{
    sqlite3_stmt *stmt = store_statement(s, STORE_PRUNE_LOG);
    int rc;

    statement_bind_u(stmt, 1, cut);
    rc = statement_run(stmt);
    if (rc)
        return rc;
    *removed = (uint64_t)sqlite3_changes(s->file.db);
    stmt = store_statement(s, STORE_PRUNE_GAPS);
    statement_bind_u(stmt, 1, cut);
    statement_bind_u(stmt, 2, max_rows);
    rc = statement_run(stmt);
    if (rc)
        return rc;
    stmt = store_statement(s, STORE_PRUNE_BLOCKS);
    statement_bind_u(stmt, 1, STORE_BLOCK_OF(cut + 1));
    rc = statement_run(stmt);
    return rc ? rc : prune_chain(s, STORE_BLOCK_OF(cut + 1), max_rows);
}

static int prune(struct store *s, uint64_t max_count, uint64_t older_than_us, uint64_t max_rows,
                 uint64_t *removed)
{
    struct store_state state = {0};
    uint64_t limit = 0, cut = 0;
    int rc = store_read_state(s, &state);

    if (!rc)
        rc = limit_of(s, state.head, max_rows, &limit);
    if (!rc && max_count && state.head > max_count)
        cut = state.head - max_count;
    if (!rc && older_than_us && cut < limit)
        rc = cut_by_age(s, limit, older_than_us, &cut);
    if (cut > limit)
        cut = limit;
    return rc || cut < state.first ? rc : prune_to(s, cut, max_rows, removed);
}

enum err store_prune(struct store *s, uint64_t max_count, uint64_t older_than_us, uint64_t max_rows,
                     uint64_t *removed, char error[STORE_ERROR_MAX])
{
    uint64_t count = 0;
    int rc;

    assert(s->mode == STORE_WRITE && max_rows);
    rc = database_begin(&s->file, true);
    if (!rc)
        rc = database_end(&s->file, prune(s, max_count, older_than_us, max_rows, &count));
    if (rc)
        return database_error(&s->file, rc, "prune it", error);
    *removed = count;
    return OK;
}
