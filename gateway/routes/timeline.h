/*
 * timeline: the part of a symbol's history that a request selects.
 *
 * A bound is a position or a time, and never both: a whole number below TIMELINE_BARE_END is
 * a position (a larger one could be a Unix time, and is refused), and so is EPOCH:SEQ; a time
 * is written 2026-11-25T12:00:00Z or @1795382037.25.  docs/protocol/http.md specifies the syntax.
 * No I/O, no clock, any thread.
 */
#ifndef GATEWAY_ROUTES_TIMELINE_H
#define GATEWAY_ROUTES_TIMELINE_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/base/buf.h"

#define TIMELINE_BARE_END 1000000000

struct timeline {
    bool is_oldest_first;
    bool has_epoch; /* a position named its log */
    uint64_t epoch;
    bool has_since;    /* as a position */
    uint64_t after;    /* positions above this */
    uint64_t before;   /* positions below this; 0: no bound */
    uint64_t since_us; /* accepted then or later */
    uint64_t until_us; /* accepted before this; 0: no bound */
};

enum timeline_bound { TIMELINE_SINCE, TIMELINE_UNTIL };

/* false: neither a position nor a time, or of another log than a bound before; t is untouched. */
bool timeline_set(struct timeline *t, enum timeline_bound which, struct span text);
/* Go on from a cursor that timeline_put_next wrote; the order is set already. */
bool timeline_set_next(struct timeline *t, struct span text);
void timeline_put_next(struct buf *out, uint64_t epoch, uint64_t next);

#endif
