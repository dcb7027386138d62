/*
 * json: a JSON text as a flat array of values, read by yajl.
 *
 * Numbers are kept as their source text: a price never becomes a double.  Every value has its byte
 * offset, so that an error can state the place.  Values are in document order; a container is
 * followed by its children (an object's alternate key, value), and `skip` leads past the whole
 * subtree.
 *
 *   {"a":[1,2]}  is  OBJECT(1, skip 5)  STRING a  ARRAY(2, skip 3)  NUMBER 1  NUMBER 2
 *
 * Refused: depth over JSON_DEPTH_MAX, more values than JSON_VALUES_MAX, a key twice in one
 * object, invalid UTF-8 (or half a surrogate pair, escaped), anything after the value.
 * One owner, one thread.
 */
#ifndef SHARED_BASE_JSON_H
#define SHARED_BASE_JSON_H

#include <stddef.h>
#include <stdint.h>

#include "shared/base/buf.h"
#include "shared/base/err.h"

#define JSON_DEPTH_MAX 8 /* unless json_set_depth has set another depth */
#define JSON_DEPTH_LIMIT 32
#define JSON_VALUES_MAX 150000 /* each key of an object counts too */

enum json_type {
    JSON_NULL,
    JSON_BOOL,   /* text is "true" or "false" */
    JSON_NUMBER, /* text is the source, e.g. "1034.50" or "1e-7" */
    JSON_STRING, /* text is unescaped UTF-8, may hold NUL */
    JSON_ARRAY,
    JSON_OBJECT,
};

struct json_value {
    enum json_type type;
    uint32_t size; /* array: its elements; object: its members; else 0 */
    uint32_t skip; /* values in this subtree, this one included: v + v->skip is the next */
    /* of the value's first character, in bytes from the start of the text */
    size_t offset;
    struct span text;
};

struct json; /* a parsed document; reused, so that parsing soon allocates nothing */

struct json *json_new(void);
void json_free(struct json *j);
/* Set the limit for documents of other programs, which nest deeper: 1 to JSON_DEPTH_LIMIT. */
void json_set_depth(struct json *j, size_t depth);

/*
 * Parse `text`. On OK, *root is the first value, valid until the next parse or free. Else the
 * result is ERR_MALFORMED, ERR_TOO_DEEP, ERR_TOO_LARGE or ERR_DUPLICATE_KEY, *root is untouched,
 * json_error() describes the error in one short sentence and json_error_offset() gives its place.
 */
MUST_CHECK enum err json_parse(struct json *j, struct span text, const struct json_value **root);
const char *json_error(const struct json *j);
size_t json_error_offset(const struct json *j);

/* The member `key` of an object, or NULL (also if `object` is not an object). */
const struct json_value *json_member(const struct json_value *object, const char *key);

#endif
