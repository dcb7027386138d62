/*
 * pack: reads msgpack that came from a socket.
 *
 * msgpack-c writes (through buf_pack_write); this module reads, because msgpack-c builds a tree in
 * memory before the caller can refuse the message. This reader allocates nothing: it is a cursor
 * over the bytes. The caller calls pack_check() once when the message arrives; after it, walking
 * cannot fail.
 *
 * Refused: depth over PACK_DEPTH_MAX, counts larger than the bytes left, trailing bytes, a key
 * twice in one map, maps with keys that are not text, ext types, maps of over PACK_KEYS_MAX keys.
 * Source: github.com/msgpack/msgpack/blob/master/spec.md
 */
#ifndef SHARED_WIRE_PACK_H
#define SHARED_WIRE_PACK_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/base/buf.h"
#include "shared/base/err.h"

#define PACK_DEPTH_MAX 8
#define PACK_KEYS_MAX 64

enum pack_type {
    PACK_NIL,
    PACK_BOOL,
    PACK_UINT,
    PACK_INT, /* negative numbers only */
    PACK_FLOAT,
    PACK_STR,
    PACK_BIN,
    PACK_ARRAY,
    PACK_MAP,
};

struct pack_value {
    enum pack_type type;
    union {
        bool boolean;
        uint64_t u;
        int64_t i;
        double f;
        /* array: elements, map: pairs; the cursor is at the first of them */
        uint32_t count;
    };
    struct span text; /* of STR and BIN */
};

/* Are the bytes exactly one well-formed value, within the limits above? */
MUST_CHECK enum err pack_check(struct span bytes);

/* Private to pack_next and pack_take: the cases that they do not handle inline. */
bool pack_next_any(struct span *cursor, struct pack_value *out);
MUST_CHECK enum err pack_take_elements(struct span *cursor, int depth,
                                       const struct pack_value *container);

/*
 * Read one value (of a container only its head) and move *cursor past it. Returns false if
 * malformed. Short text is read inline, because most of a quote is short text.
 */
static inline bool pack_next(struct span *cursor, struct pack_value *out)
{
    size_t head = cursor->len ? (unsigned char)*cursor->at : 0, len = head & 31;

    if (head - len != 0xA0 || len >= cursor->len)
        return pack_next_any(cursor, out);
    out->type = PACK_STR;
    out->text = (struct span){cursor->at + 1, len};
    cursor->at += 1 + len;
    cursor->len -= 1 + len;
    return true;
}

/* Enter the next value if it is an array of `count` elements. */
static inline bool pack_next_array(struct span *cursor, uint32_t count)
{
    struct pack_value v;

    return pack_next(cursor, &v) && v.type == PACK_ARRAY && v.count == count;
}

/* The next value, if it has this type; else false, and *out is untouched. */
static inline bool pack_next_u(struct span *cursor, uint64_t *out)
{
    struct pack_value v;

    if (!pack_next(cursor, &v) || v.type != PACK_UINT)
        return false;
    *out = v.u;
    return true;
}

static inline bool pack_next_bytes(struct span *cursor, enum pack_type type, struct span *out)
{
    struct pack_value v;

    if (!pack_next(cursor, &v) || v.type != type)
        return false;
    *out = v.text;
    return true;
}

static inline bool pack_next_text(struct span *cursor, struct span *out)
{
    return pack_next_bytes(cursor, PACK_STR, out);
}

static inline bool pack_next_bin(struct span *cursor, struct span *out)
{
    return pack_next_bytes(cursor, PACK_BIN, out);
}

/* Move past one whole value.  Returns false if malformed. */
bool pack_skip(struct span *cursor);
/* The bytes of the next value, which must be well-formed. */
struct span pack_next_raw(struct span *cursor);
/*
 * Read one value `depth` containers deep and move past the whole of it, checked as pack_check does:
 * for callers that read a map's pairs and check them in one walk.
 */
MUST_CHECK static inline enum err pack_take(struct span *cursor, int depth, struct pack_value *out)
{
    if (!pack_next(cursor, out))
        return ERR_MALFORMED;
    return out->type != PACK_MAP && out->type != PACK_ARRAY
               ? OK
               : pack_take_elements(cursor, depth, out);
}

/*
 * Find `key` in a map that has passed pack_check. *raw (may be NULL) gets the value's bytes.
 * Returns false if there is no such key, or `map` is not a map.
 */
bool pack_find(struct span map, const char *key, struct pack_value *out, struct span *raw);
/*
 * Enter the array that `key` names: returns its length, and *c is at its first element.  c->at is
 * NULL if the map has no such array.
 */
uint32_t pack_find_list(struct span map, const char *key, struct span *c);

/* The unsigned value of `key`, or the fallback if it is missing or of another type. */
uint64_t pack_find_u(struct span map, const char *key, uint64_t fallback);
struct span pack_find_text(struct span map, const char *key); /* .len 0 if missing */
bool pack_find_bool(struct span map, const char *key, bool fallback);

/*
 * Write the value at the cursor as JSON and move past it. The bytes have passed pack_check. Floats
 * are written with at most six decimals (they are times); NaN becomes null.
 */
void pack_to_json(struct span *cursor, struct buf *out);

/* Write one member with a literal key. */
struct msgpack_packer;
void pack_key(struct msgpack_packer *pk, const char *key);
void pack_text(struct msgpack_packer *pk, struct span text);
void pack_kv_text(struct msgpack_packer *pk, const char *key, struct span text);
void pack_kv_u(struct msgpack_packer *pk, const char *key, uint64_t n);
void pack_kv_bool(struct msgpack_packer *pk, const char *key, bool value);

#endif
