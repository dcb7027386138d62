/* core_replay: what lies in the log between two positions (docs/protocol/wire.md). */
#include <string.h>

#include "broker/core/core_private.h"
#include "shared/wire/pack.h"

static bool topic_matches(struct span topic, const struct patterns *patterns)
{
    struct span symbol = wire_topic_symbol(topic);

    return !symbol.len /* losses concern everybody */ ||
           patterns_match(patterns, symbol);
}

uint64_t core_first(const struct core *d)
{
    uint64_t stored = d->log_writer ? log_writer_first(d->log_writer) : 0;
    uint64_t first = journal_first(d->journal);

    return stored && stored < first ? stored : first;
}

void answer_page(struct question *q, uint32_t more_members, uint64_t head,
                 const struct store_page *page)
{
    answer_begin(q, CORE_PAGE_MEMBERS + more_members);
    pack_kv_u(&q->pk, "epoch", q->d->epoch);
    pack_kv_u(&q->pk, "first", page->first);
    pack_kv_u(&q->pk, "head", head);
    pack_key(&q->pk, "gaps");
    msgpack_pack_array(&q->pk, page->gap_count);
    for (size_t i = 0; i < page->gap_count; i++) {
        msgpack_pack_array(&q->pk, 3);
        msgpack_pack_uint64(&q->pk, page->gaps[i].first);
        msgpack_pack_uint64(&q->pk, page->gaps[i].last);
        pack_text(&q->pk, span_of(page->gaps[i].reason));
    }
    pack_key(&q->pk, "records");
    msgpack_pack_array(&q->pk, (size_t)page->count);
    buf_add(&q->d->answer, page->records.data, page->records.len);
}

void core_page_add(struct store_page *page, const struct journal_entry *e)
{
    msgpack_packer pk;

    msgpack_packer_init(&pk, &page->records, buf_pack_write);
    msgpack_pack_array(&pk, 2);
    pack_text(&pk, e->topic);
    msgpack_pack_bin_with_body(&pk, e->record.at, e->record.len);
    page->count++;
}

bool core_page_damage(struct store_page *page, uint64_t seq)
{
    for (size_t i = 0; i < page->gap_count; i++) {
        struct store_gap *gap = &page->gaps[i];
        bool is_ours = strcmp(gap->reason, STORE_GAP_DAMAGED) == 0;

        if (gap->first <= seq && seq <= gap->last)
            return true;
        if (is_ours && (gap->last + 1 == seq || seq + 1 == gap->first)) {
            if (seq < gap->first)
                gap->first = seq;
            else
                gap->last = seq;
            return true;
        }
    }
    if (page->gap_count >= STORE_PAGE_GAPS)
        return false;
    page->gaps[page->gap_count++] = (struct store_gap){seq, seq, STORE_GAP_DAMAGED};
    return true;
}

void core_ask_store(struct question *q, bool is_history,
                    const struct store_query *query)
{
    struct archive_ticket ticket = {.peer_len = q->peer.len, .id = q->id};

    if (q->peer.len > sizeof ticket.peer) {
        answer_error(q, ERR_INVALID, "peer identity too long");
        return;
    }
    memcpy(ticket.peer, q->peer.at, q->peer.len);
    if (log_writer_ask(q->d->log_writer, is_history, query, &ticket))
        answer_error(q, ERR_FULL, "too many questions to the store: ask again");
}

static void say_replay(struct question *q, const struct store_page *page)
{
    answer_page(q, 1, journal_head(q->d->journal), page);
    pack_kv_u(&q->pk, "upto", page->upto);
    answer_send(q);
}

void core_take_answers(struct core *d)
{
    struct archive_result r;

    while (log_writer_take_answer(d->log_writer, &r)) {
        struct question q = {.d = d,
                             .peer = {r.ticket.peer, r.ticket.peer_len},
                             .id = r.ticket.id,
                             .op = r.is_history ? SPAN("history") : SPAN("replay")};

        if (r.error)
            answer_error(&q, r.error, r.text);
        else if (r.is_history)
            core_history_answer(&q, &r);
        else
            say_replay(&q, &r.page);
        archive_result_clear(&r);
    }
}

/* A page from the ring while it is read. */
struct replay {
    struct patterns patterns;
    uint64_t after, until, limit;
    uint64_t seq;  /* the next to look at */
    uint64_t seen; /* entries */
    struct store_page page;
};

static bool start(struct question *q, void *state)
{
    uint64_t head = journal_head(q->d->journal);
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

static void ask_store(struct question *q, const struct replay *r)
{
    core_ask_store(q, false,
                   &(struct store_query){.patterns = pack_find_text(q->map, "pattern"),
                                         .after = r->after,
                                         .until = r->until,
                                         .limit = r->limit});
}

/*
 * What the ring has is answered from it, in slices; what is older, by the store, later.  Between
 * them there is nothing, unless the disk did not take it in time: then that is a hole.
 * false: the store answers.
 */
static bool begin_ring(struct question *q, struct replay *r)
{
    struct core *d = q->d;
    uint64_t first = journal_first(d->journal);

    r->seq = r->after + 1;
    r->page.gap_count = 0;
    if (r->seq >= first)
        return true;
    if (d->log_writer && r->after < journal_stored(d->journal)) {
        ask_store(q, r);
        return false;
    }
    if (d->log_writer)
        r->page.gaps[r->page.gap_count++] =
            (struct store_gap){r->seq, first - 1, "not_stored"};
    r->seq = first;
    return true;
}

/*
 * The ring's entry at r->seq is damaged.  The store has it, or knows it as lost, unless it has not come to
 * it yet.  false: the page ends before it.
 */
static bool pass_damage(const struct core *d, struct replay *r)
{
    return !(d->log_writer && r->seq <= journal_stored(d->journal)) &&
           core_page_damage(&r->page, r->seq);
}

static bool step(struct question *q, void *state, int64_t *work)
{
    const struct journal *journal = q->d->journal;
    struct replay *r = state;
    struct store_page *page = &r->page;
    struct journal_entry e;
    enum err read;

    if (!r->seen && !begin_ring(q, r))
        return true;
    /* What has left the ring between two slices is asked for with the next page. */
    for (; r->seq <= r->until && page->count < r->limit &&
           page->records.len < CORE_PAGE_BYTES && r->seen < CORE_PAGE_SCAN &&
           r->seq >= journal_first(journal);
         r->seq++, r->seen++) {
        if (*work <= 0)
            return false;
        --*work;
        read = journal_read(journal, r->seq, &e);
        if (read == ERR_MALFORMED && !pass_damage(q->d, r))
            break;
        if (read || !topic_matches(e.topic, &r->patterns))
            continue;
        core_page_add(page, &e);
        *work -= CORE_WORK_ENTRY;
    }
    if (r->seq == r->after + 1 && r->seq <= r->until &&
        journal_read(journal, r->seq, &e) == ERR_MALFORMED) {
        ask_store(q, r);
        return true;
    }
    page->first = core_first(q->d);
    page->upto = r->seq - 1;
    say_replay(q, page);
    return true;
}

static void end(void *state)
{
    store_page_clear(&((struct replay *)state)->page);
}

const struct core_slices core_replay_slices = {
    .op = "replay",
    .size = sizeof(struct replay),
    .start = start,
    .step = step,
    .end = end,
};
