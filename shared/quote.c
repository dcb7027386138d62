#include "shared/quote.h"

#include <ctype.h>
#include <math.h>
#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

#include "shared/pack.h"

#define TEXT_FIELD_MAX 64
#define TIME_MAX 253402300800.0 /* the year 10000 */

enum field_kind { FIELD_PRICE, FIELD_TEXT, FIELD_TIME, FIELD_OTHER };

static const struct {
    const char *name;
    size_t len;
    enum field_kind kind;
} fields[] = {
#define X(name, kind) {#name, sizeof #name - 1, FIELD_##kind},
    QUOTE_FIELDS(X)
#undef X
};

static const struct {
    const char *name, *text;
} refusals[] = {
#define X(code, text) {#code, text},
    QUOTE_REFUSALS(X)
#undef X
};

const char *quote_refusal_name(enum quote_refusal r)
{
    static _Thread_local char name[24];
    size_t i = 0;

    for (; refusals[r].name[i] && i + 1 < sizeof name; i++)
        name[i] = (char)tolower((unsigned char)refusals[r].name[i]);
    name[i] = '\0';
    return name;
}

const char *quote_refusal_text(enum quote_refusal r)
{
    return refusals[r].text;
}

bool quote_is_symbol(struct span text)
{
    if (text.len < 1 || text.len > QUOTE_SYMBOL_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];

        if (!((c >= 'A' && c <= 'Z') || (c >= '-' && c <= ':') || c == '=' ||
              c == '_' || c == '^'))
            return false;
    }
    return true;
}

bool quote_pattern_matches(struct span pattern, struct span symbol)
{
    bool is_prefix = pattern.len && pattern.at[pattern.len - 1] == '*';

    if (is_prefix)
        pattern.len--;
    return (is_prefix ? symbol.len >= pattern.len : symbol.len == pattern.len) &&
           memcmp(pattern.at, symbol.at, pattern.len) == 0;
}

bool quote_patterns_match(struct span patterns, struct span symbol)
{
    while (patterns.len) {
        const char *comma = memchr(patterns.at, ',', patterns.len);
        size_t len = comma ? (size_t)(comma - patterns.at) : patterns.len;

        if (quote_pattern_matches((struct span){patterns.at, len}, symbol))
            return true;
        len += comma != NULL;
        patterns.at += len;
        patterns.len -= len;
    }
    return false;
}

bool quote_is_decimal(struct span text)
{
    size_t i = 0, whole;

    if (text.len > QUOTE_DECIMAL_MAX)
        return false;
    while (i < text.len && text.at[i] >= '0' && text.at[i] <= '9')
        i++;
    if (!i || i == text.len)
        return i > 0;
    if (text.at[i++] != '.')
        return false;
    whole = i;
    while (i < text.len && text.at[i] >= '0' && text.at[i] <= '9')
        i++;
    return i > whole && i == text.len;
}

static size_t whole_digits(struct span *d)
{
    size_t n = 0;

    while (d->len > 1 && d->at[0] == '0' && d->at[1] != '.') {
        d->at++;
        d->len--;
    }
    while (n < d->len && d->at[n] != '.')
        n++;
    return n;
}

int quote_decimal_compare(struct span a, struct span b)
{
    size_t na = whole_digits(&a), nb = whole_digits(&b);
    int order;

    if (na != nb)
        return na < nb ? -1 : 1;
    order = memcmp(a.at, b.at, na);
    for (size_t i = na + 1; !order && (i < a.len || i < b.len); i++)
        order = (i < a.len ? a.at[i] : '0') - (i < b.len ? b.at[i] : '0');
    return order;
}

static enum field_kind kind_of(struct span name)
{
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (name.len == fields[i].len && memcmp(name.at, fields[i].name, name.len) == 0)
            return fields[i].kind;
    return FIELD_OTHER;
}

/* What the rules across fields need to know. */
struct facts {
    struct span bid, ask;
    bool has_price;
    bool has_time;
    double time;
};

static enum quote_refusal check_field(struct span name, const struct pack_value *v,
                                      struct facts *f)
{
    switch (kind_of(name)) {
    case FIELD_PRICE:
        if (v->type != PACK_STR || !quote_is_decimal(v->text))
            return QUOTE_BAD_PRICE;
        if (span_eq(name, "bid"))
            f->bid = v->text;
        else if (span_eq(name, "ask"))
            f->ask = v->text;
        f->has_price |=
            span_eq(name, "bid") || span_eq(name, "ask") || span_eq(name, "last");
        return QUOTE_ACCEPTED;
    case FIELD_TEXT:
        return v->type == PACK_STR && v->text.len <= TEXT_FIELD_MAX ? QUOTE_ACCEPTED
                                                                    : QUOTE_BAD_TEXT;
    case FIELD_TIME: {
        double t = v->type == PACK_FLOAT  ? v->f
                   : v->type == PACK_UINT ? (double)v->u
                                          : -1;

        if (!(t >= 0 && t < TIME_MAX))
            return QUOTE_BAD_TIME;
        if (span_eq(name, "timestamp")) {
            f->time = t;
            f->has_time = true;
        }
        return QUOTE_ACCEPTED;
    }
    case FIELD_OTHER:
        break;
    }
    /* Names of the frame's own members would be ambiguous in JSON. */
    if (span_eq(name, "type") || span_eq(name, "symbol") || span_eq(name, "seq") ||
        span_eq(name, "prev") || span_eq(name, "state") || name.len > TEXT_FIELD_MAX)
        return QUOTE_MALFORMED;
    return QUOTE_ACCEPTED;
}

enum quote_refusal quote_check(struct span body, const struct quote_rules *rules)
{
    struct span c = body;
    struct pack_value head, key, v;
    struct facts f = {0};

    if (body.len > QUOTE_BYTES_MAX)
        return QUOTE_OVERSIZED;
    if (pack_check(body) || !pack_next(&c, &head) || head.type != PACK_MAP)
        return QUOTE_MALFORMED;
    for (uint32_t i = 0; i < head.count; i++) {
        struct span at;
        enum quote_refusal r;

        if (!pack_next(&c, &key))
            return QUOTE_MALFORMED;
        at = c;
        if (!pack_skip(&c) || !pack_next(&at, &v))
            return QUOTE_MALFORMED;
        r = check_field(key.text, &v, &f);
        if (r)
            return r;
    }
    if (!f.has_price)
        return QUOTE_NO_PRICE;
    if (!f.has_time)
        return QUOTE_BAD_TIME;
    if (f.time * 1e6 > (double)(rules->now_us + rules->max_future_us))
        return QUOTE_FUTURE;
    if (!rules->allow_crossed && f.bid.at && f.ask.at &&
        quote_decimal_compare(f.bid, f.ask) > 0)
        return QUOTE_CROSSED;
    return QUOTE_ACCEPTED;
}

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
    switch (kind_of(name)) {
    case FIELD_PRICE:
        return pack_price(pk, v) ? QUOTE_ACCEPTED : QUOTE_BAD_PRICE;
    case FIELD_TEXT:
        if (v->type != JSON_STRING)
            return QUOTE_BAD_TEXT;
        pack_text(pk, v->text);
        return QUOTE_ACCEPTED;
    case FIELD_TIME:
        if (v->type != JSON_NUMBER || !number_as_double(v->text, &t))
            return QUOTE_BAD_TIME;
        msgpack_pack_double(pk, t);
        return QUOTE_ACCEPTED;
    case FIELD_OTHER:
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

void quote_to_json(struct span body, struct buf *out)
{
    struct pack_value head;

    if (!pack_next(&body, &head) || head.type != PACK_MAP)
        return;
    for (uint32_t i = 0; i < head.count; i++) {
        buf_addc(out, ',');
        pack_to_json(&body, out);
        buf_addc(out, ':');
        pack_to_json(&body, out);
    }
}
