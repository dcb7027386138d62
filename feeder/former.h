/* former: describes the feed's previous holder, whom the broker's grant names. */
#ifndef FEEDER_FORMER_H
#define FEEDER_FORMER_H

#include <stddef.h>

#include "shared/base/buf.h"

/* Words that follow "granted" in the log, "" if nobody is named; at most size bytes with the NUL. */
void former_describe(struct span m, char *out, size_t size);

#endif
