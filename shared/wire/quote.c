#include "shared/wire/quote.h"

#include <math.h>
#include <msgpack.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "shared/wire/pack.h"

#define TEXT_FIELD_MAX 64
/* Bytes that an added timestamp takes: its name, a float64, and a longer head of the map. */
#define TIME_BYTES 21
#define TIME_MAX 253402300800.0 /* the year 10000 */

/* Each known field has its own value; its kind follows from the value. */
enum field {
#define X(name, kind) FIELD_##name,
    QUOTE_FIELDS(X)
#undef X
        FIELD_COUNT
};

static const enum quote_field kinds[] = {
#define X(name, kind) QUOTE_FIELD_##kind,
    QUOTE_FIELDS(X)
#undef X
        QUOTE_FIELD_OTHER,
};

static const struct {
    const char *name, *text;
} refusals[] = {
#define X(code, name, text) {#name, text},
    QUOTE_REFUSALS(X)
#undef X
};

const char *quote_refusal_name(enum quote_refusal r)
{
    return refusals[r].name;
}

const char *quote_refusal_text(enum quote_refusal r)
{
    return refusals[r].text;
}

const char *quote_refusal_field(enum quote_refusal r)
{
    return r == QUOTE_FUTURE                               ? "timestamp"
           : r == QUOTE_CROSSED                            ? "bid"
           : r == QUOTE_BAD_SYMBOL || r == QUOTE_BOOK_FULL ? "symbol"
                                                           : "";
}

bool quote_refusal_find(struct span name, enum quote_refusal *out)
{
    for (int i = 0; i < QUOTE_REFUSAL_COUNT; i++)
        if (span_eq(name, quote_refusal_name((enum quote_refusal)i))) {
            *out = (enum quote_refusal)i;
            return true;
        }
    return false;
}

bool quote_is_symbol(struct span text)
{
    if (text.len < 1 || text.len > QUOTE_SYMBOL_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];

        if (!((c >= 'A' && c <= 'Z') || (c >= '-' && c <= ':') || c == '=' || c == '_' || c == '^'))
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
    if (text.len && text.at[0] == '-') {
        text.at++;
        text.len--;
    }
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

/* Compares two decimals without sign. */
static int compare_sizes(struct span a, struct span b)
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

/* Removes the sign.  Returns true if there was one and the number is not zero. */
static bool take_sign(struct span *d)
{
    if (d->at[0] != '-')
        return false;
    d->at++;
    d->len--;
    for (size_t i = 0; i < d->len; i++)
        if (d->at[i] >= '1' && d->at[i] <= '9')
            return true;
    return false;
}

int quote_decimal_compare(struct span a, struct span b)
{
    bool is_a_negative = take_sign(&a), is_b_negative = take_sign(&b);

    if (is_a_negative != is_b_negative)
        return is_a_negative ? -1 : 1;
    return is_a_negative ? compare_sizes(b, a) : compare_sizes(a, b);
}

bool quote_is_reserved(struct span name)
{
    return span_eq(name, "type") || span_eq(name, "symbol") || span_eq(name, "seq") ||
           span_eq(name, "prev") || span_eq(name, "state");
}

bool quote_is_empty_word(struct span text)
{
    /* The list of pandas, and what R, SQL, SAS, FRED and Bloomberg write. */
    static const char *const words[] = {
        "null", "nan", "-nan", "na", "n/a", "n.a.", "#n/a",   "#n/a n/a", "#na",     "<na>",
        "none", "nil", "-",    "--", ".",   "\\n",  "1.#ind", "-1.#ind",  "1.#qnan", "-1.#qnan"};

    if (!quote_may_be_empty_word(text))
        return false;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strlen(words[i]) == text.len && strncasecmp(words[i], text.at, text.len) == 0)
            return true;
    return !text.len;
}

/* The compiler knows the lengths, so a comparison costs one or two loads. */
static enum field find_field(struct span name)
{
#define X(text, kind)                                                                  \
    if (name.len == sizeof #text - 1 && memcmp(name.at, #text, sizeof #text - 1) == 0) \
        return FIELD_##text;
    QUOTE_FIELDS(X)
#undef X
    return FIELD_COUNT;
}

enum quote_field quote_field_kind(struct span name)
{
    return kinds[find_field(name)];
}

static bool is_below_zero(struct span decimal)
{
    return take_sign(&decimal);
}

/* What the rules across fields need. */
struct facts {
    struct span bid, ask;
    bool has_price, has_negative;
    bool has_time;
    double time;
    uint32_t fields;
};

static enum quote_refusal check_price(enum field field, const struct pack_value *v, struct facts *f)
{
    if (v->type != PACK_STR || !quote_is_decimal(v->text) ||
        (kinds[field] == QUOTE_FIELD_SIZE && v->text.at[0] == '-'))
        return QUOTE_BAD_PRICE;
    f->has_negative |= v->text.at[0] == '-' && is_below_zero(v->text);
    if (field == FIELD_bid)
        f->bid = v->text;
    else if (field == FIELD_ask)
        f->ask = v->text;
    f->has_price |= field == FIELD_bid || field == FIELD_ask || field == FIELD_last;
    return QUOTE_ACCEPTED;
}

static enum quote_refusal check_time(enum field field, const struct pack_value *v, struct facts *f)
{
    double t = v->type == PACK_FLOAT ? v->f : v->type == PACK_UINT ? (double)v->u : -1;

    if (!(t >= 0 && t < TIME_MAX))
        return QUOTE_BAD_TIME;
    if (field == FIELD_timestamp) {
        f->time = t;
        f->has_time = true;
    }
    return QUOTE_ACCEPTED;
}

static enum quote_refusal check_field(enum field field, struct span name,
                                      const struct pack_value *v, struct facts *f)
{
    switch (kinds[field]) {
    case QUOTE_FIELD_PRICE:
    case QUOTE_FIELD_SIZE:
        return check_price(field, v, f);
    case QUOTE_FIELD_TEXT:
        return v->type == PACK_STR && v->text.len <= TEXT_FIELD_MAX ? QUOTE_ACCEPTED
                                                                    : QUOTE_BAD_TEXT;
    case QUOTE_FIELD_TIME:
        return check_time(field, v, f);
    case QUOTE_FIELD_OTHER:
        break;
    }
    /* A field with the name of a member of the WebSocket message would be ambiguous in JSON. */
    if (quote_is_reserved(name))
        return QUOTE_RESERVED_NAME;
    return name.len > TEXT_FIELD_MAX ? QUOTE_MALFORMED : QUOTE_ACCEPTED;
}

/* The names seen so far: one bit for each known name, the text of the others. */
struct names {
    uint32_t known;
    uint32_t count;
    struct span others[PACK_KEYS_MAX];
};

_Static_assert(FIELD_COUNT <= 32, "a bit each");

static bool is_named_twice(struct names *n, enum field field, struct span name)
{
    uint32_t bit = field < FIELD_COUNT ? UINT32_C(1) << field : 0;

    if (n->known & bit)
        return true;
    n->known |= bit;
    if (bit)
        return false;
    for (uint32_t i = 0; i < n->count; i++)
        if (n->others[i].len == name.len && memcmp(n->others[i].at, name.at, name.len) == 0)
            return true;
    n->others[n->count++] = name;
    return false;
}

/*
 * Checks a body in one walk, because every quote takes it: what pack_check would refuse, and the
 * first field that breaks a rule. A body that is malformed further on counts as malformed, whatever
 * its fields.
 */
static enum quote_refusal check_fields(struct span c, struct facts *f)
{
    enum quote_refusal refusal = QUOTE_ACCEPTED;
    struct pack_value head, key, v;
    struct names names;

    names.known = names.count = 0;
    if (!pack_next(&c, &head) || head.type != PACK_MAP || head.count > PACK_KEYS_MAX)
        return QUOTE_MALFORMED;
    f->fields = head.count;
    for (uint32_t i = 0; i < head.count; i++) {
        enum field field;

        if (!pack_next(&c, &key) || key.type != PACK_STR)
            return QUOTE_MALFORMED;
        field = find_field(key.text);
        if (is_named_twice(&names, field, key.text) || pack_take(&c, 1, &v))
            return QUOTE_MALFORMED;
        if (!refusal)
            refusal = check_field(field, key.text, &v, f);
    }
    return c.len ? QUOTE_MALFORMED : refusal;
}

/* Has a body without a timestamp room for one? */
static enum quote_refusal check_room(struct span body, const struct facts *f)
{
    if (f->fields == PACK_KEYS_MAX)
        return QUOTE_MALFORMED;
    return body.len + TIME_BYTES > QUOTE_BYTES_MAX ? QUOTE_OVERSIZED : QUOTE_ACCEPTED;
}

enum quote_refusal quote_check_line(struct span body, const struct quote_rules *rules,
                                    bool *has_time)
{
    struct facts f = {0};
    enum quote_refusal refusal;

    if (body.len > QUOTE_BYTES_MAX)
        return QUOTE_OVERSIZED;
    refusal = check_fields(body, &f);
    if (refusal)
        return refusal;
    if (f.has_negative && rules->refuse_negative)
        return QUOTE_NEGATIVE;
    if (!f.has_price)
        return QUOTE_NO_PRICE;
    if (f.time * 1e6 > (double)(rules->now_us + rules->max_future_us))
        return QUOTE_FUTURE;
    if (!rules->allow_crossed && f.bid.at && f.ask.at && quote_decimal_compare(f.bid, f.ask) > 0)
        return QUOTE_CROSSED;
    *has_time = f.has_time;
    return f.has_time ? QUOTE_ACCEPTED : check_room(body, &f);
}

enum quote_refusal quote_check(struct span body, const struct quote_rules *rules)
{
    bool has_time = true;
    enum quote_refusal refusal = quote_check_line(body, rules, &has_time);

    return refusal || has_time ? refusal : QUOTE_BAD_TIME;
}

void quote_add_time(struct span body, int64_t wall_us, struct buf *out)
{
    struct pack_value head;
    msgpack_packer pk;

    if (!pack_next(&body, &head) || head.type != PACK_MAP)
        return;
    msgpack_packer_init(&pk, out, buf_pack_write);
    msgpack_pack_map(&pk, head.count + 1);
    buf_add(out, body.at, body.len);
    pack_key(&pk, "timestamp");
    msgpack_pack_double(&pk, (double)wall_us / 1e6);
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
