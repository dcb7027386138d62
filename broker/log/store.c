#include "broker/log/store_private.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "shared/wire/pack.h"

/* Positions are counted up from 1: a number beyond this can only be damage. */
#define POSITION_MAX ((uint64_t)1 << 62)

sqlite3_stmt *store_statement(struct store *s, enum store_statement which)
{
    sqlite3_reset(s->statements[which]);
    return s->statements[which];
}

int store_row(sqlite3_stmt *stmt)
{
    return sqlite3_step(stmt);
}

int store_run(sqlite3_stmt *stmt)
{
    int rc = sqlite3_step(stmt);

    while (rc == SQLITE_ROW)
        rc = sqlite3_step(stmt);
    sqlite3_reset(stmt);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int store_do(struct store *s, enum store_statement which)
{
    return store_run(store_statement(s, which));
}

int store_begin(struct store *s, enum store_statement which)
{
    /* SQLite does not keep it when a commit fails: see store_error_tell. */
    errno = 0;
    return store_do(s, which);
}

/* A statement left in the middle of its rows would keep the transaction open. */
static void reset_all(struct store *s)
{
    for (size_t i = 0; i < STORE_STATEMENT_COUNT; i++)
        sqlite3_reset(s->statements[i]);
}

void store_end_read(struct store *s)
{
    int error_number = errno;

    reset_all(s);
    if (!sqlite3_get_autocommit(s->db))
        store_do(s, STORE_ROLLBACK);
    errno = error_number;
}

int store_end(struct store *s, int rc)
{
    int error_number;

    reset_all(s);
    if (rc == SQLITE_OK)
        rc = store_do(s, STORE_COMMIT);
    error_number = errno;
    if (!sqlite3_get_autocommit(s->db))
        store_do(s, STORE_ROLLBACK);
    errno = error_number;
    return rc;
}

void store_bind_text(sqlite3_stmt *stmt, int parameter, struct span text)
{
    if (text.at)
        sqlite3_bind_text(stmt, parameter, text.at, (int)text.len, SQLITE_STATIC);
    else
        sqlite3_bind_null(stmt, parameter);
}

void store_bind_blob(sqlite3_stmt *stmt, int parameter, struct span bytes)
{
    sqlite3_bind_blob(stmt, parameter, bytes.at, (int)bytes.len, SQLITE_STATIC);
}

struct span store_column_span(sqlite3_stmt *stmt, int column)
{
    const char *at = sqlite3_column_blob(stmt, column);

    return (struct span){at ? at : "", (size_t)sqlite3_column_bytes(stmt, column)};
}

static int read_meta(struct store *s, const char *name, uint64_t *out)
{
    sqlite3_stmt *stmt = store_statement(s, STORE_META);
    int rc;

    store_bind_text(stmt, 1, span_of(name));
    rc = store_row(stmt);
    if (rc == SQLITE_ROW)
        *out = store_column_u(stmt, 0);
    /* A store without its meta is not whole. */
    return rc == SQLITE_ROW ? SQLITE_OK : rc == SQLITE_DONE ? SQLITE_CORRUPT : rc;
}

/* One number; 0 if there is none, or if damage hides it: then *is_damaged is set. */
static int read_number(struct store *s, enum store_statement which, uint64_t *out,
                       bool *is_damaged)
{
    sqlite3_stmt *stmt = store_statement(s, which);
    int rc = store_row(stmt);

    *out = rc == SQLITE_ROW ? store_column_u(stmt, 0) : 0;
    sqlite3_reset(stmt);
    if (rc == SQLITE_ROW || rc == SQLITE_DONE)
        return SQLITE_OK;
    if (!store_is_damage(rc))
        return rc;
    *is_damaged = true;
    return SQLITE_OK;
}

struct ends {
    uint64_t first, head, first_gap, last_gap, last_loss, newest_us;
};

/*
 * One after the other, for one of them is damaged.  Where the first rows are, the log begins with their
 * block, or with the log: too low only means that more is told as lost.  Without the last rows
 * nothing can be written, and nothing said of what comes next.
 */
static int read_damaged_ends(struct store *s, struct ends *out)
{
    bool is_first_lost = false, is_head_lost = false, is_rest_lost = false;
    uint64_t block = 0, epoch = 0;
    int rc = read_number(s, STORE_LOG_LAST, &out->head, &is_head_lost);

    if (!rc && is_head_lost)
        rc = SQLITE_CORRUPT;
    if (!rc)
        rc = read_number(s, STORE_LOG_FIRST, &out->first, &is_first_lost);
    if (!rc)
        rc = read_number(s, STORE_GAP_FIRST, &out->first_gap, &is_rest_lost);
    if (!rc)
        rc = read_number(s, STORE_GAP_LAST, &out->last_gap, &is_rest_lost);
    if (!rc)
        rc = read_number(s, STORE_LOSS_LAST, &out->last_loss, &is_rest_lost);
    if (rc || !is_first_lost)
        return rc;
    rc = read_number(s, STORE_BLOCK_FIRST, &block, &is_rest_lost);
    if (!rc)
        rc = read_number(s, STORE_EPOCH_FIRST, &epoch, &is_rest_lost);
    block <<= STORE_BLOCK_BITS;
    out->first = block > epoch ? block : epoch;
    if (!out->first)
        out->first = 1;
    return rc;
}

static int find_ends(struct store *s, struct ends *out)
{
    sqlite3_stmt *stmt = store_statement(s, STORE_LOG_ENDS);
    int rc = store_row(stmt);

    if (store_is_damage(rc)) {
        sqlite3_reset(stmt);
        return read_damaged_ends(s, out);
    }
    if (rc != SQLITE_ROW)
        return rc;
    *out = (struct ends){store_column_u(stmt, 0), store_column_u(stmt, 1),
                         store_column_u(stmt, 2), store_column_u(stmt, 3),
                         store_column_u(stmt, 4), store_column_u(stmt, 5)};
    return SQLITE_OK;
}

static int read_ends(struct store *s, struct store_state *out)
{
    struct ends ends = {0};
    uint64_t first_gap, last_gap;
    int rc = find_ends(s, &ends);

    if (rc)
        return rc;
    if (ends.first > ends.head || ends.head > POSITION_MAX ||
        ends.last_gap > POSITION_MAX || out->epoch_first > POSITION_MAX)
        return SQLITE_CORRUPT;
    out->first = ends.first;
    out->head = ends.head;
    first_gap = ends.first_gap;
    last_gap = ends.last_gap;
    out->last_loss = ends.last_loss;
    out->newest_us = ends.newest_us;
    if (first_gap && (!out->first || first_gap < out->first))
        out->first = first_gap;
    if (last_gap > out->head)
        out->head = last_gap;
    if (out->epoch && out->epoch_first > out->head + 1)
        out->head = out->epoch_first - 1;
    if (!out->first)
        out->first = out->head + 1;
    return SQLITE_OK;
}

int store_read_state(struct store *s, struct store_state *out)
{
    sqlite3_stmt *stmt = store_statement(s, STORE_EPOCH_LAST);
    uint64_t is_copy = 0;
    int rc = read_meta(s, "store_id", &out->store_id);

    if (!rc)
        rc = read_meta(s, "is_copy", &is_copy);
    if (rc)
        return rc;
    out->is_copy = is_copy;
    rc = store_row(stmt);
    if (rc == SQLITE_ROW) {
        out->epoch = store_column_u(stmt, 0);
        out->epoch_first = store_column_u(stmt, 1);
    } else if (rc != SQLITE_DONE) {
        return rc;
    }
    rc = read_ends(s, out);
    if (!rc)
        s->known = *out;
    return rc;
}

enum err store_state(struct store *s, struct store_state *out,
                     char error[STORE_ERROR_MAX])
{
    struct store_state state = {0};
    int rc = store_begin(s, STORE_BEGIN_READ);

    if (!rc) {
        rc = store_read_state(s, &state);
        store_end_read(s);
    }
    if (rc)
        return store_error_tell(s->path, s->db, rc, "read it", error);
    *out = state;
    return OK;
}

static int begin_epoch(struct store *s, uint64_t epoch, uint64_t first_seq,
                       const char *reason, uint64_t wall_us)
{
    sqlite3_stmt *stmt = store_statement(s, STORE_EPOCH_ADD);

    store_bind_u(stmt, 1, epoch);
    store_bind_u(stmt, 2, first_seq);
    store_bind_text(stmt, 3, span_of(reason));
    store_bind_u(stmt, 4, wall_us);
    return store_run(stmt);
}

enum err store_begin_epoch(struct store *s, uint64_t epoch, uint64_t first_seq,
                           const char *reason, uint64_t wall_us,
                           char error[STORE_ERROR_MAX])
{
    struct store_state state = {0};
    int rc = store_begin(s, STORE_BEGIN_WRITE);

    assert(s->mode == STORE_WRITE && epoch);
    store_writer_forget(s);
    if (!rc) {
        rc = store_read_state(s, &state);
        if (!rc && first_seq <= state.head)
            rc = SQLITE_MISUSE;
        if (!rc)
            rc = begin_epoch(s, epoch, first_seq, reason, wall_us);
        if (!rc)
            rc = store_do(s, STORE_OWN_COPY);
        rc = store_end(s, rc);
    }
    if (rc == SQLITE_MISUSE) {
        snprintf(error, STORE_ERROR_MAX,
                 "store %s: an epoch cannot begin at %llu, the log goes to %llu",
                 s->path, (unsigned long long)first_seq,
                 (unsigned long long)state.head);
        return ERR_INVALID;
    }
    return rc ? store_error_tell(s->path, s->db, rc, "begin an epoch in it", error)
              : OK;
}

enum err store_each_last(struct store *s,
                         void (*take)(void *ctx, const struct store_last *), void *ctx,
                         char error[STORE_ERROR_MAX])
{
    sqlite3_stmt *stmt = store_statement(s, STORE_LAST_ALL);
    int rc;

    while ((rc = store_row(stmt)) == SQLITE_ROW) {
        struct store_last last = {.symbol = store_column_span(stmt, 0),
                                  .seq = store_column_u(stmt, 1),
                                  .is_stale = sqlite3_column_int(stmt, 2),
                                  .feed = store_column_span(stmt, 3),
                                  .record = store_column_span(stmt, 4)};

        /* These go into the broker's book, and from there to everybody. */
        if (!quote_is_symbol(last.symbol) ||
            (last.record.len && (wire_read(last.record, &last.quote, NULL) ||
                                 pack_check(last.quote.body)))) {
            rc = SQLITE_CORRUPT;
            break;
        }
        take(ctx, &last);
    }
    sqlite3_reset(stmt);
    return rc == SQLITE_DONE
               ? OK
               : store_error_tell(s->path, s->db, rc, "read the last values", error);
}

enum err store_each_feed(struct store *s,
                         void (*take)(void *ctx, const struct store_feed *), void *ctx,
                         char error[STORE_ERROR_MAX])
{
    sqlite3_stmt *stmt = store_statement(s, STORE_FEED_ALL);
    int rc;

    while ((rc = store_row(stmt)) == SQLITE_ROW) {
        struct store_feed feed = {store_column_span(stmt, 0),
                                  store_column_span(stmt, 1), store_column_u(stmt, 2),
                                  store_column_u(stmt, 3)};

        if (!feed.name.len || feed.name.len >= sizeof s->feeds->name ||
            feed.epoch > POSITION_MAX || feed.received > POSITION_MAX) {
            rc = SQLITE_CORRUPT;
            break;
        }
        take(ctx, &feed);
    }
    sqlite3_reset(stmt);
    return rc == SQLITE_DONE
               ? OK
               : store_error_tell(s->path, s->db, rc, "read the feeds", error);
}

void store_interrupt(struct store *s)
{
    sqlite3_interrupt(s->db);
}
