/* store_damage: what of the file cannot be read, as positions and as a page. */
#include <stdlib.h>
#include <string.h>

#include "broker/log/store_page.h"
#include "shared/base/mem.h"
#include "shared/base/array.h"

bool store_damage_forgive(struct store_reader *r)
{
    bool is_damage = store_error_is_damage(r->rc);

    if (is_damage) {
        r->rc = SQLITE_OK;
        r->page.is_damaged = true;
    }
    /* A sector that cannot be read ends the transaction, a page that makes no sense does not. */
    if (is_damage && sqlite3_get_autocommit(r->s->file.db))
        r->rc = database_begin(&r->s->file, false);
    return is_damage;
}

/* --- pages -------------------------------------------------------------------------- */

#define HEADER 100 /* of the file, on its first page */
#define DEPTH_MAX 20
#define TABLE_INTERIOR 5
#define VARINT_MAX 9

/* https://www.sqlite.org/fileformat2.html#b_tree_pages: how kinds of pages differ. */
static uint64_t get_number(const unsigned char *at, int bytes)
{
    uint64_t n = 0;

    for (int i = 0; i < bytes; i++)
        n = n << 8 | at[i];
    return n;
}

static uint64_t get_varint(const unsigned char *at)
{
    uint64_t n = 0;

    for (int i = 0; i < 8; i++) {
        n = n << 7 | (at[i] & 0x7F);
        if (!(at[i] & 0x80))
            return n;
    }
    return n << 8 | at[8];
}

static uint64_t root_of_log(struct store *s)
{
    uint64_t root = 0;
    int rc = statement_number(s->file.db, "SELECT rootpage FROM sqlite_master WHERE name = 'log'",
                              &root);

    return rc ? 0 : root;
}

/* The child page that leads to `seq`; 0: this page is not a page of the log's tree. */
static uint64_t child_for(const unsigned char *page, size_t size, size_t start, uint64_t seq)
{
    uint64_t cells = get_number(page + start + 3, 2);

    if (start + 12 + cells * 2 > size)
        return 0;
    for (uint64_t i = 0; i < cells; i++) {
        uint64_t at = get_number(page + start + 12 + i * 2, 2);

        if (at < start + 12 || at + 5 > size)
            return 0;
        if (seq <= get_varint(page + at + 4))
            return get_number(page + at, 4);
    }
    return get_number(page + start + 8, 4);
}

/*
 * The page of FILE that should have position `seq` of the log; 0: unknown. The search follows the
 * tree as SQLite does, in FILE only: it ignores FILE-wal, because old pages of the log do not
 * change.  FILE must not be opened again: closing it would drop SQLite's locks.
 */
static uint64_t find_page(struct store *s, uint64_t seq)
{
    sqlite3_file *file = NULL;
    sqlite3_int64 bytes = 0;
    uint64_t number = root_of_log(s), found = 0;
    unsigned char *page;

    if (sqlite3_file_control(s->file.db, "main", SQLITE_FCNTL_FILE_POINTER, &file) || !file ||
        !file->pMethods || file->pMethods->xFileSize(file, &bytes) || s->page_size < 512)
        return 0;
    page = mem_zalloc(s->page_size + VARINT_MAX); /* the last number may be cut short */
    for (int depth = 0; depth < DEPTH_MAX && number && !found; depth++) {
        size_t start = number == 1 ? HEADER : 0;
        uint64_t child = 0;

        if (number > (uint64_t)bytes / s->page_size)
            break;
        if (!file->pMethods->xRead(file, page, (int)s->page_size,
                                   (sqlite3_int64)((number - 1) * s->page_size)) &&
            page[start] == TABLE_INTERIOR)
            child = child_for(page, s->page_size, start, seq);
        if (!child || child > (uint64_t)bytes / s->page_size)
            found = number; /* the leaf, or one that makes no sense */
        number = child;
    }
    free(page);
    return found;
}

/* --- gaps --------------------------------------------------------------------------- */

/* The gap of the page that this position is in, or NULL and the next one in *next, if any. */
static const struct store_gap *gap_at(const struct store_reader *r, uint64_t seq,
                                      const struct store_gap **next)
{
    *next = NULL;
    for (size_t i = 0; i < r->page.gap_count; i++) {
        const struct store_gap *gap = &r->page.gaps[i];

        if (gap->first <= seq && seq <= gap->last)
            return gap;
        if (!*next && (r->is_down ? gap->last < seq : gap->first > seq))
            *next = gap;
    }
    return NULL;
}

static bool is_joined(struct store_gap *gap, uint64_t first, uint64_t last)
{
    if (strcmp(gap->reason, STORE_GAP_DAMAGED) != 0)
        return false;
    if (gap->last + 1 == first)
        gap->last = last;
    else if (last + 1 == gap->first)
        gap->first = first;
    else
        return false;
    return true;
}

/* Drop the farthest gap to make room: the page ends before it. */
static void cut_farthest(struct store_reader *r)
{
    const struct store_gap *gap = &r->page.gaps[--r->page.gap_count];

    if (r->is_down)
        r->low = gap->last;
    else
        r->high = gap->first - 1;
    r->is_cut = true;
}

/* Insert the gap in order.  false: there is no room. */
static bool put_gap(struct store_reader *r, uint64_t first, uint64_t last)
{
    struct store_page *page = &r->page;
    size_t at = 0;

    while (at < page->gap_count &&
           (r->is_down ? page->gaps[at].first > last : page->gaps[at].last < first))
        at++;
    page->is_damaged = true;
    if (!page->damaged_page)
        page->damaged_page = find_page(r->s, first);
    if (at && is_joined(&page->gaps[at - 1], first, last))
        return true;
    if (page->gap_count == STORE_PAGE_GAPS) {
        if (at == page->gap_count)
            return false;
        cut_farthest(r);
    }
    ARRAY_INSERT(page->gaps, page->gap_count, at,
                 (struct store_gap){first, last, STORE_GAP_DAMAGED});
    return true;
}

static bool add_up(struct store_reader *r, uint64_t first, uint64_t last)
{
    for (uint64_t at = first, end; at <= last && at <= r->high; at = end + 1) {
        const struct store_gap *next, *gap = gap_at(r, at, &next);

        if (gap) {
            end = gap->last;
            continue;
        }
        end = next && next->first <= last ? next->first - 1 : last;
        if (!put_gap(r, at, end)) {
            r->covered = at - 1;
            return false;
        }
    }
    return true;
}

static bool add_down(struct store_reader *r, uint64_t first, uint64_t last)
{
    for (uint64_t at = last, end; at >= first && at > r->low; at = end - 1) {
        const struct store_gap *next, *gap = gap_at(r, at, &next);

        if (gap) {
            end = gap->first;
            continue;
        }
        end = next && next->last >= first ? next->last + 1 : first;
        if (!put_gap(r, end, at)) {
            r->covered = at + 1;
            return false;
        }
    }
    return true;
}

bool store_damage_add(struct store_reader *r, uint64_t first, uint64_t last)
{
    return r->is_down ? add_down(r, first, last) : add_up(r, first, last);
}
