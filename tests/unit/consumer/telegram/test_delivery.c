#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "consumer/telegram/delivery.h"

static void what_was_sent_or_refused_is_done_with(void **state)
{
    struct delivery d = {0};

    (void)state;
    assert_false(delivery_is_repeat(&d));
    delivery_begin(&d);
    assert_true(d.is_sending);
    assert_int_equal(delivery_end(&d, DELIVERY_SENT), DELIVERY_DONE);
    assert_false(d.is_sending);
    delivery_begin(&d);
    assert_int_equal(delivery_end(&d, DELIVERY_REFUSED), DELIVERY_DONE);
    assert_false(delivery_is_repeat(&d));
}

static void what_was_certainly_not_sent_is_tried_for_ever_and_never_marked(void **state)
{
    struct delivery d = {0};

    (void)state;
    for (int i = 0; i < 1000; i++) {
        assert_false(delivery_is_repeat(&d));
        delivery_begin(&d);
        assert_int_equal(delivery_end(&d, DELIVERY_NOT_SENT), DELIVERY_AGAIN);
    }
}

static void what_may_have_been_sent_is_sent_once_more_marked_and_then_given_up(void **state)
{
    struct delivery d = {0};

    (void)state;
    delivery_begin(&d);
    assert_int_equal(delivery_end(&d, DELIVERY_UNKNOWN), DELIVERY_AGAIN);
    assert_true(delivery_is_repeat(&d));
    delivery_begin(&d);
    assert_int_equal(delivery_end(&d, DELIVERY_NOT_SENT), DELIVERY_AGAIN);
    assert_true(delivery_is_repeat(&d));
    delivery_begin(&d);
    assert_int_equal(delivery_end(&d, DELIVERY_UNKNOWN), DELIVERY_GIVEN_UP);
    assert_false(delivery_is_repeat(&d));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_sent_or_refused_is_done_with),
        cmocka_unit_test(what_was_certainly_not_sent_is_tried_for_ever_and_never_marked),
        cmocka_unit_test(what_may_have_been_sent_is_sent_once_more_marked_and_then_given_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
