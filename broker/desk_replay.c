/* desk_replay: what lies in the log between two positions (docs/protocol.md §2). */
#include <string.h>

#include "broker/desk_private.h"
#include "shared/pack.h"

static bool topic_matches(struct span topic, struct span patterns)
{
    struct span symbol = wire_topic_symbol(topic);

    return !symbol.len /* losses concern everybody */ ||
           quote_patterns_match(patterns, symbol);
}

uint64_t desk_first(const struct desk *d)
{
    uint64_t stored = d->keeper ? keeper_first(d->keeper) : 0;
    uint64_t first = journal_first(d->journal);

    return stored && stored < first ? stored : first;
}

void desk_answer_page(struct question *q, uint32_t more_members, uint64_t head,
                      const struct store_page *page)
{
    desk_answer_begin(q, DESK_PAGE_MEMBERS + more_members);
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
    msgpack_pack_array(&q->pk, page->count);
    buf_add(&q->d->answer, page->records.data, page->records.len);
}

void desk_page_add(struct store_page *page, const struct journal_entry *e)
{
    msgpack_packer pk;

    msgpack_packer_init(&pk, &page->records, buf_pack_write);
    msgpack_pack_array(&pk, 2);
    pack_text(&pk, e->topic);
    msgpack_pack_bin_with_body(&pk, e->record.at, e->record.len);
    page->count++;
}

void desk_ask_store(struct question *q, bool is_history,
                    const struct store_query *query)
{
    struct archive_ticket ticket = {.peer_len = q->peer.len, .id = q->id};

    if (q->peer.len > sizeof ticket.peer) {
        desk_answer_error(q, ERR_INVALID, "peer identity too long");
        return;
    }
    memcpy(ticket.peer, q->peer.at, q->peer.len);
    if (keeper_ask(q->d->keeper, is_history, query, &ticket))
        desk_answer_error(q, ERR_FULL, "too many questions to the store: ask again");
}

static void say_replay(struct question *q, const struct store_page *page)
{
    desk_answer_page(q, 1, journal_head(q->d->journal), page);
    pack_kv_u(&q->pk, "upto", page->upto);
    desk_answer_say(q);
}

void desk_take_answers(struct desk *d)
{
    struct archive_result r;

    while (keeper_take_answer(d->keeper, &r)) {
        struct question q = {.d = d,
                             .peer = {r.ticket.peer, r.ticket.peer_len},
                             .id = r.ticket.id,
                             .op = r.is_history ? SPAN("history") : SPAN("replay")};

        if (r.error)
            desk_answer_error(&q, r.error, r.text);
        else if (r.is_history)
            desk_history_answer(&q, &r);
        else
            say_replay(&q, &r.page);
        archive_result_clear(&r);
    }
}

/* From the ring: what lies in (after, until]; what is missing before it is a gap. */
static void replay_ring(struct question *q, struct span pattern, uint64_t after,
                        uint64_t until, uint64_t limit)
{
    struct desk *d = q->d;
    uint64_t seq = after + 1, first = journal_first(d->journal), seen = 0;
    struct store_page page = {.first = desk_first(d)};
    struct journal_entry e;

    if (d->keeper && seq < first)
        page.gaps[page.gap_count++] = (struct store_gap){seq, first - 1, "not_stored"};
    if (seq < first)
        seq = first;
    for (; seq <= until && page.count < limit && page.records.len < DESK_PAGE_BYTES &&
           seen < DESK_PAGE_SCAN;
         seq++, seen++)
        if (!journal_read(d->journal, seq, &e) && topic_matches(e.topic, pattern))
            desk_page_add(&page, &e);
    page.upto = seq - 1;
    say_replay(q, &page);
    store_page_clear(&page);
}

/*
 * What the ring has is answered at once; what is older, by the store, later.  Between them there
 * is nothing, unless the disk did not take it in time: then that is a hole.
 */
void desk_replay(struct question *q)
{
    struct desk *d = q->d;
    struct span pattern = pack_find_text(q->map, "pattern");
    uint64_t head = journal_head(d->journal), first = journal_first(d->journal),
             after = pack_find_u(q->map, "after", 0),
             until = pack_find_u(q->map, "until", head),
             limit = pack_find_u(q->map, "limit", DESK_PAGE_ENTRIES);

    if (limit > DESK_PAGE_ENTRIES)
        limit = DESK_PAGE_ENTRIES;
    if (after > head)
        after = head;
    if (until > head)
        until = head;
    if (d->keeper && after + 1 < first && after < journal_stored(d->journal))
        desk_ask_store(
            q, false,
            &(struct store_query){
                .patterns = pattern, .after = after, .until = until, .limit = limit});
    else
        replay_ring(q, pattern, after, until, limit);
}
