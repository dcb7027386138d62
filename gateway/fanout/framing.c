#include "gateway/fanout/framing.h"

static const struct {
    const char *connection, *protocol;
    bool is_events;
} encodings[ENCODING_COUNT] = {
    [ENCODING_JSON] = {"WebSocket", "json", false},
    [ENCODING_MSGPACK] = {"WebSocket", "msgpack", false},
    [ENCODING_EVENTS] = {"EventSource", "sse", true},
    [ENCODING_EVENTS_ALL] = {"EventSource", "sse", true},
};

enum encoding framing_in_mode(enum encoding encoding, bool wants_all)
{
    if (!encodings[encoding].is_events)
        return encoding;
    return wants_all ? ENCODING_EVENTS_ALL : ENCODING_EVENTS;
}

bool framing_has_input(enum encoding encoding)
{
    return !encodings[encoding].is_events;
}

const char *framing_connection(enum encoding encoding)
{
    return encodings[encoding].connection;
}

const char *framing_protocol(enum encoding encoding)
{
    return encodings[encoding].protocol;
}

void framing_add_message(struct buf *out, enum encoding encoding, struct span payload,
                         const struct event_id *id)
{
    if (!encodings[encoding].is_events) {
        frame_append(out, encoding_is_text(encoding) ? OPCODE_TEXT : OPCODE_BINARY, payload);
        return;
    }
    event_begin(out, id);
    buf_add(out, payload.at, payload.len);
    event_end(out);
}

void framing_add_ping(struct buf *out, enum encoding encoding)
{
    if (encodings[encoding].is_events)
        event_append_comment(out);
    else
        frame_append(out, OPCODE_PING, SPAN(""));
}

void framing_add_close(struct buf *out, enum encoding encoding, uint16_t code, struct span reason)
{
    if (encodings[encoding].is_events)
        event_append_close(out, code, reason);
    else
        frame_append_close(out, code, reason);
}

void framing_add_retry(struct buf *out, enum encoding encoding, int64_t ms)
{
    if (encodings[encoding].is_events)
        event_append_retry(out, ms);
}
