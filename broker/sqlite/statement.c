#include "broker/sqlite/statement.h"

int statement_run(sqlite3_stmt *stmt)
{
    int rc = sqlite3_step(stmt);

    while (rc == SQLITE_ROW)
        rc = sqlite3_step(stmt);
    sqlite3_reset(stmt);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int statement_number(sqlite3 *db, const char *sql, uint64_t *out)
{
    sqlite3_stmt *stmt;
    int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);

    if (rc == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW)
        *out = statement_column_u(stmt, 0);
    return rc == SQLITE_OK ? sqlite3_finalize(stmt) : rc;
}

void statement_bind_text(sqlite3_stmt *stmt, int parameter, struct span text)
{
    if (text.at)
        sqlite3_bind_text(stmt, parameter, text.at, (int)text.len, SQLITE_STATIC);
    else
        sqlite3_bind_null(stmt, parameter);
}

void statement_bind_blob(sqlite3_stmt *stmt, int parameter, struct span bytes)
{
    sqlite3_bind_blob(stmt, parameter, bytes.at, (int)bytes.len, SQLITE_STATIC);
}

struct span statement_column_span(sqlite3_stmt *stmt, int column)
{
    const char *at = sqlite3_column_blob(stmt, column);

    return (struct span){at ? at : "", (size_t)sqlite3_column_bytes(stmt, column)};
}
