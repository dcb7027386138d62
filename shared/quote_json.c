/* quote_json: a quote from a JSON object, where it enters. */
#include <ctype.h>
#include <math.h>
#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

#include "shared/pack.h"
#include "shared/quote.h"

/* A JSON number without sign as decimal text: "1e-7" → "0.0000001".  false: it does not fit. */
static bool plain_decimal(struct span n, char out[QUOTE_DECIMAL_MAX + 1], size_t *len)
{
    char digits[QUOTE_DECIMAL_MAX];
    size_t count = 0, i = 0, o = 0;
    long point = -1, exponent = 0;

    for (; i < n.len && n.at[i] != 'e' && n.at[i] != 'E'; i++) {
        if (n.at[i] == '.')
            point = (long)count;
        else if (count == sizeof digits)
            return false;
        else
            digits[count++] = n.at[i];
    }
    if (point < 0)
        point = (long)count;
    if (i < n.len) {
        char text[8];

        if (n.len - i - 1 >= sizeof text)
            return false;
        memcpy(text, n.at + i + 1, n.len - i - 1);
        text[n.len - i - 1] = '\0';
        exponent = strtol(text, NULL, 10);
    }
    point += exponent;
    if (point < -QUOTE_DECIMAL_MAX || point > QUOTE_DECIMAL_MAX)
        return false;
    while (point > 1 && count > 1 && digits[0] == '0') {
        memmove(digits, digits + 1, --count);
        point--;
    }
    if (point <= 0)
        out[o++] = '0';
    for (long d = point < 0 ? point : 0; d < (long)count || d < point; d++) {
        if (o + 1 + (d == point) > QUOTE_DECIMAL_MAX)
            return false;
        if (d == point)
            out[o++] = '.';
        out[o++] = d >= 0 && d < (long)count ? digits[d] : '0';
    }
    *len = o;
    return true;
}

static bool pack_price(msgpack_packer *pk, const struct json_value *v)
{
    char plain[QUOTE_DECIMAL_MAX + 1];
    struct span text = v->text;

    if (v->type == JSON_NUMBER &&
        (memchr(text.at, 'e', text.len) || memchr(text.at, 'E', text.len))) {
        size_t len = 0;

        if (text.at[0] == '-' || !plain_decimal(text, plain, &len))
            return false;
        text = (struct span){plain, len};
    }
    if ((v->type != JSON_NUMBER && v->type != JSON_STRING) || !quote_is_decimal(text))
        return false;
    pack_text(pk, text);
    return true;
}

static bool number_as_double(struct span text, double *out)
{
    char copy[48], *end;

    if (text.len >= sizeof copy || !text.len)
        return false;
    memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    *out = strtod(copy, &end);
    return *end == '\0' && isfinite(*out);
}

static void pack_integer_or_text(msgpack_packer *pk, struct span text)
{
    char copy[24], *end;
    bool is_negative = text.len && text.at[0] == '-';

    if (text.len < 20 && !memchr(text.at, '.', text.len) &&
        !memchr(text.at, 'e', text.len) && !memchr(text.at, 'E', text.len)) {
        memcpy(copy, text.at, text.len);
        copy[text.len] = '\0';
        if (is_negative)
            msgpack_pack_int64(pk, strtoll(copy, &end, 10));
        else
            msgpack_pack_uint64(pk, strtoull(copy, &end, 10));
        return;
    }
    pack_text(pk, text);
}

static const struct json_value *pack_any(msgpack_packer *pk, const struct json_value *v)
{
    const struct json_value *child = v + 1, *end = v + v->skip;

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
        pack_integer_or_text(pk, v->text);
        break;
    case JSON_STRING:
        pack_text(pk, v->text);
        break;
    case JSON_ARRAY:
        msgpack_pack_array(pk, v->size);
        while (child < end)
            child = pack_any(pk, child);
        break;
    case JSON_OBJECT:
        msgpack_pack_map(pk, v->size);
        while (child < end)
            child = pack_any(pk, child);
        break;
    }
    return end;
}

static enum quote_refusal pack_member(msgpack_packer *pk, struct span name,
                                      const struct json_value *v)
{
    double t;

    pack_text(pk, name);
    switch (quote_field_kind(name)) {
    case QUOTE_FIELD_PRICE:
        return pack_price(pk, v) ? QUOTE_ACCEPTED : QUOTE_BAD_PRICE;
    case QUOTE_FIELD_TEXT:
        if (v->type != JSON_STRING)
            return QUOTE_BAD_TEXT;
        pack_text(pk, v->text);
        return QUOTE_ACCEPTED;
    case QUOTE_FIELD_TIME:
        if (v->type != JSON_NUMBER || !number_as_double(v->text, &t))
            return QUOTE_BAD_TIME;
        msgpack_pack_double(pk, t);
        return QUOTE_ACCEPTED;
    case QUOTE_FIELD_OTHER:
        break;
    }
    pack_any(pk, v);
    return QUOTE_ACCEPTED;
}

enum quote_refusal quote_from_json(const struct json_value *object, const char *source,
                                   const struct quote_rules *rules,
                                   char symbol[QUOTE_SYMBOL_MAX + 1], struct buf *body,
                                   size_t *where)
{
    const struct json_value *name = json_member(object, "symbol"), *k, *v, *end;
    bool add_time = !json_member(object, "timestamp");
    bool add_source = source && !json_member(object, "source");
    size_t start = body->len;
    enum quote_refusal r = QUOTE_ACCEPTED;
    msgpack_packer pk;

    *where = object->offset;
    if (object->type != JSON_OBJECT)
        return QUOTE_MALFORMED;
    if (!name)
        return QUOTE_BAD_SYMBOL;
    *where = name->offset;
    if (name->type != JSON_STRING || !quote_is_symbol(name->text))
        return QUOTE_BAD_SYMBOL;
    msgpack_packer_init(&pk, body, buf_pack_write);
    msgpack_pack_map(&pk, object->size - 1u + add_time + add_source);
    for (k = object + 1, end = object + object->skip; k < end && !r; k = v + v->skip) {
        v = k + 1;
        if (v == name)
            continue;
        *where = v->offset;
        r = pack_member(&pk, k->text, v);
    }
    if (add_time) {
        pack_key(&pk, "timestamp");
        msgpack_pack_double(&pk, (double)rules->now_us / 1e6);
    }
    if (add_source)
        pack_kv_text(&pk, "source", span_of(source));
    if (!r) {
        *where = object->offset;
        r = quote_check((struct span){body->data + start, body->len - start}, rules);
    }
    if (r) {
        body->len = start;
        return r;
    }
    memcpy(symbol, name->text.at, name->text.len);
    symbol[name->text.len] = '\0';
    return QUOTE_ACCEPTED;
}
