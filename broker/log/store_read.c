/*
 * store_read: one page of the log.
 *
 * Two ways to find records.  Rows: every row of a range is looked at.  Chain: block by block,
 * from a symbol's last record there back along prev.  Where a chain is long (the symbol is
 * much of the block anyway) or broken (by a gap), the rows of that one block are looked at.
 */
#include <stdlib.h>
#include <string.h>

#include "broker/log/store_page.h"
#include "shared/base/array.h"

#define CHAIN_MAX 4096 /* records of a symbol in a block worth following */

/* The positions found in one block. */
struct positions {
    uint64_t *at;
    size_t count, cap;
};

enum walk { WALK_WHOLE, WALK_BROKEN };

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t block_first(uint64_t block)
{
    return block << STORE_BLOCK_BITS;
}

static uint64_t block_last(uint64_t block)
{
    return block_first(block + 1) - 1;
}

static bool is_over(const struct store_reader *r)
{
    uint64_t max = r->query->max_scan ? r->query->max_scan : STORE_PAGE_SCAN;

    return r->rc || r->is_full || r->scanned >= max;
}

/* Take one row; false if there is none, or r->rc is set. */
static bool take_row(struct store_reader *r, sqlite3_stmt *stmt)
{
    int rc = sqlite3_step(stmt);

    if (rc == SQLITE_ROW)
        return true;
    if (rc != SQLITE_DONE)
        r->rc = rc;
    return false;
}

/* A symbol's last position in the block; false: it does not occur. */
static bool find_chain(struct store_reader *r, uint64_t block, int64_t id, uint64_t *seq,
                       uint64_t *records)
{
    sqlite3_stmt *stmt = store_statement(r->s, STORE_CHAIN_AT);
    bool is_there;

    statement_bind_u(stmt, 1, block);
    sqlite3_bind_int64(stmt, 2, id);
    is_there = take_row(r, stmt);
    if (is_there) {
        *seq = statement_column_u(stmt, 0);
        *records = statement_column_u(stmt, 1);
    } else if (store_damage_forgive(r)) {
        *seq = block_last(block);
        *records = UINT64_MAX; /* the rows still have it */
        is_there = true;
    }
    sqlite3_reset(stmt);
    r->scanned++;
    return is_there;
}

/*
 * The row at a position of the chain of `id`; false: the chain is broken here, or r->rc is
 * set.  The caller resets the statement.
 */
static bool step_to(struct store_reader *r, sqlite3_stmt *stmt, uint64_t seq, int64_t id,
                    int symbol_column)
{
    sqlite3_reset(stmt);
    statement_bind_u(stmt, 1, seq);
    r->scanned++;
    if (take_row(r, stmt))
        return sqlite3_column_int64(stmt, symbol_column) == id;
    (void)store_damage_forgive(r); /* the chain is broken: the rows show what is lost */
    return false;
}

static void keep_position(struct positions *p, uint64_t seq)
{
    ARRAY_ADD(p->at, p->cap, p->count, seq);
}

/* The positions of one symbol above low up to high, from its last one in the block. */
static enum walk walk_chain(struct store_reader *r, int64_t id, uint64_t seq, uint64_t low,
                            uint64_t high, struct positions *p)
{
    sqlite3_stmt *stmt = store_statement(r->s, STORE_STEP_AT);
    enum walk walk = WALK_WHOLE;

    for (size_t steps = 0; seq > low && seq >= r->first; steps++) {
        uint64_t prev;

        if (steps == CHAIN_MAX || !step_to(r, stmt, seq, id, 0)) {
            walk = WALK_BROKEN;
            break;
        }
        if (seq <= high && store_page_is_in_time(r, statement_column_u(stmt, 2)))
            keep_position(p, seq);
        prev = statement_column_u(stmt, 1);
        if (prev >= seq) {
            walk = WALK_BROKEN;
            break;
        }
        seq = prev;
    }
    sqlite3_reset(stmt);
    return walk;
}

static int compare_positions(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static bool add_positions(struct store_reader *r, struct positions *p)
{
    sqlite3_stmt *stmt = r->s->file.statements[STORE_ROW_AT];

    if (p->count)
        qsort(p->at, p->count, sizeof *p->at, compare_positions);
    for (size_t i = 0; i < p->count && !r->rc && !r->is_full; i++) {
        if (p->at[i] > r->high)
            break;
        sqlite3_reset(stmt);
        statement_bind_u(stmt, 1, p->at[i]);
        if (take_row(r, stmt))
            store_page_add(r, stmt);
        if (store_damage_forgive(r) && !store_damage_add(r, p->at[i], p->at[i]))
            r->is_full = true;
        else
            r->covered = p->at[i];
    }
    sqlite3_reset(stmt);
    return !r->rc && !r->is_full;
}

/* One block, ascending. */
static bool read_block_up(struct store_reader *r, uint64_t block)
{
    uint64_t low = block_first(block) > r->low + 1 ? block_first(block) - 1 : r->low,
             high = least(r->high, block_last(block)), seq, records;
    struct positions found = {0};
    enum walk walk = WALK_WHOLE;
    bool go_on;

    for (size_t i = 0; i < r->id_count && walk == WALK_WHOLE && !r->rc; i++)
        if (find_chain(r, block, r->ids[i], &seq, &records))
            walk = records > CHAIN_MAX ? WALK_BROKEN
                                       : walk_chain(r, r->ids[i], seq, low, high, &found);
    if (r->rc)
        go_on = false;
    else if (walk == WALK_BROKEN)
        go_on = store_rows_read(r, low, high);
    else
        go_on = add_positions(r, &found);
    free(found.at);
    if (go_on)
        r->covered = least(high, r->high);
    return go_on && !is_over(r);
}

/*
 * Read one block, newest first: records go into the page in the order in which they are read.
 * *older (0 if unknown) is where the chain continues.
 */
static bool read_block_down(struct store_reader *r, uint64_t block, uint64_t *older)
{
    uint64_t low = block_first(block) > r->low + 1 ? block_first(block) - 1 : r->low,
             high = least(r->high, block_last(block)), seq, records;
    sqlite3_stmt *stmt = store_statement(r->s, STORE_ROW_AT);
    bool is_broken = false;

    *older = 0;
    if (!find_chain(r, block, r->ids[0], &seq, &records)) {
        r->covered = low + 1;
        return !is_over(r);
    }
    if (records > CHAIN_MAX && (seq > high || records == UINT64_MAX))
        return store_rows_read(r, low, high);
    while (seq > low && seq > r->low && seq >= r->first && !is_broken) {
        uint64_t prev;

        is_broken = !step_to(r, stmt, seq, r->ids[0], 1);
        if (is_broken)
            break;
        prev = statement_column_u(stmt, 3);
        if (seq <= high) {
            if (store_page_is_in_time(r, statement_column_u(stmt, 5)))
                store_page_add(r, stmt);
            if (store_damage_forgive(r) && !store_damage_add(r, seq, seq))
                return false;
            r->covered = seq;
            if (is_over(r))
                break;
        }
        is_broken = prev >= seq;
        seq = is_broken ? seq - 1 : prev;
    }
    sqlite3_reset(stmt);
    if (r->rc || r->is_full)
        return false;
    if (is_broken)
        return store_rows_read(r, low, least(seq, high));
    if (is_over(r) && r->covered <= high)
        return false;
    r->covered = (low > r->low ? low : r->low) + 1;
    *older = seq;
    return !is_over(r);
}

/* The next block at or beyond *block that has records of the requested time. */
static bool next_block(struct store_reader *r, uint64_t *block)
{
    const struct store_query *q = r->query;
    sqlite3_stmt *stmt = store_statement(r->s, r->is_down ? STORE_BLOCK_DOWN : STORE_BLOCK_UP);
    bool is_there;

    statement_bind_u(stmt, 1, r->is_down ? STORE_BLOCK_OF(r->low + 1) : *block);
    statement_bind_u(stmt, 2, r->is_down ? *block : STORE_BLOCK_OF(r->high));
    statement_bind_u(stmt, 3, least(q->since_us, INT64_MAX));
    statement_bind_u(stmt, 4, q->until_us ? least(q->until_us, INT64_MAX) : INT64_MAX);
    is_there = take_row(r, stmt);
    if (is_there)
        *block = statement_column_u(stmt, 0);
    sqlite3_reset(stmt);
    return is_there;
}

static bool read_up(struct store_reader *r)
{
    uint64_t block = STORE_BLOCK_OF(r->low + 1);

    while (next_block(r, &block))
        if (!read_block_up(r, block++))
            return false;
    if (!store_damage_forgive(r))
        return !r->rc;
    /* The blocks cannot be read: every row, then. */
    return store_rows_read(r, r->covered, r->high);
}

/* Where a symbol's chain begins, 0: nowhere. */
static uint64_t last_of(struct store_reader *r, int64_t id)
{
    sqlite3_stmt *stmt = store_statement(r->s, STORE_LAST_OF);
    uint64_t seq = 0;

    sqlite3_bind_int64(stmt, 1, id);
    if (take_row(r, stmt))
        seq = statement_column_u(stmt, 0);
    else if (store_damage_forgive(r))
        seq = r->high;
    sqlite3_reset(stmt);
    return seq;
}

static bool read_down(struct store_reader *r)
{
    uint64_t block = STORE_BLOCK_OF(least(r->high, last_of(r, r->ids[0]))), older;

    while (!r->rc && next_block(r, &block)) {
        if (!read_block_down(r, block, &older))
            return false;
        /*
         * Blocks between a record and its predecessor have no record, unless the predecessor is
         * gone.
         */
        if (older && STORE_BLOCK_OF(older) < block)
            block = STORE_BLOCK_OF(older);
        else if (block-- == 0)
            break;
    }
    if (!store_damage_forgive(r))
        return !r->rc;
    return store_rows_read(r, r->low, r->covered - 1);
}

static void read_page(struct store_reader *r)
{
    bool is_whole = true;

    store_page_find_gaps(r);
    r->covered = r->is_down ? r->high + 1 : r->low;
    if (r->rc)
        return;
    if (r->low < r->high && r->is_by_id && r->id_count)
        is_whole = r->is_down ? read_down(r) : read_up(r);
    else if (r->low < r->high && !r->is_by_id)
        is_whole = store_rows_read(r, r->low, r->high);
    if (r->rc)
        return;
    if (is_whole)
        r->covered = r->is_down ? r->low + 1 : r->high;
    r->page.upto = r->covered;
    r->page.next = is_whole && !r->is_cut ? 0 : r->covered;
    store_page_drop_gaps(r);
}

static void add_id(struct store_reader *r, struct span symbol)
{
    sqlite3_stmt *stmt = store_statement(r->s, STORE_SYMBOL_ID);
    int64_t id = 0;

    statement_bind_text(stmt, 1, symbol);
    if (take_row(r, stmt))
        id = sqlite3_column_int64(stmt, 0);
    sqlite3_reset(stmt);
    if (store_damage_forgive(r))
        r->is_by_id = false; /* its name may still be found row by row */
    for (size_t i = 0; i < r->id_count; i++)
        if (r->ids[i] == id)
            return;
    if (id)
        r->ids[r->id_count++] = id;
}

/* If the patterns are a short list of exact symbols, look them up. */
static void resolve(struct store_reader *r, bool is_history)
{
    struct span rest = r->query->patterns;
    size_t count = 0;

    r->is_by_id = true;
    if (is_history) {
        if (quote_is_symbol(rest))
            add_id(r, rest);
        return;
    }
    r->ids[r->id_count++] = 0; /* losses concern every receiver */
    while (rest.len) {
        const char *comma = memchr(rest.at, ',', rest.len);
        struct span one = {rest.at, comma ? (size_t)(comma - rest.at) : rest.len};

        rest.at += one.len + (comma != NULL);
        rest.len -= one.len + (comma != NULL);
        if (!quote_is_symbol(one) || ++count == STORE_PAGE_IDS) {
            r->is_by_id = false;
            return;
        }
        add_id(r, one);
        if (!r->is_by_id)
            return;
    }
}

static void set_range(struct store_reader *r, bool is_history)
{
    const struct store_query *q = r->query;
    uint64_t bound = is_history ? (q->before ? q->before - 1 : 0) : q->until;
    bool is_bound = is_history ? q->before > 0 : q->until > 0;

    r->high = is_bound ? least(bound, r->page.head) : r->page.head;
    r->low = q->after;
    if (r->first && r->low < r->first - 1)
        r->low = r->first - 1;
    r->low = least(r->low, r->high);
}

/* Even the start of the log cannot be read: report everything requested as lost. */
static void lose_all(struct store_reader *r)
{
    const struct store_state *known = &r->s->known;
    const struct store_query *q = r->query;

    store_page_clear(&r->page);
    r->page.first = known->first;
    r->page.head = known->head;
    set_range(r, r->is_history);
    if (!r->is_history && r->low >= r->high && q->until > q->after) {
        r->low = q->after; /* newer than the known head: the request states the end */
        r->high = q->until;
    }
    r->page.upto = r->high;
    r->rc = SQLITE_OK;
    if (r->low >= r->high)
        return;
    r->page.is_damaged = true;
    r->page.damaged_page = 1; /* the first page of the file, which leads to all others */
    r->page.gaps[r->page.gap_count++] = (struct store_gap){r->low + 1, r->high, STORE_GAP_DAMAGED};
}

static enum err read_store(struct store *s, const struct store_query *query, bool is_history,
                           struct store_page *out, char error[STORE_ERROR_MAX])
{
    struct store_reader r = {.s = s, .query = query, .is_history = is_history};
    struct store_state state = {0};

    r.is_down = is_history && query->newest_first;
    r.rc = database_begin(&s->file, false);
    if (!r.rc) {
        r.rc = store_read_state(s, &state);
        r.first = r.page.first = state.first;
        r.page.head = state.head;
        set_range(&r, is_history);
        if (!r.rc)
            resolve(&r, is_history);
        if (!r.rc)
            read_page(&r);
        database_end_read(&s->file);
    }
    free(r.wanted);
    if (store_error_is_damage(r.rc))
        lose_all(&r);
    if (r.rc) {
        store_page_clear(&r.page);
        return database_error(&s->file, r.rc, "read the log", error);
    }
    *out = r.page;
    return OK;
}

enum err store_replay(struct store *s, const struct store_query *query, struct store_page *out,
                      char error[STORE_ERROR_MAX])
{
    return read_store(s, query, false, out, error);
}

enum err store_history(struct store *s, const struct store_query *query, struct store_page *out,
                       char error[STORE_ERROR_MAX])
{
    return read_store(s, query, true, out, error);
}
