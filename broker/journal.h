/*
 * journal: the most recent records of the log, in memory, by position.
 *
 * A ring of bytes of one fixed size; what no longer fits pushes the oldest records out.
 * Positions are dense, so a record is found by its position at once.  The
 * bytes a caller gets point into the ring and stay valid until the next append.
 * Owned by the broker's loop; reads no clock.
 */
#ifndef BROKER_JOURNAL_H
#define BROKER_JOURNAL_H

#include <stddef.h>
#include <stdint.h>

#include "shared/buf.h"
#include "shared/err.h"

struct journal;

/* `bytes` is the ring's size, at least twice the largest record. */
struct journal *journal_new(size_t bytes);
void journal_free(struct journal *j);

/* Record position journal_head()+1.  Topic and record are the frames as published. */
void journal_append(struct journal *j, struct span topic, struct span record);

uint64_t journal_head(const struct journal *j);  /* last position given, 0: none */
uint64_t journal_first(const struct journal *j); /* oldest kept; head+1 if none */
size_t journal_bytes(const struct journal *j);   /* in use */

/* ERR_NOT_FOUND: older than journal_first() or beyond the head. */
MUST_CHECK enum err journal_read(const struct journal *j, uint64_t seq,
                                 struct span *topic, struct span *record);

#endif
