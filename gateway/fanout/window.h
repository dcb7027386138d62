/*
 * window: the records applied last, in ascending position, ready to be sent again.
 *
 * A reconnecting client gets the records that it missed from here, if the window reaches back far
 * enough (window_floor). Older records are requested from the broker, page by page; such a page is
 * stored in a window without a limit. Frames are made once per record and encoding, when the first
 * client needs one. Memory is bounded in bytes: the oldest records are dropped first. Used by hub
 * and session. No I/O, no clock. Loop's thread only.
 */
#ifndef GATEWAY_FANOUT_WINDOW_H
#define GATEWAY_FANOUT_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/fanout/hub_frame.h"

struct window;
struct window_frames;

struct window_record {
    uint64_t seq, prev;
    uint64_t sent_us, accepted_us, received_us; /* 0: unknown */
    /* NULL: a loss, sent to all clients in mode all */
    struct hub_symbol *symbol;
    enum symbol_message kind; /* kind of a symbol's message */
    enum symbol_state state;
    char *body; /* msgpack */
    uint32_t body_len;
    struct window_frames *frames; /* private; NULL until a client needs one */
};

struct window *window_new(size_t bytes); /* 0: no limit */
void window_free(struct window *w);      /* NULL is allowed */
/* Of the log that its records are of, for the ids of events; 0 until then. */
void window_set_epoch(struct window *w, uint64_t epoch);

/*
 * Add a record. If its position is not above all positions before it, the window is emptied and
 * begins behind it.
 */
void window_add(struct window *w, const struct window_record *r);
/* Drop all records; the window will be complete above `floor`. */
void window_clear(struct window *w, uint64_t floor);

/* Every record above this position that was added is still in the window. */
uint64_t window_floor(const struct window *w);
size_t window_count(const struct window *w);
/* Index of the first record above `seq`; window_count() if there is none. */
size_t window_after(const struct window *w, uint64_t seq);
const struct window_record *window_at(const struct window *w, size_t index);
/* The window owns the frame; retain it to keep it. */
struct frame *window_frame(struct window *w, size_t index, enum encoding encoding,
                           enum symbol_message quote_as);

#endif
