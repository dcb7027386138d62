/*
 * The body of a request to publish.  The first byte: bit 0, it is NDJSON in any case; bit 1, it is
 * gzip.
 */
#include "gateway/http/inflate.h"
#include "gateway/upstream/quotes_body.h"
#include "shared/wire/publish.h"
#include "shared/wire/pack.h"
#include "shared/wire/quote.h"
#include "shared/wire/wire.h"
#include "tests/fuzz/fuzz.h"

#include <msgpack.h>

#define PLAIN_MAX 100000

/* Each row is a quote that the broker may take, or says why it is none. */
static void check_part(const struct quotes_part *part)
{
    const struct quote_rules rules = {.max_future_us = INT64_MAX / 2, .allow_crossed = true};
    struct span c = buf_span(&part->rows);
    struct pack_value head, symbol;

    for (uint32_t i = 0; i < part->count; i++) {
        struct span body;
        bool has_time;

        MUST(pack_next(&c, &head) && head.type == PACK_ARRAY);
        MUST(pack_next(&c, &symbol) && symbol.type == PACK_STR);
        body = c;
        MUST(pack_skip(&c));
        body.len -= c.len;
        if (head.count == 3)
            MUST(pack_skip(&c));
        else
            MUST(quote_is_symbol(symbol.text) &&
                 quote_check_line(body, &rules, &has_time) == QUOTE_ACCEPTED);
    }
    MUST(!c.len);
}

static void check(const struct quotes_body *b)
{
    static const struct quotes_request q = {.feed = {"web", 3}, .key = {"k", 1}};
    uint32_t count = 0;

    MUST(b->part_count >= 1 && b->count <= QUOTES_BODY_MAX);
    for (size_t i = 0; i < b->part_count; i++) {
        struct buf members = {0};
        struct span rest;
        uint32_t names;

        MUST(b->parts[i].count <= PUBLISH_QUOTES_MAX);
        check_part(&b->parts[i]);
        count += b->parts[i].count;
        names = quotes_body_pack(b, i, &q, &members);
        rest = buf_span(&members);
        for (uint32_t k = 0; k < 2 * names; k++) /* names and values */
            MUST(pack_skip(&rest));
        MUST(names && !rest.len);
        MUST(members.len + 64 < WIRE_REQUEST_FRAME_MAX);
        buf_free(&members);
    }
    MUST(count == b->count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct quotes_body body = {0};
    struct quotes_body_error error = {0};
    struct buf plain = {0};
    struct json *j;
    uint8_t how;

    if (!size)
        return 0;
    how = data[0];
    if (how & 2) {
        enum err e = inflate_gzip(fuzz_span(data + 1, size - 1), PLAIN_MAX, &plain);

        MUST(plain.len <= PLAIN_MAX + 16384 && (e || plain.len <= PLAIN_MAX));
    } else {
        buf_add(&plain, (const char *)data + 1, size - 1);
    }
    j = json_new();
    if (quotes_body_read(j, buf_span(&plain), how & 1, &body, &error))
        check(&body);
    else
        MUST(error.message[0] && error.hint && error.at <= plain.len);
    quotes_body_free(&body);
    json_free(j);
    buf_free(&plain);
    return 0;
}
