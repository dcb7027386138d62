#include "shared/base/text_time.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TEXT_MAX 63
#define SECOND ((int64_t)1000000)
#define YEAR_10000 253402300800 /* seconds since 1970 */

bool text_time_is_format(const char *format)
{
    return strchr(format, '%') || strcmp(format, "auto") == 0 || strcmp(format, "unix") == 0 ||
           strcmp(format, "unix_ms") == 0 || strcmp(format, "decimal_year") == 0;
}

static bool in_range(int64_t seconds)
{
    return seconds >= 0 && seconds < YEAR_10000;
}

/* ".25" as microseconds; returns what follows the digits. */
static const char *parse_fraction(const char *at, int64_t *us)
{
    int64_t unit = SECOND / 10;

    *us = 0;
    if (*at != '.')
        return at;
    for (at++; isdigit((unsigned char)*at); at++, unit /= 10)
        *us += unit * (*at - '0');
    return at;
}

static bool parse_unix(const char *text, int64_t per_second, int64_t *us)
{
    char *rest;
    long long whole;
    int64_t fraction;

    if (!isdigit((unsigned char)*text))
        return false;
    whole = strtoll(text, &rest, 10);
    if (*parse_fraction(rest, &fraction) || !in_range(whole / per_second))
        return false;
    *us = whole * (SECOND / per_second) + fraction / per_second;
    return true;
}

static bool from_tm(struct tm *t, int64_t *seconds)
{
    struct tm given = *t;
    int64_t s = timegm(t);

    /* timegm turns 31 February into March; a text with such a date is not a valid time. */
    if (t->tm_mday != given.tm_mday || t->tm_hour != given.tm_hour || !in_range(s))
        return false;
    *seconds = s;
    return true;
}

static bool parse_decimal_year(const char *text, int64_t *us)
{
    char *rest;
    double year = strtod(text, &rest);
    struct tm from = {.tm_mday = 1}, to = {.tm_mday = 1};
    int64_t begin, end;

    if (rest == text || *rest || !(year >= 1970 && year < 9999))
        return false;
    from.tm_year = (int)year - 1900;
    to.tm_year = from.tm_year + 1;
    begin = timegm(&from);
    end = timegm(&to);
    *us = (begin + (int64_t)((year - (int)year) * (double)(end - begin))) * SECOND;
    return true;
}

static bool parse_letters(const char *format, const char *text, int64_t *us)
{
    struct tm t = {.tm_mday = 1};
    const char *rest = strptime(text, format, &t);
    int64_t seconds;

    /* strptime fills this in for %s and %z; timegm ignores it. */
    long offset = t.tm_gmtoff;

    if (!rest || *rest || !from_tm(&t, &seconds) || !in_range(seconds - offset))
        return false;
    *us = (seconds - offset) * SECOND;
    return true;
}

/* Reads Z, +hh, +hhmm or +hh:mm up to the end of the text. */
static bool parse_zone(const char *at, int64_t *offset)
{
    int hours = 0, minutes = 0, used = 0;

    *offset = 0;
    if (!*at || (at[0] == 'Z' && !at[1]))
        return true;
    if (*at != '+' && *at != '-')
        return false;
    for (int i = 1; at[i]; i++) {
        if (isdigit((unsigned char)at[i])) {
            int *part = used++ < 2 ? &hours : &minutes;

            *part = *part * 10 + (at[i] - '0');
        } else if (at[i] != ':' || used != 2) {
            return false;
        }
        if (used > 4)
            return false;
    }
    if ((used != 2 && used != 4) || hours > 23 || minutes > 59)
        return false;
    *offset = (hours * 3600 + minutes * 60) * (*at == '-' ? -1 : 1);
    return true;
}

static bool parse_iso(const char *text, int64_t *us)
{
    static const char *const clocks[] = {"%H:%M:%S", "%H:%M"};
    struct tm t = {0};
    const char *at = strptime(text, "%Y-%m-%d", &t), *rest = NULL;
    int64_t seconds, offset = 0, fraction = 0;

    if (!at)
        return false;
    if (*at == 'T' || *at == ' ') {
        for (size_t i = 0; !rest && i < sizeof clocks / sizeof clocks[0]; i++)
            rest = strptime(at + 1, clocks[i], &t);
        if (!rest)
            return false;
        at = parse_fraction(rest, &fraction);
        if (!parse_zone(at, &offset))
            return false;
    } else if (*at) {
        return false;
    }
    if (!from_tm(&t, &seconds) || !in_range(seconds - offset))
        return false;
    *us = (seconds - offset) * SECOND + fraction;
    return true;
}

static bool parse_auto(const char *text, int64_t *us)
{
    size_t digits = strspn(text, "0123456789");

    if (text[digits] == '-')
        return parse_iso(text, us);
    if (!text[digits]) {
        if (digits == 8)
            return parse_letters("%Y%m%d", text, us);
        if (digits == 12)
            return parse_letters("%Y%m%d%H%M", text, us);
        if (digits == 14)
            return parse_letters("%Y%m%d%H%M%S", text, us);
        if (digits == 13)
            return parse_unix(text, 1000, us);
    }
    return parse_unix(text, 1, us);
}

bool text_time_parse(const char *format, struct span text, int64_t *us)
{
    char copy[TEXT_MAX + 1];

    if (!text.len || text.len > TEXT_MAX || memchr(text.at, '\0', text.len))
        return false;
    memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    if (strcmp(format, "auto") == 0)
        return parse_auto(copy, us);
    if (strcmp(format, "unix") == 0)
        return parse_unix(copy, 1, us);
    if (strcmp(format, "unix_ms") == 0)
        return parse_unix(copy, 1000, us);
    if (strcmp(format, "decimal_year") == 0)
        return parse_decimal_year(copy, us);
    return parse_letters(format, copy, us);
}
