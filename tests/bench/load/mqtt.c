/*
 * The part of MQTT 3.1.1 that subscribing with quality 0 needs
 * (docs.oasis-open.org/mqtt/mqtt/v3.1.1).
 */
#include <stdio.h>

#include "tests/bench/load/load.h"

#define CONNACK 0x20
#define PUBLISH 0x30
#define SUBACK 0x90

static void put_text(struct buf *b, const char *text)
{
    buf_addc(b, (char)(strlen(text) >> 8));
    buf_addc(b, (char)strlen(text));
    buf_adds(b, text);
}

static void put_packet(struct buf *b, unsigned char type, const struct buf *body)
{
    size_t left = body->len;

    buf_addc(b, (char)type);
    do {
        buf_addc(b, (char)((left & 0x7F) | (left > 0x7F ? 0x80 : 0)));
        left >>= 7;
    } while (left);
    buf_add(b, body->data, body->len);
}

static void put_hello(const struct client *c, struct buf *b)
{
    struct buf body = {0};
    char name[32];

    put_text(&body, "MQTT");
    buf_add(&body, "\x04\x02\0\0", 4); /* 3.1.1, a clean session, no keep-alive */
    snprintf(name, sizeof name, "bench-%td", c - load.clients);
    put_text(&body, name);
    put_packet(b, 0x10, &body);
    buf_clear(&body);
    buf_add(&body, "\0\1", 2); /* number of the packet */
    for (uint32_t i = 0; i < c->count; i++) {
        snprintf(name, sizeof name, SYMBOL_TEXT, c->symbols ? c->symbols[i] : i);
        put_text(&body, name);
        buf_addc(&body, 0);
    }
    put_packet(b, 0x82, &body);
    buf_free(&body);
}

/* Of the packet at `data`, 0: not whole.  *head: bytes before its body. */
static size_t packet_size(const char *data, size_t len, size_t *head)
{
    size_t size = 0;

    for (size_t i = 1; i < len && i < 5; i++) {
        size |= (size_t)(data[i] & 0x7F) << (7 * (i - 1));
        if (data[i] & 0x80)
            continue;
        *head = i + 1;
        return len >= *head + size ? *head + size : 0;
    }
    return 0;
}

/* CONNACK and SUBACK; a retained message that arrives before is left for mqtt's messages. */
static size_t take_answer(const char *data, size_t len, bool *is_refused)
{
    size_t head, first = packet_size(data, len, &head), second;

    if (!first)
        return 0;
    *is_refused = (unsigned char)data[0] != CONNACK || data[head + 1] != 0;
    second = packet_size(data + first, len - first, &head);
    if (second && !*is_refused)
        *is_refused = (unsigned char)data[first] != SUBACK;
    return *is_refused ? len : second ? first + second : 0;
}

static size_t take_messages(struct client *c, const char *data, size_t len)
{
    size_t at = 0, head, size;

    while ((size = packet_size(data + at, len - at, &head))) {
        const unsigned char *p = (const unsigned char *)data + at;
        size_t topic = head + 2 <= size ? (size_t)p[head] << 8 | p[head + 1] : 0;

        if ((p[0] & 0xF6) == PUBLISH && head + 2 + topic <= size)
            quote_take_text(c, (const char *)p + head + 2 + topic, size - head - 2 - topic);
        else
            load.tally.errors++;
        at += size;
    }
    return at;
}

const struct protocol protocol_mqtt = {"mqtt", put_hello, take_answer, take_messages};
