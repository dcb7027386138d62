/*
 * inflate: a body that came compressed (Content-Encoding: gzip), bounded by what comes out of it.
 *
 * A few KB of gzip may stand for gigabytes; no more than `most` bytes and a little are ever made.
 * Any thread; no I/O.
 */
#ifndef GATEWAY_HTTP_INFLATE_H
#define GATEWAY_HTTP_INFLATE_H

#include "shared/base/buf.h"
#include "shared/base/err.h"

/*
 * Append what is in the gzip (one member or several) to *out.  ERR_TOO_LARGE: over `most` bytes;
 * ERR_MALFORMED: it is no gzip, is damaged, or ends early.  Then *out has only a part of it.
 */
MUST_CHECK enum err inflate_gzip(struct span packed, size_t most, struct buf *out);

#endif
