/*
 * quote: defines what a valid quote is, and converts quotes from and to JSON.
 *
 * A quote is a symbol and a map ("body") of fields. On our sockets the symbol travels in the topic
 * and the body as a msgpack map, without the symbol. Prices and sizes are decimal text from end to
 * end ("1034.50" stays "1034.50"): compared as text, never a double. A price may be negative (oil
 * in April 2020, power, spreads), a size may not. `timestamp` (and `recorded_at`) are Unix seconds,
 * float64 on the wire, a JSON number. Fields that we do not know pass through; a number among them
 * that is not an integer becomes its source text, so that it does not pass through a double either.
 *
 * No I/O, no clock: `now` is an argument.
 */
#ifndef SHARED_WIRE_QUOTE_H
#define SHARED_WIRE_QUOTE_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/base/buf.h"
#include "shared/base/err.h"
#include "shared/base/json.h"

#define QUOTE_SYMBOL_MAX 32
#define QUOTE_DECIMAL_MAX 40 /* characters of a price */
#define QUOTE_BYTES_MAX 8192 /* of the body, in bytes */

/* The known fields: name and kind. */
#define QUOTE_FIELDS(X) \
    X(bid, PRICE)       \
    X(ask, PRICE)       \
    X(last, PRICE)      \
    X(open, PRICE)      \
    X(high, PRICE)      \
    X(low, PRICE)       \
    X(bid_size, SIZE)   \
    X(ask_size, SIZE)   \
    X(volume, SIZE)     \
    X(currency, TEXT)   \
    X(source, TEXT)     \
    X(timestamp, TIME)  \
    X(recorded_at, TIME)

enum quote_field {
    QUOTE_FIELD_PRICE, /* decimal text, which may be negative */
    QUOTE_FIELD_SIZE,  /* decimal text, not negative */
    QUOTE_FIELD_TEXT,
    QUOTE_FIELD_TIME,
    QUOTE_FIELD_OTHER, /* not a known field: it passes through */
};
enum quote_field quote_field_kind(struct span name);

/*
 * The reasons for refusing a quote: their names are counted, logged, and listed in
 * docs/protocol/README.md.
 */
#define QUOTE_REFUSALS(X)                                                                    \
    X(ACCEPTED, accepted, "accepted")                                                        \
    X(MALFORMED, malformed, "not a well-formed quote object")                                \
    X(OVERSIZED, oversized, "larger than a quote may be")                                    \
    X(BAD_SYMBOL, bad_symbol, "symbol must be 1 to 32 of A-Z 0-9 . _ : / = ^ -")             \
    X(BAD_PRICE, bad_price, "a price or size must be a decimal number, a size not negative") \
    X(BAD_TEXT, bad_text, "currency and source must be text of at most 64 bytes")            \
    X(BAD_TIME, bad_time, "a time must be a number of seconds since 1970")                   \
    X(FUTURE, future, "timestamp lies in the future")                                        \
    X(RESERVED_NAME, reserved_name,                                                          \
      "the record itself has a field of this name: type, symbol, seq, prev or state")        \
    X(NEGATIVE, negative, "a price is negative, and this feed is set to refuse that")        \
    X(NO_PRICE, no_price, "at least one of bid, ask, last must be there")                    \
    X(CROSSED, crossed, "bid is above ask")                                                  \
    X(BOOK_FULL, book_full, "the broker knows as many symbols as its settings allow")

enum quote_refusal {
#define X(code, name, text) QUOTE_##code,
    QUOTE_REFUSALS(X)
#undef X
        QUOTE_REFUSAL_COUNT
};

const char *quote_refusal_name(enum quote_refusal r); /* "bad_symbol" */
const char *quote_refusal_text(enum quote_refusal r);
/* The field that a rule across fields, or of the broker alone, is about; "": none. */
const char *quote_refusal_field(enum quote_refusal r);
bool quote_refusal_find(struct span name, enum quote_refusal *out); /* false: no such name */

struct quote_rules {
    int64_t now_us;        /* wall clock */
    int64_t max_future_us; /* how far ahead of now a timestamp may lie */
    bool allow_crossed;
    bool refuse_negative;   /* refuse prices below 0; sizes below 0 are always refused */
    bool keeps_time_absent; /* quote_from_json adds no timestamp where there is none */
};

/* Names of the record's own members, which no field of a quote may have. */
bool quote_is_reserved(struct span name);
/*
 * Is the text a word that tables and programs write for a missing number, in any case: "", null,
 * NaN, N/A, - and others? docs/protocol/README.md lists all of them.
 */
bool quote_is_empty_word(struct span text);
#define QUOTE_EMPTY_WORD_MAX 9 /* bytes */
/* A quick test that rules out nearly all other texts: none of these words ends with a digit. */
static inline bool quote_may_be_empty_word(struct span text)
{
    unsigned char last;

    if (!text.len)
        return true;
    if (text.len > QUOTE_EMPTY_WORD_MAX)
        return false;
    last = (unsigned char)text.at[text.len - 1];
    if (last >= '0' && last <= '9')
        return false;
    switch (text.at[0]) {
    case 'n':
    case 'N':
    case '-':
    case '#':
    case '<':
    case '.':
    case '1':
    case '\\':
        return true;
    default:
        return false;
    }
}

bool quote_is_symbol(struct span text);
/* Does the symbol match "BTC*" (a prefix), "EUR/USD" (itself) or "*"? */
bool quote_pattern_matches(struct span pattern, struct span symbol);
/* The same for patterns separated by commas: true if one of them matches. */
bool quote_patterns_match(struct span patterns, struct span symbol);

/* Is this body (msgpack, from a socket) a valid quote by these rules, with a timestamp? */
enum quote_refusal quote_check(struct span body, const struct quote_rules *rules);
/*
 * The same of a line of a producer, which may leave `timestamp` out. If QUOTE_ACCEPTED and
 * *has_time is false, quote_add_time gives a body that is valid.
 */
enum quote_refusal quote_check_line(struct span body, const struct quote_rules *rules,
                                    bool *has_time);
/* Append the body to *out with the time as its last field, `timestamp`. */
void quote_add_time(struct span body, int64_t wall_us, struct buf *out);

/*
 * Reads a quote from a JSON object. On QUOTE_ACCEPTED, `symbol` (NUL-terminated) and `body`
 * (appended, msgpack) are filled and the result has passed quote_check. A missing timestamp becomes
 * now, a missing source becomes `source` (if not NULL). A number as price is taken as its source
 * text, an exponent is written out ("1e-7" becomes "0.0000001"). A known field that is null, and a
 * price or size that is an empty word, count as missing. On refusal both are untouched and *where
 * is the offset of the offending value.
 */
enum quote_refusal quote_from_json(const struct json_value *object, const char *source,
                                   const struct quote_rules *rules,
                                   char symbol[QUOTE_SYMBOL_MAX + 1], struct buf *body,
                                   size_t *where);

/* Append the body's fields as JSON members, each with a leading comma: `,"bid":"1.08"`. */
void quote_to_json(struct span body, struct buf *out);

/* Compares two decimals as text: <0, 0, >0.  Both must pass quote_is_decimal. */
int quote_decimal_compare(struct span a, struct span b);
/* -?[0-9]+(\.[0-9]+)?, up to QUOTE_DECIMAL_MAX characters. */
bool quote_is_decimal(struct span text);

#endif
