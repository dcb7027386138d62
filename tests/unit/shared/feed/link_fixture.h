/*
 * link_fixture: the conversation of a feed with its broker, without sockets: the test is the
 * broker.
 *
 * sent() returns everything that the link has sent since the last call, as one line of text:
 * "hello" and other requests as their op with the fields of interest, "beat EPOCH" for a heartbeat,
 * "EPOCH:LINE" for a line.
 * Include it after <cmocka.h>.
 */
#ifndef TESTS_UNIT_SHARED_FEED_LINK_FIXTURE_H
#define TESTS_UNIT_SHARED_FEED_LINK_FIXTURE_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/feed/link.h"
#include "shared/wire/wire.h"
#include "tests/unit/packed.h"

struct talk {
    struct outbox *outbox;
    struct link *link;
    struct buf sent, bytes;
    int64_t now, mono;
    bool is_full;
    int room;                 /* lines that the ingest socket still takes */
    char note[LINK_TEXT_MAX]; /* the last warning */
};

static inline void put_field(struct buf *out, struct span m, const char *key)
{
    uint64_t n = pack_find_u(m, key, UINT64_MAX);

    if (n != UINT64_MAX)
        buf_printf(out, " %s=%" PRIu64, key, n);
}

static inline bool on_control(void *ctx, struct span m)
{
    struct talk *t = ctx;
    struct span op = pack_find_text(m, "op"), reason = pack_find_text(m, "reason");

    if (t->is_full)
        return false;
    assert_int_equal(pack_check(m), OK);
    buf_printf(&t->sent, "%s%.*s", t->sent.len ? ", " : "", (int)op.len, op.at);
    put_field(&t->sent, m, "acked");
    put_field(&t->sent, m, "epoch");
    put_field(&t->sent, m, "first");
    put_field(&t->sent, m, "last");
    if (reason.len)
        buf_printf(&t->sent, " %.*s", (int)reason.len, reason.at);
    return true;
}

static inline bool on_ingest(void *ctx, const struct span frames[2])
{
    struct talk *t = ctx;
    struct wire_record r;

    if (t->is_full || !t->room)
        return false;
    t->room--;
    assert_int_equal(wire_read(frames[1], &r, NULL), OK);
    buf_adds(&t->sent, t->sent.len ? ", " : "");
    if (r.kind == WIRE_HEARTBEAT)
        assert_int_equal(r.sent_us, 1700000000000000 + t->now * 1000);
    if (r.kind == WIRE_HEARTBEAT)
        buf_printf(&t->sent, "beat %" PRIu64 "/%" PRIu64, r.epoch, r.seq);
    else
        buf_printf(&t->sent, "%" PRIu64 ":%" PRIu64, r.epoch, r.seq);
    return true;
}

static inline void on_note(void *ctx, enum log_level level, const char *text)
{
    struct talk *t = ctx;

    if (level >= LOG_WARNING)
        snprintf(t->note, sizeof t->note, "%s", text);
}

static inline const char *sent(struct talk *t)
{
    static char text[4096];

    snprintf(text, sizeof text, "%s", buf_text(&t->sent));
    buf_clear(&t->sent);
    return text;
}

/* `ms` pass; the broker sends `message` (NULL: nothing); then the link sends what it has. */
static inline void after(struct talk *t, int64_t ms, const char *message)
{
    t->now += ms;
    t->mono += ms;
    link_begin_turn(t->link, t->now, t->mono, 1700000000000000 + t->now * 1000);
    if (message) {
        struct span exact;

        buf_clear(&t->bytes);
        packed(&t->bytes, message);
        exact = exact_copy(buf_span(&t->bytes));
        link_take(t->link, exact);
        free((void *)(uintptr_t)exact.at);
    }
    link_tick(t->link);
    link_send(t->link, 1000);
}

static inline void add(struct talk *t, int lines)
{
    while (lines--)
        outbox_add(t->outbox, SPAN("GOLD"),
                   SPAN("\x81\xA4last\xA3"
                        "1.5"),
                   1);
}

static inline void open_talk(struct talk *t, size_t ring)
{
    struct link_settings settings = {.feed = "tape",
                                     .ingest = "tcp://i",
                                     .control = "tcp://c",
                                     .owner = "0123456789abcdef0123456789abcdef",
                                     .host = "here",
                                     .pid = 7,
                                     .window = ring};
    struct link_out out = {t, on_control, on_ingest, on_note, NULL};

    *t = (struct talk){
        .outbox = outbox_new(ring, OUTBOX_BYTES_MAX), .now = 1000, .mono = 1000, .room = 1000000};
    t->link = link_new(&settings, t->outbox, &out);
}

static inline void close_talk(struct talk *t)
{
    link_free(t->link);
    outbox_free(t->outbox);
    buf_free(&t->sent);
    buf_free(&t->bytes);
}

/* The broker grants epoch 5 and acknowledges a heartbeat: the link is open. */
static inline void open_link(struct talk *t)
{
    after(t, 0, NULL);
    after(t, 1, "{'re':'hello','id':1,'version':1,'epoch':5,'received':0}");
    after(t, 1, "{'op':'received','epoch':5,'line':0}");
    sent(t);
    assert_int_equal(link_state(t->link), LINK_OPEN);
}

#endif
