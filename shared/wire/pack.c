#include "shared/wire/pack.h"

#include <endian.h>
#include <math.h>
#include <msgpack.h>
#include <string.h>

/* A float in this range is written as a time: exact to the microsecond. */
#define EPOCH_SECONDS_MAX 253402300800.0 /* the year 10000 */

/* Takes a number of `width` bytes (1, 2, 4 or 8) off the cursor. */
static bool take_uint(struct span *c, size_t width, uint64_t *out)
{
    uint64_t n = 0;

    if (c->len < width)
        return false;
    memcpy((char *)&n + sizeof n - width, c->at, width);
    *out = be64toh(n);
    c->at += width;
    c->len -= width;
    return true;
}

static bool take_text(struct span *c, enum pack_type type, uint64_t len, struct pack_value *out)
{
    if (len > c->len)
        return false;
    out->type = type;
    out->text = (struct span){c->at, (size_t)len};
    c->at += len;
    c->len -= (size_t)len;
    return true;
}

static bool take_count(struct span *c, enum pack_type type, uint64_t count, struct pack_value *out)
{
    /* Every element takes at least one byte, every pair two. */
    if (count > c->len / (type == PACK_MAP ? 2 : 1))
        return false;
    out->type = type;
    out->count = (uint32_t)count;
    return true;
}

static bool take_int(struct span *c, size_t width, struct pack_value *out)
{
    uint64_t n;
    unsigned shift = (unsigned)(64 - 8 * width);

    if (!take_uint(c, width, &n))
        return false;
    out->i = (int64_t)(n << shift) >> shift;
    out->type = out->i < 0 ? PACK_INT : PACK_UINT;
    return true;
}

static bool take_float(struct span *c, size_t width, struct pack_value *out)
{
    uint64_t n;

    if (!take_uint(c, width, &n))
        return false;
    out->type = PACK_FLOAT;
    if (width == 4) {
        uint32_t bits = (uint32_t)n;
        float f;

        memcpy(&f, &bits, sizeof f);
        out->f = (double)f;
    } else {
        memcpy(&out->f, &n, sizeof n);
    }
    return true;
}

bool pack_next_any(struct span *c, struct pack_value *out)
{
    unsigned head;
    uint64_t n = 0;

    if (!c->len)
        return false;
    head = (unsigned char)*c->at++;
    c->len--;
    if (head < 0x80 || head >= 0xE0) {
        out->i = head < 0x80 ? (int64_t)head : (int64_t)head - 256;
        out->type = head < 0x80 ? PACK_UINT : PACK_INT;
        return true;
    }
    if (head < 0x90)
        return take_count(c, PACK_MAP, head & 15, out);
    if (head < 0xA0)
        return take_count(c, PACK_ARRAY, head & 15, out);
    if (head < 0xC0)
        return false; /* a short text: pack_next reads those that are whole */
    switch (head) {
    case 0xC0:
        out->type = PACK_NIL;
        return true;
    case 0xC2:
    case 0xC3:
        out->type = PACK_BOOL;
        out->boolean = head == 0xC3;
        return true;
    case 0xC4:
    case 0xC5:
    case 0xC6:
        return take_uint(c, (size_t)1 << (head - 0xC4), &n) && take_text(c, PACK_BIN, n, out);
    case 0xCA:
    case 0xCB:
        return take_float(c, head == 0xCA ? 4 : 8, out);
    case 0xCC:
    case 0xCD:
    case 0xCE:
    case 0xCF:
        out->type = PACK_UINT;
        return take_uint(c, (size_t)1 << (head - 0xCC), &out->u);
    case 0xD0:
    case 0xD1:
    case 0xD2:
    case 0xD3:
        return take_int(c, (size_t)1 << (head - 0xD0), out);
    case 0xD9:
    case 0xDA:
    case 0xDB:
        return take_uint(c, (size_t)1 << (head - 0xD9), &n) && take_text(c, PACK_STR, n, out);
    case 0xDC:
    case 0xDD:
        return take_uint(c, head == 0xDC ? 2 : 4, &n) && take_count(c, PACK_ARRAY, n, out);
    case 0xDE:
    case 0xDF:
        return take_uint(c, head == 0xDE ? 2 : 4, &n) && take_count(c, PACK_MAP, n, out);
    default: /* 0xC1 and ext types */
        return false;
    }
}

static enum err check_map(struct span *c, uint32_t count, int depth)
{
    struct span keys[PACK_KEYS_MAX];
    struct pack_value key, value;
    enum err e;

    if (count > PACK_KEYS_MAX)
        return ERR_TOO_LARGE;
    for (uint32_t i = 0; i < count; i++) {
        if (!pack_next(c, &key) || key.type != PACK_STR)
            return ERR_MALFORMED;
        keys[i] = key.text;
        for (uint32_t k = 0; k < i; k++)
            if (keys[k].len == key.text.len && memcmp(keys[k].at, key.text.at, key.text.len) == 0)
                return ERR_DUPLICATE_KEY;
        e = pack_take(c, depth, &value);
        if (e)
            return e;
    }
    return OK;
}

enum err pack_take_elements(struct span *c, int depth, const struct pack_value *container)
{
    struct pack_value element;

    if (depth == PACK_DEPTH_MAX)
        return ERR_TOO_DEEP;
    if (container->type == PACK_MAP)
        return check_map(c, container->count, depth + 1);
    for (uint32_t i = 0; i < container->count; i++) {
        enum err e = pack_take(c, depth + 1, &element);

        if (e)
            return e;
    }
    return OK;
}

enum err pack_check(struct span bytes)
{
    struct pack_value v;
    enum err e = pack_take(&bytes, 0, &v);

    return e ? e : bytes.len ? ERR_MALFORMED : OK;
}

/* Iterative: the number of values left is a counter, so hostile nesting uses no stack. */
bool pack_skip(struct span *c)
{
    uint64_t left = 1;
    struct pack_value v;

    for (; left; left--) {
        if (left > c->len || !pack_next(c, &v))
            return false;
        if (v.type == PACK_ARRAY)
            left += v.count;
        else if (v.type == PACK_MAP)
            left += 2 * (uint64_t)v.count;
    }
    return true;
}

struct span pack_next_raw(struct span *c)
{
    struct span start = *c;

    pack_skip(c);
    return (struct span){start.at, start.len - c->len};
}

bool pack_find(struct span map, const char *key, struct pack_value *out, struct span *raw)
{
    struct pack_value head, k;

    if (!pack_next(&map, &head) || head.type != PACK_MAP)
        return false;
    for (uint32_t i = 0; i < head.count; i++) {
        struct span at;

        if (!pack_next(&map, &k))
            return false;
        at = map;
        if (!pack_skip(&map))
            return false;
        if (k.type == PACK_STR && span_eq(k.text, key)) {
            if (raw)
                *raw = (struct span){at.at, at.len - map.len};
            return pack_next(&at, out);
        }
    }
    return false;
}

uint32_t pack_find_list(struct span map, const char *key, struct span *c)
{
    struct pack_value list;

    if (pack_find(map, key, &list, c) && list.type == PACK_ARRAY && pack_next(c, &list))
        return list.count;
    *c = (struct span){NULL, 0};
    return 0;
}

uint64_t pack_find_u(struct span map, const char *key, uint64_t fallback)
{
    struct pack_value v;

    return pack_find(map, key, &v, NULL) && v.type == PACK_UINT ? v.u : fallback;
}

struct span pack_find_text(struct span map, const char *key)
{
    struct pack_value v;

    return pack_find(map, key, &v, NULL) && v.type == PACK_STR ? v.text : SPAN("");
}

bool pack_find_bool(struct span map, const char *key, bool fallback)
{
    struct pack_value v;

    return pack_find(map, key, &v, NULL) && v.type == PACK_BOOL ? v.boolean : fallback;
}

void pack_text(msgpack_packer *pk, struct span text)
{
    msgpack_pack_str(pk, text.len);
    msgpack_pack_str_body(pk, text.at, text.len);
}

void pack_key(msgpack_packer *pk, const char *key)
{
    pack_text(pk, span_of(key));
}

void pack_kv_text(msgpack_packer *pk, const char *key, struct span text)
{
    pack_key(pk, key);
    pack_text(pk, text);
}

void pack_kv_u(msgpack_packer *pk, const char *key, uint64_t n)
{
    pack_key(pk, key);
    msgpack_pack_uint64(pk, n);
}

void pack_kv_bool(msgpack_packer *pk, const char *key, bool value)
{
    pack_key(pk, key);
    if (value)
        msgpack_pack_true(pk);
    else
        msgpack_pack_false(pk);
}

static void json_number(struct buf *out, double f)
{
    if (f >= 0 && f < EPOCH_SECONDS_MAX)
        buf_json_time(out, (int64_t)(f * 1e6 + 0.5));
    else if (isfinite(f))
        buf_printf(out, "%.17g", f);
    else
        buf_adds(out, "null");
}

void pack_to_json(struct span *c, struct buf *out)
{
    struct pack_value v;

    if (!pack_next(c, &v))
        return;
    switch (v.type) {
    case PACK_NIL:
        buf_adds(out, "null");
        break;
    case PACK_BOOL:
        buf_adds(out, v.boolean ? "true" : "false");
        break;
    case PACK_UINT:
        buf_addu(out, v.u);
        break;
    case PACK_INT:
        buf_printf(out, "%lld", (long long)v.i);
        break;
    case PACK_FLOAT:
        json_number(out, v.f);
        break;
    case PACK_STR:
    case PACK_BIN:
        buf_json(out, v.text);
        break;
    case PACK_ARRAY:
        buf_addc(out, '[');
        for (uint32_t i = 0; i < v.count; i++) {
            if (i)
                buf_addc(out, ',');
            pack_to_json(c, out);
        }
        buf_addc(out, ']');
        break;
    case PACK_MAP:
        buf_addc(out, '{');
        for (uint32_t i = 0; i < v.count; i++) {
            if (i)
                buf_addc(out, ',');
            pack_to_json(c, out);
            buf_addc(out, ':');
            pack_to_json(c, out);
        }
        buf_addc(out, '}');
        break;
    }
}
