/* store_write: one batch, one transaction. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/store_private.h"
#include "broker/log/store_symbols.h"
#include "shared/base/mem.h"
#include "shared/wire/pack.h"

/*
 * A mirror of the tables as of the last commit.  After a failed transaction it is dropped and read
 * again, so nothing has to be undone.
 */
struct store_writer {
    struct store_symbols symbols;
    struct store_symbol *loss; /* represents symbol 0 */
    struct store_symbol_list changed, linked;
    uint64_t head, epoch;
    uint64_t block, oldest, newest, records; /* the row of the block being filled */
    bool is_block_changed;
    uint64_t last_key; /* of this batch, 0: none */
};

struct prices {
    struct span bid, ask, last; /* .at NULL: not there */
};

void store_writer_forget(struct store *s)
{
    struct store_writer *w = s->writer;

    if (!w)
        return;
    store_symbols_free(&w->symbols);
    free(w->loss);
    free(w->changed.at);
    free(w->linked.at);
    free(w);
    s->writer = NULL;
    store_forget_feeds(s);
}

static int load_symbols(struct store *s, struct store_writer *w)
{
    sqlite3_stmt *stmt = store_statement(s, STORE_SYMBOL_ALL);
    int rc;

    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct span name = statement_column_span(stmt, 1);

        if (!quote_is_symbol(name))
            return SQLITE_CORRUPT;
        store_symbols_add(&w->symbols, name, sqlite3_column_int64(stmt, 0));
    }
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static struct store_symbol *by_id(struct store *s, struct store_writer *w, int64_t id)
{
    sqlite3_stmt *stmt = store_statement(s, STORE_SYMBOL_NAME);

    if (!id)
        return w->loss;
    sqlite3_bind_int64(stmt, 1, id);
    return sqlite3_step(stmt) == SQLITE_ROW
               ? store_symbols_find(&w->symbols, statement_column_span(stmt, 0))
               : NULL;
}

static int load_block(struct store *s, struct store_writer *w)
{
    sqlite3_stmt *stmt = store_statement(s, STORE_BLOCK_AT);
    int rc;

    w->block = STORE_BLOCK_OF(w->head + 1);
    w->oldest = UINT64_MAX;
    statement_bind_u(stmt, 1, w->block);
    rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW) {
        w->oldest = statement_column_u(stmt, 0);
        w->newest = statement_column_u(stmt, 1);
        w->records = statement_column_u(stmt, 2);
    } else if (rc != SQLITE_DONE) {
        return rc;
    }
    stmt = store_statement(s, STORE_CHAIN_BLOCK);
    statement_bind_u(stmt, 1, w->block);
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct store_symbol *symbol = by_id(s, w, sqlite3_column_int64(stmt, 0));

        if (!symbol)
            return SQLITE_CORRUPT;
        symbol->block = w->block;
        symbol->block_seq = statement_column_u(stmt, 1);
        symbol->records = statement_column_u(stmt, 2);
    }
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int load(struct store *s)
{
    struct store_state state = {0};
    struct store_writer *w;
    int rc;

    if (s->writer)
        return SQLITE_OK;
    rc = store_read_state(s, &state);
    if (rc)
        return rc;
    s->writer = w = mem_zalloc(sizeof *w);
    w->loss = mem_zalloc(sizeof *w->loss);
    w->head = state.head;
    w->epoch = state.epoch;
    rc = load_symbols(s, w);
    return rc ? rc : load_block(s, w);
}

int store_writer_check(struct store *s)
{
    int rc = database_begin(&s->file, false);

    if (rc)
        return rc;
    rc = load(s);
    if (rc)
        store_writer_forget(s);
    database_end_read(&s->file);
    return rc;
}

static int put_gap(struct store *s, const struct store_batch_gap *g)
{
    sqlite3_stmt *stmt = store_statement(s, STORE_GAP_ADD);

    statement_bind_u(stmt, 1, g->first);
    statement_bind_u(stmt, 2, g->last);
    statement_bind_text(stmt, 3, span_of(g->reason));
    statement_bind_u(stmt, 4, g->wall_us);
    return statement_run(stmt);
}

/* The value at the cursor; past a container as a whole. */
static bool take_value(struct span *body, struct pack_value *out)
{
    struct span at = *body;

    if (!pack_next(body, out))
        return false;
    if (out->type != PACK_ARRAY && out->type != PACK_MAP)
        return true;
    *body = at;
    return pack_skip(body);
}

/* The body has passed quote_check, so walking it does not fail. */
static struct prices prices_of(struct span body)
{
    struct pack_value head, key, value;
    struct prices p = {0};
    unsigned missing = 3;

    if (!pack_next(&body, &head) || head.type != PACK_MAP)
        return p;
    for (uint32_t i = 0; i < head.count && missing; i++) {
        struct span *price = NULL;

        if (!pack_next(&body, &key) || !take_value(&body, &value))
            break;
        if (span_eq(key.text, "bid"))
            price = &p.bid;
        else if (span_eq(key.text, "ask"))
            price = &p.ask;
        else if (span_eq(key.text, "last"))
            price = &p.last;
        if (price && value.type == PACK_STR) {
            *price = value.text;
            missing--;
        }
    }
    return p;
}

static void bind_id(sqlite3_stmt *stmt, int parameter, int64_t id)
{
    if (id)
        sqlite3_bind_int64(stmt, parameter, id);
    else
        sqlite3_bind_null(stmt, parameter);
}

/* Bind bid, ask and last, starting at this parameter. */
static void bind_prices(sqlite3_stmt *stmt, int parameter, const struct prices *p)
{
    statement_bind_text(stmt, parameter, p->bid);
    statement_bind_text(stmt, parameter + 1, p->ask);
    statement_bind_text(stmt, parameter + 2, p->last);
}

static int put_log(struct store *s, const struct store_symbol *symbol, const struct wire_record *r)
{
    sqlite3_stmt *stmt = s->file.statements[STORE_LOG_ADD];
    struct prices p = {0};

    if (r->kind == WIRE_QUOTE)
        p = prices_of(r->body);
    statement_bind_u(stmt, 1, r->seq);
    bind_id(stmt, 2, symbol->id);
    sqlite3_bind_int(stmt, 3, (int)r->kind);
    statement_bind_u(stmt, 4, r->prev);
    statement_bind_u(stmt, 5, r->sent_us);
    statement_bind_u(stmt, 6, r->accepted_us);
    bind_prices(stmt, 7, &p);
    statement_bind_blob(stmt, 10, r->body);
    return statement_run(stmt);
}

static int put_chain(struct store *s)
{
    struct store_writer *w = s->writer;
    sqlite3_stmt *stmt = store_statement(s, STORE_CHAIN_PUT);
    int rc = SQLITE_OK;

    store_symbols_sort(&w->linked);
    for (size_t i = 0; i < w->linked.count && !rc; i++) {
        struct store_symbol *symbol = w->linked.at[i];

        symbol->is_linked = false;
        statement_bind_u(stmt, 1, symbol->block);
        sqlite3_bind_int64(stmt, 2, symbol->id);
        statement_bind_u(stmt, 3, symbol->block_seq);
        statement_bind_u(stmt, 4, symbol->records);
        rc = statement_run(stmt);
    }
    w->linked.count = 0;
    return rc;
}

static int put_block(struct store *s)
{
    struct store_writer *w = s->writer;
    sqlite3_stmt *stmt = store_statement(s, STORE_BLOCK_PUT);

    if (!w->is_block_changed)
        return SQLITE_OK;
    w->is_block_changed = false;
    statement_bind_u(stmt, 1, w->block);
    statement_bind_u(stmt, 2, w->oldest);
    statement_bind_u(stmt, 3, w->newest);
    statement_bind_u(stmt, 4, w->records);
    return statement_run(stmt);
}

static int enter_block(struct store *s, uint64_t block)
{
    struct store_writer *w = s->writer;
    int rc;

    if (block == w->block)
        return SQLITE_OK;
    rc = put_chain(s);
    if (!rc)
        rc = put_block(s);
    w->block = block;
    w->oldest = UINT64_MAX;
    w->newest = w->records = 0;
    return rc;
}

static void count_in_block(struct store_writer *w, const struct wire_record *r)
{
    w->records++;
    w->is_block_changed = true;
    if (r->accepted_us < w->oldest)
        w->oldest = r->accepted_us;
    if (r->accepted_us > w->newest)
        w->newest = r->accepted_us;
}

static void count_record(struct store_writer *w, struct store_symbol *symbol,
                         const struct wire_record *r)
{
    count_in_block(w, r);
    if (symbol->block != w->block) {
        symbol->block = w->block;
        symbol->records = 0;
    }
    symbol->block_seq = r->seq;
    symbol->records++;
    if (!symbol->is_linked)
        store_symbols_push(&w->linked, symbol);
    symbol->is_linked = true;
}

static void change_symbol(struct store *s, struct store_symbol *symbol,
                          const struct store_batch_record *record, const struct wire_record *r)
{
    int64_t feed = record->feed < STORE_FEED_MAX ? store_feed_id(s, record->feed) : 0;

    if (!symbol->is_changed) {
        store_symbols_push(&s->writer->changed, symbol);
        symbol->is_changed = true;
        symbol->feed = 0;
        symbol->quote.len = 0;
    }
    symbol->seq = r->seq;
    symbol->is_removed = r->kind == WIRE_STATE && wire_state_of(r->body) == WIRE_REMOVED;
    if (feed)
        symbol->feed = feed;
    if (r->kind == WIRE_QUOTE) {
        symbol->quote = record->record;
        symbol->quote_seq = r->seq;
        symbol->is_stale = false;
    } else if (symbol->is_removed) {
        symbol->quote.len = 0;
        symbol->feed = 0;
    } else {
        symbol->is_stale = r->kind == WIRE_STATE && wire_state_of(r->body) == WIRE_STALE;
    }
}

static int symbol_of(struct store *s, struct span topic, struct store_symbol **out)
{
    struct store_writer *w = s->writer;
    struct span name = wire_topic_symbol(topic);
    sqlite3_stmt *stmt;
    int rc;

    *out = name.len ? store_symbols_find(&w->symbols, name) : w->loss;
    if (*out)
        return SQLITE_OK;
    stmt = store_statement(s, STORE_SYMBOL_ADD);
    statement_bind_text(stmt, 1, name);
    rc = statement_run(stmt);
    if (!rc)
        *out = store_symbols_add(&w->symbols, name, sqlite3_last_insert_rowid(s->file.db));
    return rc;
}

/* The topics of records that belong to no symbol. */
static const char *const own_topics[WIRE_KIND_COUNT] = {
    [WIRE_LOST] = WIRE_TOPIC_LOST, [WIRE_KEY] = WIRE_TOPIC_KEY, [WIRE_FORGET] = WIRE_TOPIC_FORGET};

/* A topic is not stored: it follows from the symbol, or from the kind. */
static bool is_as_published(struct store *s, const struct store_batch_record *record,
                            struct wire_record *r)
{
    const char *topic;

    if (wire_read(record->record, r, NULL) || r->seq != record->seq || r->epoch != s->writer->epoch)
        return false;
    topic = own_topics[r->kind];
    return topic ? span_eq(record->topic, topic) : wire_topic_symbol(record->topic).len > 0;
}

/* It belongs to no symbol, and no receiver reads it. */
static int put_private(struct store *s, const struct store_batch *b, const struct wire_record *r)
{
    static const struct store_symbol none;
    int rc = enter_block(s, STORE_BLOCK_OF(r->seq));

    if (!rc)
        rc = put_log(s, &none, r);
    if (rc)
        return rc;
    count_in_block(s->writer, r);
    if (r->kind == WIRE_FORGET)
        return store_drop_feed(s, b, pack_find_text(r->body, "feed"));
    s->writer->last_key = r->seq;
    return SQLITE_OK;
}

static int put_record(struct store *s, const struct store_batch *b,
                      const struct store_batch_record *record)
{
    struct store_symbol *symbol;
    struct wire_record r;
    int rc;

    if (!is_as_published(s, record, &r))
        return SQLITE_MISUSE;
    if (wire_is_private(r.kind))
        return put_private(s, b, &r);
    rc = symbol_of(s, record->topic, &symbol);
    if (!rc)
        rc = enter_block(s, STORE_BLOCK_OF(r.seq));
    if (!rc)
        rc = put_log(s, symbol, &r);
    if (rc)
        return rc;
    count_record(s->writer, symbol, &r);
    change_symbol(s, symbol, record, &r);
    return SQLITE_OK;
}

static int put_last(struct store *s, const struct store_symbol *symbol)
{
    bool is_quote = symbol->quote.len > 0;
    sqlite3_stmt *stmt = store_statement(s, symbol->is_removed ? STORE_LAST_REMOVED
                                            : is_quote         ? STORE_LAST_QUOTE
                                                               : STORE_LAST_STATE);
    struct wire_record r;
    struct prices p;

    sqlite3_bind_int64(stmt, 1, symbol->id);
    statement_bind_u(stmt, 2, symbol->seq);
    if (symbol->is_removed)
        return statement_run(stmt);
    sqlite3_bind_int(stmt, 3, symbol->is_stale);
    bind_id(stmt, 4, symbol->feed);
    if (!is_quote)
        return statement_run(stmt);
    if (wire_read(symbol->quote, &r, NULL))
        return SQLITE_MISUSE;
    p = prices_of(r.body);
    statement_bind_u(stmt, 5, symbol->quote_seq);
    bind_prices(stmt, 6, &p);
    statement_bind_blob(stmt, 9, symbol->quote);
    return statement_run(stmt);
}

static int put_changed(struct store *s)
{
    struct store_writer *w = s->writer;
    int rc = SQLITE_OK;

    store_symbols_sort(&w->changed);
    for (size_t i = 0; i < w->changed.count && !rc; i++) {
        w->changed.at[i]->is_changed = false;
        rc = put_last(s, w->changed.at[i]);
    }
    w->changed.count = 0;
    return rc;
}

static int put_batch(struct store *s, const struct store_batch *b)
{
    const struct store_batch_gap *gap = store_batch_gap_of(b);
    struct store_batch_record record;
    size_t offset = 0;
    int rc = store_put_feeds(s, b);

    if (store_batch_first(b) && (store_batch_first(b) != s->writer->head + 1 || !s->writer->epoch))
        return SQLITE_MISUSE;
    if (!rc && gap->first)
        rc = put_gap(s, gap);
    while (!rc && store_batch_next(b, &offset, &record))
        rc = put_record(s, b, &record);
    if (!rc)
        rc = put_chain(s);
    if (!rc)
        rc = put_block(s);
    if (!rc)
        rc = store_put_last_key(s, s->writer->last_key);
    s->writer->last_key = 0;
    return rc ? rc : put_changed(s);
}

static enum err error_invalid(const struct store *s, const struct store_batch *b,
                              char error[STORE_ERROR_MAX])
{
    snprintf(error, STORE_ERROR_MAX,
             "store %s: cannot write positions %llu to %llu: they do not go on from "
             "%llu in epoch %016llx; please report this",
             s->file.path, (unsigned long long)store_batch_first(b),
             (unsigned long long)store_batch_last(b), (unsigned long long)s->writer->head,
             (unsigned long long)s->writer->epoch);
    return ERR_INVALID;
}

enum err store_write(struct store *s, const struct store_batch *b, char error[STORE_ERROR_MAX])
{
    enum err e;
    int rc;

    assert(s->mode == STORE_WRITE);
    if (store_file_has_moved(s->file.db))
        return store_file_error_moved(s->file.path, error);
    rc = database_begin(&s->file, true);
    if (!rc) {
        rc = load(s);
        if (!rc)
            rc = put_batch(s, b);
        rc = database_end(&s->file, rc);
    }
    if (!rc) {
        if (store_batch_last(b))
            s->writer->head = store_batch_last(b);
        return OK;
    }
    e = rc == SQLITE_MISUSE && s->writer ? error_invalid(s, b, error)
                                         : database_error(&s->file, rc, "write it", error);
    store_writer_forget(s);
    return e;
}
