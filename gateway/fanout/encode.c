#include "gateway/fanout/encode.h"

#include <msgpack.h>
#include <string.h>

#include "gateway/fanout/event.h"
#include "gateway/fanout/message.h"
#include "shared/wire/pack.h"

static const char *const type_names[] = {"quote", "snapshot", "state", "quote", "state"};

/* Room for frame_stamp: digits in JSON, a 64-bit integer in msgpack. */
#define STAMP_BLANK "               0"
#define STAMP_DIGITS ((uint32_t)sizeof STAMP_BLANK - 1)
#define STAMP_BYTES ((uint32_t)sizeof(uint64_t))

/*
 * A source may send a field with the name `trace`: then the client gets the source's field and no
 * times of ours.
 */
static bool is_traced(const struct encode_record *r, enum symbol_message kind)
{
    struct pack_value theirs;

    return kind == MESSAGE_TRACED && !pack_find(r->body, "trace", &theirs, NULL);
}

const char *encode_state_name(enum symbol_state s)
{
    return s == SYMBOL_LIVE      ? "live"
           : s == SYMBOL_STALE   ? "stale"
           : s == SYMBOL_REMOVED ? "removed"
                                 : "unknown";
}

static bool is_state(enum symbol_message kind)
{
    return kind == MESSAGE_STATE || kind == MESSAGE_PRESENT;
}

static bool has_state(enum symbol_message kind)
{
    return kind == MESSAGE_SNAPSHOT || is_state(kind);
}

static void stamp_json(struct buf *out, const char *key, uint64_t us)
{
    if (us)
        buf_printf(out, "\"%s\":%llu,", key, (unsigned long long)us);
}

/*
 * Whole microseconds; the last one has a fixed width, because it is written when the frame is sent.
 */
static void trace_json(const struct encode_record *r, struct buf *out)
{
    buf_adds(out, ",\"trace\":{");
    stamp_json(out, "sent", r->sent_us);
    stamp_json(out, "accepted", r->accepted_us);
    stamp_json(out, "received", r->received_us);
    buf_adds(out, "\"written\":" STAMP_BLANK "}");
}

static void trace_pack(const struct encode_record *r, msgpack_packer *pk)
{
    pack_key(pk, "trace");
    msgpack_pack_map(pk, 1u + (r->sent_us > 0) + (r->accepted_us > 0) + (r->received_us > 0));
    if (r->sent_us)
        pack_kv_u(pk, "sent", r->sent_us);
    if (r->accepted_us)
        pack_kv_u(pk, "accepted", r->accepted_us);
    if (r->received_us)
        pack_kv_u(pk, "received", r->received_us);
    pack_key(pk, "written");
    msgpack_pack_fix_uint64(pk, 0);
}

void encode_json(const struct encode_record *r, enum symbol_message kind, struct buf *out)
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
    if (has_state(kind)) {
        buf_adds(out, ",\"state\":\"");
        buf_adds(out, encode_state_name(r->state));
        buf_addc(out, '"');
    }
    if (!is_state(kind))
        quote_to_json(r->body, out);
    if (is_traced(r, kind))
        trace_json(r, out);
    buf_addc(out, '}');
}

static void symbol_pack(const struct encode_record *r, enum symbol_message kind, struct buf *out)
{
    struct span fields = r->body;
    struct pack_value head = {.count = 0};
    bool has_trace = is_traced(r, kind);
    msgpack_packer pk;

    if (is_state(kind) || !pack_next(&fields, &head))
        fields.len = head.count = 0;
    msgpack_packer_init(&pk, out, buf_pack_write);
    msgpack_pack_map(&pk, head.count + 4u + is_state(kind) + has_trace);
    pack_kv_text(&pk, "type", span_of(type_names[kind]));
    pack_kv_text(&pk, "symbol", r->name);
    pack_kv_u(&pk, "seq", r->seq);
    if (kind != MESSAGE_SNAPSHOT)
        pack_kv_u(&pk, "prev", r->prev);
    if (has_state(kind))
        pack_kv_text(&pk, "state", span_of(encode_state_name(r->state)));
    buf_add(out, fields.at, fields.len);
    if (has_trace)
        trace_pack(r, &pk);
}

/* A record that moves the client's position has it as id. */
static struct frame *event_of(const struct encode_record *r, enum symbol_message kind,
                              enum encoding encoding, struct buf *room)
{
    const struct event_id id = {r->epoch, r->seq};
    bool has_id =
        encoding == ENCODING_EVENTS_ALL && kind != MESSAGE_SNAPSHOT && kind != MESSAGE_PRESENT;

    event_begin(room, has_id ? &id : NULL);
    encode_json(r, kind, room);
    event_end(room);
    return frame_wrap(buf_span(room));
}

/* From the stamp to the end of a frame: the braces, and the blank line after an event. */
static uint32_t stamp_distance(enum encoding encoding)
{
    return encoding == ENCODING_MSGPACK ? STAMP_BYTES
           : encoding == ENCODING_JSON  ? STAMP_DIGITS + 2u
                                        : STAMP_DIGITS + 4u;
}

struct frame *encode_record(const struct encode_record *r, enum symbol_message kind,
                            enum encoding encoding)
{
    static struct buf scratch; /* loop's thread only; keeps its memory between calls */
    struct frame *f;

    buf_clear(&scratch);
    switch (encoding) {
    case ENCODING_JSON:
        encode_json(r, kind, &scratch);
        f = frame_new(OPCODE_TEXT, buf_span(&scratch));
        break;
    case ENCODING_MSGPACK:
        symbol_pack(r, kind, &scratch);
        f = frame_new(OPCODE_BINARY, buf_span(&scratch));
        break;
    default:
        f = event_of(r, kind, encoding, &scratch);
    }
    if (kind != MESSAGE_SNAPSHOT)
        f->seq = r->seq;
    if (is_traced(r, kind)) /* the sending time is at the end, before the braces */
        f->stamp_at = f->len - stamp_distance(encoding);
    return f;
}

struct frame *encode_symbol(const struct hub_symbol *s, enum symbol_message kind,
                            enum encoding encoding)
{
    struct encode_record r = {
        .name = {s->name, s->name_len},
        .epoch = s->epoch,
        .seq = s->seq,
        .prev = s->prev,
        .sent_us = s->sent_us,
        .accepted_us = s->accepted_us,
        .received_us = s->received_us,
        .state = s->state,
        .body = buf_span(&s->body),
    };

    return encode_record(&r, kind, encoding);
}

struct frame *encode_lost(uint64_t epoch, uint64_t seq, struct span body, enum encoding encoding)
{
    struct buf bytes = {0};
    struct message m;
    struct frame *f;

    message_begin(&m, encoding, "lost");
    if (encoding == ENCODING_EVENTS_ALL)
        message_set_position(&m, epoch, seq);
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
