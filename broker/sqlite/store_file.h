/*
 * store_file: the care that every SQLite file of ours gets, the log's and the locks'.
 *
 * What is wrong with a file is found out when it is opened, and reported in one sentence with
 * what to do; nothing is changed then.  Any thread; nothing is kept here.
 */
#ifndef BROKER_SQLITE_STORE_FILE_H
#define BROKER_SQLITE_STORE_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include <sqlite3.h>

#include "broker/sqlite/schema.h"
#include "broker/sqlite/store_error.h"

#define STORE_FILE_WAIT_MS 2000 /* for another program's lock */

/*
 * To be freed.  The path of the file itself: symbolic links are followed (also one whose target is
 * not there yet), the folder is resolved, and SQLite takes it for nothing but a path.  If the
 * folder is not there, the path as it was given.
 */
char *store_file_plain_path(const char *path);
char *store_file_beside(const char *path, const char *suffix); /* to be freed */
/*
 * The files beside a store are beside the file itself.  ERR_NOT_FOUND: one is beside the link
 * that was given, where earlier versions kept it, and none beside the file: it must be moved.
 */
MUST_CHECK enum err store_file_check_beside(const char *given, const char *suffix,
                                            char error[STORE_ERROR_MAX]);

/* Directory and file, before it is opened.  *is_unclean: it was not closed, and it is small. */
MUST_CHECK enum err store_file_check(const char *path, bool is_writer, bool *is_unclean,
                                     char error[STORE_ERROR_MAX]);

/* What keeps other writers away; .name and .file are -1 when they are not held. */
struct store_file_lock {
    int name; /* descriptor of FILE-lock, which holds the number of the process */
    int file; /* descriptor of FILE itself */
};
#define STORE_FILE_UNLOCKED ((struct store_file_lock){-1, -1})
/*
 * One writer only, whatever name it uses for the file: FILE itself is locked, too, so that a
 * hard link is no way around.  An empty FILE is made if there is none.  Both are flock(2),
 * which SQLite's own locks (fcntl) do not see.  `path` is from store_file_plain_path.
 * ERR_HELD: another program has it.  After any error *out is to be unlocked, too.
 */
MUST_CHECK enum err store_file_lock(const char *path, struct store_file_lock *out,
                                    char error[STORE_ERROR_MAX]);
/*
 * Only after every connection of this process to FILE is closed: closing any descriptor of a file
 * drops all fcntl locks that the process has on it.
 */
void store_file_unlock(struct store_file_lock *lock);
/* Ours, and not newer (a reader: exactly ours). */
MUST_CHECK enum err store_file_check_schema(const char *path, sqlite3 *db,
                                            const struct schema *schema, bool is_writer,
                                            char error[STORE_ERROR_MAX]);
/* After journal_mode was set to WAL. */
MUST_CHECK enum err store_file_check_mode(const char *path, sqlite3 *db,
                                          char error[STORE_ERROR_MAX]);
MUST_CHECK enum err store_file_migrate(const char *path, sqlite3 *db, const struct schema *schema,
                                       char error[STORE_ERROR_MAX]);
/* That a name in its folder has changed is on disk. */
MUST_CHECK enum err store_file_sync_folder(const char *path, char error[STORE_ERROR_MAX]);
/* SQLITE_OK, or what is wrong; *page: where, if it is damaged (1 if that is not known). */
int store_file_check_all(sqlite3 *db, uint64_t *page);
/* Nothing would fail if the file were gone, until the next start. */
bool store_file_has_moved(sqlite3 *db);
enum err store_file_error_moved(const char *path, char error[STORE_ERROR_MAX]);

#endif
