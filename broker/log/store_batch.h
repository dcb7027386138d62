/*
 * store_batch: the content of one transaction of the store, copied out of the loop's memory.
 *
 * The loop fills it and passes it to the writer; it has no pointers to other memory.  A batch holds
 * dense positions: first an optional gap, then records.  No I/O, no clock; it does not parse the
 * records, because that would take the loop's time.  One owner at a time.
 */
#ifndef BROKER_LOG_STORE_BATCH_H
#define BROKER_LOG_STORE_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/buf.h"

#define STORE_FEED_NONE UINT32_MAX
#define STORE_FEED_MAX 4096 /* indexes are below this */
/*
 * A good size at which to end a batch.  Larger ones save little and take longer to repeat after a
 * failure; smaller ones write the last values more often.
 */
#define STORE_BATCH_BYTES ((size_t)32 << 20)

struct store_batch;

struct store_batch *store_batch_new(void);
void store_batch_free(struct store_batch *b);
void store_batch_clear(struct store_batch *b); /* keeps the memory */

/*
 * Positions first…last could not be kept; before the records, once.  The reason is cut after
 * 63 bytes.
 */
void store_batch_gap(struct store_batch *b, uint64_t first, uint64_t last, const char *reason,
                     uint64_t wall_us);

/*
 * One record as published: topic and frame 2.  `seq` is the previous position plus 1. `feed` is the
 * index of the feed that quotes the symbol (STORE_FEED_NONE: unknown, the stored feed stays).  The
 * caller chooses the index; store_batch_feed must have set it in this batch or in an earlier batch
 * of the same store.
 */
void store_batch_add(struct store_batch *b, uint64_t seq, uint32_t feed, struct span topic,
                     struct span record);

/*
 * The state of a feed as of the batch's last record.  At most once per feed and batch. has_left:
 * it announced its end.
 */
void store_batch_feed(struct store_batch *b, uint32_t feed, struct span name, struct span owner,
                      uint64_t epoch, uint64_t received, bool has_left);

/* How much to keep from now on: records and microseconds, 0: no limit.  Default: as before. */
void store_batch_keep(struct store_batch *b, uint64_t max_count, uint64_t max_age_us);

bool store_batch_is_empty(const struct store_batch *b);  /* no record, gap or feed */
uint64_t store_batch_first(const struct store_batch *b); /* position, 0: no positions */
uint64_t store_batch_last(const struct store_batch *b);
size_t store_batch_count(const struct store_batch *b); /* records */
size_t store_batch_bytes(const struct store_batch *b);

/* For the store. */
struct store_batch_record {
    uint64_t seq;
    uint32_t feed;
    struct span topic, record;
};
struct store_batch_gap {
    uint64_t first, last; /* 0: none */
    uint64_t wall_us;
    char reason[64];
};
struct store_batch_feed {
    uint32_t index;
    char name[65], owner[65];
    uint64_t epoch, received;
    bool has_left;
};

/* Read the record at *offset (0 at first) and move past it.  false: that was the last. */
bool store_batch_next(const struct store_batch *b, size_t *offset, struct store_batch_record *out);
const struct store_batch_gap *store_batch_gap_of(const struct store_batch *b);
const struct store_batch_feed *store_batch_feeds(const struct store_batch *b, size_t *count);
/* false: store_batch_keep was not called. */
bool store_batch_kept(const struct store_batch *b, uint64_t *max_count, uint64_t *max_age_us);

#endif
