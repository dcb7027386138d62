/* store_backup: a copy of a store that may be in use. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "broker/backup/lease_backup.h"
#include "broker/backup/store_backup.h"
#include "broker/log/store_private.h"
#include "shared/base/mem.h"

#define STEP_PAGES 512 /* between two calls of progress: 4 MB */

struct backup {
    struct store *source;
    sqlite3 *copy;
    char *part; /* target.part */
    const char *target;
    int lock; /* on part, so that two backups do not write one file */
    bool (*progress)(void *ctx, uint64_t done, uint64_t total);
    void *ctx;
};

static enum err fail(const struct backup *b, int error_number, char error[STORE_ERROR_MAX])
{
    return store_error_system(b->part, error_number, "write the copy", error);
}

static enum err error_held(const char *path, const char *what, char error[STORE_ERROR_MAX])
{
    snprintf(error, STORE_ERROR_MAX, "store %s: cannot copy to it: %s", path, what);
    return ERR_HELD;
}

/*
 * Remove the files that SQLite keeps beside the copy; a backup that was killed may have left them.
 */
static void remove_beside(const struct backup *b)
{
    static const char *const suffixes[] = {"-wal", "-shm", "-journal"};

    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        char *path = store_file_beside(b->part, suffixes[i]);

        unlink(path);
        free(path);
    }
}

static enum err open_part(struct backup *b, char error[STORE_ERROR_MAX])
{
    int failure;

    if (!access(b->target, F_OK))
        return error_held(b->target, "it is already there; choose another name", error);
    b->lock = open(b->part, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (b->lock < 0)
        return fail(b, errno, error);
    if (flock(b->lock, LOCK_EX | LOCK_NB)) {
        failure = errno;
        close(b->lock);
        b->lock = -1;
        return failure == EWOULDBLOCK
                   ? error_held(b->part, "another backup is writing it; let it finish", error)
                   : fail(b, failure, error);
    }
    remove_beside(b);
    return ftruncate(b->lock, 0) ? fail(b, errno, error) : OK;
}

static enum err open_copy(struct backup *b, int flags, char error[STORE_ERROR_MAX])
{
    int rc;

    errno = 0;
    rc = sqlite3_open_v2(b->part, &b->copy, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | flags,
                         NULL);
    return rc ? store_error_sqlite(b->part, b->copy, rc, "write the copy", error) : OK;
}

static void close_copy(struct backup *b)
{
    sqlite3_close(b->copy);
    b->copy = NULL;
}

static bool is_of_source(int rc)
{
    return (rc & 0xFF) == SQLITE_CORRUPT || rc == SQLITE_IOERR_READ ||
           rc == SQLITE_IOERR_SHORT_READ;
}

/*
 * The read transaction gives the state at the start of the backup. A broker that writes at the same
 * time therefore does not restart the copy, but FILE-wal grows until the copy ends.
 */
static enum err copy_pages(struct backup *b, char error[STORE_ERROR_MAX])
{
    struct store *s = b->source;
    sqlite3_backup *pages = NULL;
    enum err e = open_copy(b, SQLITE_OPEN_CREATE, error);
    int rc;

    if (e)
        return e;
    /* No other program uses the file yet, and we sync it at the end. */
    (void)sqlite3_exec(b->copy, "PRAGMA synchronous = OFF", NULL, NULL, NULL);
    rc = database_begin(&s->file, false);
    if (!rc)
        rc = statement_run(
            store_statement(s, STORE_EPOCH_LAST)); /* the transaction begins with a read */
    if (rc)
        return database_error(&s->file, rc, "read it", error);
    pages = sqlite3_backup_init(b->copy, "main", s->file.db, "main");
    if (!pages)
        return store_error_sqlite(b->part, b->copy, sqlite3_errcode(b->copy), "write the copy",
                                  error);
    while ((rc = sqlite3_backup_step(pages, STEP_PAGES)) == SQLITE_OK && !e) {
        uint64_t total = (uint64_t)sqlite3_backup_pagecount(pages),
                 left = (uint64_t)sqlite3_backup_remaining(pages);

        if (b->progress &&
            !b->progress(b->ctx, (total - left) * s->page_size, total * s->page_size)) {
            snprintf(error, STORE_ERROR_MAX, "store %s: the copy was given up", b->target);
            e = ERR_AGAIN;
        }
    }
    sqlite3_backup_finish(pages);
    (void)database_end(&s->file, SQLITE_OK);
    if (e || rc == SQLITE_DONE)
        return e;
    return is_of_source(rc) ? database_error(&s->file, rc, "read it", error)
                            : store_error_sqlite(b->part, b->copy, rc, "write the copy", error);
}

static enum err mark_copy(struct backup *b, char error[STORE_ERROR_MAX])
{
    enum err e;
    int rc;

    close_copy(b);
    e = open_copy(b, 0, error);
    if (e)
        return e;
    rc =
        sqlite3_exec(b->copy, "UPDATE meta SET value = 1 WHERE name = 'is_copy'", NULL, NULL, NULL);
    if (!rc) {
        char *locks = store_file_beside(b->source->file.path, "-locks");

        e = lease_backup_copy(locks, b->copy, error);
        free(locks);
        if (e)
            return e;
    }
    if (!rc) /* so that closing leaves one file */
        rc = sqlite3_wal_checkpoint_v2(b->copy, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    if (rc)
        return store_error_sqlite(b->part, b->copy, rc, "write the copy", error);
    close_copy(b);
    return OK;
}

static enum err name_copy(struct backup *b, char error[STORE_ERROR_MAX])
{
    if (fsync(b->lock))
        return fail(b, errno, error);
    /*
     * link, not rename: rename would replace a file that another program created in the meantime.
     */
    if (link(b->part, b->target)) {
        if (errno == EEXIST)
            return error_held(b->target, "it is already there; choose another name", error);
        /* A file system without hard links. */
        if (rename(b->part, b->target))
            return fail(b, errno, error);
    }
    return store_file_sync_folder(b->target, error);
}

enum err store_backup(const char *path, const char *target,
                      bool (*progress)(void *ctx, uint64_t done, uint64_t total), void *ctx,
                      char error[STORE_ERROR_MAX])
{
    struct backup b = {.lock = -1, .progress = progress, .ctx = ctx};
    char *name = store_file_plain_path(target);
    enum err e = store_open(path, STORE_READ, &b.source, error);

    b.target = name;
    b.part = store_file_beside(name, ".part");
    if (!e)
        e = open_part(&b, error);
    if (!e)
        e = copy_pages(&b, error);
    if (!e)
        e = mark_copy(&b, error);
    if (!e)
        e = name_copy(&b, error);
    close_copy(&b);
    if (b.lock >= 0) {
        remove_beside(&b);
        unlink(b.part);
        close(b.lock);
    }
    store_close(b.source);
    free(b.part);
    free(name);
    return e;
}
