/*
 * schema: the tables of a SQLite file of ours, and how older files become new ones.
 *
 * The version is in PRAGMA user_version: the number of steps that were applied to the file. A
 * released step never changes; a change of the tables is a new step at the end.
 */
#ifndef BROKER_SQLITE_SCHEMA_H
#define BROKER_SQLITE_SCHEMA_H

#include <stddef.h>

#include <sqlite3.h>

#include "shared/base/err.h"

/* One step, from version n to n+1, where n is its place in the list. */
struct schema_step {
    const char *sql; /* statements, run in one transaction */
};

/* The tables that a kind of file has. */
struct schema {
    int application; /* PRAGMA application_id, which distinguishes kinds */
    const struct schema_step *steps;
    size_t count;
};

/* The numbers in the file.  Both 0: an empty file.  Returns SQLite's code. */
int schema_read(sqlite3 *db, int *application, int *version);

/*
 * Bring the file to the newest version, every step in its own transaction.  ERR_VERSION: it is
 * newer.  ERR_SYS: SQLite refused, *code is SQLite's error code and *version the version that was
 * reached.
 */
MUST_CHECK enum err schema_migrate(sqlite3 *db, const struct schema *schema, int *version,
                                   int *code);

#endif
