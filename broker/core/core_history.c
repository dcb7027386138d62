/*
 * core_history: the records of one symbol, read from the store and the ring
 * (docs/protocol/wire.md).
 *
 * A page comes from one of the two, and `next` continues with the other.  Records in the ring are
 * read in slices (core_reading.c).  The store answers requests for positions below the ring's
 * oldest entry.  A position that has left the ring never returns to it: if the store did not have
 * it when it was read, the page reports a gap.
 */
#include <string.h>

#include "broker/core/core_private.h"
#include "shared/wire/pack.h"
#include "shared/base/array.h"

#define NOT_STORED_YET "not_stored_yet"
#define BEGINNINGS 3 /* of one page that the ring pushes on; then it is read in one go */

struct history {
    struct core_reading reading; /* its query is the request's */
    uint64_t head;               /* of the log when the reading began */
    unsigned beginnings;
};

/* The store has left room for this row in the page. */
static void put_gap_first(struct store_page *page, uint64_t first, uint64_t last)
{
    if (first > last)
        return;
    ARRAY_INSERT(page->gaps, page->gap_count, 0, (struct store_gap){first, last, NOT_STORED_YET});
}

static void send_page(const struct core_log *log, struct control_request *q, struct span symbol,
                      uint64_t head, const struct store_page *page)
{
    const struct book_entry *b = book_find(log->book, symbol);

    core_page_begin(log, q, 2, head, page);
    pack_kv_u(&q->pk, "last", b ? b->seq : 0);
    pack_kv_u(&q->pk, "next", page->next);
    answer_send(q);
}

static uint64_t highest(const struct core_log *log, const struct store_query *query)
{
    uint64_t head = journal_head(log->journal);

    return query->before && query->before <= head ? query->before - 1 : head;
}

/* Records that the store has pruned may still be in the ring. */
static bool is_in_store(const struct core_log *log, const struct store_query *query)
{
    uint64_t first = journal_first(log->journal), low = query->after;

    return log->log_writer && low + 1 < first && low < highest(log, query) &&
           low < journal_stored(log->journal) && log_writer_first(log->log_writer) < first;
}

/* Begin to read from the ring.  false: the store will answer the request. */
static bool begin(const struct core_log *log, struct control_request *q, struct history *h)
{
    struct core_reading *r = &h->reading;
    struct span symbol = r->query.patterns;
    const struct book_entry *b = book_find(log->book, symbol);
    uint64_t first = journal_first(log->journal);

    if (!r->query.newest_first && is_in_store(log, &r->query)) {
        core_store_request(log, q, true, &r->query);
        return false;
    }
    r->journal = log->journal;
    r->low = r->query.after;
    r->high = highest(log, &r->query);
    r->is_cut = false;
    h->head = journal_head(log->journal);
    h->beginnings++;
    if (r->low + 1 < first) {
        if (!r->query.newest_first && log->log_writer && r->low >= journal_stored(log->journal))
            put_gap_first(&r->page, r->low + 1, first - 1 < r->high ? first - 1 : r->high);
        r->low = first - 1;
    }
    if (b)
        core_reading_begin(r, symbol, b->seq);
    return true;
}

/* Newest first: the store has the records that are older than the ring. */
static bool has_older(const struct core_log *log, const struct core_reading *r)
{
    uint64_t low = r->query.after, first = r->low + 1;

    return log->log_writer && low + 1 < first && low < r->high &&
           (log_writer_first(log->log_writer) < first || journal_stored(log->journal) + 1 < first);
}

static void answer(const struct core_log *log, struct control_request *q, struct history *h)
{
    struct core_reading *r = &h->reading;
    struct store_query older = r->query;

    /* The store has this damaged record, or knows that it is lost. */
    if (r->damaged && log->log_writer && r->damaged <= journal_stored(log->journal)) {
        if (older.newest_first) {
            older.before = r->high + 1;
            older.until = h->head;
        }
        core_store_request(log, q, true, &older);
        return;
    }
    r->page.first = core_first(log);
    if (older.newest_first && !r->page.next && has_older(log, r)) {
        older.before = r->high < r->low ? r->high + 1 : r->low + 1;
        /*
         * These records were read from the ring and may have left it since: do not send them again.
         */
        if (r->covered && r->covered < older.before)
            older.before = r->covered;
        r->page.next = older.before;
        older.until = h->head; /* the store ignores it; see below */
        if (!r->page.count) {
            core_store_request(log, q, true, &older);
            return;
        }
    }
    send_page(log, q, older.patterns, h->head, &r->page);
}

static bool step(const struct core_log *log, struct control_request *q, void *state, int64_t *work)
{
    struct history *h = state;
    struct core_reading *r = &h->reading;
    int64_t all = INT64_MAX;
    bool is_done = core_reading_step(r, h->beginnings > BEGINNINGS ? &all : work);

    /* The oldest requested records have left the ring meanwhile: the store has them now. */
    if (r->is_cut && !r->query.newest_first && log->log_writer) {
        core_reading_end(r);
        r->page = (struct store_page){0};
        r->count = r->put = 0;
        return !begin(log, q, h);
    }
    if (is_done)
        answer(log, q, h);
    return is_done;
}

static void end(void *state)
{
    core_reading_end(&((struct history *)state)->reading);
}

static bool start(const struct core_log *log, struct control_request *q, void *state)
{
    uint64_t head = journal_head(log->journal);
    struct history *h = state;
    struct store_query query = {
        .patterns = pack_find_text(q->map, "symbol"),
        .after = pack_find_u(q->map, "after", 0),
        .before = pack_find_u(q->map, "before", 0),
        .since_us = pack_find_u(q->map, "since", 0),
        .until_us = pack_find_u(q->map, "until", 0),
        .limit = pack_find_u(q->map, "limit", CORE_PAGE_ENTRIES),
        .newest_first = !span_eq(pack_find_text(q->map, "order"), "oldest"),
    };

    if (!quote_is_symbol(query.patterns)) {
        answer_error(q, ERR_INVALID, "symbol must be one symbol");
        return false;
    }
    if (query.after > head)
        query.after = head;
    if (!query.limit || query.limit > CORE_PAGE_ENTRIES)
        query.limit = CORE_PAGE_ENTRIES;
    h->reading.query = query;
    return begin(log, q, h);
}

const struct core_slices core_history_slices = {
    .size = sizeof(struct history),
    .start = start,
    .step = step,
    .end = end,
};

/* Pack the same request again, so that the ring answers the rest. */
static void pack_request(struct buf *out, uint64_t id, const struct store_query *query)
{
    msgpack_packer pk;

    msgpack_packer_init(&pk, out, buf_pack_write);
    msgpack_pack_map(&pk, 9);
    pack_kv_text(&pk, "op", SPAN("history"));
    pack_kv_u(&pk, "id", id);
    pack_kv_text(&pk, "symbol", query->patterns);
    pack_kv_text(&pk, "order", SPAN("oldest"));
    pack_kv_u(&pk, "after", query->after);
    pack_kv_u(&pk, "before", query->before);
    pack_kv_u(&pk, "since", query->since_us);
    pack_kv_u(&pk, "until", query->until_us);
    pack_kv_u(&pk, "limit", query->limit);
}

/* Pack the store's part: positions up to page.head, the head at the time of the read. */
bool core_history_answer(const struct core_log *log, struct control_request *q,
                         struct archive_result *r, struct buf *again)
{
    struct store_query query = r->query;
    struct store_page *page = &r->page;
    uint64_t high = highest(log, &query), head = journal_head(log->journal);

    query.patterns = span_of(r->symbol);
    if (query.newest_first) {
        /* The ring was looked at when the request came, and not since. */
        head = query.until;
        /* Positions above page->head had left the ring by then. */
        put_gap_first(page, page->head > query.after ? page->head + 1 : query.after + 1,
                      query.before - 1);
    } else if (!page->next && page->head < high) {
        page->next = page->head;
        if (again && !page->count && !page->gap_count) {
            query.after = page->head;
            pack_request(again, q->id, &query);
            return false;
        }
    }
    send_page(log, q, query.patterns, head, page);
    return true;
}
