/*
 * replay: the broker's answers to "replay" (docs/protocol/wire.md), record by record.
 *
 * What the log does not have (its `gaps`) is handed out as a `lost` record in its place, so
 * that whoever reads records in order learns of a hole in order too.  No I/O, no clock.
 */
#ifndef SHARED_WIRE_REPLAY_H
#define SHARED_WIRE_REPLAY_H

#include "shared/base/buf.h"
#include "shared/wire/wire.h"

typedef void replay_record(void *ctx, struct span topic, const struct wire_record *r);

/*
 * Call `each` for every record and every hole in (after, upto] of the answer, ascending.  One whose
 * position is not above those before it is skipped, and so is what has no position.  A record
 * whose body cannot be read is a hole (`damaged`).
 */
void replay_each(struct span answer, uint64_t after, replay_record *each, void *ctx);

/* The body of a `lost` record about positions, not lines: its feed is "". */
void replay_put_hole(struct buf *out, uint64_t first, uint64_t last,
                     struct span reason);

#endif
