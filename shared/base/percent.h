/* percent: the escapes of URLs, %XX.  Pure: no I/O, no clock.  Any thread. */
#ifndef SHARED_BASE_PERCENT_H
#define SHARED_BASE_PERCENT_H

#include <stdbool.h>

#include "shared/base/buf.h"

/*
 * Take the first character of *text, which has one: *out is it, decoded, and *text moves behind it.
 * False: it is a '%' without two hexadecimal digits; it was taken as it stands.
 */
bool percent_take(struct span *text, char *out);

#endif
