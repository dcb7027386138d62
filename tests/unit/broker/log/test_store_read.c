#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/dice.h"
#include "tests/unit/broker/log/store_fixture.h"

static struct span symbol_of(uint64_t seq)
{
    return wire_topic_symbol(buf_span(&published[seq].topic));
}

static bool is_stored(uint64_t seq)
{
    return published[seq].frame.len && !published[seq].is_pruned;
}

static bool is_replayed(uint64_t seq, struct span patterns)
{
    return is_stored(seq) &&
           (published[seq].is_lost || quote_patterns_match(patterns, symbol_of(seq)));
}

static bool is_history(uint64_t seq, const struct store_query *q)
{
    return is_stored(seq) && !published[seq].is_lost &&
           quote_pattern_matches(q->patterns, symbol_of(seq)) &&
           published[seq].accepted_us >= q->since_us &&
           (!q->until_us || published[seq].accepted_us < q->until_us);
}

/* A gap of the naive log is reported exactly once, and only where positions are missing. */
static void check_gaps(const struct store_page *page, uint64_t low, uint64_t high)
{
    uint64_t reported = 0, missing = 0;

    for (size_t i = 0; i < page->gap_count; i++) {
        const struct store_gap *g = &page->gaps[i];

        assert_string_equal(g->reason, "ring overrun");
        for (uint64_t seq = g->first; seq <= g->last; seq++) {
            assert_int_equal(published[seq].frame.len, 0);
            reported += seq > low && seq <= high;
        }
    }
    for (uint64_t seq = low + 1; seq <= high; seq++)
        missing += !published[seq].frame.len && seq >= page->first;
    assert_int_equal(reported, missing);
}

static void check_replay(struct store_query q)
{
    uint64_t upto = q.after, until = q.until ? q.until : head;
    struct store_page page;

    do {
        struct span records;

        q.after = upto;
        assert_ok(store_replay(store, &q, &page, error));
        records = buf_span(&page.records);
        assert_int_equal(page.head, head);
        assert_true(page.upto > q.after && page.upto <= until);
        if (q.limit)
            assert_true(page.count <= q.limit);
        check_gaps(&page, q.after, page.upto);
        for (uint64_t seq = q.after + 1; seq <= page.upto; seq++)
            if (is_replayed(seq, q.patterns)) {
                check_record(&records, seq);
                page.count--;
            }
        assert_int_equal(page.count, 0);
        assert_int_equal(records.len, 0);
        upto = page.upto;
        store_page_clear(&page);
    } while (upto < until);
}

static void check_history(struct store_query q)
{
    uint64_t low = q.after, high = q.before && q.before <= head ? q.before - 1 : head, next;
    struct store_page page;

    do {
        struct span records;
        uint64_t from, to;

        if (q.newest_first)
            q.before = high + 1;
        else
            q.after = low;
        assert_ok(store_history(store, &q, &page, error));
        records = buf_span(&page.records);
        next = page.next;
        from = q.newest_first && next ? next - 1 : low;
        to = !q.newest_first && next ? next : high;
        assert_true(from < to || !next);
        check_gaps(&page, from, to);
        for (uint64_t i = 0; i < to - from; i++) {
            uint64_t seq = q.newest_first ? to - i : from + 1 + i;

            if (is_history(seq, &q))
                check_record(&records, seq);
        }
        assert_int_equal(records.len, 0);
        if (q.limit)
            assert_true(page.count <= q.limit);
        if (q.newest_first)
            high = next ? next - 1 : low;
        else
            low = next ? next : high;
        store_page_clear(&page);
    } while (next && low < high);
    assert_true(!next || low == high);
}

static struct store_query random_query(void)
{
    struct store_query q = {.limit = dice(3) ? 1 + dice(400) : 0,
                            .max_bytes = dice(3) ? 0 : 1 + dice(20000),
                            .max_scan = dice(3) ? 0 : 1 + dice(3000)};

    /* Small pages of a part, or the whole in large ones. */
    if (dice(20)) {
        q.after = dice((unsigned)head);
        q.until = q.after + 1 + dice(4000);
        if (q.until > head)
            q.until = head;
        q.before = q.until + 1;
    } else {
        q.limit = 20000;
        q.max_bytes = q.max_scan = 1 << 22;
    }
    return q;
}

static void check_random_replay(void)
{
    struct store_query q = random_query();
    char patterns[100];
    unsigned kind = dice(5), s = dice(8) ? dice(SYMBOLS) : dice(3);

    if (kind == 0)
        snprintf(patterns, sizeof patterns, "*");
    else if (kind == 1)
        snprintf(patterns, sizeof patterns, "S%u*", s);
    else if (kind == 2)
        snprintf(patterns, sizeof patterns, "S%u,S%u,S%u,NONE", s, dice(SYMBOLS), s);
    else if (kind == 3)
        snprintf(patterns, sizeof patterns, "NONE");
    else
        snprintf(patterns, sizeof patterns, "S%u", s);
    q.patterns = span_of(patterns);
    q.before = 0;
    check_replay(q);
}

static void check_random_history(void)
{
    struct store_query q = random_query();
    char symbol[24];

    snprintf(symbol, sizeof symbol, "S%u", dice(4) ? dice(SYMBOLS) : dice(3));
    q.patterns = span_of(symbol);
    q.newest_first = dice(2);
    q.until = 0;
    if (!dice(3))
        q.since_us = WALL_US + dice((unsigned)(now_us - WALL_US));
    if (!dice(3))
        q.until_us = WALL_US + dice((unsigned)(now_us - WALL_US));
    check_history(q);
}

static void check_last(void *ctx, const struct store_last *last)
{
    struct published *p = &published[last->seq];
    struct span symbol = wire_topic_symbol(buf_span(&p->topic));

    ++*(unsigned *)ctx;
    assert_int_equal(symbol.len, last->symbol.len);
    assert_memory_equal(symbol.at, last->symbol.at, symbol.len);
    if (last->record.len) {
        struct published *quote = &published[last->quote.seq];

        assert_int_equal(last->quote.kind, WIRE_QUOTE);
        assert_int_equal(last->record.len, quote->frame.len);
        assert_memory_equal(last->record.at, quote->frame.data, quote->frame.len);
        assert_true(span_eq(last->feed, "sim"));
    }
}

/* Dense and rare symbols, states, losses, gaps, several epochs, a clock that is set back. */
static void publish_random(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        unsigned rare = dice(10);

        now_us += dice(5);
        publish(dice(50) ? WIRE_QUOTE : WIRE_STATE, rare < 6 ? 0 : rare < 8 ? 1 : dice(SYMBOLS));
        if (!dice(400))
            publish_body(WIRE_LOST, 0, SPAN("\x80"));
    }
}

static void prune_random(uint64_t *first)
{
    uint64_t removed, max = 1 + dice(3000), keep = head - *first / 2;

    assert_ok(store_prune(store, keep, 0, max, &removed, error));
    assert_true(removed <= max);
    *first = state_now().first;
    for (uint64_t seq = 1; seq < *first; seq++)
        published[seq].is_pruned = true;
}

/* Check the blocks of which nothing was pruned. */
static void check_indexes(void)
{
    assert_string_equal(sqlite_says(path,
                                    "SELECT count(*) FROM blocks AS b WHERE block > (SELECT "
                                    "min(block) FROM blocks) AND (oldest, newest, records) IS NOT "
                                    "(SELECT min(accepted), max(accepted), count(*) FROM log "
                                    "WHERE seq >> 17 = b.block)"),
                        "0");
    assert_string_equal(
        sqlite_says(path, "SELECT count(*) FROM (SELECT seq >> 17 AS block, ifnull(symbol, 0)"
                          " AS symbol, max(seq) AS seq, count(*) AS records FROM log GROUP BY"
                          " 1, 2) AS l LEFT JOIN chain AS c USING (block, symbol) WHERE "
                          "block > (SELECT min(block) FROM blocks) AND (c.seq, c.records) "
                          "IS NOT (l.seq, l.records)"),
        "0");
}

static void replay_and_history_equal_a_naive_log(void **state)
{
    uint64_t first = 1;

    (void)state;
    dice_seed();
    open_store(STORE_WRITE);
    begin_epoch();
    /* Over two blocks of the index. */
    while (head < 200000) {
        if (!dice(8))
            publish_gap(1 + dice(500));
        publish_random(dice(8) ? dice(3000) : 20000);
        if (store_batch_is_empty(batch))
            continue;
        write_batch();
        if (!dice(10)) {
            epoch = epoch * 3 + 1;
            begin_epoch();
        }
        if (!dice(10))
            now_us -= 2000;
        if (head > 60000 && !dice(4))
            prune_random(&first);
        for (int i = 0; i < 6; i++) {
            check_random_replay();
            check_random_history();
        }
        if (!dice(20)) {
            close_store();
            open_store(STORE_WRITE);
        }
    }
    for (int i = 0; i < 100; i++) {
        check_random_replay();
        check_random_history();
    }
    assert_string_equal(sqlite_says(path, "PRAGMA integrity_check"), "ok");
    check_indexes();
}

static void last_values_are_those_of_the_log(void **state)
{
    unsigned count = 0, known = 0;

    (void)state;
    dice_seed();
    open_store(STORE_WRITE);
    begin_epoch();
    for (int i = 0; i < 50; i++) {
        publish_random(dice(500));
        if (!store_batch_is_empty(batch))
            write_batch();
    }
    close_store();
    open_store(STORE_READ);
    assert_ok(store_each_last(store, check_last, &count, error));
    for (unsigned s = 0; s < SYMBOLS; s++)
        known += last_seqs[s] > 0;
    assert_int_equal(count, known);
    assert_int_equal(state_now().last_loss, last_loss);
}

static void a_page_with_more_gaps_than_it_can_tell_ends_before(void **state)
{
    struct store_query q = {.patterns = SPAN("S0")};

    (void)state;
    open_store(STORE_WRITE);
    begin_epoch();
    for (int i = 0; i < STORE_PAGE_GAPS * 2 + 10; i++) {
        publish_gap(2);
        publish(WIRE_QUOTE, 0);
        write_batch();
    }
    check_replay(q);
    check_history(q);
    q.newest_first = true;
    check_history(q);
}

static void a_chain_that_leads_into_a_gap_is_no_page_without_end(void **state)
{
    struct store_query q = {.patterns = SPAN("S0"), .max_scan = 50};

    (void)state;
    make_store(30);
    publish_gap(600);
    q.after = 40;
    q.before = head + 1;
    q.newest_first = true;
    for (int i = 0; i < 300; i++) /* more than may be looked at, before the gap is reached */
        publish(WIRE_QUOTE, 0);
    write_batch();
    check_history(q);
}

static void a_rare_symbol_is_found_without_looking_at_the_others(void **state)
{
    struct store_query q = {.patterns = SPAN("S7"), .max_scan = 3000};
    struct store_page page;
    struct span records;

    (void)state;
    open_store(STORE_WRITE);
    begin_epoch();
    for (int i = 0; i < 100000; i++)
        publish(WIRE_QUOTE, i % 1000 == 999 ? 7 : 0);
    write_batch();
    assert_ok(store_replay(store, &q, &page, error));
    assert_int_equal(page.upto, head);
    assert_int_equal(page.count, 100);
    store_page_clear(&page);
    q.patterns = SPAN("S7*"); /* not so with a pattern: a bounded part, then */
    assert_ok(store_replay(store, &q, &page, error));
    assert_int_equal(page.upto, 3000);
    assert_int_equal(page.count, 3);
    store_page_clear(&page);
    q.patterns = SPAN("S7");
    q.newest_first = true;
    q.limit = 2;
    assert_ok(store_history(store, &q, &page, error));
    assert_int_equal(page.count, 2);
    records = buf_span(&page.records);
    check_record(&records, 100000);
    check_record(&records, 99000);
    assert_int_equal(page.next, 99000);
    store_page_clear(&page);
    q.limit = 10;
    q.newest_first = false;
    q.before = 50000;
    q.after = 49000;
    assert_ok(store_history(store, &q, &page, error));
    assert_int_equal(page.count, 0);
    assert_int_equal(page.next, 0);
    store_page_clear(&page);
}

static void what_lies_outside_the_log_is_an_empty_page(void **state)
{
    struct store_query q = {.patterns = SPAN("*"), .after = 1000};
    struct store_page page;

    (void)state;
    open_store(STORE_WRITE);
    assert_ok(store_replay(store, &q, &page, error));
    assert_int_equal(page.count + page.head + page.upto, 0);
    assert_int_equal(page.first, 1);
    begin_epoch();
    publish(WIRE_QUOTE, 1);
    write_batch();
    assert_ok(store_replay(store, &q, &page, error));
    assert_int_equal(page.count, 0);
    assert_int_equal(page.upto, 1);
    q.after = 0;
    q.patterns = SPAN("no symbol");
    assert_ok(store_history(store, &q, &page, error));
    assert_int_equal(page.count + page.next, 0);
    store_page_clear(&page);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(replay_and_history_equal_a_naive_log),
        TEST(last_values_are_those_of_the_log),
        TEST(a_page_with_more_gaps_than_it_can_tell_ends_before),
        TEST(a_chain_that_leads_into_a_gap_is_no_page_without_end),
        TEST(a_rare_symbol_is_found_without_looking_at_the_others),
        TEST(what_lies_outside_the_log_is_an_empty_page),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
