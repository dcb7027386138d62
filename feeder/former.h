/* former: who held the feed's name before, as the broker's grant says. */
#ifndef FEEDER_FORMER_H
#define FEEDER_FORMER_H

#include <stddef.h>

#include "shared/base/buf.h"

/* Words that follow "granted" in the log, "" if nobody is named; at most size bytes with the NUL. */
void former_describe(struct span m, char *out, size_t size);

#endif
