/*
 * journal_file: the file of a journal: found or made, locked, mapped, replaced.
 *
 * It is a struct journal_layout and the ring behind it, in this machine's byte order.  A file gets
 * its name only when it is complete (made as NAME.pregon-new, then renamed), so that a partial
 * journal never exists.  The lock (flock) ends with the process. This is the only part of the
 * journal that does I/O; appending a record does none.
 */
#ifndef BROKER_LOG_JOURNAL_FILE_H
#define BROKER_LOG_JOURNAL_FILE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/log/journal.h"
#include "shared/base/err.h"

#define JOURNAL_FILE_MAGIC 0x6c616e72756f6a70u /* "pjournal"; the value also shows the byte order */
#define JOURNAL_FILE_BOOT_MAX 40
#define JOURNAL_FILE_VERSION 2 /* of everything below, and of the entries; 1 can be read */

_Static_assert(offsetof(struct journal_feed, epoch) == 136 && sizeof(struct journal_feed) == 160,
               "the layout has a version");

/* The first 32 bytes are the same in every version. */
struct journal_layout {
    uint64_t magic;
    uint64_t version;
    uint64_t ring_size;
    uint64_t pid; /* of the process that has it open */
    char boot[JOURNAL_FILE_BOOT_MAX];
    uint64_t epoch, store_id;
    uint64_t begin_next;       /* position of the first entry since journal_begin */
    _Atomic uint64_t is_begun; /* 0: the other members are not valid yet */
    _Atomic uint64_t is_clean;
    _Atomic uint64_t stored;
    /*
     * Bytes [tail, head) hold entries; both only grow, the place in the ring is the
     * remainder.  One store to tail drops the oldest, one store to head adds an entry.
     */
    _Alignas(64) _Atomic uint64_t tail;
    _Atomic uint64_t head;
    uint64_t last; /* last position given, or about to be given; not in format 1 */
    /* Index+1 of the slot that is being written; open then completes the write. */
    _Alignas(64) _Atomic uint64_t changing;
    struct journal_feed change;
    _Alignas(64) struct journal_feed feeds[JOURNAL_FEEDS];
    _Alignas(64) char ring[];
};

struct journal_file {
    struct journal_layout *map;
    size_t size;
    int fd;     /* -1: anonymous memory */
    char *path; /* resolved; NULL: anonymous memory */
};

/*
 * Open, or make with a ring of `ring_size`.  Checks size, magic and version, not the values of the
 * other fields.  path NULL: anonymous memory.
 */
MUST_CHECK enum err journal_file_open(struct journal_file *out, const char *path, size_t ring_size,
                                      char error[JOURNAL_ERROR_MAX]);
/* Another ring, empty; what begins at `next`.  The rest of the layout is kept. */
MUST_CHECK enum err journal_file_resize(struct journal_file *f, size_t ring_size, uint64_t next,
                                        char error[JOURNAL_ERROR_MAX]);
void journal_file_close(struct journal_file *f);

/* Sync to disk: everything, or only the part before the ring. */
MUST_CHECK enum err journal_file_sync(struct journal_file *f, bool is_all);

/* The boot id of the running kernel; "" if it is unknown. */
void journal_file_boot(char out[static JOURNAL_FILE_BOOT_MAX]);

/* "PATH: …" into error; a long path is cut at its front. */
void journal_file_error(char error[JOURNAL_ERROR_MAX], const char *path, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
