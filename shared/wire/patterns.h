/*
 * patterns: the list of patterns in a request ("EUR/USD,BTC*"), bounded and ready to match.
 *
 * A pattern is a symbol, a prefix of one and '*', or '*' alone. A list has at most PATTERNS_MAX
 * patterns, separated by commas; an empty entry is ignored. Parsing sorts the patterns and drops
 * those that another one covers, so that a symbol matches at most one of them and a binary search
 * finds it: some 7 comparisons for a full list.
 *
 * A value of some 4 KB that owns no memory. No I/O, no clock.
 */
#ifndef SHARED_WIRE_PATTERNS_H
#define SHARED_WIRE_PATTERNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/buf.h"
#include "shared/base/err.h"
#include "shared/wire/quote.h"

#define PATTERN_MAX (QUOTE_SYMBOL_MAX + 1) /* bytes */
#define PATTERNS_MAX 128
#define PATTERNS_TEXT_MAX (PATTERNS_MAX * (PATTERN_MAX + 1)) /* bytes of a list */

/* The error text for the sender of a list that is refused. */
#define PATTERNS_TOO_MANY_TEXT                                                        \
    "at most 128 patterns of 33 bytes, separated by commas, are taken: request them " \
    "in parts"
#define PATTERNS_BAD_TEXT                                                        \
    "a pattern is a symbol (1 to 32 of A-Z 0-9 . _ : / = ^ -), the beginning of" \
    " one and *, or *"

struct pattern {
    char text[QUOTE_SYMBOL_MAX]; /* without the '*' */
    uint8_t len;
    bool is_prefix;
};

struct patterns {
    size_t count;
    struct pattern list[PATTERNS_MAX]; /* ascending, none covers another */
};

bool patterns_is_one(struct span text);

/*
 * Fails with ERR_TOO_MANY_PATTERNS (also for a list over PATTERNS_TEXT_MAX bytes) or
 * ERR_BAD_PATTERN. Reads no more than PATTERNS_TEXT_MAX bytes. `out` is untouched on failure. An
 * empty list is valid and matches nothing.
 */
MUST_CHECK enum err patterns_parse(struct span text, struct patterns *out);
/* The error text for either error. */
const char *patterns_error_text(enum err e);

bool patterns_match(const struct patterns *p, struct span symbol);
bool patterns_match_all(const struct patterns *p); /* is one of them '*'? */

#endif
