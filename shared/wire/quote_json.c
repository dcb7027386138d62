/* quote_json: reads a quote from a JSON object, where it enters the system. */
#include <ctype.h>
#include <math.h>
#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

#include "shared/wire/pack.h"
#include "shared/wire/quote.h"

/*
 * Writes a number as decimal text: "1e-7" → "0.0000001", "-.5" → "-0.5". Returns false if it is not
 * a number or does not fit. `out` has room for QUOTE_DECIMAL_MAX characters.
 */
struct plain {
    char digits[QUOTE_DECIMAL_MAX];
    size_t count; /* of digits */
    long point;   /* digits before the decimal point; may be below 0 or above `count` */
    bool is_negative;
};

static bool read_exponent(struct span text, long *out)
{
    char copy[8], *end;

    if (!text.len || text.len >= sizeof copy || text.at[text.len - 1] < '0')
        return false;
    memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    *out = strtol(copy, &end, 10);
    return !*end;
}

static bool read_plain(struct span n, struct plain *p)
{
    size_t i = n.len && (n.at[0] == '-' || n.at[0] == '+'), begin = i;
    bool has_point = false;
    long exponent = 0;

    *p = (struct plain){.is_negative = i && n.at[0] == '-'};
    for (; i < n.len && n.at[i] != 'e' && n.at[i] != 'E'; i++) {
        if (n.at[i] == '.' && !has_point) {
            has_point = true;
            p->point = (long)p->count;
        } else if (n.at[i] >= '0' && n.at[i] <= '9' && p->count < sizeof p->digits) {
            p->digits[p->count++] = n.at[i];
        } else {
            return false;
        }
    }
    if (!p->count || i - begin > p->count + has_point)
        return false;
    if (!has_point)
        p->point = (long)p->count;
    if (i < n.len && !read_exponent((struct span){n.at + i + 1, n.len - i - 1}, &exponent))
        return false;
    p->point += exponent;
    return true;
}

static bool plain_decimal(struct span n, char out[QUOTE_DECIMAL_MAX], size_t *len)
{
    struct plain p;
    size_t o = 0, zeros = 0;

    if (!read_plain(n, &p))
        return false;
    while (zeros + 1 < p.count && p.digits[zeros] == '0')
        zeros++;
    if (p.digits[zeros] == '0') { /* zero, whatever its exponent */
        out[0] = '0';
        *len = 1;
        return true;
    }
    if (p.point < -QUOTE_DECIMAL_MAX || p.point > QUOTE_DECIMAL_MAX + (long)zeros)
        return false;
    for (zeros = 0; p.point > 1 && p.digits[zeros] == '0'; zeros++)
        p.point--;
    if (p.is_negative)
        out[o++] = '-';
    if (p.point <= 0)
        out[o++] = '0';
    for (long d = p.point < 0 ? p.point : 0; d < (long)(p.count - zeros) || d < p.point; d++) {
        if (o + 1 + (d == p.point) > QUOTE_DECIMAL_MAX)
            return false;
        if (d == p.point)
            out[o++] = '.';
        out[o++] = d >= 0 && d < (long)(p.count - zeros) ? p.digits[zeros + (size_t)d] : '0';
    }
    *len = o;
    return true;
}

/* A number that is a decimal already keeps its text; a string is taken as it is. */
static bool pack_price(msgpack_packer *pk, const struct json_value *v)
{
    char plain[QUOTE_DECIMAL_MAX];
    struct span text = v->text;
    size_t len = 0;

    if (v->type != JSON_NUMBER && v->type != JSON_STRING)
        return false;
    if (!quote_is_decimal(text)) {
        if (v->type == JSON_STRING || !plain_decimal(text, plain, &len))
            return false;
        text = (struct span){plain, len};
    }
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

    if (text.len < 20 && !memchr(text.at, '.', text.len) && !memchr(text.at, 'e', text.len) &&
        !memchr(text.at, 'E', text.len)) {
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
    case QUOTE_FIELD_SIZE:
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
        if (quote_is_reserved(name))
            return QUOTE_RESERVED_NAME;
        break;
    }
    pack_any(pk, v);
    return QUOTE_ACCEPTED;
}

static bool is_known_absent(struct span name, const struct json_value *v)
{
    enum quote_field kind;

    if (v->type == JSON_STRING && !quote_is_empty_word(v->text))
        return false;
    kind = quote_field_kind(name);
    return kind == QUOTE_FIELD_PRICE || kind == QUOTE_FIELD_SIZE ||
           (kind != QUOTE_FIELD_OTHER && v->type == JSON_NULL);
}

/* A known field whose value means that the field is missing. */
static inline bool is_absent(struct span name, const struct json_value *v)
{
    return (v->type == JSON_NULL || (v->type == JSON_STRING && quote_may_be_empty_word(v->text))) &&
           is_known_absent(name, v);
}

static bool is_given(const struct json_value *object, const char *name)
{
    const struct json_value *v = json_member(object, name);

    return v && !is_absent(span_of(name), v);
}

/* The number of members that become fields. */
static uint32_t count_fields(const struct json_value *object)
{
    const struct json_value *k = object + 1, *end = object + object->skip;
    uint32_t count = 0;

    for (; k < end; k += 1 + k[1].skip)
        count += !is_absent(k->text, k + 1);
    return count - 1; /* the symbol is not a field */
}

enum quote_refusal quote_from_json(const struct json_value *object, const char *source,
                                   const struct quote_rules *rules,
                                   char symbol[QUOTE_SYMBOL_MAX + 1], struct buf *body,
                                   size_t *where)
{
    const struct json_value *name = json_member(object, "symbol"), *k, *v, *end;
    bool add_time = !rules->keeps_time_absent && !is_given(object, "timestamp"), has_time = true;
    bool add_source = source && !is_given(object, "source");
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
    msgpack_pack_map(&pk, count_fields(object) + add_time + add_source);
    for (k = object + 1, end = object + object->skip; k < end && !r; k = v + v->skip) {
        v = k + 1;
        if (v == name || is_absent(k->text, v))
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
        r = quote_check_line((struct span){body->data + start, body->len - start}, rules,
                             &has_time);
    }
    if (r) {
        body->len = start;
        return r;
    }
    memcpy(symbol, name->text.at, name->text.len);
    symbol[name->text.len] = '\0';
    return QUOTE_ACCEPTED;
}
