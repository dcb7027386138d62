/* The state after opening a ring whose damage is known to the byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/log/journal_ring.h"
#include "tests/unit/broker/log/journal_fixture.h"

#define ENTRY 40 /* bytes of each entry here */
#define COUNT 9

/* A ring of COUNT entries, all closed; up to `stored` they are in the store. */
static void filled(uint64_t stored)
{
    struct journal *j = begun();

    for (int n = 0; n < COUNT; n++)
        append(j, "A ", "12345");
    journal_set_stored(j, stored);
    journal_close(j, true);
}

/* Damage one byte of that position's entry: of its number, or of its record. */
static void damage(uint64_t seq, bool is_number)
{
    poke(AT(ring) + (size_t)(seq - 1) * ENTRY + (is_number ? 0 : 35), "\x5A", 1);
}

/* Positions from `first` on; those up to `damaged` are damaged, all others are readable. */
static void has(uint64_t first, uint64_t damaged)
{
    struct journal *j = opened();
    struct journal_entry e;

    assert_false(journal_identity(j)->is_damaged);
    assert_int_equal(journal_first(j), first);
    assert_int_equal(journal_head(j), COUNT);
    for (uint64_t seq = first; seq <= COUNT; seq++)
        assert_int_equal(journal_read(j, seq, &e), seq <= damaged ? ERR_MALFORMED : OK);
    assert_int_equal(journal_read(j, first - 1, &e), ERR_NOT_FOUND);
    append(j, "B ", "on");
    check_read(j, COUNT + 1, "B ", "on");
    journal_close(j, false);
    unlink(path);
}

static void a_new_ring_is_clean_and_begins_with_one(void **state)
{
    struct journal *j = opened();

    (void)state;
    assert_true(journal_identity(j)->is_new && journal_identity(j)->is_clean);
    assert_true(journal_identity(j)->is_same_boot);
    assert_int_equal(journal_identity(j)->next, 1);
    assert_int_equal(journal_head(j), 0);
    assert_int_equal(journal_first(j), 1);
    journal_close(j, false);
}

static void a_ring_knows_what_it_was_closed_with(void **state)
{
    const struct journal_identity *id;
    struct journal *j;

    (void)state;
    filled(4);
    j = opened();
    id = journal_identity(j);
    assert_false(id->is_new || id->is_damaged || id->is_old);
    assert_true(id->is_clean && id->is_same_boot);
    assert_int_equal(id->epoch, EPOCH);
    assert_int_equal(id->store_id, STORE);
    assert_int_equal(id->stored, 4);
    assert_int_equal(id->next, COUNT + 1);
    assert_int_equal(journal_stored(j), 4);
    journal_close(j, false);
    j = opened();
    assert_false(journal_identity(j)->is_clean);
    assert_true(journal_identity(j)->is_same_boot);
    journal_close(j, false);
}

static void the_oldest_that_are_damaged_are_missed_unless_they_are_stored(void **state)
{
    static const struct {
        uint64_t stored, first;
    } rows[] = {{0, 1}, {1, 2}, {2, 3}, {3, 4}, {4, 1}};

    (void)state;
    for (int is_number = 0; is_number < 2; is_number++)
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            filled(rows[i].stored);
            for (uint64_t seq = 1; seq <= 3; seq++)
                damage(seq, is_number);
            has(rows[i].first, 3);
        }
}

static void the_newest_that_are_damaged_keep_their_positions(void **state)
{
    struct journal_entry e;
    struct journal *j;

    (void)state;
    for (uint64_t bad = 1; bad <= 3; bad++) {
        filled(COUNT - bad);
        for (uint64_t seq = COUNT; seq > COUNT - bad; seq--)
            damage(seq, seq % 2);
        j = opened();
        assert_false(journal_identity(j)->is_damaged);
        assert_int_equal(journal_head(j), COUNT);
        for (uint64_t seq = 1; seq <= COUNT; seq++)
            assert_int_equal(journal_read(j, seq, &e), seq > COUNT - bad ? ERR_MALFORMED : OK);
        append(j, "B ", "on");
        check_read(j, COUNT + 1, "B ", "on");
        journal_close(j, false);
        unlink(path);
    }
}

static void a_ring_without_a_whole_entry_is_taken_as_empty(void **state)
{
    struct journal *j;

    (void)state;
    filled(3);
    for (uint64_t seq = 1; seq <= COUNT; seq++)
        damage(seq, false);
    j = opened();
    assert_true(journal_identity(j)->is_damaged);
    assert_int_equal(journal_identity(j)->next, 1); /* no position is readable */
    assert_int_equal(journal_bytes(j), 0);
    journal_close(j, false);
}

/* A feed that makes no sense: the entries are well, and count for the next position. */
static void a_damaged_ring_leads_on_above_every_position_it_has(void **state)
{
    static const struct {
        uint64_t last, next; /* the value of `last` in the file */
    } rows[] = {
        {COUNT, COUNT + 1}, {COUNT + 3, COUNT + 4},         {COUNT - 1, COUNT + 1},
        {0, COUNT + 1},     {(uint64_t)1 << 40, COUNT + 1},
    };
    struct journal *j;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        filled(3);
        poke_number(AT(last), rows[i].last);
        poke_number(AT(feeds), 1);
        j = opened();
        assert_true(journal_identity(j)->is_damaged);
        assert_int_equal(journal_identity(j)->next, rows[i].next);
        assert_int_equal(journal_identity(j)->epoch, EPOCH);
        journal_close(j, false);
        unlink(path);
    }
}

static void the_oldest_of_a_ring_that_has_turned_are_missed_unless_they_are_stored(void **state)
{
    uint64_t first, head, tail;
    struct journal_entry e;

    (void)state;
    /* -1: none is stored, and how many there were is known; -2: it is not, there were too many. */
    for (int stored_above = -2; stored_above < 3; stored_above++) {
        struct journal *j = begun();

        while (journal_first(j) <= (stored_above == -2 ? JOURNAL_BYTES_MIN / 32 : 1))
            append(j, "A ", "12345");
        first = journal_first(j);
        head = journal_head(j);
        if (stored_above >= 0)
            journal_set_stored(j, first + (uint64_t)stored_above);
        journal_close(j, true);
        tail = peek_number(AT(tail));
        for (size_t i = 0; i < 3; i++)
            poke(AT(ring) + (size_t)tail % (JOURNAL_BYTES_MIN & ~(size_t)7) + i * ENTRY + 35,
                 "\x5A", 1);
        j = opened();
        assert_false(journal_identity(j)->is_damaged);
        assert_int_equal(journal_head(j), head);
        assert_int_equal(journal_first(j), stored_above == -2 ? first + 3
                                           : stored_above == -1
                                               ? 1
                                               : first + (uint64_t)stored_above + 1);
        assert_int_equal(journal_read(j, first + 2, &e),
                         journal_first(j) > first + 2 ? ERR_NOT_FOUND : ERR_MALFORMED);
        check_read(j, first + 3, "A ", "12345");
        journal_close(j, false);
        unlink(path);
    }
}

/* --- lines of feeds ----------------------------------------------------------------------- */

static void the_last_line_of_each_feed_is_that_of_its_entries(void **state)
{
    struct journal_feed sim = {.name = "sim", .owner = "one", .epoch = 5, .received = 10};
    struct journal_feed csv = {.name = "csv", .owner = "two", .epoch = 6, .received = 50};
    struct journal *j = begun();

    (void)state;
    journal_set_feed(j, 0, &sim);
    journal_set_feed(j, 1, &csv);
    journal_append(j, 0, 11, SPAN("A "), SPAN("1"));
    journal_append(j, 0, 13, SPAN("A "), SPAN("2"));
    journal_append(j, 0, 12, SPAN("A "), SPAN("3"));
    journal_append(j, 1, 49, SPAN("B "), (struct span){filler, 400});
    append(j, "C ", "of no feed");
    journal_close(j, true);
    j = opened();
    assert_int_equal(journal_feed(j, 0)->received, 13);
    assert_int_equal(journal_feed(j, 1)->received, 50);
    sim.received = 3; /* another owner: earlier lines do not count */
    journal_set_feed(j, 0, &sim);
    journal_append(j, 0, 4, SPAN("A "), SPAN("5"));
    journal_close(j, true);
    j = opened();
    assert_int_equal(journal_feed(j, 0)->received, 4);
    journal_close(j, true);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static void a_damaged_ring_that_has_turned_leads_on_above_its_positions(void **state)
{
    struct journal *j = begun();
    uint64_t head;

    (void)state;
    while (journal_first(j) <= JOURNAL_BYTES_MIN / 32)
        append(j, "A ", "12345");
    head = journal_head(j);
    journal_close(j, true);
    poke_number(AT(last), 0);
    poke_number(AT(feeds), 1);
    j = opened();
    assert_true(journal_identity(j)->is_damaged);
    assert_int_equal(journal_identity(j)->next, head + 1);
    journal_close(j, false);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_new_ring_is_clean_and_begins_with_one),
        TEST(a_ring_knows_what_it_was_closed_with),
        TEST(the_oldest_that_are_damaged_are_missed_unless_they_are_stored),
        TEST(the_newest_that_are_damaged_keep_their_positions),
        TEST(a_ring_without_a_whole_entry_is_taken_as_empty),
        TEST(a_damaged_ring_leads_on_above_every_position_it_has),
        TEST(a_damaged_ring_that_has_turned_leads_on_above_its_positions),
        TEST(the_oldest_of_a_ring_that_has_turned_are_missed_unless_they_are_stored),
        TEST(the_last_line_of_each_feed_is_that_of_its_entries),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
