/*
 * store: the log on disk: one SQLite file, which an operator can also read (`sqlite3 FILE
 * .schema`).
 *
 * It has every published record by its position, the last value of every symbol, the feeds, the
 * epochs of the log and the positions that could not be stored. Writing is one transaction per
 * batch, all or nothing.  Committed batches survive the death of the process; when the power fails,
 * those since the last checkpoint may be missing at the end, never in the middle.
 *
 * One handle is one connection and belongs to one thread at a time; any number of readers may
 * be open beside the one writer.  Reads no clock.  A failure comes with one sentence for
 * the operator: which file, what is wrong, what to do.
 *
 * Beside FILE there are FILE-wal and FILE-shm (SQLite's, part of the store while it is
 * open) and FILE-lock (the number of the process that writes it).  All of them are beside the file
 * itself, not beside a symbolic link to it.
 */
#ifndef BROKER_LOG_STORE_H
#define BROKER_LOG_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/log/store_batch.h"
#include "broker/sqlite/store_error.h"
#include "shared/base/buf.h"
#include "shared/base/err.h"
#include "shared/wire/wire.h"

#define STORE_PAGE_GAPS 64 /* gaps of one page; with more, the page ends before */

struct store;

enum store_mode {
    STORE_WRITE, /* creates a missing file; one writer at a time */
    STORE_READ,  /* changes nothing; the file must be there */
};

/*
 * ERR_HELD: another broker writes it.  ERR_VERSION: made by a newer version.  ERR_MALFORMED: not a
 * store, or too damaged to write to.  ERR_NOT_FOUND: no such directory, or (STORE_READ) no such
 * file.  ERR_FULL: the disk.  ERR_SYS: permission and the like.
 */
MUST_CHECK enum err store_open(const char *path, enum store_mode mode, struct store **out,
                               char error[STORE_ERROR_MAX]);
/*
 * A damaged page that was found when the store was opened, in a part that is not needed to
 * continue: reads report what is lost.  0: none.  The whole file is checked only if it is small and
 * was not closed.
 */
uint64_t store_damaged_page(const struct store *s);
/* A writer moves everything from FILE-wal into FILE first, if it can. */
void store_close(struct store *s);

struct store_state {
    uint64_t store_id; /* random, never 0; new when a copy begins its own epoch */
    uint64_t epoch;    /* epoch of the log; 0: none yet, call store_begin_epoch */
    uint64_t epoch_first;
    uint64_t first;     /* oldest position kept, as record or gap; head+1: nothing */
    uint64_t head;      /* last position stored or recorded as gap, 0: none */
    uint64_t last_loss; /* position of the last WIRE_LOST record, 0: none yet */
    uint64_t newest_us; /* when the newest record was accepted, 0: there is none */
    bool is_copy;       /* made by store_backup: begin a new epoch */
};

/* As committed now. */
MUST_CHECK enum err store_state(struct store *s, struct store_state *out,
                                char error[STORE_ERROR_MAX]);

/*
 * Positions from first_seq on belong to `epoch`.  first_seq is above the head (else ERR_INVALID),
 * and the head becomes first_seq-1.  An epoch without positions is replaced.  A copy of a store
 * becomes a separate store.
 */
MUST_CHECK enum err store_begin_epoch(struct store *s, uint64_t epoch, uint64_t first_seq,
                                      const char *reason, uint64_t wall_us,
                                      char error[STORE_ERROR_MAX]);

/* Spans are valid during the call only. */
struct store_last {
    struct span symbol;
    uint64_t seq; /* position of the last record of any kind */
    bool is_stale, is_removed;
    struct span feed;         /* the feed of its last quote; .len 0: unknown */
    struct span record;       /* the last quote, exactly frame 2; .len 0: none */
    struct wire_record quote; /* the same, read */
};
struct store_feed {
    struct span name, owner;
    uint64_t epoch, received;
    bool has_left; /* it announced its end */
};

/* Calls `take` in the order in which the symbols (feeds) first appeared. */
MUST_CHECK enum err store_each_last(struct store *s,
                                    void (*take)(void *ctx, const struct store_last *), void *ctx,
                                    char error[STORE_ERROR_MAX]);
MUST_CHECK enum err store_each_feed(struct store *s,
                                    void (*take)(void *ctx, const struct store_feed *), void *ctx,
                                    char error[STORE_ERROR_MAX]);

/*
 * The newest records of kind WIRE_KEY, as far as the log still has them, the oldest first: at most
 * `max`, and none that is older than one of which is_young is false.  Where the chain of keys is
 * broken (positions that the disk did not store, or damage), the next older key is searched for
 * among STORE_KEY_SCAN positions in all.
 */
#define STORE_KEY_SCAN ((uint64_t)1 << 20)
MUST_CHECK enum err store_each_key(struct store *s, size_t max,
                                   bool (*is_young)(void *ctx, const struct wire_record *r),
                                   void (*take)(void *ctx, const struct wire_record *r), void *ctx,
                                   char error[STORE_ERROR_MAX]);

/*
 * One transaction.  ERR_INVALID: the batch does not begin at head+1, or no epoch has begun.
 * ERR_FULL: the disk.  ERR_MALFORMED: the file is damaged.  ERR_AGAIN: interrupted.
 * ERR_HELD: another program locks it.  ERR_NOT_FOUND: the file was moved or deleted.
 * After any error nothing of it is stored and the same batch may be tried again.
 */
MUST_CHECK enum err store_write(struct store *s, const struct store_batch *b,
                                char error[STORE_ERROR_MAX]);

/*
 * Move what was committed from FILE-wal into FILE if there are more than `over_bytes` of it.
 * Without this call the store is still correct, but FILE-wal grows.
 */
MUST_CHECK enum err store_checkpoint(struct store *s, size_t over_bytes,
                                     char error[STORE_ERROR_MAX]);

/*
 * Delete the oldest records, at most max_rows (so that it never takes long), as far as they lie
 * max_count positions behind the head (0: no limit) or were accepted before older_than_us (0:
 * none). The record at the head and the last values stay.  *removed < max_rows: nothing more to
 * delete for now.
 */
MUST_CHECK enum err store_prune(struct store *s, uint64_t max_count, uint64_t older_than_us,
                                uint64_t max_rows, uint64_t *removed, char error[STORE_ERROR_MAX]);

/* Stop what another thread is doing with this handle; it returns ERR_AGAIN. */
void store_interrupt(struct store *s);

/* A query.  Zeroed: everything, from the oldest record on. */
struct store_query {
    struct span patterns; /* as quote_patterns_match expects; history: one symbol */
    uint64_t after;       /* positions above this; newest first: 0 is no bound */
    uint64_t before;      /* history only: positions below this; 0: no bound */
    uint64_t until;       /* replay only: up to and with this; 0: the head */
    uint64_t since_us;    /* history only: accepted then or later */
    uint64_t until_us;    /* history only: accepted before this; 0: no bound */
    uint64_t limit;       /* records, 0: as many as max_bytes allows */
    uint64_t max_bytes;   /* the page ends at this size, 0: 256 KiB */
    uint64_t max_scan;    /* rows looked at, 0: 200000 */
    bool newest_first;    /* history only */
};

/*
 * The reason of a gap that the table of gaps does not have: the file is damaged there.  The gap has
 * exactly the unreadable positions; all others are in the page.
 */
#define STORE_GAP_DAMAGED "damaged"

struct store_gap {
    uint64_t first, last;
    char reason[64];
};

struct store_page {
    struct buf records; /* `count` times [topic, frame 2 as bin] in msgpack */
    uint64_t count;
    uint64_t first, head; /* of the store, when the page was read */
    /*
     * Replay: the page has all matching records from `after` up to this position, except pruned
     * ones and gaps; the next page begins after it.
     */
    uint64_t upto;
    /* History: go on with this as `after`, or (newest first) as `before`; 0: that was all. */
    uint64_t next;
    /* gaps in the range of the page; there is room for one more of the caller's */
    struct store_gap gaps[STORE_PAGE_GAPS + 1];
    size_t gap_count;
    /*
     * A read met damage, possibly without a loss; the number of the first damaged page, 0: unknown.
     */
    bool is_damaged;
    uint64_t damaged_page;
};

/*
 * Records in ascending order; losses concern every receiver and are always among them.  For up to
 * 32 exact symbols, rows of other symbols are not read.  Damage is not an error: unreadable
 * positions are a gap (STORE_GAP_DAMAGED), and every page advances by at least one position.
 */
MUST_CHECK enum err store_replay(struct store *s, const struct store_query *query,
                                 struct store_page *out, char error[STORE_ERROR_MAX]);

/* The records of one symbol (any kind), without losses.  An unknown symbol has none. */
MUST_CHECK enum err store_history(struct store *s, const struct store_query *query,
                                  struct store_page *out, char error[STORE_ERROR_MAX]);

void store_page_clear(struct store_page *p); /* frees; a zeroed page is an empty one */

#endif
