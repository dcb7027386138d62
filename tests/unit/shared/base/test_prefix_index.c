#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/dice.h"
#include "shared/base/mem.h"
#include "shared/base/prefix_index.h"

#define NAMES 3000 /* of the model: more than ten blocks */
#define STEPS 20000

/* The naive model: every name that there is, and whether it is in the index. */
static struct name {
    char text[8];
    bool is_in;
} names[NAMES];

static int by_text(const void *a, const void *b)
{
    return strcmp(((const struct name *)a)->text, ((const struct name *)b)->text);
}

/* Distinct names of few letters, so that many share a prefix, in ascending order. */
static void make_names(void)
{
    static const char letters[] = "-/AB";

    for (unsigned i = 0; i < NAMES; i++) {
        unsigned n = i + 4;
        size_t len = 0;

        for (; n >= 4; n /= 4)
            names[i].text[len++] = letters[n % 4];
        names[i].text[len++] = letters[n % 4];
        names[i].text[len] = '\0';
        names[i].is_in = false;
    }
    qsort(names, NAMES, sizeof names[0], by_text);
}

static bool begins_with(const struct name *n, const char *prefix)
{
    return strncmp(n->text, prefix, strlen(prefix)) == 0;
}

/* The next one from names[i] on that is in and begins with the prefix; NULL: none. */
static struct name *next_in(size_t i, const char *prefix)
{
    for (; i < NAMES; i++)
        if (names[i].is_in && begins_with(&names[i], prefix))
            return &names[i];
    return NULL;
}

static void flip(struct prefix_index *x, struct name *n)
{
    if (n->is_in) {
        assert_ptr_equal(prefix_index_remove(x, span_of(n->text)), n);
        assert_null(prefix_index_remove(x, span_of(n->text)));
    } else {
        assert_true(prefix_index_add(x, n->text, n));
        assert_false(prefix_index_add(x, n->text, n));
    }
    n->is_in = !n->is_in;
}

static void check_walk(const struct prefix_index *x, const char *prefix)
{
    struct prefix_walk w = prefix_index_walk(x, span_of(prefix));
    struct name *expected = next_in(0, prefix);

    for (; expected; expected = next_in((size_t)(expected - names) + 1, prefix))
        assert_ptr_equal(prefix_walk_next(&w), expected);
    assert_null(prefix_walk_next(&w));
    assert_null(prefix_walk_next(&w));
}

static void a_walk_returns_what_a_naive_search_returns_in_order(void **state)
{
    struct prefix_index *x = prefix_index_new();

    (void)state;
    dice_seed();
    make_names();
    for (unsigned step = 0; step < STEPS; step++) {
        /* First mostly full, in the end nearly empty: blocks are split, then joined. */
        struct name *n = &names[dice(NAMES)];

        if (step > STEPS / 2 && !n->is_in)
            n = &names[dice(NAMES)];
        if (step > STEPS / 2 && !n->is_in)
            continue;
        flip(x, n);
        if (step % 100 == 0) {
            char prefix[8];

            strcpy(prefix, names[dice(NAMES)].text);
            prefix[dice(5)] = '\0';
            check_walk(x, prefix);
            check_walk(x, "");
        }
    }
    for (size_t i = 0; i < NAMES; i++)
        if (names[i].is_in)
            flip(x, &names[i]);
    check_walk(x, "");
    prefix_index_free(x);
}

static void a_walk_goes_on_while_names_come_and_go(void **state)
{
    (void)state;
    dice_seed();
    for (unsigned round = 0; round < 50; round++) {
        struct prefix_index *x = prefix_index_new();
        const char *prefix = round % 2 ? "A" : "";
        struct prefix_walk w;
        struct name *expected;
        size_t upto = 0; /* everything before it has been walked past */

        make_names();
        for (unsigned i = 0; i < NAMES; i++)
            if (dice(2))
                flip(x, &names[i]);
        w = prefix_index_walk(x, span_of(prefix));
        do {
            for (unsigned changes = dice(4); changes > 0; changes--)
                flip(x, &names[dice(NAMES)]);
            if (upto && names[upto - 1].is_in && dice(4) == 0)
                flip(x, &names[upto - 1]); /* the one returned last */
            expected = next_in(upto, prefix);
            assert_ptr_equal(prefix_walk_next(&w), expected);
            if (expected)
                upto = (size_t)(expected - names) + 1;
        } while (expected);
        prefix_index_free(x);
    }
}

static void a_prefix_longer_than_any_name_matches_nothing(void **state)
{
    struct prefix_index *x = prefix_index_new();
    char longest[PREFIX_INDEX_NAME_MAX + 1], too_long[PREFIX_INDEX_NAME_MAX + 1];
    struct prefix_walk w;

    (void)state;
    memset(longest, 'A', PREFIX_INDEX_NAME_MAX);
    longest[PREFIX_INDEX_NAME_MAX] = '\0';
    memset(too_long, 'A', sizeof too_long);
    assert_true(prefix_index_add(x, longest, longest));
    w = prefix_index_walk(x, (struct span){longest, PREFIX_INDEX_NAME_MAX});
    assert_ptr_equal(prefix_walk_next(&w), longest);
    assert_null(prefix_walk_next(&w));
    w = prefix_index_walk(x, (struct span){too_long, sizeof too_long});
    assert_null(prefix_walk_next(&w));
    w = prefix_index_walk(x, (struct span){"A\0A", 3});
    assert_null(prefix_walk_next(&w));
    assert_null(prefix_index_remove(x, (struct span){"A\0A", 3}));
    prefix_index_free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_walk_returns_what_a_naive_search_returns_in_order),
        cmocka_unit_test(a_walk_goes_on_while_names_come_and_go),
        cmocka_unit_test(a_prefix_longer_than_any_name_matches_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
