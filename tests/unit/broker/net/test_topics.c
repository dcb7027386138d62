#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/net/topics.h"

static void take(struct topics *t, const char *message, size_t len)
{
    topics_take(t, (struct span){message, len});
}

static void a_topic_counts_once_however_often_it_is_subscribed_to(void **state)
{
    struct topics t = {.seed = 7};

    (void)state;
    take(&t, "\1ABC ", 5);
    take(&t, "\1ABC ", 5);
    assert_int_equal(t.bytes, 4 + TOPIC_BYTES);
    take(&t, "\1", 1); /* everything */
    assert_int_equal(t.bytes, 4 + 2 * TOPIC_BYTES);
    take(&t, "\0ABC ", 5);
    assert_int_equal(t.bytes, TOPIC_BYTES);
    topics_free(&t);
    assert_int_equal(t.bytes, 0);
}

static void the_end_of_what_is_not_subscribed_to_counts_nothing(void **state)
{
    struct topics t = {.seed = 7};

    (void)state;
    take(&t, "\1A ", 3);
    take(&t, "\0B ", 3);
    take(&t, "\0A", 2);
    take(&t, "\0A \0", 4);
    take(&t, "", 0);
    take(&t, "\2A ", 3);
    assert_int_equal(t.bytes, 2 + TOPIC_BYTES);
    topics_free(&t);
}

static void topics_differ_by_their_bytes_and_by_nothing_else(void **state)
{
    struct topics t = {.seed = 7};

    (void)state;
    take(&t, "\1ABC", 4);
    take(&t, "\1ABD", 4);
    take(&t, "\1AXC", 4);
    assert_int_equal(t.bytes, 3 * (3 + TOPIC_BYTES));
    take(&t, "\1ABC and what stands behind", 4);
    take(&t, "\2ABX", 4); /* neither begins nor ends a subscription */
    assert_int_equal(t.bytes, 3 * (3 + TOPIC_BYTES));
    take(&t, "\0ABD or something else", 4);
    assert_int_equal(t.bytes, 2 * (3 + TOPIC_BYTES));
    topics_free(&t);
    topics_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_topic_counts_once_however_often_it_is_subscribed_to),
        cmocka_unit_test(the_end_of_what_is_not_subscribed_to_counts_nothing),
        cmocka_unit_test(topics_differ_by_their_bytes_and_by_nothing_else),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
