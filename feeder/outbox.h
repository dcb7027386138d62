/*
 * line: what a feed has sent and the broker has not yet received.
 *
 * Every quote gets the next line number, dense from 1, and is kept encoded in a ring
 * until the broker says `received`.  A cursor walks over the ring: what it passed is
 * sent.  When a line went missing the cursor goes back to it and everything from there
 * is sent again, in order (go-back-N): the broker drops what it had and holds nothing.
 *
 * The ring is bounded in lines and in bytes.  Sources that can wait ask outbox_has_room()
 * first; for others the oldest line falls out, and if the broker asks for it, it is
 * lost.
 *
 * No I/O, no clock; one owner, one thread.
 */
#ifndef FEEDER_OUTBOX_H
#define FEEDER_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/buf.h"

#define LINE_BYTES_MAX ((size_t)64 << 20) /* what a feeder gives its ring */

struct outbox;

/* Lines first…last are asked for and no longer here.  count 0: none. */
struct outbox_range {
    uint64_t first, last, count;
    bool
        was_received; /* all of them, by a broker whose log is not this one's any more */
};

struct outbox *outbox_new(size_t lines_max, size_t bytes_max);
void outbox_free(struct outbox *l); /* NULL is allowed */

/*
 * The broker granted `epoch` and has all lines up to `received`: whatever is kept now
 * bears that epoch, and is sent from received+1 on.  A `received` beyond our last line
 * (of an earlier life under this name) moves the numbers of what is kept above it.
 */
void outbox_grant(struct outbox *l, uint64_t epoch, uint64_t received);

/* Would the largest possible quote fit without pushing another out? */
bool outbox_has_room(const struct outbox *l);

/*
 * Keep a quote (symbol and msgpack body, at most QUOTE_BYTES_MAX) and return its
 * number. Without room the oldest lines fall out.
 */
uint64_t outbox_add(struct outbox *l, struct span symbol, struct span body,
                    uint64_t sent_us);

/* The next line to send, as two frames valid until the next change.  false: all are
 * sent. */
bool outbox_peek(const struct outbox *l, struct span *topic, struct span *record);
void outbox_advance(struct outbox *l); /* it was sent */

/* The broker has all lines up to `number`. */
void outbox_receive(struct outbox *l, uint64_t number);

/*
 * The broker wants everything from `from` on again.  *lost is what of that has fallen
 * out, or, if some of it was received once, that part.  False, and nothing changes, if it was never sent (then it cannot be missing).
 */
bool outbox_rewind(struct outbox *l, uint64_t from, struct outbox_range *lost);

uint64_t outbox_last(const struct outbox *l); /* number of the newest line, 0: none */
uint64_t outbox_sent(const struct outbox *l); /* up to here the cursor has passed */
uint64_t outbox_received(const struct outbox *l);
uint64_t outbox_overflowed(const struct outbox *l); /* lines that fell out unreceived */
size_t outbox_kept(const struct outbox *l);         /* lines in the ring */

#endif
