/*
 * store_schema: the tables of the store, and how older files become new ones.
 *
 * The version stands in PRAGMA user_version: how many steps the file has been through.
 * A step is never changed once released; what changes the tables is a new step at the end.
 */
#ifndef BROKER_LOG_STORE_SCHEMA_H
#define BROKER_LOG_STORE_SCHEMA_H

#include <stddef.h>
#include <stdint.h>

#include <sqlite3.h>

#include "shared/base/err.h"

/* One step, from version n to n+1: its place in the list is n. */
struct store_schema_step {
    const char *sql; /* statements, run in one transaction */
};

/* What a kind of file is to have. */
struct store_schema {
    int application; /* PRAGMA application_id, which tells kinds apart */
    const struct store_schema_step *steps;
    size_t count;
};

const struct store_schema *store_schema_log(void); /* "Preg" */

/* One number; without a row *out stays as it was.  Returns SQLite's code. */
int store_read_number(sqlite3 *db, const char *sql, uint64_t *out);

/* What the file says.  Both 0: an empty file.  Returns SQLite's code. */
int store_schema_read(sqlite3 *db, int *application, int *version);

/*
 * Bring the file to the newest version, every step in its own transaction.  ERR_VERSION: it
 * is newer.  ERR_SYS: SQLite refused, *code says why and *version how far it came.
 */
MUST_CHECK enum err store_schema_migrate(sqlite3 *db, const struct store_schema *schema,
                                         int *version, int *code);

#endif
