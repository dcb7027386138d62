/*
 * core_reading: a page of one symbol's records while it is read from the ring, in slices.
 *
 * A record knows the position of the one before it (prev), not of the one that follows.  So the
 * newest are found along prev; the oldest too if that is not too long a way, else every entry is
 * looked at from the lowest position on.  At most CORE_PAGE_SCAN entries are looked at in
 * either way.  Between two slices the ring may lose its oldest entries: then `low` rises.
 * No I/O, no clock; the broker's loop only.
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
    READING_WALK,      /* oldest first: along prev to `low`, remembering; */
    READING_PUT,       /* what was remembered */
    READING_SCAN_UP,   /* too long a way: entry by entry from `low` up */
};

struct core_reading {
    const struct journal *journal;
    struct store_query query; /* limit is 1 to CORE_PAGE_ENTRIES */
    uint64_t low, high;       /* positions above low, up to and with high */
    /* Not all of the ring's part could be read: `low` was raised after the begin. */
    bool is_cut;
    uint64_t covered;       /* newest first: everything from here up has been read; 0: nothing */
    struct store_page page; /* what was read; `next` as the store has it */
    uint64_t damaged;       /* an entry that may be of the symbol, and a gap in the page; 0: none */
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
