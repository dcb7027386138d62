/*
 * buf: bytes that grow, and the two ways we write text into them.
 *
 * A zeroed struct is an empty buffer.  Adding never fails (see mem.h); callers
 * bound what they add.  `data` is not NUL-terminated unless buf_text() was asked.
 * JSON is written by appending: no tree, so a price is copied, never parsed.
 * One owner, one thread.
 */
#ifndef SHARED_BASE_BUF_H
#define SHARED_BASE_BUF_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Bytes somebody else owns. */
struct span {
    const char *at;
    size_t len;
};

struct buf {
    char *data;
    size_t len, cap;
};

#define SPAN(literal) ((struct span){(literal), sizeof(literal) - 1})

struct span span_of(const char *text);
/* 1 if equal.  Here because fields are found by their names in every quote. */
static inline int span_eq(struct span a, const char *text)
{
    /* An empty one may point nowhere. */
    return strlen(text) == a.len && (!a.len || memcmp(a.at, text, a.len) == 0);
}
/* As a C string into `out` of `size` bytes, cut short if need be. */
void span_copy(char *out, size_t size, struct span s);

void buf_free(struct buf *b);  /* empties it; may be used again */
void buf_clear(struct buf *b); /* keeps the memory */

/* Private to buf_room: allocate memory for len more bytes. */
void buf_reserve(struct buf *b, size_t len);

/* Grow by len, return where to write.  Inline, as the next three: every quote calls them often. */
static inline char *buf_room(struct buf *b, size_t len)
{
    char *at;

    if (b->cap - b->len < len)
        buf_reserve(b, len);
    at = b->data + b->len;
    b->len += len;
    return at;
}

static inline void buf_add(struct buf *b, const void *data, size_t len)
{
    if (len)
        memcpy(buf_room(b, len), data, len);
}

static inline void buf_addc(struct buf *b, char c)
{
    *buf_room(b, 1) = c;
}

static inline struct span buf_span(const struct buf *b)
{
    return (struct span){b->data ? b->data : "", b->len};
}

void buf_adds(struct buf *b, const char *text);
void buf_printf(struct buf *b, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void buf_addu(struct buf *b, uint64_t n); /* decimal */
const char *buf_text(struct buf *b);      /* NUL-terminated view of the whole */

/* A JSON string with its quotes.  Bytes that are not UTF-8 become U+FFFD. */
void buf_json(struct buf *b, struct span text);
void buf_jsons(struct buf *b, const char *text);
/* Microseconds since 1970 as Unix seconds with up to six decimals. */
void buf_json_time(struct buf *b, int64_t wall_us);

/* For msgpack_packer_init(&pk, buf, buf_pack_write). */
int buf_pack_write(void *buf, const char *data, size_t len);

#endif
