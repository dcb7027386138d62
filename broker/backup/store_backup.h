/*
 * store_backup: copies a store and its locks, and restores a store from such a copy.
 *
 * broker/backup/ implements the settings BACKUP and RESTORE (store_command.h); only main.c calls
 * it.  It works on the files of the log and of the locks; no broker has to run.
 */
#ifndef BROKER_BACKUP_STORE_BACKUP_H
#define BROKER_BACKUP_STORE_BACKUP_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/sqlite/store_error.h"

/*
 * Copy the store to the new file `target` (ERR_HELD if it exists).  A broker may be writing the
 * store.  The copy is named target.part until it is complete and on disk.  If FILE-locks exists,
 * the copy contains its content in tables of its own (STORE_BACKUP_LOCKS…). `progress` may be NULL;
 * it returns false to give up (ERR_AGAIN).  The copy has is_copy set.
 */
#define STORE_BACKUP_LOCKS "backup" /* and _version, _meta, _locks, _lock_values */
MUST_CHECK enum err store_backup(const char *path, const char *target,
                                 bool (*progress)(void *ctx, uint64_t done, uint64_t total),
                                 void *ctx, char error[STORE_ERROR_MAX]);

struct store_restored {
    uint64_t head;  /* newest position of the backup */
    uint64_t locks; /* locks in the backup; valid only with has_locks */
    bool has_locks; /* the backup has tables of locks; without them FILE-locks stays as it is */
    bool was_there; /* there was a store before; now it is FILE.old-N and FILE-locks.old-N */
    unsigned old;   /* N */
};
/*
 * Replace the store `path` and its locks by a backup (or by a closed store), after all of the
 * backup was read and checked.  The ring stays, because it has the highest position that the broker
 * ever gave. ERR_HELD: a broker uses the store.  After an error the store is as it was, unless the
 * error is about a rename.  The next start begins a new epoch, `restored`.
 */
MUST_CHECK enum err store_restore(const char *backup, const char *path, struct store_restored *out,
                                  char error[STORE_ERROR_MAX]);

#endif
