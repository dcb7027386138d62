/* hash: FNV-1a over a name of a few bytes, folded; for our tables of symbols and topics. */
#ifndef SHARED_HASH_H
#define SHARED_HASH_H

#include <stdint.h>

#include "shared/buf.h"

/* The hash of a name byte by byte, for callers that also need those of its prefixes. */
#define HASH_BEGIN 14695981039346656037u
static inline uint64_t hash_byte(uint64_t h, char c)
{
    return (h ^ (unsigned char)c) * 1099511628211u;
}

static inline uint32_t hash_end(uint64_t h)
{
    return (uint32_t)(h ^ h >> 32);
}

static inline uint32_t hash_name(struct span s)
{
    uint64_t h = HASH_BEGIN;

    for (size_t i = 0; i < s.len; i++)
        h = hash_byte(h, s.at[i]);
    return hash_end(h);
}

#endif
