/*
 * store_error: what went wrong with a SQLite file of ours, as one sentence for the operator.
 *
 * The sentence names the file, what is wrong and what to do.  Each function writes it into `error`
 * and returns the matching enum err, so that a caller can return both at once.  Any thread.
 */
#ifndef BROKER_SQLITE_STORE_ERROR_H
#define BROKER_SQLITE_STORE_ERROR_H

#include <stdbool.h>

#include <sqlite3.h>

#include "shared/base/err.h"

#define STORE_ERROR_MAX 512 /* bytes of a sentence */

/*
 * "store PATH: cannot DOING: what is wrong; what to do".  rc is SQLite's code and not SQLITE_OK;
 * when it is about input or output, errno is still what the system call left.
 */
enum err store_error_sqlite(const char *path, sqlite3 *db, int rc, const char *doing,
                            char error[STORE_ERROR_MAX]);
/* The same for a system call's errno. */
enum err store_error_system(const char *path, int error_number, const char *doing,
                            char error[STORE_ERROR_MAX]);
/* A thread for the file could not be started. */
enum err store_error_thread(const char *path, int error_number, char error[STORE_ERROR_MAX]);

/*
 * Does SQLite's code mean that the file's content is damaged, so that trying again is of no use?  A
 * sector that the disk does not give back is damage, too.
 */
bool store_error_is_damage(int rc);

#endif
