/* store_feed: the feeds of a batch, and the row of the store for each of the caller's indexes. */
#include <string.h>

#include "broker/log/store_private.h"
#include "shared/base/mem.h"

void store_forget_feeds(struct store *s)
{
    for (size_t i = 0; s->feeds && i < STORE_FEED_MAX; i++)
        s->feeds[i].id = 0;
}

static int put_feed(struct store *s, const struct store_batch_feed *f)
{
    sqlite3_stmt *stmt = store_statement(s, STORE_FEED_PUT);
    struct store_feed_known *known = &s->feeds[f->index];

    if (strcmp(known->name, f->name) != 0) {
        memcpy(known->name, f->name, sizeof known->name);
        known->id = 0;
    }
    statement_bind_text(stmt, 1, span_of(f->name));
    statement_bind_text(stmt, 2, span_of(f->owner));
    statement_bind_u(stmt, 3, f->epoch);
    statement_bind_u(stmt, 4, f->received);
    sqlite3_bind_int(stmt, 5, f->has_left);
    return statement_run(stmt);
}

int store_put_feeds(struct store *s, const struct store_batch *b)
{
    size_t count;
    const struct store_batch_feed *feeds = store_batch_feeds(b, &count);
    int rc = SQLITE_OK;

    if (!s->feeds)
        s->feeds = mem_zalloc(STORE_FEED_MAX * sizeof *s->feeds);
    for (size_t i = 0; i < count && !rc; i++)
        rc = put_feed(s, &feeds[i]);
    return rc;
}

/* A feed of this name has come back in the same batch: store_put_feeds has put it already. */
static bool is_back(const struct store_batch *b, struct span name)
{
    size_t count;
    const struct store_batch_feed *feeds = store_batch_feeds(b, &count);

    while (count-- > 0)
        if (span_eq(name, feeds[count].name))
            return true;
    return false;
}

int store_drop_feed(struct store *s, const struct store_batch *b, struct span name)
{
    sqlite3_stmt *stmt = store_statement(s, STORE_FEED_LEAVE);
    int rc;

    statement_bind_text(stmt, 1, name);
    rc = statement_run(stmt);
    if (rc || is_back(b, name))
        return rc;
    stmt = store_statement(s, STORE_FEED_DROP);
    statement_bind_text(stmt, 1, name);
    for (size_t i = 0; s->feeds && i < STORE_FEED_MAX; i++)
        if (span_eq(name, s->feeds[i].name))
            s->feeds[i].id = 0;
    return statement_run(stmt);
}

int64_t store_feed_id(struct store *s, uint32_t index)
{
    struct store_feed_known *known = &s->feeds[index];
    sqlite3_stmt *stmt;

    if (!known->id && *known->name) {
        stmt = store_statement(s, STORE_FEED_ID);
        statement_bind_text(stmt, 1, span_of(known->name));
        if (sqlite3_step(stmt) == SQLITE_ROW)
            known->id = sqlite3_column_int64(stmt, 0);
    }
    return known->id;
}
