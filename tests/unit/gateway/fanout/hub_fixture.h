/*
 * hub_fixture: a hub whose frames are plain text, for tests.
 *
 * encode_symbol is defined here, in place of gateway/fanout/encode.c, and sees to it that no
 * record is encoded twice.  Include it after <cmocka.h>, in one file of a program.
 */
#ifndef TESTS_UNIT_GATEWAY_FANOUT_HUB_FIXTURE_H
#define TESTS_UNIT_GATEWAY_FANOUT_HUB_FIXTURE_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "gateway/fanout/encode.h"
#include "gateway/fanout/hub.h"
#include "tests/unit/packed.h"

#define LENGTH(array) (sizeof(array) / sizeof(array)[0])
#define SYMBOLS 80 /* more than one word of a backlog's mask */
#define NO_LIMIT SIZE_MAX

static struct hub *hub;

/* How often each symbol changed, and at which change its frame was last made. */
static struct {
    unsigned changes, made[MESSAGE_COUNT][ENCODING_COUNT];
} versions[SYMBOLS];
static unsigned frames_made;
static uint64_t applying; /* the current position: records before it may encode the old value */

/* "quote A7 5<4 live v12": kind, symbol, seq, prev, state, body. */
struct frame *encode_symbol(const struct hub_symbol *s, enum symbol_message kind,
                            enum encoding encoding)
{
    static const char *const kinds[] = {"quote", "snapshot", "state", "traced", "state"};
    char text[200];
    unsigned version = versions[s->index].changes + (s->seq >= applying);
    int len =
        snprintf(text, sizeof text, "%s %s %llu<%llu %s %.*s", kinds[kind], s->name,
                 (unsigned long long)s->seq, (unsigned long long)s->prev,
                 encode_state_name(s->state), (int)s->body.len, s->body.data ? s->body.data : "");

    assert_true(s->index < SYMBOLS);
    if (versions[s->index].made[kind][encoding] == version)
        fail_msg("%s is made twice", text);
    versions[s->index].made[kind][encoding] = version;
    frames_made++;
    return frame_new(encoding == ENCODING_JSON ? OPCODE_TEXT : OPCODE_BINARY,
                     (struct span){text, (size_t)len});
}

const char *encode_state_name(enum symbol_state s)
{
    return s == SYMBOL_LIVE      ? "live"
           : s == SYMBOL_STALE   ? "stale"
           : s == SYMBOL_REMOVED ? "removed"
                                 : "unknown";
}

/* Only windows call this, and this test has none. */
struct frame *encode_record(const struct encode_record *r, enum symbol_message kind,
                            enum encoding encoding)
{
    (void)r, (void)kind, (void)encoding;
    fail();
    return NULL;
}

struct frame *encode_lost(uint64_t epoch, uint64_t seq, struct span body, enum encoding encoding)
{
    (void)epoch, (void)seq, (void)body, (void)encoding;
    fail();
    return NULL;
}

/* The text of a frame; its length is below 126. */
static inline const char *text_of(const struct frame *f)
{
    static char text[200];

    assert_true(f->len < sizeof text);
    memcpy(text, f->bytes + 2, f->len - 2);
    text[f->len - 2] = '\0';
    return text;
}

static inline int set_up(void **state)
{
    (void)state;
    memset(versions, 0, sizeof versions);
    frames_made = 0;
    hub = hub_new(1 << 20);
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    hub_free(hub);
    hub_free(NULL);
    return 0;
}

static inline void note_change(const char *symbol)
{
    const struct hub_symbol *s = hub_find(hub, span_of(symbol));

    if (s)
        versions[s->index].changes++;
}

/* Remove topics without references and unwanted names, a few at a time. */
static inline void forget_all(void)
{
    bool was_known[SYMBOLS];

    for (size_t i = 0; i < SYMBOLS; i++)
        was_known[i] = i < hub_symbol_end(hub) && hub_symbol_at(hub, i);
    while (hub_tidy(hub, 1))
        ;
    for (size_t i = 0; i < SYMBOLS; i++) /* another symbol may get the index */
        versions[i].changes += was_known[i] && (i >= hub_symbol_end(hub) || !hub_symbol_at(hub, i));
}

static inline bool apply(const char *symbol, const struct wire_record *r)
{
    bool is_new;

    note_change(symbol);
    applying = r->seq;
    is_new = hub_apply(hub, hub_know(hub, span_of(symbol)), r);
    applying = 0;
    return is_new;
}

static inline bool quote(const char *symbol, uint64_t seq, uint64_t prev, const char *value)
{
    struct wire_record r = {.kind = WIRE_QUOTE, .seq = seq, .prev = prev, .body = span_of(value)};

    return apply(symbol, &r);
}

static inline bool state_record(const char *symbol, uint64_t seq, uint64_t prev, const char *word)
{
    struct wire_record r = {.kind = WIRE_STATE, .seq = seq, .prev = prev};
    struct buf body = {0};
    msgpack_packer pk;
    bool is_new;

    msgpack_packer_init(&pk, &body, buf_pack_write);
    msgpack_pack_map(&pk, 2);
    pack_kv_text(&pk, "state", span_of(word));
    pack_kv_text(&pk, "feed", SPAN("sim"));
    r.body = buf_span(&body);
    is_new = apply(symbol, &r);
    buf_free(&body);
    return is_new;
}

/* An entry of a snapshot: the symbol's last record is `seq`, its last quote
 * `quote_seq`. */
static inline void snapshot(const char *symbol, uint64_t seq, bool is_stale, uint64_t quote_seq,
                            const char *value)
{
    struct wire_record r = {.kind = WIRE_QUOTE, .seq = quote_seq, .body = span_of(value)};

    note_change(symbol);
    applying = seq;
    hub_apply_snapshot(hub, span_of(symbol), seq, is_stale, &r);
    applying = 0;
}

#endif
