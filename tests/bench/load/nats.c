/* NATS's text protocol: https://docs.nats.io/reference/reference-protocols/nats-protocol */
#include <stdio.h>
#include <stdlib.h>

#include "tests/bench/load/load.h"

static void put_hello(const struct client *c, struct buf *b)
{
    buf_adds(b, "CONNECT {\"verbose\":false,\"pedantic\":false}\r\n");
    for (uint32_t i = 0; i < c->count; i++)
        buf_printf(b, "SUB " SYMBOL_TEXT " %u\r\n", c->symbols ? c->symbols[i] : i, i + 1);
    buf_adds(b, "PING\r\n");
}

/* INFO {…}, which the server sends first, and PONG: all earlier commands have been carried out. */
static size_t take_answer(const char *data, size_t len, bool *is_refused)
{
    const char *end = memmem(data, len, "\r\nPONG\r\n", 8);

    *is_refused = memmem(data, len, "-ERR", 4) != NULL;
    return end ? (size_t)(end + 8 - data) : 0;
}

static size_t take_messages(struct client *c, const char *data, size_t len)
{
    size_t at = 0;

    while (at < len) {
        const char *line = data + at, *end = memmem(line, len - at, "\r\n", 2), *size_at = end;
        size_t head = end ? (size_t)(end + 2 - line) : 0, size;

        if (!end)
            break;
        if (head > 4 && !memcmp(line, "MSG ", 4)) { /* MSG subject sid size */
            while (size_at[-1] != ' ')
                size_at--;
            size = strtoul(size_at, NULL, 10);
            if (len - at < head + size + 2)
                break;
            quote_take_text(c, line + head, size);
            head += size + 2;
        } else if (head == 6 && !memcmp(line, "PING", 4)) {
            client_say(c, "PONG\r\n", 6);
        } else if (memcmp(line, "INFO", 4) != 0) {
            load.tally.errors++;
        }
        at += head;
    }
    return at;
}

const struct protocol protocol_nats = {"nats", put_hello, take_answer, take_messages};
