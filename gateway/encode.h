/*
 * encode: messages about symbols, in JSON and in MessagePack with the same keys.
 *
 * They become shared frames, one per record and encoding.  docs/protocol.md §3 is the authority
 * for what they hold.  Loop's thread only.
 */
#ifndef GATEWAY_ENCODE_H
#define GATEWAY_ENCODE_H

#include "gateway/frame.h"
#include "gateway/hub.h"

struct frame *encode_symbol(const struct hub_symbol *s, enum symbol_message kind,
                            enum encoding encoding);

const char *encode_state_name(enum symbol_state s); /* "live", "stale", "unknown" */

#endif
