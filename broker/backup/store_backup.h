/*
 * store_backup: copies of a store and its locks, and putting a copy in the place of a store.
 *
 * broker/backup/ is what BACKUP and RESTORE do (store_command.h); only main.c calls it.  It knows
 * the files of the log and of the locks, and works on them without a broker.
 */
#ifndef BROKER_BACKUP_STORE_BACKUP_H
#define BROKER_BACKUP_STORE_BACKUP_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/sqlite/store_error.h"

/*
 * Copy the store, while a broker may be writing it, to `target`, which must not exist
 * (ERR_HELD).  It grows as target.part and gets its name when it is whole and on disk.
 * FILE-locks, if it is there, is in the copy, too, in tables of its own (STORE_BACKUP_LOCKS…).
 * `progress` may be NULL; it returns false to give up (ERR_AGAIN).  The copy has is_copy set.
 */
#define STORE_BACKUP_LOCKS "backup" /* and _version, _meta, _locks, _lock_values */
MUST_CHECK enum err store_backup(const char *path, const char *target,
                                 bool (*progress)(void *ctx, uint64_t done, uint64_t total),
                                 void *ctx, char error[STORE_ERROR_MAX]);

struct store_restored {
    uint64_t head;  /* newest position of the backup */
    uint64_t locks; /* in it, */
    bool has_locks; /* if it has any table of them; else FILE-locks stays as it is */
    bool was_there; /* a store, which is now FILE.old-N and FILE-locks.old-N */
    unsigned old;   /* N */
};
/*
 * Put a backup (or a store that was closed) in the place of the store `path` and its locks,
 * when all of it was read and checked.  The ring stays: it knows which positions were given.
 * ERR_HELD: a broker uses the store.  After an error the store is as it was, unless the error
 * is about a rename.  The next start begins a new epoch, `restored`.
 */
MUST_CHECK enum err store_restore(const char *backup, const char *path, struct store_restored *out,
                                  char error[STORE_ERROR_MAX]);

#endif
