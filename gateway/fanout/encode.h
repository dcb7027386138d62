/*
 * encode: messages about symbols, in JSON and in MessagePack with the same keys.
 *
 * Each becomes a shared frame, made once per record and encoding. docs/protocol/stream.md defines
 * the content. Used by hub, window and session. Loop's thread only.
 */
#ifndef GATEWAY_FANOUT_ENCODE_H
#define GATEWAY_FANOUT_ENCODE_H

#include "gateway/fanout/hub_frame.h"

/* A record to encode; it need not be the newest of its symbol. */
struct encode_record {
    struct span name;
    uint64_t epoch, seq, prev;
    uint64_t sent_us, accepted_us, received_us; /* 0: unknown */
    enum symbol_state state;
    struct span body; /* msgpack map of a quote */
};

/* Appends only the JSON object. */
void encode_json(const struct encode_record *r, enum symbol_message kind, struct buf *out);
struct frame *encode_record(const struct encode_record *r, enum symbol_message kind,
                            enum encoding encoding);
/* The frame of a symbol's newest record. */
struct frame *encode_symbol(const struct hub_symbol *s, enum symbol_message kind,
                            enum encoding encoding);

/* body: the msgpack map of a `lost` record. */
struct frame *encode_lost(uint64_t epoch, uint64_t seq, struct span body, enum encoding encoding);

/* "live", "stale", "removed", "unknown" */
const char *encode_state_name(enum symbol_state s);

#endif
