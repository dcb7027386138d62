/*
 * framing: what a connection carries between and around its messages, by the client's encoding.
 *
 * A session has one encoding and calls these; only this module and encode know which encodings go
 * over a WebSocket (frame.h) and which over an event stream (event.h).  Pure.  Any thread.
 */
#ifndef GATEWAY_FANOUT_FRAMING_H
#define GATEWAY_FANOUT_FRAMING_H

#include <stdbool.h>

#include "gateway/fanout/event.h"
#include "gateway/fanout/frame.h"

/* What a client with this encoding gets in the other mode: events have another id in each mode. */
enum encoding framing_in_mode(enum encoding encoding, bool wants_all);

/* The peer sends messages, pongs and a close frame.  False: whatever it sends is ignored. */
bool framing_has_input(enum encoding encoding);
const char *framing_connection(enum encoding encoding); /* for logs: "WebSocket" */
const char *framing_protocol(enum encoding encoding);   /* for status: "json" */

/* id: the client's position, NULL if the message does not move it (message_set_position). */
void framing_add_message(struct buf *out, enum encoding encoding, struct span payload,
                         const struct event_id *id);
void framing_add_ping(struct buf *out, enum encoding encoding);
/* reason: a JSON object; in a close frame its first 123 bytes. */
void framing_add_close(struct buf *out, enum encoding encoding, uint16_t code, struct span reason);
/* How long the client is to wait before it reconnects, if the framing has a field for that. */
void framing_add_retry(struct buf *out, enum encoding encoding, int64_t ms);

#endif
