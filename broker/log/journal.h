/*
 * journal: the most recent records of the log, by position, in memory that outlives us.
 *
 * A ring of bytes of one fixed size, mapped from a file (or anonymous memory without one); what
 * no longer fits pushes the oldest records out, stored or not: nothing here ever waits.  Once
 * journal_append has returned, a `kill -9` at any instant neither loses the record nor lets its
 * position be given twice: the file is consistent between any two instructions, and there is no
 * system call per record.  That is a promise about the process, not about the machine: nothing
 * is synced but at open, begin, resize and a clean close, so after the power went (is_same_boot
 * false, is_clean false) the ring may be of any age.
 *
 * Every entry has a checksum, and so has every feed's slot: what the disk, or another program,
 * changed is found when it is read, and costs the positions that were changed and no others.
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
 * The least a ring may have: then the newest record is never pushed out by the one that
 * follows, even if that leaves room at the end and begins again at the start.  So a ring
 * once written is never empty, and always knows what position comes next.
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
 * A feed, in the file.  name "" is a free slot.  `received` is the caller's to store
 * to after an append, without care: at open it is raised to the largest line of the
 * feed's entries.  The others change through journal_set_feed, all at once.
 */
struct journal_feed {
    char name[65], owner[65];
    uint8_t has_left; /* 1: the owner sent a goodbye; where older versions left padding */
    uint8_t unused;   /* so that no padding, which may hold anything, is in `sum` */
    uint32_t sum;     /* ours: of all but `received` and `unused` */
    uint64_t epoch;   /* fencing token of the last grant */
    uint64_t received;
    uint64_t since; /* ours: position from which entries count for `received` */
};

/*
 * What open found.  journal_begin changes the numbers and leaves the rest.
 * Trustworthy is a ring that is_clean or is_same_boot.  From any other the newest records may be
 * missing and the bytes of a record may be old ones: check with wire_read before
 * believing, and begin a new log, journal_append insists on it.
 */
struct journal_identity {
    uint64_t epoch; /* of the log */
    uint64_t store_id;
    uint64_t stored;   /* everything up to here is in the store */
    uint64_t next;     /* position; is_damaged: above all that are known, 1: none is */
    bool is_new;       /* made now, or not begun yet; then also clean and of this boot */
    bool is_clean;     /* was closed properly */
    bool is_same_boot; /* was last in use since this machine started */
    bool is_damaged; /* feeds, ends or all entries make no sense: taken as empty, begin a new log */
    bool is_old;     /* of an earlier format: to be read only, until begin or resize */
};

/*
 * path NULL: anonymous memory.  No such file: made, with a ring of `bytes`.  An existing one
 * keeps its size (see journal_size).  Whatever is not a whole journal of ours is refused
 * and left alone: ERR_MALFORMED, of a newer version ERR_VERSION, open elsewhere ERR_HELD.
 * ERR_NOT_FOUND: no such folder.  ERR_FULL: the disk.  ERR_INVALID: `bytes`.  ERR_SYS: the rest.
 * `error` then has the path, what is wrong and what to do.
 */
MUST_CHECK enum err journal_open(const char *path, size_t bytes, struct journal **out,
                                 char error[JOURNAL_ERROR_MAX]);
/*
 * is_clean: write all to disk and remember that, so that it is trustworthy also in another
 * boot, what is not stored yet included.  Frees; NULL is fine.
 */
void journal_close(struct journal *j, bool is_clean);

const struct journal_identity *journal_identity(const struct journal *j);

/*
 * A new log: the ring is emptied, all feeds are cleared, everything below `next` counts as stored.
 * A new journal must be begun before the first append.  Killed halfway, it is found is_new.
 */
void journal_begin(struct journal *j, uint64_t epoch, uint64_t store_id, uint64_t next);

/*
 * Another ring of that size (also the one it has) in the newest format, empty, with the same
 * identity, feeds and next position.  The file is replaced as a whole or not at all.
 * ERR_INVALID: not everything is stored, or `bytes` is below JOURNAL_BYTES_MIN.  On any error
 * the journal goes on as it was.
 */
MUST_CHECK enum err journal_resize(struct journal *j, size_t bytes, char error[JOURNAL_ERROR_MAX]);

/*
 * Record position journal_head()+1.  Topic and record are the frames as published, of at most
 * WIRE_TOPIC_MAX and WIRE_RECORD_MAX bytes.
 */
void journal_append(struct journal *j, uint32_t feed, uint64_t line, struct span topic,
                    struct span record);

/*
 * What is appended between the two counts as a whole or not at all, should the process be killed
 * meanwhile: at most half of journal_size in all.  Publish nothing of it before journal_end_batch.
 */
void journal_begin_batch(struct journal *j);
void journal_end_batch(struct journal *j);

uint64_t journal_head(const struct journal *j);  /* last position given, 0: none */
uint64_t journal_first(const struct journal *j); /* oldest kept; head+1 if none */
size_t journal_bytes(const struct journal *j);   /* in use, of */
size_t journal_size(const struct journal *j);    /* as many; what open or resize got */

/*
 * ERR_NOT_FOUND: older than journal_first() or beyond the head.  ERR_MALFORMED: this entry is
 * damaged; those beside it may be well.
 */
MUST_CHECK enum err journal_read(const struct journal *j, uint64_t seq, struct journal_entry *out);

uint64_t journal_stored(const struct journal *j);
/* Only upwards, and to the head at most: what is beyond it counts as the head. */
void journal_set_stored(struct journal *j, uint64_t seq);

/* The slot, index < JOURNAL_FEEDS.  The pointer is good until resize or close. */
struct journal_feed *journal_feed(struct journal *j, uint32_t index);
/*
 * A grant: name, owner, epoch and received change together or not at all.  From here
 * on only entries that follow raise `received` (so another owner may start lower).
 */
void journal_set_feed(struct journal *j, uint32_t index, const struct journal_feed *value);

#endif
