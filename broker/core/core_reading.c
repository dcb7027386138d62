#include "broker/core/core_reading.h"

#include <stdlib.h>
#include <string.h>

#include "broker/core/core_private.h"
#include "shared/base/mem.h"

/* The record of our symbol at this position; false: it is of another, or cannot be read. */
static bool read_own(struct core_reading *r, uint64_t seq, struct journal_entry *e,
                     struct wire_record *record)
{
    enum err read = journal_read(r->journal, seq, e);

    if (read == ERR_MALFORMED && core_page_damage(&r->page, seq))
        r->damaged = seq;
    return !read && e->topic.len == r->topic_len &&
           memcmp(e->topic.at, r->topic, r->topic_len) == 0 && !wire_read_header(e->record, record);
}

static bool is_in_time(const struct core_reading *r, const struct wire_record *record)
{
    return record->accepted_us >= r->query.since_us &&
           (!r->query.until_us || record->accepted_us < r->query.until_us);
}

static bool is_full(const struct core_reading *r)
{
    return r->page.count >= r->query.limit || r->page.records.len >= CORE_PAGE_BYTES;
}

static void done(struct core_reading *r, uint64_t next)
{
    r->page.next = next;
    r->phase = READING_DONE;
}

static void go_to(struct core_reading *r, enum core_reading_phase phase, uint64_t seq)
{
    r->phase = phase;
    r->seq = seq;
    r->steps = CORE_PAGE_SCAN;
}

/* A unit of work for the next entry; false: all is used up. */
static bool use(int64_t *work)
{
    if (*work <= 0)
        return false;
    --*work;
    return true;
}

static void add(struct core_reading *r, const struct journal_entry *e, int64_t *work)
{
    core_page_add(&r->page, e);
    *work -= CORE_WORK_ENTRY;
}

/*
 * The search has ended, with or without a result; the remaining steps are for reading down from
 * here.
 */
static void read_down_from(struct core_reading *r, uint64_t seq)
{
    r->phase = READING_DOWN;
    r->seq = seq;
}

static void find(struct core_reading *r, int64_t *work)
{
    struct journal_entry e;
    struct wire_record record;

    for (; r->seq > r->high; r->steps--) {
        if (!use(work))
            return;
        if (!r->steps || !read_own(r, r->seq, &e, &record)) {
            go_to(r, READING_SCAN_DOWN, r->high);
            return;
        }
        if (record.prev < r->seq)
            r->seq = record.prev;
    }
    read_down_from(r, r->seq);
}

static void scan_down(struct core_reading *r, int64_t *work)
{
    struct journal_entry e;
    struct wire_record record;

    for (; r->seq > r->low; r->seq--, r->steps--) {
        if (!r->steps) {
            done(r, r->seq + 1);
            return;
        }
        if (!use(work))
            return;
        if (read_own(r, r->seq, &e, &record)) {
            read_down_from(r, r->seq);
            return;
        }
    }
    done(r, 0);
}

static void read_down(struct core_reading *r, int64_t *work)
{
    struct journal_entry e;
    struct wire_record record;

    for (; r->seq > r->low; r->steps--, r->seq = record.prev) {
        if (is_full(r) || !r->steps) {
            done(r, r->seq + 1);
            return;
        }
        if (!use(work))
            return;
        if (!read_own(r, r->seq, &e, &record)) { /* never of our making: look below */
            done(r, r->seq);
            return;
        }
        r->covered = r->seq;
        if (is_in_time(r, &record))
            add(r, &e, work);
        if (record.prev >= r->seq)
            record.prev = r->seq - 1;
    }
    done(r, 0);
}

static void walk(struct core_reading *r, int64_t *work)
{
    struct journal_entry e;
    struct wire_record record;

    for (; r->seq > r->low; r->steps--, r->seq = record.prev) {
        if (!use(work))
            return;
        if (!r->steps || !read_own(r, r->seq, &e, &record) || record.prev >= r->seq) {
            go_to(r, READING_SCAN_UP, r->low);
            return;
        }
        if (r->seq <= r->high && is_in_time(r, &record))
            r->found[r->count++ % r->query.limit] = r->seq;
    }
    r->phase = READING_PUT;
}

static void put(struct core_reading *r, int64_t *work)
{
    struct journal_entry e;
    struct wire_record record;
    uint64_t limit = r->query.limit;

    for (; r->put < r->count && r->put < limit && !is_full(r); r->put++) {
        if (!use(work))
            return;
        r->seq = r->found[(r->count - 1 - r->put) % limit];
        if (read_own(r, r->seq, &e, &record))
            add(r, &e, work);
    }
    done(r, r->put < r->count ? r->seq : 0);
}

/* Every entry from r->low on. */
static void scan_up(struct core_reading *r, int64_t *work)
{
    struct journal_entry e;
    struct wire_record record;

    if (r->seq < r->low)
        r->seq = r->low;
    for (; r->steps && r->seq < r->high && !is_full(r); r->steps--) {
        if (!use(work))
            return;
        if (read_own(r, ++r->seq, &e, &record) && is_in_time(r, &record))
            add(r, &e, work);
    }
    done(r, r->seq < r->high ? r->seq : 0);
}

void core_reading_begin(struct core_reading *r, struct span symbol, uint64_t last)
{
    struct journal_entry e;
    struct wire_record record;

    r->topic_len = wire_topic(r->topic, symbol);
    r->phase = READING_DONE;
    if (r->low >= r->high)
        return;
    if (!r->query.newest_first) {
        r->found = mem_alloc((size_t)r->query.limit * sizeof *r->found);
        go_to(r, READING_WALK, last);
    } else if (read_own(r, r->high, &e, &record)) {
        go_to(r, READING_DOWN, r->high);
    } else {
        go_to(r, READING_FIND, last);
    }
}

bool core_reading_step(struct core_reading *r, int64_t *work)
{
    uint64_t first = journal_first(r->journal);

    if (r->phase != READING_DONE && r->low + 1 < first) {
        r->low = first - 1;
        r->is_cut = true;
    }
    while (*work > 0) {
        switch (r->phase) {
        case READING_DONE:
            return true;
        case READING_FIND:
            find(r, work);
            break;
        case READING_SCAN_DOWN:
            scan_down(r, work);
            break;
        case READING_DOWN:
            read_down(r, work);
            break;
        case READING_WALK:
            walk(r, work);
            break;
        case READING_PUT:
            put(r, work);
            break;
        case READING_SCAN_UP:
            scan_up(r, work);
            break;
        }
    }
    return r->phase == READING_DONE;
}

void core_reading_end(struct core_reading *r)
{
    free(r->found);
    r->found = NULL;
    store_page_clear(&r->page);
}
