/*
 * rate: how many queries a second are answered, for one address and for all.
 *
 * A token bucket for each address and one for all: a query takes a token of both, or is refused and
 * takes none.  A bucket holds what its rate gives in RATE_BURST_SECONDS (of all: in
 * RATE_BURST_SECONDS_OF_ALL), so that a program may page through a history as fast as it can.  IPv6
 * addresses count by their first 64 bits, because one host has all of the rest.
 *
 * The table has RATE_PLACES places and never grows (128 KB).  A new address takes the place of the
 * one among RATE_WAYS that has been quiet for longest, which is then as if it were new; what many
 * addresses do together is bounded by the rate for all.
 *
 * No I/O, no clock: `now` is monotonic ms.  Any thread may call anything but rate_new and
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
