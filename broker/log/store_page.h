/*
 * store_page: a page of records while it is being read.  Part of the store; no other
 * file includes it.
 */
#ifndef BROKER_LOG_STORE_PAGE_H
#define BROKER_LOG_STORE_PAGE_H

#include "broker/log/store_private.h"

#define STORE_PAGE_SCAN 200000 /* rows looked at, if the request has no bound */
#define STORE_PAGE_IDS 33      /* 32 symbols, and the losses */

struct store_reader {
    struct store *s;
    const struct store_query *query;
    struct store_page page;
    bool is_history;    /* of one symbol, without losses */
    bool is_down;       /* newest first */
    uint64_t first;     /* of the store */
    uint64_t low, high; /* positions above low, up to and with high */
    uint64_t covered;   /* the last position that is done with */
    uint64_t scanned;   /* rows looked at */
    bool is_full;       /* no further record goes into the page */
    bool is_cut;        /* the range was made shorter: too many gaps */
    bool is_by_id;      /* ids select the records, else the patterns */
    int64_t ids[STORE_PAGE_IDS];
    size_t id_count;
    uint8_t *wanted; /* by symbol id: 0 unknown yet, 1 no, 2 yes */
    size_t wanted_cap;
    uint64_t epoch, epoch_first, epoch_end; /* of positions first … end-1 */
    int rc;                                 /* what went wrong */
};

/* Is a record of this symbol (0: a loss) requested? */
bool store_page_wants(struct store_reader *r, int64_t id);
bool store_page_is_in_time(const struct store_reader *r, uint64_t accepted_us);
/* Append the record in this row of STORE_ROW. */
void store_page_add(struct store_reader *r, sqlite3_stmt *row);

/*
 * store_rows.c: look at every position above low up to high.  Positions that are missing and in no
 * gap, or whose row cannot be read or makes no sense, become a gap: damaged.  false: the page
 * ends here.
 */
bool store_rows_read(struct store_reader *r, uint64_t low, uint64_t high);

/*
 * store_damage.c: positions first … last cannot be read.  Adds a gap for the part that no gap of
 * the page covers.  false: there is no room for it, and `covered` ends before it.  May shorten the
 * range.
 */
bool store_damage_add(struct store_reader *r, uint64_t first, uint64_t last);
/* Was r->rc damage?  Then it is reset to OK: the caller finds another way, or adds a gap. */
bool store_damage_forgive(struct store_reader *r);

/* Find the gaps of the range, and shorten the range if there are too many. */
void store_page_find_gaps(struct store_reader *r);
/* Drop the gaps after the covered range. */
void store_page_drop_gaps(struct store_reader *r);

#endif
