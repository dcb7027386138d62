#include "gateway/encode.h"

#include <msgpack.h>
#include <string.h>

#include "gateway/message.h"
#include "shared/pack.h"

static const char *const type_names[] = {"quote", "snapshot", "state"};

const char *encode_state_name(enum symbol_state s)
{
    return s == SYMBOL_LIVE ? "live" : s == SYMBOL_STALE ? "stale" : "unknown";
}

void encode_json(const struct encode_record *r, enum symbol_message kind,
                 struct buf *out)
{
    buf_adds(out, "{\"type\":\"");
    buf_adds(out, type_names[kind]);
    buf_adds(out, "\",\"symbol\":\"");
    buf_add(out, r->name.at, r->name.len); /* its characters need no escape */
    buf_adds(out, "\",\"seq\":");
    buf_addu(out, r->seq);
    if (kind != MESSAGE_SNAPSHOT) {
        buf_adds(out, ",\"prev\":");
        buf_addu(out, r->prev);
    }
    if (kind != MESSAGE_QUOTE) {
        buf_adds(out, ",\"state\":\"");
        buf_adds(out, encode_state_name(r->state));
        buf_addc(out, '"');
    }
    if (kind != MESSAGE_STATE)
        quote_to_json(r->body, out);
    buf_addc(out, '}');
}

static void symbol_pack(const struct encode_record *r, enum symbol_message kind,
                        struct buf *out)
{
    struct span fields = r->body;
    struct pack_value head = {.count = 0};
    msgpack_packer pk;

    if (kind == MESSAGE_STATE || !pack_next(&fields, &head))
        fields.len = head.count = 0;
    msgpack_packer_init(&pk, out, buf_pack_write);
    msgpack_pack_map(&pk, head.count + 4 + (kind == MESSAGE_STATE));
    pack_kv_text(&pk, "type", span_of(type_names[kind]));
    pack_kv_text(&pk, "symbol", r->name);
    pack_kv_u(&pk, "seq", r->seq);
    if (kind != MESSAGE_SNAPSHOT)
        pack_kv_u(&pk, "prev", r->prev);
    if (kind != MESSAGE_QUOTE)
        pack_kv_text(&pk, "state", span_of(encode_state_name(r->state)));
    buf_add(out, fields.at, fields.len);
}

struct frame *encode_record(const struct encode_record *r, enum symbol_message kind,
                            enum encoding encoding)
{
    static struct buf scratch; /* loop's thread only; keeps its memory */
    struct frame *f;

    buf_clear(&scratch);
    if (encoding == ENCODING_JSON) {
        encode_json(r, kind, &scratch);
        f = frame_new(OPCODE_TEXT, buf_span(&scratch));
    } else {
        symbol_pack(r, kind, &scratch);
        f = frame_new(OPCODE_BINARY, buf_span(&scratch));
    }
    if (kind != MESSAGE_SNAPSHOT)
        f->seq = r->seq;
    return f;
}

struct frame *encode_symbol(const struct hub_symbol *s, enum symbol_message kind,
                            enum encoding encoding)
{
    struct encode_record r = {
        .name = {s->name, s->name_len},
        .seq = s->seq,
        .prev = s->prev,
        .state = s->state,
        .body = buf_span(&s->body),
    };

    return encode_record(&r, kind, encoding);
}

struct frame *encode_lost(uint64_t seq, struct span body, enum encoding encoding)
{
    struct buf bytes = {0};
    struct message m;
    struct frame *f;

    message_begin(&m, encoding, "lost");
    message_u(&m, "seq", seq);
    message_text(&m, "feed", pack_find_text(body, "feed"));
    message_u(&m, "first", pack_find_u(body, "first", 0));
    message_u(&m, "last", pack_find_u(body, "last", 0));
    message_u(&m, "count", pack_find_u(body, "count", 0));
    message_text(&m, "reason", pack_find_text(body, "reason"));
    message_end(&m, &bytes);
    f = frame_wrap(buf_span(&bytes));
    f->seq = seq;
    buf_free(&bytes);
    return f;
}
