/*
 * message: a message to one client, described once for both encodings. sessions use it.
 *
 * The calls begin, members, end produce JSON or MessagePack with the same keys, so that the code
 * describes each message in one place. docs/protocol/stream.md defines the content.
 */
#ifndef GATEWAY_FANOUT_MESSAGE_H
#define GATEWAY_FANOUT_MESSAGE_H

#include <msgpack.h>
#include <stdbool.h>

#include "gateway/fanout/event.h"
#include "gateway/fanout/frame.h"
#include "shared/base/buf.h"

struct message {
    enum encoding encoding;
    struct buf text; /* the payload so far */
    msgpack_packer pk;
    /* number of the map's members; message_end writes it into the map's head */
    uint32_t members;
    bool is_first;
    bool has_id;
    struct event_id id;
};

/* Texts encoded for one encoding.  Zero-initialise; free `items` with buf_free. */
struct message_texts {
    struct buf items;
    uint32_t count;
};

void message_texts_add(struct message_texts *t, enum encoding encoding, struct span text);

void message_begin(struct message *m, enum encoding encoding, const char *type);
void message_text(struct message *m, const char *key, struct span value);
void message_u(struct message *m, const char *key, uint64_t value);
void message_bool(struct message *m, const char *key, bool value);
void message_time(struct message *m, const char *key, int64_t wall_us);
void message_seconds(struct message *m, const char *key, int64_t ms);
/* Adds a member that is already encoded: the text of a JSON value, or msgpack bytes. */
void message_raw(struct message *m, const char *key, struct span value);
/* A list of texts; they are collected first because msgpack needs the count in front. */
void message_put_texts(struct message *m, const char *key, const struct message_texts *t);
/* Begins a map of `count` members (message_text and so on); message_map_end() ends it. */
void message_map(struct message *m, const char *key, uint32_t count);
void message_map_end(struct message *m);
/*
 * The position of a client that received the message: the id of an event; other encodings have
 * none.  seq 0: it has no position any more.
 */
void message_set_position(struct message *m, uint64_t epoch, uint64_t seq);
/* Appends the message to `out` as a WebSocket frame or an event, and frees it. */
void message_end(struct message *m, struct buf *out);

#endif
