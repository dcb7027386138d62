/* store_rows: reads the rows of a range in order, and finds the positions missing between them. */
#include "broker/log/store_page.h"

/* After this many failed probes in a row, the steps grow. */
#define PROBES_MAX 4096
/*
 * Rows that one probe may skip.  A readable page between two damaged ones is found if it has this
 * many rows: a page of 8 KiB has 16 rows of 500 bytes.
 */
#define STEP_MAX 16

/* Positions above low up to high are still to be looked at. */
struct range {
    uint64_t low, high;
};

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static bool is_over(const struct store_reader *r)
{
    uint64_t max = r->query->max_scan ? r->query->max_scan : STORE_PAGE_SCAN;

    return r->rc || r->is_full || r->scanned >= max;
}

/* The page may have been shortened by a gap that did not fit. */
static void clip(const struct store_reader *r, struct range *todo)
{
    if (r->is_down && todo->low < r->low)
        todo->low = least(r->low, todo->high);
    if (!r->is_down && todo->high > r->high)
        todo->high = r->high > todo->low ? r->high : todo->low;
}

/* Mark everything up to and including `seq`, in reading order, as done. */
static void come_to(struct store_reader *r, struct range *todo, uint64_t seq)
{
    r->covered = seq;
    if (r->is_down)
        todo->high = seq - 1;
    else
        todo->low = seq;
}

/* If an epoch begins above the log's head, the positions before it were never stored. */
static uint64_t after_epochs(struct store_reader *r, uint64_t first, uint64_t last)
{
    sqlite3_stmt *stmt = store_statement(r->s, STORE_EPOCH_IN);
    uint64_t begin = 0;

    statement_bind_u(stmt, 1, first);
    statement_bind_u(stmt, 2, last + 1);
    if (sqlite3_step(stmt) == SQLITE_ROW)
        begin = statement_column_u(stmt, 0);
    sqlite3_reset(stmt);
    return begin > first ? begin : first;
}

/* These have no row.  false: the page ends before them. */
static bool miss(struct store_reader *r, struct range *todo, uint64_t first, uint64_t last)
{
    uint64_t known = after_epochs(r, first, last);

    if (known <= last && !store_damage_add(r, known, last))
        return false;
    come_to(r, todo, r->is_down ? first : last);
    return true;
}

/* Take the row at the cursor.  false: the page ends before it, or it is damaged. */
static bool take(struct store_reader *r, struct range *todo, sqlite3_stmt *stmt)
{
    uint64_t seq = statement_column_u(stmt, 0), expected = r->is_down ? todo->high : todo->low + 1;

    if (seq <= todo->low || seq > todo->high) {
        r->rc = SQLITE_CORRUPT; /* out of order */
        return false;
    }
    if (seq != expected &&
        !(r->is_down ? miss(r, todo, seq + 1, expected) : miss(r, todo, expected, seq - 1)))
        return false;
    if (!wire_is_private((uint64_t)sqlite3_column_int64(stmt, 2)) &&
        store_page_wants(r, sqlite3_column_int64(stmt, 1)) &&
        store_page_is_in_time(r, statement_column_u(stmt, 5)))
        store_page_add(r, stmt);
    if (r->rc)
        return false;
    come_to(r, todo, seq);
    return true;
}

/* Rows until the page is over, the range is, or r->rc is set.  false: the page ends here. */
static bool scan(struct store_reader *r, struct range *todo)
{
    sqlite3_stmt *stmt = store_statement(r->s, r->is_down ? STORE_ROWS_DOWN : STORE_ROWS_UP);
    uint64_t low = r->low, high = r->high;
    bool is_cut = false;
    int rc = SQLITE_ROW;

    statement_bind_u(stmt, 1, todo->low + 1);
    statement_bind_u(stmt, 2, todo->high);
    /* With another end of the range, another statement. */
    while (!is_cut && low == r->low && high == r->high && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        r->scanned++;
        is_cut = !take(r, todo, stmt) || is_over(r);
    }
    sqlite3_reset(stmt);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        r->rc = rc;
    if (rc == SQLITE_DONE && todo->low < todo->high)
        is_cut = !miss(r, todo, todo->low + 1, todo->high);
    return !is_cut && !r->rc;
}

/* Can what comes first from `seq` on be read, and is it in order? */
static bool probe(struct store_reader *r, uint64_t seq)
{
    sqlite3_stmt *stmt = store_statement(r->s, r->is_down ? STORE_ROW_UPTO : STORE_ROW_FROM);
    bool is_well;
    int rc;

    statement_bind_u(stmt, 1, seq);
    rc = sqlite3_step(stmt);
    r->scanned++;
    is_well = rc == SQLITE_DONE ||
              (rc == SQLITE_ROW && (r->is_down ? statement_column_u(stmt, 0) <= seq
                                               : statement_column_u(stmt, 0) >= seq));
    sqlite3_reset(stmt);
    return is_well;
}

/*
 * `distance` from where reading stopped to the next position that can be read, at most `most`: in
 * steps, and then the last step halved.
 */
static uint64_t find_readable(struct store_reader *r, uint64_t from, uint64_t most)
{
    uint64_t bad = 0, step = 1, probes = 0, next = 1;

#define AT(distance) (r->is_down ? from - (distance) : from + (distance))
    while (next < most && !probe(r, AT(next))) {
        bad = next;
        if (step < STEP_MAX || ++probes > PROBES_MAX)
            step *= 2;
        next = most - next > step ? next + step : most;
    }
    while (next - bad > 1) {
        uint64_t middle = bad + (next - bad) / 2;

        if (probe(r, AT(middle)))
            next = middle;
        else
            bad = middle;
    }
#undef AT
    return next;
}

/* Reading stopped at damage: go on behind it.  false: the page ends before it. */
static bool skip_damage(struct store_reader *r, struct range *todo)
{
    uint64_t from = r->is_down ? todo->high : todo->low + 1,
             count = find_readable(r, from, todo->high - todo->low);

    return r->is_down ? store_damage_add(r, from - count + 1, from) &&
                            (come_to(r, todo, from - count + 1), true)
                      : store_damage_add(r, from, from + count - 1) &&
                            (come_to(r, todo, from + count - 1), true);
}

bool store_rows_read(struct store_reader *r, uint64_t low, uint64_t high)
{
    struct range todo = {low, high};

    clip(r, &todo);
    while (todo.low < todo.high) {
        if (!scan(r, &todo)) {
            if (!store_damage_forgive(r))
                return false;
            clip(r, &todo);
            if (todo.low < todo.high && !skip_damage(r, &todo))
                return false;
        }
        clip(r, &todo);
        if (is_over(r))
            return false;
    }
    /* Where there are no rows, the page has come on even if its time was spent on the way. */
    r->covered = r->is_down ? todo.low + 1 : todo.high;
    return !is_over(r);
}
