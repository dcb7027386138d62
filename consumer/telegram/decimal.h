/*
 * decimal: scales a price by a percentage, exactly.
 *
 * Prices are decimal text and are compared as text (quote_decimal_compare); the margin of alerts
 * also needs this multiplication. No floating point, no rounding: the result has 8 more digits
 * behind the point. No I/O, no clock.
 */
#ifndef CONSUMER_TELEGRAM_DECIMAL_H
#define CONSUMER_TELEGRAM_DECIMAL_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/base/buf.h"
#include "shared/wire/quote.h"

#define DECIMAL_ONE 100000000u /* factors are in hundred-millionths */
#define DECIMAL_SCALED_MAX (QUOTE_DECIMAL_MAX + 24)

/*
 * Reads "0.1" (percent) as 100000. Returns false if it is not a decimal, is over 50, or has more
 * than 6 decimals.
 */
bool decimal_read_percent(struct span text, uint32_t *out);

/*
 * Writes value × factor / DECIMAL_ONE as NUL-terminated text. The value has passed
 * quote_is_decimal; the factor is at most 2 × DECIMAL_ONE.
 */
void decimal_scale(struct span value, uint32_t factor, char out[DECIMAL_SCALED_MAX]);

#endif
