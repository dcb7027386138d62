/*
 * store_restore: replaces a store that no broker uses by a backup.
 *
 * The new store is built as FILE.restore; then files are renamed, and the old store is kept as
 * FILE.old-N.  After a kill in between, the same command can be run again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/backup/lease_backup.h"
#include "broker/backup/store_backup.h"
#include "broker/log/store_private.h"
#include "broker/log/store_schema.h"
#include "shared/base/mem.h"

#define OLD_MAX 10000 /* how many numbers N are tried for FILE.old-N */
#define COPY_BYTES ((size_t)1 << 20)

/* One of the two files of a store, and its replacement. */
struct place {
    char *path, *part;
    struct store_file_lock lock;
    bool is_there; /* it was before we locked it */
};

struct restore {
    const char *backup;
    struct place log, locks;
    sqlite3 *db; /* of log.part */
    struct store_restored *out;
};

static const char *const beside[] = {"-wal", "-shm", "-journal"};

static void remove_part(const struct place *p)
{
    for (size_t i = 0; i < sizeof beside / sizeof beside[0]; i++) {
        char *path = store_file_beside(p->part, beside[i]);

        unlink(path);
        free(path);
    }
    unlink(p->part);
}

static enum err take_place(struct place *p, char *path, char error[STORE_ERROR_MAX])
{
    bool is_unclean;
    struct stat st;
    enum err e;

    *p = (struct place){
        .path = path, .part = store_file_beside(path, ".restore"), .lock = STORE_FILE_UNLOCKED};
    e = store_file_check(path, true, &is_unclean, error);
    if (e)
        return e;
    p->is_there = !stat(path, &st) && st.st_size;
    e = store_file_lock(path, &p->lock, error);
    if (!e)
        remove_part(p);
    return e;
}

static void leave_place(struct place *p)
{
    struct stat st;

    if (!p->path)
        return;
    if (p->lock.name >= 0 && p->lock.file >= 0)
        remove_part(p);
    /* Locking made an empty one. */
    if (p->lock.file >= 0 && !p->is_there && !stat(p->path, &st) && !st.st_size)
        unlink(p->path);
    store_file_unlock(&p->lock);
    free(p->path);
    free(p->part);
}

/* --- the copy ----------------------------------------------------------------------- */

static bool is_same_file(const char *a, const char *b)
{
    struct stat x, y;

    return !stat(a, &x) && !stat(b, &y) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* A backup is one file: records that are still in a -wal file would be missing. */
static enum err check_backup(const struct restore *r, char error[STORE_ERROR_MAX])
{
    char *wal = store_file_beside(r->backup, "-wal");
    struct stat st;
    bool is_whole = stat(wal, &st) || !st.st_size;

    free(wal);
    if (stat(r->backup, &st))
        return store_error_system(r->backup, errno, "read the backup", error);
    if (is_same_file(r->backup, r->log.path)) {
        snprintf(error, STORE_ERROR_MAX, "store %s: it is the store itself; name a backup",
                 r->backup);
        return ERR_INVALID;
    }
    if (is_whole)
        return OK;
    snprintf(error, STORE_ERROR_MAX,
             "store %s: part of it is in its -wal; it is a store in use, or one that was "
             "not closed: make a backup of it with --backup",
             r->backup);
    return ERR_INVALID;
}

static enum err copy_bytes(const struct restore *r, char error[STORE_ERROR_MAX])
{
    int from = open(r->backup, O_RDONLY | O_CLOEXEC),
        to = open(r->log.part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    char *bytes = mem_alloc(COPY_BYTES);
    ssize_t got = 1, put = 0;
    enum err e = OK;

    while (from >= 0 && to >= 0 && (got = read(from, bytes, COPY_BYTES)) > 0)
        for (ssize_t at = 0; at < got; at += put) {
            put = write(to, bytes + at, (size_t)(got - at));
            if (put < 0) {
                e = store_error_system(r->log.part, errno, "write it", error);
                goto done;
            }
        }
    if (to < 0)
        e = store_error_system(r->log.part, errno, "write it", error);
    else if (from < 0 || got < 0)
        e = store_error_system(r->backup, errno, "read the backup", error);
done:
    free(bytes);
    if (from >= 0)
        close(from);
    if (to >= 0)
        close(to);
    return e;
}

/*
 * Check that the file is a log that can be read completely; the broker will begin a new epoch on
 * it.
 */
static enum err open_part(struct restore *r, char error[STORE_ERROR_MAX])
{
    uint64_t page = 0;
    enum err e;
    int rc =
        sqlite3_open_v2(r->log.part, &r->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);

    if (rc)
        return store_error_sqlite(r->log.part, r->db, rc, "open it", error);
    e = store_file_check_schema(r->backup, r->db, store_schema_log(), true, error);
    if (e)
        return e;
    rc = store_file_check_all(r->db, &page);
    if (!rc)
        rc = statement_number(r->db, "SELECT max(seq) FROM log", &r->out->head);
    if (rc)
        return store_error_sqlite(r->backup, r->db, rc, "read the backup", error);
    rc = sqlite3_exec(r->db, "UPDATE meta SET value = 1 WHERE name = 'is_copy'", NULL, NULL, NULL);
    return rc ? store_error_sqlite(r->log.part, r->db, rc, "write it", error) : OK;
}

/* Build FILE-locks from the tables of the backup. The log does not need these tables. */
static enum err take_locks(struct restore *r, char error[STORE_ERROR_MAX])
{
    uint64_t has_locks = 0, version = 0;
    enum err e;
    int rc = statement_number(r->db,
                              "SELECT count(*) FROM sqlite_master WHERE name = "
                              "'" STORE_BACKUP_LOCKS "_version'",
                              &has_locks);

    if (!rc && has_locks)
        rc = statement_number(r->db, "SELECT value FROM " STORE_BACKUP_LOCKS "_version", &version);
    if (!rc && has_locks)
        rc = statement_number(r->db, "SELECT count(*) FROM " STORE_BACKUP_LOCKS "_locks",
                              &r->out->locks);
    if (rc)
        return store_error_sqlite(r->backup, r->db, rc, "read the backup", error);
    r->out->has_locks = has_locks;
    if (!has_locks)
        return OK;
    e = lease_backup_make(r->locks.part, (int)version, r->log.part, error);
    if (e)
        return e;
    rc = sqlite3_exec(r->db,
                      "DROP TABLE " STORE_BACKUP_LOCKS "_version;"
                      "DROP TABLE " STORE_BACKUP_LOCKS "_meta;"
                      "DROP TABLE " STORE_BACKUP_LOCKS "_locks;"
                      "DROP TABLE " STORE_BACKUP_LOCKS "_lock_values",
                      NULL, NULL, NULL);
    return rc ? store_error_sqlite(r->log.part, r->db, rc, "write it", error) : OK;
}

static enum err sync_file(const char *path, char error[STORE_ERROR_MAX])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC), failure = fd < 0 || fsync(fd) ? errno : 0;

    if (fd >= 0)
        close(fd);
    return failure ? store_error_system(path, failure, "write it", error) : OK;
}

static enum err close_part(struct restore *r, char error[STORE_ERROR_MAX])
{
    int rc = sqlite3_wal_checkpoint_v2(r->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    enum err e;

    if (rc)
        return store_error_sqlite(r->log.part, r->db, rc, "write it", error);
    sqlite3_close(r->db);
    r->db = NULL;
    e = sync_file(r->log.part, error);
    return e || !r->out->has_locks ? e : sync_file(r->locks.part, error);
}

/* --- taking the place --------------------------------------------------------------- */

static char *name_old(const char *path, unsigned n, const char *suffix)
{
    char *out = mem_alloc(strlen(path) + strlen(suffix) + 24);

    sprintf(out, "%s.old-%u%s", path, n, suffix);
    return out;
}

/* Find the lowest number N that neither file uses for FILE.old-N. */
static unsigned find_old(const struct restore *r)
{
    for (unsigned n = 1; n < OLD_MAX; n++) {
        char *log = name_old(r->log.path, n, ""), *locks = name_old(r->locks.path, n, "");
        bool is_free = access(log, F_OK) && access(locks, F_OK);

        free(log);
        free(locks);
        if (is_free)
            return n;
    }
    return 0;
}

/* Move FILE-wal first: SQLite must never find it beside another FILE. */
static enum err put_aside(const struct place *p, unsigned n, char error[STORE_ERROR_MAX])
{
    static const char *const suffixes[] = {"-wal", "-shm", "-journal", ""};
    enum err e = OK;

    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0] && !e; i++) {
        char *from = store_file_beside(p->path, suffixes[i]),
             *to = name_old(p->path, n, suffixes[i]);

        if ((suffixes[i][0] || p->is_there) && rename(from, to) && errno != ENOENT)
            e = store_error_system(from, errno, "put it aside", error);
        free(from);
        free(to);
    }
    return e;
}

static enum err exchange(const struct place *p, unsigned n, char error[STORE_ERROR_MAX])
{
    enum err e = put_aside(p, n, error);

    if (!e && rename(p->part, p->path))
        e = store_error_system(p->path, errno, "put the backup in its place", error);
    if (!e)
        e = store_file_sync_folder(p->path, error);
    return e;
}

enum err store_restore(const char *backup, const char *path, struct store_restored *out,
                       char error[STORE_ERROR_MAX])
{
    char *name = store_file_plain_path(backup), *file = store_file_plain_path(path),
         *locks = store_file_beside(file, "-locks");
    struct restore r = {.backup = name, .out = out};
    enum err e = take_place(&r.log, file, error);

    *out = (struct store_restored){0};
    if (!e)
        e = take_place(&r.locks, store_file_plain_path(locks), error);
    free(locks);
    if (!e)
        e = check_backup(&r, error);
    if (!e)
        e = copy_bytes(&r, error);
    if (!e)
        e = open_part(&r, error);
    if (!e)
        e = take_locks(&r, error);
    if (!e)
        e = close_part(&r, error);
    if (!e) {
        out->old = find_old(&r);
        if (!out->old)
            e = store_error_system(r.log.path, EEXIST, "put it aside", error);
    }
    if (!e && out->has_locks)
        e = exchange(&r.locks, out->old, error);
    if (!e)
        e = exchange(&r.log, out->old, error);
    out->was_there = r.log.is_there || r.locks.is_there;
    sqlite3_close(r.db);
    leave_place(&r.locks);
    leave_place(&r.log);
    free(name);
    return e;
}
