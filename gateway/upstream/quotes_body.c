#include "gateway/upstream/quotes_body.h"

#include <ctype.h>
#include <msgpack.h>
#include <stdio.h>
#include <string.h>

#include "shared/base/hash.h"
#include "shared/wire/pack.h"
#include "shared/wire/quote.h"

#define TEXT_OF_(x) #x
#define TEXT_OF(macro) TEXT_OF_(macro)
#define SHAPES "One JSON object, an array of objects, or one object on each line (NDJSON)."

void quotes_body_free(struct quotes_body *b)
{
    for (size_t i = 0; i < b->part_count; i++)
        buf_free(&b->parts[i].rows);
    *b = (struct quotes_body){0};
}

/* The part that takes the next row. */
static struct quotes_part *open_part(struct quotes_body *b)
{
    struct quotes_part *part = &b->parts[b->part_count ? b->part_count - 1 : 0];

    if (b->part_count && part->count < PUBLISH_QUOTES_MAX &&
        part->rows.len < QUOTES_BODY_PART_BYTES)
        return part;
    return b->part_count < QUOTES_BODY_PARTS ? &b->parts[b->part_count++] : NULL;
}

/* The name of the member that has its value at this offset, if it is one that may be named. */
static struct span field_at(const struct json_value *object, size_t offset)
{
    const struct json_value *key = object + 1, *end = object + object->skip;

    for (; object->type == JSON_OBJECT && key < end; key += 1 + key[1].skip)
        if (key[1].offset == offset && key->text.len <= PUBLISH_FIELD_MAX)
            return key->text;
    return SPAN("");
}

static void put_refusal(struct quotes_part *part, enum quote_refusal why, struct span field)
{
    msgpack_packer pk;

    msgpack_packer_init(&pk, &part->rows, buf_pack_write);
    msgpack_pack_array(&pk, 3);
    pack_text(&pk, SPAN(""));
    pack_text(&pk, span_of(quote_refusal_name(why)));
    pack_text(&pk, field);
    part->count++;
}

/* How many arrays and objects are in each other; json.h bounds it. */
static int depth_of(const struct json_value *v)
{
    bool is_container = v->type == JSON_ARRAY || v->type == JSON_OBJECT;
    int deepest = 0;

    for (const struct json_value *c = v + 1; is_container && c < v + v->skip; c += c->skip) {
        int depth = depth_of(c);

        if (depth > deepest)
            deepest = depth;
    }
    return deepest + is_container;
}

static void add_row(struct quotes_part *part, const struct json_value *quote)
{
    static const struct quote_rules rules = {
        .max_future_us = INT64_MAX / 2, .allow_crossed = true, .keeps_time_absent = true};
    char symbol[QUOTE_SYMBOL_MAX + 1];
    enum quote_refusal why = QUOTE_MALFORMED;
    struct buf body = {0};
    msgpack_packer pk;
    size_t where;

    if (!quote) {
        put_refusal(part, why, SPAN(""));
        return;
    }
    why = quote_from_json(quote, NULL, &rules, symbol, &body, &where);
    if (!why && depth_of(quote) > QUOTES_BODY_DEPTH) {
        put_refusal(part, QUOTE_MALFORMED, SPAN(""));
    } else if (why) {
        put_refusal(part, why, why == QUOTE_BAD_SYMBOL ? SPAN("symbol") : field_at(quote, where));
    } else {
        msgpack_packer_init(&pk, &part->rows, buf_pack_write);
        msgpack_pack_array(&pk, 2);
        pack_text(&pk, span_of(symbol));
        buf_add(&part->rows, body.data, body.len);
        part->count++;
    }
    buf_free(&body);
}

bool quotes_body_add(struct quotes_body *b, const struct json_value *quote)
{
    struct quotes_part *part = b->count < QUOTES_BODY_MAX ? open_part(b) : NULL;
    size_t before = part ? part->rows.len : 0;

    if (!part)
        return false;
    b->count++;
    add_row(part, quote);
    b->hash = hash_bytes(b->hash, (struct span){part->rows.data + before, part->rows.len - before});
    return true;
}

static bool refuse(struct quotes_body_error *error, size_t at, const char *hint, const char *what,
                   const char *detail)
{
    *error = (struct quotes_body_error){.hint = hint, .at = at};
    snprintf(error->message, sizeof error->message, "%s%s%s.", what, detail ? ": " : "",
             detail ? detail : "");
    return false;
}

static bool refuse_count(struct quotes_body_error *error)
{
    (void)refuse(error, 0, "At most 1000 in one request.", "The body has too many quotes", NULL);
    error->is_too_large = true;
    return false;
}

static bool refuse_values(struct quotes_body_error *error, size_t at)
{
    (void)refuse(error, at,
                 "At most " TEXT_OF(JSON_VALUES_MAX) " in an array: send fewer quotes "
                                                     "at once, or NDJSON.",
                 "The body has too many names and values", NULL);
    error->is_too_large = true;
    return false;
}

static bool add_document(struct quotes_body *b, const struct json_value *root,
                         struct quotes_body_error *error)
{
    if (root->type == JSON_OBJECT)
        return quotes_body_add(b, root) || refuse_count(error);
    if (root->type != JSON_ARRAY)
        return refuse(error, root->offset, SHAPES, "The body is neither an object nor an array",
                      NULL);
    for (const struct json_value *v = root + 1; v < root + root->skip; v += v->skip)
        if (!quotes_body_add(b, v))
            return refuse_count(error);
    return true;
}

static bool is_blank(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!isspace((unsigned char)s.at[i]))
            return false;
    return true;
}

static bool add_lines(struct json *j, struct span body, struct quotes_body *b,
                      struct quotes_body_error *error)
{
    while (body.len) {
        const char *end = memchr(body.at, '\n', body.len);
        struct span line = {body.at, end ? (size_t)(end - body.at) : body.len};
        const struct json_value *root = NULL;

        body.at += line.len + (end != NULL);
        body.len -= line.len + (end != NULL);
        if (is_blank(line))
            continue;
        if (json_parse(j, line, &root))
            root = NULL;
        if (!quotes_body_add(b, root))
            return refuse_count(error);
    }
    return true;
}

/* An object that is followed by another on the next line. */
static bool looks_like_lines(struct json *j, struct span body)
{
    const char *end = memchr(body.at, '\n', body.len);
    const struct json_value *root;

    return end && body.at[0] == '{' &&
           !json_parse(j, (struct span){body.at, (size_t)(end - body.at)}, &root);
}

bool quotes_body_read(struct json *j, struct span body, bool is_lines, struct quotes_body *out,
                      struct quotes_body_error *error)
{
    const struct json_value *root;
    size_t skipped = 0;
    enum err e;

    *out = (struct quotes_body){.part_count = 1};
    if (body.len >= 3 && memcmp(body.at, "\xEF\xBB\xBF", 3) == 0)
        skipped = 3;
    while (skipped < body.len && isspace((unsigned char)body.at[skipped]))
        skipped++;
    body.at += skipped;
    body.len -= skipped;
    if (!body.len)
        return refuse(error, 0, SHAPES, "The body is empty", NULL);
    e = is_lines ? ERR_MALFORMED : json_parse(j, body, &root);
    if (!e)
        return add_document(out, root, error);
    if (is_lines || looks_like_lines(j, body))
        return add_lines(j, body, out, error);
    e = json_parse(j, body, &root); /* for its error */
    if (e == ERR_TOO_LARGE)
        return refuse_values(error, skipped + json_error_offset(j));
    return refuse(error, skipped + json_error_offset(j), SHAPES, "The body is not JSON",
                  json_error(j));
}

uint32_t quotes_body_pack(const struct quotes_body *b, size_t number,
                          const struct quotes_request *q, struct buf *out)
{
    const struct quotes_part *part = &b->parts[number];
    bool is_last = number + 1 == b->part_count;
    msgpack_packer pk;

    msgpack_packer_init(&pk, out, buf_pack_write);
    pack_kv_text(&pk, "feed", q->feed);
    pack_kv_u(&pk, "sent", (uint64_t)q->sent_us);
    pack_kv_bool(&pk, "stored", q->wants_stored && is_last);
    pack_kv_bool(&pk, "ended", q->is_ended && is_last);
    pack_key(&pk, "quotes");
    msgpack_pack_array(&pk, part->count);
    buf_add(out, part->rows.data, part->rows.len);
    if (!q->key.len)
        return 5;
    pack_kv_text(&pk, "key", q->key);
    pack_kv_u(&pk, "part", number);
    pack_kv_u(&pk, "whole", hash_two(b->hash, b->count, q->is_ended));
    return 8;
}
