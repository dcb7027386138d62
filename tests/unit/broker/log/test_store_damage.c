/* A damaged page of the log's file: exactly the unreadable positions are reported as lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "tests/unit/dice.h"
#include "tests/unit/broker/log/store_fixture.h"

#define PAGE 8192

enum fate { FATE_NONE, FATE_READ, FATE_LOST };

static enum fate *fates; /* [1 … head] */
static bool *is_hit;     /* [1 … head]: in a damaged page */

/* --- damage ------------------------------------------------------------------------- */

/* The pages of a table or index, in order, while no page is damaged. */
static unsigned *find_pages(const char *table, const char *type, unsigned *count)
{
    unsigned *pages = NULL;
    sqlite3_stmt *stmt;
    sqlite3 *db;

    *count = 0;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db,
                                        "SELECT pageno FROM dbstat WHERE name = ?1 AND"
                                        " pagetype = ?2 ORDER BY path",
                                        -1, &stmt, NULL),
                     SQLITE_OK);
    sqlite3_bind_text(stmt, 1, table, -1, SQLITE_STATIC);
    sqlite3_bind_text(stmt, 2, type, -1, SQLITE_STATIC);
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        pages = realloc(pages, (*count + 1) * sizeof *pages);
        pages[(*count)++] = (unsigned)sqlite3_column_int(stmt, 0);
    }
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    assert_true(*count > 0);
    return pages;
}

static unsigned first_page(const char *table)
{
    unsigned count, *pages = find_pages(table, "leaf", &count), first = pages[0];

    free(pages);
    return first;
}

static void use_page(unsigned number, unsigned char page[PAGE], bool is_write)
{
    int fd = open(path, O_RDWR);
    off_t at = (off_t)(number - 1) * PAGE;

    assert_true(fd >= 0);
    assert_int_equal(is_write ? pwrite(fd, page, PAGE, at) : pread(fd, page, PAGE, at), PAGE);
    close(fd);
}

static uint64_t varint(const unsigned char **at)
{
    uint64_t n = 0;

    do
        n = n << 7 | (**at & 0x7F);
    while (*(*at)++ & 0x80);
    return n;
}

/* The positions that a leaf of the log holds count as hit. */
static void mark_hit(const unsigned char *page)
{
    unsigned cells = (unsigned)page[3] << 8 | page[4];

    assert_int_equal(page[0], 13);
    for (unsigned i = 0; i < cells; i++) {
        const unsigned char *cell = page + ((unsigned)page[8 + 2 * i] << 8 | page[9 + 2 * i]);
        uint64_t seq;

        (void)varint(&cell);
        seq = varint(&cell);
        assert_true(seq && seq <= head);
        is_hit[seq] = true;
    }
}

static void fill(unsigned char page[PAGE], int how)
{
    for (size_t i = 0; i < PAGE; i++)
        page[i] = how == 0 ? 0 : how == 1 ? 0xFF : how == 2 ? 0xA5 : (unsigned char)random();
    if (how == 3 && (page[0] == 13 || page[0] == 5))
        page[0] = 0; /* by chance a page of a table */
}

static void damage_log_leaf(unsigned number, int how)
{
    unsigned char page[PAGE];

    use_page(number, page, false);
    mark_hit(page);
    fill(page, how);
    use_page(number, page, true);
}

static void damage_page(unsigned number)
{
    unsigned char page[PAGE];

    fill(page, 0);
    use_page(number, page, true);
}

/* --- what is read ------------------------------------------------------------------- */

static void start_reading(void)
{
    memset(fates, 0, (size_t)(head + 1) * sizeof *fates);
}

static void take_page(struct store_page *page)
{
    struct span records = buf_span(&page->records);
    struct pack_value v;
    struct wire_record r;

    for (uint64_t i = 0; i < page->count; i++) {
        struct span at = records;

        assert_true(pack_next(&at, &v) && pack_next(&at, &v) && pack_next(&at, &v));
        assert_int_equal(wire_read(v.text, &r, NULL), OK);
        assert_true(r.seq && r.seq <= head && fates[r.seq] == FATE_NONE);
        check_record(&records, r.seq);
        fates[r.seq] = FATE_READ;
    }
    for (size_t i = 0; i < page->gap_count; i++) {
        const struct store_gap *g = &page->gaps[i];

        if (strcmp(g->reason, STORE_GAP_DAMAGED) != 0)
            continue;
        assert_true(g->first <= g->last && g->last <= head);
        for (uint64_t seq = g->first; seq <= g->last; seq++) {
            assert_true(fates[seq] != FATE_READ);
            fates[seq] = FATE_LOST;
        }
    }
    store_page_clear(page);
}

/* Every page advances, and the number of pages is bounded. */
static void replay_all(struct span patterns, uint64_t limit)
{
    struct store_query q = {.patterns = patterns, .until = head, .limit = limit};
    struct store_page page;

    start_reading();
    while (q.after < head) {
        assert_ok(store_replay(store, &q, &page, error));
        assert_true(page.upto > q.after && page.upto <= head);
        q.after = page.upto;
        take_page(&page);
    }
}

static void history_all(struct span symbol, bool newest_first)
{
    struct store_query q = {.patterns = symbol, .newest_first = newest_first, .limit = 1000};
    struct store_page page;
    uint64_t next;

    start_reading();
    do {
        assert_ok(store_history(store, &q, &page, error));
        next = page.next;
        take_page(&page);
        assert_true(!next || (newest_first ? !q.before || next < q.before : next > q.after));
        q.before = newest_first ? next : 0;
        q.after = newest_first ? 0 : next;
    } while (next);
}

/* Each matching record was read or reported as lost, and only damaged ones are lost. */
static void check_fates(struct span patterns, bool is_exact)
{
    unsigned lost = 0;

    for (uint64_t seq = 1; seq <= head; seq++) {
        bool is_wanted =
            published[seq].frame.len &&
            quote_patterns_match(patterns, wire_topic_symbol(buf_span(&published[seq].topic)));

        if (is_wanted && fates[seq] == FATE_NONE)
            fail_msg("position %llu is neither read nor lost", (unsigned long long)seq);
        if (is_exact && fates[seq] == FATE_LOST && !is_hit[seq])
            fail_msg("%s: position %llu is told as lost and is there", patterns.at,
                     (unsigned long long)seq);
        if (is_wanted && is_hit[seq] && fates[seq] != FATE_LOST)
            fail_msg("position %llu cannot be there", (unsigned long long)seq);
        lost += fates[seq] == FATE_LOST;
    }
    print_message("%u lost\n", lost);
}

static void check_all(bool is_exact)
{
    static const char *const patterns[] = {"*", "S0", "S1,S2", "S2*"};

    for (size_t i = 0; i < LENGTH(patterns); i++) {
        replay_all(span_of(patterns[i]), i == 1 ? 7 : 0);
        check_fates(span_of(patterns[i]), is_exact);
    }
    for (int i = 0; i < 2; i++) {
        history_all(SPAN("S1"), i == 1);
        check_fates(SPAN("S1"), is_exact);
    }
}

static void make_log(unsigned count)
{
    make_store(count);
    close_store();
    fates = calloc((size_t)head + 1, sizeof *fates);
    is_hit = calloc((size_t)head + 1, sizeof *is_hit);
}

static int forget(void **state)
{
    free(fates);
    free(is_hit);
    fates = NULL;
    is_hit = NULL;
    return tear_down(state);
}

/* --- tests -------------------------------------------------------------------------- */

static void a_damaged_page_of_the_log_is_reported_as_exactly_its_positions(void **state)
{
    struct store_query q = {.patterns = SPAN("*"), .limit = 1};
    struct store_page page;
    unsigned count, *pages;

    (void)state;
    dice_seed();
    make_log(30000);
    pages = find_pages("log", "leaf", &count);
    for (int how = 0; how < 4; how++) {
        unsigned number = pages[5 + 20 * (unsigned)how + dice(20)];

        damage_log_leaf(number, how);
        open_store(STORE_WRITE);
        check_all(true);
        for (q.after = 0; !is_hit[q.after + 1]; q.after++)
            ;
        assert_ok(store_replay(store, &q, &page, error));
        assert_int_equal(page.gaps[0].first, q.after + 1);
        if (how == 0)
            assert_int_equal(page.damaged_page, number);
        store_page_clear(&page);
        /* New records are stored all the same. */
        publish(WIRE_QUOTE, 1);
        fates = realloc(fates, (size_t)(head + 1) * sizeof *fates);
        is_hit = realloc(is_hit, (size_t)(head + 1) * sizeof *is_hit);
        is_hit[head] = false;
        write_batch();
        close_store();
    }
    free(pages);
}

static void many_damaged_pages_leave_what_lies_between_them(void **state)
{
    unsigned count, *pages;

    (void)state;
    dice_seed();
    make_log(30000);
    pages = find_pages("log", "leaf", &count);
    for (unsigned i = 2; i + 2 < count; i += 2)
        damage_log_leaf(pages[i], 0);
    free(pages);
    open_store(STORE_READ);
    check_all(true);
}

static void the_first_page_of_the_log_may_be_the_damaged_one(void **state)
{
    (void)state;
    make_log(5000);
    damage_log_leaf(first_page("log"), 1);
    open_store(STORE_WRITE);
    assert_int_equal(state_now().first, 1);
    check_all(true);
}

static void an_inner_page_takes_its_part_of_the_log_and_no_more(void **state)
{
    unsigned count, *pages;
    unsigned char page[PAGE];
    uint64_t first = 0, lost = 0;

    (void)state;
    make_log(120000);
    pages = find_pages("log", "internal", &count);
    assert_true(count >= 3); /* the first is the root */
    use_page(pages[1], page, false);
    assert_int_equal(page[0], 5);
    damage_page(pages[1]);
    free(pages);
    open_store(STORE_READ);
    replay_all(SPAN("*"), 0);
    for (uint64_t seq = 1; seq <= head; seq++) {
        assert_true(fates[seq] != FATE_NONE);
        lost += fates[seq] == FATE_LOST;
        if (!first && fates[seq] == FATE_LOST)
            first = seq;
    }
    print_message("%llu of %llu lost, from %llu on\n", (unsigned long long)lost,
                  (unsigned long long)head, (unsigned long long)first);
    assert_true(lost && lost < head);
}

static void damaged_indexes_cost_time_and_no_record(void **state)
{
    static const char *const tables[] = {"chain", "blocks", "last_value", "gaps"};

    (void)state;
    make_log(5000);
    for (size_t i = 0; i < LENGTH(tables); i++) {
        unsigned char page[PAGE], noise[PAGE];
        unsigned number = first_page(tables[i]);

        use_page(number, page, false);
        fill(noise, 2);
        open_store(STORE_READ); /* pages that are damaged after the start */
        use_page(number, noise, true);
        check_all(true);
        close_store();
        use_page(number, page, true);
    }
}

static void what_cannot_be_named_or_dated_is_lost(void **state)
{
    static const char *const tables[] = {"symbols", "sqlite_autoindex_symbols_1", "epochs"};

    (void)state;
    make_log(5000);
    for (size_t i = 0; i < LENGTH(tables); i++) {
        unsigned char page[PAGE], noise[PAGE];
        unsigned number = first_page(tables[i]);

        use_page(number, page, false);
        fill(noise, 0);
        open_store(STORE_READ);
        use_page(number, noise, true);
        check_all(false);
        close_store();
        use_page(number, page, true);
    }
}

static void without_its_first_page_everything_is_read_or_lost(void **state)
{
    (void)state;
    make_log(5000);
    open_store(STORE_READ);
    damage_page(1);
    check_all(false);
}

static void a_row_that_makes_no_sense_is_lost(void **state)
{
    (void)state;
    make_log(5000);
    assert_string_equal(sqlite_says(path, "UPDATE log SET body = x'c1' WHERE seq = 100;"
                                          "UPDATE log SET body = x'' WHERE seq = 101;"
                                          "UPDATE log SET kind = 77 WHERE seq = 102;"
                                          "UPDATE log SET symbol = 1 << 40 WHERE seq = 200;"
                                          "UPDATE log SET symbol = -5 WHERE seq = 201;"
                                          "UPDATE log SET prev = 4000 WHERE seq = 300;"
                                          "DELETE FROM log WHERE seq = 400;"),
                        "");
    is_hit[100] = is_hit[101] = is_hit[102] = is_hit[200] = is_hit[201] = is_hit[300] =
        is_hit[400] = true;
    open_store(STORE_READ);
    replay_all(SPAN("*"), 0);
    check_fates(SPAN("*"), true);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, forget)
    const struct CMUnitTest tests[] = {
        TEST(a_damaged_page_of_the_log_is_reported_as_exactly_its_positions),
        TEST(many_damaged_pages_leave_what_lies_between_them),
        TEST(the_first_page_of_the_log_may_be_the_damaged_one),
        TEST(an_inner_page_takes_its_part_of_the_log_and_no_more),
        TEST(damaged_indexes_cost_time_and_no_record),
        TEST(what_cannot_be_named_or_dated_is_lost),
        TEST(without_its_first_page_everything_is_read_or_lost),
        TEST(a_row_that_makes_no_sense_is_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
