/*
 * store_file: the care that every SQLite file of ours gets, the log's and the locks'.
 *
 * What is wrong with a file is found out when it is opened, and said in one sentence with what to do;
 * nothing is changed then.  Any thread; nothing is kept here.
 */
#ifndef BROKER_STORE_FILE_H
#define BROKER_STORE_FILE_H

#include <stdbool.h>

#include <sqlite3.h>

#include "broker/store.h"
#include "broker/store_schema.h"

#define STORE_FILE_WAIT_MS 2000 /* for another program's lock */

/* To be freed.  The first: one that SQLite takes for nothing but a path. */
char *store_file_plain_path(const char *path);
char *store_file_beside(const char *path, const char *suffix);

/* Directory and file, before it is opened.  *is_unclean: nobody closed it, and it is small. */
MUST_CHECK enum err store_file_check(const char *path, bool is_writer, bool *is_unclean,
                                     char error[STORE_ERROR_MAX]);
/* One writer only: *out is the descriptor of FILE-lock, to be closed (also after an error, unless
 * it is -1 still). */
MUST_CHECK enum err store_file_lock(const char *path, int *out,
                                    char error[STORE_ERROR_MAX]);
/* Ours, and not newer (a reader: exactly ours). */
MUST_CHECK enum err store_file_check_schema(const char *path, sqlite3 *db,
                                            const struct store_schema *schema,
                                            bool is_writer,
                                            char error[STORE_ERROR_MAX]);
/* After journal_mode was set to WAL. */
MUST_CHECK enum err store_file_check_mode(const char *path, sqlite3 *db,
                                          char error[STORE_ERROR_MAX]);
MUST_CHECK enum err store_file_migrate(const char *path, sqlite3 *db,
                                       const struct store_schema *schema,
                                       char error[STORE_ERROR_MAX]);
int store_file_check_all(sqlite3 *db); /* SQLITE_OK, or what is wrong */
/* Nothing would fail if the file were gone, until the next start. */
bool store_file_has_moved(sqlite3 *db);
enum err store_file_tell_moved(const char *path, char error[STORE_ERROR_MAX]);

/* store_error.c: as a sentence with what to do, for a system call's errno, */
enum err store_error_system(const char *path, int error_number, const char *doing,
                            char error[STORE_ERROR_MAX]);
/* and for a thread that could not be started. */
enum err store_error_thread(const char *path, int error_number,
                            char error[STORE_ERROR_MAX]);

#endif
