#include "shared/wire/wire.h"

#include <endian.h>
#include <string.h>

#include "shared/wire/pack.h"

#define U64_SIZE 9 /* 0xcf and eight bytes */

static char *put_u64(char *at, uint64_t n)
{
    n = htobe64(n);
    *at = (char)0xCF;
    memcpy(at + 1, &n, sizeof n);
    return at + U64_SIZE;
}

void wire_put_header(char out[WIRE_HEADER_SIZE], const struct wire_record *r)
{
    char *at = out;

    *at++ = (char)0x97;    /* array of seven */
    *at++ = (char)r->kind; /* positive fixint */
    at = put_u64(at, r->epoch);
    at = put_u64(at, r->seq);
    at = put_u64(at, r->prev);
    at = put_u64(at, r->sent_us);
    put_u64(at, r->accepted_us);
}

void wire_put(struct buf *out, const struct wire_record *r)
{
    wire_put_header(buf_room(out, WIRE_HEADER_SIZE), r);
    if (r->body.len)
        buf_add(out, r->body.at, r->body.len);
    else
        buf_addc(out, (char)0xC0); /* nil */
}

/* Reads the fixed layout that our writers use.  Returns false if the header has another layout. */
static bool take_our_header(struct span *c, struct wire_record *out)
{
    uint64_t n[5];

    if (c->len <= WIRE_HEADER_SIZE || c->at[0] != (char)0x97 || c->at[1] < WIRE_QUOTE ||
        c->at[1] > WIRE_LOCK)
        return false;
    for (size_t i = 0; i < 5; i++) {
        const char *at = c->at + 2 + U64_SIZE * i;

        if (*at != (char)0xCF)
            return false;
        memcpy(&n[i], at + 1, sizeof n[i]);
        n[i] = be64toh(n[i]);
    }
    *out = (struct wire_record){.kind = (enum wire_kind)c->at[1],
                                .epoch = n[0],
                                .seq = n[1],
                                .prev = n[2],
                                .sent_us = n[3],
                                .accepted_us = n[4]};
    c->at += WIRE_HEADER_SIZE;
    c->len -= WIRE_HEADER_SIZE;
    return true;
}

/* Reads the head and the six integers; *c is then at the body. */
static enum err take_header(struct span *c, struct wire_record *out, uint32_t *count)
{
    struct pack_value head;
    struct wire_record r = {0};
    uint64_t kind;

    if (take_our_header(c, out)) {
        *count = 7;
        return OK;
    }
    if (!pack_next(c, &head) || head.type != PACK_ARRAY || head.count < 7 ||
        !pack_next_u(c, &kind) || !pack_next_u(c, &r.epoch) || !pack_next_u(c, &r.seq) ||
        !pack_next_u(c, &r.prev) || !pack_next_u(c, &r.sent_us) || !pack_next_u(c, &r.accepted_us))
        return ERR_MALFORMED;
    if (kind < WIRE_QUOTE || kind >= WIRE_KIND_COUNT)
        return ERR_MALFORMED;
    r.kind = (enum wire_kind)kind;
    *out = r;
    *count = head.count;
    return OK;
}

enum err wire_read_header(struct span message, struct wire_record *out)
{
    uint32_t count;

    return take_header(&message, out, &count);
}

/* Finds the body's end by walking over it, unless the caller will check its content anyway. */
static enum err read_record(struct span message, bool is_walked, struct wire_record *out,
                            bool *stampable)
{
    struct span c = message;
    struct wire_record r;
    uint32_t count;
    bool is_ours;
    enum err e = take_header(&c, &r, &count);

    if (e)
        return e;
    if (message.len > WIRE_RECORD_MAX && r.kind != WIRE_HEARTBEAT)
        return ERR_TOO_LARGE;
    is_ours = count == 7 && c.at == message.at + WIRE_HEADER_SIZE;
    r.body = c;
    if (count > 7 || is_walked) {
        for (uint32_t i = 6; i < count; i++) {
            if (!pack_skip(&c))
                return ERR_MALFORMED;
            if (i == 6)
                r.body.len = (size_t)(c.at - r.body.at);
        }
        if (c.len)
            return ERR_MALFORMED;
    }
    if (stampable)
        *stampable = is_ours;
    *out = r;
    return OK;
}

enum err wire_read(struct span message, struct wire_record *out, bool *stampable)
{
    return read_record(message, true, out, stampable);
}

enum err wire_open(struct span message, struct wire_record *out, bool *stampable)
{
    return read_record(message, false, out, stampable);
}

bool wire_take_entry(struct span *c, struct wire_entry *out)
{
    struct span state, record;

    if (!pack_next_array(c, 4) || !pack_next_text(c, &out->symbol) || !pack_next_u(c, &out->seq) ||
        !pack_next_text(c, &state) || !pack_next_bin(c, &record) || !quote_is_symbol(out->symbol) ||
        wire_read(record, &out->quote, NULL) || pack_check(out->quote.body))
        return false;
    out->is_stale = span_eq(state, "stale");
    out->is_removed = false;
    return true;
}

bool wire_take_removed(struct span *c, struct wire_entry *out)
{
    struct wire_entry e = {.is_removed = true};

    if (!pack_next_array(c, 2) || !pack_next_text(c, &e.symbol) || !pack_next_u(c, &e.seq) ||
        !quote_is_symbol(e.symbol))
        return false;
    *out = e;
    return true;
}

enum wire_state wire_state_of(struct span body)
{
    struct span state = pack_find_text(body, "state");

    return span_eq(state, "live")      ? WIRE_LIVE
           : span_eq(state, "removed") ? WIRE_REMOVED
                                       : WIRE_STALE;
}

struct span wire_topic_symbol(struct span topic)
{
    struct span symbol = {topic.at, topic.len ? topic.len - 1 : 0};

    if (!topic.len || topic.at[symbol.len] != ' ' || !quote_is_symbol(symbol))
        symbol.len = 0;
    return symbol;
}

size_t wire_topic(char out[WIRE_TOPIC_MAX], struct span symbol)
{
    size_t len = symbol.len < WIRE_TOPIC_MAX - 1 ? symbol.len : WIRE_TOPIC_MAX - 1;

    memcpy(out, symbol.at, len);
    out[len] = ' ';
    return len + 1;
}
