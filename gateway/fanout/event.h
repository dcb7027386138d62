/*
 * event: a message as a server-sent event (text/event-stream), as frame.h makes WebSocket frames.
 *
 * An event is one line of JSON.  Its id is the position of a client that received it; EventSource
 * returns the last id that it got in Last-Event-ID when it reconnects.  An event without an id does
 * not change it.  Pure.  Any thread.
 */
#ifndef GATEWAY_FANOUT_EVENT_H
#define GATEWAY_FANOUT_EVENT_H

#include <stdint.h>

#include "shared/base/buf.h"

/* seq 0: the client has no position any more. */
struct event_id {
    uint64_t epoch, seq;
};

/* Append the event's beginning; its JSON follows, and event_end.  id: NULL if it has none. */
void event_begin(struct buf *out, const struct event_id *id);
void event_end(struct buf *out);

/* The last event of a connection: what the code and reason of a WebSocket's close frame are. */
void event_append_close(struct buf *out, uint16_t code, struct span reason_json);
/* A line that clients ignore. */
void event_append_comment(struct buf *out);
/* Before an event: so long the client waits before it reconnects. */
void event_append_retry(struct buf *out, int64_t ms);

#endif
