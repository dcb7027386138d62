/*
 * outbox: the quotes that a feed has sent, or must still send, and that the broker has not
 * received.
 *
 * Every quote gets the next line number, dense from 1, and is kept encoded in a ring until the
 * broker sends `received`. A cursor walks over the ring: lines before it were sent. When a line is
 * missing at the broker, the cursor returns to that line, and everything from there is sent again,
 * in order (go-back-N): the broker ignores lines that it has and keeps none that come early.
 *
 * The ring is bounded in lines and in bytes. A source that can wait is read only while
 * outbox_has_room(). For other sources the oldest line drops out of the ring; if the broker
 * requests it later, it is lost.
 *
 * Used by main.c and link. No I/O, no clock; one owner, one thread.
 */
#ifndef SHARED_FEED_OUTBOX_H
#define SHARED_FEED_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/buf.h"

#define OUTBOX_BYTES_MAX ((size_t)64 << 20) /* the feeder's limit for its ring */

struct outbox;

/* Lines first…last were requested and are no longer in the ring.  count 0: none. */
struct outbox_range {
    uint64_t first, last, count;
    /* the broker had received all of them, but its log has been replaced */
    bool was_received;
};

struct outbox *outbox_new(size_t lines_max, size_t bytes_max);
void outbox_free(struct outbox *o); /* NULL is allowed */

/*
 * The broker granted `epoch` and has all lines up to `received`: the lines kept now get that epoch,
 * and are sent from received+1 on. If `received` is above our last line (it counts an earlier
 * process under this name), the kept lines get numbers above it.
 */
void outbox_grant(struct outbox *o, uint64_t epoch, uint64_t received);

/* Would the largest possible quote fit without pushing another out? */
bool outbox_has_room(const struct outbox *o);

/*
 * Keeps a quote (symbol and msgpack body, at most QUOTE_BYTES_MAX) and returns its number. Without
 * room the oldest lines drop out.
 */
uint64_t outbox_add(struct outbox *o, struct span symbol, struct span body, uint64_t sent_us);

/*
 * The next line to send, as two frames that are valid until the next change. Returns false if all
 * are sent.
 */
bool outbox_peek(const struct outbox *o, struct span *topic, struct span *record);
void outbox_advance(struct outbox *o); /* the line of outbox_peek was sent */

/* The broker has all lines up to `number`. */
void outbox_receive(struct outbox *o, uint64_t number);

/*
 * The broker requests everything from `from` on again. *lost is the part that has dropped out of
 * the ring, or, if the broker received some of that once, the part it received. Returns false and
 * changes nothing if `from` was never sent (then it cannot be missing).
 */
bool outbox_rewind(struct outbox *o, uint64_t from, struct outbox_range *lost);

uint64_t outbox_last(const struct outbox *o); /* number of the newest line, 0: none */
/* number of the last line before the cursor */
uint64_t outbox_sent(const struct outbox *o);
uint64_t outbox_received(const struct outbox *o);
/* lines that dropped out before they were received */
uint64_t outbox_overflowed(const struct outbox *o);
size_t outbox_kept(const struct outbox *o); /* lines in the ring */

#endif
