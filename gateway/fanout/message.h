/*
 * message: a message to one client, written once for both encodings.
 *
 * Begin, members, end: the same calls yield JSON or MessagePack with the same keys, so that each
 * message is described in one place.  docs/protocol/stream.md is the authority for what they hold.
 */
#ifndef GATEWAY_FANOUT_MESSAGE_H
#define GATEWAY_FANOUT_MESSAGE_H

#include <msgpack.h>
#include <stdbool.h>

#include "gateway/fanout/frame.h"
#include "shared/base/buf.h"

struct message {
    enum encoding encoding;
    struct buf text; /* the payload so far */
    msgpack_packer pk;
    uint32_t members; /* of the map, counted; its head is patched at the end */
    bool is_first;
};

/* Texts encoded for one encoding.  Zero-initialise; free `items` with buf_free. */
struct message_texts {
    struct buf items;
    uint32_t count;
};

void message_texts_add(struct message_texts *t, enum encoding encoding,
                       struct span text);

void message_begin(struct message *m, enum encoding encoding, const char *type);
void message_text(struct message *m, const char *key, struct span value);
void message_u(struct message *m, const char *key, uint64_t value);
void message_bool(struct message *m, const char *key, bool value);
void message_time(struct message *m, const char *key, int64_t wall_us);
void message_seconds(struct message *m, const char *key, int64_t ms);
/* A member already encoded in this encoding: the text of a JSON value, or msgpack bytes. */
void message_raw(struct message *m, const char *key, struct span value);
/* A list of texts, gathered first because the message must know how many. */
void message_put_texts(struct message *m, const char *key,
                       const struct message_texts *t);
/* A map of `count` members follows (message_text and so on), then message_map_end(). */
void message_map(struct message *m, const char *key, uint32_t count);
void message_map_end(struct message *m);
/* The whole as a WebSocket frame appended to `out`; frees the message. */
void message_end(struct message *m, struct buf *out);

#endif
