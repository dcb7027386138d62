/*
 * feed_fixture: a table of feeds, for tests.  Include it after <cmocka.h>.
 */
#ifndef TESTS_UNIT_BROKER_CORE_FEED_FIXTURE_H
#define TESTS_UNIT_BROKER_CORE_FEED_FIXTURE_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "broker/core/feed.h"

#define FLOOR 1000

static struct feed_table *table;

static inline int set_up(void **state)
{
    (void)state;
    table = feed_table_new(FLOOR);
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    feed_table_free(table);
    feed_table_free(NULL);
    return 0;
}

static inline enum err hello(const char *name, const char *owner, uint64_t acked, int64_t now,
                             struct feed **out, bool *is_new)
{
    struct feed_hello h = {.name = span_of(name),
                           .owner = span_of(owner),
                           .host = SPAN("host-1"),
                           .peer = span_of(owner),
                           .pid = 42,
                           .acked = acked};

    return feed_table_hello(table, &h, now, out, is_new);
}

#endif
