#include "consumer/telegram/decimal.h"

#include <string.h>

#define PERCENT_DECIMALS 6
#define PERCENT_MAX (DECIMAL_ONE / 2)
#define FACTOR_DECIMALS 8

bool decimal_read_percent(struct span text, uint32_t *out)
{
    uint64_t n = 0;
    size_t decimals = 0;
    bool is_fraction = false;

    if (!quote_is_decimal(text) || text.at[0] == '-')
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] == '.') {
            is_fraction = true;
            continue;
        }
        n = n * 10 + (uint64_t)(text.at[i] - '0');
        decimals += is_fraction;
        if (n > PERCENT_MAX || decimals > PERCENT_DECIMALS)
            return false;
    }
    for (; decimals < PERCENT_DECIMALS; decimals++)
        n *= 10;
    if (n > PERCENT_MAX)
        return false;
    *out = (uint32_t)n;
    return true;
}

void decimal_scale(struct span value, uint32_t factor, char out[DECIMAL_SCALED_MAX])
{
    char digits[DECIMAL_SCALED_MAX]; /* digits of the product, from the right */
    size_t count = 0, scale = 0, o = 0;
    uint64_t carry = 0;

    if (value.at[0] == '-') {
        out[o++] = '-';
        value = (struct span){value.at + 1, value.len - 1};
    }
    for (size_t i = value.len; i-- > 0;) {
        if (value.at[i] == '.') {
            scale = value.len - 1 - i;
            continue;
        }
        carry += (uint64_t)(value.at[i] - '0') * factor;
        digits[count++] = (char)('0' + carry % 10);
        carry /= 10;
    }
    for (; carry; carry /= 10)
        digits[count++] = (char)('0' + carry % 10);
    scale += FACTOR_DECIMALS;
    while (count <= scale)
        digits[count++] = '0';
    while (count > scale + 1 && digits[count - 1] == '0')
        count--;
    while (count-- > 0) {
        out[o++] = digits[count];
        if (count == scale)
            out[o++] = '.';
    }
    out[o] = '\0';
}
