#include "gateway/fanout/message.h"

#include "gateway/fanout/framing.h"
#include "shared/wire/pack.h"

#define MAP16_HEAD 3

void message_begin(struct message *m, enum encoding encoding, const char *type)
{
    *m = (struct message){.encoding = encoding, .is_first = true};
    if (encoding_is_text(encoding))
        buf_addc(&m->text, '{');
    else
        buf_room(&m->text, MAP16_HEAD);
    msgpack_packer_init(&m->pk, &m->text, buf_pack_write);
    message_text(m, "type", span_of(type));
}

static void put_key(struct message *m, const char *key)
{
    m->members++;
    if (m->encoding == ENCODING_MSGPACK) {
        pack_key(&m->pk, key);
        return;
    }
    if (!m->is_first)
        buf_addc(&m->text, ',');
    m->is_first = false;
    buf_jsons(&m->text, key);
    buf_addc(&m->text, ':');
}

void message_text(struct message *m, const char *key, struct span value)
{
    put_key(m, key);
    if (encoding_is_text(m->encoding))
        buf_json(&m->text, value);
    else
        pack_text(&m->pk, value);
}

void message_u(struct message *m, const char *key, uint64_t value)
{
    put_key(m, key);
    if (encoding_is_text(m->encoding))
        buf_addu(&m->text, value);
    else
        msgpack_pack_uint64(&m->pk, value);
}

void message_bool(struct message *m, const char *key, bool value)
{
    put_key(m, key);
    if (encoding_is_text(m->encoding))
        buf_adds(&m->text, value ? "true" : "false");
    else if (value)
        msgpack_pack_true(&m->pk);
    else
        msgpack_pack_false(&m->pk);
}

void message_time(struct message *m, const char *key, int64_t wall_us)
{
    put_key(m, key);
    if (encoding_is_text(m->encoding))
        buf_json_time(&m->text, wall_us);
    else
        msgpack_pack_double(&m->pk, (double)wall_us / 1e6);
}

void message_seconds(struct message *m, const char *key, int64_t ms)
{
    if (ms % 1000 == 0)
        message_u(m, key, (uint64_t)(ms / 1000));
    else
        message_time(m, key, ms * 1000);
}

void message_raw(struct message *m, const char *key, struct span value)
{
    put_key(m, key);
    buf_add(&m->text, value.at, value.len);
}

void message_texts_add(struct message_texts *t, enum encoding encoding, struct span text)
{
    msgpack_packer pk;

    if (encoding == ENCODING_MSGPACK) {
        msgpack_packer_init(&pk, &t->items, buf_pack_write);
        pack_text(&pk, text);
    } else {
        if (t->count)
            buf_addc(&t->items, ',');
        buf_json(&t->items, text);
    }
    t->count++;
}

void message_put_texts(struct message *m, const char *key, const struct message_texts *t)
{
    put_key(m, key);
    if (m->encoding == ENCODING_MSGPACK)
        msgpack_pack_array(&m->pk, t->count);
    else
        buf_addc(&m->text, '[');
    buf_add(&m->text, t->items.data, t->items.len);
    if (encoding_is_text(m->encoding))
        buf_addc(&m->text, ']');
}

/* The caller counts the members of an inner map; they are not members of the message. */
void message_map(struct message *m, const char *key, uint32_t count)
{
    put_key(m, key);
    m->members -= count;
    if (m->encoding == ENCODING_MSGPACK)
        msgpack_pack_map(&m->pk, count);
    else
        buf_addc(&m->text, '{');
    m->is_first = true;
}

void message_map_end(struct message *m)
{
    if (encoding_is_text(m->encoding))
        buf_addc(&m->text, '}');
    m->is_first = false;
}

void message_set_position(struct message *m, uint64_t epoch, uint64_t seq)
{
    m->has_id = true;
    m->id = (struct event_id){epoch, seq};
}

void message_end(struct message *m, struct buf *out)
{
    if (encoding_is_text(m->encoding)) {
        buf_addc(&m->text, '}');
    } else {
        m->text.data[0] = (char)0xDE; /* map 16 */
        m->text.data[1] = 0;          /* a message has fewer than 256 members */
        m->text.data[2] = (char)m->members;
    }
    framing_add_message(out, m->encoding, buf_span(&m->text), m->has_id ? &m->id : NULL);
    buf_free(&m->text);
}
