/* core_replay: the records of the log between two positions (docs/protocol/wire.md). */
#include <string.h>

#include "broker/core/core_private.h"
#include "shared/wire/pack.h"

static bool topic_matches(struct span topic, const struct patterns *patterns)
{
    struct span symbol = wire_topic_symbol(topic);

    if (symbol.len)
        return patterns_match(patterns, symbol);
    return span_eq(topic, WIRE_TOPIC_LOST); /* losses concern every receiver */
}

void core_replay_send(const struct core_log *log, struct control_request *q,
                      const struct store_page *page)
{
    core_page_begin(log, q, 1, journal_head(log->journal), page);
    pack_kv_u(&q->pk, "upto", page->upto);
    answer_send(q);
}

/* A page from the ring while it is read. */
struct replay {
    struct patterns patterns;
    uint64_t after, until, limit;
    uint64_t seq;  /* the next to look at */
    uint64_t seen; /* entries */
    struct store_page page;
};

static bool start(const struct core_log *log, struct control_request *q, void *state)
{
    uint64_t head = journal_head(log->journal);
    struct replay *r = state;

    if (!core_read_patterns(q, &r->patterns))
        return false;
    r->after = pack_find_u(q->map, "after", 0);
    r->until = pack_find_u(q->map, "until", head);
    r->limit = pack_find_u(q->map, "limit", CORE_PAGE_ENTRIES);
    if (r->limit > CORE_PAGE_ENTRIES)
        r->limit = CORE_PAGE_ENTRIES;
    if (r->after > head)
        r->after = head;
    if (r->until > head)
        r->until = head;
    return true;
}

static void request_store(const struct core_log *log, struct control_request *q,
                          const struct replay *r)
{
    core_store_request(log, q, false,
                       &(struct store_query){.patterns = pack_find_text(q->map, "pattern"),
                                             .after = r->after,
                                             .until = r->until,
                                             .limit = r->limit});
}

/*
 * The ring answers what it has, in slices; the store answers older positions, later.  Positions
 * that neither has are a gap: the disk did not store them in time.  false: the store answers.
 */
static bool begin_ring(const struct core_log *log, struct control_request *q, struct replay *r)
{
    uint64_t first = journal_first(log->journal);

    r->seq = r->after + 1;
    r->page.gap_count = 0;
    if (r->seq >= first)
        return true;
    if (log->log_writer && r->after < journal_stored(log->journal)) {
        request_store(log, q, r);
        return false;
    }
    if (log->log_writer)
        r->page.gaps[r->page.gap_count++] = (struct store_gap){r->seq, first - 1, "not_stored"};
    r->seq = first;
    return true;
}

/*
 * The ring's entry at r->seq is damaged.  The store has the record, or knows that it is lost,
 * unless it has not reached this position yet.  false: the page ends before the entry.
 */
static bool pass_damage(const struct core_log *log, struct replay *r)
{
    return !(log->log_writer && r->seq <= journal_stored(log->journal)) &&
           core_page_damage(&r->page, r->seq);
}

static bool step(const struct core_log *log, struct control_request *q, void *state, int64_t *work)
{
    const struct journal *journal = log->journal;
    struct replay *r = state;
    struct store_page *page = &r->page;
    struct journal_entry e;
    enum err read;

    if (!r->seen && !begin_ring(log, q, r))
        return true;
    /* Records that left the ring between two slices come with the next page. */
    for (; r->seq <= r->until && page->count < r->limit && page->records.len < CORE_PAGE_BYTES &&
           r->seen < CORE_PAGE_SCAN && r->seq >= journal_first(journal);
         r->seq++, r->seen++) {
        if (*work <= 0)
            return false;
        --*work;
        read = journal_read(journal, r->seq, &e);
        if (read == ERR_MALFORMED && !pass_damage(log, r))
            break;
        if (read || !topic_matches(e.topic, &r->patterns))
            continue;
        core_page_add(page, &e);
        *work -= CORE_WORK_ENTRY;
    }
    if (r->seq == r->after + 1 && r->seq <= r->until &&
        journal_read(journal, r->seq, &e) == ERR_MALFORMED) {
        request_store(log, q, r);
        return true;
    }
    page->first = core_first(log);
    page->upto = r->seq - 1;
    core_replay_send(log, q, page);
    return true;
}

static void end(void *state)
{
    store_page_clear(&((struct replay *)state)->page);
}

const struct core_slices core_replay_slices = {
    .size = sizeof(struct replay),
    .start = start,
    .step = step,
    .end = end,
};
