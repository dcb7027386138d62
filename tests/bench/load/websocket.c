/* A WebSocket at a path with ?symbols=: Pregón, the floors, uvicorn, node ws, nginx with nchan. */
#include <stdio.h>

#include "tests/bench/load/load.h"

static void put_hello(const struct client *c, struct buf *b)
{
    buf_printf(b, "GET %ssymbols=", load.path);
    for (uint32_t i = 0; i < load.each; i++)
        buf_printf(b, "%s" SYMBOL_TEXT, i ? "," : "", c->symbols[i]);
    buf_printf(b, "%s%s", load.each ? "" : "*", load.is_all ? "&mode=all" : "");
    if (load.is_returning && c->seq)
        buf_printf(b, "&since=%s:%llu", load.epoch, (unsigned long long)c->seq);
    buf_adds(b, " HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
                "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
}

static size_t take_answer(const char *data, size_t len, bool *is_refused)
{
    const char *end = memmem(data, len, "\r\n\r\n", 4);

    *is_refused = end && memcmp(data, "HTTP/1.1 101", 12) != 0;
    return end ? (size_t)(end + 4 - data) : 0;
}

static void pong(struct client *c, const char *p, size_t len)
{
    char frame[131] = {(char)0x8A, (char)(0x80 | len)}; /* masked with zeros */

    memcpy(frame + 6, p, len);
    client_say(c, frame, len + 6);
}

static size_t take_messages(struct client *c, const char *data, size_t len)
{
    size_t at = 0;

    while (len - at >= 2) {
        const unsigned char *h = (const unsigned char *)data + at;
        size_t head = 2, size = h[1] & 0x7F;

        if (size == 126 && len - at >= 4) {
            head = 4, size = (size_t)h[2] << 8 | h[3];
        } else if (size > 126) {
            if (len - at < 10)
                break;
            head = 10, size = 0;
            for (int i = 2; i < 10; i++)
                size = size << 8 | h[i];
        }
        if (len - at < head + size || (size == 126 && head == 2))
            break;
        if (h[0] == 0x81)
            quote_take_text(c, data + at + head, size);
        else if (h[0] == 0x89 && size < 126)
            pong(c, data + at + head, size);
        else if (h[0] != 0x88)
            load.tally.errors++;
        at += head + size;
    }
    return at;
}

const struct protocol protocol_websocket = {"websocket", put_hello, take_answer, take_messages};
