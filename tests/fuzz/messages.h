/*
 * messages: the messages of our sockets as lines of JSON, for the targets that take several.
 *
 * Each line of an input is one message.  A line that is JSON is packed, and its object has "op" (or
 * "re"); with '!' before its name, an op is no message but something else that happens.  An object
 * with the member "kind" is packed as the bytes of that record.
 */
#ifndef TESTS_FUZZ_MESSAGES_H
#define TESTS_FUZZ_MESSAGES_H

#include "shared/wire/wire.h"
#include "tests/fuzz/fuzz.h"

/* packed.h is written for cmocka. */
#define assert_true(condition) MUST(condition)
#define assert_non_null(pointer) MUST(pointer)
#define assert_int_equal(a, b) MUST((uint64_t)(a) == (uint64_t)(b)) /* as cmocka does */
#define fail_msg(...) abort()
#include "tests/unit/packed.h"

static inline uint64_t message_number(const struct json_value *object, const char *name)
{
    const struct json_value *v = json_member(object, name);
    char digits[24] = "";

    if (v && v->type == JSON_NUMBER)
        span_copy(digits, sizeof digits, v->text);
    return strtoull(digits, NULL, 10);
}

static inline struct span message_text(const struct json_value *object, const char *name,
                                       const char *fallback)
{
    const struct json_value *v = json_member(object, name);

    return v && v->type == JSON_STRING && v->text.len ? v->text : span_of(fallback);
}

static inline const struct json_value *message_put(msgpack_packer *pk, const struct json_value *v);

/* The record that an object describes; its body is any value. */
static inline void message_record(const struct json_value *object, struct buf *out)
{
    const struct json_value *body = json_member(object, "body");
    struct wire_record r = {.kind = (enum wire_kind)(message_number(object, "kind") % 256),
                            .epoch = message_number(object, "epoch"),
                            .seq = message_number(object, "seq"),
                            .prev = message_number(object, "prev"),
                            .sent_us = 1,
                            .accepted_us = message_number(object, "accepted")};
    struct buf bytes = {0};
    msgpack_packer pk;

    msgpack_packer_init(&pk, &bytes, buf_pack_write);
    if (body)
        message_put(&pk, body);
    r.body = buf_span(&bytes);
    wire_put(out, &r);
    buf_free(&bytes);
}

static inline const struct json_value *message_put(msgpack_packer *pk, const struct json_value *v)
{
    const struct json_value *child = v + 1, *end = v + v->skip;
    struct buf record = {0};

    if (json_member(v, "kind")) {
        message_record(v, &record);
        msgpack_pack_bin(pk, record.len);
        msgpack_pack_bin_body(pk, record.data, record.len);
        buf_free(&record);
        return end;
    }
    if (v->type != JSON_ARRAY && v->type != JSON_OBJECT)
        return packed_value(pk, v);
    if (v->type == JSON_ARRAY)
        msgpack_pack_array(pk, v->size);
    else
        msgpack_pack_map(pk, v->size);
    while (child < end)
        child = message_put(pk, child);
    return end;
}

/* The message that an object describes. */
static inline void message_pack(const struct json_value *object, struct buf *out)
{
    msgpack_packer pk;

    msgpack_packer_init(&pk, out, buf_pack_write);
    message_put(&pk, object);
}

/* packed_value takes numbers of up to 63 characters. */
static inline bool message_is_packable(const struct json_value *root)
{
    for (uint32_t i = 0; i < root->skip; i++)
        if (root[i].type == JSON_NUMBER && root[i].text.len > 60)
            return false;
    return true;
}

/* The object that a line describes.  false: it is none. */
static inline bool message_read(struct json *j, struct span line, const struct json_value **root)
{
    return json_parse(j, line, root) == OK && (*root)->type == JSON_OBJECT &&
           message_is_packable(*root);
}

#endif
