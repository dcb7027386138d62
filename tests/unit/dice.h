/*
 * dice: random numbers for tests.
 *
 * The seed is printed, so that a failure can be repeated: TEST_SEED=n (or SEED=n) in
 * the environment. Include it after <cmocka.h>.
 */
#ifndef TESTS_UNIT_DICE_H
#define TESTS_UNIT_DICE_H

#include <stdlib.h>
#include <time.h>

static inline void dice_seed(void)
{
    const char *given = getenv("TEST_SEED") ? getenv("TEST_SEED") : getenv("SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);

    print_message("TEST_SEED=%u\n", seed);
    srandom(seed);
}

/* 0 … n-1 */
static inline unsigned dice(unsigned n)
{
    return (unsigned)random() % n;
}

#endif
