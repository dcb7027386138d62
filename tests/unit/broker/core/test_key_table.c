#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "broker/core/key_table.h"
#include "tests/unit/dice.h"

static struct key_name name(const char *feed, const char *key, uint64_t part)
{
    return (struct key_name){span_of(feed), span_of(key), part};
}

static void an_answer_is_kept_for_ten_minutes(void **state)
{
    struct key_table *t = key_table_new(10);
    struct key_name n = name("web", "k", 0), other = name("web", "k", 1), feed = name("w", "k", 0);
    struct key_answer a = {.hash = 7, .first = 3, .last = 5, .count = 4, .refused = SPAN("x")};

    (void)state;
    assert_null(key_table_find(t, &n, 1000));
    key_table_add(t, &n, &a, 0, 1000);
    assert_null(key_table_find(t, &other, 1000));
    assert_null(key_table_find(t, &feed, 1000));
    assert_int_equal(key_table_find(t, &n, 1000 + KEY_TABLE_MS - 1)->first, 3);
    assert_true(span_eq(key_table_find(t, &n, 1000)->refused, "x"));
    assert_int_equal(key_table_wait(t, 1000), KEY_TABLE_MS);
    assert_null(key_table_find(t, &n, 1000 + KEY_TABLE_MS));
    assert_int_equal(key_table_wait(t, 1000), 0);
    key_table_free(t);
    key_table_free(NULL);
}

/* Random keys, ages and times, beside a list that remembers everything. */
static void it_does_what_a_plain_list_does(void **state)
{
    enum { KEYS = 40, MAX = 20 };
    struct {
        int64_t until;
        uint64_t first;
    } model[KEYS] = {{0, 0}};
    struct key_table *t = key_table_new(MAX);
    int64_t now = 1, newest = 0;

    (void)state;
    dice_seed();
    for (int step = 0; step < 20000; step++) {
        size_t i = dice(KEYS), live = 0;
        char key[16];
        struct key_name n;
        const struct key_answer *found;

        now += (int64_t)dice(20000);
        snprintf(key, sizeof key, "key-%zu", i);
        n = name("web", key, i % 3);
        found = key_table_find(t, &n, now);
        assert_true(!found == (model[i].until <= now));
        if (found) {
            assert_int_equal(found->first, model[i].first);
            continue;
        }
        for (size_t k = 0; k < KEYS; k++)
            live += model[k].until > now;
        assert_true(key_table_has_room(t, now) == (live < MAX));
        if (live < MAX) {
            int64_t age = (int64_t)dice(KEY_TABLE_MS);
            struct key_answer a = {.first = (uint64_t)step};

            key_table_add(t, &n, &a, age, now);
            if (newest < now + KEY_TABLE_MS - age) /* they end in the order in which they came */
                newest = now + KEY_TABLE_MS - age;
            model[i].until = newest;
            model[i].first = (uint64_t)step;
        }
    }
    key_table_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_kept_for_ten_minutes),
        cmocka_unit_test(it_does_what_a_plain_list_does),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
