/*
 * frame: one WebSocket frame or event, made once and sent to all subscribers that need it.
 *
 * A server's frames are not masked, so the bytes are the same for all clients with one encoding. A
 * frame is shared by reference and never changes, except for the sending time in a traced one
 * (frame_stamp). Used by fanout and session. Loop's thread only.
 */
#ifndef GATEWAY_FANOUT_FRAME_H
#define GATEWAY_FANOUT_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "shared/base/buf.h"

/*
 * JSON and msgpack go over a WebSocket.  Events (event.h) are the same JSON; in mode all each
 * record also has an id, which in mode merge only acks and heartbeats have.
 */
enum encoding {
    ENCODING_JSON,
    ENCODING_MSGPACK,
    ENCODING_EVENTS,
    ENCODING_EVENTS_ALL,
    ENCODING_COUNT
};
static inline bool encoding_is_text(enum encoding e)
{
    return e != ENCODING_MSGPACK;
}

enum opcode {
    OPCODE_TEXT = 1,
    OPCODE_BINARY = 2,
    OPCODE_CLOSE = 8,
    OPCODE_PING = 9,
};

struct hub_symbol;

struct frame {
    struct hub_symbol *symbol; /* the symbol of the frame's record; NULL: none */
    /* the client's position after it received the frame; 0: unchanged (snapshots) */
    uint64_t seq;
    uint32_t references;
    uint32_t len;
    uint32_t stamp_at; /* offset in `bytes` of the sending time; 0: none */
    char bytes[];      /* header and payload */
};

/* the caller gets one reference */
struct frame *frame_new(enum opcode opcode, struct span payload);
/* bytes of a whole frame or event; the caller gets one reference */
struct frame *frame_wrap(struct span bytes);
/* Inline, because each delivery adds and releases a reference. */
static inline struct frame *frame_retain(struct frame *f)
{
    f->references++;
    return f;
}
static inline void frame_release(struct frame **f) /* f may be NULL; *f becomes NULL */
{
    if (*f && --(*f)->references == 0)
        free(*f);
    *f = NULL;
}
/* Writes the sending time into a traced quote; other frames do not change. */
void frame_stamp(struct frame *f, int64_t wall_us);

/* Appends the same bytes to a buffer, for messages to one client. */
void frame_append(struct buf *out, enum opcode opcode, struct span payload);
void frame_append_close(struct buf *out, uint16_t code, struct span reason);

/*
 * Follows the frame boundaries in a client's bytes. The meter is fed every byte read from the
 * client, so the gateway knows the payload length that a header declares before wslay asks for the
 * payload. Zero-initialise.
 */
struct frame_meter {
    uint8_t head[14];
    uint8_t have;       /* header bytes received */
    bool is_in_message; /* the message continues in further frames */
    uint32_t fragments; /* fragments of that message so far */
    uint64_t left;      /* payload bytes to come */
};

/* Returns the largest payload length a header among these bytes declared. */
uint64_t frame_meter_feed(struct frame_meter *m, const uint8_t *data, size_t len);
/* True between messages: no header, payload or fragment has begun. */
bool frame_meter_is_idle(const struct frame_meter *m);

#endif
