/*
 * replay: reads the broker's answers to "replay" (docs/protocol/wire.md), record by record.
 *
 * For each range that the log does not have (the answer's `gaps`), the caller gets a `lost` record
 * in its place, so that it learns of a hole in order, too. No I/O, no clock.
 */
#ifndef SHARED_WIRE_REPLAY_H
#define SHARED_WIRE_REPLAY_H

#include "shared/base/buf.h"
#include "shared/wire/wire.h"

typedef void replay_record(void *ctx, struct span topic, const struct wire_record *r);

/*
 * Calls `each` for every record and every hole in (after, upto] of the answer, ascending. It skips
 * a record without a position and one whose position is not above those before it. A record whose
 * body cannot be read is a hole (`damaged`).
 */
void replay_each(struct span answer, uint64_t after, replay_record *each, void *ctx);

/* Writes the body of a `lost` record about positions, not about a feed's lines: its feed is "". */
void replay_put_hole(struct buf *out, uint64_t first, uint64_t last, struct span reason);

#endif
