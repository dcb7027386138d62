#include "broker/locks/lease_store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/sqlite/database.h"
#include "broker/sqlite/statement.h"
#include "shared/base/mem.h"

/* The comments are inside the statements, so that `sqlite3 FILE-locks .schema` shows them. */
static const char version_1[] =
    "CREATE TABLE meta (\n"
    "  -- About this file; the version of its tables is PRAGMA user_version.\n"
    "  --   token_floor  every token given so far is at most this; reserved ahead\n"
    "  name TEXT NOT NULL PRIMARY KEY,\n"
    "  value INTEGER NOT NULL\n"
    ") WITHOUT ROWID;\n"

    "CREATE TABLE locks (\n"
    "  -- Every lock, as of its last grant.  A renewal is not stored: after a restart "
    "a\n"
    "  -- lock that is held here is held for its whole ttl anew.  Times are\n"
    "  -- microseconds since 1970; the view held is easier to read.\n"
    "  name TEXT NOT NULL PRIMARY KEY,\n"
    "  state TEXT NOT NULL,        -- held, closed (its delay is not over) or free\n"
    "  token INTEGER NOT NULL,     -- the fencing token of the last grant\n"
    "  owner TEXT NOT NULL,        -- who has, or had, that grant\n"
    "  host TEXT NOT NULL,\n"
    "  pid INTEGER NOT NULL,\n"
    "  granted INTEGER NOT NULL,   -- when\n"
    "  ttl_ms INTEGER NOT NULL,    -- how long without a renewal\n"
    "  delay_ms INTEGER NOT NULL,  -- how long it stays closed if nobody releases it\n"
    "  ended TEXT NOT NULL,        -- how: '' (it runs), released, expired, broken\n"
    "  lost INTEGER NOT NULL,      -- when a grant last expired or was broken, 0: "
    "never\n"
    "  lost_owner TEXT NOT NULL,\n"
    "  lost_token INTEGER NOT NULL,\n"
    "  lost_reason TEXT NOT NULL   -- expired or broken\n"
    ") WITHOUT ROWID;\n"

    "CREATE TABLE lock_values (\n"
    "  -- What the holder of a lock last put there.\n"
    "  name TEXT NOT NULL PRIMARY KEY,\n"
    "  version INTEGER NOT NULL,   -- how often\n"
    "  token INTEGER NOT NULL,     -- under which token\n"
    "  value BLOB NOT NULL\n"
    ");\n"

    "CREATE VIEW held AS\n"
    "  SELECT name, owner, host, pid, token,\n"
    "    strftime('%Y-%m-%d %H:%M:%f', granted / 1e6, 'unixepoch') AS granted,\n"
    "    ttl_ms / 1e3 AS ttl, delay_ms / 1e3 AS delay\n"
    "  FROM locks WHERE state = 'held';\n"

    "INSERT INTO meta VALUES ('token_floor', 0);\n";

static const struct schema_step steps_all[] = {
    {version_1},
};

const struct schema lease_store_schema = {
    0x5072656c, /* "Prel" */
    steps_all,
    sizeof steps_all / sizeof steps_all[0],
};

#define LEASE_STATEMENTS(X)                                                            \
    X(FLOOR, "SELECT value FROM meta WHERE name = 'token_floor'")                      \
    X(FLOOR_PUT, "UPDATE meta SET value = ?1 WHERE name = 'token_floor'")              \
    X(ALL, "SELECT locks.name, state, locks.token, owner, host, pid, granted, ttl_ms," \
           " delay_ms, ended, lost, lost_owner, lost_token, lost_reason, version,"     \
           " lock_values.token, value FROM locks LEFT JOIN lock_values"                \
           " ON lock_values.name = locks.name ORDER BY locks.name")                    \
    X(PUT, "INSERT OR REPLACE INTO locks (name, state, token, owner, host, pid,"       \
           " granted, ttl_ms, delay_ms, ended, lost, lost_owner, lost_token,"          \
           " lost_reason) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12,"  \
           " ?13, ?14)")                                                               \
    X(VALUE_PUT, "INSERT OR REPLACE INTO lock_values (name, version, token, value)"    \
                 " VALUES (?1, ?2, ?3, ?4)")                                           \
    X(FORGET, "DELETE FROM locks WHERE name = ?1")

enum lease_statement {
#define X(name, sql) LEASE_##name,
    LEASE_STATEMENTS(X)
#undef X
        LEASE_STATEMENT_COUNT
};

struct lease_store {
    struct database file;
};

static const char *const state_names[] = {"free", "held", "closed"};

/* --- writing ------------------------------------------------------------------------ */

static sqlite3_stmt *statement(struct lease_store *s, enum lease_statement which)
{
    return database_statement(&s->file, which);
}

static void bind_name(sqlite3_stmt *stmt, int parameter, const char *text)
{
    statement_bind_text(stmt, parameter, span_of(text));
}

static int put_floor(struct lease_store *s, uint64_t floor)
{
    sqlite3_stmt *stmt = statement(s, LEASE_FLOOR_PUT);

    statement_bind_u(stmt, 1, floor);
    return statement_run(stmt);
}

static int put_value(struct lease_store *s, const struct lease_batch *b, const struct lease_row *r)
{
    sqlite3_stmt *stmt = statement(s, LEASE_VALUE_PUT);

    bind_name(stmt, 1, r->name);
    statement_bind_u(stmt, 2, r->version);
    statement_bind_u(stmt, 3, r->value_token);
    statement_bind_blob(stmt, 4,
                        r->value_len ? (struct span){b->values.data + r->value_at, r->value_len}
                                     : SPAN(""));
    return statement_run(stmt);
}

static int put_row(struct lease_store *s, const struct lease_row *r)
{
    sqlite3_stmt *stmt = statement(s, LEASE_PUT);

    bind_name(stmt, 1, r->name);
    bind_name(stmt, 2, state_names[r->state]);
    statement_bind_u(stmt, 3, r->token);
    bind_name(stmt, 4, r->owner);
    bind_name(stmt, 5, r->host);
    statement_bind_u(stmt, 6, r->pid);
    statement_bind_u(stmt, 7, r->granted_us);
    statement_bind_u(stmt, 8, r->ttl_ms);
    statement_bind_u(stmt, 9, r->delay_ms);
    bind_name(stmt, 10, lease_end_name(r->ended));
    statement_bind_u(stmt, 11, r->lost_us);
    bind_name(stmt, 12, r->lost_owner);
    statement_bind_u(stmt, 13, r->lost_token);
    bind_name(stmt, 14, lease_end_name(r->lost_reason));
    return statement_run(stmt);
}

static int forget(struct lease_store *s, const char *name)
{
    sqlite3_stmt *stmt = statement(s, LEASE_FORGET); /* it never had a value */

    bind_name(stmt, 1, name);
    return statement_run(stmt);
}

static int put_batch(struct lease_store *s, const struct lease_batch *b)
{
    int rc = b->token_floor ? put_floor(s, b->token_floor) : SQLITE_OK;

    for (size_t i = 0; i < b->forgotten_count && !rc; i++)
        rc = forget(s, b->forgotten[i]);
    for (size_t i = 0; i < b->count && !rc; i++) {
        rc = put_row(s, &b->rows[i]);
        if (!rc && b->rows[i].has_value)
            rc = put_value(s, b, &b->rows[i]);
    }
    return rc;
}

enum err lease_store_write(struct lease_store *s, const struct lease_batch *b,
                           char error[STORE_ERROR_MAX])
{
    int rc;

    if (store_file_has_moved(s->file.db))
        return store_file_error_moved(s->file.path, error);
    rc = database_begin(&s->file, true);
    if (!rc)
        rc = database_end(&s->file, put_batch(s, b));
    return rc ? database_error(&s->file, rc, "write it", error) : OK;
}

void lease_store_interrupt(struct lease_store *s)
{
    database_interrupt(&s->file);
}

/* --- reading ------------------------------------------------------------------------ */

static bool read_state(struct span text, enum lease_state *out)
{
    for (size_t i = 0; i < sizeof state_names / sizeof state_names[0]; i++)
        if (span_eq(text, state_names[i])) {
            *out = (enum lease_state)i;
            return true;
        }
    return false;
}

static bool read_end(struct span text, enum lease_end *out)
{
    for (enum lease_end e = LEASE_RUNS; e <= LEASE_BROKEN; e++)
        if (span_eq(text, lease_end_name(e))) {
            *out = e;
            return true;
        }
    return false;
}

static uint64_t ms_since(uint64_t us, uint64_t wall_us)
{
    return us < wall_us ? (wall_us - us) / 1000 : 0;
}

static bool read_row(sqlite3_stmt *stmt, uint64_t wall_us, struct lease_stored *out)
{
    *out = (struct lease_stored){
        .name = statement_column_span(stmt, 0),
        .token = statement_column_u(stmt, 2),
        .owner = statement_column_span(stmt, 3),
        .host = statement_column_span(stmt, 4),
        .pid = statement_column_u(stmt, 5),
        .held_ms = ms_since(statement_column_u(stmt, 6), wall_us),
        .ttl_ms = statement_column_u(stmt, 7),
        .delay_ms = statement_column_u(stmt, 8),
        .lost_ago_ms = ms_since(statement_column_u(stmt, 10), wall_us),
        .lost_owner = statement_column_span(stmt, 11),
        .lost_token = statement_column_u(stmt, 12),
        .version = statement_column_u(stmt, 14),
        .value_token = statement_column_u(stmt, 15),
        .value = statement_column_span(stmt, 16),
    };
    return read_state(statement_column_span(stmt, 1), &out->state) &&
           read_end(statement_column_span(stmt, 9), &out->ended) &&
           read_end(statement_column_span(stmt, 13), &out->lost_reason);
}

static enum err error_row(const struct lease_store *s, struct span name,
                          char error[STORE_ERROR_MAX])
{
    snprintf(error, STORE_ERROR_MAX,
             "store %s: the row of lock '%.*s' makes no sense; correct it with sqlite3, or "
             "put a backup in its place",
             s->file.path, (int)(name.len < LOCK_NAME_MAX ? name.len : LOCK_NAME_MAX), name.at);
    return ERR_MALFORMED;
}

enum err lease_store_each(struct lease_store *s, uint64_t wall_us,
                          bool (*take)(void *ctx, const struct lease_stored *l), void *ctx,
                          char error[STORE_ERROR_MAX])
{
    sqlite3_stmt *stmt = statement(s, LEASE_ALL);
    struct lease_stored l;
    enum err e = OK;
    int rc;

    errno = 0;
    while (!e && (rc = sqlite3_step(stmt)) == SQLITE_ROW)
        if (!read_row(stmt, wall_us, &l) || !take(ctx, &l))
            e = error_row(s, l.name, error);
    if (!e && rc != SQLITE_DONE)
        e = database_error(&s->file, rc, "read it", error);
    sqlite3_reset(stmt);
    return e;
}

/* --- opening ------------------------------------------------------------------------ */

static const char settings[] = "PRAGMA temp_store = MEMORY;"
                               "PRAGMA trusted_schema = OFF;"
                               "PRAGMA journal_mode = WAL;"
                               "PRAGMA synchronous = FULL;"
                               "PRAGMA journal_size_limit = 16777216;";
static const char *const sql[] = {
#define X(name, text) text,
    LEASE_STATEMENTS(X)
#undef X
};
static const struct database_kind kind = {.schema = &lease_store_schema,
                                          .settings = settings,
                                          .sql = sql,
                                          .count = LEASE_STATEMENT_COUNT,
                                          .is_writer = true};

/* The write also checks that the disk accepts data. */
static int reserve(struct lease_store *s, uint64_t wall_us, uint64_t *floor)
{
    sqlite3_stmt *stmt;
    int rc = database_begin(&s->file, true);

    if (rc)
        return rc;
    stmt = statement(s, LEASE_FLOOR);
    rc = sqlite3_step(stmt);
    *floor = rc == SQLITE_ROW ? statement_column_u(stmt, 0) : 0;
    sqlite3_reset(stmt);
    if (*floor < wall_us)
        *floor = wall_us;
    rc = rc == SQLITE_ROW    ? put_floor(s, *floor + LEASE_STORE_RESERVE)
         : rc == SQLITE_DONE ? SQLITE_CORRUPT
                             : rc;
    return database_end(&s->file, rc);
}

enum err lease_store_open(const char *path, uint64_t wall_us, struct lease_store **out,
                          uint64_t *token_floor, char error[STORE_ERROR_MAX])
{
    struct lease_store *s = mem_zalloc(sizeof *s);
    uint64_t floor = 0, page = 0;
    bool is_unclean = false;
    enum err e;
    int rc;

    e = database_open(&s->file, path, &kind, &is_unclean, error);
    if (!e && is_unclean) {
        rc = store_file_check_all(s->file.db, &page);
        if (rc)
            e = database_error(&s->file, rc, "read it", error);
    }
    if (!e) {
        rc = reserve(s, wall_us, &floor);
        if (rc)
            e = database_error(&s->file, rc, "write it", error);
    }
    if (e) {
        lease_store_close(s);
        return e;
    }
    *token_floor = floor;
    *out = s;
    return OK;
}

void lease_store_close(struct lease_store *s)
{
    if (!s)
        return;
    database_close(&s->file);
    free(s);
}
