/*
 * database: one connection to a SQLite file of ours, with its statements and transactions.
 *
 * broker/sqlite/ is what the log (broker/log) and the locks (broker/locks) share to keep their
 * files: opening and checking a file, errors as sentences, statements, and the thread that writes
 * batches.  It knows neither of them.
 *
 * A connection belongs to one thread at a time, except for database_interrupt.  Reads no clock.
 */
#ifndef BROKER_SQLITE_DATABASE_H
#define BROKER_SQLITE_DATABASE_H

#include <stdbool.h>
#include <stddef.h>

#include <sqlite3.h>

#include "broker/sqlite/schema.h"
#include "broker/sqlite/store_file.h"
#include "shared/base/err.h"

/* The properties of one kind of file. */
struct database_kind {
    const struct schema *schema;
    const char *settings;   /* PRAGMAs, run at opening */
    const char *const *sql; /* of the statements, */
    size_t count;           /* so many */
    bool is_writer;         /* creates a missing file; one writer at a time */
};

struct database {
    sqlite3 *db;
    char *path;                  /* of the file itself (store_file_plain_path) */
    struct store_file_lock lock; /* readers have none */
    sqlite3_stmt **statements;
    size_t count;
    sqlite3_stmt *begin_read, *begin_write, *commit, *rollback;
};

/*
 * Check the file, lock it (a writer), open it, bring its tables up to date (a writer) and prepare
 * all statements.  *is_unclean: the file is small and was not closed, so that the caller can
 * check all of it (store_file_check_all).
 * ERR_HELD: another broker writes it.  ERR_VERSION: made by a newer version.
 * ERR_MALFORMED: not our file, or damaged.  ERR_NOT_FOUND: no such directory, or (a reader) no such
 * file.  ERR_FULL: the disk.  ERR_SYS: permission and the like.
 * After an error *d must be closed, too.
 */
MUST_CHECK enum err database_open(struct database *d, const char *path,
                                  const struct database_kind *kind, bool *is_unclean,
                                  char error[STORE_ERROR_MAX]);
/* A writer moves everything from FILE-wal into FILE first, if it can. */
void database_close(struct database *d);

/* The statement of this index, ready to bind and step. */
sqlite3_stmt *database_statement(struct database *d, size_t index);

/* Begin a transaction; SQLite's code. */
int database_begin(struct database *d, bool is_writing);
/* End it: commit if rc is SQLITE_OK, else roll back.  Returns the first failure. */
int database_end(struct database *d, int rc);
/*
 * End a transaction that only read.  Not by a commit: after damage was met a commit fails, although
 * all that was read is good.
 */
void database_end_read(struct database *d);

/*
 * Stop what another thread is doing on this connection: its statement ends with
 * SQLITE_INTERRUPT.
 */
void database_interrupt(struct database *d);

/* The sentence for what went wrong on this connection. */
enum err database_error(const struct database *d, int rc, const char *doing,
                        char error[STORE_ERROR_MAX]);

#endif
