/*
 * rate: limits the queries per second, for each address and for all together.
 *
 * There is a token bucket for each address and one for all: a query takes a token of both, or is
 * refused and takes none.  A bucket holds the tokens of RATE_BURST_SECONDS (the common one: of
 * RATE_BURST_SECONDS_OF_ALL), so that a program may page through a history without pauses.  IPv6
 * addresses count by their first 64 bits, because one host has all of the rest.
 *
 * The table has RATE_PLACES places and never grows (128 KB).  A new address replaces the one of
 * RATE_WAYS candidates without a query for the longest time, which then starts again with a full
 * bucket; the rate for all bounds many addresses together.
 *
 * No I/O, no clock: `now` is monotonic ms.  Any thread may call all functions except rate_new and
 * rate_free.
 */
#ifndef GATEWAY_LIMITS_RATE_H
#define GATEWAY_LIMITS_RATE_H

#include <stdbool.h>
#include <stdint.h>

#define RATE_BURST_SECONDS 10
#define RATE_BURST_SECONDS_OF_ALL 2
#define RATE_PLACES 4096
#define RATE_WAYS 8

enum rate_verdict {
    RATE_TAKEN,
    RATE_OF_ADDRESS, /* beyond the rate of this address */
    RATE_OF_ALL,     /* beyond the rate of all */
};

struct rate_limits {
    uint32_t per_address, all; /* queries a second; 0: no limit */
};

struct rate;

struct rate *rate_new(uint64_t seed); /* seed: random, so that no client can choose its place */
void rate_free(struct rate *r);       /* NULL is allowed */

/* *wait_ms, unless taken: how long until a query would be. */
enum rate_verdict rate_take(struct rate *r, const struct rate_limits *limits, const char *address,
                            int64_t now, int64_t *wait_ms);

#endif
