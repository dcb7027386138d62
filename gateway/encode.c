#include "gateway/encode.h"

#include <msgpack.h>
#include <string.h>

#include "shared/pack.h"

static const char *const type_names[] = {"quote", "snapshot", "state"};

const char *encode_state_name(enum symbol_state s)
{
    return s == SYMBOL_LIVE ? "live" : s == SYMBOL_STALE ? "stale" : "unknown";
}

static void symbol_json(const struct hub_symbol *s, enum symbol_message kind,
                        struct buf *out)
{
    buf_adds(out, "{\"type\":\"");
    buf_adds(out, type_names[kind]);
    buf_adds(out, "\",\"symbol\":\"");
    buf_add(out, s->name, s->name_len); /* its characters need no escape */
    buf_adds(out, "\",\"seq\":");
    buf_addu(out, s->seq);
    if (kind != MESSAGE_SNAPSHOT) {
        buf_adds(out, ",\"prev\":");
        buf_addu(out, s->prev);
    }
    if (kind != MESSAGE_QUOTE) {
        buf_adds(out, ",\"state\":\"");
        buf_adds(out, encode_state_name(s->state));
        buf_addc(out, '"');
    }
    if (kind != MESSAGE_STATE)
        quote_to_json(buf_span(&s->body), out);
    buf_addc(out, '}');
}

static void symbol_pack(const struct hub_symbol *s, enum symbol_message kind,
                        struct buf *out)
{
    struct span fields = buf_span(&s->body);
    struct pack_value head = {.count = 0};
    msgpack_packer pk;

    if (kind == MESSAGE_STATE || !pack_next(&fields, &head))
        fields.len = head.count = 0;
    msgpack_packer_init(&pk, out, buf_pack_write);
    msgpack_pack_map(&pk, head.count + 4 + (kind == MESSAGE_STATE));
    pack_kv_text(&pk, "type", span_of(type_names[kind]));
    pack_kv_text(&pk, "symbol", (struct span){s->name, s->name_len});
    pack_kv_u(&pk, "seq", s->seq);
    if (kind != MESSAGE_SNAPSHOT)
        pack_kv_u(&pk, "prev", s->prev);
    if (kind != MESSAGE_QUOTE)
        pack_kv_text(&pk, "state", span_of(encode_state_name(s->state)));
    buf_add(out, fields.at, fields.len);
}

struct frame *encode_symbol(const struct hub_symbol *s, enum symbol_message kind,
                            enum encoding encoding)
{
    static struct buf scratch; /* loop's thread only; keeps its memory */

    buf_clear(&scratch);
    if (encoding == ENCODING_JSON) {
        symbol_json(s, kind, &scratch);
        return frame_new(OPCODE_TEXT, buf_span(&scratch));
    }
    symbol_pack(s, kind, &scratch);
    return frame_new(OPCODE_BINARY, buf_span(&scratch));
}
