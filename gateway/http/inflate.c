#include "gateway/http/inflate.h"

#include <stdint.h>
#include <zlib.h>

#define GZIP_ONLY (16 + MAX_WBITS) /* of inflateInit2: a gzip header, the largest window */
#define STEP 16384

/* One member of the file.  z->avail_in is what follows it. */
static enum err inflate_member(z_stream *z, size_t most, struct buf *out)
{
    int rc;

    do {
        char *at = buf_room(out, STEP);

        z->next_out = (Bytef *)at;
        z->avail_out = STEP;
        rc = inflate(z, Z_NO_FLUSH);
        out->len -= z->avail_out;
        if (out->len > most)
            return ERR_TOO_LARGE;
    } while (rc == Z_OK && (z->avail_in || !z->avail_out));
    return rc == Z_STREAM_END ? OK : ERR_MALFORMED;
}

enum err inflate_gzip(struct span packed, size_t most, struct buf *out)
{
    z_stream z = {.next_in = (Bytef *)(uintptr_t)packed.at, .avail_in = (uInt)packed.len};
    enum err e = OK;

    if (packed.len > UINT32_MAX || inflateInit2(&z, GZIP_ONLY))
        return ERR_MALFORMED;
    most += out->len;
    do {
        e = inflate_member(&z, most, out);
    } while (!e && z.avail_in && !inflateReset(&z));
    inflateEnd(&z);
    return e;
}
