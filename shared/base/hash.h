/*
 * hash: FNV-1a, folded to 32 bits, for our tables of symbols and topics; and a 64-bit checksum over
 * whole words, which detects damage but not manipulation.
 */
#ifndef SHARED_BASE_HASH_H
#define SHARED_BASE_HASH_H

#include <stdint.h>
#include <string.h>

#include "shared/base/buf.h"

/* Hashes a name byte by byte, for callers that also need the hash of every prefix. */
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
 * One step of the checksum. With two arguments fixed, the result is a permutation of the third, so
 * one changed word always changes the result. Of several changed words, 1 in 2^64 remains
 * unnoticed.
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

/* Any number of bytes. */
static inline uint64_t hash_bytes(uint64_t h, struct span s)
{
    size_t words = s.len & ~(size_t)7;

    h = hash_words(h ^ s.len, s.at, words);
    for (size_t i = words; i < s.len; i++)
        h = hash_byte(h, s.at[i]);
    return h;
}

static inline uint32_t hash_name(struct span s)
{
    uint64_t h = HASH_BEGIN;

    for (size_t i = 0; i < s.len; i++)
        h = hash_byte(h, s.at[i]);
    return hash_end(h);
}

#endif
