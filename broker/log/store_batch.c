#include "broker/log/store_batch.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/array.h"
#include "shared/base/mem.h"

/* The header before every record's bytes. */
struct head {
    uint64_t seq;
    uint32_t feed, topic_len, record_len;
};

struct store_batch {
    struct buf records;
    size_t count;
    uint64_t first, last; /* first and last position of the records, 0: none */
    struct store_batch_gap gap;
    struct store_batch_feed *feeds;
    size_t feed_count, feed_cap;
    bool is_kept;
    uint64_t max_count, max_age_us;
};

struct store_batch *store_batch_new(void)
{
    return mem_zalloc(sizeof(struct store_batch));
}

void store_batch_free(struct store_batch *b)
{
    if (!b)
        return;
    buf_free(&b->records);
    free(b->feeds);
    free(b);
}

void store_batch_clear(struct store_batch *b)
{
    buf_clear(&b->records);
    b->count = b->feed_count = 0;
    b->first = b->last = 0;
    b->gap = (struct store_batch_gap){0};
    b->is_kept = false;
}

void store_batch_gap(struct store_batch *b, uint64_t first, uint64_t last, const char *reason,
                     uint64_t wall_us)
{
    assert(!b->count && !b->gap.first && first && first <= last);
    b->gap = (struct store_batch_gap){.first = first, .last = last, .wall_us = wall_us};
    span_copy(b->gap.reason, sizeof b->gap.reason, span_of(reason));
}

void store_batch_add(struct store_batch *b, uint64_t seq, uint32_t feed, struct span topic,
                     struct span record)
{
    struct head h = {seq, feed, (uint32_t)topic.len, (uint32_t)record.len};
    char *at = buf_room(&b->records, sizeof h + topic.len + record.len);

    assert(!store_batch_last(b) || seq == store_batch_last(b) + 1);
    memcpy(at, &h, sizeof h);
    memcpy(at + sizeof h, topic.at, topic.len);
    memcpy(at + sizeof h + topic.len, record.at, record.len);
    if (!b->count++)
        b->first = seq;
    b->last = seq;
}

void store_batch_feed(struct store_batch *b, uint32_t feed, struct span name, struct span owner,
                      uint64_t epoch, uint64_t received, bool has_left)
{
    struct store_batch_feed *f;

    assert(feed < STORE_FEED_MAX);
    ARRAY_RESERVE(b->feeds, b->feed_cap, b->feed_count + 1);
    f = &b->feeds[b->feed_count++];
    *f = (struct store_batch_feed){feed, "", "", epoch, received, has_left};
    span_copy(f->name, sizeof f->name, name);
    span_copy(f->owner, sizeof f->owner, owner);
}

void store_batch_keep(struct store_batch *b, uint64_t max_count, uint64_t max_age_us)
{
    b->is_kept = true;
    b->max_count = max_count;
    b->max_age_us = max_age_us;
}

bool store_batch_is_empty(const struct store_batch *b)
{
    return !b->count && !b->gap.first && !b->feed_count;
}

uint64_t store_batch_first(const struct store_batch *b)
{
    return b->gap.first ? b->gap.first : b->first;
}

uint64_t store_batch_last(const struct store_batch *b)
{
    return b->count ? b->last : b->gap.last;
}

size_t store_batch_count(const struct store_batch *b)
{
    return b->count;
}

size_t store_batch_bytes(const struct store_batch *b)
{
    return b->records.len + b->feed_count * sizeof *b->feeds;
}

bool store_batch_next(const struct store_batch *b, size_t *offset, struct store_batch_record *out)
{
    const char *at = b->records.data + *offset;
    struct head h;

    if (*offset == b->records.len)
        return false;
    memcpy(&h, at, sizeof h);
    out->seq = h.seq;
    out->feed = h.feed;
    out->topic = (struct span){at + sizeof h, h.topic_len};
    out->record = (struct span){at + sizeof h + h.topic_len, h.record_len};
    *offset += sizeof h + h.topic_len + h.record_len;
    return true;
}

const struct store_batch_gap *store_batch_gap_of(const struct store_batch *b)
{
    return &b->gap;
}

const struct store_batch_feed *store_batch_feeds(const struct store_batch *b, size_t *count)
{
    *count = b->feed_count;
    return b->feeds;
}

bool store_batch_kept(const struct store_batch *b, uint64_t *max_count, uint64_t *max_age_us)
{
    if (!b->is_kept)
        return false;
    *max_count = b->max_count;
    *max_age_us = b->max_age_us;
    return true;
}
