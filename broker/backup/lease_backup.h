/* lease_backup: the locks as tables in a backup of the log, and back. */
#ifndef BROKER_BACKUP_LEASE_BACKUP_H
#define BROKER_BACKUP_LEASE_BACKUP_H

#include "broker/sqlite/store_error.h"

/*
 * Copy the locks' file `path` into tables of `copy`, a connection to another file: in
 * STORE_BACKUP_LOCKS….  Does nothing if `path` does not exist.
 */
MUST_CHECK enum err lease_backup_copy(const char *path, sqlite3 *copy, char error[STORE_ERROR_MAX]);
/*
 * The reverse: make the new file `path` from the tables of version `version` in the file `backup`.
 */
MUST_CHECK enum err lease_backup_make(const char *path, int version, const char *backup,
                                      char error[STORE_ERROR_MAX]);

#endif
