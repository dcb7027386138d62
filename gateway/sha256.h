/*
 * sha256: one digest of bytes in memory.
 *
 * For the page's Content-Security-Policy, which names its script and style by SHA-256
 * so that nothing else can ever run there.  Source: FIPS 180-4.
 */
#ifndef GATEWAY_SHA256_H
#define GATEWAY_SHA256_H

#include <stdint.h>

#include "shared/buf.h"

#define SHA256_SIZE 32

void sha256_digest(struct span bytes, uint8_t out[SHA256_SIZE]);
/* Append the digest in base64, as a policy wants it. */
void sha256_base64(const uint8_t digest[SHA256_SIZE], struct buf *out);

#endif
