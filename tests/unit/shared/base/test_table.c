#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "shared/base/table.h"
#include "tests/unit/dice.h"

#define ITEMS 500
#define HASHES 120 /* fewer than items: some share one */
#define STEPS 20000

struct item {
    int key;
    struct table_node node;
    bool is_in;
};

static struct item items[ITEMS];

static uint32_t hash_of(int key)
{
    return (uint32_t)key % HASHES * 0x9E3779B9u;
}

static struct item *find(const struct table *t, int key)
{
    uint32_t hash = hash_of(key);

    for (struct table_node *n = table_first(t, hash); n; n = table_next(n)) {
        struct item *item = TABLE_OWNER(n, struct item, node);

        assert_int_equal(hash_of(item->key), hash);
        if (item->key == key)
            return item;
    }
    return NULL;
}

static void a_zeroed_table_is_empty_and_can_be_freed(void **state)
{
    struct table t = {0};

    (void)state;
    assert_null(find(&t, 1));
    table_free(&t);
    assert_null(find(&t, 1));
    assert_int_equal(t.count, 0);
}

static void nodes_with_the_same_hash_are_all_found(void **state)
{
    struct table t = {0};
    struct table_node nodes[100], *n;
    size_t count = 0;

    (void)state;
    for (size_t i = 0; i < 100; i++)
        table_add(&t, &nodes[i], 7);
    for (n = table_first(&t, 7); n; n = table_next(n))
        count++;
    assert_int_equal(count, 100);
    assert_null(table_first(&t, 7 + 128)); /* in the same slot */
    table_free(&t);
}

static void slots_double_with_the_nodes_and_halve_when_few_are_left(void **state)
{
    struct table t = {0};

    (void)state;
    for (int i = 0; i < 257; i++)
        table_add(&t, &items[i].node, (uint32_t)i);
    assert_int_equal(t.slot_count, 512);
    for (int i = 256; i >= 64; i--)
        table_remove(&t, &items[i].node);
    assert_int_equal(t.slot_count, 512);
    table_remove(&t, &items[63].node);
    assert_int_equal(t.slot_count, 256);
    for (int i = 62; i >= 0; i--)
        table_remove(&t, &items[i].node);
    assert_int_equal(t.slot_count, 16);
    assert_int_equal(t.count, 0);
    table_free(&t);
}

static void a_table_has_what_a_naive_model_has(void **state)
{
    struct table t = {0};
    size_t count = 0;

    (void)state;
    for (int step = 0; step < STEPS; step++) {
        /* Runs of additions and of removals, so that the table grows and shrinks. */
        bool is_adding = step / 2000 % 2 == 0;
        struct item *item = &items[dice(ITEMS)];

        item->key = (int)(item - items);
        if (is_adding && !item->is_in) {
            table_add(&t, &item->node, hash_of(item->key));
            item->is_in = true;
            count++;
        } else if (!is_adding && item->is_in) {
            table_remove(&t, &item->node);
            item->is_in = false;
            count--;
        }
        item = &items[dice(ITEMS)];
        assert_ptr_equal(find(&t, (int)(item - items)), item->is_in ? item : NULL);
        assert_int_equal(t.count, count);
    }
    table_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_zeroed_table_is_empty_and_can_be_freed),
        cmocka_unit_test(nodes_with_the_same_hash_are_all_found),
        cmocka_unit_test(slots_double_with_the_nodes_and_halve_when_few_are_left),
        cmocka_unit_test(a_table_has_what_a_naive_model_has),
    };

    dice_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
