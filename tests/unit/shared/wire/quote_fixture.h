/*
 * quote_fixture: the rules for quotes at a fixed time, for tests.
 */
#ifndef TESTS_UNIT_SHARED_WIRE_QUOTE_FIXTURE_H
#define TESTS_UNIT_SHARED_WIRE_QUOTE_FIXTURE_H

#include <string.h>

#include "shared/wire/quote.h"

#define LENGTH(array) (sizeof(array) / sizeof(array)[0])
#define NOW_US 1640995200125000

static const struct quote_rules rules = {.now_us = NOW_US, .max_future_us = 60000000};

#define TEXT64 "aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbccccccccccccccccdddddddddddddddd"

#endif
