/* store_epoch: a new epoch of the log begins in the store. */
#include <assert.h>
#include <stdio.h>

#include "broker/log/store_private.h"

static int begin_epoch(struct store *s, uint64_t epoch, uint64_t first_seq, const char *reason,
                       uint64_t wall_us)
{
    sqlite3_stmt *stmt = store_statement(s, STORE_EPOCH_ADD);

    statement_bind_u(stmt, 1, epoch);
    statement_bind_u(stmt, 2, first_seq);
    statement_bind_text(stmt, 3, span_of(reason));
    statement_bind_u(stmt, 4, wall_us);
    return statement_run(stmt);
}

enum err store_begin_epoch(struct store *s, uint64_t epoch, uint64_t first_seq, const char *reason,
                           uint64_t wall_us, char error[STORE_ERROR_MAX])
{
    struct store_state state = {0};
    int rc = database_begin(&s->file, true);

    assert(s->mode == STORE_WRITE && epoch);
    store_writer_forget(s);
    if (!rc) {
        rc = store_read_state(s, &state);
        if (!rc && first_seq <= state.head)
            rc = SQLITE_MISUSE;
        if (!rc)
            rc = begin_epoch(s, epoch, first_seq, reason, wall_us);
        if (!rc)
            rc = statement_run(store_statement(s, STORE_OWN_COPY));
        rc = database_end(&s->file, rc);
    }
    if (rc == SQLITE_MISUSE) {
        snprintf(error, STORE_ERROR_MAX,
                 "store %s: an epoch cannot begin at %llu, the log goes to %llu", s->file.path,
                 (unsigned long long)first_seq, (unsigned long long)state.head);
        return ERR_INVALID;
    }
    return rc ? database_error(&s->file, rc, "begin an epoch in it", error) : OK;
}
