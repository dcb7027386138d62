#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/core/request_queue.h"

static struct request_queue *queue;

static int set_up(void **state)
{
    (void)state;
    queue = request_queue_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    request_queue_free(queue);
    return 0;
}

static enum err add(const char *peer, const char *message)
{
    return request_queue_add(queue, span_of(peer), span_of(message));
}

/* Take the next request as "peer:message", "" if none waits. */
static const char *take(void)
{
    static char text[64];
    struct request_item item;

    if (!request_queue_take(queue, &item))
        return "";
    snprintf(text, sizeof text, "%s:%s", buf_text(&item.peer), buf_text(&item.message));
    request_item_clear(&item);
    return text;
}

static void peers_take_turns_however_many_requests_one_of_them_has(void **state)
{
    (void)state;
    assert_string_equal(take(), "");
    for (int i = 0; i < 100; i++)
        assert_int_equal(add("loud", i ? "again" : "first"), OK);
    assert_int_equal(add("a", "1"), OK);
    assert_int_equal(add("b", "1"), OK);
    assert_int_equal(add("a", "2"), OK);
    assert_string_equal(take(), "loud:first");
    assert_string_equal(take(), "a:1");
    assert_string_equal(take(), "b:1");
    assert_string_equal(take(), "loud:again");
    assert_int_equal(add("b", "2"), OK);
    assert_string_equal(take(), "a:2");
    assert_string_equal(take(), "loud:again");
    assert_string_equal(take(), "b:2");
    assert_int_equal(request_queue_count(queue), 97);
}

static void a_peer_that_is_skipped_keeps_its_requests_and_delays_no_other(void **state)
{
    (void)state;
    assert_int_equal(request_queue_turn(queue).len, 0);
    request_queue_skip(queue);
    assert_int_equal(add("slow", "1"), OK);
    assert_int_equal(add("slow", "2"), OK);
    assert_int_equal(add("a", "1"), OK);
    assert_int_equal(request_queue_peers(queue), 2);
    assert_true(span_eq(request_queue_turn(queue), "slow"));
    request_queue_skip(queue);
    assert_string_equal(take(), "a:1");
    assert_int_equal(request_queue_peers(queue), 1);
    request_queue_skip(queue); /* it is the only peer, so it is its turn again */
    assert_string_equal(take(), "slow:1");
    assert_string_equal(take(), "slow:2");
    assert_int_equal(request_queue_peers(queue), 0);
}

static void requests_of_one_peer_and_of_all_are_bounded(void **state)
{
    char peer[16];
    size_t count = 0;

    (void)state;
    for (int i = 0; i < REQUEST_QUEUE_PEER; i++)
        assert_int_equal(add("loud", "x"), OK);
    assert_int_equal(add("loud", "x"), ERR_FULL);
    assert_int_equal(add("other", "x"), OK);
    for (int i = 0; i < 2 * REQUEST_QUEUE_MAX; i++) {
        snprintf(peer, sizeof peer, "p%d", i);
        if (add(peer, "x") == OK)
            count++;
    }
    assert_int_equal(count, REQUEST_QUEUE_MAX - REQUEST_QUEUE_PEER - 1);
    assert_int_equal(request_queue_count(queue), REQUEST_QUEUE_MAX);
    assert_int_equal(add("new", "x"), ERR_FULL);
    assert_string_equal(take(), "loud:x");
    assert_int_equal(add("new", "x"), OK);
}

static void a_full_queue_has_room_for_a_peer_with_fewer_requests(void **state)
{
    struct request_item item;
    char peer[16];

    (void)state;
    assert_false(request_queue_evict(queue, SPAN("new"), &item));
    assert_int_equal(add("loud", "first"), OK);
    assert_int_equal(add("loud", "second"), OK);
    assert_int_equal(add("loud", "newest"), OK);
    for (int i = 0; request_queue_count(queue) < REQUEST_QUEUE_MAX; i++) {
        snprintf(peer, sizeof peer, "p%d", i);
        assert_int_equal(add(peer, "x"), OK);
    }
    assert_int_equal(add("new", "x"), ERR_FULL);
    assert_true(request_queue_evict(queue, SPAN("new"), &item));
    assert_string_equal(buf_text(&item.peer), "loud");
    assert_string_equal(buf_text(&item.message), "newest");
    request_item_clear(&item);
    assert_int_equal(add("new", "x"), OK);
    assert_false(request_queue_evict(queue, SPAN("new"), &item)); /* of two to one */
    assert_true(request_queue_evict(queue, SPAN("another"), &item));
    assert_string_equal(buf_text(&item.message), "second");
    request_item_clear(&item);
    /* every peer has one request */
    assert_false(request_queue_evict(queue, SPAN("another"), &item));
}

static void a_request_that_is_too_large_is_refused(void **state)
{
    char *large = calloc(1, REQUEST_QUEUE_BYTES + 1);

    (void)state;
    assert_non_null(large);
    assert_int_equal(
        request_queue_add(queue, SPAN("p"), (struct span){large, REQUEST_QUEUE_BYTES + 1}),
        ERR_TOO_LARGE);
    assert_int_equal(request_queue_add(queue, SPAN("p"), (struct span){large, REQUEST_QUEUE_BYTES}),
                     OK);
    free(large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(peers_take_turns_however_many_requests_one_of_them_has,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_peer_that_is_skipped_keeps_its_requests_and_delays_no_other, set_up, tear_down),
        cmocka_unit_test_setup_teardown(requests_of_one_peer_and_of_all_are_bounded, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_full_queue_has_room_for_a_peer_with_fewer_requests,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_request_that_is_too_large_is_refused, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
