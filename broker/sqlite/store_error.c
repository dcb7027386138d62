#include "broker/sqlite/store_error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void write_error(char error[STORE_ERROR_MAX], const char *path, const char *doing,
                        const char *what, const char *advice)
{
    snprintf(error, STORE_ERROR_MAX, "store %s: cannot %s: %s; %s", path, doing, what, advice);
}

enum err store_error_system(const char *path, int error_number, const char *doing,
                            char error[STORE_ERROR_MAX])
{
    char what[128];
    const char *advice = "look at the disk and the system's log";
    enum err e = ERR_SYS;

    /* GNU's strerror_r: safe in any thread. */
    const char *text = strerror_r(error_number, what, sizeof what);

    switch (error_number) {
    case ENOENT:
    case ENOTDIR:
        advice = "make the directory or correct the path";
        e = ERR_NOT_FOUND;
        break;
    case EACCES:
    case EPERM:
        advice = "give this user write permission to the file and its directory";
        break;
    case EROFS:
        advice = "mount the file system for writing or choose another path";
        break;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        advice = "make room on the disk (or raise the limit on file sizes)";
        e = ERR_FULL;
        break;
    case EISDIR:
        advice = "name a file, not a directory";
        break;
    case EMFILE:
    case ENFILE:
        advice = "raise the limit of open files";
        break;
    default:
        break;
    }
    write_error(error, path, doing, text, advice);
    return e;
}

enum err store_error_thread(const char *path, int error_number, char error[STORE_ERROR_MAX])
{
    snprintf(error, STORE_ERROR_MAX,
             "store %s: no thread can be started (errno %d); raise the limit of "
             "processes",
             path, error_number);
    return ERR_SYS;
}

enum err store_error_sqlite(const char *path, sqlite3 *db, int rc, const char *doing,
                            char error[STORE_ERROR_MAX])
{
    int error_number = errno;
    /* A rollback in between may have replaced the more precise error. */
    const char *message =
        db && sqlite3_errcode(db) == (rc & 0xFF) ? sqlite3_errmsg(db) : sqlite3_errstr(rc);
    char what[256];

    switch (rc & 0xFF) {
    case SQLITE_FULL:
        return store_error_system(path, ENOSPC, doing, error);
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
        if (error_number)
            return store_error_system(path, error_number, doing, error);
        write_error(error, path, doing, message, "look at the disk and the system's log");
        return ERR_SYS;
    case SQLITE_READONLY:
        write_error(error, path, doing, "the file or its file system is read-only",
                    "give this user write permission to the file and its directory");
        return ERR_SYS;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        write_error(error, path, doing, "another program holds a lock on it",
                    "end the other program (an open sqlite3 transaction?)");
        return ERR_HELD;
    case SQLITE_INTERRUPT:
    case SQLITE_ABORT:
        write_error(error, path, doing, "it was interrupted", "try again");
        return ERR_AGAIN;
    case SQLITE_NOTADB:
        write_error(error, path, doing, "it is not a SQLite file",
                    "correct the path or move the file away");
        return ERR_MALFORMED;
    default:
        snprintf(what, sizeof what, "it is damaged (%s)", message);
        write_error(error, path, doing, what,
                    "put a backup in its place, or move it away to begin anew");
        return ERR_MALFORMED;
    }
}

bool store_error_is_damage(int rc)
{
    switch (rc & 0xFF) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return true;
    case SQLITE_IOERR:
        return rc == SQLITE_IOERR_READ || rc == SQLITE_IOERR_SHORT_READ ||
               rc == SQLITE_IOERR_CORRUPTFS || rc == SQLITE_IOERR_DATA;
    default:
        return false;
    }
}
