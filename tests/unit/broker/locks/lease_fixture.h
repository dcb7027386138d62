/*
 * lease_fixture: a table of leases and a clock, for tests.  Include it after <cmocka.h>.
 */
#ifndef TESTS_UNIT_BROKER_LOCKS_LEASE_FIXTURE_H
#define TESTS_UNIT_BROKER_LOCKS_LEASE_FIXTURE_H

#include <string.h>

#include "broker/locks/lease.h"

#define FLOOR 1000

static struct lease_table *table;
static int64_t now, awake;

static inline void make_table(size_t count)
{
    struct lease_limits limits = {.count = count, .ttl_max_ms = 600000, .delay_max_ms = 600000};

    table = lease_table_new(&limits, FLOOR);
}

static inline int set_up(void **state)
{
    (void)state;
    now = awake = 5000;
    make_table(100);
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    lease_table_free(table);
    lease_table_free(NULL);
    return 0;
}

static inline struct lease_request request_of(const char *name, const char *owner, uint64_t ttl_ms)
{
    return (struct lease_request){.name = span_of(name),
                                  .owner = span_of(owner),
                                  .peer = SPAN("peer"),
                                  .id = 7,
                                  .ttl_ms = ttl_ms};
}

#endif
