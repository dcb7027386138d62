/*
 * core_reading: a page of one symbol's records while it is read from the ring, in slices.
 *
 * A record has the position of the symbol's previous record (prev), not of the next one.  The
 * newest records are therefore found along prev.  The oldest are found in the same way if the chain
 * is short enough; otherwise the reader scans every entry from the lowest position up.  Both ways
 * look at CORE_PAGE_SCAN entries at most.  Between two slices the ring may lose its oldest entries:
 * then `low` rises. No I/O, no clock; the broker's loop only.
 */
#ifndef BROKER_CORE_CORE_READING_H
#define BROKER_CORE_CORE_READING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/log/journal.h"
#include "broker/log/store.h"
#include "shared/wire/wire.h"

#define CORE_PAGE_ENTRIES 2000 /* of a snapshot, replay or history answer */
#define CORE_PAGE_BYTES (256 * 1024)
#define CORE_PAGE_SCAN 20000 /* entries looked at for one page, in several turns */

enum core_reading_phase {
    READING_DONE,
    READING_FIND,      /* newest first: along prev to the first that is not above `high`; */
    READING_SCAN_DOWN, /* too long a way: entry by entry from `high` down */
    READING_DOWN,      /* found: along prev */
    READING_WALK,      /* oldest first: along prev to `low`, collecting positions */
    READING_PUT,       /* pack the positions that were collected */
    READING_SCAN_UP,   /* too long a way: entry by entry from `low` up */
};

struct core_reading {
    const struct journal *journal;
    struct store_query query; /* limit is 1 to CORE_PAGE_ENTRIES */
    uint64_t low, high;       /* positions above low, up to and with high */
    /* Part of the range could not be read: `low` was raised after the read began. */
    bool is_cut;
    uint64_t covered;       /* newest first: everything from here up has been read; 0: nothing */
    struct store_page page; /* the records read so far; `next` as in the store's pages */
    /* an entry that may be of this symbol, and a gap in the page; 0: none */
    uint64_t damaged;
    /* private */
    enum core_reading_phase phase;
    char topic[WIRE_TOPIC_MAX];
    size_t topic_len;
    uint64_t steps; /* entries that may still be looked at */
    uint64_t seq;
    uint64_t *found; /* a ring of the `limit` positions found last */
    uint64_t count, put;
};

/* journal, query, low, high and the page's gaps are set; last: the symbol's last position. */
void core_reading_begin(struct core_reading *r, struct span symbol, uint64_t last);
/* Go on until *work is used up.  true: the page is ready. */
bool core_reading_step(struct core_reading *r, int64_t *work);
void core_reading_end(struct core_reading *r);

#endif
