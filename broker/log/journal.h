/*
 * journal: the most recent records of the log, by position, in memory that outlives the process.
 *
 * A ring of bytes of a fixed size, mapped from a file (or anonymous memory without a file).  A new
 * record overwrites the oldest ones, stored or not: the journal never waits.  Once journal_append
 * has returned, a `kill -9` at any instant neither loses the record nor lets its position be given
 * twice: the file is consistent between any two instructions, and there is no system call per
 * record.  That is a promise about the process, not about the machine: it syncs only at open,
 * begin, resize and a clean close, so after a power failure (is_same_boot false, is_clean false)
 * the content of the ring may have any age.
 *
 * Every entry has a checksum, and so has every feed's slot: a change by the disk or by another
 * program is detected when the entry is read, and only the changed positions are lost.
 *
 * Positions are dense, so a record is found by its position at once.  The bytes a caller gets
 * point into the ring and stay valid until the next append, begin or resize.  Owned by the
 * broker's loop; reads no clock.  journal_file.h has the file.
 */
#ifndef BROKER_LOG_JOURNAL_H
#define BROKER_LOG_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/buf.h"
#include "shared/base/err.h"
#include "shared/wire/wire.h"

#define JOURNAL_ERROR_MAX 256
#define JOURNAL_FEEDS 1024
#define JOURNAL_NO_FEED UINT32_MAX
#define JOURNAL_POSITION_MAX ((uint64_t)1 << 62) /* one beyond it can only be damage */
#define JOURNAL_ENTRY_MAX (40 + WIRE_TOPIC_MAX + WIRE_RECORD_MAX)
/*
 * The minimum size of a ring.  With this size a new record never overwrites the newest one, even if
 * it does not fit at the end and wraps to the start.  A ring that was written once is therefore
 * never empty and always has the next position.
 */
#define JOURNAL_BYTES_MIN ((size_t)3 * JOURNAL_ENTRY_MAX)

struct journal;

struct journal_entry {
    uint64_t seq;
    uint32_t feed; /* its slot, or JOURNAL_NO_FEED */
    uint64_t line; /* the feeder's line number, 0: none */
    struct span topic, record;
};

/*
 * A feed, in the file.  name "" is a free slot.  The caller may store `received` directly after an
 * append, without a checksum: open raises it to the largest line of the feed's entries.  The other
 * members change together, through journal_set_feed.
 */
struct journal_feed {
    char name[65], owner[65];
    uint8_t has_left; /* 1: the owner sent a goodbye; where older versions left padding */
    uint8_t unused;   /* so that no padding, which may hold anything, is in `sum` */
    /* used by the journal: checksum of all members except `received` and `unused` */
    uint32_t sum;
    uint64_t epoch; /* fencing token of the last grant */
    uint64_t received;
    uint64_t since; /* used by the journal: entries from this position on count for `received` */
};

/*
 * The state that open found.  journal_begin changes the numbers and leaves the rest. A ring with
 * is_clean or is_same_boot can be trusted.  In any other ring the newest records may be missing and
 * the bytes of a record may be old: check records with wire_read, and begin a new log;
 * journal_append requires it.
 */
struct journal_identity {
    uint64_t epoch; /* of the log */
    uint64_t store_id;
    uint64_t stored;   /* everything up to here is in the store */
    uint64_t next;     /* next position; with is_damaged: above all known ones, 1: none is known */
    bool is_new;       /* just made, or not begun yet; then is_clean and is_same_boot are set too */
    bool is_clean;     /* was closed properly */
    bool is_same_boot; /* was last in use since this machine started */
    bool is_damaged; /* feeds, ends or all entries make no sense: taken as empty, begin a new log */
    bool is_old;     /* of an earlier format: to be read only, until begin or resize */
};

/*
 * path NULL: anonymous memory.  A missing file is created, with a ring of `bytes`.  An existing
 * file keeps its size (see journal_size).  A file that is not a complete journal is refused and not
 * changed: ERR_MALFORMED; of a newer version: ERR_VERSION; open in another process: ERR_HELD.
 * ERR_NOT_FOUND: no such folder.  ERR_FULL: the disk.  ERR_INVALID: `bytes`.  ERR_SYS: the rest.
 * `error` then has the path, what is wrong and what to do.
 */
MUST_CHECK enum err journal_open(const char *path, size_t bytes, struct journal **out,
                                 char error[JOURNAL_ERROR_MAX]);
/*
 * is_clean: write everything to disk and mark the file clean, so that the next boot can trust it,
 * including records that are not stored yet.  Frees; NULL is fine.
 */
void journal_close(struct journal *j, bool is_clean);

const struct journal_identity *journal_identity(const struct journal *j);

/*
 * Begin a new log: the ring is emptied, all feeds are cleared, and everything below `next` counts
 * as stored. Call it on a new journal before the first append.  After a kill in the middle, open
 * reports is_new.
 */
void journal_begin(struct journal *j, uint64_t epoch, uint64_t store_id, uint64_t next);

/*
 * Make a new, empty ring of that size (also the current size) in the newest format, with the same
 * identity, feeds and next position.  The file is replaced completely or not at all. ERR_INVALID:
 * not everything is stored, or `bytes` is below JOURNAL_BYTES_MIN.  On any error the journal goes
 * on as it was.
 */
MUST_CHECK enum err journal_resize(struct journal *j, size_t bytes, char error[JOURNAL_ERROR_MAX]);

/*
 * Record position journal_head()+1.  Topic and record are the frames as published, of at most
 * WIRE_TOPIC_MAX and WIRE_RECORD_MAX bytes.
 */
void journal_append(struct journal *j, uint32_t feed, uint64_t line, struct span topic,
                    struct span record);

/*
 * Records appended between these two calls are valid together or not at all if the process is
 * killed; at most half of journal_size in all.  Publish none of them before journal_end_batch.
 */
void journal_begin_batch(struct journal *j);
void journal_end_batch(struct journal *j);

uint64_t journal_head(const struct journal *j); /* last position given, 0: none */
/* oldest position in the ring; head+1 if it is empty */
uint64_t journal_first(const struct journal *j);
size_t journal_bytes(const struct journal *j); /* in use, of */
size_t journal_size(const struct journal *j);  /* bytes of the ring, as set by open or resize */

/*
 * ERR_NOT_FOUND: older than journal_first() or beyond the head.  ERR_MALFORMED: this entry is
 * damaged; its neighbours may be readable.
 */
MUST_CHECK enum err journal_read(const struct journal *j, uint64_t seq, struct journal_entry *out);

uint64_t journal_stored(const struct journal *j);
/* The value only rises, and to the head at most: a higher value counts as the head. */
void journal_set_stored(struct journal *j, uint64_t seq);

/* The slot, index < JOURNAL_FEEDS.  The pointer is good until resize or close. */
struct journal_feed *journal_feed(struct journal *j, uint32_t index);
/*
 * A grant: name, owner, epoch and received change together or not at all.  Only later entries raise
 * `received` after that, so another owner may start lower.
 */
void journal_set_feed(struct journal *j, uint32_t index, const struct journal_feed *value);

#endif
