/* The table after a lock was read from its file, and the rows that it refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/locks/lease.h"
#include "tests/unit/broker/locks/lease_fixture.h"

static struct lease *granted(const char *name)
{
    struct lease_request q = request_of(name, "x", 1000);
    struct lease_answer a;

    assert_int_equal(lease_acquire(table, &q, now, awake, &a), OK);
    return a.lease;
}

static struct lease_stored whole(const char *name)
{
    return (struct lease_stored){.name = span_of(name),
                                 .owner = SPAN("x"),
                                 .host = SPAN("web1"),
                                 .pid = 7,
                                 .token = 5000,
                                 .state = LEASE_FREE,
                                 .ended = LEASE_BROKEN,
                                 .ttl_ms = 3000,
                                 .delay_ms = 2000,
                                 .held_ms = 60,
                                 .lost_owner = SPAN("w"),
                                 .lost_token = 4000,
                                 .lost_ago_ms = 100,
                                 .lost_reason = LEASE_EXPIRED,
                                 .value = SPAN("v"),
                                 .value_token = 4500,
                                 .version = 3};
}

static void all_that_was_stored_is_there_again(void **state)
{
    struct lease_stored s = whole("a");
    struct lease *l;

    (void)state;
    assert_int_equal(lease_restore(table, &s, now), OK);
    l = lease_find(table, SPAN("a"));
    assert_string_equal(l->owner, "x");
    assert_string_equal(l->host, "web1");
    assert_int_equal(l->pid, 7);
    assert_int_equal(l->token, 5000);
    assert_int_equal(l->state, LEASE_FREE);
    assert_int_equal(l->ended, LEASE_BROKEN);
    assert_int_equal(l->ttl_ms, 3000);
    assert_int_equal(l->delay_ms, 2000);
    assert_int_equal(l->granted_at, now - 60);
    assert_string_equal(l->lost.owner, "w");
    assert_int_equal(l->lost.token, 4000);
    assert_int_equal(l->lost.at, now - 100);
    assert_int_equal(l->lost.reason, LEASE_EXPIRED);
    assert_memory_equal(l->value.data, "v", 1);
    assert_int_equal(l->value_token, 4500);
    assert_int_equal(l->version, 3);
    assert_int_equal(lease_last_token(table), 5000);
    assert_int_equal(lease_count_held(table), 0);
    assert_int_equal(lease_wait(table, now, awake), -1); /* it has a value */
    s = whole("b");
    s.token = 4999;
    s.version = 0;
    s.value = SPAN("");
    assert_int_equal(lease_restore(table, &s, now), OK);
    assert_int_equal(lease_last_token(table), 5000);
    assert_int_equal(lease_wait(table, now, awake), LEASE_FORGET_MS);
    s = whole("c");
    s.state = LEASE_HELD;
    assert_int_equal(lease_restore(table, &s, now), OK);
    assert_int_equal(lease_count_held(table), 1);
    assert_int_equal(lease_wait(table, now, awake), 3001);
}

static void what_cannot_have_been_stored_is_refused(void **state)
{
    static char value[LOCK_VALUE_MAX + 1];
    struct lease_stored good[6], bad[8];

    (void)state;
    for (int i = 0; i < 6; i++)
        good[i] = whole((const char *[]){"a", "b", "c", "d", "e", "f"}[i]);
    for (int i = 0; i < 8; i++)
        bad[i] = whole("z");
    good[0].value = (struct span){value, LOCK_VALUE_MAX};
    bad[0].value = (struct span){value, LOCK_VALUE_MAX + 1};
    good[1].ttl_ms = INT32_MAX;
    bad[1].ttl_ms = (uint64_t)INT32_MAX + 1;
    good[2].delay_ms = INT32_MAX;
    bad[2].delay_ms = (uint64_t)INT32_MAX + 1;
    good[3].held_ms = INT64_MAX / 2;
    bad[3].held_ms = INT64_MAX / 2 + 1;
    good[4].lost_ago_ms = INT64_MAX / 2;
    bad[4].lost_ago_ms = INT64_MAX / 2 + 1;
    good[5].token = 0; /* it was never granted */
    good[5].owner = SPAN("");
    bad[5].owner = SPAN("");
    bad[6].name = SPAN("z z");
    bad[7].name = SPAN("a"); /* the table has this name already */
    for (int i = 0; i < 6; i++)
        assert_int_equal(lease_restore(table, &good[i], now), OK);
    for (int i = 0; i < 8; i++)
        assert_int_equal(lease_restore(table, &bad[i], now), ERR_INVALID);
    assert_int_equal(lease_count(table), 6);
}

static void restored_values_count_among_all(void **state)
{
    struct span most = {calloc(1, LOCK_VALUE_MAX), LOCK_VALUE_MAX};
    size_t count = LEASE_VALUES_MAX / LOCK_VALUE_MAX;
    struct lease *l;
    char name[16];

    (void)state;
    lease_table_free(table);
    make_table(count + 2);
    for (size_t i = 0; i < count; i++) {
        struct lease_stored s = whole("a");

        snprintf(name, sizeof name, "n%zu", i);
        s.name = span_of(name);
        s.value = most;
        assert_int_equal(lease_restore(table, &s, now), OK);
    }
    l = granted("n1");
    /* in place of its own value */
    assert_int_equal(lease_put(table, l, SPAN("x"), l->token, most), OK);
    l = granted("more");
    assert_int_equal(lease_put(table, l, SPAN("x"), l->token, SPAN("1")), ERR_FULL);
    free((char *)most.at);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        T(all_that_was_stored_is_there_again),
        T(what_cannot_have_been_stored_is_refused),
        T(restored_values_count_among_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
