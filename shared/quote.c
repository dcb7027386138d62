#include "shared/quote.h"

#include <ctype.h>
#include <math.h>
#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

#include "shared/pack.h"

#define TEXT_FIELD_MAX 64
#define TIME_MAX 253402300800.0 /* the year 10000 */

static const struct {
    const char *name;
    size_t len;
    enum quote_field kind;
} fields[] = {
#define X(name, kind) {#name, sizeof #name - 1, QUOTE_FIELD_##kind},
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

enum quote_field quote_field_kind(struct span name)
{
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (name.len == fields[i].len && memcmp(name.at, fields[i].name, name.len) == 0)
            return fields[i].kind;
    return QUOTE_FIELD_OTHER;
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
    switch (quote_field_kind(name)) {
    case QUOTE_FIELD_PRICE:
        if (v->type != PACK_STR || !quote_is_decimal(v->text))
            return QUOTE_BAD_PRICE;
        if (span_eq(name, "bid"))
            f->bid = v->text;
        else if (span_eq(name, "ask"))
            f->ask = v->text;
        f->has_price |=
            span_eq(name, "bid") || span_eq(name, "ask") || span_eq(name, "last");
        return QUOTE_ACCEPTED;
    case QUOTE_FIELD_TEXT:
        return v->type == PACK_STR && v->text.len <= TEXT_FIELD_MAX ? QUOTE_ACCEPTED
                                                                    : QUOTE_BAD_TEXT;
    case QUOTE_FIELD_TIME: {
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
    case QUOTE_FIELD_OTHER:
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
