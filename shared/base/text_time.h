/*
 * text_time: converts written times to microseconds since 1970.
 *
 * Format is one of these words, or strptime's letters ("%d.%m.%Y %H:%M"):
 *   auto          2000-01-03, with [T ]hh:mm[:ss[.fraction]][Z|±hh[:mm]]; YYYYMMDD[hhmm[ss]];
 *                 or Unix seconds or milliseconds, distinguished by their digits
 *   unix          seconds since 1970, with a fraction or not
 *   unix_ms       milliseconds since 1970
 *   decimal_year  1991.5 is the middle of 1991
 * Times without a zone are UTC.  No clock, no state.
 */
#ifndef SHARED_BASE_TEXT_TIME_H
#define SHARED_BASE_TEXT_TIME_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/base/buf.h"

bool text_time_is_format(const char *format);
/*
 * Returns false if the text is not a time in this format, or before 1970 or after 9999; *us is then
 * untouched.
 */
bool text_time_parse(const char *format, struct span text, int64_t *us);

#endif
