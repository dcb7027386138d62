/*
 * statement: running SQLite's prepared statements, and their values in our types.
 *
 * SQLite's codes stay int and are called rc; store_error_sqlite makes an enum err and a sentence of
 * one where a public function returns.  The caller's thread.
 */
#ifndef BROKER_SQLITE_STATEMENT_H
#define BROKER_SQLITE_STATEMENT_H

#include <stdint.h>

#include <sqlite3.h>

#include "shared/base/buf.h"

/* Run to the end and reset.  SQLITE_OK, or what went wrong. */
int statement_run(sqlite3_stmt *stmt);
/* The one number that this query yields; without a row *out stays as it was.  SQLite's code. */
int statement_number(sqlite3 *db, const char *sql, uint64_t *out);

/* The bytes must outlive the statement's run.  A text whose .at is NULL is bound as NULL. */
void statement_bind_text(sqlite3_stmt *stmt, int parameter, struct span text);
void statement_bind_blob(sqlite3_stmt *stmt, int parameter, struct span bytes);
/* Valid until the next step. */
struct span statement_column_span(sqlite3_stmt *stmt, int column);

static inline uint64_t statement_column_u(sqlite3_stmt *stmt, int column)
{
    return (uint64_t)sqlite3_column_int64(stmt, column);
}

static inline void statement_bind_u(sqlite3_stmt *stmt, int parameter, uint64_t value)
{
    sqlite3_bind_int64(stmt, parameter, (sqlite3_int64)value);
}

#endif
