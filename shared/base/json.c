#include "shared/base/json.h"

#include <assert.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_parse.h>

#include "shared/base/mem.h"
#include "shared/base/utf8.h"

struct json {
    yajl_handle yajl;   /* reused for every text; NULL after a refused one */
    struct span source; /* valid only during a parse */
    size_t end;         /* in source, behind the last token that yajl reported */

    struct json_value *values;
    const struct json_value **keys; /* scratch: the keys of one object, to be sorted */
    size_t count, cap;
    size_t open[JSON_DEPTH_LIMIT]; /* containers whose end has not come yet */
    size_t depth, depth_max;
    struct buf text; /* the bytes that the values' spans point into */

    enum err why;
    size_t error_at;
    char error[96];
};

struct json *json_new(void)
{
    struct json *j = mem_zalloc(sizeof *j);

    j->depth_max = JSON_DEPTH_MAX;
    return j;
}

void json_set_depth(struct json *j, size_t depth)
{
    assert(depth && depth <= JSON_DEPTH_LIMIT);
    j->depth_max = depth;
}

void json_free(struct json *j)
{
    if (!j)
        return;
    if (j->yajl)
        yajl_free(j->yajl);
    buf_free(&j->text);
    free(j->values);
    free(j->keys);
    free(j);
}

const char *json_error(const struct json *j)
{
    return j->error;
}

size_t json_error_offset(const struct json *j)
{
    return j->error_at;
}

/* Records the error; returns the value with which a callback stops yajl. */
static int refuse(struct json *j, enum err why, size_t at, const char *what)
{
    j->why = why;
    j->error_at = at;
    snprintf(j->error, sizeof j->error, "%s", what);
    return 0;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static size_t skip_spaces(const struct json *j, size_t at)
{
    while (at < j->source.len && is_space(j->source.at[at]))
        at++;
    return at;
}

/*
 * The offset of the current token. yajl does not report it, and a token can be shorter than its
 * source because of escapes. Only white space, commas and colons can be between two tokens of valid
 * JSON.
 */
static size_t token_start(const struct json *j)
{
    size_t at = j->end;

    while (at < j->source.len &&
           (j->source.at[at] == ',' || j->source.at[at] == ':' || is_space(j->source.at[at])))
        at++;
    return at;
}

static void grow(struct json *j)
{
    if (j->count < j->cap)
        return;
    j->cap = j->cap ? j->cap * 2 : 64;
    j->values = mem_resize(j->values, j->cap * sizeof *j->values);
    j->keys = mem_resize(j->keys, j->cap * sizeof *j->keys);
}

/* `text` is copied; the token ends `len` bytes after its start. */
static int add(struct json *j, enum json_type type, struct span text, size_t len, bool is_key)
{
    size_t at = token_start(j);
    char *copy = j->text.data + j->text.len;

    if (j->count == JSON_VALUES_MAX)
        return refuse(j, ERR_TOO_LARGE, at, "too many values");
    if (j->depth == 0 && j->count)
        return refuse(j, ERR_MALFORMED, at, "there is something after the value");
    grow(j);
    if (text.len)
        memcpy(copy, text.at, text.len);
    j->text.len += text.len;
    j->values[j->count] =
        (struct json_value){.type = type, .skip = 1, .offset = at, .text = {copy, text.len}};
    if (j->depth) {
        struct json_value *parent = &j->values[j->open[j->depth - 1]];

        parent->size += parent->type == JSON_ARRAY || is_key;
    }
    j->count++;
    j->end = at + len;
    return 1;
}

static int on_null(void *ctx)
{
    return add(ctx, JSON_NULL, (struct span){0}, 4, false);
}

static int on_bool(void *ctx, int value)
{
    struct span text = value ? SPAN("true") : SPAN("false");

    return add(ctx, JSON_BOOL, text, text.len, false);
}

static int on_number(void *ctx, const char *text, size_t len)
{
    return add(ctx, JSON_NUMBER, (struct span){text, len}, len, false);
}

/* The 16 bits of the \uXXXX at `s`; 0: there is none. */
static unsigned escape_at(const char *s, const char *end)
{
    char digits[5] = {0};

    if (end - s < 6 || s[0] != '\\' || s[1] != 'u')
        return 0;
    memcpy(digits, s + 2, 4);
    return (unsigned)strtoul(digits, NULL, 16);
}

/*
 * yajl accepts half a surrogate pair, as '?' or as bytes that are not UTF-8. Returns where the
 * first one is in the source, or NULL.
 */
static const char *lone_surrogate(const char *s, const char *end)
{
    while ((s = memchr(s, '\\', (size_t)(end - s)))) {
        unsigned unit = escape_at(s, end);

        if (!unit) {
            s += 2;
        } else if (unit < 0xD800 || unit > 0xDFFF) {
            s += 6;
        } else {
            unsigned next = escape_at(s + 6, end);

            if (unit > 0xDBFF || next < 0xDC00 || next > 0xDFFF)
                return s;
            s += 12;
        }
    }
    return NULL;
}

static int add_string(struct json *j, struct span text, bool is_key)
{
    size_t at = token_start(j), end = yajl_get_bytes_consumed(j->yajl);

    if (end - at != text.len + 2) {
        const char *bad = lone_surrogate(j->source.at + at, j->source.at + end);

        if (bad)
            return refuse(j, ERR_MALFORMED, (size_t)(bad - j->source.at), "half a surrogate pair");
    }
    return add(j, JSON_STRING, text, end - at, is_key);
}

static int on_string(void *ctx, const unsigned char *text, size_t len)
{
    return add_string(ctx, (struct span){(const char *)text, len}, false);
}

static int on_key(void *ctx, const unsigned char *text, size_t len)
{
    return add_string(ctx, (struct span){(const char *)text, len}, true);
}

static int open_container(struct json *j, enum json_type type)
{
    if (j->depth == j->depth_max)
        return refuse(j, ERR_TOO_DEEP, token_start(j), "nested too deep");
    if (!add(j, type, (struct span){0}, 1, false))
        return 0;
    j->open[j->depth++] = j->count - 1;
    return 1;
}

static struct json_value *close_container(struct json *j)
{
    struct json_value *v = &j->values[j->open[--j->depth]];

    v->skip = (uint32_t)(&j->values[j->count] - v);
    j->end = token_start(j) + 1;
    return v;
}

static int on_open_object(void *ctx)
{
    return open_container(ctx, JSON_OBJECT);
}

static int on_open_array(void *ctx)
{
    return open_container(ctx, JSON_ARRAY);
}

static int on_close_array(void *ctx)
{
    close_container(ctx);
    return 1;
}

static bool same_text(struct span a, struct span b)
{
    return a.len == b.len && memcmp(a.at, b.at, a.len) == 0;
}

static int compare_keys(const void *left, const void *right)
{
    const struct json_value *a = *(const struct json_value *const *)left;
    const struct json_value *b = *(const struct json_value *const *)right;
    int order;

    if (a->text.len != b->text.len)
        return a->text.len < b->text.len ? -1 : 1;
    order = memcmp(a->text.at, b->text.at, a->text.len);
    return order ? order : a->offset < b->offset ? -1 : 1;
}

/*
 * The keys are sorted before they are compared, so that an object of ten thousand keys does not
 * cost a hundred million comparisons.
 */
static int on_close_object(void *ctx)
{
    struct json *j = ctx;
    const struct json_value *object = close_container(j), *key = object + 1;
    const struct json_value *again = NULL;

    for (uint32_t i = 0; i < object->size; i++) {
        j->keys[i] = key;
        key += 1 + key[1].skip;
    }
    qsort(j->keys, object->size, sizeof *j->keys, compare_keys);
    for (uint32_t i = 1; i < object->size; i++)
        if (same_text(j->keys[i - 1]->text, j->keys[i]->text) &&
            (!again || j->keys[i]->offset < again->offset))
            again = j->keys[i];
    if (again)
        return refuse(j, ERR_DUPLICATE_KEY, again->offset, "a key stands twice in one object");
    return 1;
}

/* yajl accepts control characters as white space, and invalid UTF-8; this function finds both. */
static bool is_text(struct json *j)
{
    struct span s = j->source;

    for (size_t i = 0, len; i < s.len; i += len) {
        unsigned char c = (unsigned char)s.at[i];

        len = c < 0x80 ? 1 : utf8_len(s.at + i, s.len - i);
        if (!len)
            return refuse(j, ERR_MALFORMED, i, "not UTF-8");
        if (c < 0x20 && !is_space(s.at[i]))
            return refuse(j, ERR_MALFORMED, i, "control character");
    }
    return true;
}

static void *take(void *ctx, size_t size)
{
    (void)ctx;
    return mem_alloc(size);
}

static void *retake(void *ctx, void *old, size_t size)
{
    (void)ctx;
    return mem_resize(old, size);
}

static void give_back(void *ctx, void *old)
{
    (void)ctx;
    free(old);
}

static yajl_handle open_yajl(struct json *j)
{
    static const yajl_callbacks callbacks = {
        .yajl_null = on_null,
        .yajl_boolean = on_bool,
        .yajl_number = on_number,
        .yajl_string = on_string,
        .yajl_start_map = on_open_object,
        .yajl_map_key = on_key,
        .yajl_end_map = on_close_object,
        .yajl_start_array = on_open_array,
        .yajl_end_array = on_close_array,
    };
    yajl_alloc_funcs memory = {take, retake, give_back, NULL};
    yajl_handle h = yajl_alloc(&callbacks, &memory, j);

    /* The handle is used again for the next text; add() refuses a second value. */
    yajl_config(h, yajl_allow_multiple_values, 1);
    yajl_config(h, yajl_dont_validate_strings, 1);
    return h;
}

/*
 * The offset of the token at which yajl stopped after it had read up to `read`. That token may
 * itself be a comma or colon in the wrong place.
 */
static size_t stopped_at(const struct json *j, size_t read)
{
    size_t at = skip_spaces(j, j->end);

    while (at + 1 < read && (j->source.at[at] == ',' || j->source.at[at] == ':'))
        at = skip_spaces(j, at + 1);
    return at;
}

/*
 * Refuses with yajl's message, "parse error: unallowed token at this point in JSON text\n", without
 * its prefix and full stop.
 */
static void refuse_as_yajl(struct json *j, size_t read)
{
    unsigned char *message = yajl_get_error(j->yajl, 0, NULL, 0);
    const char *what = message ? strstr((const char *)message, ": ") : NULL;
    size_t len;

    refuse(j, ERR_MALFORMED, stopped_at(j, read), what ? what + 2 : "not JSON");
    j->error[strcspn(j->error, "\n")] = '\0';
    len = strlen(j->error);
    /* only some of yajl's messages end with a full stop */
    if (len && j->error[len - 1] == '.')
        j->error[len - 1] = '\0';
    yajl_free_error(j->yajl, message);
}

static bool run(struct json *j)
{
    yajl_status status;
    size_t read;

    if (!is_text(j))
        return false;
    if (skip_spaces(j, 0) == j->source.len)
        return refuse(j, ERR_MALFORMED, j->source.len, "there is no value");
    if (!j->yajl)
        j->yajl = open_yajl(j);
    status = yajl_parse(j->yajl, (const unsigned char *)j->source.at, j->source.len);
    read = yajl_get_bytes_consumed(j->yajl);
    if (status == yajl_status_ok) {
        read = j->source.len + 1; /* yajl stopped at the end of the text */
        status = yajl_complete_parse(j->yajl);
    }
    if (status == yajl_status_ok && j->count && skip_spaces(j, j->end) == j->source.len)
        return true;
    if (status == yajl_status_error)
        refuse_as_yajl(j, read);
    /* yajl does not report a string that the end of the text cuts */
    else if (status == yajl_status_ok)
        refuse(j, ERR_MALFORMED, stopped_at(j, read), "premature EOF");
    yajl_free(j->yajl);
    j->yajl = NULL;
    return false;
}

enum err json_parse(struct json *j, struct span text, const struct json_value **root)
{
    bool ok;

    j->source = text;
    j->end = j->count = j->depth = j->error_at = 0;
    j->error[0] = '\0';
    /* Unescaped text is never longer than its source: reserve once, so that no span moves. */
    buf_clear(&j->text);
    buf_room(&j->text, text.len + 1);
    buf_clear(&j->text);
    ok = run(j);
    j->source = (struct span){0};
    if (!ok)
        return j->why;
    *root = j->values;
    return OK;
}
