/* core_page: the common parts of the answers to replay, history and snapshot. */
#include <msgpack.h>
#include <string.h>

#include "broker/core/core_private.h"
#include "shared/wire/pack.h"

bool core_read_patterns(struct control_request *q, struct patterns *out)
{
    enum err e = patterns_parse(pack_find_text(q->map, "pattern"), out);

    if (e)
        answer_error(q, e, patterns_error_text(e));
    return !e;
}

uint64_t core_first(const struct core_log *log)
{
    uint64_t stored = log->log_writer ? log_writer_first(log->log_writer) : 0;
    uint64_t first = journal_first(log->journal);

    return stored && stored < first ? stored : first;
}

void core_page_begin(const struct core_log *log, struct control_request *q, uint32_t more_members,
                     uint64_t head, const struct store_page *page)
{
    answer_begin(q, CORE_PAGE_MEMBERS + more_members);
    pack_kv_u(&q->pk, "epoch", log->epoch);
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
    answer_add(q, buf_span(&page->records));
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

void core_store_request(const struct core_log *log, struct control_request *q, bool is_history,
                        const struct store_query *query)
{
    struct archive_ticket ticket = {.peer_len = q->peer.len, .id = q->id};

    if (q->peer.len > sizeof ticket.peer) {
        answer_error(q, ERR_INVALID, "peer identity too long");
        return;
    }
    memcpy(ticket.peer, q->peer.at, q->peer.len);
    if (log_writer_request(log->log_writer, is_history, query, &ticket))
        answer_error(q, ERR_FULL, "too many requests wait for the store: ask again");
}
