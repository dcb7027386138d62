/*
 * buf: a growing byte buffer, and the functions that append numbers, text and JSON to it.
 *
 * A zeroed struct is an empty buffer. Adding never fails (see mem.h); callers bound what they add.
 * `data` ends with a NUL byte only after buf_text(). JSON is written by appending text: there is no
 * tree, so a price is copied and never parsed. A buffer has one owner and one thread.
 */
#ifndef SHARED_BASE_BUF_H
#define SHARED_BASE_BUF_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Bytes that another object owns. */
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
/*
 * Returns 1 if both are equal. Inline, because a quote's fields are found by name for every quote.
 */
static inline int span_eq(struct span a, const char *text)
{
    /* `at` of an empty span may be NULL, which memcmp must not get. */
    return strlen(text) == a.len && (!a.len || memcmp(a.at, text, a.len) == 0);
}
/* Copies the span as a C string into `out` of `size` bytes; a longer span is cut. */
void span_copy(char *out, size_t size, struct span s);

/* frees the memory; the empty buffer may be used again */
void buf_free(struct buf *b);
void buf_clear(struct buf *b); /* empties the buffer and keeps its memory */

/* Private to buf_room: allocates memory for `len` more bytes. */
void buf_reserve(struct buf *b, size_t len);

/*
 * Grows the buffer by `len` bytes and returns where to write them. This function and the next three
 * are inline, because every quote calls them often.
 */
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
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_addu(struct buf *b, uint64_t n); /* decimal */
/* the whole content with a NUL byte behind it */
const char *buf_text(struct buf *b);

/* Appends a JSON string with its quotes.  Bytes that are not UTF-8 become U+FFFD. */
void buf_json(struct buf *b, struct span text);
void buf_jsons(struct buf *b, const char *text);
/* Appends microseconds since 1970 as Unix seconds with up to six decimals. */
void buf_json_time(struct buf *b, int64_t wall_us);

/* The write function for msgpack_packer_init(&pk, buf, buf_pack_write). */
int buf_pack_write(void *buf, const char *data, size_t len);

#endif
