/* store_key: the keys of requests to publish, a chain through the log from the newest back. */
#include <stdlib.h>

#include "broker/log/store_private.h"
#include "shared/base/array.h"

int store_put_last_key(struct store *s, uint64_t seq)
{
    sqlite3_stmt *stmt = store_statement(s, STORE_KEY_LAST_PUT);

    if (!seq)
        return SQLITE_OK;
    statement_bind_u(stmt, 1, seq);
    return statement_run(stmt);
}

/* The row of a key at this position; false: there is none, or it makes no sense. */
static bool read_key(struct store *s, uint64_t seq, struct wire_record *out, sqlite3_stmt **stmt)
{
    *stmt = store_statement(s, STORE_ROW_AT);
    statement_bind_u(*stmt, 1, seq);
    if (sqlite3_step(*stmt) != SQLITE_ROW || sqlite3_column_int(*stmt, 2) != WIRE_KEY)
        return false;
    *out = (struct wire_record){.kind = WIRE_KEY,
                                .seq = seq,
                                .prev = statement_column_u(*stmt, 3),
                                .accepted_us = statement_column_u(*stmt, 5),
                                .body = statement_column_span(*stmt, 6)};
    return out->prev < seq;
}

/*
 * The newest key below the position, 0: there is none.  Looks at *budget positions at most, and
 * takes those from it.
 */
static uint64_t find_key(struct store *s, uint64_t below, uint64_t *budget)
{
    sqlite3_stmt *stmt = store_statement(s, STORE_KEY_DOWN);
    uint64_t floor = below > *budget ? below - *budget : 1, found = 0;

    sqlite3_bind_int(stmt, 1, WIRE_KEY);
    statement_bind_u(stmt, 2, below);
    statement_bind_u(stmt, 3, floor);
    if (sqlite3_step(stmt) == SQLITE_ROW)
        found = statement_column_u(stmt, 0);
    sqlite3_reset(stmt);
    *budget -= below - (found ? found : floor);
    return found;
}

enum err store_each_key(struct store *s, size_t max,
                        bool (*is_young)(void *ctx, const struct wire_record *r),
                        void (*take)(void *ctx, const struct wire_record *r), void *ctx,
                        char error[STORE_ERROR_MAX])
{
    uint64_t *seqs = NULL, seq = 0, budget = STORE_KEY_SCAN;
    size_t count = 0, cap = 0;
    struct wire_record r;
    sqlite3_stmt *stmt;
    int rc = database_begin(&s->file, false);

    if (rc)
        return database_error(&s->file, rc, "read it", error);
    stmt = store_statement(s, STORE_META);
    statement_bind_text(stmt, 1, SPAN("last_key"));
    if (sqlite3_step(stmt) == SQLITE_ROW)
        seq = statement_column_u(stmt, 0);
    sqlite3_reset(stmt);
    while (seq && count < max) {
        if (!read_key(s, seq, &r, &stmt)) {
            seq = find_key(s, seq, &budget);
            continue;
        }
        if (!is_young(ctx, &r))
            break;
        ARRAY_ADD(seqs, cap, count, seq);
        seq = r.prev;
    }
    while (count-- > 0)
        if (read_key(s, seqs[count], &r, &stmt))
            take(ctx, &r);
    sqlite3_reset(store_statement(s, STORE_ROW_AT));
    database_end_read(&s->file);
    free(seqs);
    return OK;
}
