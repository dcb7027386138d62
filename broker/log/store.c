#include "broker/log/store_private.h"

#include "shared/wire/pack.h"

/* Positions are counted up from 1: a number beyond this can only be damage. */
#define POSITION_MAX ((uint64_t)1 << 62)

static int read_meta(struct store *s, const char *name, uint64_t *out)
{
    sqlite3_stmt *stmt = store_statement(s, STORE_META);
    int rc;

    statement_bind_text(stmt, 1, span_of(name));
    rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        *out = statement_column_u(stmt, 0);
    /* A store without its meta is not whole. */
    return rc == SQLITE_ROW ? SQLITE_OK : rc == SQLITE_DONE ? SQLITE_CORRUPT : rc;
}

/* Read one number; 0 if there is no row, or if damage hides it: then *is_damaged is set. */
static int read_number(struct store *s, enum store_statement which, uint64_t *out, bool *is_damaged)
{
    sqlite3_stmt *stmt = store_statement(s, which);
    int rc = sqlite3_step(stmt);

    *out = rc == SQLITE_ROW ? statement_column_u(stmt, 0) : 0;
    sqlite3_reset(stmt);
    if (rc == SQLITE_ROW || rc == SQLITE_DONE)
        return SQLITE_OK;
    if (!store_error_is_damage(rc))
        return rc;
    *is_damaged = true;
    return SQLITE_OK;
}

struct ends {
    uint64_t first, head, first_gap, last_gap, last_loss, newest_us;
};

/*
 * Read each number separately, because one of them is damaged.  If the first rows cannot be read,
 * the log begins with their block, or at its very start: a value that is too low only reports more
 * as lost.  Without the last rows the next position is unknown, and writing is impossible.
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
    int rc = sqlite3_step(stmt);

    if (store_error_is_damage(rc)) {
        sqlite3_reset(stmt);
        return read_damaged_ends(s, out);
    }
    if (rc != SQLITE_ROW)
        return rc;
    *out = (struct ends){statement_column_u(stmt, 0), statement_column_u(stmt, 1),
                         statement_column_u(stmt, 2), statement_column_u(stmt, 3),
                         statement_column_u(stmt, 4), statement_column_u(stmt, 5)};
    return SQLITE_OK;
}

static int read_ends(struct store *s, struct store_state *out)
{
    struct ends ends = {0};
    uint64_t first_gap, last_gap;
    int rc = find_ends(s, &ends);

    if (rc)
        return rc;
    if (ends.first > ends.head || ends.head > POSITION_MAX || ends.last_gap > POSITION_MAX ||
        out->epoch_first > POSITION_MAX)
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
    rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) {
        out->epoch = statement_column_u(stmt, 0);
        out->epoch_first = statement_column_u(stmt, 1);
    } else if (rc != SQLITE_DONE) {
        return rc;
    }
    rc = read_ends(s, out);
    if (!rc)
        s->known = *out;
    return rc;
}

enum err store_state(struct store *s, struct store_state *out, char error[STORE_ERROR_MAX])
{
    struct store_state state = {0};
    int rc = database_begin(&s->file, false);

    if (!rc) {
        rc = store_read_state(s, &state);
        database_end_read(&s->file);
    }
    if (rc)
        return database_error(&s->file, rc, "read it", error);
    *out = state;
    return OK;
}

enum err store_each_last(struct store *s, void (*take)(void *ctx, const struct store_last *),
                         void *ctx, char error[STORE_ERROR_MAX])
{
    sqlite3_stmt *stmt = store_statement(s, STORE_LAST_ALL);
    int rc;

    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct store_last last = {.symbol = statement_column_span(stmt, 0),
                                  .seq = statement_column_u(stmt, 1),
                                  .is_stale = sqlite3_column_int(stmt, 2) == 1,
                                  .is_removed = sqlite3_column_int(stmt, 2) == 2,
                                  .feed = statement_column_span(stmt, 3),
                                  .record = statement_column_span(stmt, 4)};

        /* These go into the broker's book, and from there to every receiver. */
        if (!quote_is_symbol(last.symbol) ||
            (last.record.len &&
             (wire_read(last.record, &last.quote, NULL) || pack_check(last.quote.body)))) {
            rc = SQLITE_CORRUPT;
            break;
        }
        take(ctx, &last);
    }
    sqlite3_reset(stmt);
    return rc == SQLITE_DONE ? OK : database_error(&s->file, rc, "read the last values", error);
}

enum err store_each_feed(struct store *s, void (*take)(void *ctx, const struct store_feed *),
                         void *ctx, char error[STORE_ERROR_MAX])
{
    sqlite3_stmt *stmt = store_statement(s, STORE_FEED_ALL);
    int rc;

    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct store_feed feed = {statement_column_span(stmt, 0), statement_column_span(stmt, 1),
                                  statement_column_u(stmt, 2), statement_column_u(stmt, 3),
                                  sqlite3_column_int(stmt, 4) != 0};

        if (!feed.name.len || feed.name.len >= sizeof s->feeds->name || feed.epoch > POSITION_MAX ||
            feed.received > POSITION_MAX) {
            rc = SQLITE_CORRUPT;
            break;
        }
        take(ctx, &feed);
    }
    sqlite3_reset(stmt);
    return rc == SQLITE_DONE ? OK : database_error(&s->file, rc, "read the feeds", error);
}

void store_interrupt(struct store *s)
{
    database_interrupt(&s->file);
}
