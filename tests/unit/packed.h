/*
 * packed: msgpack for tests, written as JSON, and read as JSON.
 *
 * A number with a point is packed as a float, any other as an integer.  Single quotes
 * stand for double ones, so that messages stay readable in C.  Include it after
 * <cmocka.h>.
 */
#ifndef TESTS_UNIT_PACKED_H
#define TESTS_UNIT_PACKED_H

#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/buf.h"
#include "shared/base/json.h"
#include "shared/wire/pack.h"

static inline const struct json_value *packed_value(msgpack_packer *pk, const struct json_value *v)
{
    const struct json_value *child = v + 1, *end = v + v->skip;
    char number[64] = "";

    switch (v->type) {
    case JSON_NULL:
        msgpack_pack_nil(pk);
        break;
    case JSON_BOOL:
        if (span_eq(v->text, "true"))
            msgpack_pack_true(pk);
        else
            msgpack_pack_false(pk);
        break;
    case JSON_NUMBER:
        assert_true(v->text.len < sizeof number);
        memcpy(number, v->text.at, v->text.len);
        if (strchr(number, '.'))
            msgpack_pack_double(pk, strtod(number, NULL));
        else if (number[0] == '-')
            msgpack_pack_int64(pk, strtoll(number, NULL, 10));
        else
            msgpack_pack_uint64(pk, strtoull(number, NULL, 10));
        break;
    case JSON_STRING:
        pack_text(pk, v->text);
        break;
    case JSON_ARRAY:
        msgpack_pack_array(pk, v->size);
        break;
    case JSON_OBJECT:
        msgpack_pack_map(pk, v->size);
        break;
    }
    while (child < end)
        child = packed_value(pk, child);
    return end;
}

/* Append the msgpack of a JSON text. */
static inline void packed(struct buf *out, const char *text)
{
    const struct json_value *root;
    struct json *j = json_new();
    struct buf copy = {0};
    msgpack_packer pk;

    buf_adds(&copy, text);
    for (size_t i = 0; i < copy.len; i++)
        if (copy.data[i] == '\'')
            copy.data[i] = '"';
    if (json_parse(j, buf_span(&copy), &root))
        fail_msg("%s: %s", text, json_error(j));
    msgpack_packer_init(&pk, out, buf_pack_write);
    packed_value(&pk, root);
    buf_free(&copy);
    json_free(j);
}

/* The JSON of msgpack that must be well-formed, double quotes as single ones; into
 * `out`. */
static inline const char *unpacked(struct buf *out, struct span bytes)
{
    struct span c = bytes;

    buf_clear(out);
    assert_int_equal(pack_check(bytes), OK);
    pack_to_json(&c, out);
    assert_int_equal(c.len, 0);
    for (size_t i = 0; i < out->len; i++)
        if (out->data[i] == '"')
            out->data[i] = '\'';
    return buf_text(out);
}

/* Bytes from hex, spaces skipped; appended. */
static inline void unhex(struct buf *out, const char *hex)
{
    for (; *hex; hex += *hex == ' ' ? 1 : 2) {
        char two[3] = {hex[0], hex[1]};

        if (*hex == ' ')
            continue;
        buf_addc(out, (char)strtoul(two, NULL, 16));
    }
}

/* An exact copy on the heap, so that the address sanitizer sees a byte read outside. */
static inline struct span exact_copy(struct span s)
{
    char *copy = malloc(s.len ? s.len : 1);

    assert_non_null(copy);
    memcpy(copy, s.at, s.len);
    return (struct span){copy, s.len};
}

#endif
