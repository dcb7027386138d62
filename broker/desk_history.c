/*
 * desk_history: the records of one symbol, from store and ring as one (docs/protocol.md §2).
 *
 * A page comes from one of them, and `next` leads over the seam.  What is in the ring is
 * answered at once; a question that goes below it is the store's, from the position where the
 * ring begins now.  A position that has left the ring is never in it again: if the store, when
 * it was read, did not reach up to it either, it is a gap, until the disk has taken it.
 */
#include <string.h>

#include "broker/desk_private.h"
#include "shared/pack.h"

#define NOT_STORED_YET "not_stored_yet"

/* A page from the ring while it is being read. */
struct reading {
    const struct journal *journal;
    const struct store_query *query;
    struct store_page *page;
    char topic[WIRE_TOPIC_MAX];
    size_t topic_len;
    uint64_t low, high; /* positions above low, up to and with high */
    uint64_t steps;     /* entries that may still be looked at */
};

/* The record of our symbol at this position; false: it is of another. */
static bool read_own(const struct reading *r, uint64_t seq, struct journal_entry *e,
                     struct wire_record *record)
{
    return !journal_read(r->journal, seq, e) && e->topic.len == r->topic_len &&
           memcmp(e->topic.at, r->topic, r->topic_len) == 0 &&
           !wire_read_header(e->record, record);
}

static bool is_in_time(const struct reading *r, const struct wire_record *record)
{
    return record->accepted_us >= r->query->since_us &&
           (!r->query->until_us || record->accepted_us < r->query->until_us);
}

static bool is_full(const struct reading *r)
{
    return r->page->count >= r->query->limit || r->page->records.len >= DESK_PAGE_BYTES;
}

/*
 * Back along prev from `seq`, the symbol's last record, to the first that is not above r->high.
 * If that is too long a way, the entries from r->high down are looked at.  0: not found, and
 * *scanned is how far it looked.
 */
static uint64_t find_newest(struct reading *r, uint64_t seq, uint64_t *scanned)
{
    struct journal_entry e;
    struct wire_record record;

    *scanned = r->high;
    if (read_own(r, r->high, &e, &record))
        return r->high;
    for (; r->steps && seq > r->high && read_own(r, seq, &e, &record); r->steps--)
        if (record.prev < seq)
            seq = record.prev;
    if (seq <= r->high) {
        *scanned = r->low;
        return seq > r->low ? seq : 0;
    }
    for (r->steps = DESK_PAGE_SCAN; r->steps && *scanned > r->low; r->steps--) {
        if (read_own(r, *scanned, &e, &record))
            return *scanned;
        --*scanned;
    }
    return 0;
}

static void read_down(struct reading *r, uint64_t last)
{
    uint64_t scanned, seq = find_newest(r, last, &scanned);
    struct journal_entry e;
    struct wire_record record;

    if (!seq) {
        r->page->next = scanned > r->low ? scanned + 1 : 0;
        return;
    }
    for (; seq > r->low; r->steps--, seq = record.prev) {
        if (is_full(r) || !r->steps) {
            r->page->next = seq + 1;
            return;
        }
        if (!read_own(r, seq, &e, &record)) { /* never of our making: look below it */
            r->page->next = seq;
            return;
        }
        if (is_in_time(r, &record))
            desk_page_add(r->page, &e);
        if (record.prev >= seq)
            record.prev = seq - 1;
    }
}

/* Every entry from r->low on. */
static void scan_up(struct reading *r)
{
    struct journal_entry e;
    struct wire_record record;
    uint64_t seq = r->low;

    for (r->steps = DESK_PAGE_SCAN; r->steps && seq < r->high && !is_full(r);
         r->steps--)
        if (read_own(r, ++seq, &e, &record) && is_in_time(r, &record))
            desk_page_add(r->page, &e);
    r->page->next = seq < r->high ? seq : 0;
}

/*
 * Records know who was before them, not who comes after: back along prev, if that is not too
 * long a way, remembering the oldest.
 */
static void read_up(struct reading *r, uint64_t last)
{
    uint64_t found[DESK_PAGE_ENTRIES], count = 0, seq = last, limit = r->query->limit,
                                       put = 0;
    struct journal_entry e;
    struct wire_record record;

    for (; seq > r->low; r->steps--) {
        if (!r->steps || !read_own(r, seq, &e, &record) || record.prev >= seq) {
            scan_up(r);
            return;
        }
        if (seq <= r->high && is_in_time(r, &record))
            found[count++ % limit] = seq;
        seq = record.prev;
    }
    for (; put < count && !is_full(r); put++) {
        seq = found[(count - 1 - put) % limit];
        if (read_own(r, seq, &e, &record))
            desk_page_add(r->page, &e);
    }
    r->page->next = put < count ? seq : 0;
}

/* What lies above low up to high and is in the ring. */
static void read_ring(const struct desk *d, const struct store_query *query,
                      uint64_t low, uint64_t high, struct store_page *page)
{
    const struct book_entry *b = book_find(d->book, query->patterns);
    struct reading r = {.journal = d->journal,
                        .query = query,
                        .page = page,
                        .low = low,
                        .high = high,
                        .steps = DESK_PAGE_SCAN};

    r.topic_len = wire_topic(r.topic, query->patterns);
    if (!b || low >= high)
        return;
    if (query->newest_first)
        read_down(&r, b->seq);
    else
        read_up(&r, b->seq);
}

/* The store has left room for it. */
static void put_gap_first(struct store_page *page, uint64_t first, uint64_t last)
{
    if (first > last)
        return;
    memmove(page->gaps + 1, page->gaps, page->gap_count * sizeof *page->gaps);
    page->gaps[0] = (struct store_gap){first, last, NOT_STORED_YET};
    page->gap_count++;
}

static void say_page(struct question *q, struct span symbol, uint64_t head,
                     const struct store_page *page)
{
    const struct book_entry *b = book_find(q->d->book, symbol);

    desk_answer_page(q, 2, head, page);
    pack_kv_u(&q->pk, "last", b ? b->seq : 0);
    pack_kv_u(&q->pk, "next", page->next);
    desk_answer_say(q);
}

static uint64_t highest(const struct desk *d, const struct store_query *query)
{
    uint64_t head = journal_head(d->journal);

    return query->before && query->before <= head ? query->before - 1 : head;
}

static void tell_oldest(struct question *q, const struct store_query *query)
{
    struct desk *d = q->d;
    uint64_t first = journal_first(d->journal), low = query->after,
             high = highest(d, query);
    struct store_page page = {.first = desk_first(d)};

    /* What the store has pruned may still be in the ring. */
    if (d->keeper && low + 1 < first && low < high &&
        low < journal_stored(d->journal) && keeper_first(d->keeper) < first) {
        desk_ask_store(q, true, query);
        return;
    }
    if (low + 1 < first) {
        if (d->keeper && low >= journal_stored(d->journal))
            put_gap_first(&page, low + 1, first - 1 < high ? first - 1 : high);
        low = first - 1;
    }
    read_ring(d, query, low, high, &page);
    say_page(q, query->patterns, journal_head(d->journal), &page);
    store_page_clear(&page);
}

static void tell_newest(struct question *q, const struct store_query *query)
{
    struct desk *d = q->d;
    uint64_t first = journal_first(d->journal), low = query->after,
             high = highest(d, query);
    struct store_page page = {.first = desk_first(d)};
    bool has_older =
        d->keeper && low + 1 < first && low < high &&
        (keeper_first(d->keeper) < first || journal_stored(d->journal) + 1 < first);
    struct store_query older = *query;

    read_ring(d, query, low + 1 < first ? first - 1 : low, high, &page);
    if (has_older && !page.next) {
        older.before = page.next = high + 1 < first ? high + 1 : first;
        older.until = journal_head(d->journal); /* the store ignores it; see below */
        if (!page.count) {
            desk_ask_store(q, true, &older);
            return;
        }
    }
    say_page(q, query->patterns, journal_head(d->journal), &page);
    store_page_clear(&page);
}

/* The store's part: up to page.head, as it was when the page was read. */
void desk_history_answer(struct question *q, struct archive_result *r)
{
    struct store_query query = r->query;
    struct store_page *page = &r->page;
    uint64_t high = highest(q->d, &query), head = journal_head(q->d->journal);

    query.patterns = span_of(r->symbol);
    if (query.newest_first) {
        /* We looked at the ring when it was asked, and not at what has come since. */
        head = query.until;
        /* What lies above page->head had left it by then. */
        put_gap_first(page, page->head > query.after ? page->head + 1 : query.after + 1,
                      query.before - 1);
    } else if (!page->next && page->head < high) {
        page->next = page->head;
        if (!page->count &&
            !page->gap_count) { /* the ring may have something to tell */
            query.after = page->head;
            tell_oldest(q, &query);
            return;
        }
    }
    say_page(q, query.patterns, head, page);
}

void desk_history(struct question *q)
{
    uint64_t head = journal_head(q->d->journal);
    struct store_query query = {
        .patterns = pack_find_text(q->map, "symbol"),
        .after = pack_find_u(q->map, "after", 0),
        .before = pack_find_u(q->map, "before", 0),
        .since_us = pack_find_u(q->map, "since", 0),
        .until_us = pack_find_u(q->map, "until", 0),
        .limit = pack_find_u(q->map, "limit", DESK_PAGE_ENTRIES),
        .newest_first = !span_eq(pack_find_text(q->map, "order"), "oldest"),
    };

    if (!quote_is_symbol(query.patterns)) {
        desk_answer_error(q, ERR_INVALID, "symbol must be one symbol");
        return;
    }
    if (query.after > head)
        query.after = head;
    if (!query.limit || query.limit > DESK_PAGE_ENTRIES)
        query.limit = DESK_PAGE_ENTRIES;
    if (query.newest_first)
        tell_newest(q, &query);
    else
        tell_oldest(q, &query);
}
