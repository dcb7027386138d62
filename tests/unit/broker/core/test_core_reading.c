/* Pages of one symbol, read from a ring of this test in slices of any size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/core/core_private.h"
#include "shared/wire/pack.h"

#define SYMBOLS 3 /* "A", "B" and "C" */

static struct journal *ring;
static uint64_t last[SYMBOLS]; /* position */
static struct buf text;

static int set_up(void **state)
{
    char error[JOURNAL_ERROR_MAX];

    (void)state;
    assert_int_equal(journal_open(NULL, JOURNAL_BYTES_MIN, &ring, error), OK);
    journal_begin(ring, 7, 0, 1);
    memset(last, 0, sizeof last);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    journal_close(ring, false);
    buf_free(&text);
    return 0;
}

static void append_with_prev(int symbol, uint64_t prev)
{
    struct wire_record r = {.kind = WIRE_QUOTE,
                            .epoch = 7,
                            .seq = journal_head(ring) + 1,
                            .prev = prev,
                            .accepted_us = 1000 * (journal_head(ring) + 1),
                            .body = SPAN("\x80")};
    struct buf record = {0};
    char topic[] = "A ";

    topic[0] = (char)(topic[0] + symbol);
    wire_put(&record, &r);
    journal_append(ring, 0, r.seq, (struct span){topic, 2}, buf_span(&record));
    buf_free(&record);
    last[symbol] = r.seq;
}

/* Append one record for each letter. */
static void append(const char *letters)
{
    for (; *letters; letters++)
        append_with_prev(*letters - 'A', last[*letters - 'A']);
}

static void damage(uint64_t seq)
{
    struct journal_entry e;

    assert_int_equal(journal_read(ring, seq, &e), OK);
    ((char *)e.record.at)[e.record.len - 1] ^= 1;
    assert_int_equal(journal_read(ring, seq, &e), ERR_MALFORMED);
}

struct request {
    int symbol;
    bool newest;
    uint64_t low, high, since, until, limit;
};

static struct core_reading begin(const struct request *q)
{
    char symbol = (char)('A' + q->symbol);
    struct core_reading r = {.journal = ring,
                             .low = q->low,
                             .high = q->high ? q->high : journal_head(ring),
                             .query = {.since_us = q->since,
                                       .until_us = q->until,
                                       .limit = q->limit ? q->limit : 100,
                                       .newest_first = q->newest}};

    core_reading_begin(&r, (struct span){&symbol, 1}, last[q->symbol]);
    return r;
}

/* "9 7 next 5 gap 3-3", as the page has it. */
static const char *page_text(const struct core_reading *r)
{
    struct span at = buf_span(&r->page.records);
    struct pack_value pair, topic, frame;
    struct wire_record record;
    uint64_t count = 0;

    buf_clear(&text);
    for (; pack_next(&at, &pair); count++) {
        assert_true(pack_next(&at, &topic) && pack_next(&at, &frame));
        assert_int_equal(wire_read(frame.text, &record, NULL), OK);
        buf_printf(&text, "%llu ", (unsigned long long)record.seq);
    }
    assert_int_equal(count, r->page.count);
    buf_printf(&text, "next %llu", (unsigned long long)r->page.next);
    for (size_t i = 0; i < r->page.gap_count; i++)
        buf_printf(&text, " gap %llu-%llu", (unsigned long long)r->page.gaps[i].first,
                   (unsigned long long)r->page.gaps[i].last);
    return buf_text(&text);
}

/* The page, in slices of each size. */
static void reads(struct request q, const char *want)
{
    for (int64_t slice = 1; slice < 40; slice += 6) {
        struct core_reading r = begin(&q);
        int slices = 0;

        for (int64_t work = slice; !core_reading_step(&r, &work); work = slice)
            assert_in_range(++slices, 1, 1000);
        assert_string_equal(page_text(&r), want);
        core_reading_end(&r);
        assert_null(r.found);
    }
}

static void the_newest_come_first_and_next_leads_on_below_them(void **state)
{
    (void)state;
    append("ABABCAB"); /* A: 1 3 6 */
    reads((struct request){.newest = true}, "6 3 1 next 0");
    reads((struct request){.newest = true, .limit = 3}, "6 3 1 next 0");
    reads((struct request){.newest = true, .limit = 2}, "6 3 next 2");
    reads((struct request){.newest = true, .high = 6}, "6 3 1 next 0");
    reads((struct request){.newest = true, .high = 5}, "3 1 next 0");
    reads((struct request){.newest = true, .high = 3, .limit = 1}, "3 next 2");
    reads((struct request){.newest = true, .low = 1}, "6 3 next 0");
    reads((struct request){.newest = true, .low = 3, .high = 5}, "next 0");
    reads((struct request){.newest = true, .low = 6, .high = 6}, "next 0");
}

static void the_oldest_come_first_and_next_leads_on_above_them(void **state)
{
    (void)state;
    append("ABABCAB");
    reads((struct request){.limit = 100}, "1 3 6 next 0");
    reads((struct request){.limit = 3}, "1 3 6 next 0");
    reads((struct request){.limit = 2}, "1 3 next 3");
    reads((struct request){.limit = 1}, "1 next 1");
    reads((struct request){.low = 1}, "3 6 next 0");
    reads((struct request){.high = 5}, "1 3 next 0");
    reads((struct request){.high = 6}, "1 3 6 next 0");
    reads((struct request){.low = 3, .high = 5}, "next 0");
    reads((struct request){.low = 6, .high = 6}, "next 0");
}

/* Position n was accepted at 1000 n. */
static void times_are_from_and_with_one_up_to_but_without_the_other(void **state)
{
    (void)state;
    append("AAAAA");
    for (int newest = 0; newest < 2; newest++) {
        bool is_newest = newest;

        reads((struct request){.newest = is_newest, .since = 3000},
              newest ? "5 4 3 next 0" : "3 4 5 next 0");
        reads((struct request){.newest = is_newest, .since = 3001},
              newest ? "5 4 next 0" : "4 5 next 0");
        reads((struct request){.newest = is_newest, .until = 3000},
              newest ? "2 1 next 0" : "1 2 next 0");
        reads((struct request){.newest = is_newest, .until = 3001},
              newest ? "3 2 1 next 0" : "1 2 3 next 0");
    }
}

static void a_link_that_leads_nowhere_is_left_for_the_entry_below(void **state)
{
    (void)state;
    append("AA");
    append_with_prev(0, 3); /* itself */
    append("BA");
    reads((struct request){.newest = true}, "5 3 2 1 next 0");
    reads((struct request){.limit = 100}, "1 2 3 5 next 0");
    reads((struct request){.limit = 2}, "1 2 next 2");
}

static void a_damaged_entry_is_a_gap_and_the_page_leads_on_below_it(void **state)
{
    struct core_reading r;
    int64_t work = 1000;

    (void)state;
    append("AABAA"); /* A: 1 2 4 5 */
    damage(2);
    reads((struct request){.newest = true}, "5 4 next 2 gap 2-2");
    reads((struct request){.newest = true, .high = 2}, "next 2 gap 2-2");
    reads((struct request){.newest = true, .high = 1}, "1 next 0");
    reads((struct request){.limit = 100}, "1 4 5 next 0 gap 2-2");
    r = begin(&(struct request){.newest = true});
    assert_int_equal(r.damaged, 0);
    assert_true(core_reading_step(&r, &work));
    assert_int_equal(r.damaged, 2);
    assert_int_equal(r.covered, 4);
    core_reading_end(&r);
}

static void so_much_work_is_done_in_a_slice(void **state)
{
    struct core_reading r;
    int64_t work = 2 * (1 + CORE_WORK_ENTRY);

    (void)state;
    append("AAAA");
    r = begin(&(struct request){.newest = true});
    assert_false(core_reading_step(&r, &work));
    assert_int_equal(work, 0);
    assert_string_equal(page_text(&r), "4 3 next 0");
    work = 2 * (1 + CORE_WORK_ENTRY) + 1;
    assert_true(core_reading_step(&r, &work));
    assert_int_equal(work, 1);
    core_reading_end(&r);

    r = begin(&(struct request){.limit = 100});
    work = 4; /* each is found, */
    assert_false(core_reading_step(&r, &work));
    assert_int_equal(work, 0);
    assert_string_equal(page_text(&r), "next 0");
    work = 4 * (1 + CORE_WORK_ENTRY) + 1; /* and put */
    assert_true(core_reading_step(&r, &work));
    assert_int_equal(work, 1);
    assert_string_equal(page_text(&r), "1 2 3 4 next 0");
    assert_true(core_reading_step(&r, &work)); /* it is done, and stays so */
    core_reading_end(&r);

    work = 0;
    r = begin(&(struct request){.low = 4});
    assert_true(core_reading_step(&r, &work)); /* there was nothing to do */
    core_reading_end(&r);
}

static void what_leaves_the_ring_meanwhile_is_cut_off(void **state)
{
    struct core_reading r;
    uint64_t first;
    int64_t work = 2;

    (void)state;
    append("AAAA");
    r = begin(&(struct request){.limit = 100});
    assert_false(core_reading_step(&r, &work));
    assert_false(r.is_cut);
    while (journal_first(ring) == 1)
        append("B");
    first = journal_first(ring);
    assert_int_equal(r.low, 0);
    work = 1;
    (void)core_reading_step(&r, &work);
    assert_true(r.is_cut);
    assert_int_equal(r.low, first - 1);
    core_reading_end(&r);

    r = begin(&(struct request){.newest = true, .symbol = 1, .low = first - 1});
    work = 1;
    assert_false(core_reading_step(&r, &work));
    assert_false(r.is_cut); /* it is just above the oldest entry */
    core_reading_end(&r);
}

static void what_a_page_looks_at_is_bounded(void **state)
{
    struct core_reading r;
    int64_t work = INT64_MAX;

    char error[JOURNAL_ERROR_MAX];

    (void)state;
    journal_close(ring, false);
    assert_int_equal(journal_open(NULL, 8 << 20, &ring, error), OK);
    journal_begin(ring, 7, 0, 1);
    append("A");
    for (int i = 0; i < CORE_PAGE_SCAN; i++)
        append("B");
    r = begin(&(struct request){.newest = true, .symbol = 1, .since = UINT64_MAX});
    assert_true(core_reading_step(&r, &work)); /* all of B, and no more */
    assert_string_equal(page_text(&r), "next 0");
    core_reading_end(&r);
    append("B");
    work = INT64_MAX;
    r = begin(&(struct request){.newest = true, .symbol = 1, .since = UINT64_MAX});
    assert_true(core_reading_step(&r, &work));
    assert_string_equal(page_text(&r), "next 3");
    core_reading_end(&r);
    work = INT64_MAX; /* the way down is too long: read as many from below */
    r = begin(&(struct request){.symbol = 1, .since = UINT64_MAX});
    assert_true(core_reading_step(&r, &work));
    assert_string_equal(page_text(&r), "next 20000");
    core_reading_end(&r);
    work = INT64_MAX; /* of a symbol that may have none, newest first, read from below */
    last[2] = journal_head(ring);
    r = begin(&(struct request){.symbol = 2, .newest = true, .high = 20001});
    assert_true(core_reading_step(&r, &work));
    assert_string_equal(page_text(&r), "next 2");
    core_reading_end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(the_newest_come_first_and_next_leads_on_below_them),
        TEST(the_oldest_come_first_and_next_leads_on_above_them),
        TEST(times_are_from_and_with_one_up_to_but_without_the_other),
        TEST(a_link_that_leads_nowhere_is_left_for_the_entry_below),
        TEST(a_damaged_entry_is_a_gap_and_the_page_leads_on_below_it),
        TEST(so_much_work_is_done_in_a_slice),
        TEST(what_leaves_the_ring_meanwhile_is_cut_off),
        TEST(what_a_page_looks_at_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
