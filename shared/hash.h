/* hash: FNV-1a over a name of a few bytes, folded; for our tables of symbols and topics. */
#ifndef SHARED_HASH_H
#define SHARED_HASH_H

#include <stdint.h>

#include "shared/buf.h"

static inline uint32_t hash_name(struct span s)
{
    uint64_t h = 14695981039346656037u;

    for (size_t i = 0; i < s.len; i++)
        h = (h ^ (unsigned char)s.at[i]) * 1099511628211u;
    return (uint32_t)(h ^ h >> 32);
}

#endif
