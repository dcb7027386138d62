#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "broker/core/book.h"
#include "tests/unit/dice.h"

#define SYMBOLS 5000 /* several doublings of the table */

static struct span name_of(unsigned i)
{
    static char name[QUOTE_SYMBOL_MAX + 1];

    snprintf(name, sizeof name, i % 3 ? "S%u" : "LONGER/%u.X", i);
    return span_of(name);
}

static void a_symbol_is_found_under_its_own_name_only(void **state)
{
    struct book *b = book_new(10);
    struct book_entry *e = book_add(b, SPAN("EUR/USD"));

    (void)state;
    assert_non_null(e);
    assert_string_equal(e->symbol, "EUR/USD");
    assert_int_equal(e->symbol_len, 7);
    assert_true(!e->seq && !e->record.len && !e->is_stale);
    assert_ptr_equal(book_find(b, SPAN("EUR/USD")), e);
    assert_ptr_equal(book_add(b, SPAN("EUR/USD")), e);
    assert_null(book_find(b, SPAN("EUR/US")));
    assert_null(book_find(b, SPAN("EUR/USD.")));
    assert_null(book_find(b, SPAN("")));
    assert_int_equal(book_count(b), 1);
    book_free(b);
    book_free(NULL);
}

static void the_longest_symbol_fits(void **state)
{
    struct book *b = book_new(10);
    struct span longest = SPAN("ABCDEFGHIJKLMNOPQRSTUVWXYZ012345");

    (void)state;
    assert_string_equal(book_add(b, longest)->symbol, longest.at);
    assert_non_null(book_find(b, longest));
    book_free(b);
}

static void a_full_book_takes_no_new_symbol_but_keeps_the_old(void **state)
{
    struct book *b = book_new(3);

    (void)state;
    for (unsigned i = 0; i < 3; i++)
        assert_non_null(book_add(b, name_of(i)));
    assert_null(book_add(b, name_of(3)));
    assert_null(book_find(b, name_of(3)));
    assert_non_null(book_add(b, name_of(1)));
    assert_int_equal(book_count(b), 3);
    book_free(b);
}

/* The model: an array by number of the symbol. */
static struct {
    struct book_entry *entry; /* stays where it is */
    size_t index;
    uint64_t seq;
    bool is_changed;
} model[SYMBOLS];

static void check_changes(const struct book *b)
{
    size_t count, expected = 0;
    struct book_entry *const *changes = book_changes(b, &count);

    for (unsigned i = 0; i < SYMBOLS; i++)
        expected += model[i].is_changed;
    assert_int_equal(count, expected);
    for (size_t i = 0; i < count; i++) {
        bool is_known = false;

        for (unsigned k = 0; k < SYMBOLS && !is_known; k++)
            is_known = model[k].entry == changes[i] && model[k].is_changed;
        assert_true(is_known);
        for (size_t k = 0; k < i; k++)
            assert_ptr_not_equal(changes[k], changes[i]);
    }
}

static void random_work_leaves_what_the_model_says(void **state)
{
    struct book *b = book_new(SYMBOLS);
    uint64_t seq = 0;
    size_t count = 0, changed;

    (void)state;
    memset(model, 0, sizeof model);
    dice_seed();
    for (int step = 0; step < 60000; step++) {
        unsigned i = dice(SYMBOLS);
        struct book_entry *e = book_find(b, name_of(i));

        assert_ptr_equal(e, model[i].entry);
        if (!e && dice(2)) {
            e = book_add(b, name_of(i));
            assert_non_null(e);
            model[i].entry = e;
            model[i].index = count++;
        }
        if (!e)
            continue;
        assert_ptr_equal(book_at(b, model[i].index), e);
        assert_int_equal(e->seq, model[i].seq);
        book_touch(b, e, ++seq);
        model[i].seq = seq;
        model[i].is_changed = true;
        if (!dice(2000)) {
            check_changes(b);
            book_clear_changes(b);
            for (unsigned k = 0; k < SYMBOLS; k++)
                model[k].is_changed = false;
        }
    }
    assert_int_equal(book_count(b), count);
    for (unsigned i = 0; i < SYMBOLS; i++)
        assert_ptr_equal(book_find(b, name_of(i)), model[i].entry);
    book_clear_changes(b);
    book_changes(b, &changed);
    assert_int_equal(changed, 0);
    book_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_symbol_is_found_under_its_own_name_only),
        cmocka_unit_test(the_longest_symbol_fits),
        cmocka_unit_test(a_full_book_takes_no_new_symbol_but_keeps_the_old),
        cmocka_unit_test(random_work_leaves_what_the_model_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
