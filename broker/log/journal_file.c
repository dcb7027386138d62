#include "broker/log/journal_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/base/mem.h"

#define PATH_SHOWN 110
#define TRIES 100

/* A file is read by the broker that comes next, which may be of another build. */
_Static_assert(sizeof(struct journal_feed) == 160, "the layout has a version");
_Static_assert(offsetof(struct journal_layout, tail) == 128, "the layout has a version");
_Static_assert(offsetof(struct journal_layout, feeds) == 384, "the layout has a version");
_Static_assert(sizeof(struct journal_layout) == 384 + JOURNAL_FEEDS * 160,
               "the layout has a version");
_Static_assert(offsetof(struct journal_layout, ring) == sizeof(struct journal_layout),
               "nothing of the ring is in the size");

struct start {
    uint64_t magic, version, ring_size, pid;
};

void journal_file_error(char error[JOURNAL_ERROR_MAX], const char *path, const char *format, ...)
{
    size_t len = strlen(path);
    bool is_long = len > PATH_SHOWN;
    char what[JOURNAL_ERROR_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    snprintf(error, JOURNAL_ERROR_MAX, "%s%.*s: %.*s", is_long ? "…" : "", PATH_SHOWN,
             is_long ? path + len - PATH_SHOWN : path, JOURNAL_ERROR_MAX - PATH_SHOWN - 6, what);
}

/* Write an error text for errno: the path, the error, and what to do. */
static enum err explain(char *error, const char *path, size_t size)
{
    enum err e = ERR_SYS;

    switch (errno) {
    case EACCES:
    case EPERM:
        journal_file_error(error, path,
                           "permission denied: the broker's user must be able to write "
                           "it, and to make files in its folder");
        break;
    case EROFS:
        journal_file_error(error, path, "its file system is read-only: give a path on another one");
        break;
    case ENOENT:
    case ENOTDIR:
        journal_file_error(error, path, "its folder does not exist: make it first");
        e = ERR_NOT_FOUND;
        break;
    case EISDIR:
        journal_file_error(error, path, "is a folder: give the path of a file in it");
        break;
    case ENOSPC:
    case EDQUOT:
        journal_file_error(error, path,
                           "no space for its %zu bytes (%s): make some, give a path on "
                           "another file system, or set a smaller JOURNAL_BYTES",
                           size, strerror(errno));
        e = ERR_FULL;
        break;
    case EFBIG:
        journal_file_error(error, path,
                           "a file of %zu bytes is too large here: raise the limit "
                           "(ulimit -f), or set a smaller JOURNAL_BYTES",
                           size);
        e = ERR_FULL;
        break;
    case ENOMEM:
        journal_file_error(error, path,
                           "no memory to map its %zu bytes: raise the limit (ulimit -v), "
                           "or set a smaller JOURNAL_BYTES",
                           size);
        break;
    default:
        journal_file_error(error, path, "cannot be used: %s", strerror(errno));
    }
    return e;
}

void journal_file_boot(char out[static JOURNAL_FILE_BOOT_MAX])
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? 0 : read(fd, out, JOURNAL_FILE_BOOT_MAX - 1);

    out[len > 0 ? len : 0] = '\0';
    out[strcspn(out, "\n")] = '\0';
    if (fd >= 0)
        close(fd);
}

static bool is_still_named(int fd, const char *path)
{
    struct stat ours, named;

    return !fstat(fd, &ours) && !stat(path, &named) && ours.st_dev == named.st_dev &&
           ours.st_ino == named.st_ino;
}

static enum err lock(int fd, const char *path, char *error)
{
    struct start start = {0};

    if (!flock(fd, LOCK_EX | LOCK_NB))
        return OK;
    if (errno != EWOULDBLOCK)
        return explain(error, path, 0);
    if (pread(fd, &start, sizeof start, 0) == sizeof start && start.magic == JOURNAL_FILE_MAGIC &&
        start.pid)
        journal_file_error(error, path,
                           "is in use by another broker (pid %llu): stop that one, or "
                           "give another path",
                           (unsigned long long)start.pid);
    else
        journal_file_error(error, path,
                           "is in use by another process: stop that one, or give another "
                           "path");
    return ERR_HELD;
}

/* Zeros of that size, their place on disk taken. */
static enum err allocate(int fd, size_t size, const char *path, char *error)
{
    uint64_t wanted = size;
    struct rlimit limit;

    /* Above it the kernel would send SIGXFSZ, which ends the process without a log line. */
    if (wanted > INT64_MAX || (!getrlimit(RLIMIT_FSIZE, &limit) && limit.rlim_cur < size)) {
        errno = EFBIG;
        return explain(error, path, size);
    }
    if (ftruncate(fd, 0))
        return explain(error, path, size);
    do
        errno = posix_fallocate(fd, 0, (off_t)size);
    while (errno == EINTR);
    return errno ? explain(error, path, size) : OK;
}

static enum err map(struct journal_file *f, const char *path, char *error)
{
    int flags = f->fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
    void *at = mmap(NULL, f->size, PROT_READ | PROT_WRITE, flags, f->fd, 0);

    if (at == MAP_FAILED)
        return explain(error, path, f->size);
    f->map = at;
    return OK;
}

enum err journal_file_sync(struct journal_file *f, bool is_all)
{
    if (f->fd < 0)
        return OK;
    return msync(f->map, is_all ? f->size : sizeof *f->map, MS_SYNC) ? ERR_SYS : OK;
}

void journal_file_close(struct journal_file *f)
{
    if (f->map)
        munmap(f->map, f->size);
    if (f->fd >= 0)
        close(f->fd);
    free(f->path);
    *f = (struct journal_file){.fd = -1};
}

/* The name itself must be on disk; a file system that cannot do that does it anyway. */
static void sync_folder(const char *path)
{
    char *folder = mem_strdup(path), *slash = strrchr(folder, '/');
    int fd;

    if (slash)
        slash[slash == folder] = '\0';
    fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)!fsync(fd);
        close(fd);
    }
    free(folder);
}

static char *name_while_made(const char *path)
{
    size_t size = strlen(path) + sizeof ".pregon-new";
    char *name = mem_alloc(size);

    snprintf(name, size, "%s.pregon-new", path);
    return name;
}

static void lay_out(struct journal_file *f, const struct journal_layout *old, size_t ring_size,
                    uint64_t next)
{
    struct journal_layout *m = f->map;

    if (old)
        memcpy(m, old, sizeof *m);
    m->magic = JOURNAL_FILE_MAGIC;
    m->version = JOURNAL_FILE_VERSION;
    m->ring_size = ring_size;
    m->pid = (uint64_t)getpid();
    m->begin_next = next;
    m->tail = m->head = 0;
    m->last = next - 1;
}

/*
 * Make a complete, locked file and give it the name `path`.  Without `old` the name must be free:
 * ERR_AGAIN if another process took it first.
 */
static enum err make(struct journal_file *out, const char *path, size_t ring_size,
                     const struct journal_layout *old, uint64_t next, char *error)
{
    struct journal_file f = {.size = sizeof(struct journal_layout) + ring_size};
    char *name = name_while_made(path);
    enum err e;

    f.fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0640);
    if (f.fd < 0) {
        e = explain(error, path, f.size);
        goto done;
    }
    e = lock(f.fd, path, error);
    if (e)
        goto done;
    /* The previous holder of the lock may have just renamed the file. */
    if (!is_still_named(f.fd, name)) {
        e = ERR_AGAIN;
        goto done;
    }
    if (!old && !access(path, F_OK))
        e = ERR_AGAIN;
    if (!e)
        e = allocate(f.fd, f.size, path, error);
    if (!e)
        e = map(&f, path, error);
    if (!e) {
        lay_out(&f, old, ring_size, next);
        if (fsync(f.fd) || rename(name, path))
            e = explain(error, path, f.size);
    }
    if (e)
        unlink(name);
    else
        sync_folder(path);
done:
    free(name);
    if (e) {
        journal_file_close(&f);
        return e;
    }
    *out = f;
    return OK;
}

static enum err check_start(int fd, size_t size, const char *path, char *error)
{
    struct start start = {0};
    size_t head = sizeof(struct journal_layout);

    if (pread(fd, &start, sizeof start, 0) < 0)
        return explain(error, path, size);
    if (start.magic != JOURNAL_FILE_MAGIC || !start.version) {
        journal_file_error(error, path,
                           "is not a journal of pregon-broker on this kind of machine: "
                           "give another path, or remove it if it is not needed");
        return ERR_MALFORMED;
    }
    if (start.version > JOURNAL_FILE_VERSION) {
        journal_file_error(error, path,
                           "is of a newer pregon-broker (format %llu, known is %d): run "
                           "that one, or give another path",
                           (unsigned long long)start.version, JOURNAL_FILE_VERSION);
        return ERR_VERSION;
    }
    if (size < head || start.ring_size != size - head || start.ring_size < JOURNAL_BYTES_MIN) {
        journal_file_error(error, path,
                           "has %zu bytes instead of %llu: restore it, or move it away and lose "
                           "what is not stored",
                           size, (unsigned long long)(head + start.ring_size));
        return ERR_MALFORMED;
    }
    return OK;
}

/* Open an existing file.  ERR_NOT_FOUND, ERR_AGAIN: another process replaced it meanwhile. */
static enum err adopt(struct journal_file *out, const char *path, char *error)
{
    struct journal_file f = {.fd = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)};
    struct stat status;
    enum err e;

    if (f.fd < 0 && errno == ENOENT)
        return ERR_NOT_FOUND;
    if (f.fd < 0 || fstat(f.fd, &status)) {
        e = explain(error, path, 0);
        goto done;
    }
    if (!S_ISREG(status.st_mode)) {
        journal_file_error(error, path, "is not a regular file: give another path");
        e = ERR_MALFORMED;
        goto done;
    }
    e = lock(f.fd, path, error);
    if (e)
        goto done;
    if (!is_still_named(f.fd, path)) {
        e = ERR_AGAIN;
        goto done;
    }
    f.size = (size_t)status.st_size;
    e = check_start(f.fd, f.size, path, error);
    if (e)
        goto done;
    /* A copy may have holes: a store into one on a full disk would be a SIGBUS. */
    if (fallocate(f.fd, 0, 0, (off_t)f.size) && errno != EOPNOTSUPP) {
        e = explain(error, path, f.size);
        goto done;
    }
    e = map(&f, path, error);
done:
    if (e) {
        journal_file_close(&f);
        return e;
    }
    *out = f;
    return OK;
}

static enum err make_anonymous(struct journal_file *out, size_t ring_size,
                               const struct journal_layout *old, uint64_t next, char *error)
{
    struct journal_file f = {.size = sizeof(struct journal_layout) + ring_size, .fd = -1};
    enum err e = map(&f, "journal in memory", error);

    if (e)
        return e;
    lay_out(&f, old, ring_size, next);
    *out = f;
    return OK;
}

enum err journal_file_open(struct journal_file *out, const char *path, size_t ring_size,
                           char error[JOURNAL_ERROR_MAX])
{
    enum err e = ERR_AGAIN;

    if (!path)
        return make_anonymous(out, ring_size, NULL, 1, error);
    journal_file_error(error, path, "is being replaced all the time");
    for (int i = 0; e == ERR_AGAIN && i < TRIES; i++) {
        e = adopt(out, path, error);
        if (e == ERR_NOT_FOUND)
            e = make(out, path, ring_size, NULL, 1, error);
    }
    if (e)
        return e;
    /* The name that a later resize replaces: neither a link nor a relative path. */
    out->path = realpath(path, NULL);
    if (!out->path)
        out->path = mem_strdup(path);
    return OK;
}

enum err journal_file_resize(struct journal_file *f, size_t ring_size, uint64_t next,
                             char error[JOURNAL_ERROR_MAX])
{
    struct journal_file made;
    enum err e = f->fd < 0 ? make_anonymous(&made, ring_size, f->map, next, error)
                           : make(&made, f->path, ring_size, f->map, next, error);

    if (e == ERR_AGAIN) {
        journal_file_error(error, f->path, "is being replaced by another process");
        e = ERR_HELD;
    }
    if (e)
        return e;
    made.path = f->path;
    f->path = NULL;
    journal_file_close(f);
    *f = made;
    return OK;
}
