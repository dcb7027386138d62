/* sha1: computes the Sec-WebSocket-Accept value of a handshake (RFC 6455, 4.2.2).  Pure. */
#ifndef SHARED_BASE_SHA1_H
#define SHARED_BASE_SHA1_H

#include <stdint.h>
#include <string.h>

static inline uint32_t sha1_turn(uint32_t x, int n)
{
    return x << n | x >> (32 - n);
}

static inline void sha1_block(uint32_t h[5], const unsigned char *p)
{
    static const uint32_t k[] = {0x5A827999, 0x6ED9EBA1, 0x8F1BBCDC, 0xCA62C1D6};
    uint32_t w[80], v[5];

    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)p[i * 4] << 24 | (uint32_t)p[i * 4 + 1] << 16 |
               (uint32_t)p[i * 4 + 2] << 8 | p[i * 4 + 3];
    for (int i = 16; i < 80; i++)
        w[i] = sha1_turn(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    memcpy(v, h, sizeof v);
    for (int i = 0; i < 80; i++) {
        uint32_t f = i < 20              ? (v[1] & v[2]) | (~v[1] & v[3])
                     : i < 40 || i >= 60 ? v[1] ^ v[2] ^ v[3]
                                         : (v[1] & v[2]) | (v[1] & v[3]) | (v[2] & v[3]);
        uint32_t t = sha1_turn(v[0], 5) + f + v[4] + k[i / 20] + w[i];

        v[4] = v[3], v[3] = v[2], v[2] = sha1_turn(v[1], 30), v[1] = v[0], v[0] = t;
    }
    for (int i = 0; i < 5; i++)
        h[i] += v[i];
}

/* Keys longer than any real one are cut. */
static inline void sha1_accept(const char *key, size_t len, char out[29])
{
    static const char magic[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t h[5] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};
    unsigned char block[128] = {0}, sum[21] = {0};
    size_t size;

    len = len > 24 ? 24 : len;
    memcpy(block, key, len);
    memcpy(block + len, magic, 36);
    block[len + 36] = 0x80;
    size = len + 36 + 9 > 64 ? 128 : 64;
    block[size - 2] = (unsigned char)((len + 36) * 8 >> 8);
    block[size - 1] = (unsigned char)((len + 36) * 8);
    for (size_t i = 0; i < size; i += 64)
        sha1_block(h, block + i);
    for (int i = 0; i < 20; i++)
        sum[i] = (unsigned char)(h[i / 4] >> (24 - i % 4 * 8));
    for (int i = 0; i < 7; i++) {
        uint32_t three =
            (uint32_t)sum[i * 3] << 16 | (uint32_t)sum[i * 3 + 1] << 8 | sum[i * 3 + 2];

        for (int j = 0; j < 4; j++)
            out[i * 4 + j] = digits[three >> (18 - j * 6) & 63];
    }
    out[27] = '=';
    out[28] = '\0';
}

#endif
