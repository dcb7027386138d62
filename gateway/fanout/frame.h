/*
 * frame: one WebSocket frame, made once and sent to everybody.
 *
 * Server frames are not masked, so the bytes are the same for all clients of one
 * encoding; a frame is shared by reference and never changed, but for the time in a traced one
 * (frame_stamp).  Loop's thread only.
 */
#ifndef GATEWAY_FANOUT_FRAME_H
#define GATEWAY_FANOUT_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "shared/base/buf.h"

enum encoding { ENCODING_JSON, ENCODING_MSGPACK, ENCODING_COUNT };

enum opcode {
    OPCODE_TEXT = 1,
    OPCODE_BINARY = 2,
    OPCODE_CLOSE = 8,
    OPCODE_PING = 9,
};

struct hub_symbol;

struct frame {
    struct hub_symbol *symbol; /* whose record it is, NULL: nobody's */
    uint64_t seq; /* the position a client has come to with it; 0: none (snapshots) */
    uint32_t references;
    uint32_t len;
    uint32_t stamp_at; /* where in `bytes` it says when it is sent; 0: nowhere */
    char bytes[];      /* header and payload */
};

struct frame *frame_new(enum opcode opcode, struct span payload); /* one reference */
struct frame *frame_wrap(
    struct span bytes); /* of what frame_append wrote; one reference */
/* Inline, because each delivery holds and releases one. */
static inline struct frame *frame_hold(struct frame *f)
{
    f->references++;
    return f;
}
static inline void frame_release(struct frame **f) /* *f may be NULL; it becomes NULL */
{
    if (*f && --(*f)->references == 0)
        free(*f);
    *f = NULL;
}
/* A traced quote is about to be sent: put the time where it stands; others stay as they are. */
void frame_stamp(struct frame *f, int64_t wall_us);

/* The same bytes appended to a buffer, for messages to one client. */
void frame_append(struct buf *out, enum opcode opcode, struct span payload);
void frame_append_close(struct buf *out, uint16_t code, struct span reason);

/*
 * Where a client's bytes stand between its frames: told every byte read, it knows what the next
 * frame declares as soon as its header is whole, before wslay asks for its payload.
 * Zero-initialise.
 */
struct frame_meter {
    uint8_t head[14];
    uint8_t have;       /* bytes of the header */
    bool is_in_message; /* fragments to come */
    uint32_t fragments; /* of that message so far */
    uint64_t left;      /* of the payload */
};

/* Returns the largest payload length a header among these bytes declared. */
uint64_t frame_meter_feed(struct frame_meter *m, const uint8_t *data, size_t len);
/* Nothing begun: no header, no payload, no fragment. */
bool frame_meter_is_idle(const struct frame_meter *m);

#endif
