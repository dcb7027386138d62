/* former: describes the feed's previous holder, whom the broker's grant names. */
#ifndef SHARED_FEED_FORMER_H
#define SHARED_FEED_FORMER_H

#include <stddef.h>

#include "shared/base/buf.h"

/*
 * Writes words that follow "granted" in the log, "" if the grant m names nobody; at most `size`
 * bytes with the NUL.
 */
void former_describe(struct span m, char *out, size_t size);

#endif
