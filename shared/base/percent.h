/* percent: the escapes of URLs, %XX.  Pure: no I/O, no clock.  Any thread. */
#ifndef SHARED_BASE_PERCENT_H
#define SHARED_BASE_PERCENT_H

#include <stdbool.h>

#include "shared/base/buf.h"

/*
 * Take the first character of *text, which is not empty: *out is the decoded character, and *text
 * then begins behind it. Returns false for a '%' without two hexadecimal digits; *out is then that
 * '%'.
 */
bool percent_take(struct span *text, char *out);

#endif
