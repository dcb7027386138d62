/*
 * hash: FNV-1a over a name of a few bytes, folded, for our tables of symbols and topics; and a checksum
 * of 64 bits over whole words, against damage, not against people.
 */
#ifndef SHARED_BASE_HASH_H
#define SHARED_BASE_HASH_H

#include <stdint.h>
#include <string.h>

#include "shared/base/buf.h"

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

/*
 * One step of the checksum.  For any two of its arguments it is a permutation of the third, so one
 * changed word always changes the result; with more of them, 1 in 2^64 goes unseen.
 */
static inline uint64_t hash_two(uint64_t h, uint64_t a, uint64_t b)
{
    h = (h ^ a) * 0x9E3779B97F4A7C15u;
    return (h << 29 | h >> 35) + b;
}

static inline uint64_t hash_word_at(const char *p)
{
    uint64_t word;

    memcpy(&word, p, sizeof word);
    return word;
}

/* `bytes` is a multiple of 8. */
static inline uint64_t hash_words(uint64_t h, const void *at, size_t bytes)
{
    const char *p = at;

    for (; bytes >= 32; bytes -= 32, p += 32) {
        h = hash_two(h, hash_word_at(p), hash_word_at(p + 8));
        h = hash_two(h, hash_word_at(p + 16), hash_word_at(p + 24));
    }
    if (bytes & 16) {
        h = hash_two(h, hash_word_at(p), hash_word_at(p + 8));
        p += 16;
    }
    if (bytes & 8)
        h = hash_two(h, hash_word_at(p), 0);
    return h ^ h >> 32;
}

static inline uint32_t hash_name(struct span s)
{
    uint64_t h = HASH_BEGIN;

    for (size_t i = 0; i < s.len; i++)
        h = hash_byte(h, s.at[i]);
    return hash_end(h);
}

#endif
