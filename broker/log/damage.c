#include "broker/log/damage.h"

#include <stdio.h>
#include <string.h>

#include "shared/base/log.h"
#include "shared/base/array.h"

static bool is_one(const struct damage_range *r, uint64_t page, uint64_t first, uint64_t last)
{
    if (page && r->page == page)
        return true;
    if (!first || !r->first)
        return false;
    return first <= r->last + 1 && last + 1 >= r->first;
}

static void join(struct damage_range *r, uint64_t page, uint64_t first, uint64_t last)
{
    if (!r->first || (first && first < r->first))
        r->first = first;
    if (last > r->last)
        r->last = last;
    if (!r->page)
        r->page = page;
}

/* The range at `at` has grown: merge the ranges that now touch it. */
static void join_touching(struct damage *d, size_t at)
{
    for (size_t i = 0; i < d->count;) {
        struct damage_range *r = &d->ranges[at], other = d->ranges[i];

        if (i == at || strcmp(r->file, other.file) != 0 ||
            !is_one(r, other.page, other.first, other.last)) {
            i++;
            continue;
        }
        join(r, other.page, other.first, other.last);
        ARRAY_REMOVE(d->ranges, d->count, i);
        at -= i < at;
        i = 0;
    }
}

/* Is this position or page part of a known range? */
static bool is_known(struct damage *d, const char *file, uint64_t page, uint64_t first,
                     uint64_t last)
{
    for (size_t i = 0; i < d->count; i++) {
        struct damage_range *r = &d->ranges[i];

        if (strcmp(r->file, file) != 0 || !is_one(r, page, first, last))
            continue;
        join(r, page, first, last);
        join_touching(d, i);
        return true;
    }
    return false;
}

static void report(struct damage *d)
{
    const struct damage_range *r = &d->ranges[0];
    char page[64] = "a part", more[80] = "", what[100];

    if (r->page)
        snprintf(page, sizeof page, "page %llu", (unsigned long long)r->page);
    if (d->count > 1)
        snprintf(more, sizeof more, ", and %zu more ranges%s", d->count - 1,
                 d->has_more ? " at least" : "");
    snprintf(what, sizeof what, "positions %llu to %llu cannot be read",
             (unsigned long long)r->first, (unsigned long long)r->last);
    snprintf(d->text, sizeof d->text,
             "%.300s: %s is damaged: %s%s; clients that request them get 'lost' "
             "(damaged) and all other records. To have them again, stop the broker and "
             "restore a backup; look at the disk",
             r->file, page, r->first ? what : "the positions in it cannot be read", more);
}

void damage_note(struct damage *d, const char *file, uint64_t page, uint64_t first, uint64_t last)
{
    struct damage one = {.count = 1, .ranges = {{first, last, page, file}}};
    bool is_new = !is_known(d, file, page, first, last);

    if (is_new && d->count < DAMAGE_RANGES)
        d->ranges[d->count++] = one.ranges[0];
    else if (is_new)
        d->has_more = true;
    if (is_new && !d->has_more) {
        report(&one);
        log_error("%s", one.text);
    }
    if (d->count)
        report(d);
}

/* The first gap of a page is on the page of the file that is named. */
void damage_note_page(struct damage *d, const char *file, const struct store_page *page)
{
    uint64_t number = page->damaged_page;
    char text[DAMAGE_TEXT_MAX];

    if (!page->is_damaged)
        return;
    for (size_t i = 0; i < page->gap_count; i++) {
        const struct store_gap *gap = &page->gaps[i];

        if (strcmp(gap->reason, STORE_GAP_DAMAGED) != 0)
            continue;
        damage_note(d, file, number, gap->first, gap->last);
        number = 0;
    }
    if (d->text[0])
        return;
    snprintf(text, sizeof text,
             "%.400s: a part that helps to find records is damaged: no record is lost, "
             "but they are found slowly. Stop the broker and restore a backup; look at "
             "the disk",
             file);
    damage_note_other(d, text);
}

void damage_note_other(struct damage *d, const char *what)
{
    if (d->text[0])
        return;
    snprintf(d->text, sizeof d->text, "%s", what);
    log_error("%s", d->text);
}

uint64_t damage_positions(const struct damage *d)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < d->count; i++)
        sum += d->ranges[i].first ? d->ranges[i].last - d->ranges[i].first + 1 : 0;
    return sum;
}
