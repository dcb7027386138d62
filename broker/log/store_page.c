#include "broker/log/store_page.h"

#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/array.h"
#include "shared/wire/pack.h"

#define BYTES_DEFAULT (256 * 1024)
/*
 * An id above this is damage: ids are given in sequence, and the table of symbols grows up to the
 * highest id.
 */
#define ID_MAX ((int64_t)1 << 24)

void store_page_clear(struct store_page *p)
{
    buf_free(&p->records);
    *p = (struct store_page){0};
}

/* The name of a symbol; .len 0 if it cannot be read, and then r->rc is set. */
static struct span name_of(struct store_reader *r, int64_t id)
{
    struct store *s = r->s;
    struct store_name *name;
    struct span text;
    sqlite3_stmt *stmt;

    if (id > 0 && (size_t)id < s->name_cap && s->names[id].len)
        return (struct span){s->names[id].text, s->names[id].len};
    stmt = store_statement(s, STORE_SYMBOL_NAME);
    sqlite3_bind_int64(stmt, 1, id);
    r->rc = sqlite3_step(stmt);
    text = statement_column_span(stmt, 0);
    if (r->rc != SQLITE_ROW || id <= 0 || id > ID_MAX || !quote_is_symbol(text)) {
        r->rc = r->rc == SQLITE_ROW || r->rc == SQLITE_DONE ? SQLITE_CORRUPT : r->rc;
        return SPAN("");
    }
    r->rc = SQLITE_OK;
    ARRAY_RESERVE_ZEROED(s->names, s->name_cap, (size_t)id + 1);
    name = &s->names[id];
    memcpy(name->text, text.at, text.len);
    name->len = (uint8_t)text.len;
    sqlite3_reset(stmt);
    return (struct span){name->text, name->len};
}

static bool is_among_ids(const struct store_reader *r, int64_t id)
{
    for (size_t i = 0; i < r->id_count; i++)
        if (r->ids[i] == id)
            return true;
    return false;
}

bool store_page_wants(struct store_reader *r, int64_t id)
{
    struct span name;

    if (r->is_by_id)
        return is_among_ids(r, id);
    if (!id)
        return !r->is_history;
    if (id > 0 && (size_t)id < r->wanted_cap && r->wanted[id])
        return r->wanted[id] == 2;
    name = name_of(r, id);
    if (r->rc)
        return false;
    ARRAY_RESERVE_ZEROED(r->wanted, r->wanted_cap, (size_t)id + 1);
    r->wanted[id] = 1 + quote_patterns_match(r->query->patterns, name);
    return r->wanted[id] == 2;
}

bool store_page_is_in_time(const struct store_reader *r, uint64_t accepted_us)
{
    return accepted_us >= r->query->since_us &&
           (!r->query->until_us || accepted_us < r->query->until_us);
}

static void find_epoch(struct store_reader *r, uint64_t seq)
{
    sqlite3_stmt *stmt;

    if (r->epoch && seq >= r->epoch_first && seq < r->epoch_end)
        return;
    stmt = store_statement(r->s, STORE_EPOCH_OF);
    statement_bind_u(stmt, 1, seq);
    r->rc = sqlite3_step(stmt);
    if (r->rc == SQLITE_ROW) {
        r->epoch = statement_column_u(stmt, 0);
        r->epoch_first = statement_column_u(stmt, 1);
        r->epoch_end = statement_column_u(stmt, 2);
        if (!r->epoch_end)
            r->epoch_end = UINT64_MAX;
        r->rc = SQLITE_OK;
    } else if (r->rc == SQLITE_DONE) {
        r->rc = SQLITE_CORRUPT;
    }
    sqlite3_reset(stmt);
}

/* A record without these properties was never stored, so it must be damaged. */
static bool is_sane(const struct wire_record *r, int64_t id)
{
    bool is_loss = r->kind == WIRE_LOST;

    return (r->kind == WIRE_QUOTE || r->kind == WIRE_STATE || is_loss) && is_loss == !id &&
           r->prev < r->seq && r->body.len && r->body.len <= QUOTE_BYTES_MAX &&
           !pack_check(r->body);
}

void store_page_add(struct store_reader *r, sqlite3_stmt *row)
{
    struct store_page *page = &r->page;
    int64_t id = sqlite3_column_int64(row, 1);
    struct wire_record record = {.seq = statement_column_u(row, 0),
                                 .kind = (enum wire_kind)sqlite3_column_int(row, 2),
                                 .prev = statement_column_u(row, 3),
                                 .sent_us = statement_column_u(row, 4),
                                 .accepted_us = statement_column_u(row, 5),
                                 .body = statement_column_span(row, 6)};
    char topic[WIRE_TOPIC_MAX];
    struct span name = {"", 0}, loss = SPAN(WIRE_TOPIC_LOST);
    uint64_t max_bytes = r->query->max_bytes ? r->query->max_bytes : BYTES_DEFAULT;
    msgpack_packer pk;

    if (id)
        name = name_of(r, id);
    if (!r->rc)
        find_epoch(r, record.seq);
    if (!r->rc && !is_sane(&record, id))
        r->rc = SQLITE_CORRUPT;
    if (r->rc)
        return;
    record.epoch = r->epoch;
    msgpack_packer_init(&pk, &page->records, buf_pack_write);
    msgpack_pack_array(&pk, 2);
    pack_text(&pk, id ? (struct span){topic, wire_topic(topic, name)} : loss);
    msgpack_pack_bin(&pk, WIRE_HEADER_SIZE + record.body.len);
    wire_put(&page->records, &record);
    page->count++;
    r->is_full =
        (r->query->limit && page->count >= r->query->limit) || page->records.len >= max_bytes;
}

/* Is the gap in the range, and after the previous one? */
static bool is_gap_sane(const struct store_reader *r, const struct store_gap *gap)
{
    const struct store_gap *before =
        r->page.gap_count ? &r->page.gaps[r->page.gap_count - 1] : NULL;

    if (!gap->first || gap->last < gap->first || gap->first > r->high || gap->last <= r->low)
        return false;
    return !before || (r->is_down ? gap->last < before->first : gap->first > before->last);
}

void store_page_find_gaps(struct store_reader *r)
{
    sqlite3_stmt *stmt = store_statement(r->s, r->is_down ? STORE_GAPS_DOWN : STORE_GAPS_UP);
    struct store_page *page = &r->page;

    statement_bind_u(stmt, 1, r->low);
    statement_bind_u(stmt, 2, r->high);
    while ((r->rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct store_gap *gap = &page->gaps[page->gap_count];

        if (page->gap_count == STORE_PAGE_GAPS) {
            if (r->is_down)
                r->low = statement_column_u(stmt, 1);
            else
                r->high = statement_column_u(stmt, 0) - 1;
            r->is_cut = true;
            break;
        }
        gap->first = statement_column_u(stmt, 0);
        gap->last = statement_column_u(stmt, 1);
        if (!is_gap_sane(r, gap))
            continue;
        span_copy(gap->reason, sizeof gap->reason, statement_column_span(stmt, 2));
        page->gap_count++;
    }
    /* A gap that cannot be read is reported as damage: its positions have no rows. */
    if (r->rc == SQLITE_ROW || r->rc == SQLITE_DONE || store_error_is_damage(r->rc))
        r->rc = SQLITE_OK;
    sqlite3_reset(stmt);
}

void store_page_drop_gaps(struct store_reader *r)
{
    struct store_page *page = &r->page;

    while (page->gap_count) {
        const struct store_gap *gap = &page->gaps[page->gap_count - 1];

        if (r->is_down ? gap->last >= r->covered : gap->first <= r->covered)
            break;
        page->gap_count--;
    }
}
