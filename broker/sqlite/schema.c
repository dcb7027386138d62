#include "broker/sqlite/schema.h"

#include <stdio.h>

#include "broker/sqlite/statement.h"

int schema_read(sqlite3 *db, int *application, int *version)
{
    uint64_t a = 0, v = 0;
    int rc = statement_number(db, "PRAGMA application_id", &a);

    if (!rc)
        rc = statement_number(db, "PRAGMA user_version", &v);
    *application = (int)a;
    *version = (int)v;
    return rc;
}

static int run_step(sqlite3 *db, int application, const struct schema_step *step, int version)
{
    char close[128];
    int rc = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);

    snprintf(close, sizeof close, "PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT",
             application, version);
    if (!rc)
        rc = sqlite3_exec(db, step->sql, NULL, NULL, NULL);
    if (!rc)
        rc = sqlite3_exec(db, close, NULL, NULL, NULL);
    if (!sqlite3_get_autocommit(db))
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return rc;
}

enum err schema_migrate(sqlite3 *db, const struct schema *schema, int *version, int *code)
{
    int application, rc = schema_read(db, &application, version);

    if (rc) {
        *code = rc;
        return ERR_SYS;
    }
    if (*version < 0 || (size_t)*version > schema->count)
        return ERR_VERSION;
    while ((size_t)*version < schema->count) {
        *code = run_step(db, schema->application, &schema->steps[*version], *version + 1);
        if (*code)
            return ERR_SYS;
        ++*version;
    }
    return OK;
}
